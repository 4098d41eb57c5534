/* SPDX-License-Identifier: MIT */
/* Appending events, and reading records in global order. */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"
#include "model/draft.h"
#include "store/reader.h"

#define KEY_MAX 255u

/* ---- POST /v1/events ----------------------------------------------------- */

static bool
is_array(struct weir_str text)
{
	size_t i = 0;

	while (i < text.len && strchr(" \t\r\n", text.data[i]) != NULL &&
	       text.data[i] != '\0')
		i++;
	return i < text.len && text.data[i] == '[';
}

static size_t
count_items(struct weir_str array)
{
	struct weir_str key, value;
	struct json_iter it;
	size_t n = 0;

	json_iter_init(&it, array);
	while (json_iter_next(&it, &key, &value))
		n++;
	return n;
}

/* A problem with the i-th event of several. */
static int
fail_event(struct api_call *c, size_t i, struct weir_err *err)
{
	int code = err->code;

	if (c->ndrafts > 1) {
		err_prefix(err, "event %zu", i + 1);
		err->code = code;
		err->sequence = i + 1;
	}
	return api_fail(c, err);
}

/* What the header fields say of the events. */
struct fields {
	bool expects;
	uint64_t expected;
	struct weir_str key;	     /* Idempotency-Key, or absent */
	struct weir_str traceparent; /* or absent */
};

static bool
is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f'))
			return false;
	return true;
}

/* W3C trace context of version 00; another one is left out, as it says. */
static struct weir_str
good_traceparent(const char *s)
{
	struct weir_str none = {NULL, 0};

	if (s == NULL || strlen(s) != 55 || memcmp(s, "00-", 3) != 0 ||
	    s[35] != '-' || s[52] != '-' || !is_hex(s + 3, 32) ||
	    !is_hex(s + 36, 16) || !is_hex(s + 53, 2) ||
	    strspn(s + 3, "0") == 32 || strspn(s + 36, "0") == 16)
		return none;
	return str_of(s);
}

static int
take_fields(struct api_call *c, struct fields *f, bool one)
{
	int given = api_expected(c, &f->expected);

	if (given < 0)
		return -1;
	f->expects = given > 0;
	f->traceparent = good_traceparent(api_header(c, "traceparent"));
	f->key = str_of(api_header(c, "Idempotency-Key"));
	if (f->key.len > 1 && f->key.data[0] == '"' &&
	    f->key.data[f->key.len - 1] == '"') {
		f->key.data++;
		f->key.len -= 2;
	}
	if (f->key.data != NULL && (f->key.len == 0 || f->key.len > KEY_MAX)) {
		api_refuse(c, 400, WEIR_EINPUT,
			   "Idempotency-Key takes 1 to %u bytes", KEY_MAX);
		return -1;
	}
	if (f->expects && !one) {
		api_refuse(c, 400, WEIR_EINPUT,
			   "If-Match and If-None-Match go with one event; give "
			   "expected_version to each of several");
		return -1;
	}
	c->on_version = f->expects ? 412 : 0;
	c->on_id = f->key.data != NULL ? 422 : 0;
	return 0;
}

/* The event's id from the key: the key itself when it is a UUID and stands for
 * one event, else what SHA-256 makes of who sent it, the key, and the event's
 * number among n. */
static void
id_of_key(uint8_t id[16], const struct record_draft *d, struct weir_str key,
	  size_t i, size_t n)
{
	uint8_t lengths[16], digest[DIGEST_LEN];
	struct digest_part parts[] = {
		{"weir idempotency key", 20},  {lengths, sizeof(lengths)},
		{d->group.data, d->group.len}, {d->user.data, d->user.len},
		{key.data, key.len},
	};
	uint32_t numbers[] = {(uint32_t)d->group.len, (uint32_t)d->user.len,
			      (uint32_t)key.len, (uint32_t)i};

	if (n == 1 && uuid_parse(id, key) == 0)
		return;
	for (size_t k = 0; k < sizeof(lengths); k++)
		lengths[k] = (uint8_t)(numbers[k / 4] >> (8 * (k % 4)));
	digest_sha256(digest, parts, sizeof(parts) / sizeof(parts[0]));
	uuid_from_hash(id, digest);
}

static int
take_key(struct record_draft *d, const struct fields *f, size_t i, size_t n,
	 struct weir_err *err)
{
	uint8_t id[16];

	if (f->key.data == NULL)
		return 0;
	id_of_key(id, d, f->key, i, n);
	if (d->has_event_id && memcmp(id, d->event_id, sizeof(id)) != 0)
		return err_set(err, WEIR_EINPUT,
			       "give event_id or Idempotency-Key, not both");
	memcpy(d->event_id, id, sizeof(id));
	d->has_event_id = true;
	return 0;
}

static int
take_expected(struct record_draft *d, const struct fields *f,
	      struct weir_err *err)
{
	if (!f->expects)
		return 0;
	if (d->expected != EXPECT_ANY && d->expected != f->expected)
		return err_set(err, WEIR_EINPUT,
			       "expected_version and If-Match or If-None-Match "
			       "differ; give one of them");
	d->expected = f->expected;
	return 0;
}

/* What the body does not say of the i-th event: who, and the header fields.
 * -1 after an answer. */
static int
complete(struct api_call *c, size_t i, const struct fields *f)
{
	struct record_draft *d = draft_record(c->drafts[i]);
	struct weir_err err = {0};
	int rc;

	if (api_may(c, POLICY_APPEND, d->aggregate_type, d->aggregate_id) != 0)
		return -1;
	if (d->traceparent.data == NULL)
		d->traceparent = f->traceparent;
	api_actor(c, d);
	rc = take_key(d, f, i, c->ndrafts, &err);
	if (rc == 0)
		rc = take_expected(d, f, &err);
	if (rc != 0)
		fail_event(c, i, &err);
	return rc;
}

static int
append_array(struct api_call *c)
{
	struct weir_str array, key, value;
	struct weir_err err = {0};
	struct fields f = {0};
	struct json_iter it;
	size_t n, i = 0;

	if (json_check_depth(buf_str(&c->body), &array, WEIR_DEPTH_MAX + 2,
			     "body", &err) != 0)
		return api_fail(c, &err);
	n = count_items(array);
	if (n == 0 || n > WEIR_COMMIT_RECORDS_MAX)
		return api_refuse(c, 400, WEIR_EINPUT,
				  "a commit takes 1 to %u events, not %zu",
				  WEIR_COMMIT_RECORDS_MAX, n);
	if (take_fields(c, &f, n == 1) != 0 || api_drafts(c, n) != 0)
		return 0;
	json_iter_init(&it, array);
	for (; json_iter_next(&it, &key, &value); i++) {
		if (draft_parse_body(c->drafts[i], value, true, &err) != 0)
			return fail_event(c, i, &err);
		if (complete(c, i, &f) != 0)
			return 0;
	}
	return api_submit(c);
}

static int
run_append(struct api_call *c)
{
	static const char *const params[] = {NULL};
	struct weir_err err = {0};
	struct fields f = {0};

	if (api_query_known(c, params) != 0)
		return 0;
	if (is_array(buf_str(&c->body)))
		return append_array(c);
	if (take_fields(c, &f, true) != 0 || api_drafts(c, 1) != 0)
		return 0;
	if (draft_parse_body(c->drafts[0], buf_str(&c->body), false, &err) != 0)
		return api_fail(c, &err);
	if (complete(c, 0, &f) != 0)
		return 0;
	return api_submit(c);
}

/* Where the aggregate of one event is, and its version. */
static void
put_place(struct api_call *c)
{
	const struct record_draft *d = draft_record(c->drafts[0]);
	struct buf *b = api_field_begin(c, "Location");

	buf_puts(b, "/v1/aggregates/");
	api_put_encoded(b, d->aggregate_type);
	buf_putc(b, '/');
	api_put_encoded(b, d->aggregate_id);
	api_field_end(c);
	api_etag(c, c->receipts[0].version);
}

static int
put_records(struct api_call *c, struct weir_err *err)
{
	struct reader *r = api_reader(c);
	int rc = r != NULL ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && i < c->ndrafts; i++) {
		if (i > 0)
			buf_putc(&c->out, ',');
		rc = reader_receipt_json(r, &c->out, &c->receipts[i], err);
	}
	api_reader_back(c, r);
	return rc;
}

static void
finish_append(struct api_call *c)
{
	bool array = is_array(buf_str(&c->body));
	struct weir_err err = {0};
	int rc;

	if (array)
		buf_putc(&c->out, '[');
	rc = put_records(c, &err);
	if (array)
		buf_putc(&c->out, ']');
	if (rc != 0) {
		api_fail(c, &err);
		return;
	}
	if (!array)
		put_place(c);
	api_reply(c, c->receipts[0].duplicate ? 200 : 201);
}

const struct api_route api_events_routes[] = {
	{"GET", "/v1/events", API_READ, api_records_run, NULL},
	{"POST", "/v1/events", API_APPEND | API_JSON, run_append,
	 finish_append},
	{NULL, NULL, 0, NULL, NULL},
};
