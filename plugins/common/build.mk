# SPDX-License-Identifier: MIT
# What several plugins share. Plugins never see core's headers.
SINK_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/plugins
SINK_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^weir_sink_plugin$$'
SINK_LIBS = plugins/common/libcommon.la

noinst_LTLIBRARIES += plugins/common/libcommon.la
plugins_common_libcommon_la_CPPFLAGS = $(SINK_CPPFLAGS)
plugins_common_libcommon_la_SOURCES = \
	plugins/common/columns.c \
	plugins/common/columns.h \
	plugins/common/filecursor.c \
	plugins/common/filecursor.h \
	plugins/common/files.c \
	plugins/common/files.h \
	plugins/common/files_impl.h \
	plugins/common/files_load.c \
	plugins/common/filesink.c \
	plugins/common/filesink.h \
	plugins/common/files_swap.c \
	plugins/common/ident.c \
	plugins/common/ident.h \
	plugins/common/mirror.c \
	plugins/common/mirror.h \
	plugins/common/mirror_map.c \
	plugins/common/result.c \
	plugins/common/result.h \
	plugins/common/sqlfits.c \
	plugins/common/sqljson.c \
	plugins/common/sqltypes.c \
	plugins/common/sqltypes.h \
	plugins/common/text.c \
	plugins/common/text.h
