# SPDX-License-Identifier: MIT
EXTRA_PROGRAMS += tests/bench/append
tests_bench_append_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_append_LDADD = core/libcore.la $(CORE_LIBS)
tests_bench_append_SOURCES = tests/bench/append.c

EXTRA_PROGRAMS += tests/bench/sinks
tests_bench_sinks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_bench_sinks_LDADD = core/libcore.la $(CORE_LIBS)
tests_bench_sinks_SOURCES = \
	tests/bench/sinks.c \
	tests/bench/sinks_peers.c \
	tests/bench/sinks_rows.c \
	tests/bench/sinks_rows.h \
	tests/bench/sinks_sql.c
if SINK_SQLITE
tests_bench_sinks_CPPFLAGS += -DHAVE_SQLITE $(SINK_SQLITE_CFLAGS)
tests_bench_sinks_LDADD += $(SINK_SQLITE_LIBS)
endif
if SINK_POSTGRES
tests_bench_sinks_CPPFLAGS += -DHAVE_POSTGRES $(SINK_POSTGRES_CFLAGS)
tests_bench_sinks_LDADD += $(SINK_POSTGRES_LIBS)
endif
if SINK_HTTP
tests_bench_sinks_CPPFLAGS += -DHAVE_CURL $(SINK_HTTP_CFLAGS)
tests_bench_sinks_LDADD += $(SINK_HTTP_LIBS)
endif
CLEANFILES += tests/bench/append tests/bench/sinks
EXTRA_DIST += tests/bench/sinks.py

# The folder decides which disk is measured.
BENCH_FLAGS = -d .

bench: tests/bench/append
	tests/bench/append$(EXEEXT) $(BENCH_FLAGS)

# SINKS_FLAGS: see sinks.py.
SINKS_FLAGS =
bench-sinks: all tests/bench/sinks
	WEIR_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) $(srcdir)/tests/bench/sinks.py $(SINKS_FLAGS)

.PHONY: bench bench-sinks
