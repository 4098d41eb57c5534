# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/store/append.c \
	core/store/body.c \
	core/store/body.h \
	core/store/check.c \
	core/store/commit.c \
	core/store/format.c \
	core/store/format.h \
	core/store/heads.c \
	core/store/heads.h \
	core/store/ids.c \
	core/store/ids.h \
	core/store/impl.h \
	core/store/journal.c \
	core/store/journal.h \
	core/store/live.c \
	core/store/live.h \
	core/store/lock.c \
	core/store/lock.h \
	core/store/merkle.c \
	core/store/merkle.h \
	core/store/pending.c \
	core/store/pending.h \
	core/store/reader.c \
	core/store/reader.h \
	core/store/record.c \
	core/store/record.h \
	core/store/record_json.c \
	core/store/recover.c \
	core/store/segment.c \
	core/store/segment.h \
	core/store/store.c \
	core/store/store.h
