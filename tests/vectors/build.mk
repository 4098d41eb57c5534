# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/vectors/golden/00000001.hex \
	tests/vectors/golden/00000002.hex \
	tests/vectors/golden/STORE \
	tests/vectors/golden/records.ndjson \
	tests/vectors/golden/roots \
	tests/vectors/read_journal.py
if HAVE_CMOCKA
check_PROGRAMS += tests/vectors/test_vectors
TESTS += tests/vectors/test_vectors
tests_vectors_test_vectors_CPPFLAGS = $(TEST_CPPFLAGS)
tests_vectors_test_vectors_LDADD = $(TEST_LIBS)
tests_vectors_test_vectors_SOURCES = tests/vectors/test_vectors.c \
	$(STORE_TEST)
endif
