# SPDX-License-Identifier: MIT
API_TEST = tests/unit/server/api_test.c tests/unit/server/api_test.h
if HAVE_CMOCKA
SERVER_TEST_CPPFLAGS = $(TEST_CPPFLAGS) $(UV_CFLAGS) $(MHD_CFLAGS)
SERVER_TEST_LIBS = core/libserver.la $(SERVER_LIBS) $(TEST_LIBS)

check_PROGRAMS += tests/unit/server/test_api_schemas
TESTS += tests/unit/server/test_api_schemas
tests_unit_server_test_api_schemas_CPPFLAGS = $(SERVER_TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/unit/store
tests_unit_server_test_api_schemas_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_api_schemas_SOURCES = \
	tests/unit/server/test_api_schemas.c $(STORE_TEST)

check_PROGRAMS += tests/unit/server/test_api_tokens
TESTS += tests/unit/server/test_api_tokens
tests_unit_server_test_api_tokens_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_server_test_api_tokens_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_api_tokens_SOURCES = \
	tests/unit/server/test_api_tokens.c $(API_TEST) $(STORE_TEST)

check_PROGRAMS += tests/unit/server/test_attempts
TESTS += tests/unit/server/test_attempts
tests_unit_server_test_attempts_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_server_test_attempts_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_attempts_SOURCES = tests/unit/server/test_attempts.c

check_PROGRAMS += tests/unit/server/test_feed
TESTS += tests/unit/server/test_feed
tests_unit_server_test_feed_CPPFLAGS = $(SERVER_TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/unit/store
tests_unit_server_test_feed_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_feed_SOURCES = tests/unit/server/test_feed.c \
	$(STORE_TEST)

check_PROGRAMS += tests/unit/server/test_http_head
TESTS += tests/unit/server/test_http_head
tests_unit_server_test_http_head_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_server_test_http_head_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_http_head_SOURCES = tests/unit/server/test_http_head.c

check_PROGRAMS += tests/unit/server/test_life
TESTS += tests/unit/server/test_life
tests_unit_server_test_life_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_server_test_life_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_life_SOURCES = tests/unit/server/test_life.c

check_PROGRAMS += tests/unit/server/test_api
TESTS += tests/unit/server/test_api
tests_unit_server_test_api_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_server_test_api_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_api_SOURCES = tests/unit/server/test_api.c \
	tests/unit/server/test_api_append.c \
	tests/unit/server/test_api_import.c \
	tests/unit/server/test_api_read.c \
	$(API_TEST) $(STORE_TEST) $(STORE_GATE)

check_PROGRAMS += tests/unit/server/test_text
TESTS += tests/unit/server/test_text
tests_unit_server_test_text_CPPFLAGS = $(SERVER_TEST_CPPFLAGS) \
	-I$(top_srcdir)/tests/unit/store
tests_unit_server_test_text_LDADD = $(SERVER_TEST_LIBS)
tests_unit_server_test_text_SOURCES = tests/unit/server/test_text.c \
	$(STORE_TEST)
endif

# Serves the text protocol for tests/system/test_text.py.
check_PROGRAMS += tests/unit/server/text_server
tests_unit_server_text_server_CPPFLAGS = $(CORE_CPPFLAGS) $(UV_CFLAGS)
tests_unit_server_text_server_LDADD = core/libserver.la $(SERVER_LIBS) \
	core/libcore.la $(CORE_LIBS)
tests_unit_server_text_server_SOURCES = tests/unit/server/text_server.c

