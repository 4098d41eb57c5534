/* SPDX-License-Identifier: MIT */
/*
 * What the API asks of a running server. Any thread may ask; what is read here
 * is set before the ports answer and stays, or is atomic, or is a file.
 */
#include "server/server_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "server/http.h"
#include "server/text.h"
#include "store/store.h"

/* ---- metrics --------------------------------------------------------------
 */

static void
put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static uint64_t
resident_bytes(void)
{
	char *text = NULL;
	size_t n = 0;
	unsigned long long pages = 0;

	if (os_read_file(&text, &n, "/proc/self/statm", 4096, NULL) != 0)
		return 0;
	if (sscanf(text, "%*u %llu", &pages) != 1)
		pages = 0;
	mem_free(text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static size_t
open_files(void)
{
	char **names = NULL;
	size_t n = 0;

	if (os_list_folder(&names, &n, "/proc/self/fd", NULL) != 0)
		return 0;
	mem_free(names);
	return n;
}

static void
put_process(const struct server *s, struct buf *b)
{
	put_head(b, "process_resident_memory_bytes", "gauge",
		 "Memory that is in use by the server.");
	buf_printf(b, "process_resident_memory_bytes %" PRIu64 "\n",
		   resident_bytes());
	put_head(b, "process_open_fds", "gauge", "Open descriptors.");
	buf_printf(b, "process_open_fds %zu\n", open_files());
	put_head(b, "process_start_time_seconds", "gauge",
		 "When the server was started, seconds since 1970.");
	buf_printf(b, "process_start_time_seconds %" PRId64 ".%06" PRId64 "\n",
		   s->info.since / 1000000, s->info.since % 1000000);
	put_head(b, "weir_writer_failures_total", "counter",
		 "Times the store was opened again after a failed write or "
		 "sync.");
	buf_printf(b, "weir_writer_failures_total %" PRIu64 "\n",
		   (uint64_t)s->failures);
}

/* One look at all sinks. */
struct seen {
	size_t n;
	char **names;
	struct runner_status *st;
	char (*state)[16];
};

static const char *
state_word(const struct sinkconf *c, const struct runner_status *st)
{
	static const char *const words[] = {"idle",    "running", "backoff",
					    "blocked", "paused",  "disabled",
					    "gone"};

	if (!c->enabled)
		return "disabled";
	if (c->paused)
		return "paused";
	return (size_t)st->state < 7 ? words[st->state] : "unknown";
}

static void
see_sinks(struct seen *out, const char *dir)
{
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	if (sinkconf_list(&out->names, &n, dir, NULL) != 0)
		return;
	out->st = mem_new((n + 1) * sizeof(*out->st));
	out->state = mem_new((n + 1) * sizeof(*out->state));
	for (size_t i = 0; i < n && out->st && out->state; i++) {
		struct sinkconf *c = NULL;
		const char *name = out->names[i];

		if (sinkconf_load(&c, dir, name, NULL) != 0)
			continue;
		if (runner_status(&out->st[out->n], dir, name, NULL) == 0) {
			snprintf(out->state[out->n], 16, "%s",
				 state_word(c, &out->st[out->n]));
			out->names[out->n++] = out->names[i];
		}
		sinkconf_free(c);
	}
}

static void
seen_free(struct seen *s)
{
	mem_free(s->names);
	mem_free(s->st);
	mem_free(s->state);
}

static void
put_each(struct buf *b, const struct seen *all, const char *name,
	 uint64_t (*value)(const struct runner_status *st, uint64_t last),
	 uint64_t last)
{
	for (size_t i = 0; i < all->n; i++)
		buf_printf(b, "%s{sink=\"%s\"} %" PRIu64 "\n", name,
			   all->names[i], value(&all->st[i], last));
}

static uint64_t
lag_of(const struct runner_status *st, uint64_t last)
{
	return last > st->cursor ? last - st->cursor : 0;
}

static uint64_t
cursor_of(const struct runner_status *st, uint64_t last)
{
	(void)last;
	return st->cursor;
}

static uint64_t
parked_of(const struct runner_status *st, uint64_t last)
{
	(void)last;
	return st->parked;
}

static uint64_t
restarts_of(const struct runner_status *st, uint64_t last)
{
	(void)last;
	return st->restarts;
}

static uint64_t
delivered_of(const struct runner_status *st, uint64_t last)
{
	(void)last;
	return st->delivered;
}

static uint64_t
attempts_of(const struct runner_status *st, uint64_t last)
{
	(void)last;
	return st->attempts;
}

/* How long ago the last delivered record was committed, with some behind. */
static void
put_lag_seconds(struct buf *b, const struct seen *all, uint64_t last)
{
	int64_t now = clock_now();

	if (all->n > 0)
		put_head(b, "weir_sink_lag_seconds", "gauge",
			 "Age of the sink's cursor while records are behind.");
	for (size_t i = 0; i < all->n; i++) {
		const struct runner_status *st = &all->st[i];
		int64_t us = lag_of(st, last) > 0 && st->cursor_at != 0 &&
					     now > st->cursor_at
				     ? now - st->cursor_at
				     : 0;

		buf_printf(b,
			   "weir_sink_lag_seconds{sink=\"%s\"} %" PRId64
			   ".%06" PRId64 "\n",
			   all->names[i], us / 1000000, us % 1000000);
	}
}

static void
put_sinks(const struct server *s, struct buf *b)
{
	static const struct {
		const char *name, *type, *help;
		uint64_t (*value)(const struct runner_status *st,
				  uint64_t last);
	} rows[] = {
		{"weir_sink_lag_records", "gauge",
		 "Committed records behind the sink's cursor.", lag_of},
		{"weir_sink_cursor_sequence", "gauge",
		 "The last sequence that is durable in the target.", cursor_of},
		{"weir_sink_parked_aggregates", "gauge",
		 "Aggregates that wait for a decision on a dead letter.",
		 parked_of},
		{"weir_sink_delivered_records_total", "counter",
		 "Records delivered since the sink's process was started.",
		 delivered_of},
		{"weir_sink_attempts", "gauge",
		 "Attempts of the batch that is in trouble.", attempts_of},
		{"weir_sink_runner_restarts_total", "counter",
		 "Times the sink's process was started again.", restarts_of},
	};
	uint64_t last = store_last(s->store);
	struct seen all;

	see_sinks(&all, s->o.dir);
	for (size_t i = 0; all.n > 0 && i < sizeof(rows) / sizeof(rows[0]);
	     i++) {
		put_head(b, rows[i].name, rows[i].type, rows[i].help);
		put_each(b, &all, rows[i].name, rows[i].value, last);
	}
	put_lag_seconds(b, &all, last);
	if (all.n > 0)
		put_head(b, "weir_sink_state", "gauge",
			 "1 for the state that the sink is in.");
	for (size_t i = 0; i < all.n; i++)
		buf_printf(b, "weir_sink_state{sink=\"%s\",state=\"%s\"} 1\n",
			   all.names[i], all.state[i]);
	seen_free(&all);
}

static void
metrics(void *cookie, struct buf *out)
{
	struct server *s = cookie;

	put_process(s, out);
	put_sinks(s, out);
	if (s->phase != SERVER_RUNS)
		return;
	http_metrics(s->http, out);
	text_metrics(s->text, out);
}

/* ---- status and readiness -------------------------------------------------
 */

static void
status(void *cookie, struct buf *out)
{
	struct server *s = cookie;
	char since[28];

	clock_text(since, s->info.since);
	buf_printf(out,
		   ",\"pid\":%d,\"since\":\"%s\",\"uptime_seconds\":%" PRId64,
		   s->info.pid, since,
		   (clock_monotonic() - s->started_at) / 1000000);
	buf_puts(out, ",\"http\":");
	json_put_string(out, str_of(s->info.http));
	buf_puts(out, ",\"text\":");
	json_put_string(out, str_of(s->info.text));
	buf_printf(out, ",\"sinks_run\":%s",
		   s->sinks != NULL ? "true" : "false");
}

/* A sink in trouble is told, and does not make the server unready: appends and
 * reads don't depend on it. */
static void
put_sink_lines(const struct server *s, struct buf *out)
{
	struct seen all;

	see_sinks(&all, s->o.dir);
	for (size_t i = 0; i < all.n; i++)
		buf_printf(out, "[+]sink %s %s, %" PRIu64 " behind\n",
			   all.names[i], all.state[i],
			   lag_of(&all.st[i], store_last(s->store)));
	seen_free(&all);
}

static bool
ready(void *cookie, struct buf *out)
{
	struct server *s = cookie;
	bool runs = s->phase == SERVER_RUNS;

	if (runs)
		buf_puts(out, "[+]server ok\n");
	else
		buf_puts(out, "[-]server is starting or stopping\n");
	put_sink_lines(s, out);
	return runs;
}

const struct api_host server_host = {metrics, status, ready};
