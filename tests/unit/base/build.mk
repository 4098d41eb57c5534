# SPDX-License-Identifier: MIT
noinst_HEADERS += tests/unit/base/base_test.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/base/test_err
TESTS += tests/unit/base/test_err
tests_unit_base_test_err_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_err_LDADD = $(TEST_LIBS)
tests_unit_base_test_err_SOURCES = tests/unit/base/test_err.c

check_PROGRAMS += tests/unit/base/test_buf
TESTS += tests/unit/base/test_buf
tests_unit_base_test_buf_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_buf_LDADD = $(TEST_LIBS)
tests_unit_base_test_buf_SOURCES = tests/unit/base/test_buf.c

check_PROGRAMS += tests/unit/base/test_str
TESTS += tests/unit/base/test_str
tests_unit_base_test_str_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_str_LDADD = $(TEST_LIBS)
tests_unit_base_test_str_SOURCES = tests/unit/base/test_str.c

check_PROGRAMS += tests/unit/base/test_json
TESTS += tests/unit/base/test_json
tests_unit_base_test_json_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_json_LDADD = $(TEST_LIBS)
tests_unit_base_test_json_SOURCES = tests/unit/base/test_json.c

check_PROGRAMS += tests/unit/base/test_json_random
TESTS += tests/unit/base/test_json_random
tests_unit_base_test_json_random_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_json_random_LDADD = $(TEST_LIBS)
tests_unit_base_test_json_random_SOURCES = tests/unit/base/test_json_random.c

check_PROGRAMS += tests/unit/base/test_clock
TESTS += tests/unit/base/test_clock
tests_unit_base_test_clock_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_clock_LDADD = $(TEST_LIBS)
tests_unit_base_test_clock_SOURCES = tests/unit/base/test_clock.c

check_PROGRAMS += tests/unit/base/test_digest
TESTS += tests/unit/base/test_digest
tests_unit_base_test_digest_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_digest_LDADD = $(TEST_LIBS)
tests_unit_base_test_digest_SOURCES = tests/unit/base/test_digest.c

check_PROGRAMS += tests/unit/base/test_uuid
TESTS += tests/unit/base/test_uuid
tests_unit_base_test_uuid_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_uuid_LDADD = $(TEST_LIBS)
tests_unit_base_test_uuid_SOURCES = tests/unit/base/test_uuid.c

check_PROGRAMS += tests/unit/base/test_os
TESTS += tests/unit/base/test_os
tests_unit_base_test_os_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_os_LDADD = $(TEST_LIBS)
tests_unit_base_test_os_SOURCES = tests/unit/base/test_os.c

check_PROGRAMS += tests/unit/base/test_spawn
TESTS += tests/unit/base/test_spawn
tests_unit_base_test_spawn_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_spawn_LDADD = $(TEST_LIBS)
tests_unit_base_test_spawn_SOURCES = tests/unit/base/test_spawn.c

check_PROGRAMS += tests/unit/base/test_diag
TESTS += tests/unit/base/test_diag
tests_unit_base_test_diag_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_diag_LDADD = $(TEST_LIBS)
tests_unit_base_test_diag_SOURCES = tests/unit/base/test_diag.c

check_PROGRAMS += tests/unit/base/test_diag_setup
TESTS += tests/unit/base/test_diag_setup
tests_unit_base_test_diag_setup_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_base_test_diag_setup_LDADD = $(TEST_LIBS)
tests_unit_base_test_diag_setup_SOURCES = tests/unit/base/test_diag_setup.c
endif
