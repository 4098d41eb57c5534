/* SPDX-License-Identifier: MIT */
#include "cli/sink.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/deadletter.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"
#include "bus/sinkview.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/remote_sink.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int
sink_named(struct cli *c, const char **dir, struct sinkconf **out,
	   struct weir_err *err)
{
	int rc = cli_data_dir(c, dir, err);

	return rc != 0 ? rc : sinkconf_load(out, *dir, cli_get(c, "SINK"), err);
}

/* A missing store has no sinks to be listed: it is not found. */
static int
need_store(struct cli *c, const char **dir, uint64_t *last,
	   struct weir_err *err)
{
	struct store *s = NULL;
	int rc = cli_data_dir(c, dir, err);

	if (rc == 0)
		rc = cli_open_read(c, &s, err);
	if (rc == 0)
		*last = store_last(s);
	store_close(s);
	return rc;
}

/* ---- list -----------------------------------------------------------------
 */

/* "only order*, item*" */
static void
put_filters(struct buf *b, const char *word, char *const *list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		buf_printf(b, "%s%s%s %s", b->len > 0 ? " " : "",
			   i == 0 ? word : "", i == 0 ? "" : ",", list[i]);
}

static void
list_row(struct cli *c, const struct sinkconf *conf, const char **cells)
{
	struct buf filters;

	if (c->json) {
		if (c->out.len > 1)
			buf_putc(&c->out, ',');
		sinkview_conf_json(&c->out, conf);
		return;
	}
	buf_init(&filters, CLI_TEXT_MAX);
	put_filters(&filters, "aggregate", conf->aggregates);
	put_filters(&filters, "event", conf->events);
	put_filters(&filters, "tag", conf->tags);
	cells[0] = must_dup(conf->name);
	cells[1] = must_dup(conf->plugin);
	cells[2] = must_dup(!conf->enabled ? "disabled"
			    : conf->paused ? "paused"
					   : "enabled");
	cells[3] = must_dup(filters.len > 0 ? buf_cstr(&filters) : "all");
	buf_fini(&filters);
}

/* A sink whose settings can't be read hides no other: 8 for done in part. */
static int
unreadable(struct cli *c, const char *name, const struct weir_err *why)
{
	cli_warn(c, "sink %s is left out: %s", name, why->msg);
	return 8;
}

/* The table: cells of n rows behind the header, which are freed. */
static void
print_list(struct cli *c, const char **cells, size_t n)
{
	cells[0] = "NAME", cells[1] = "PLUGIN", cells[2] = "STATE";
	cells[3] = "RECORDS";
	if (n == 0)
		cli_note(c, "no sink is configured; `weir plugin list` names "
			    "the plugins");
	else
		out_table(c, cells, 4, n + 1, 0);
	for (size_t i = 4; i < 4 * (n + 1); i++)
		mem_free((void *)(uintptr_t)cells[i]);
}

static int
list_server(struct cli *c, struct weir_err *err)
{
	struct sink_row *rows = NULL;
	const char **cells;
	size_t n = 0;
	int rc = remote_sink_settings(c, &rows, &n, err);

	if (rc != 0 || c->json)
		return rc;
	cells = must_mem((n + 1) * 4 * sizeof(*cells));
	for (size_t i = 0; i < n; i++)
		list_row(c, rows[i].conf, cells + 4 * (i + 1));
	print_list(c, cells, n);
	mem_free(cells);
	sink_rows_free(rows, n);
	return 0;
}

static int
run_list(struct cli *c, struct weir_err *err)
{
	const char *dir, **cells;
	char **names = NULL;
	uint64_t last;
	size_t n = 0, rows = 0;
	int worst = 0, rc;

	if (call_network(c))
		return list_server(c, err);
	rc = need_store(c, &dir, &last, err);
	if (rc == 0)
		rc = sinkconf_list(&names, &n, dir, err);
	if (rc != 0)
		return rc;
	cells = must_mem((n + 1) * 4 * sizeof(*cells));
	if (c->json)
		buf_putc(&c->out, '[');
	for (size_t i = 0; i < n; i++) {
		struct sinkconf *conf = NULL;
		struct weir_err why = {0};

		if (sinkconf_load(&conf, dir, names[i], &why) == 0)
			list_row(c, conf, cells + 4 * (++rows));
		else if (why.code != WEIR_ENOTFOUND)
			worst = unreadable(c, names[i], &why);
		sinkconf_free(conf);
	}
	if (c->json)
		buf_puts(&c->out, "]\n");
	else if (rows > 0 || worst == 0)
		print_list(c, cells, rows);
	mem_free(cells);
	mem_free(names);
	return worst;
}

/* ---- status ---------------------------------------------------------------
 */

#define CELLS 10

static void
put_trouble(struct cli *c, const struct sink_row *r)
{
	char text[2048], span[24];

	if (r->st.last_error[0] != '\0') {
		str_show(text, sizeof(text), str_of(r->st.last_error));
		buf_printf(&c->out, "\n%s: %s%s%s\n", r->conf->name,
			   r->st.last_code, r->st.last_code[0] ? " " : "",
			   text);
		if (r->st.last_hint[0] != '\0') {
			str_show(text, sizeof(text), str_of(r->st.last_hint));
			buf_printf(&c->out, "  to mend it: %s\n", text);
		}
		if (r->st.next_try_at > clock_now())
			buf_printf(&c->out, "  tried again in %s\n",
				   sinkview_span(span, r->st.next_try_at -
							       clock_now() +
							       999999));
	}
	if (r->st.last_end[0] != '\0') {
		str_show(text, sizeof(text), str_of(r->st.last_end));
		buf_printf(&c->out, "\n%s: %s ago: %s\n", r->conf->name,
			   sinkview_span(span, clock_now() - r->st.ended_at),
			   text);
	}
	if (r->st.parked > 0)
		buf_printf(&c->out,
			   "\n%s: %" PRIu64 " parked; `weir sink dead-letters "
			   "%s` says why\n",
			   r->conf->name, r->st.parked, r->conf->name);
}

static void
status_cells(const struct sink_row *r, const char **cells,
	     char text[CELLS - 3][24])
{
	const struct runner_status *st = &r->st;
	uint64_t lag =
		st->committed > st->cursor ? st->committed - st->cursor : 0;

	snprintf(text[0], 24, "%" PRIu64, st->cursor);
	snprintf(text[1], 24, "%" PRIu64, lag);
	if (lag > 0 && st->cursor_at != 0)
		sinkview_span(text[2], clock_now() - st->cursor_at);
	else
		snprintf(text[2], 24, "-");
	snprintf(text[3], 24, "%.0f", st->rate);
	snprintf(text[4], 24, "%" PRIu64, st->parked);
	snprintf(text[5], 24, "%d", st->pid);
	if (st->pid == 0)
		snprintf(text[5], 24, "-");
	snprintf(text[6], 24, "%" PRIu64, st->restarts);
	cells[0] = r->conf->name;
	cells[1] = r->conf->plugin;
	cells[2] = sinkview_state(st);
	for (size_t i = 0; i < CELLS - 3; i++)
		cells[3 + i] = text[i];
}

static void
print_status(struct cli *c, const struct sink_row *rows, size_t n)
{
	static const char *const header[CELLS] = {
		"NAME",	  "PLUGIN", "STATE",  "CURSOR", "LAG",
		"BEHIND", "RATE/S", "PARKED", "PID",	"RESTARTS"};
	const char **cells = must_mem((n + 1) * CELLS * sizeof(*cells));
	char(*text)[CELLS - 3][24] = must_mem((n + 1) * sizeof(*text));

	memcpy(cells, header, sizeof(header));
	for (size_t i = 0; i < n; i++)
		status_cells(&rows[i], cells + CELLS * (i + 1), text[i]);
	if (n > 0)
		out_table(c, cells, CELLS, n + 1, 0x3f8);
	for (size_t i = 0; i < n; i++)
		put_trouble(c, &rows[i]);
	mem_free(cells);
	mem_free(text);
}

/* The rows of the sinks named, or of all; 8 when a sink had to be left out. */
static int
take_rows(struct cli *c, const char *dir, struct sink_row **out, size_t *n,
	  struct weir_err *err)
{
	char **names = NULL;
	size_t at = 0, all = 0;
	int worst = 0, rc = sinkconf_list(&names, &all, dir, err);
	bool some = cli_count(c, "SINK") > 0;
	size_t count = some ? cli_count(c, "SINK") : all;

	*out = must_mem((count + 1) * sizeof(**out));
	*n = 0;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		const char *name = some ? cli_next(c, "SINK", &at) : names[i];
		struct sink_row *r = &(*out)[*n];
		struct weir_err why = {0};

		rc = sinkconf_load(&r->conf, dir, name, some ? err : &why);
		if (rc == 0) {
			(*n)++;
			rc = runner_status(&r->st, dir, name, err);
		} else if (!some) {
			if (rc != WEIR_ENOTFOUND)
				worst = unreadable(c, name, &why);
			rc = 0;
		}
	}
	mem_free(names);
	return rc != 0 ? rc : worst;
}

static int
run_status(struct cli *c, struct weir_err *err)
{
	struct sink_row *rows = NULL;
	const char *dir;
	uint64_t last = 0;
	size_t n = 0;
	int rc;

	if (call_network(c)) {
		rc = remote_sink_status(c, &rows, &n, err);
	} else {
		rc = need_store(c, &dir, &last, err);
		if (rc == 0)
			rc = take_rows(c, dir, &rows, &n, err);
	}
	for (size_t i = 0; i < n; i++)
		if (rows[i].st.committed < last)
			rows[i].st.committed = last;
	if (rc >= 0 && c->json) {
		buf_putc(&c->out, '[');
		for (size_t i = 0; i < n; i++) {
			buf_puts(&c->out, i > 0 ? "," : "");
			sinkview_status_json(&c->out, rows[i].conf,
					     &rows[i].st);
		}
		buf_puts(&c->out, "]\n");
	} else if (rc >= 0) {
		print_status(c, rows, n);
		if (rc == 0 && n == 0)
			cli_note(c, "no sink is configured");
	}
	sink_rows_free(rows, n);
	return rc;
}

/* ---- test, pause, resume, replay, remove ------------------------------------
 */

/* {"sink":NAME,"KEY":VALUE}, VALUE as JSON, or the line for people. */
static void
answer(struct cli *c, const char *name, const char *key, const char *value,
       const char *line)
{
	if (!c->json) {
		buf_printf(&c->out, "%s\n", line);
		return;
	}
	buf_puts(&c->out, "{\"sink\":");
	json_put_string(&c->out, str_of(name));
	buf_printf(&c->out, ",\"%s\":%s}\n", key, value);
}

static int
test_server(struct cli *c, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK");
	struct weir_str object, value;
	char message[1024] = "", line[1200];
	struct buf out;
	int rc;

	buf_init(&out, CLI_TEXT_MAX);
	rc = remote_sink_do(c, &out, "POST", name, "/test", NULL, err);
	if (rc == 0)
		rc = json_check(buf_str(&out), &object, "answer", err);
	if (rc == 0 && json_get(object, "message", &value) &&
	    json_kind(value) == WEIR_STRING && value.len < sizeof(message)) {
		message[json_decode(message, value)] = '\0';
		snprintf(line, sizeof(line), "sink %.63s: %s", name,
			 message[0] != '\0' ? message : "ok");
		value = (struct weir_str){mem_dup(value.data, value.len),
					  value.len};
		answer(c, name, "message",
		       value.data != NULL ? value.data : "\"\"", line);
		mem_free((void *)(uintptr_t)value.data);
	}
	buf_fini(&out);
	return rc;
}

static int
run_test(struct cli *c, struct weir_err *err)
{
	struct sinkconf *conf = NULL;
	char message[1024] = "", line[1200];
	struct buf quoted;
	const char *dir;
	int rc;

	if (call_network(c))
		return test_server(c, err);
	rc = sink_named(c, &dir, &conf, err);
	if (rc == 0)
		rc = runner_test(dir, conf->name, message, err);
	if (rc == 0) {
		buf_init(&quoted, CLI_TEXT_MAX);
		json_put_string(&quoted, str_of(message));
		snprintf(line, sizeof(line), "sink %s: %s", conf->name,
			 message[0] != '\0' ? message : "ok");
		answer(c, conf->name, "message", buf_cstr(&quoted), line);
		buf_fini(&quoted);
	}
	sinkconf_free(conf);
	return rc;
}

static int
set_paused(struct cli *c, bool paused, struct weir_err *err)
{
	const char *dir, *name;
	struct weir_err first = {0};
	size_t at = 0;
	bool network = call_network(c);
	int rc = network ? 0 : cli_data_dir(c, &dir, &first);

	while (rc == 0 && (name = cli_next(c, "SINK", &at)) != NULL) {
		struct sinkconf *conf = NULL;
		char line[128];

		if (network)
			rc = remote_sink_do(c, NULL, "POST", name,
					    paused ? "/pause" : "/resume", NULL,
					    &first);
		else
			rc = sinkconf_load(&conf, dir, name, &first);
		if (rc == 0 && conf != NULL) {
			conf->paused = paused;
			rc = sinkconf_save(dir, conf, &first);
		}
		snprintf(line, sizeof(line), "sink %.63s %s", name,
			 paused ? "paused" : "resumed");
		if (rc == 0)
			answer(c, name, "paused", paused ? "true" : "false",
			       line);
		sinkconf_free(conf);
	}
	if (rc != 0 && err != NULL)
		*err = first;
	return rc;
}

static int
run_pause(struct cli *c, struct weir_err *err)
{
	return set_paused(c, true, err);
}

int
sink_deliver(struct cli *c, const char *name, struct weir_err *err)
{
	struct store *s = NULL;
	int rc;

	if (call_network(c))
		return remote_await(c, name);
	rc = cli_open_read(c, &s, err);
	if (rc == 0)
		rc = cli_deliver(c, s, name);
	store_close(s);
	return rc;
}

static int
run_resume(struct cli *c, struct weir_err *err)
{
	size_t at = 0;
	const char *name;
	int worst = 0;
	int rc = set_paused(c, false, err);

	if (rc == 0)
		rc = out_flush(c, err);
	while (rc >= 0 && (name = cli_next(c, "SINK", &at)) != NULL) {
		rc = sink_deliver(c, name, err);
		worst = rc > worst ? rc : worst;
	}
	return rc < 0 ? rc : worst;
}

static int
replay_server(struct cli *c, const char *name, uint64_t from,
	      struct weir_err *err)
{
	char body[48];

	snprintf(body, sizeof(body), "{\"from\":%" PRIu64 "}", from);
	return remote_sink_do(c, NULL, "POST", name, "/replay", body, err);
}

static int
run_replay(struct cli *c, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK"), *dir;
	struct sinkconf *conf = NULL;
	char line[256];
	uint64_t from = 1, last = 0, n;
	int rc = cli_u64(c, &from, "from", 1, err);

	if (rc == 0 && from == 0)
		rc = err_set(err, WEIR_EUSAGE, "--from is 1 or more");
	if (rc == 0 && call_network(c)) {
		rc = remote_sink_do(c, NULL, "GET", name, "", NULL, err);
		if (rc == 0)
			rc = remote_last(c, &last, err);
	} else if (rc == 0) {
		rc = sink_named(c, &dir, &conf, err);
		if (rc == 0)
			rc = need_store(c, &dir, &last, err);
	}
	n = last >= from ? last - from + 1 : 0;
	if (rc == 0 && !cli_ask(c,
				"deliver %" PRIu64 " records to sink %s "
				"again, from sequence %" PRIu64,
				n, name, from))
		goto out;
	if (rc == 0)
		rc = conf != NULL ? runner_replay(dir, conf->name, from, err)
				  : replay_server(c, name, from, err);
	if (rc == 0) {
		char value[24];

		snprintf(value, sizeof(value), "%" PRIu64, from);
		snprintf(line, sizeof(line),
			 "replay of %" PRIu64 " records to sink %s from "
			 "sequence %" PRIu64,
			 n, name, from);
		answer(c, name, "replay_from", value, line);
	}
out:
	sinkconf_free(conf);
	return rc;
}

/* Dead letters of the sink that is to be removed; whether it is there. */
static int
look_at(const char *dir, const char *name, bool purge,
	uint64_t *parked, struct weir_err *err)
{
	struct deadletters *dead = NULL;
	struct sinkconf *conf = NULL;
	int rc = 0;

	if (deadletters_load(&dead, dir, name, NULL) == 0)
		*parked = deadletters_count(dead);
	deadletters_free(dead);
	if (purge)
		return 0;
	rc = sinkconf_load(&conf, dir, name, err);
	sinkconf_free(conf);
	return rc == WEIR_EINPUT ? sinkfile_check_name(name, err) : rc;
}

static int
look_at_server(struct cli *c, const char *name, bool purge, uint64_t *parked,
	       struct weir_err *err)
{
	struct weir_str list, key, value;
	struct json_iter it;
	struct buf out;
	int rc;

	buf_init(&out, CLI_TEXT_MAX);
	rc = remote_sink_do(c, &out, "GET", name, "/dead-letters", NULL, err);
	if (rc == 0 && json_check_depth(buf_str(&out), &list,
					WEIR_DEPTH_MAX + 1, "", NULL) == 0 &&
	    json_kind(list) == WEIR_ARRAY) {
		json_iter_init(&it, list);
		while (json_iter_next(&it, &key, &value))
			(*parked)++;
	}
	buf_fini(&out);
	return rc == WEIR_ENOTFOUND && purge ? 0 : rc;
}

static int
run_remove(struct cli *c, struct weir_err *err)
{
	const char *name = cli_get(c, "SINK"), *dir = NULL;
	bool purge = cli_has(c, "purge"), network = call_network(c);
	char line[256];
	uint64_t parked = 0;
	int rc = network ? 0 : cli_data_dir(c, &dir, err);

	if (rc == 0)
		rc = network ? look_at_server(c, name, purge, &parked, err)
			     : look_at(dir, name, purge, &parked, err);
	if (rc == 0 &&
	    !cli_ask(c,
		     "remove sink %s%s (%" PRIu64
		     " parked; its target stays as it is)",
		     name, purge ? ", its cursor and dead letters" : "",
		     parked))
		return 0;
	if (rc == 0 && network)
		rc = remote_sink_do(c, NULL, "DELETE", name,
				    purge ? "?purge=true" : "", NULL, err);
	else if (rc == 0)
		rc = sinkconf_remove(dir, name, purge, err);
	snprintf(line, sizeof(line), "sink %.63s removed%s", name,
		 !purge && parked > 0
			 ? "; its dead letters stay (--purge removes them)"
			 : "");
	if (rc == 0)
		answer(c, name, "removed", "true", line);
	return rc;
}

/* ---- the table ------------------------------------------------------------
 */

static const struct cli_operand one_operand[] = {
	{"SINK", NULL, CLI_REQUIRED},
	{NULL, NULL, 0},
};

static const struct cli_operand some_operands[] = {
	{"SINK", NULL, CLI_REQUIRED | CLI_MANY},
	{NULL, NULL, 0},
};

static const struct cli_operand any_operands[] = {
	{"SINK", NULL, CLI_MANY},
	{NULL, NULL, 0},
};

static const struct cli_operand dead_operands[] = {
	{"SINK", NULL, CLI_REQUIRED},
	{"list|show|retry|discard", NULL, 0},
	{"SEQ", NULL, CLI_MANY},
	{NULL, NULL, 0},
};

static const struct cli_option run_options[] = {
	{"once", 0, NULL, 0, "deliver what is there, then end"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option replay_options[] = {
	{"from", 0, "SEQ", 0, "from this sequence (1)"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option remove_options[] = {
	{"purge", 0, NULL, 0, "its cursor and dead letters too"},
	{NULL, 0, NULL, 0, NULL},
};

const struct cli_command sink_commands[] = {
	{"sink list", "list configured sinks",
	 "With --json all settings; secrets are never shown.", NULL, NULL, 0,
	 run_list},
	{"sink status", "show how far sinks are, and what is wrong", NULL, NULL,
	 any_operands, 0, run_status},
	{"sink test", "open a sink's target and look whether it is usable",
	 "Nothing is delivered.", NULL, one_operand, 0, run_test},
	{"sink run", "deliver to all sinks, or to those named",
	 "Runs until SIGINT or SIGTERM, and sees changed settings within a "
	 "second; SIGHUP makes sinks open their files anew. Each sink has a "
	 "process of its own, which is started anew when it ends, hangs or "
	 "holds too much memory; a single sink that is named is delivered to "
	 "in this process. With --once all are, and it exits 8 when a sink is "
	 "behind in the end.",
	 run_options, any_operands, CLI_LOCAL, sink_run},
	{"sink pause", "stop delivering to sinks", NULL, NULL, some_operands, 0,
	 run_pause},
	{"sink resume", "go on delivering to sinks, at once", NULL, NULL,
	 some_operands, CLI_SINKS, run_resume},
	{"sink replay", "deliver records to a sink again",
	 "Mirrors take the records over what they hold. Sinks that write "
	 "files write them anew from the beginning and swap them in.",
	 replay_options, one_operand, CLI_ASKS, run_replay},
	{"sink dead-letters", "list what a sink refused; show, retry, discard",
	 "Without a sequence, retry and discard take all of them. A discarded "
	 "record is passed over for this sink; the journal keeps it.",
	 NULL, dead_operands, CLI_SINKS | CLI_ASKS, sink_dead},
	{"sink remove", "remove a sink's settings",
	 "What the sink wrote stays. Dead letters and the cursor stay too, "
	 "unless --purge is given.",
	 remove_options, one_operand, CLI_ASKS, run_remove},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
