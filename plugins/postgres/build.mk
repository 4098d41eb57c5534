# SPDX-License-Identifier: MIT
if SINK_POSTGRES
sinks_LTLIBRARIES += plugins/postgres/postgres.la
dist_man_MANS += man/weir-sink-postgres.7
plugins_postgres_postgres_la_CPPFLAGS = $(SINK_CPPFLAGS) $(SINK_POSTGRES_CFLAGS)
plugins_postgres_postgres_la_LDFLAGS = $(SINK_LDFLAGS)
plugins_postgres_postgres_la_LIBADD = $(SINK_LIBS) $(SINK_POSTGRES_LIBS)
plugins_postgres_postgres_la_SOURCES = \
	plugins/postgres/cursor.c \
	plugins/postgres/deliver.c \
	plugins/postgres/errors.c \
	plugins/postgres/link.c \
	plugins/postgres/map.c \
	plugins/postgres/plan.c \
	plugins/postgres/postgres.c \
	plugins/postgres/rows.c \
	plugins/postgres/target.h
endif
