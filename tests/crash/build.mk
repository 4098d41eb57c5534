# SPDX-License-Identifier: MIT
check_PROGRAMS += tests/crash/appender
tests_crash_appender_CPPFLAGS = $(TEST_CPPFLAGS)
tests_crash_appender_LDADD = core/libcore.la $(CORE_LIBS)
tests_crash_appender_SOURCES = tests/crash/appender.c tests/crash/page.h

check_LTLIBRARIES += tests/crash/shim.la
tests_crash_shim_la_SOURCES = tests/crash/shim.c tests/crash/page.h
tests_crash_shim_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-rpath /nowhere

check_LTLIBRARIES += tests/crash/faultshim.la
tests_crash_faultshim_la_SOURCES = tests/crash/faultshim.c
tests_crash_faultshim_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath /nowhere

EXTRA_DIST += \
	tests/crash/crowd.py \
	tests/crash/river.py \
	tests/crash/test_crash.py \
	tests/crash/test_faults.py \
	tests/crash/test_full_disk.py \
	tests/crash/test_processes.py \
	tests/crash/test_server_kill.py \
	tests/crash/world.py
