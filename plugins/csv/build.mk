# SPDX-License-Identifier: MIT
if SINK_CSV
sinks_LTLIBRARIES += plugins/csv/csv.la
dist_man_MANS += man/weir-sink-csv.7
endif
plugins_csv_csv_la_CPPFLAGS = $(SINK_CPPFLAGS)
plugins_csv_csv_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_csv_csv_la_LIBADD = $(SINK_LIBS)
plugins_csv_csv_la_SOURCES = \
	plugins/csv/cells.c \
	plugins/csv/cells.h \
	plugins/csv/csv.c \
	plugins/csv/csv.h \
	plugins/csv/layout.c
