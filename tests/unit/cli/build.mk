# SPDX-License-Identifier: MIT
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/cli/test_csvread
TESTS += tests/unit/cli/test_csvread
tests_unit_cli_test_csvread_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_cli_test_csvread_LDADD = core/libcli.la $(TEST_LIBS)
tests_unit_cli_test_csvread_SOURCES = tests/unit/cli/test_csvread.c

check_PROGRAMS += tests/unit/cli/test_input
TESTS += tests/unit/cli/test_input
tests_unit_cli_test_input_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_cli_test_input_LDADD = core/libcli.la $(TEST_LIBS)
tests_unit_cli_test_input_SOURCES = tests/unit/cli/test_input.c

check_PROGRAMS += tests/unit/cli/test_importer
TESTS += tests/unit/cli/test_importer
tests_unit_cli_test_importer_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_cli_test_importer_LDADD = core/libcli.la $(TEST_LIBS)
tests_unit_cli_test_importer_SOURCES = tests/unit/cli/test_importer.c
endif
