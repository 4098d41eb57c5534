# SPDX-License-Identifier: MIT
noinst_LTLIBRARIES += core/libcore.la
core_libcore_la_CPPFLAGS = $(CORE_CPPFLAGS)
core_libcore_la_LIBADD = $(CORE_LIBS)
core_libcore_la_SOURCES = \
	core/base/buf.c \
	core/base/buf.h \
	core/base/clock.c \
	core/base/clock.h \
	core/base/crc32c.c \
	core/base/diag.c \
	core/base/diag.h \
	core/base/diag_form.c \
	core/base/diag_int.h \
	core/base/diag_out.c \
	core/base/diag_rate.c \
	core/base/diag_setup.c \
	core/base/digest.c \
	core/base/digest.h \
	core/base/err.c \
	core/base/err.h \
	core/base/json.c \
	core/base/json.h \
	core/base/json_text.h \
	core/base/json_walk.c \
	core/base/json_write.c \
	core/base/mem.c \
	core/base/must.c \
	core/base/must.h \
	core/base/os.c \
	core/base/os.h \
	core/base/os_file.c \
	core/base/str.c \
	core/base/str.h \
	core/base/uuid.c \
	core/base/uuid.h \
	core/base/word.h
