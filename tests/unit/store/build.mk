# SPDX-License-Identifier: MIT
STORE_TEST = tests/unit/store/store_test.c tests/unit/store/store_test.h
STORE_GATE = tests/unit/store/gate.c tests/unit/store/gate.h
STORE_DISK = tests/unit/store/disk.c tests/unit/store/disk.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/store/test_store
TESTS += tests/unit/store/test_store
tests_unit_store_test_store_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_store_LDADD = $(TEST_LIBS)
tests_unit_store_test_store_SOURCES = tests/unit/store/test_store.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_commit
TESTS += tests/unit/store/test_commit
tests_unit_store_test_commit_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_commit_LDADD = $(TEST_LIBS)
tests_unit_store_test_commit_SOURCES = tests/unit/store/test_commit.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_synced
TESTS += tests/unit/store/test_synced
tests_unit_store_test_synced_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_synced_LDADD = $(TEST_LIBS)
tests_unit_store_test_synced_SOURCES = tests/unit/store/test_synced.c \
	$(STORE_TEST) $(STORE_DISK)

check_PROGRAMS += tests/unit/store/test_recheck
TESTS += tests/unit/store/test_recheck
tests_unit_store_test_recheck_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_recheck_LDADD = $(TEST_LIBS)
tests_unit_store_test_recheck_SOURCES = tests/unit/store/test_recheck.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_faults
TESTS += tests/unit/store/test_faults
tests_unit_store_test_faults_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_faults_LDADD = $(TEST_LIBS)
tests_unit_store_test_faults_SOURCES = tests/unit/store/test_faults.c \
	$(STORE_TEST) $(STORE_DISK)

check_PROGRAMS += tests/unit/store/test_live
TESTS += tests/unit/store/test_live
tests_unit_store_test_live_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_live_LDADD = $(TEST_LIBS)
tests_unit_store_test_live_SOURCES = tests/unit/store/test_live.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_damage
TESTS += tests/unit/store/test_damage
tests_unit_store_test_damage_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_damage_LDADD = $(TEST_LIBS)
tests_unit_store_test_damage_SOURCES = tests/unit/store/test_damage.c \
	$(STORE_TEST) $(STORE_DISK)

check_PROGRAMS += tests/unit/store/test_merkle
TESTS += tests/unit/store/test_merkle
tests_unit_store_test_merkle_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_merkle_LDADD = $(TEST_LIBS)
tests_unit_store_test_merkle_SOURCES = tests/unit/store/test_merkle.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_threads
TESTS += tests/unit/store/test_threads
tests_unit_store_test_threads_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_threads_LDADD = $(TEST_LIBS)
tests_unit_store_test_threads_SOURCES = tests/unit/store/test_threads.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_group
TESTS += tests/unit/store/test_group
tests_unit_store_test_group_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_group_LDADD = $(TEST_LIBS)
tests_unit_store_test_group_SOURCES = tests/unit/store/test_group.c \
	$(STORE_TEST) $(STORE_GATE)

check_PROGRAMS += tests/unit/store/test_submit
TESTS += tests/unit/store/test_submit
tests_unit_store_test_submit_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_submit_LDADD = $(TEST_LIBS)
tests_unit_store_test_submit_SOURCES = tests/unit/store/test_submit.c \
	$(STORE_TEST) $(STORE_GATE)

check_PROGRAMS += tests/unit/store/test_filler
TESTS += tests/unit/store/test_filler
tests_unit_store_test_filler_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_filler_LDADD = $(TEST_LIBS)
tests_unit_store_test_filler_SOURCES = tests/unit/store/test_filler.c \
	$(STORE_TEST) $(STORE_GATE)

check_PROGRAMS += tests/unit/store/test_watch
TESTS += tests/unit/store/test_watch
tests_unit_store_test_watch_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_watch_LDADD = $(TEST_LIBS)
tests_unit_store_test_watch_SOURCES = tests/unit/store/test_watch.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_reader
TESTS += tests/unit/store/test_reader
tests_unit_store_test_reader_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_reader_LDADD = $(TEST_LIBS)
tests_unit_store_test_reader_SOURCES = tests/unit/store/test_reader.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_index
TESTS += tests/unit/store/test_index
tests_unit_store_test_index_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_index_LDADD = $(TEST_LIBS)
tests_unit_store_test_index_SOURCES = tests/unit/store/test_index.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/store/test_writes
TESTS += tests/unit/store/test_writes
tests_unit_store_test_writes_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_store_test_writes_LDADD = $(TEST_LIBS)
tests_unit_store_test_writes_SOURCES = tests/unit/store/test_writes.c \
	$(STORE_TEST)
endif
