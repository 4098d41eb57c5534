# SPDX-License-Identifier: MIT
if SINK_HTTP
sinks_LTLIBRARIES += plugins/http/http.la
dist_man_MANS += man/weir-sink-http.7
endif
plugins_http_http_la_CPPFLAGS = $(SINK_CPPFLAGS) $(SINK_HTTP_CFLAGS)
plugins_http_http_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_http_http_la_LIBADD = $(SINK_LIBS) $(SINK_HTTP_LIBS)
plugins_http_http_la_SOURCES = \
	plugins/http/address.c \
	plugins/http/address.h \
	plugins/http/answer.c \
	plugins/http/answer.h \
	plugins/http/deliver.c \
	plugins/http/http.c \
	plugins/http/http.h \
	plugins/http/order.c \
	plugins/http/order.h \
	plugins/http/settings.c \
	plugins/http/trace.c \
	plugins/http/trace.h \
	plugins/http/transfer.c
