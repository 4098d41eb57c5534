# SPDX-License-Identifier: MIT
noinst_HEADERS += tests/unit/bus/bus_test.h
if HAVE_CMOCKA
# The sink for tests, under four names with different capabilities.
FAKE_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere \
	-export-symbols-regex '^weir_sink_plugin$$'
check_LTLIBRARIES += \
	tests/unit/bus/fake.la \
	tests/unit/bus/fakehold.la \
	tests/unit/bus/fakecoal.la \
	tests/unit/bus/fakerewrite.la
tests_unit_bus_fake_la_CPPFLAGS = -I$(top_srcdir)/include \
	-DFAKE_NAME='"fake"' -DFAKE_CAPS=0 -DFAKE_NEEDS=0
tests_unit_bus_fake_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_bus_fake_la_SOURCES = tests/unit/bus/fake_sink.c
tests_unit_bus_fakehold_la_CPPFLAGS = -I$(top_srcdir)/include \
	-DFAKE_NAME='"fakehold"' \
	-DFAKE_CAPS='(WEIR_SINK_TXN|WEIR_SINK_HOLDS_CURSOR)' \
	-DFAKE_NEEDS=WEIR_SINK_NEED_JSON
tests_unit_bus_fakehold_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_bus_fakehold_la_SOURCES = tests/unit/bus/fake_sink.c
tests_unit_bus_fakecoal_la_CPPFLAGS = -I$(top_srcdir)/include \
	-DFAKE_NAME='"fakecoal"' \
	-DFAKE_CAPS='(WEIR_SINK_TXN|WEIR_SINK_HOLDS_CURSOR|WEIR_SINK_COALESCE)' \
	-DFAKE_NEEDS=WEIR_SINK_NEED_STATE
tests_unit_bus_fakecoal_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_bus_fakecoal_la_SOURCES = tests/unit/bus/fake_sink.c
tests_unit_bus_fakerewrite_la_CPPFLAGS = -I$(top_srcdir)/include \
	-DFAKE_NAME='"fakerewrite"' \
	-DFAKE_CAPS='(WEIR_SINK_TXN|WEIR_SINK_HOLDS_CURSOR|WEIR_SINK_REWRITES)' \
	-DFAKE_NEEDS=0
tests_unit_bus_fakerewrite_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_bus_fakerewrite_la_SOURCES = tests/unit/bus/fake_sink.c

check_PROGRAMS += tests/unit/bus/test_settings
TESTS += tests/unit/bus/test_settings
tests_unit_bus_test_settings_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_settings_LDADD = $(TEST_LIBS)
tests_unit_bus_test_settings_SOURCES = tests/unit/bus/test_settings.c

check_PROGRAMS += tests/unit/bus/test_host
TESTS += tests/unit/bus/test_host
tests_unit_bus_test_host_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_host_LDADD = $(TEST_LIBS)
tests_unit_bus_test_host_SOURCES = tests/unit/bus/test_host.c

check_PROGRAMS += tests/unit/bus/test_runner
TESTS += tests/unit/bus/test_runner
tests_unit_bus_test_runner_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_runner_LDADD = $(TEST_LIBS)
tests_unit_bus_test_runner_SOURCES = tests/unit/bus/test_runner.c \
	tests/unit/bus/bus_test.c

check_PROGRAMS += tests/unit/bus/test_cursor
TESTS += tests/unit/bus/test_cursor
tests_unit_bus_test_cursor_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_cursor_LDADD = $(TEST_LIBS)
tests_unit_bus_test_cursor_SOURCES = tests/unit/bus/test_cursor.c \
	tests/unit/bus/bus_test.c

check_PROGRAMS += tests/unit/bus/test_parked
TESTS += tests/unit/bus/test_parked
tests_unit_bus_test_parked_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_parked_LDADD = $(TEST_LIBS)
tests_unit_bus_test_parked_SOURCES = tests/unit/bus/test_parked.c \
	tests/unit/bus/bus_test.c

check_PROGRAMS += tests/unit/bus/test_supervisor
TESTS += tests/unit/bus/test_supervisor
tests_unit_bus_test_supervisor_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_supervisor_LDADD = $(TEST_LIBS)
tests_unit_bus_test_supervisor_SOURCES = tests/unit/bus/test_supervisor.c \
	tests/unit/bus/bus_test.c

check_PROGRAMS += tests/unit/bus/test_roots
TESTS += tests/unit/bus/test_roots
tests_unit_bus_test_roots_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_bus_test_roots_LDADD = $(TEST_LIBS)
tests_unit_bus_test_roots_SOURCES = tests/unit/bus/test_roots.c \
	tests/unit/bus/bus_test.c
endif
