# SPDX-License-Identifier: MIT
if SINK_SQLITE
sinks_LTLIBRARIES += plugins/sqlite/sqlite.la
dist_man_MANS += man/weir-sink-sqlite.7
plugins_sqlite_sqlite_la_CPPFLAGS = $(SINK_CPPFLAGS) $(SINK_SQLITE_CFLAGS)
plugins_sqlite_sqlite_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_sqlite_sqlite_la_LIBADD = $(SINK_LIBS) $(SINK_SQLITE_LIBS)
plugins_sqlite_sqlite_la_SOURCES = \
	plugins/sqlite/cursor.c \
	plugins/sqlite/map.c \
	plugins/sqlite/plan.c \
	plugins/sqlite/rows.c \
	plugins/sqlite/sqlite.c \
	plugins/sqlite/target.h
endif
