# SPDX-License-Identifier: MIT
core_libcore_la_SOURCES += \
	core/bus/arena.c \
	core/bus/arena.h \
	core/bus/batch.c \
	core/bus/batch.h \
	core/bus/checkpoint.c \
	core/bus/checkpoint.h \
	core/bus/deadletter.c \
	core/bus/deadletter.h \
	core/bus/host.c \
	core/bus/host.h \
	core/bus/loader.c \
	core/bus/loader.h \
	core/bus/options.c \
	core/bus/options.h \
	core/bus/pulse.c \
	core/bus/pulse.h \
	core/bus/retry.c \
	core/bus/retry.h \
	core/bus/runner.c \
	core/bus/runner.h \
	core/bus/runner_admin.c \
	core/bus/runner_cursor.c \
	core/bus/runner_deliver.c \
	core/bus/runner_int.h \
	core/bus/runner_open.c \
	core/bus/runner_parked.c \
	core/bus/runner_status.c \
	core/bus/sinkconf.c \
	core/bus/sinkconf.h \
	core/bus/sinkconf_check.c \
	core/bus/sinkfiles.c \
	core/bus/sinkfiles.h \
	core/bus/supervisor.c \
	core/bus/supervisor.h \
	core/bus/supervisor_child.c \
	core/bus/supervisor_int.h
