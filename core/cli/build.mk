# SPDX-License-Identifier: MIT
bin_PROGRAMS += weir
weir_CPPFLAGS = $(CORE_CPPFLAGS)
weir_LDADD = core/libcore.la $(CORE_LIBS)
weir_SOURCES = core/cli/weir.c
