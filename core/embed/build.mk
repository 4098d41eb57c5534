# SPDX-License-Identifier: MIT
# libweir: what an embedding program links. Everything of core is inside;
# only weir_* is exported. libembed is for a test that makes calls fail.
noinst_LTLIBRARIES += core/embed/libembed.la
core_embed_libembed_la_CPPFLAGS = $(CORE_CPPFLAGS)
core_embed_libembed_la_SOURCES = \
	core/embed/append.c \
	core/embed/embed.h \
	core/embed/open.c \
	core/embed/read.c \
	core/embed/sinkconf.c \
	core/embed/sinks.c \
	core/embed/stream.c \
	core/embed/watch.c

lib_LTLIBRARIES += libweir.la
libweir_la_SOURCES =
libweir_la_LIBADD = core/embed/libembed.la core/libcore.la $(CORE_LIBS)
libweir_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols-regex '^weir_'
