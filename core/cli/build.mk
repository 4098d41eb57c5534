# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += core/libcli.la
core_libcli_la_CPPFLAGS = $(CORE_CPPFLAGS)
core_libcli_la_SOURCES = \
	core/cli/aggregate.c \
	core/cli/aggregate.h \
	core/cli/apply.c \
	core/cli/basics.c \
	core/cli/cli.c \
	core/cli/cli.h \
	core/cli/commands.h \
	core/cli/deliver.c \
	core/cli/help.c \
	core/cli/help.h \
	core/cli/main.c \
	core/cli/out.c \
	core/cli/parse.c \
	core/cli/parse.h \
	core/cli/table.c \
	core/cli/table.h
bin_PROGRAMS += weir
weir_CPPFLAGS = $(CORE_CPPFLAGS)
weir_LDADD = core/libcli.la core/libcore.la $(CORE_LIBS)
weir_SOURCES = core/cli/weir.c
