/* SPDX-License-Identifier: MIT */
/* Sinks of a server. What comes is put into the structs that are filled from
 * files here, so that both are shown by the same code. */
#include "cli/remote_sink.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/sinkconf.h"
#include "bus/sinkview.h"
#include "cli/call.h"
#include "model/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_MAX 4096
#define STEP_US	   50000

/* ---- asking -------------------------------------------------------------- */

/* METHOD /v1/sinks[/NAME][MORE]; *value is the answer, in a->body. */
static int
ask(struct cli *c, struct call_answer *a, struct weir_str *value,
    const char *method, const char *name, const char *more, const char *body,
    struct weir_err *err)
{
	struct buf target;
	int rc;

	buf_init(&target, TARGET_MAX);
	buf_puts(&target, "/v1/sinks");
	if (name != NULL) {
		buf_putc(&target, '/');
		call_encode(&target, str_of(name));
	}
	buf_puts(&target, more);
	rc = call_api(c, a, method, buf_cstr(&target), str_of(body), 0, err);
	if (rc == 0)
		rc = json_check_depth(buf_str(&a->body), value,
				      WEIR_DEPTH_MAX + 1, "the server's answer",
				      err);
	buf_fini(&target);
	return rc;
}

static int64_t
take_time(struct weir_str object, const char *name)
{
	char text[40];
	const char *why;
	int64_t at;

	json_get_text(text, sizeof(text), object, name);
	return clock_parse(&at, str_of(text), &why) == 0 ? at : 0;
}

static bool
take_truth(struct weir_str object, const char *name)
{
	struct weir_str value;

	return json_get(object, name, &value) && str_is(value, "true");
}

static char **
take_list(struct weir_str object, const char *name)
{
	struct weir_str list, key, value;
	struct json_iter it;
	char **out = NULL;
	size_t n = 0;

	if (!json_get(object, name, &list) || json_kind(list) != WEIR_ARRAY)
		return NULL;
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value))
		n++;
	if (n == 0)
		return NULL;
	out = must_mem((n + 1) * sizeof(*out));
	json_iter_init(&it, list);
	for (n = 0; json_iter_next(&it, &key, &value);) {
		if (json_kind(value) != WEIR_STRING)
			continue;
		out[n] = must_mem(value.len);
		json_decode(out[n++], value);
	}
	return out;
}

/* ---- rows ---------------------------------------------------------------- */

static void
take_state(struct runner_status *st, struct weir_str o)
{
	char word[16];

	json_get_text(word, sizeof(word), o, "state");
	for (st->state = RUNNER_IDLE; st->state < RUNNER_GONE; st->state++)
		if (strcmp(sinkview_state(st), word) == 0)
			return;
}

static void
take_status(struct runner_status *st, struct weir_str o)
{
	struct weir_str rate;
	char text[32] = "";

	st->cursor = json_get_u64(o, "cursor");
	st->committed = json_get_u64(o, "committed");
	st->cursor_at = take_time(o, "cursor_at");
	st->delivered = json_get_u64(o, "delivered");
	if (json_get(o, "rate", &rate) && rate.len < sizeof(text))
		memcpy(text, rate.data, rate.len);
	st->rate = strtod(text, NULL);
	st->attempts = json_get_u64(o, "attempts");
	st->parked = json_get_u64(o, "parked");
	st->next_try_at = take_time(o, "next_try_at");
	st->updated_at = take_time(o, "updated_at");
	st->pid = (int)json_get_u64(o, "pid");
	st->restarts = json_get_u64(o, "restarts");
	st->ended_at = take_time(o, "ended_at");
	json_get_text(st->last_end, sizeof(st->last_end), o, "last_end");
	json_get_text(st->last_class, sizeof(st->last_class), o, "last_class");
	json_get_text(st->last_code, sizeof(st->last_code), o, "last_code");
	json_get_text(st->last_error, sizeof(st->last_error), o, "last_error");
	json_get_text(st->last_hint, sizeof(st->last_hint), o, "last_hint");
	take_state(st, o);
}

static void
take_row(struct sink_row *r, struct weir_str o)
{
	r->conf = must_mem(sizeof(*r->conf));
	json_get_text(r->conf->name, sizeof(r->conf->name), o, "name");
	json_get_text(r->conf->plugin, sizeof(r->conf->plugin), o, "plugin");
	r->conf->enabled = take_truth(o, "enabled");
	r->conf->paused = take_truth(o, "paused");
	r->conf->aggregates = take_list(o, "aggregates");
	r->conf->events = take_list(o, "events");
	r->conf->tags = take_list(o, "tags");
	take_status(&r->st, o);
}

static void
take_rows(struct sink_row **rows, size_t *n, struct weir_str list)
{
	struct weir_str key, value;
	struct json_iter it;
	size_t all = 0;

	*n = 0;
	*rows = NULL;
	if (json_kind(list) != WEIR_ARRAY)
		return;
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value))
		all++;
	*rows = must_mem((all + 1) * sizeof(**rows));
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value))
		if (json_kind(value) == WEIR_OBJECT)
			take_row(&(*rows)[(*n)++], value);
}

void
sink_rows_free(struct sink_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sinkconf_free(rows[i].conf);
	mem_free(rows);
}

int
remote_sink_settings(struct cli *c, struct sink_row **rows, size_t *n,
		     struct weir_err *err)
{
	struct weir_str list;
	struct call_answer a;
	int rc = ask(c, &a, &list, "GET", NULL, "?settings=true", NULL, err);

	if (rc == 0 && c->json) {
		buf_add_str(&c->out, list);
		buf_putc(&c->out, '\n');
	} else if (rc == 0) {
		take_rows(rows, n, list);
	}
	call_free(&a);
	return rc;
}

/* One of them, where it was named. */
static int
add_row(struct cli *c, struct sink_row *rows, size_t *n, const char *name,
	struct weir_err *err)
{
	struct weir_str object;
	struct call_answer a;
	int rc = ask(c, &a, &object, "GET", name, "", NULL, err);

	if (rc == 0)
		take_row(&rows[(*n)++], object);
	call_free(&a);
	return rc;
}

int
remote_sink_status(struct cli *c, struct sink_row **rows, size_t *n,
		   struct weir_err *err)
{
	size_t count = cli_count(c, "SINK"), at = 0;
	struct weir_str list;
	struct call_answer a;
	const char *name;
	int rc = 0;

	*n = 0;
	if (count == 0) {
		rc = ask(c, &a, &list, "GET", NULL, "", NULL, err);
		if (rc == 0)
			take_rows(rows, n, list);
		call_free(&a);
		return rc;
	}
	*rows = must_mem((count + 1) * sizeof(**rows));
	while (rc == 0 && (name = cli_next(c, "SINK", &at)) != NULL)
		rc = add_row(c, *rows, n, name, err);
	return rc;
}

int
remote_sink_do(struct cli *c, struct buf *out, const char *method,
	       const char *name, const char *more, const char *body,
	       struct weir_err *err)
{
	struct weir_str value;
	struct call_answer a;
	int rc = ask(c, &a, &value, method, name, more, body, err);

	if (rc == 0 && out != NULL && buf_add_str(out, value) != 0)
		rc = err_nomem(err);
	call_free(&a);
	return rc;
}

/* ---- dead letters -------------------------------------------------------- */

void
remote_dead_letter(struct dead_letter *e, struct weir_str o)
{
	static const char *const words[] = {"parked", "retry", "closed",
					    "discard"};
	char word[16];
	struct weir_str value;

	memset(e, 0, sizeof(*e));
	e->sequence = json_get_u64(o, "sequence");
	e->version = json_get_u64(o, "version");
	if (json_get(o, "aggregate_type", &value) &&
	    json_kind(value) == WEIR_STRING)
		e->aggregate_type = (struct weir_str){value.data, value.len};
	if (json_get(o, "aggregate_id", &value) &&
	    json_kind(value) == WEIR_STRING)
		e->aggregate_id = (struct weir_str){value.data, value.len};
	json_get_text(word, sizeof(word), o, "status");
	for (size_t i = 0; i < 4; i++)
		if (strcmp(words[i], word) == 0)
			e->status = (enum dead_status)i;
	json_get_text(e->reason, sizeof(e->reason), o, "reason");
	json_get_text(e->code, sizeof(e->code), o, "code");
	json_get_text(e->column, sizeof(e->column), o, "column");
	json_get_text(e->message, sizeof(e->message), o, "message");
	json_get_text(e->hint, sizeof(e->hint), o, "hint");
	e->attempts = json_get_u64(o, "attempts");
	e->waiting = json_get_u64(o, "waiting");
	e->first_at = take_time(o, "first_at");
	e->last_at = take_time(o, "last_at");
}

/* ---- waiting after a commit ----------------------------------------------
 */

/* How many sinks are behind, said of each when last. */
static size_t
behind(struct cli *c, const struct sink_row *rows, size_t n, uint64_t through,
       const char *only, bool last, bool *pending)
{
	size_t count = 0;
	char text[1100];

	*pending = false;
	for (size_t i = 0; i < n; i++) {
		const struct runner_status *st = &rows[i].st;
		const char *name = rows[i].conf->name;
		struct weir_err why = {0};

		if ((only != NULL && strcmp(only, name) != 0) ||
		    st->state == RUNNER_DISABLED ||
		    st->state == RUNNER_PAUSED || st->cursor >= through)
			continue;
		count++;
		if (st->state == RUNNER_BACKOFF ||
		    st->state == RUNNER_BLOCKED || st->state == RUNNER_GONE)
			runner_waits(st, name, &why);
		else
			*pending = true;
		if (last)
			cli_warn(c, "sink %s is behind: %s", name,
				 why.msg[0] != '\0'
					 ? sinkview_message(text, why.msg, name)
					 : "it did not catch up in time");
	}
	return count;
}

static int
await(struct cli *c, const char *only, int64_t wait_us, size_t *count,
      struct weir_err *err)
{
	int64_t until = clock_monotonic() + wait_us;
	uint64_t through = 0;
	bool pending = true, last = false;
	int rc = 0;

	while (rc == 0 && !last) {
		struct sink_row *rows = NULL;
		struct weir_str list;
		struct call_answer a;
		size_t n = 0;

		rc = ask(c, &a, &list, "GET", NULL, "", NULL, err);
		if (rc == 0) {
			take_rows(&rows, &n, list);
			if (through == 0 && n > 0)
				through = rows[0].st.committed;
			last = clock_monotonic() >= until;
			*count = behind(c, rows, n, through, only, last,
					&pending);
			if (!last && !pending) {
				last = true;
				behind(c, rows, n, through, only, true,
				       &pending);
			}
		}
		sink_rows_free(rows, n);
		call_free(&a);
		if (rc == 0 && !last)
			os_wait_readable(-1, STEP_US);
	}
	return rc;
}

int
remote_await(struct cli *c, const char *only)
{
	const char *given = cli_get(c, "sink-wait");
	bool require = cli_has(c, "require-sinks");
	struct weir_err err = {0};
	struct config *config;
	size_t count = 0;
	int64_t wait_us = 0;
	int rc;

	if (given == NULL && !require && only == NULL)
		return 0;
	rc = cli_config(c, &config, &err);
	if (rc == 0)
		rc = cli_duration(&wait_us,
				  given ? given
					: config_get(config, "sink_wait"),
				  given ? "--sink-wait" : "sink_wait", &err);
	if (rc == 0 && (wait_us > 0 || require))
		rc = await(c, only, wait_us, &count, &err);
	if (rc != 0)
		cli_warn(c, "nothing is known of the sinks: %s", err.msg);
	return require && (rc != 0 || count > 0) ? 8 : 0;
}
