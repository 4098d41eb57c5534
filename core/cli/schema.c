/* SPDX-License-Identifier: MIT */
/*
 * Schemas. What a command changes goes as a JSON merge patch; what is answered
 * is the schema, printed as it came or as a table.
 */
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/schemaview.h"

#include <stdio.h>
#include <string.h>

#define BODY_MAX (4u << 20)
#define TRIES	 20

/* ---- asking -------------------------------------------------------------- */

/* "/v1/schemas/NAME" and more; name NULL: none. */
static void
put_target(struct buf *out, const char *name, const char *more)
{
	buf_init(out, 8192);
	buf_puts(out, "/v1/schemas");
	if (name != NULL) {
		buf_putc(out, '/');
		call_encode(out, str_of(name));
	}
	buf_puts(out, more);
}

/* Sends it and prints the schema that is answered. */
static int
send_change(struct cli *c, const char *method, const char *target,
	    struct weir_str body, unsigned flags, struct weir_err *err)
{
	struct call_answer a = {0};
	struct weir_str schema;
	int rc = call_api(c, &a, method, target, body, flags, err);

	if (rc == 0)
		rc = json_check(buf_str(&a.body), &schema, "answer", err);
	if (rc == 0 && c->json)
		rc = out_json(c, schema, err);
	else if (rc == 0)
		schemaview_one(c, schema);
	call_free(&a);
	return rc;
}

/* The options --aggregate of a change, sent as a merge patch. */
static int
send_patch(struct cli *c, struct buf *body, struct weir_err *err)
{
	struct buf target;
	int rc;

	put_target(&target, cli_get(c, "aggregate"), "");
	rc = body->failed || target.failed
		     ? err_nomem(err)
		     : send_change(c, "PATCH", buf_cstr(&target), buf_str(body),
				   0, err);
	buf_fini(&target);
	return rc;
}

/* "events":["a","b"] of --events a,b, which may be given many times. */
static int
put_events(struct cli *c, struct buf *body, struct weir_err *err)
{
	size_t at = 0, n = 0;
	const char *text;

	buf_puts(body, "\"events\":[");
	while ((text = cli_next(c, "events", &at)) != NULL) {
		for (const char *p = text;; p++) {
			size_t len = strcspn(p, ",");
			if (len == 0)
				return err_set(err, WEIR_EUSAGE,
					       "--events takes names with "
					       "commas between them, not "
					       "\"%s\"",
					       text);
			if (n++ > 0)
				buf_putc(body, ',');
			json_put_string(body, (struct weir_str){p, len});
			p += len;
			if (*p == '\0')
				break;
		}
	}
	buf_putc(body, ']');
	return 0;
}

/* ,"snapshot_threshold":N when it is given; none takes it away. */
static int
put_threshold(struct cli *c, struct buf *body, struct weir_err *err)
{
	const char *text = cli_get(c, "snapshot-threshold");
	uint64_t n = 0;

	if (text == NULL)
		return 0;
	if (strcmp(text, "none") == 0)
		return buf_puts(body, ",\"snapshot_threshold\":null");
	if (str_u64(&n, str_of(text)) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--snapshot-threshold takes a number or none, "
			       "not \"%s\"",
			       text);
	return buf_printf(body, ",\"snapshot_threshold\":%llu",
			  (unsigned long long)n);
}

/* ---- create, add, remove, list, show ------------------------------------- */

static int
run_create(struct cli *c, struct weir_err *err)
{
	struct buf body;
	int rc;

	buf_init(&body, BODY_MAX);
	buf_puts(&body, "{\"aggregate\":");
	json_put_string(&body, str_of(cli_get(c, "aggregate")));
	buf_putc(&body, ',');
	rc = put_events(c, &body, err);
	if (rc == 0)
		rc = put_threshold(c, &body, err);
	if (rc == 0 && buf_putc(&body, '}') != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = send_change(c, "POST", "/v1/schemas", buf_str(&body),
				 CALL_CREATE, err);
	buf_fini(&body);
	return rc;
}

static int
run_add(struct cli *c, struct weir_err *err)
{
	struct buf body;
	int rc;

	buf_init(&body, BODY_MAX);
	buf_putc(&body, '{');
	rc = put_events(c, &body, err);
	buf_putc(&body, '}');
	if (rc == 0)
		rc = send_patch(c, &body, err);
	buf_fini(&body);
	return rc;
}

static int
run_remove(struct cli *c, struct weir_err *err)
{
	struct buf target;
	int rc;

	put_target(&target, cli_get(c, "aggregate"), "/events/");
	call_encode(&target, str_of(cli_get(c, "event")));
	rc = target.failed ? err_nomem(err)
			   : send_change(c, "DELETE", buf_cstr(&target),
					 (struct weir_str){NULL, 0}, 0, err);
	buf_fini(&target);
	return rc;
}

static int
run_list(struct cli *c, struct weir_err *err)
{
	struct call_answer a = {0};
	struct weir_str all;
	int rc = call_api(c, &a, "GET", "/v1/schemas",
			  (struct weir_str){NULL, 0}, 0, err);

	if (rc == 0)
		rc = json_check(buf_str(&a.body), &all, "answer", err);
	if (rc == 0 && c->json)
		rc = out_json(c, all, err);
	else if (rc == 0)
		schemaview_list(c, all);
	call_free(&a);
	return rc;
}

static int
run_show(struct cli *c, struct weir_err *err)
{
	struct buf target;
	int rc;

	put_target(&target, cli_get(c, "aggregate"), "");
	rc = target.failed ? err_nomem(err)
			   : send_change(c, "GET", buf_cstr(&target),
					 (struct weir_str){NULL, 0}, 0, err);
	buf_fini(&target);
	return rc;
}

/* ---- history ------------------------------------------------------------- */

/* Page by page. */
static int
run_history(struct cli *c, struct weir_err *err)
{
	struct weir_str all = {NULL, 0}, key, value;
	unsigned long long skip = 0;
	struct json_iter it;
	size_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		struct call_answer a = {0};
		struct buf target;
		char more[64];

		snprintf(more, sizeof(more), "/history?skip=%llu", skip);
		put_target(&target, cli_get(c, "aggregate"), more);
		rc = call_api(c, &a, "GET", buf_cstr(&target),
			      (struct weir_str){NULL, 0}, 0, err);
		if (rc == 0)
			rc = json_check(buf_str(&a.body), &all, "answer", err);
		n = 0;
		if (rc == 0 && !c->json)
			schemaview_history(c, all);
		if (rc == 0)
			json_iter_init(&it, all);
		while (rc == 0 && json_iter_next(&it, &key, &value)) {
			if (c->json) {
				json_put_compact(&c->out, value);
				buf_putc(&c->out, '\n');
			}
			n++;
		}
		skip += n;
		buf_fini(&target);
		call_free(&a);
	}
	return rc;
}

/* ---- set ----------------------------------------------------------------- */

/* "name":{"type":T,"required":R} of NAME[:TYPE]. */
static int
put_field(struct buf *body, const char *text, bool required,
	  struct weir_err *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);

	if (len == 0)
		return err_set(err, WEIR_EUSAGE,
			       "a field is NAME or NAME:TYPE, not \"%s\"",
			       text);
	json_put_string(body, (struct weir_str){text, len});
	buf_puts(body, ":{\"type\":");
	if (colon != NULL && colon[1] != '\0')
		json_put_string(body, str_of(colon + 1));
	else
		buf_puts(body, "null");
	return buf_printf(body, ",\"required\":%s}",
			  required ? "true" : "false");
}

static int
put_fields(struct cli *c, struct buf *body, const char *event,
	   struct weir_err *err)
{
	const char *text, *comma = "";
	size_t at = 0;
	int rc = 0;

	buf_puts(body, ",\"events\":{");
	json_put_string(body, str_of(event));
	buf_puts(body, ":{\"fields\":{");
	while (rc == 0 && (text = cli_next(c, "field", &at)) != NULL) {
		buf_puts(body, comma);
		rc = put_field(body, text, true, err);
		comma = ",";
	}
	at = 0;
	while (rc == 0 && (text = cli_next(c, "optional-field", &at)) != NULL) {
		buf_puts(body, comma);
		rc = put_field(body, text, false, err);
		comma = ",";
	}
	at = 0;
	while (rc == 0 && (text = cli_next(c, "drop-field", &at)) != NULL) {
		buf_puts(body, comma);
		json_put_string(body, str_of(text));
		buf_puts(body, ":null");
		comma = ",";
	}
	buf_puts(body, "}}}");
	return rc;
}

static int
run_set(struct cli *c, struct weir_err *err)
{
	const char *event = cli_get(c, "event");
	size_t fields = cli_count(c, "field") + cli_count(c, "drop-field") +
			cli_count(c, "optional-field");
	struct buf body;
	int rc;

	if ((event != NULL) != (fields > 0))
		return err_set(err, WEIR_EUSAGE,
			       event != NULL
				       ? "--event needs --field, "
					 "--optional-field or --drop-field"
				       : "fields belong to an event: give "
					 "--event");
	buf_init(&body, BODY_MAX);
	buf_puts(&body, "{\"aggregate\":");
	json_put_string(&body, str_of(cli_get(c, "aggregate")));
	rc = put_threshold(c, &body, err);
	if (rc == 0 && event != NULL)
		rc = put_fields(c, &body, event, err);
	buf_putc(&body, '}');
	if (rc == 0)
		rc = send_patch(c, &body, err);
	buf_fini(&body);
	return rc;
}

/* ---- lock, unlock -------------------------------------------------------- */

static bool
is_given(struct cli *c, struct weir_str raw)
{
	const char *text;
	size_t at = 0;

	while ((text = cli_next(c, "field", &at)) != NULL)
		if (json_string_is(raw, text))
			return true;
	return false;
}

/* The present locks with those of --field added, or taken out. */
static void
put_locks(struct cli *c, struct buf *body, struct weir_str schema, bool lock)
{
	const char *text, *comma = "";
	struct weir_str key, value;
	struct json_iter it;
	size_t at = 0;

	buf_puts(body, "{\"version\":");
	buf_add_str(body, schemaview_member(schema, "version"));
	buf_puts(body, ",\"field_locks\":[");
	json_iter_init(&it, schemaview_member(schema, "field_locks"));
	while (json_iter_next(&it, &key, &value)) {
		if (is_given(c, value))
			continue;
		buf_puts(body, comma);
		buf_add_str(body, value);
		comma = ",";
	}
	while (lock && (text = cli_next(c, "field", &at)) != NULL) {
		buf_puts(body, comma);
		json_put_string(body, str_of(text));
		comma = ",";
	}
	buf_puts(body, "]}");
}

/* Reads the schema and changes it at that version. */
static int
lock_fields(struct cli *c, bool lock, struct weir_err *err)
{
	struct call_answer a = {0};
	struct buf target, body;
	struct weir_str schema;
	int rc;

	put_target(&target, cli_get(c, "aggregate"), "");
	buf_init(&body, BODY_MAX);
	rc = call_api(c, &a, "GET", buf_cstr(&target),
		      (struct weir_str){NULL, 0}, 0, err);
	if (rc == 0)
		rc = json_check(buf_str(&a.body), &schema, "answer", err);
	if (rc == 0) {
		put_locks(c, &body, schema, lock);
		rc = send_patch(c, &body, err);
	}
	buf_fini(&body);
	buf_fini(&target);
	call_free(&a);
	return rc;
}

static int
set_lock(struct cli *c, bool lock, struct weir_err *err)
{
	int rc = WEIR_ECONFLICT;

	if (cli_count(c, "field") == 0) {
		struct buf body;
		buf_init(&body, 64);
		buf_printf(&body, "{\"locked\":%s}", lock ? "true" : "false");
		rc = send_patch(c, &body, err);
		buf_fini(&body);
		return rc;
	}
	for (int i = 0; rc == WEIR_ECONFLICT && i < TRIES; i++)
		rc = lock_fields(c, lock, err);
	return rc;
}

static int
run_lock(struct cli *c, struct weir_err *err)
{
	return set_lock(c, true, err);
}

static int
run_unlock(struct cli *c, struct weir_err *err)
{
	return set_lock(c, false, err);
}

/* ---- delete, restriction ------------------------------------------------- */

static int
run_delete(struct cli *c, struct weir_err *err)
{
	const char *name = cli_get(c, "aggregate");
	struct call_answer a = {0};
	struct buf target;
	int rc;

	put_target(&target, name, "");
	/* One that is not there is not asked about. */
	rc = call_api(c, &a, "GET", buf_cstr(&target),
		      (struct weir_str){NULL, 0}, 0, err);
	call_free(&a);
	if (rc == 0 && cli_ask(c, "declare %s no more", name) == 1) {
		a = (struct call_answer){0};
		rc = call_api(c, &a, "DELETE", buf_cstr(&target),
			      (struct weir_str){NULL, 0}, 0, err);
		if (rc == 0)
			cli_note(c, "%s is declared no more", name);
		call_free(&a);
	}
	buf_fini(&target);
	return rc;
}

static int
run_restriction(struct cli *c, struct weir_err *err)
{
	const char *value = cli_get(c, "VALUE");
	struct call_answer a = {0};
	struct weir_str answer;
	struct buf body;
	int rc;

	buf_init(&body, 256);
	if (value != NULL) {
		buf_puts(&body, "{\"restriction\":");
		json_put_string(&body, str_of(value));
		buf_putc(&body, '}');
	}
	if (body.failed)
		rc = err_set(err, WEIR_EUSAGE,
			     "the restriction is true, strict or false");
	else
		rc = call_api(c, &a, value != NULL ? "PUT" : "GET",
			      "/v1/restriction",
			      value != NULL ? buf_str(&body)
					    : (struct weir_str){NULL, 0},
			      value != NULL ? CALL_CREATE : 0, err);
	if (rc == 0)
		rc = json_check(buf_str(&a.body), &answer, "answer", err);
	if (rc == 0 && c->json) {
		rc = out_json(c, answer, err);
	} else if (rc == 0) {
		buf_clear(&body);
		json_decode_buf(&body,
				schemaview_member(answer, "restriction"));
		buf_printf(&c->out, "%s\n", buf_cstr(&body));
	}
	buf_fini(&body);
	call_free(&a);
	return rc;
}

/* ---- the commands -------------------------------------------------------- */

#define AGGREGATE                                                              \
	{                                                                      \
		"aggregate", 0, "A", CLI_REQUIRED, "the aggregate's type"      \
	}
#define EVENTS                                                                 \
	{                                                                      \
		"events", 0, "E1,E2", CLI_REQUIRED | CLI_MANY,                 \
			"event types, with commas between them"                \
	}
#define END                                                                    \
	{                                                                      \
		NULL, 0, NULL, 0, NULL                                         \
	}

static const struct cli_operand named[] = {
	{"A", "aggregate", 0},
	{NULL, NULL, 0},
};

static const struct cli_operand value_operand[] = {
	{"VALUE", NULL, 0},
	{NULL, NULL, 0},
};

static const struct cli_option create_options[] = {
	AGGREGATE,
	EVENTS,
	{"snapshot-threshold", 0, "N", 0,
	 "take a snapshot after so many records"},
	END};

static const struct cli_option add_options[] = {AGGREGATE, EVENTS, END};

static const struct cli_option remove_options[] = {
	AGGREGATE, {"event", 0, "E", CLI_REQUIRED, "the event's type"}, END};

static const struct cli_option set_options[] = {
	AGGREGATE,
	{"event", 0, "E", 0, "the event whose fields are declared"},
	{"field", 0, "NAME:TYPE", CLI_MANY,
	 "a field it must have; without :TYPE of any type"},
	{"optional-field", 0, "NAME:TYPE", CLI_MANY, "a field it may have"},
	{"drop-field", 0, "NAME", CLI_MANY, "declare a field no more"},
	{"snapshot-threshold", 0, "N", 0,
	 "take a snapshot after so many records; none"},
	END};

static const struct cli_option lock_options[] = {
	AGGREGATE,
	{"field", 0, "NAME", CLI_MANY,
	 "only this field of the payload, not the whole aggregate"},
	END};

static const struct cli_option name_options[] = {AGGREGATE, END};

const struct cli_command schema_commands[] = {
	{"schema create", "declare an aggregate type and its events",
	 "From then on, only these events are taken (see schema restriction). "
	 "An event takes any payload until schema set declares its fields.",
	 create_options, named, 0, run_create},
	{"schema add", "declare more events", NULL, add_options, named, 0,
	 run_add},
	{"schema remove", "declare an event no more",
	 "The last one can't be removed.", remove_options, named, 0,
	 run_remove},
	{"schema set", "declare the fields of an event",
	 "An event with declared fields takes these and no others. A type is "
	 "one of plugin map's: text, boolean, bigint, numeric(12,2), "
	 "timestamptz, uuid, jsonb and so on, and also the type of the "
	 "field's column in sinks. An event that is not declared yet is.",
	 set_options, named, 0, run_set},
	{"schema lock", "refuse all events of an aggregate type, or a field",
	 NULL, lock_options, named, 0, run_lock},
	{"schema unlock", "take a lock away", NULL, lock_options, named, 0,
	 run_unlock},
	{"schema list", "list what is declared", NULL, NULL, NULL, 0, run_list},
	{"schema show", "show what is declared of an aggregate type", NULL,
	 name_options, named, 0, run_show},
	{"schema history", "show each version of a schema, and who made it",
	 "With --json: one record a line.", name_options, named, 0,
	 run_history},
	{"schema delete", "declare an aggregate type no more",
	 "Its history stays and can be read.", name_options, named, CLI_ASKS,
	 run_delete},
	{"schema restriction", "show or set what is checked",
	 "true: events of declared aggregate types. strict: undeclared types "
	 "are refused as well. false: nothing.",
	 NULL, value_operand, 0, run_restriction},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
