# SPDX-License-Identifier: MIT
if HAVE_CMOCKA
# Against the library as others link it: only what weir.h promises is there.
EMBED_TEST_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/tests/unit/embed \
	$(CMOCKA_CFLAGS)
EMBED_TEST_LIBS = libweir.la $(CMOCKA_LIBS)
EMBED_TEST_COMMON = \
	tests/unit/embed/embed_test.c \
	tests/unit/embed/embed_test.h

check_PROGRAMS += tests/unit/embed/test_embed
TESTS += tests/unit/embed/test_embed
tests_unit_embed_test_embed_CPPFLAGS = $(EMBED_TEST_CPPFLAGS)
tests_unit_embed_test_embed_LDADD = $(EMBED_TEST_LIBS)
tests_unit_embed_test_embed_SOURCES = \
	tests/unit/embed/test_embed.c $(EMBED_TEST_COMMON)

check_PROGRAMS += tests/unit/embed/test_reading
TESTS += tests/unit/embed/test_reading
tests_unit_embed_test_reading_CPPFLAGS = $(EMBED_TEST_CPPFLAGS)
tests_unit_embed_test_reading_LDADD = $(EMBED_TEST_LIBS)
tests_unit_embed_test_reading_SOURCES = \
	tests/unit/embed/test_reading.c $(EMBED_TEST_COMMON)

check_PROGRAMS += tests/unit/embed/test_stream
TESTS += tests/unit/embed/test_stream
tests_unit_embed_test_stream_CPPFLAGS = $(EMBED_TEST_CPPFLAGS)
tests_unit_embed_test_stream_LDADD = $(EMBED_TEST_LIBS)
tests_unit_embed_test_stream_SOURCES = \
	tests/unit/embed/test_stream.c $(EMBED_TEST_COMMON)

check_PROGRAMS += tests/unit/embed/test_sinks
TESTS += tests/unit/embed/test_sinks
tests_unit_embed_test_sinks_CPPFLAGS = $(EMBED_TEST_CPPFLAGS)
tests_unit_embed_test_sinks_LDADD = $(EMBED_TEST_LIBS)
tests_unit_embed_test_sinks_SOURCES = \
	tests/unit/embed/test_sinks.c $(EMBED_TEST_COMMON)

check_PROGRAMS += tests/unit/embed/test_watch
TESTS += tests/unit/embed/test_watch
tests_unit_embed_test_watch_CPPFLAGS = $(EMBED_TEST_CPPFLAGS)
tests_unit_embed_test_watch_LDADD = $(EMBED_TEST_LIBS)
tests_unit_embed_test_watch_SOURCES = \
	tests/unit/embed/test_watch.c $(EMBED_TEST_COMMON)

# This one makes calls fail, so it is made of the same parts as the library.
check_PROGRAMS += tests/unit/embed/test_faults
TESTS += tests/unit/embed/test_faults
tests_unit_embed_test_faults_CPPFLAGS = $(TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/unit/embed -I$(top_srcdir)/tests/unit/store
tests_unit_embed_test_faults_LDADD = core/embed/libembed.la $(TEST_LIBS)
tests_unit_embed_test_faults_SOURCES = \
	tests/unit/embed/test_faults.c $(EMBED_TEST_COMMON) \
	$(STORE_TEST) \
	tests/unit/store/disk.c \
	tests/unit/store/disk.h

# This one, too: it makes a schema.
check_PROGRAMS += tests/unit/embed/test_rules
TESTS += tests/unit/embed/test_rules
tests_unit_embed_test_rules_CPPFLAGS = $(TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/unit/embed
tests_unit_embed_test_rules_LDADD = core/embed/libembed.la $(TEST_LIBS)
tests_unit_embed_test_rules_SOURCES = \
	tests/unit/embed/test_rules.c $(EMBED_TEST_COMMON)
endif

# The examples: built by `make check`, and again by tests/system/test_embed.py
# as a stranger would.
check_PROGRAMS += \
	contrib/examples/ledger \
	contrib/examples/mirror \
	contrib/examples/sensor
contrib_examples_ledger_LDADD = libweir.la
contrib_examples_ledger_SOURCES = contrib/examples/ledger.c
contrib_examples_mirror_LDADD = libweir.la
contrib_examples_mirror_SOURCES = contrib/examples/mirror.c
contrib_examples_sensor_LDADD = libweir.la
contrib_examples_sensor_SOURCES = contrib/examples/sensor.c
