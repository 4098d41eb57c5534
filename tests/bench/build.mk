# SPDX-License-Identifier: MIT
EXTRA_PROGRAMS += tests/bench/append
tests_bench_append_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_append_LDADD = core/libcore.la $(CORE_LIBS)
tests_bench_append_SOURCES = tests/bench/append.c
CLEANFILES += tests/bench/append

# The folder decides which disk is measured.
BENCH_FLAGS = -d .

bench: tests/bench/append
	tests/bench/append$(EXEEXT) $(BENCH_FLAGS)

.PHONY: bench
