# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/bus/deadletter.h \
	core/bus/loader.c \
	core/bus/loader.h \
	core/bus/options.c \
	core/bus/options.h \
	core/bus/runner.h \
	core/bus/sinkconf.c \
	core/bus/sinkconf.h \
	core/bus/sinkconf_check.c \
	core/bus/sinkfiles.c \
	core/bus/sinkfiles.h
