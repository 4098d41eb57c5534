# SPDX-License-Identifier: MIT
# Built without sanitizers: it is loaded into programs that have none.
check_LTLIBRARIES += tests/lib/notroot.la
tests_lib_notroot_la_SOURCES = tests/lib/notroot.c
tests_lib_notroot_la_CFLAGS = -Wall
tests_lib_notroot_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

EXTRA_DIST += \
	tests/conftest.py \
	tests/lib/eventsource.py \
	tests/lib/peer.py \
	tests/lib/pg.py \
	tests/lib/run.py \
	tests/lib/served.py \
	tests/lib/test_pg.py \
	tests/lib/truth.py
