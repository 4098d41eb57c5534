/* SPDX-License-Identifier: MIT */
/* weir sink dead-letters. */
#include "cli/sink.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/deadletter.h"
#include "bus/deadview.h"
#include "bus/sinkconf.h"
#include "cli/call.h"
#include "cli/remote_sink.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SETTLE_US 2000000
#define STEP_US	  50000

/* Entries that are open, by sequence. */
struct dead_list {
	struct dead_letter *e;
	size_t n;
	struct deadletters *from; /* of this store, or NULL */
	struct buf text;	  /* of a server's: the answer, and names */
};

static void
list_free(struct dead_list *d)
{
	deadletters_free(d->from);
	buf_fini(&d->text);
	mem_free(d->e);
	*d = (struct dead_list){0};
}

/* How many records wait behind each entry; only the store's heads tell. */
static void
fill_waiting(struct cli *c, struct deadletters *d)
{
	struct store *s = NULL;

	if (deadletters_count(d) == 0 || cli_open_read(c, &s, NULL) != 0)
		return;
	deadletters_waiting(d, s);
	store_close(s);
}

static int
load_here(struct cli *c, struct dead_list *d, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK"), *dir;
	struct sinkconf *conf = NULL;
	int rc = cli_data_dir(c, &dir, err);

	if (rc == 0)
		rc = deadletters_load(&d->from, dir, name, err);
	if (rc != 0)
		return rc;
	fill_waiting(c, d->from);
	d->n = deadletters_count(d->from);
	d->e = must_mem((d->n + 1) * sizeof(*d->e));
	for (size_t i = 0; i < d->n; i++)
		d->e[i] = *deadletters_at(d->from, i);
	/* a removed sink may have some left; an unknown one is wrong */
	rc = d->n == 0 ? sinkconf_load(&conf, dir, name, err) : 0;
	sinkconf_free(conf);
	return rc;
}

/* Decodes a name behind the answer in text, which has room. */
static void
take_name(struct dead_list *d, struct weir_str *name)
{
	size_t at = d->text.len;

	if (name->data == NULL)
		return;
	d->text.len += json_decode(d->text.data + at, *name);
	*name = (struct weir_str){d->text.data + at, d->text.len - at};
}

static int
load_server(struct cli *c, struct dead_list *d, struct weir_err *err)
{
	struct weir_str list, key, value;
	struct json_iter it;
	size_t all = 0;
	int rc;

	buf_init(&d->text, CLI_TEXT_MAX);
	rc = remote_sink_do(c, &d->text, "GET", cli_get(c, "SINK"),
			    "/dead-letters", NULL, err);
	if (rc == 0 && buf_reserve(&d->text, d->text.len) != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = json_check(buf_str(&d->text), &list, "answer", err);
	if (rc != 0 || json_kind(list) != WEIR_ARRAY)
		return rc;
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value))
		all++;
	d->e = must_mem((all + 1) * sizeof(*d->e));
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value)) {
		struct dead_letter *e = &d->e[d->n++];

		remote_dead_letter(e, value);
		take_name(d, &e->aggregate_type);
		take_name(d, &e->aggregate_id);
	}
	return 0;
}

static int
load(struct cli *c, struct dead_list *d, struct weir_err *err)
{
	*d = (struct dead_list){0};
	return call_network(c) ? load_server(c, d, err) : load_here(c, d, err);
}

/* ---- show ---------------------------------------------------------------- */

static int
show_one(struct cli *c, struct store *s, const struct dead_letter *e,
	 struct weir_err *err)
{
	struct buf text;
	char more[64];
	int rc;

	buf_init(&text, CLI_TEXT_MAX);
	snprintf(more, sizeof(more), "/dead-letters/%" PRIu64, e->sequence);
	if (s != NULL)
		rc = deadview_whole(&text, s, e, err);
	else
		rc = remote_sink_do(c, &text, "GET", cli_get(c, "SINK"), more,
				    NULL, err);
	if (rc == 0 && c->json)
		rc = json_put_compact(&c->out, buf_str(&text));
	else if (rc == 0)
		rc = out_json(c, buf_str(&text), err);
	buf_fini(&text);
	return rc;
}

/* ---- list -----------------------------------------------------------------
 */

static int
list_table(struct cli *c, const struct dead_list *d)
{
	size_t n = d->n;
	const char **cells = must_mem((n + 1) * 6 * sizeof(*cells));
	char(*text)[4][300] = must_mem((n + 1) * sizeof(*text));

	cells[0] = "SEQUENCE", cells[1] = "AGGREGATE", cells[2] = "REASON";
	cells[3] = "COLUMN", cells[4] = "WAITING", cells[5] = "STATUS";
	for (size_t i = 0; i < n; i++) {
		const struct dead_letter *e = &d->e[i];
		char type[80], id[180];

		snprintf(text[i][0], 300, "%" PRIu64, e->sequence);
		snprintf(text[i][1], 300, "%s %s",
			 str_show(type, sizeof(type), e->aggregate_type),
			 str_show(id, sizeof(id), e->aggregate_id));
		str_show(text[i][2], 300, str_of(e->column));
		snprintf(text[i][3], 300, "%" PRIu64, e->waiting);
		cells[6 * i + 6] = text[i][0];
		cells[6 * i + 7] = text[i][1];
		cells[6 * i + 8] = e->reason;
		cells[6 * i + 9] = text[i][2][0] != '\0' ? text[i][2] : "-";
		cells[6 * i + 10] = text[i][3];
		cells[6 * i + 11] = deadview_status(e);
	}
	if (n > 0)
		out_table(c, cells, 6, n + 1, 1u | 1u << 4);
	else
		cli_note(c, "no dead letters");
	mem_free(cells);
	mem_free(text);
	return 0;
}

static int
run_list(struct cli *c, const struct dead_list *d)
{
	if (!c->json)
		return list_table(c, d);
	buf_putc(&c->out, '[');
	for (size_t i = 0; i < d->n; i++) {
		buf_puts(&c->out, i > 0 ? "," : "");
		deadview_entry(&c->out, &d->e[i]);
		buf_putc(&c->out, '}');
	}
	buf_puts(&c->out, "]\n");
	return 0;
}

/* ---- which entries --------------------------------------------------------
 */

/* Is the entry named by a SEQ operand, or is none given? */
static int
is_named(struct cli *c, const struct dead_letter *e)
{
	const char *text;
	uint64_t seq;
	size_t at = 0;

	if (cli_count(c, "SEQ") == 0)
		return 1;
	while ((text = cli_next(c, "SEQ", &at)) != NULL)
		if (str_u64(&seq, str_of(text)) == 0 && seq == e->sequence)
			return 1;
	return 0;
}

/* Every SEQ must be a number and name an entry. */
static int
check_named(struct cli *c, const struct dead_list *d, struct weir_err *err)
{
	const char *text;
	uint64_t seq;
	size_t at = 0, i;

	while ((text = cli_next(c, "SEQ", &at)) != NULL) {
		if (str_u64(&seq, str_of(text)) != 0)
			return err_set(err, WEIR_EUSAGE,
				       "a dead letter is named by its "
				       "sequence, not \"%s\"",
				       text);
		for (i = 0; i < d->n; i++)
			if (d->e[i].sequence == seq)
				break;
		if (i == d->n)
			return err_set(err, WEIR_ENOTFOUND,
				       "sink %s has no dead letter with "
				       "sequence %" PRIu64,
				       cli_get(c, "SINK"), seq);
	}
	return 0;
}

static int
run_show(struct cli *c, const struct dead_list *d, struct weir_err *err)
{
	struct store *s = NULL;
	size_t n = 0;
	int rc = call_network(c) ? 0 : cli_open_read(c, &s, err);

	if (rc == 0 && c->json)
		buf_putc(&c->out, '[');
	for (size_t i = 0; rc == 0 && i < d->n; i++) {
		if (!is_named(c, &d->e[i]))
			continue;
		if (c->json && n++ > 0)
			buf_putc(&c->out, ',');
		rc = show_one(c, s, &d->e[i], err);
	}
	if (rc == 0 && c->json)
		buf_puts(&c->out, "]\n");
	store_close(s);
	return rc;
}

static int
ask_here(struct cli *c, bool retry, uint64_t *count, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK"), *text, *dir;
	uint64_t seq = 0, n = 0;
	size_t at = 0;
	int rc = cli_data_dir(c, &dir, err);

	do {
		text = cli_next(c, "SEQ", &at);
		if (text == NULL && at > 0 && cli_count(c, "SEQ") > 0)
			break;
		if (text != NULL)
			str_u64(&seq, str_of(text));
		if (rc == 0)
			rc = retry ? deadletters_ask_retry(dir, name, seq, &n,
							   err)
				   : deadletters_ask_discard(dir, name, seq, &n,
							     err);
		if (rc == 0)
			*count += n;
	} while (rc == 0 && text != NULL);
	return rc;
}

static int
ask_server(struct cli *c, bool retry, uint64_t *count, struct weir_err *err)
{
	const char *text, *comma = "";
	struct weir_str object, value;
	struct buf body, out;
	size_t at = 0;
	int rc;

	buf_init(&body, CLI_TEXT_MAX);
	buf_init(&out, CLI_TEXT_MAX);
	buf_puts(&body, "{");
	if (cli_count(c, "SEQ") > 0) {
		buf_puts(&body, "\"sequences\":[");
		while ((text = cli_next(c, "SEQ", &at)) != NULL) {
			buf_printf(&body, "%s%s", comma, text);
			comma = ",";
		}
		buf_puts(&body, "]");
	}
	buf_puts(&body, "}");
	rc = remote_sink_do(c, &out, "POST", cli_get(c, "SINK"),
			    retry ? "/dead-letters/retry"
				  : "/dead-letters/discard",
			    buf_cstr(&body), err);
	if (rc == 0)
		rc = json_check(buf_str(&out), &object, "answer", err);
	if (rc == 0 &&
	    json_get(object, retry ? "retried" : "discarded", &value))
		json_u64(count, value);
	buf_fini(&body);
	buf_fini(&out);
	return rc;
}

struct outcome {
	uint64_t asked;	  /* entries named by the command */
	uint64_t waiting; /* records that wait behind them */
	uint64_t parked;  /* entries still parked */
	uint64_t pending; /* retries still to be made by another process */
	char why[1100];
};

static void
look(struct cli *c, const struct dead_list *d, struct outcome *o)
{
	*o = (struct outcome){0};
	for (size_t i = 0; i < d->n; i++) {
		const struct dead_letter *e = &d->e[i];

		if (!is_named(c, e))
			continue;
		o->asked++;
		o->waiting += e->waiting;
		o->pending += e->status == DEAD_RETRY;
		if (e->status != DEAD_PARKED)
			continue;
		if (o->parked++ == 0)
			snprintf(o->why, sizeof(o->why), "%s", e->message);
	}
}

static void
say_outcome(struct cli *c, bool retry, uint64_t count, const struct outcome *o)
{
	struct buf *b = &c->out;

	if (c->json) {
		buf_puts(b, "{\"sink\":");
		json_put_string(b, str_of(cli_get(c, "SINK")));
		buf_printf(b,
			   ",\"%s\":%" PRIu64 ",\"parked\":%" PRIu64
			   ",\"pending\":%" PRIu64 "}\n",
			   retry ? "retried" : "discarded", count, o->parked,
			   o->pending);
		return;
	}
	buf_printf(b, "%s %" PRIu64 " of sink %s",
		   retry ? "retried" : "discarded", count, cli_get(c, "SINK"));
	if (o->pending > 0)
		buf_printf(b, ", %" PRIu64 " not yet done", o->pending);
	if (o->parked > 0)
		buf_printf(b, ", %" PRIu64 " refused again", o->parked);
	buf_putc(b, '\n');
	if (o->parked > 0)
		cli_warn(c, "%s", o->why);
}

/* A server's child looks at the file of dead letters about once a second. */
static int
settle(struct cli *c, struct dead_list *d, struct outcome *o,
       struct weir_err *err)
{
	int64_t until = clock_monotonic() + SETTLE_US;
	int rc;

	do {
		list_free(d);
		rc = load(c, d, err);
		if (rc != 0)
			return rc;
		look(c, d, o);
	} while (call_network(c) && o->pending > 0 &&
		 clock_monotonic() < until && !os_wait_readable(-1, STEP_US));
	return 0;
}

/* Retry or discard, deliver, and say what came of it. */
static int
run_ask(struct cli *c, struct dead_list *d, bool retry, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK");
	struct outcome o;
	uint64_t count = 0;
	int rc, behind;

	look(c, d, &o);
	if ((!retry || cli_has(c, "dry-run")) &&
	    !cli_ask(c,
		     "%s %" PRIu64 " dead letters of sink %s (%" PRIu64
		     " more records wait behind them)",
		     retry ? "retry" : "discard", o.asked, name, o.waiting))
		return 0;
	rc = call_network(c) ? ask_server(c, retry, &count, err)
			     : ask_here(c, retry, &count, err);
	if (rc != 0)
		return rc;
	behind = sink_deliver(c, name, err);
	rc = behind < 0 ? behind : settle(c, d, &o, err);
	if (rc != 0)
		return rc;
	say_outcome(c, retry, count, &o);
	return behind == 0 && o.parked > 0 ? 8 : behind;
}

int
sink_dead(struct cli *c, struct weir_err *err)
{
	const char *action = cli_get(c, "list|show|retry|discard");
	struct dead_list d;
	int rc = load(c, &d, err);

	if (action == NULL)
		action = "list";
	if (rc == 0)
		rc = check_named(c, &d, err);
	if (rc == 0 && strcmp(action, "list") == 0)
		rc = run_list(c, &d);
	else if (rc == 0 && strcmp(action, "show") == 0)
		rc = run_show(c, &d, err);
	else if (rc == 0)
		rc = run_ask(c, &d, strcmp(action, "retry") == 0, err);
	list_free(&d);
	return rc;
}
