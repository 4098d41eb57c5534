# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += core/libcli.la
core_libcli_la_CPPFLAGS = $(CORE_CPPFLAGS) $(CURL_CFLAGS)
core_libcli_la_SOURCES = \
	core/cli/aggregate.c \
	core/cli/aggregate.h \
	core/cli/aggregate_list.c \
	core/cli/apply.c \
	core/cli/basics.c \
	core/cli/call.c \
	core/cli/call.h \
	core/cli/call_here.c \
	core/cli/call_int.h \
	core/cli/call_local.c \
	core/cli/call_net.c \
	core/cli/check.c \
	core/cli/cli.c \
	core/cli/cli.h \
	core/cli/commands.h \
	core/cli/complete.c \
	core/cli/csvread.c \
	core/cli/csvread.h \
	core/cli/deliver.c \
	core/cli/destroy.c \
	core/cli/export.c \
	core/cli/help.c \
	core/cli/help.h \
	core/cli/import.c \
	core/cli/import_send.c \
	core/cli/import_send.h \
	core/cli/importer.c \
	core/cli/importer.h \
	core/cli/input.c \
	core/cli/input.h \
	core/cli/main.c \
	core/cli/out.c \
	core/cli/outfile.c \
	core/cli/outfile.h \
	core/cli/parse.c \
	core/cli/parse.h \
	core/cli/plugin.c \
	core/cli/plugin_sink.c \
	core/cli/progress.c \
	core/cli/progress.h \
	core/cli/reindex.c \
	core/cli/remote.c \
	core/cli/remote.h \
	core/cli/remote_sink.c \
	core/cli/remote_sink.h \
	core/cli/server.c \
	core/cli/schema.c \
	core/cli/schemaview.c \
	core/cli/schemaview.h \
	core/cli/settings.c \
	core/cli/sink.c \
	core/cli/sink.h \
	core/cli/sink_dead.c \
	core/cli/sink_run.c \
	core/cli/sink_supervise.c \
	core/cli/table.c \
	core/cli/table.h \
	core/cli/tail.c \
	core/cli/token.c
bin_PROGRAMS += weir
weir_CPPFLAGS = $(CORE_CPPFLAGS)
weir_LDADD = core/libcli.la core/libserver.la core/libcore.la \
	$(SERVER_LIBS) $(CORE_LIBS)
weir_SOURCES = core/cli/weir.c

dist_man_MANS += man/weir.1
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = contrib/completions/weir
