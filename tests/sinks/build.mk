# SPDX-License-Identifier: MIT
# weir-sink-conform is installed: it is for the authors of other sinks too.
bin_PROGRAMS += weir-sink-conform
weir_sink_conform_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_srcdir)/tests/unit
weir_sink_conform_LDADD = core/libcore.la $(CORE_LIBS)
weir_sink_conform_SOURCES = \
	tests/sinks/conform.c \
	tests/sinks/conform.h \
	tests/sinks/conform_basics.c \
	tests/sinks/conform_descriptor.c \
	tests/sinks/conform_faults.c \
	tests/sinks/conform_records.c \
	tests/unit/plugins/fakehost.c \
	tests/unit/plugins/fakehost.h \
	tests/unit/plugins/fakeparts.h \
	tests/unit/plugins/fakerecords.c \
	tests/unit/plugins/fakeservices.c

dist_man_MANS += man/weir-sink-conform.1
EXTRA_DIST += tests/sinks/test_copies.py tests/sinks/test_files.py tests/sinks/test_conformance.py tests/sinks/test_sql_mirrors.py tests/sinks/test_example.py tests/sinks/test_history.py tests/sinks/test_http.py tests/sinks/test_tcp.py
