# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/store/reader.h \
	core/store/record.h \
	core/store/store.h
