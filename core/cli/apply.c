/* SPDX-License-Identifier: MIT */
/*
 * weir aggregate apply: one record from options. --payload gives the payload's
 * bytes; --field sets top-level members of it, in place where they are.
 */
#include "cli/aggregate.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"
#include "cli/call.h"
#include "model/draft.h"
#include "model/schema.h"
#include "store/reader.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct field {
	char name[WEIR_NAME_MAX + 1];
	const char *value;
	bool typed; /* value is JSON, else a string */
};

/* All of a file or of standard input ("-"), at most a payload's length. */
static int
read_whole(struct buf *out, const char *path, struct weir_err *err)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	int fd = STDIN_FILENO, rc = 0;

	if (name == path)
		fd = os_open(path, O_RDONLY, 0, err);
	if (fd < 0)
		return err_prefix(err, "--payload");
	for (;;) {
		char chunk[16384];
		ssize_t n = os()->read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(err, "reading the payload from %s", name);
		if (n <= 0)
			break;
		if (buf_add(out, chunk, (size_t)n) != 0) {
			rc = err_set(err, WEIR_EINPUT,
				     "the payload from %s is longer than %u "
				     "bytes",
				     name, WEIR_PAYLOAD_MAX);
			break;
		}
	}
	if (fd != STDIN_FILENO)
		os_close(fd);
	return rc;
}

static int
parse_field(struct field *f, const char *text, struct weir_err *err)
{
	const char *eq = strchr(text, '=');
	size_t len = eq != NULL ? (size_t)(eq - text) : 0;
	struct weir_str value, name;
	char what[WEIR_NAME_MAX + 16];
	int rc;

	if (eq == NULL)
		return err_set(err, WEIR_EUSAGE,
			       "--field takes NAME=TEXT or NAME:=JSON, not "
			       "\"%s\"",
			       text);
	f->typed = len > 0 && text[len - 1] == ':';
	f->value = eq + 1;
	name = (struct weir_str){text, f->typed ? len - 1 : len};
	rc = str_check_name(name, "field", WEIR_NAME_MAX, false, err);
	if (rc != 0)
		return rc;
	memcpy(f->name, name.data, name.len);
	f->name[name.len] = '\0';
	snprintf(what, sizeof(what), "--field %s", f->name);
	if (f->typed)
		return json_check(str_of(f->value), &value, what, err);
	return 0;
}

/* The schema of the aggregate as JSON; absent when there is none, or none that
 * we may see. */
static int
load_schema(struct cli *c, struct call_answer *a, struct weir_str *schema,
	    struct weir_err *err)
{
	struct buf target;
	int rc;

	buf_init(&target, CLI_TEXT_MAX);
	buf_puts(&target, "/v1/schemas/");
	call_encode(&target, str_of(cli_get(c, "aggregate")));
	rc = target.failed ? err_nomem(err)
			   : call_api(c, a, "GET", buf_cstr(&target),
				      (struct weir_str){NULL, 0}, 0, err);
	buf_fini(&target);
	if (rc == WEIR_ENOTFOUND || rc == WEIR_EDENIED)
		return 0;
	return rc == 0 ? json_check(buf_str(&a->body), schema, "answer", err)
		       : rc;
}

/* The type that any event declares for a field: true, or false. */
static bool
declared_type(char out[64], struct weir_str schema, const char *name)
{
	struct weir_str key, event, fields, field, type, events = schema;
	struct json_iter it;

	if (!json_get(schema, "events", &events))
		return false;
	json_iter_init(&it, events);
	while (json_iter_next(&it, &key, &event)) {
		if (json_get(event, "fields", &fields) &&
		    json_get(fields, name, &field) &&
		    json_get(field, "type", &type) &&
		    json_kind(type) == WEIR_STRING && type.len <= 64) {
			out[json_decode(out, type)] = '\0';
			return true;
		}
	}
	return false;
}

/* K=V takes the declared type of K, where there is one. */
static int
type_fields(struct cli *c, struct field *fields, size_t n, struct weir_err *err)
{
	struct weir_str schema = {NULL, 0};
	struct call_answer a = {0};
	char type[64], shown[80];
	bool any = false;
	int rc = 0, as;

	for (size_t i = 0; i < n; i++)
		any |= !fields[i].typed;
	if (any)
		rc = load_schema(c, &a, &schema, err);
	for (size_t i = 0; rc == 0 && schema.data != NULL && i < n; i++) {
		struct field *f = &fields[i];

		if (f->typed || !declared_type(type, schema, f->name))
			continue;
		as = schema_type_read(type, str_of(f->value));
		f->typed = as > 0;
		if (as < 0)
			rc = err_set(err, WEIR_EINPUT,
				     "--field %s: the schema declares it as "
				     "%s, which \"%s\" is not",
				     f->name, type,
				     str_show(shown, sizeof(shown),
					      str_of(f->value)));
	}
	call_free(&a);
	return rc;
}

static void
put_value(struct buf *b, const struct field *f)
{
	if (f->typed)
		buf_puts(b, f->value);
	else
		json_put_string(b, str_of(f->value));
}

/* The members of base (absent: none) with the fields set over them. */
static int
merge_fields(struct buf *out, struct weir_str base, const struct field *fields,
	     size_t n, struct weir_err *err)
{
	struct weir_str key, value;
	struct json_iter it;
	bool *done = must_mem(n + 1);
	const char *comma = "";

	buf_putc(out, '{');
	if (base.data != NULL)
		json_iter_init(&it, base);
	while (base.data != NULL && json_iter_next(&it, &key, &value)) {
		const struct field *set = NULL;

		for (size_t i = 0; i < n; i++) {
			if (json_string_is(key, fields[i].name)) {
				set = &fields[i];
				done[i] = true;
			}
		}
		buf_puts(out, comma);
		buf_add_str(out, key);
		buf_putc(out, ':');
		if (set != NULL)
			put_value(out, set);
		else
			buf_add_str(out, value);
		comma = ",";
	}
	for (size_t i = 0; i < n; i++) {
		bool again = done[i];

		/* the last value given for a name holds */
		for (size_t k = i + 1; k < n; k++)
			again |= strcmp(fields[i].name, fields[k].name) == 0;
		if (again)
			continue;
		buf_puts(out, comma);
		json_put_string(out, str_of(fields[i].name));
		buf_putc(out, ':');
		put_value(out, &fields[i]);
		comma = ",";
	}
	buf_putc(out, '}');
	mem_free(done);
	return out->failed ? err_set(err, WEIR_EINPUT,
				     "the payload is longer than %u bytes",
				     WEIR_PAYLOAD_MAX)
			   : 0;
}

/* The payload's bytes into out, from --payload and --field. */
static int
build_payload(struct cli *c, struct buf *out, enum weir_content content,
	      struct weir_err *err)
{
	const char *payload = cli_get(c, "payload"), *text;
	size_t n = cli_count(c, "field"), i = 0, at = 0;
	struct weir_str base = {NULL, 0};
	struct field *fields;
	struct buf given;
	int rc = 0;

	if (n > 0 && content != WEIR_CONTENT_JSON)
		return err_set(err, WEIR_EUSAGE,
			       "--field goes with --content json only");
	buf_init(&given, WEIR_PAYLOAD_MAX);
	fields = must_mem((n + 1) * sizeof(*fields));
	while (rc == 0 && (text = cli_next(c, "field", &at)) != NULL)
		rc = parse_field(&fields[i++], text, err);
	if (rc == 0)
		rc = type_fields(c, fields, n, err);
	if (rc == 0 && payload != NULL && strcmp(payload, "-") == 0)
		rc = read_whole(&given, "-", err);
	else if (rc == 0 && payload != NULL && payload[0] == '@')
		rc = read_whole(&given, payload + 1, err);
	else if (rc == 0 && payload != NULL && buf_puts(&given, payload) != 0)
		rc = err_set(err, WEIR_EINPUT,
			     "the payload is longer than %u bytes",
			     WEIR_PAYLOAD_MAX);
	if (rc == 0 && n > 0 && payload != NULL) {
		rc = json_check(buf_str(&given), &base, "payload", err);
		if (rc == 0 && json_kind(base) != WEIR_OBJECT)
			rc = err_set(err, WEIR_EINPUT,
				     "--field needs a payload that is a JSON "
				     "object");
	}
	if (rc == 0 &&
	    (n > 0 || (payload == NULL && content == WEIR_CONTENT_JSON)))
		rc = merge_fields(out, base, fields, n, err);
	else if (rc == 0 && buf_add_str(out, buf_str(&given)) != 0)
		rc = err_nomem(err);
	mem_free(fields);
	buf_fini(&given);
	return rc;
}

static int
parse_expected(uint64_t *out, const char *text, struct weir_err *err)
{
	if (text == NULL || strcmp(text, "any") == 0)
		*out = EXPECT_ANY;
	else if (strcmp(text, "exists") == 0)
		*out = EXPECT_EXISTS;
	else if (strcmp(text, "none") == 0)
		*out = 0;
	else if (str_u64(out, str_of(text)) != 0 || *out >= EXPECT_EXISTS)
		return err_set(err, WEIR_EUSAGE,
			       "--expected-version takes a number, none, any "
			       "or exists, not \"%s\"",
			       text);
	return 0;
}

static int
fill_ids(struct cli *c, struct record_draft *r, struct weir_err *err)
{
	const char *id = cli_get(c, "event-id");
	const char *created = cli_get(c, "created-at"), *why = NULL;

	if (id != NULL && uuid_parse(r->event_id, str_of(id)) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--event-id takes a UUID, not \"%s\"", id);
	r->has_event_id = id != NULL;
	if (created != NULL &&
	    clock_parse(&r->created_at, str_of(created), &why) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--created-at takes a time such as "
			       "2026-01-31T12:00:00Z, not \"%s\": %s",
			       created, why);
	r->has_created_at = created != NULL;
	return 0;
}

/* Fills the draft from the options. tags has room for all that were given. */
static int
fill_draft(struct cli *c, struct draft *d, struct buf *payload,
	   struct weir_str *tags, struct weir_err *err)
{
	const char *content = cli_get(c, "content"), *tag;
	struct record_draft *r = draft_record(d);
	size_t at = 0;
	int rc;

	r->content = content == NULL || strcmp(content, "json") == 0
			     ? WEIR_CONTENT_JSON
		     : strcmp(content, "text") == 0 ? WEIR_CONTENT_TEXT
						    : WEIR_CONTENT_BYTES;
	r->aggregate_type = str_of(cli_get(c, "aggregate"));
	r->aggregate_id = str_of(cli_get(c, "aggregate-id"));
	r->event_type = str_of(cli_get(c, "event"));
	r->correlation_id = str_of(cli_get(c, "correlation-id"));
	r->causation_id = str_of(cli_get(c, "causation-id"));
	r->traceparent = str_of(cli_get(c, "traceparent"));
	while ((tag = cli_next(c, "tag", &at)) != NULL)
		tags[r->ntags++] = str_of(tag);
	r->tags = tags;
	rc = parse_expected(&r->expected, cli_get(c, "expected-version"), err);
	if (rc == 0)
		rc = fill_ids(c, r, err);
	if (rc == 0)
		rc = build_payload(c, payload, r->content, err);
	r->payload = (struct weir_str){buf_cstr(payload), payload->len};
	if (rc == 0)
		rc = draft_set_os_actor(d, err);
	return rc != 0 ? rc : record_check(r, err);
}

static void
say_duplicate(struct cli *c)
{
	cli_note(c, "this event id was seen before: nothing was appended, this "
		    "is the original record");
}

/* Prints the record that a receipt speaks of. */
static int
print_receipt(struct cli *c, struct store *s, const struct receipt *receipt,
	      struct weir_err *err)
{
	struct reader *r = reader_new_mapped(s);
	struct buf line;
	int rc = r != NULL ? 0 : err_nomem(err);

	buf_init(&line, CLI_TEXT_MAX);
	if (rc == 0)
		rc = reader_receipt_json(r, &line, receipt, err);
	if (rc == 0)
		rc = out_json(c, buf_str(&line), err);
	buf_fini(&line);
	reader_free(r);
	return rc;
}

static void
put_text(struct buf *b, const char *name, struct weir_str value)
{
	if (value.data == NULL)
		return;
	buf_printf(b, ",\"%s\":", name);
	json_put_string(b, value);
}

static void
put_payload(struct buf *b, const struct record_draft *r)
{
	size_t n = str_base64_len(r->payload.len);

	if (r->content == WEIR_CONTENT_JSON) {
		buf_puts(b, ",\"payload\":");
		buf_add_str(b, r->payload);
	} else if (r->content == WEIR_CONTENT_TEXT) {
		buf_puts(b, ",\"content\":\"text\"");
		put_text(b, "payload", r->payload);
	} else {
		buf_puts(b, ",\"content\":\"bytes\",\"payload\":"
			    "{\"$base64\":\"");
		if (buf_reserve(b, n) == 0) {
			str_base64(b->data + b->len, r->payload.data,
				   r->payload.len);
			b->len += n;
		}
		buf_puts(b, "\"}");
	}
}

/* The body of POST /v1/events that says what the draft says. */
static void
put_body(struct buf *b, const struct record_draft *r, const char *expected)
{
	char text[40];

	buf_puts(b, "{\"aggregate_type\":");
	json_put_string(b, r->aggregate_type);
	put_text(b, "aggregate_id", r->aggregate_id);
	put_text(b, "event_type", r->event_type);
	put_payload(b, r);
	uuid_text(text, r->event_id);
	put_text(b, "event_id", str_of(text));
	if (r->has_created_at) {
		clock_text(text, r->created_at);
		put_text(b, "created_at", str_of(text));
	}
	if (r->expected < EXPECT_EXISTS)
		buf_printf(b, ",\"expected_version\":%" PRIu64, r->expected);
	else
		put_text(b, "expected_version", str_of(expected));
	put_text(b, "correlation_id", r->correlation_id);
	put_text(b, "causation_id", r->causation_id);
	put_text(b, "traceparent", r->traceparent);
	buf_puts(b, ",\"tags\":[");
	for (size_t i = 0; i < r->ntags; i++) {
		buf_puts(b, i > 0 ? "," : "");
		json_put_string(b, r->tags[i]);
	}
	buf_puts(b, "]}");
}

/* Appended by a server. With an event id it can be sent again when the server
 * goes away: the id finds the record. */
static int
apply_server(struct cli *c, struct record_draft *r, struct weir_err *err)
{
	bool own_id = r->has_event_id;
	struct call_answer a = {0};
	struct buf body;
	int rc = 0;

	buf_init(&body, CLI_TEXT_MAX);
	if (!own_id)
		rc = uuid_v7(r->event_id, err);
	put_body(&body, r, cli_get(c, "expected-version"));
	if (rc == 0 && body.failed)
		rc = err_nomem(err);
	if (rc == 0)
		rc = call_api(c, &a, "POST", "/v1/events", buf_str(&body),
			      CALL_AGAIN, err);
	if (rc == 0 && a.status == 200 && own_id)
		say_duplicate(c);
	if (rc == 0)
		rc = out_json(c, buf_str(&a.body), err);
	call_free(&a);
	buf_fini(&body);
	return rc;
}

static int
apply_here(struct cli *c, struct store *s, struct record_draft *r,
	   struct weir_err *err)
{
	struct receipt receipt;
	int rc = store_commit(s, &receipt, r, 1, err);

	if (rc == 0 && receipt.duplicate)
		say_duplicate(c);
	return rc != 0 ? rc : print_receipt(c, s, &receipt, err);
}

int
apply_run(struct cli *c, struct weir_err *err)
{
	struct weir_str *tags =
		must_mem((cli_count(c, "tag") + 1) * sizeof(*tags));
	struct draft *d = draft_new();
	enum call_way way = CALL_HERE;
	struct store *s = NULL;
	struct buf payload;
	int rc;

	buf_init(&payload, WEIR_PAYLOAD_MAX);
	rc = d != NULL ? fill_draft(c, d, &payload, tags, err) : err_nomem(err);
	if (rc == 0)
		rc = call_open_write(c, &s, &way, err);
	if (rc == 0)
		rc = way == CALL_HERE ? apply_here(c, s, draft_record(d), err)
				      : apply_server(c, draft_record(d), err);
	if (rc == 0)
		rc = out_flush(c, err);
	if (rc == 0)
		rc = way == CALL_HERE ? cli_deliver(c, s, NULL) : cli_await(c);
	cli_close(c, s);
	draft_free(d);
	buf_fini(&payload);
	mem_free(tags);
	return rc;
}
