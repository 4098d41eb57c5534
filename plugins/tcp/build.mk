# SPDX-License-Identifier: MIT
if SINK_TCP
sinks_LTLIBRARIES += plugins/tcp/tcp.la
dist_man_MANS += man/weir-sink-tcp.7
endif
plugins_tcp_tcp_la_CPPFLAGS = $(SINK_CPPFLAGS)
plugins_tcp_tcp_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_tcp_tcp_la_LIBADD = $(SINK_LIBS)
plugins_tcp_tcp_la_SOURCES = \
	plugins/tcp/acks.c \
	plugins/tcp/acks.h \
	plugins/tcp/link.c \
	plugins/tcp/link.h \
	plugins/tcp/tcp.c
