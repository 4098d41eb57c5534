# SPDX-License-Identifier: MIT
# libweir: what an embedding program links. Everything of core is inside;
# only weir_* is exported.
lib_LTLIBRARIES += libweir.la
libweir_la_CPPFLAGS = $(CORE_CPPFLAGS)
libweir_la_SOURCES = \
	core/embed/append.c \
	core/embed/embed.h \
	core/embed/open.c \
	core/embed/read.c \
	core/embed/sinkconf.c \
	core/embed/sinks.c \
	core/embed/stream.c \
	core/embed/watch.c
libweir_la_LIBADD = core/libcore.la $(CORE_LIBS)
libweir_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols-regex '^weir_'
