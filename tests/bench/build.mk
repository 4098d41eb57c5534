# SPDX-License-Identifier: MIT
# Benchmarks: built and run by `make bench` alone. tests/bench/README.md.
EXTRA_DIST += tests/bench/README.md tests/bench/report.py
BENCHES = \
	tests/bench/append \
	tests/bench/latency \
	tests/bench/growth \
	tests/bench/read \
	tests/bench/text
EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)

BENCH_FRAME = \
	tests/bench/bench.c \
	tests/bench/bench.h \
	tests/bench/ours.c \
	tests/bench/plain.c \
	tests/bench/sides.h
BENCH_LINK = libweir.la

tests_bench_append_CPPFLAGS = -I$(top_srcdir)/include
tests_bench_append_LDADD = $(BENCH_LINK)
tests_bench_append_SOURCES = tests/bench/append.c $(BENCH_FRAME)
if BENCH_LMDB
tests_bench_append_CPPFLAGS += -DBENCH_LMDB
tests_bench_append_LDADD += -llmdb
tests_bench_append_SOURCES += tests/bench/lmdb.c
endif
if BENCH_SQLITE
tests_bench_append_CPPFLAGS += -DBENCH_SQLITE
tests_bench_append_LDADD += -lsqlite3
tests_bench_append_SOURCES += tests/bench/sqlite.c
endif
if BENCH_ROCKSDB
tests_bench_append_CPPFLAGS += -DBENCH_ROCKSDB
tests_bench_append_LDADD += -lrocksdb
tests_bench_append_SOURCES += tests/bench/rocksdb.c
endif

tests_bench_latency_CPPFLAGS = -I$(top_srcdir)/include
tests_bench_latency_LDADD = $(BENCH_LINK)
tests_bench_latency_SOURCES = tests/bench/latency.c $(BENCH_FRAME)

tests_bench_growth_CPPFLAGS = -I$(top_srcdir)/include
tests_bench_growth_LDADD = $(BENCH_LINK)
tests_bench_growth_SOURCES = tests/bench/growth.c $(BENCH_FRAME)

# It looks at readers below weir.h.
tests_bench_read_CPPFLAGS = $(CORE_CPPFLAGS)
tests_bench_read_LDADD = core/libcore.la $(CORE_LIBS)
tests_bench_read_SOURCES = \
	tests/bench/read.c \
	tests/bench/bench.c \
	tests/bench/bench.h

tests_bench_text_CPPFLAGS = $(CORE_CPPFLAGS) $(UV_CFLAGS)
tests_bench_text_LDADD = core/libserver.la $(SERVER_LIBS) core/libcore.la \
	$(CORE_LIBS)
tests_bench_text_SOURCES = \
	tests/bench/text.c \
	tests/bench/bench.c \
	tests/bench/bench.h

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
CLEANFILES += tests/bench/sinks
EXTRA_DIST += \
	tests/bench/guard.py \
	tests/bench/guard.txt \
	tests/bench/latency_stream.py \
	tests/bench/sinks.py

# BENCH=quick takes a minute or two, full many; the folder BENCH_DIR decides
# which disk is measured.
BENCH = usual
BENCH_DIR = bench
BENCH_FLAGS =

bench: all $(BENCHES) tests/bench/sinks
	@$(AM_TESTS_ENVIRONMENT) \
	PYTHONDONTWRITEBYTECODE=1 $(PYTHON3) $(srcdir)/tests/bench/report.py \
		--mode '$(BENCH)' --dir '$(BENCH_DIR)' --out bench $(BENCH_FLAGS) \
		$(BENCHES) $(srcdir)/tests/bench/sinks.py \
		$(srcdir)/tests/bench/latency_stream.py

clean-local:
	rm -rf bench

# SINKS_FLAGS: see sinks.py.
SINKS_FLAGS =
bench-sinks: all tests/bench/sinks tests/lib/notroot.la
	WEIR_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) $(srcdir)/tests/bench/sinks.py $(SINKS_FLAGS)

# STREAM_FLAGS: see latency_stream.py.
STREAM_FLAGS =
bench-stream: all tests/lib/notroot.la
	@$(AM_TESTS_ENVIRONMENT) PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) $(srcdir)/tests/bench/latency_stream.py \
		$(STREAM_FLAGS)

# Instructions per record against guard.txt.
GUARD = WEIR_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
	$(PYTHON3) $(srcdir)/tests/bench/guard.py
guard: all tests/bench/sinks tests/lib/notroot.la
	$(GUARD)
guard-renew: all tests/bench/sinks tests/lib/notroot.la
	$(GUARD) --renew

# POST /v1/events beside a bare libmicrohttpd, and what idle connections cost.
EXTRA_PROGRAMS += tests/bench/http
tests_bench_http_CPPFLAGS = $(MHD_CFLAGS)
tests_bench_http_LDADD = $(MHD_LIBS)
tests_bench_http_SOURCES = tests/bench/http.c
CLEANFILES += tests/bench/http
EXTRA_DIST += tests/bench/http.py tests/bench/idle.py \
	tests/bench/slow.py
HTTP_FLAGS =
bench-http: all tests/bench/http tests/system/http_server
	WEIR_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) $(srcdir)/tests/bench/http.py $(HTTP_FLAGS)
IDLE_FLAGS =
bench-idle: all tests/system/http_server
	WEIR_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) $(srcdir)/tests/bench/idle.py $(IDLE_FLAGS)

.PHONY: bench-http bench-idle
.PHONY: bench bench-sinks bench-stream guard guard-renew
