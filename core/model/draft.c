/* SPDX-License-Identifier: MIT */
/*
 * A record read from one JSON object. One table names every member, the shapes
 * it may stand in and the function that takes it; the text has been checked by
 * the scanner before, so spans are walked without looking for errors again.
 *
 * The shape is fixed first: an object with "metadata" is an EventRecord, any
 * other is a body.
 */
#include "model/draft_int.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"

enum shape {
	BODY = 1 << 0,	   /* top level of a body */
	RECORD = 1 << 1,   /* top level of an EventRecord */
	METADATA = 1 << 2, /* in its metadata */
	ACTOR = 1 << 3	   /* in metadata.issued_by */
};

struct member {
	const char *name;
	unsigned shapes; /* enum shape */
	int (*take)(struct draft *d, struct weir_str raw, const char *name,
		    struct weir_err *err);
};

/* ---- values -------------------------------------------------------------- */

static int
want(const char *name, const char *what, struct weir_err *err)
{
	return err_set(err, WEIR_EINPUT, "%s must be %s", name, what);
}

static bool
is_null(struct weir_str raw)
{
	return json_kind(raw) == WEIR_NULL;
}

/* A JSON string, decoded; borrowed from the text when it has no escapes. */
static int
get_string(struct draft *d, struct weir_str *out, struct weir_str raw,
	   const char *name, struct weir_err *err)
{
	struct weir_str s = {raw.data + 1, raw.len - 2};
	char *p;

	if (json_kind(raw) != WEIR_STRING)
		return want(name, "a string", err);
	if (memchr(raw.data, '\\', raw.len) != NULL) {
		p = draft_room(d, s.len);
		if (p == NULL)
			return err_nomem(err);
		s.len = json_decode(p, raw);
		s.data = p;
	}
	*out = s;
	return 0;
}

/* The same; null leaves *out alone. */
static int
get_optional(struct draft *d, struct weir_str *out, struct weir_str raw,
	     const char *name, struct weir_err *err)
{
	return is_null(raw) ? 0 : get_string(d, out, raw, name, err);
}

static int
get_time(struct draft *d, int64_t *out, struct weir_str raw, const char *name,
	 struct weir_err *err)
{
	struct weir_str s;
	const char *why;
	char shown[64];
	int rc = get_string(d, &s, raw, name, err);

	if (rc != 0)
		return rc;
	if (clock_parse(out, s, &why) != 0)
		return err_set(err, WEIR_EINPUT,
			       "%s: %s in \"%s\"; write a time as "
			       "2026-01-31T12:00:00Z",
			       name, why, str_show(shown, sizeof(shown), s));
	return 0;
}

static int
get_number(uint64_t *out, struct weir_str raw, const char *name,
	   struct weir_err *err)
{
	if (json_kind(raw) != WEIR_NUMBER || json_u64(out, raw) != 0)
		return want(name, "a whole number of 0 or more", err);
	return 0;
}

/* ---- members ------------------------------------------------------------- */

static int
take_type(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	return get_string(d, &d->rec.aggregate_type, raw, name, err);
}

static int
take_id(struct draft *d, struct weir_str raw, const char *name,
	struct weir_err *err)
{
	return get_string(d, &d->rec.aggregate_id, raw, name, err);
}

static int
take_event(struct draft *d, struct weir_str raw, const char *name,
	   struct weir_err *err)
{
	return get_string(d, &d->rec.event_type, raw, name, err);
}

static int
take_payload(struct draft *d, struct weir_str raw, const char *name,
	     struct weir_err *err)
{
	(void)name;
	(void)err;
	d->payload = raw;
	d->has_payload = true;
	return 0;
}

static int
take_content(struct draft *d, struct weir_str raw, const char *name,
	     struct weir_err *err)
{
	return get_optional(d, &d->content, raw, name, err);
}

static int
take_payload_base64(struct draft *d, struct weir_str raw, const char *name,
		    struct weir_err *err)
{
	return get_optional(d, &d->payload_base64, raw, name, err);
}

static int
take_event_id(struct draft *d, struct weir_str raw, const char *name,
	      struct weir_err *err)
{
	struct weir_str s;
	int rc;

	if (is_null(raw))
		return 0;
	rc = get_string(d, &s, raw, name, err);
	if (rc != 0)
		return rc;
	if (uuid_parse(d->rec.event_id, s) != 0)
		return want(name, "a UUID of 36 characters", err);
	d->rec.has_event_id = true;
	return 0;
}

static int
take_created_at(struct draft *d, struct weir_str raw, const char *name,
		struct weir_err *err)
{
	int rc;

	if (is_null(raw))
		return 0;
	rc = get_time(d, &d->rec.created_at, raw, name, err);
	if (rc == 0)
		d->rec.has_created_at = true;
	return rc;
}

static int
take_committed_at(struct draft *d, struct weir_str raw, const char *name,
		  struct weir_err *err)
{
	int rc = get_time(d, &d->committed_at, raw, name, err);

	if (rc == 0)
		d->has_committed_at = true;
	return rc;
}

static int
take_tags(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	struct json_iter it;
	struct weir_str key, value;
	size_t n = 0;
	int rc = 0;

	if (is_null(raw))
		return 0;
	if (json_kind(raw) != WEIR_ARRAY)
		return want(name, "an array of strings", err);
	json_iter_init(&it, raw);
	while (rc == 0 && json_iter_next(&it, &key, &value)) {
		if (n == WEIR_TAGS_MAX)
			return err_set(err, WEIR_EINPUT,
				       "%s: more than %u tags", name,
				       WEIR_TAGS_MAX);
		rc = get_string(d, &d->tags[n++], value, "a tag", err);
	}
	d->rec.tags = d->tags;
	d->rec.ntags = n;
	return rc;
}

static int
take_expected(struct draft *d, struct weir_str raw, const char *name,
	      struct weir_err *err)
{
	static const char what[] = "a version, \"none\", \"any\" or \"exists\"";

	if (is_null(raw))
		return 0;
	if (json_string_is(raw, "none"))
		d->rec.expected = 0;
	else if (json_string_is(raw, "any"))
		d->rec.expected = EXPECT_ANY;
	else if (json_string_is(raw, "exists"))
		d->rec.expected = EXPECT_EXISTS;
	else if (json_kind(raw) != WEIR_NUMBER ||
		 json_u64(&d->rec.expected, raw) != 0 ||
		 d->rec.expected >= EXPECT_EXISTS)
		return want(name, what, err);
	return 0;
}

static int
take_correlation(struct draft *d, struct weir_str raw, const char *name,
		 struct weir_err *err)
{
	return get_optional(d, &d->rec.correlation_id, raw, name, err);
}

static int
take_causation(struct draft *d, struct weir_str raw, const char *name,
	       struct weir_err *err)
{
	return get_optional(d, &d->rec.causation_id, raw, name, err);
}

static int
take_traceparent(struct draft *d, struct weir_str raw, const char *name,
		 struct weir_err *err)
{
	return get_optional(d, &d->rec.traceparent, raw, name, err);
}

static int
take_version(struct draft *d, struct weir_str raw, const char *name,
	     struct weir_err *err)
{
	int rc = get_number(&d->version, raw, name, err);

	if (rc == 0 && (d->version == 0 || d->version > EXPECT_EXISTS))
		return want(name, "1 or more", err);
	if (rc == 0)
		d->rec.expected = d->version - 1;
	return rc;
}

static int
take_sequence(struct draft *d, struct weir_str raw, const char *name,
	      struct weir_err *err)
{
	return is_null(raw) ? 0 : get_number(&d->sequence, raw, name, err);
}

static int
take_token(struct draft *d, struct weir_str raw, const char *name,
	   struct weir_err *err)
{
	return is_null(raw) ? 0 : get_number(&d->rec.token, raw, name, err);
}

static int
take_op(struct draft *d, struct weir_str raw, const char *name,
	struct weir_err *err)
{
	if (json_string_is(raw, "event"))
		d->rec.op = WEIR_OP_EVENT;
	else if (json_string_is(raw, "archived"))
		d->rec.op = WEIR_OP_ARCHIVED;
	else if (json_string_is(raw, "restored"))
		d->rec.op = WEIR_OP_RESTORED;
	else if (json_string_is(raw, "shredded"))
		d->rec.op = WEIR_OP_SHREDDED;
	else
		return want(name, "event, archived, restored or shredded", err);
	return 0;
}

static int
take_digest(struct draft *d, uint8_t out[RECORD_DIGEST], struct weir_str raw,
	    const char *name, struct weir_err *err)
{
	struct weir_str s;
	int rc = get_string(d, &s, raw, name, err);

	if (rc != 0)
		return rc;
	if (s.len != 2 * RECORD_DIGEST || str_unhex(out, s, RECORD_DIGEST) != 0)
		return want(name, "64 hexadecimal digits", err);
	return 0;
}

static int
take_hash(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	int rc;

	if (is_null(raw))
		return 0;
	rc = take_digest(d, d->hash, raw, name, err);
	if (rc == 0)
		d->has_hash = true;
	return rc;
}

static int
take_root(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];

	return is_null(raw) ? 0 : take_digest(d, root, raw, name, err);
}

static int
take_salt(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	struct weir_str s;
	char *p;
	int rc;

	if (is_null(raw))
		return 0;
	rc = get_string(d, &s, raw, name, err);
	if (rc != 0)
		return rc;
	p = draft_room(d, 16);
	if (p == NULL)
		return err_nomem(err);
	if (s.len != 32 || str_unhex(p, s, 16) != 0)
		return want(name, "32 hexadecimal digits", err);
	d->salt = (struct weir_str){p, 16};
	return 0;
}

static int
take_group(struct draft *d, struct weir_str raw, const char *name,
	   struct weir_err *err)
{
	return get_optional(d, &d->rec.group, raw, name, err);
}

static int
take_user(struct draft *d, struct weir_str raw, const char *name,
	  struct weir_err *err)
{
	return get_optional(d, &d->rec.user, raw, name, err);
}

static int take_members(struct draft *d, struct weir_str object,
			enum shape shape, struct weir_err *err);

static int
take_actor(struct draft *d, struct weir_str raw, const char *name,
	   struct weir_err *err)
{
	d->has_actor = true;
	if (is_null(raw))
		return 0;
	if (json_kind(raw) != WEIR_OBJECT)
		return want(name, "{\"group\":...,\"user\":...} or null", err);
	return take_members(d, raw, ACTOR, err);
}

static int
take_metadata(struct draft *d, struct weir_str raw, const char *name,
	      struct weir_err *err)
{
	if (json_kind(raw) != WEIR_OBJECT)
		return want(name, "an object", err);
	return take_members(d, raw, METADATA, err);
}

static const struct member members[] = {
	{"aggregate_type", BODY | RECORD, take_type},
	{"aggregate_id", BODY | RECORD, take_id},
	{"event_type", BODY | RECORD, take_event},
	{"payload", BODY | RECORD, take_payload},
	{"content", BODY | RECORD, take_content},
	{"tags", BODY | RECORD, take_tags},
	{"event_id", BODY | METADATA, take_event_id},
	{"created_at", BODY | METADATA, take_created_at},
	{"correlation_id", BODY | METADATA, take_correlation},
	{"causation_id", BODY | METADATA, take_causation},
	{"traceparent", BODY | METADATA, take_traceparent},
	{"expected_version", BODY, take_expected},
	{"metadata", RECORD, take_metadata},
	{"version", RECORD, take_version},
	{"hash", RECORD, take_hash},
	{"merkle_root", RECORD, take_root},
	{"sequence", RECORD, take_sequence},
	{"op", RECORD, take_op},
	{"token", RECORD, take_token},
	{"salt", RECORD, take_salt},
	{"payload_base64", RECORD, take_payload_base64},
	{"committed_at", METADATA, take_committed_at},
	{"issued_by", METADATA, take_actor},
	{"group", ACTOR, take_group},
	{"user", ACTOR, take_user},
};
#define NMEMBERS (sizeof(members) / sizeof(members[0]))

static int
unknown_member(struct weir_str key, enum shape shape, struct weir_err *err)
{
	const char *names[NMEMBERS + 1];
	const char *near;
	char raw[WEIR_NAME_MAX + 1], shown[WEIR_NAME_MAX * 2];
	size_t n = 0;

	for (size_t i = 0; i < NMEMBERS; i++) {
		if ((members[i].shapes & (unsigned)shape) != 0)
			names[n++] = members[i].name;
		else if (shape == BODY && members[i].take != take_metadata &&
			 json_string_is(key, members[i].name))
			return err_set(err, WEIR_EINPUT,
				       "\"%s\" belongs to an EventRecord, "
				       "which has \"metadata\"",
				       members[i].name);
		else if (shape != BODY && json_string_is(key, members[i].name))
			return err_set(err, WEIR_EINPUT,
				       "\"%s\" does not belong there in an "
				       "EventRecord",
				       members[i].name);
	}
	names[n] = NULL;
	snprintf(raw, sizeof(raw), "%.*s", (int)(key.len - 2), key.data + 1);
	near = str_nearest(raw, names);
	str_show(shown, sizeof(shown),
		 (struct weir_str){key.data + 1, key.len - 2});
	return err_set(err, WEIR_EINPUT, "unknown member \"%s\"%s%s%s", shown,
		       near != NULL ? "; did you mean \"" : "",
		       near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static int
take_members(struct draft *d, struct weir_str object, enum shape shape,
	     struct weir_err *err)
{
	struct json_iter it;
	struct weir_str key, value;
	int rc = 0;

	json_iter_init(&it, object);
	while (rc == 0 && json_iter_next(&it, &key, &value)) {
		const struct member *m = members;

		while (m < members + NMEMBERS &&
		       ((m->shapes & (unsigned)shape) == 0 ||
			!json_string_is(key, m->name)))
			m++;
		rc = m == members + NMEMBERS ? unknown_member(key, shape, err)
					     : m->take(d, value, m->name, err);
	}
	return rc;
}

/* ---- payload ------------------------------------------------------------- */

static int
decode_base64(struct draft *d, struct weir_str *out, struct weir_str s,
	      const char *name, struct weir_err *err)
{
	char *p = draft_room(d, s.len + 1);
	int64_t n;

	if (p == NULL)
		return err_nomem(err);
	n = str_unbase64(p, s);
	if (n < 0)
		return want(name, "base64 with padding", err);
	*out = (struct weir_str){p, (size_t)n};
	return 0;
}

/* {"$base64": "..."} and nothing else in it. */
static int
bytes_payload(struct draft *d, struct weir_err *err)
{
	static const char what[] =
		"{\"$base64\":\"...\"} when content is bytes";
	struct weir_str key, value, s;
	struct json_iter it;
	int rc;

	if (json_kind(d->payload) != WEIR_OBJECT)
		return want("payload", what, err);
	json_iter_init(&it, d->payload);
	if (!json_iter_next(&it, &key, &value) ||
	    !json_string_is(key, "$base64") || json_kind(value) != WEIR_STRING)
		return want("payload", what, err);
	rc = get_string(d, &s, value, "$base64", err);
	if (rc == 0)
		rc = decode_base64(d, &d->rec.payload, s, "$base64", err);
	if (rc == 0 && json_iter_next(&it, &key, &value))
		return want("payload", what, err);
	return rc;
}

/* The payload's own bytes, which must be those shown but for line breaks. */
static int
exact_payload(struct draft *d, struct weir_err *err)
{
	struct weir_str exact, shown = d->payload;
	int rc = decode_base64(d, &exact, d->payload_base64, "payload_base64",
			       err);

	if (rc != 0)
		return rc;
	rc = exact.len == shown.len ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < exact.len; i++) {
		bool broken = exact.data[i] == '\n' || exact.data[i] == '\r';

		if ((broken ? ' ' : exact.data[i]) != shown.data[i])
			rc = -1;
	}
	if (rc != 0)
		return err_set(err, WEIR_EINPUT,
			       "payload_base64 and payload differ");
	d->rec.payload = exact;
	return 0;
}

static int
settle_payload(struct draft *d, struct weir_err *err)
{
	struct record_draft *r = &d->rec;

	if (d->payload_base64.data != NULL && d->content.data != NULL &&
	    !str_is(d->content, "json"))
		return err_set(err, WEIR_EINPUT,
			       "payload_base64 is only for content json");
	if (d->content.data == NULL || str_is(d->content, "json")) {
		r->content = WEIR_CONTENT_JSON;
		r->payload = d->payload;
		if (d->payload_base64.data != NULL)
			return exact_payload(d, err);
		r->json_known = true;
		return 0;
	}
	if (str_is(d->content, "text")) {
		r->content = WEIR_CONTENT_TEXT;
		return get_string(d, &r->payload, d->payload, "payload", err);
	}
	if (!str_is(d->content, "bytes"))
		return want("content", "json, text or bytes", err);
	r->content = WEIR_CONTENT_BYTES;
	return bytes_payload(d, err);
}

/* ---- whole --------------------------------------------------------------- */

static int
check_complete(const struct draft *d, struct weir_err *err)
{
	const char *missing = NULL;

	if (!d->has_payload)
		missing = "payload";
	if (d->rec.event_type.data == NULL)
		missing = "event_type";
	if (d->rec.aggregate_id.data == NULL)
		missing = "aggregate_id";
	if (d->rec.aggregate_type.data == NULL)
		missing = "aggregate_type";
	if (missing != NULL)
		return err_set(err, WEIR_EINPUT, "%s is missing", missing);
	if ((d->rec.group.data == NULL) != (d->rec.user.data == NULL))
		return err_set(err, WEIR_EINPUT,
			       "issued_by must have both group and user");
	return 0;
}

static int
take_object(struct draft *d, struct weir_str object, enum shape shape,
	    struct weir_err *err)
{
	int rc = take_members(d, object, shape, err);

	if (rc == 0)
		rc = check_complete(d, err);
	if (rc == 0)
		rc = settle_payload(d, err);
	return rc;
}

/* Checks that the text is one object. One level more than a payload may have,
 * which stands in it. */
static int
check_object(struct weir_str *object, struct weir_str text,
	     struct weir_err *err)
{
	int rc = json_check_depth(text, object, WEIR_DEPTH_MAX + 1, "record",
				  err);

	if (rc == 0 && json_kind(*object) != WEIR_OBJECT)
		rc = want("a record", "a JSON object", err);
	return rc;
}

int
draft_parse(struct draft *d, struct weir_str text, struct weir_err *err)
{
	struct weir_str object, metadata;
	int rc = check_object(&object, text, err);

	if (rc != 0)
		return rc;
	return take_object(
		d, object,
		json_get(object, "metadata", &metadata) ? RECORD : BODY, err);
}

int
draft_parse_body(struct draft *d, struct weir_str text, bool checked,
		 struct weir_err *err)
{
	int rc = 0;

	if (!checked)
		rc = check_object(&text, text, err);
	else if (json_kind(text) != WEIR_OBJECT)
		rc = want("a record", "a JSON object", err);
	return rc != 0 ? rc : take_object(d, text, BODY, err);
}

int
draft_check_hash(const struct draft *d, struct weir_err *err)
{
	const struct record_draft *r = &d->rec;
	struct record_view v = {0};
	uint8_t hash[RECORD_DIGEST];

	if (!d->has_hash)
		return 0;
	if (d->sequence == 0 || d->version == 0 || !d->has_committed_at ||
	    !r->has_event_id || !r->has_created_at)
		return err_set(err, WEIR_EINPUT,
			       "hash can't be checked without sequence, "
			       "version, event_id, created_at and "
			       "committed_at; give them or leave hash out");
	v.sequence = d->sequence;
	v.version = d->version;
	v.committed_at = d->committed_at;
	v.op = r->op;
	v.content = r->content;
	v.aggregate_type = r->aggregate_type;
	v.aggregate_id = r->aggregate_id;
	v.event_type = r->event_type;
	v.payload = r->payload;
	v.group = r->group;
	v.user = r->user;
	v.ntags = r->ntags;
	if (r->ntags > 0)
		memcpy(v.tags, r->tags, r->ntags * sizeof(v.tags[0]));
	v.correlation_id = r->correlation_id;
	v.causation_id = r->causation_id;
	v.traceparent = r->traceparent;
	memcpy(v.event_id, r->event_id, sizeof(v.event_id));
	v.created_at = r->created_at;
	v.token = r->token;
	v.salt = d->salt;
	record_hash(hash, &v);
	if (memcmp(hash, d->hash, RECORD_DIGEST) != 0)
		return err_set(err, WEIR_EINPUT,
			       "hash does not agree with the record: something "
			       "in it was changed (leave hash out to import it "
			       "as it is)");
	return 0;
}
