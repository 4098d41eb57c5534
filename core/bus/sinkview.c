/* SPDX-License-Identifier: MIT */
#include "bus/sinkview.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "bus/loader.h"
#include "bus/options.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *
sinkview_span(char out[24], int64_t us)
{
	int64_t s = us / 1000000;

	if (us < 0)
		s = 0;
	if (s < 120)
		snprintf(out, 24, "%" PRId64 "s", s);
	else if (s < 7200)
		snprintf(out, 24, "%" PRId64 "m", s / 60);
	else if (s < 172800)
		snprintf(out, 24, "%" PRId64 "h", s / 3600);
	else
		snprintf(out, 24, "%" PRId64 "d", s / 86400);
	return out;
}

const char *
sinkview_message(char out[1100], const char *message, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(message, "sink ", 5) != 0 ||
	    strncmp(message + 5, name, n) != 0)
		snprintf(out, 1100, "%s", message);
	else if (message[5 + n] == ':' && message[6 + n] == ' ')
		snprintf(out, 1100, "%s", message + 7 + n);
	else if (message[5 + n] == ' ')
		snprintf(out, 1100, "it %s", message + 6 + n);
	else
		snprintf(out, 1100, "%s", message);
	return out;
}

static void
put_list(struct buf *b, const char *name, char *const *list)
{
	buf_printf(b, ",\"%s\":[", name);
	for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
		if (i > 0)
			buf_putc(b, ',');
		json_put_string(b, str_of(list[i]));
	}
	buf_putc(b, ']');
}

static void
put_text(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	if (value[0] == '\0')
		buf_puts(b, "null");
	else
		json_put_string(b, str_of(value));
}

static void
put_time(struct buf *b, const char *name, int64_t us)
{
	char text[28] = "";

	if (us != 0)
		clock_text(text, us);
	put_text(b, name, text);
}

/* The values of one option: a string, or an array for a LIST. */
static void
put_option(struct buf *b, const struct sinkconf *conf,
	   const struct weir_sink_option *o)
{
	bool list = o->type == WEIR_OPT_LIST;
	size_t n = 0;

	for (size_t i = 0; i < conf->nvalues; i++) {
		const char *value = conf->values[i].value;

		if (strcmp(conf->values[i].name, o->name) != 0)
			continue;
		if (o->flags & WEIR_OPT_SECRET)
			value = "(secret)";
		if (n++ > 0)
			buf_putc(b, ',');
		else if (list)
			buf_putc(b, '[');
		json_put_string(b, str_of(value));
	}
	if (n > 0 && list)
		buf_putc(b, ']');
	if (n == 0)
		buf_puts(b, "null");
}

void
sinkview_conf_json(struct buf *b, const struct sinkconf *conf)
{
	const struct weir_sink_plugin *p = NULL;
	const struct weir_sink_option *o;
	size_t n = 0;

	buf_puts(b, "{\"name\":");
	json_put_string(b, str_of(conf->name));
	put_text(b, "plugin", conf->plugin);
	buf_printf(b,
		   ",\"enabled\":%s,\"paused\":%s,\"from\":%" PRIu64
		   ",\"attempts_max\":%" PRIu64 ",\"batch\":%" PRIu64,
		   conf->enabled ? "true" : "false",
		   conf->paused ? "true" : "false", conf->from,
		   conf->attempts_max, conf->batch);
	put_list(b, "aggregates", conf->aggregates);
	put_list(b, "events", conf->events);
	put_list(b, "tags", conf->tags);
	buf_puts(b, ",\"options\":{");
	if (loader_find(&p, conf->plugin, NULL) == 0 && p->options != NULL) {
		for (o = p->options; o->name != NULL; o++) {
			if (n++ > 0)
				buf_putc(b, ',');
			json_put_string(b, str_of(o->name));
			buf_putc(b, ':');
			put_option(b, conf, o);
		}
	}
	buf_puts(b, "}}");
}

const char *
sinkview_state(const struct runner_status *st)
{
	switch (st->state) {
	case RUNNER_IDLE:
		return "idle";
	case RUNNER_RUNNING:
		return st->pid != 0 ? "running" : "idle";
	case RUNNER_BACKOFF:
		return "backoff";
	case RUNNER_BLOCKED:
		return "blocked";
	case RUNNER_PAUSED:
		return "paused";
	case RUNNER_DISABLED:
		return "disabled";
	case RUNNER_GONE:
		return "gone";
	}
	return "unknown";
}

void
sinkview_status_json(struct buf *b, const struct sinkconf *conf,
		     const struct runner_status *st)
{
	uint64_t lag =
		st->committed > st->cursor ? st->committed - st->cursor : 0;
	int64_t behind =
		lag > 0 && st->cursor_at != 0 ? clock_now() - st->cursor_at : 0;

	buf_puts(b, "{\"name\":");
	json_put_string(b, str_of(conf->name));
	put_text(b, "plugin", conf->plugin);
	put_text(b, "state", sinkview_state(st));
	buf_printf(b,
		   ",\"cursor\":%" PRIu64 ",\"committed\":%" PRIu64
		   ",\"lag_records\":%" PRIu64 ",\"lag_seconds\":%" PRId64
		   ".%06" PRId64 ",\"delivered\":%" PRIu64
		   ",\"rate\":%.1f,\"attempts\":%" PRIu64 ",\"parked\":%" PRIu64
		   ",\"pid\":",
		   st->cursor, st->committed, lag,
		   behind > 0 ? behind / 1000000 : 0,
		   behind > 0 ? behind % 1000000 : 0, st->delivered, st->rate,
		   st->attempts, st->parked);
	if (st->pid != 0)
		buf_printf(b, "%d", st->pid);
	else
		buf_puts(b, "null");
	buf_printf(b, ",\"restarts\":%" PRIu64, st->restarts);
	put_time(b, "ended_at", st->ended_at);
	put_text(b, "last_end", st->last_end);
	put_time(b, "cursor_at", st->cursor_at);
	put_time(b, "next_try_at", st->next_try_at);
	put_time(b, "updated_at", st->updated_at);
	put_text(b, "last_class", st->last_class);
	put_text(b, "last_code", st->last_code);
	put_text(b, "last_error", st->last_error);
	put_text(b, "last_hint", st->last_hint);
	buf_putc(b, '}');
}

static void
put_bits(struct buf *b, uint32_t bits, const char *const *words, size_t n)
{
	const char *comma = "";

	for (size_t i = 0; i < n; i++) {
		if (!(bits & (1u << i)))
			continue;
		buf_printf(b, "%s%s", comma, words[i]);
		comma = ", ";
	}
	if (*comma == '\0')
		buf_putc(b, '-');
}

void
sinkview_capabilities(struct buf *out, uint32_t bits)
{
	static const char *const words[] = {"txn",	"holds-cursor",
					    "coalesce", "multi-lane",
					    "lossy",	"rewrites"};

	put_bits(out, bits, words, sizeof(words) / sizeof(words[0]));
}

void
sinkview_needs(struct buf *out, uint32_t bits)
{
	static const char *const words[] = {"json", "state", "types"};

	put_bits(out, bits, words, sizeof(words) / sizeof(words[0]));
}
