# SPDX-License-Identifier: MIT
if SINK_JSON
sinks_LTLIBRARIES += plugins/json/json.la
dist_man_MANS += man/weir-sink-json.7
endif
plugins_json_json_la_CPPFLAGS = $(SINK_CPPFLAGS)
plugins_json_json_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_json_json_la_LIBADD = $(SINK_LIBS)
plugins_json_json_la_SOURCES = \
	plugins/json/json.c \
	plugins/json/pretty.c \
	plugins/json/pretty.h
