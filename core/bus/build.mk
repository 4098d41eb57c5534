# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/bus/deadletter.h \
	core/bus/loader.h \
	core/bus/runner.h \
	core/bus/sinkconf.h
