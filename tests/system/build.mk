# SPDX-License-Identifier: MIT
EXTRA_DIST += \
	tests/system/conftest.py \
	tests/system/follow.js \
	tests/system/test_arrows.py \
	tests/system/test_call.py \
	tests/system/test_cli.py \
	tests/system/test_diag.py \
	tests/system/test_contrib.py \
	tests/system/test_embed.py \
	tests/system/test_format.py \
	tests/system/test_http_server.py \
	tests/system/test_import.py \
	tests/system/test_mirrors.py \
	tests/system/test_quickstart.py \
	tests/system/test_readme.py \
	tests/system/test_schema.py \
	tests/system/test_server.py \
	tests/system/test_sinks_api.py \
	tests/system/test_stream.py \
	tests/system/test_supervisor.py \
	tests/system/test_text.py \
	tests/system/test_token.py \
	tests/system/test_walk.py \
	tests/system/test_ways.py

# Serves a store over HTTP alone: for test_http_server.py and tests/bench/http.py.
check_PROGRAMS += tests/system/http_server
tests_system_http_server_CPPFLAGS = $(CORE_CPPFLAGS)
tests_system_http_server_LDADD = core/libserver.la core/libcore.la \
	$(SERVER_LIBS) $(CORE_LIBS)
tests_system_http_server_SOURCES = tests/system/http_server.c
