# SPDX-License-Identifier: MIT
# Linked by the program alone: libweir has no server in it.
noinst_LTLIBRARIES += core/libserver.la
core_libserver_la_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_builddir)/core \
	$(UV_CFLAGS) $(MHD_CFLAGS)
# libmicrohttpd is loaded, not linked: see core/server/mhd.h.
SERVER_LIBS = $(UV_LIBS)
core_libserver_la_SOURCES = \
	core/server/api.c \
	core/server/api.h \
	core/server/api_accept.c \
	core/server/api_aggregates.c \
	core/server/api_append.c \
	core/server/api_auth.c \
	core/server/api_basics.c \
	core/server/api_child.c \
	core/server/api_child.h \
	core/server/api_events.c \
	core/server/api_import.c \
	core/server/api_int.h \
	core/server/api_link.c \
	core/server/api_problem.c \
	core/server/api_read.c \
	core/server/api_records.c \
	core/server/api_reply.c \
	core/server/api_route.c \
	core/server/api_schemas.c \
	core/server/api_sinks.c \
	core/server/api_stream.c \
	core/server/api_tokens.c \
	core/server/api_work.c \
	core/server/attempts.c \
	core/server/attempts.h \
	core/server/feed.c \
	core/server/feed.h \
	core/server/http.c \
	core/server/http.h \
	core/server/http_count.c \
	core/server/http_engine.c \
	core/server/http_front.c \
	core/server/http_head.c \
	core/server/http_head.h \
	core/server/http_int.h \
	core/server/http_request.c \
	core/server/http_stream.c \
	core/server/hub.c \
	core/server/listen.c \
	core/server/listen.h \
	core/server/mhd.c \
	core/server/mhd.h \
	core/server/notify.c \
	core/server/notify.h \
	core/server/pidfile.c \
	core/server/pidfile.h \
	core/server/server.c \
	core/server/server.h \
	core/server/server_host.c \
	core/server/server_int.h \
	core/server/server_loop.c \
	core/server/server_reload.c \
	core/server/sinks.c \
	core/server/sinks.h \
	core/server/text.c \
	core/server/text.h \
	core/server/text_conn.c \
	core/server/text_event.c \
	core/server/text_int.h \
	core/server/text_line.c \
	core/server/text_publish.c \
	core/server/text_stream.c

# The description of the routes, as the numbers of an array.
EXTRA_DIST += core/server/openapi.json
BUILT_SOURCES += core/server/openapi.inc
CLEANFILES += core/server/openapi.inc core/server/openapi.inc.new
core/server/openapi.inc: $(srcdir)/core/server/openapi.json
	$(AM_V_GEN)$(MKDIR_P) core/server && \
	od -An -v -tu1 $(srcdir)/core/server/openapi.json | \
	sed 's/\([0-9][0-9]*\)/\1,/g' >$@.new && mv $@.new $@
