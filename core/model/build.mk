# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/model/config.h \
	core/model/draft.h \
	core/model/fold.h
