/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/remote.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 1000000

struct tailer {
	struct cli *c;
	struct store *s;
	struct reader *r, *side;
	bool filtered;
};

/* True when no pattern of the option is given, or one matches. */
static bool
one_matches(struct cli *c, const char *option, struct weir_str s)
{
	const char *pattern;
	size_t at = 0;
	bool any = false;

	while ((pattern = cli_next(c, option, &at)) != NULL) {
		any = true;
		if (str_match(str_of(pattern), s))
			return true;
	}
	return !any;
}

static bool
tags_match(struct cli *c, const struct record_view *v)
{
	if (cli_count(c, "tag") == 0)
		return true;
	for (size_t i = 0; i < v->ntags; i++)
		if (one_matches(c, "tag", v->tags[i]))
			return true;
	return false;
}

static bool
is_wanted(struct tailer *t, const struct record_view *v)
{
	if (v->aggregate_type.len > 0 && v->aggregate_type.data[0] == '$')
		return false;
	return !t->filtered ||
	       (one_matches(t->c, "aggregate", v->aggregate_type) &&
		one_matches(t->c, "aggregate-id", v->aggregate_id) &&
		one_matches(t->c, "event", v->event_type) &&
		tags_match(t->c, v));
}

static int
print(struct tailer *t, const struct record_view *v, struct weir_err *err)
{
	int rc = reader_json(t->side, &t->c->out, v, err);

	if (rc != 0)
		return rc;
	buf_putc(&t->c->out, '\n');
	return out_spill(t->c, err);
}

/* Prints the last n records that are wanted and stops behind the last one. */
static int
print_last(struct tailer *t, uint64_t n, struct weir_err *err)
{
	uint64_t *ring, seen = 0, last = store_last(t->s);
	struct record_view v;
	int rc = 0;

	ring = must_mem((n + 1) * sizeof(*ring));
	reader_seek(t->r, t->filtered || last <= n ? 1 : last - n + 1);
	while ((rc = reader_next(t->r, &v, err)) == 1) {
		if (n > 0 && is_wanted(t, &v))
			ring[seen++ % n] = v.sequence;
		last = v.sequence;
	}
	for (uint64_t i = seen > n ? seen - n : 0; rc == 0 && i < seen; i++) {
		rc = reader_sequence(t->r, &v, ring[i % n], err);
		if (rc == 0)
			rc = print(t, &v, err);
	}
	reader_seek(t->r, last + 1);
	mem_free(ring);
	return rc;
}

/* Prints what is wanted from here on to the end, or for ever. */
static int
print_on(struct tailer *t, bool follow, struct weir_err *err)
{
	int stop = follow ? cli_stop_fd() : -1;
	uint64_t next = store_last(t->s) + 1;
	struct record_view v;
	int rc;

	for (;;) {
		while ((rc = reader_next(t->r, &v, err)) == 1) {
			next = v.sequence + 1;
			rc = is_wanted(t, &v) ? print(t, &v, err) : 0;
			if (rc != 0)
				return rc;
			if (cli_stopped())
				return WEIR_ESTOPPED;
		}
		if (rc != 0 || !follow)
			return rc;
		rc = out_flush(t->c, err);
		if (rc == 0)
			rc = store_wait(t->s, next, -1, stop, err);
		if (rc != 0)
			return rc;
	}
}

static int
run_tail(struct cli *c, struct weir_err *err)
{
	struct tailer t = {.c = c};
	uint64_t from, lines;
	int rc = cli_u64(c, &from, "from", 0, err);

	t.filtered = cli_get(c, "aggregate") || cli_get(c, "aggregate-id") ||
		     cli_get(c, "event") || cli_get(c, "tag");
	if (rc == 0)
		rc = cli_u64(c, &lines, "lines", 10, err);
	if (rc == 0 && cli_get(c, "from") && from == 0)
		rc = err_set(err, WEIR_EUSAGE, "sequences start at 1");
	if (rc == 0 && lines > LINES_MAX)
		rc = err_set(err, WEIR_EUSAGE, "--lines is at most %d",
			     LINES_MAX);
	if (rc == 0 && call_network(c))
		return remote_tail(c, from, lines, err);
	if (rc == 0)
		rc = cli_open_read(c, &t.s, err);
	if (rc != 0)
		return rc;
	t.r = reader_new_mapped(t.s);
	t.side = reader_new_mapped(t.s);
	if (t.r == NULL || t.side == NULL)
		rc = err_nomem(err);
	if (rc == 0 && from != 0)
		reader_seek(t.r, from);
	else if (rc == 0)
		rc = print_last(&t, lines, err);
	if (rc == 0)
		rc = print_on(&t, cli_has(c, "follow"), err);
	if (rc == WEIR_ESTOPPED && cli_stopped() && err != NULL) {
		err->code = rc;
		err->msg[0] = '\0'; /* asked for: nothing to be said */
	}
	reader_free(t.r);
	reader_free(t.side);
	store_close(t.s);
	return rc;
}

static const struct cli_option tail_options[] = {
	{"follow", 'f', NULL, 0, "go on with records as they are committed"},
	{"from", 0, "SEQ", 0, "from this sequence on"},
	{"lines", 'n', "N", 0, "the last N records (10), without --from"},
	{"aggregate", 0, "PATTERN", CLI_MANY,
	 "only aggregate types that match (* and ?)"},
	{"aggregate-id", 0, "PATTERN", CLI_MANY, "only ids that match"},
	{"event", 0, "PATTERN", CLI_MANY, "only events that match"},
	{"tag", 0, "PATTERN", CLI_MANY, "only records with such a tag"},
	{NULL, 0, NULL, 0, NULL},
};

const struct cli_command tail_commands[] = {
	{"tail", "print the newest records",
	 "One record a line, as JSON, in commit order.", tail_options, NULL, 0,
	 run_tail},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
