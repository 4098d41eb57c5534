# SPDX-License-Identifier: MIT
if SINK_LOG
sinks_LTLIBRARIES += plugins/log/log.la
dist_man_MANS += man/weir-sink-log.7
endif
plugins_log_log_la_CPPFLAGS = $(SINK_CPPFLAGS)
plugins_log_log_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_log_log_la_LIBADD = $(SINK_LIBS)
plugins_log_log_la_SOURCES = \
	plugins/log/log.c \
	plugins/log/template.c \
	plugins/log/template.h
