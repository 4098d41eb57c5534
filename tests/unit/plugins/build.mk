# SPDX-License-Identifier: MIT
# A test of a plugin links FAKE_LIBS and includes "plugins/fakehost.h".
FAKE_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/plugins
FAKE_LIBS = tests/unit/plugins/libfakehost.la plugins/common/libcommon.la \
	$(TEST_LIBS)

check_LTLIBRARIES += tests/unit/plugins/libfakehost.la
tests_unit_plugins_libfakehost_la_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_libfakehost_la_SOURCES = \
	tests/unit/plugins/fakehost.h \
	tests/unit/plugins/fakehost.c \
	tests/unit/plugins/fakeparts.h \
	tests/unit/plugins/fakerecords.c \
	tests/unit/plugins/fakeservices.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/plugins/test_ident
TESTS += tests/unit/plugins/test_ident
tests_unit_plugins_test_ident_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_test_ident_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_ident_SOURCES = tests/unit/plugins/test_ident.c

check_PROGRAMS += tests/unit/plugins/test_sqltypes
TESTS += tests/unit/plugins/test_sqltypes
tests_unit_plugins_test_sqltypes_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_test_sqltypes_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_sqltypes_SOURCES = tests/unit/plugins/test_sqltypes.c
endif

if HAVE_CMOCKA
if SINK_LOG
check_PROGRAMS += tests/unit/plugins/test_log_sink
TESTS += tests/unit/plugins/test_log_sink
endif
tests_unit_plugins_test_log_sink_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_test_log_sink_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_log_sink_SOURCES = tests/unit/plugins/test_log_sink.c

if SINK_CSV
check_PROGRAMS += tests/unit/plugins/test_csv_sink
TESTS += tests/unit/plugins/test_csv_sink
endif
tests_unit_plugins_test_csv_sink_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_test_csv_sink_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_csv_sink_SOURCES = \
	tests/unit/plugins/filedrive.c \
	tests/unit/plugins/filedrive.h \
	tests/unit/plugins/test_csv_sink.c

if SINK_JSON
check_PROGRAMS += tests/unit/plugins/test_json_sink
TESTS += tests/unit/plugins/test_json_sink
endif
tests_unit_plugins_test_json_sink_CPPFLAGS = $(FAKE_CPPFLAGS)
tests_unit_plugins_test_json_sink_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_json_sink_SOURCES = \
	tests/unit/plugins/filedrive.c \
	tests/unit/plugins/filedrive.h \
	tests/unit/plugins/test_json_sink.c
endif

if HAVE_CMOCKA
if SINK_SQLITE
check_PROGRAMS += tests/unit/plugins/test_sqlite_sink
TESTS += tests/unit/plugins/test_sqlite_sink
tests_unit_plugins_test_sqlite_sink_CPPFLAGS = $(FAKE_CPPFLAGS) \
	$(SINK_SQLITE_CFLAGS)
tests_unit_plugins_test_sqlite_sink_LDADD = $(FAKE_LIBS) $(SINK_SQLITE_LIBS)
tests_unit_plugins_test_sqlite_sink_SOURCES = \
	tests/unit/plugins/test_sqlite_sink.c
endif
endif

# Needs a server: test_postgres_sink.py starts one and runs it.
if HAVE_CMOCKA
if SINK_POSTGRES
check_PROGRAMS += tests/unit/plugins/test_postgres_sink
tests_unit_plugins_test_postgres_sink_CPPFLAGS = $(FAKE_CPPFLAGS) \
	$(SINK_POSTGRES_CFLAGS)
tests_unit_plugins_test_postgres_sink_LDADD = $(FAKE_LIBS) \
	$(SINK_POSTGRES_LIBS)
tests_unit_plugins_test_postgres_sink_SOURCES = \
	tests/unit/plugins/pgtarget.c \
	tests/unit/plugins/pgtarget.h \
	tests/unit/plugins/test_postgres_sink.c

check_PROGRAMS += tests/unit/plugins/test_postgres_history
tests_unit_plugins_test_postgres_history_CPPFLAGS = $(FAKE_CPPFLAGS) \
	$(SINK_POSTGRES_CFLAGS)
tests_unit_plugins_test_postgres_history_LDADD = $(FAKE_LIBS) \
	$(SINK_POSTGRES_LIBS)
tests_unit_plugins_test_postgres_history_SOURCES = \
	tests/unit/plugins/pgtarget.c \
	tests/unit/plugins/pgtarget.h \
	tests/unit/plugins/test_postgres_history.c
endif
endif
EXTRA_DIST += tests/unit/plugins/test_postgres_sink.py

if HAVE_CMOCKA
if SINK_HTTP
check_PROGRAMS += tests/unit/plugins/test_http_parts
TESTS += tests/unit/plugins/test_http_parts
endif
tests_unit_plugins_test_http_parts_CPPFLAGS = $(FAKE_CPPFLAGS) \
	$(SINK_HTTP_CFLAGS)
tests_unit_plugins_test_http_parts_LDADD = $(FAKE_LIBS)
tests_unit_plugins_test_http_parts_SOURCES = \
	plugins/http/address.c \
	plugins/http/answer.c \
	plugins/http/order.c \
	tests/unit/plugins/test_http_parts.c
endif
