/* SPDX-License-Identifier: MIT */
/* Tokens from JSON (records and what is asked for) and to JSON. */
#include "model/token_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"

#define PATTERN_MAX (WEIR_NAME_MAX + 1 + WEIR_ID_MAX)
#define HASH_RAW    (2 * DIGEST_LEN + 2) /* with its quotes */
#define TIME_MOST   64

static const struct {
	const char *name;
	unsigned bit;
} scopes[] = {{"read", POLICY_READ},
	      {"append", POLICY_APPEND},
	      {"admin", POLICY_ADMIN}};
#define SCOPES (sizeof(scopes) / sizeof(scopes[0]))

/* A JSON text on its way into a token. */
struct reading {
	struct token *t;
	char *room; /* in t->memory */
	const char *what;
	struct weir_err *err;
};

void
token_doc_free(struct token *t)
{
	if (t == NULL)
		return;
	mem_free(t->patterns);
	mem_free(t->memory);
	mem_free(t);
}

/* ---- members ------------------------------------------------------------- */

static int
refuse(struct reading *r, const char *name, const char *must_be)
{
	return err_set(r->err, WEIR_EINPUT, "%s: %s must be %s", r->what, name,
		       must_be);
}

/* Decodes a string; a NUL is put behind it. */
static struct weir_str
text(struct reading *r, struct weir_str raw)
{
	struct weir_str s = {r->room, json_decode(r->room, raw)};

	r->room += s.len;
	*r->room++ = '\0';
	return s;
}

static int
take_actor(struct reading *r, struct weir_str *out, const char *name,
	   struct weir_str raw)
{
	if (json_kind(raw) != WEIR_STRING)
		return refuse(r, name, "text");
	*out = text(r, raw);
	return str_check_name(*out, name, WEIR_ACTOR_MAX, false, r->err);
}

static int
take_group(struct reading *r, struct weir_str raw)
{
	return take_actor(r, &r->t->group, "group", raw);
}

static int
take_user(struct reading *r, struct weir_str raw)
{
	return take_actor(r, &r->t->user, "user", raw);
}

static int
take_scopes(struct reading *r, struct weir_str raw)
{
	static const char must_be[] = "an array of read, append and admin";
	struct weir_str key, value;
	struct json_iter it;

	if (json_kind(raw) != WEIR_ARRAY)
		return refuse(r, "scopes", must_be);
	json_iter_init(&it, raw);
	while (json_iter_next(&it, &key, &value)) {
		size_t i = 0;
		while (i < SCOPES && (json_kind(value) != WEIR_STRING ||
				      !json_string_is(value, scopes[i].name)))
			i++;
		if (i == SCOPES)
			return refuse(r, "scopes", must_be);
		r->t->scopes |= scopes[i].bit;
	}
	return r->t->scopes != 0 ? 0 : refuse(r, "scopes", must_be);
}

static int
take_pattern(struct reading *r, size_t at, struct weir_str raw)
{
	static const char must_be[] =
		"null or an array of 1 to 64 patterns, each a type or "
		"type/id with * and ?";
	struct weir_str s;

	if (json_kind(raw) != WEIR_STRING || at == TOKEN_PATTERNS_MAX)
		return refuse(r, "aggregates", must_be);
	s = text(r, raw);
	if (s.len == 0 || s.data[0] == '/')
		return refuse(r, "aggregates", must_be);
	r->t->patterns[at] = (char *)(uintptr_t)s.data;
	return str_check_name(s, "aggregate pattern", PATTERN_MAX, true,
			      r->err);
}

static int
take_aggregates(struct reading *r, struct weir_str raw)
{
	struct weir_str key, value;
	struct json_iter it;
	size_t n = 0;
	int rc = 0;

	if (json_kind(raw) == WEIR_NULL)
		return 0;
	if (json_kind(raw) != WEIR_ARRAY)
		return refuse(r, "aggregates", "null or an array of patterns");
	r->t->patterns = mem_new((TOKEN_PATTERNS_MAX + 1) * sizeof(char *));
	if (r->t->patterns == NULL)
		return err_nomem(r->err);
	json_iter_init(&it, raw);
	while (rc == 0 && json_iter_next(&it, &key, &value))
		rc = take_pattern(r, n++, value);
	if (rc == 0 && n == 0)
		rc = refuse(r, "aggregates",
			    "null (all) or name at least one pattern");
	return rc;
}

/* A whole number from 1 to most; null is 0. */
static int
take_count(struct reading *r, uint64_t *out, const char *name, uint64_t most,
	   struct weir_str raw)
{
	if (json_kind(raw) == WEIR_NULL) {
		*out = 0;
		return 0;
	}
	if (json_kind(raw) == WEIR_NUMBER && json_u64(out, raw) == 0 &&
	    *out >= 1 && *out <= most)
		return 0;
	return err_set(r->err, WEIR_EINPUT,
		       "%s: %s must be null or a whole number from 1 to "
		       "%" PRIu64,
		       r->what, name, most);
}

static int
take_expiration(struct reading *r, struct weir_str raw)
{
	return take_count(r, &r->t->expiration, "expiration (seconds)",
			  TOKEN_SECONDS_MAX, raw);
}

static int
take_limit(struct reading *r, struct weir_str raw)
{
	return take_count(r, &r->t->limit, "limit", INT64_MAX, raw);
}

static int
take_bool(struct reading *r, bool *out, const char *name, struct weir_str raw)
{
	if (json_kind(raw) != WEIR_BOOL)
		return refuse(r, name, "true or false");
	*out = raw.data[0] == 't';
	return 0;
}

static int
take_keep_alive(struct reading *r, struct weir_str raw)
{
	return take_bool(r, &r->t->keep_alive, "keep_alive", raw);
}

static int
take_revoked(struct reading *r, struct weir_str raw)
{
	return take_bool(r, &r->t->revoked, "revoked", raw);
}

static int
take_u64(struct reading *r, uint64_t *out, const char *name,
	 struct weir_str raw)
{
	if (json_kind(raw) != WEIR_NUMBER || json_u64(out, raw) != 0)
		return refuse(r, name, "a whole number");
	return 0;
}

static int
take_limit_from(struct reading *r, struct weir_str raw)
{
	return take_u64(r, &r->t->limit_from, "limit_from", raw);
}

static int
take_sequence(struct reading *r, struct weir_str raw)
{
	return take_u64(r, &r->t->sequence, "sequence", raw);
}

static int
take_hash(struct reading *r, struct weir_str raw)
{
	if (json_kind(raw) != WEIR_STRING || raw.len != HASH_RAW ||
	    str_unhex(r->t->hash, (struct weir_str){raw.data + 1, raw.len - 2},
		      DIGEST_LEN) != 0)
		return refuse(r, "hash", "64 hex digits");
	return 0;
}

static int
take_time(struct reading *r, int64_t *out, const char *name,
	  struct weir_str raw)
{
	const char *why;

	if (json_kind(raw) != WEIR_STRING || raw.len > TIME_MOST ||
	    clock_parse(out, text(r, raw), &why) != 0)
		return refuse(r, name, "a time");
	return 0;
}

static int
take_created_at(struct reading *r, struct weir_str raw)
{
	return take_time(r, &r->t->created_at, "created_at", raw);
}

static int
take_expires_at(struct reading *r, struct weir_str raw)
{
	if (json_kind(raw) == WEIR_NULL)
		return 0;
	return take_time(r, &r->t->expires_at, "expires_at", raw);
}

static const struct {
	const char *name;
	unsigned bit;
	int (*take)(struct reading *r, struct weir_str raw);
} members[] = {
	{"group", TOKEN_GROUP, take_group},
	{"user", TOKEN_USER, take_user},
	{"scopes", TOKEN_SCOPES, take_scopes},
	{"aggregates", TOKEN_AGGREGATES, take_aggregates},
	{"expiration", TOKEN_EXPIRATION, take_expiration},
	{"keep_alive", TOKEN_KEEP_ALIVE, take_keep_alive},
	{"limit", TOKEN_LIMIT, take_limit},
	{"limit_from", TOKEN_LIMIT_FROM, take_limit_from},
	{"hash", TOKEN_HASH, take_hash},
	{"created_at", TOKEN_CREATED_AT, take_created_at},
	{"expires_at", TOKEN_EXPIRES_AT, take_expires_at},
	{"revoked", TOKEN_REVOKED, take_revoked},
	{"sequence", TOKEN_SEQUENCE, take_sequence},
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

/* ---- reading ------------------------------------------------------------- */

static int
take_member(struct reading *r, struct weir_str key, struct weir_str raw,
	    unsigned allowed)
{
	char shown[80];

	for (size_t i = 0; i < MEMBERS; i++)
		if ((members[i].bit & allowed) != 0 &&
		    json_string_is(key, members[i].name)) {
			r->t->given |= members[i].bit;
			return members[i].take(r, raw);
		}
	return err_set(r->err, WEIR_EINPUT, "%s: unknown member %s", r->what,
		       str_show(shown, sizeof(shown), key));
}

int
token_doc_read(struct token **out, struct weir_str json, unsigned allowed,
	       const char *what, struct weir_err *err)
{
	struct token *t = mem_new(sizeof(*t));
	struct reading r = {.t = t, .what = what, .err = err};
	struct weir_str key, value;
	struct json_iter it;
	int rc = 0;

	if (t == NULL)
		return err_nomem(err);
	/* A string is longer by its quotes than what it holds by its NUL. */
	t->memory = r.room = mem_resize(NULL, json.len + 1);
	if (t->memory == NULL)
		rc = err_nomem(err);
	else
		rc = json_check(json, &json, what, err);
	if (rc == 0 && json_kind(json) != WEIR_OBJECT)
		rc = err_set(err, WEIR_EINPUT, "%s must be a JSON object",
			     what);
	if (rc == 0)
		json_iter_init(&it, json);
	while (rc == 0 && json_iter_next(&it, &key, &value))
		rc = take_member(&r, key, value, allowed);
	if (rc != 0) {
		token_doc_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

static void
put_time(struct buf *out, const char *name, int64_t at)
{
	char shown[28];

	if (at == 0) {
		buf_printf(out, ",\"%s\":null", name);
		return;
	}
	clock_text(shown, at);
	buf_printf(out, ",\"%s\":\"%s\"", name, shown);
}

static void
put_count(struct buf *out, const char *name, uint64_t n)
{
	if (n == 0)
		buf_printf(out, ",\"%s\":null", name);
	else
		buf_printf(out, ",\"%s\":%" PRIu64, name, n);
}

/* What both kinds of JSON have, from group to limit. */
static void
put_terms(struct buf *out, const struct token *t)
{
	const char *comma = "";

	buf_puts(out, "\"group\":");
	json_put_string(out, t->group);
	buf_puts(out, ",\"user\":");
	json_put_string(out, t->user);
	buf_puts(out, ",\"scopes\":[");
	for (size_t i = 0; i < SCOPES; i++)
		if ((t->scopes & scopes[i].bit) != 0) {
			buf_printf(out, "%s\"%s\"", comma, scopes[i].name);
			comma = ",";
		}
	buf_puts(out, "],\"aggregates\":");
	buf_puts(out, t->patterns != NULL ? "[" : "null");
	for (size_t i = 0; t->patterns != NULL && t->patterns[i] != NULL; i++) {
		if (i > 0)
			buf_putc(out, ',');
		json_put_string(out, str_of(t->patterns[i]));
	}
	if (t->patterns != NULL)
		buf_putc(out, ']');
	put_count(out, "expiration", t->expiration);
	buf_printf(out, ",\"keep_alive\":%s", t->keep_alive ? "true" : "false");
	put_count(out, "limit", t->limit);
}

int
token_doc_put(struct buf *out, const struct token *t)
{
	char hash[2 * DIGEST_LEN + 1];

	str_hex(hash, t->hash, DIGEST_LEN);
	buf_putc(out, '{');
	put_terms(out, t);
	buf_printf(out, ",\"limit_from\":%" PRIu64 ",\"hash\":\"%s\"",
		   t->limit_from, hash);
	put_time(out, "created_at", t->created_at);
	put_time(out, "expires_at", t->expires_at);
	buf_printf(out, ",\"revoked\":%s", t->revoked ? "true" : "false");
	if (t->sequence != 0)
		buf_printf(out, ",\"sequence\":%" PRIu64, t->sequence);
	return buf_putc(out, '}');
}

static const char *
status(const struct token *t, uint64_t writes, int64_t now)
{
	const char *fault = token_fault(t, now);

	if (fault != NULL)
		return t->revoked ? "revoked" : "expired";
	if (t->limit != 0 && writes >= t->limit_from + t->limit)
		return "spent";
	return "active";
}

int
token_doc_show(struct buf *out, const struct token *t, uint64_t writes,
	       int64_t now)
{
	uint64_t most = t->limit_from + t->limit;

	buf_puts(out, "\"id\":");
	json_put_string(out, t->rule.id);
	buf_putc(out, ',');
	put_terms(out, t);
	buf_printf(out, ",\"writes\":%" PRIu64, writes);
	if (t->limit == 0)
		buf_puts(out, ",\"remaining\":null");
	else
		buf_printf(out, ",\"remaining\":%" PRIu64,
			   writes < most ? most - writes : 0);
	put_time(out, "created_at", t->created_at);
	put_time(out, "expires_at", t->expires_at);
	return buf_printf(out, ",\"status\":\"%s\",\"version\":%" PRIu64,
			  status(t, writes, now), t->rule.version);
}
