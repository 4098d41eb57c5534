/* SPDX-License-Identifier: MIT */
/*
 * Aggregates: their states, records and roots.
 *
 * Versions have no gaps, so skip is a cursor among an aggregate's records; the
 * cursor among aggregates is the name of the last one.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "model/config.h"
#include "model/fold.h"
#include "store/reader.h"

#define CHUNK	    256u
#define FOLDED_HERE 1000u /* versions: about half a millisecond */
#define READ_HERE   100u

/* ---- state --------------------------------------------------------------- */

/* A member's value as a JSON string: null is empty, text is itself, the rest
 * is its JSON. */
static int
put_text(struct buf *out, const struct weir_sink_member *m)
{
	struct buf text;
	int rc;

	if (m->kind == WEIR_NULL)
		return buf_puts(out, "\"\"");
	if (m->kind == WEIR_STRING)
		return buf_add_str(out, m->raw);
	buf_init(&text, API_OUT_MAX);
	rc = json_put_compact(&text, m->raw);
	if (rc == 0)
		rc = json_put_string(out, buf_str(&text));
	buf_fini(&text);
	return rc;
}

static int
put_state_text(struct buf *out, struct fold *f)
{
	const struct weir_sink_member *m;
	size_t n = 0;

	m = fold_members(f, &n);
	if (m == NULL && fold_count(f) > 0)
		return WEIR_ENOMEM;
	buf_putc(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		json_put_string(out, m[i].name);
		buf_putc(out, ':');
		if (put_text(out, &m[i]) != 0)
			return WEIR_ENOMEM;
	}
	return buf_putc(out, '}');
}

/* One aggregate as of a record. */
struct one {
	struct weir_str type, id;
	uint64_t position, version;
	bool archived, text;
};

static int
put_fold(struct buf *out, struct fold *f, const struct one *o,
	 const uint8_t root[RECORD_DIGEST])
{
	char hex[2 * RECORD_DIGEST + 1];

	if (!o->text)
		return fold_aggregate_json(out, f, o->type, o->id, root,
					   o->archived);
	str_hex(hex, root, RECORD_DIGEST);
	buf_puts(out, "{\"aggregate_type\":");
	json_put_string(out, o->type);
	buf_puts(out, ",\"aggregate_id\":");
	json_put_string(out, o->id);
	buf_printf(out, ",\"version\":%" PRIu64 ",\"state\":", fold_version(f));
	if (put_state_text(out, f) != 0)
		return WEIR_ENOMEM;
	return buf_printf(out, ",\"merkle_root\":\"%s\",\"archived\":%s}", hex,
			  o->archived ? "true" : "false");
}

/* Through the cache when nobody else is at it. */
static int
put_cached(struct api *a, struct buf *out, struct reader *r,
	   const struct one *o, const uint8_t root[RECORD_DIGEST],
	   struct weir_err *err)
{
	struct record_view v = {.aggregate_type = o->type,
				.aggregate_id = o->id,
				.version = o->version,
				.position = o->position};
	struct fold *f = NULL;
	int rc;

	if (pthread_mutex_trylock(&a->folding) == 0) {
		rc = fold_cache_get(a->folds, &f, r, &v, err);
		if (rc == 0 && put_fold(out, f, o, root) != 0)
			rc = err_nomem(err);
		pthread_mutex_unlock(&a->folding);
		return rc;
	}
	f = fold_new();
	rc = f != NULL ? fold_load(f, r, o->position, err) : err_nomem(err);
	if (rc == 0 && put_fold(out, f, o, root) != 0)
		rc = err_nomem(err);
	fold_free(f);
	return rc;
}

static int
put_one(struct api_call *c, struct reader *r, const struct one *o,
	struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	int rc = reader_root(r, root, o->position, err);

	return rc != 0 ? rc : put_cached(c->api, &c->out, r, o, root, err);
}

/* values=text|json */
static int
wants_text(struct api_call *c, bool *out)
{
	struct weir_str s;

	*out = false;
	if (api_query(c, &s, "values") == 0 || str_is(s, "json"))
		return 0;
	if (str_is(s, "text")) {
		*out = true;
		return 0;
	}
	api_refuse(c, 400, WEIR_EINPUT, "values must be json or text");
	return -1;
}

/* ---- one aggregate by name ----------------------------------------------- */

/* The head of the aggregate in the path. 0, or -1 after an answer. */
static int
find_head(struct api_call *c, struct head *head)
{
	struct weir_err err = {0};
	int rc;

	if (api_may(c, POLICY_READ, c->part[0], c->part[1]) != 0)
		return -1;
	rc = store_head(c->api->store, head, c->part[0], c->part[1], &err);
	if (rc == WEIR_ENOTFOUND)
		api_refuse(c, 404, rc, "aggregate not found");
	else if (rc != 0)
		api_fail(c, &err);
	return rc == 0 ? 0 : -1;
}

/* version=N of the query: the newest when it is absent. */
static int
take_version(struct api_call *c, uint64_t *version, const struct head *head)
{
	int given;

	*version = head->version;
	given = api_query_u64(c, version, "version");
	if (given < 0)
		return -1;
	if (given > 0 && *version == 0) {
		api_refuse(c, 400, WEIR_EINPUT, "versions start at 1");
		return -1;
	}
	if (*version > head->version) {
		api_refuse(c, 404, WEIR_ENOTFOUND,
			   "the aggregate has no version %" PRIu64
			   ", its newest is %" PRIu64,
			   *version, head->version);
		return -1;
	}
	return 0;
}

/* at=TIME: the newest version committed by then. */
static int
take_time(struct api_call *c, struct reader *r, uint64_t *version,
	  const struct head *head)
{
	struct weir_err err = {0};
	struct weir_str text, other;
	const char *why = NULL;
	char shown[64];
	int64_t at;
	uint64_t first;
	int rc;

	if (api_query(c, &text, "at") == 0)
		return 0;
	if (api_query(c, &other, "version") != 0) {
		api_refuse(c, 400, WEIR_EINPUT, "give version or at, not both");
		return -1;
	}
	if (clock_parse(&at, text, &why) != 0) {
		api_refuse(c, 400, WEIR_EINPUT,
			   "at: %s in \"%s\"; write a time as "
			   "2026-01-31T12:00:00Z",
			   why, str_show(shown, sizeof(shown), text));
		return -1;
	}
	rc = api_first_after(r, &first, c->part[0], c->part[1], head->version,
			     API_BY_TIME, (uint64_t)(at - CLOCK_MIN_US), &err);
	if (rc != 0) {
		api_fail(c, &err);
		return -1;
	}
	*version = first - 1;
	if (*version > 0)
		return 0;
	api_refuse(c, 404, WEIR_ENOTFOUND, "aggregate not found at that time");
	return -1;
}

static void
answer_one(struct api_call *c, struct reader *r, const struct head *head)
{
	struct one o = {.type = c->part[0], .id = c->part[1]};
	struct weir_err err = {0};
	struct record_view v;
	int rc;

	if (take_version(c, &o.version, head) != 0 ||
	    wants_text(c, &o.text) != 0 ||
	    take_time(c, r, &o.version, head) != 0)
		return;
	if (api_unchanged(c, o.version)) {
		api_reply_as(c, 304, NULL);
		return;
	}
	rc = reader_version(r, &v, o.type, o.id, o.version, &err);
	if (rc == 0) {
		o.position = v.position;
		o.archived = o.version == head->version
				     ? head->archived
				     : v.op == WEIR_OP_ARCHIVED;
		rc = put_one(c, r, &o, &err);
	}
	if (rc != 0)
		api_fail(c, &err);
	else
		api_reply(c, 200);
}

static void
get(struct api_call *c)
{
	static const char *const params[] = {"version", "at", "values", NULL};
	struct reader *r;
	struct head head;

	if (api_query_known(c, params) != 0 || find_head(c, &head) != 0)
		return;
	r = api_reader(c);
	if (r != NULL)
		answer_one(c, r, &head);
	api_reader_back(c, r);
}

/* Has it so many versions that going through them takes a while? */
static bool
is_long(struct api_call *c, uint64_t versions)
{
	struct head head;

	return store_head(c->api->store, &head, c->part[0], c->part[1], NULL) ==
		       0 &&
	       head.version > versions;
}

static int
run_get(struct api_call *c)
{
	if (is_long(c, FOLDED_HERE))
		return api_beside(c, get);
	get(c);
	return 0;
}

/* ---- its records --------------------------------------------------------- */

/* Appends versions from..to, at most a chunk of them, until the page is full;
 * *done is the last one. */
static int
put_chunk(struct api_call *c, struct reader *r, uint64_t from, uint64_t to,
	  uint64_t *done, struct weir_err *err)
{
	uint64_t at[CHUNK];
	struct record_view v;
	int rc = reader_version(r, &v, c->part[0], c->part[1], to, err);

	if (rc == 0)
		rc = reader_chain(r, at, v.position, from, to, err);
	for (uint64_t n = from; rc == 0 && n <= to; n++) {
		if (c->out.len > 1)
			buf_putc(&c->out, ',');
		rc = reader_at(r, &v, at[n - from], err);
		if (rc == 0)
			rc = reader_json(r, &c->out, &v, err);
		*done = n;
		if (c->out.len > API_PAGE_BYTES)
			break;
	}
	return rc;
}

static void
answer_records(struct api_call *c, struct reader *r, uint64_t from, uint64_t to,
	       uint64_t newest)
{
	struct weir_err err = {0};
	uint64_t done = from - 1;
	int rc = 0;

	buf_putc(&c->out, '[');
	while (rc == 0 && done < to && c->out.len <= API_PAGE_BYTES) {
		uint64_t last = to - done > CHUNK ? done + CHUNK : to;

		rc = put_chunk(c, r, done + 1, last, &done, &err);
	}
	buf_putc(&c->out, ']');
	if (rc != 0) {
		api_fail(c, &err);
		return;
	}
	if (done < newest && done >= from) {
		char skip[24];

		snprintf(skip, sizeof(skip), "%" PRIu64, done);
		api_next(c, "skip", str_of(skip), NULL);
	}
	api_reply(c, 200);
}

static void
records(struct api_call *c)
{
	static const char *const params[] = {"skip", "take", NULL};
	uint64_t skip = 0, most = config_u64(api_config(c), "page_limit");
	uint64_t take = most;
	struct reader *r;
	struct head head;

	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &skip, "skip") < 0 ||
	    api_query_u64(c, &take, "take") < 0 || find_head(c, &head) != 0)
		return;
	if (take > most)
		take = most;
	if (skip > head.version)
		skip = head.version;
	if (take > head.version - skip)
		take = head.version - skip;
	r = api_reader(c);
	if (r != NULL)
		answer_records(c, r, skip + 1, skip + take, head.version);
	api_reader_back(c, r);
}

static int
run_records(struct api_call *c)
{
	if (is_long(c, READ_HERE))
		return api_beside(c, records);
	records(c);
	return 0;
}

/* ---- its root ------------------------------------------------------------ */

/* What the stored nodes say and what the stored bytes give must agree. */
static int
verify(struct api_call *c, struct reader *r, uint8_t found[RECORD_DIGEST],
       uint64_t version, struct weir_err *err)
{
	uint8_t stored[RECORD_DIGEST];
	struct record_view v;
	uint64_t position;
	int rc = reader_version(r, &v, c->part[0], c->part[1], version, err);

	if (rc != 0)
		return rc;
	position = v.position;
	rc = reader_verify(r, found, position, err);
	if (rc == 0)
		rc = reader_root(r, stored, position, err);
	if (rc == 0 && memcmp(stored, found, RECORD_DIGEST) != 0)
		rc = err_set(err, WEIR_EDAMAGE,
			     "the stored Merkle root differs from the one "
			     "recomputed from the records; `weir check` says "
			     "where");
	return rc;
}

static void
answer_verify(struct api_call *c)
{
	static const char *const params[] = {"version", NULL};
	char hex[2 * RECORD_DIGEST + 1];
	uint8_t root[RECORD_DIGEST];
	struct weir_err err = {0};
	uint64_t version;
	struct reader *r;
	struct head head;
	int rc;

	if (api_query_known(c, params) != 0 || find_head(c, &head) != 0 ||
	    take_version(c, &version, &head) != 0)
		return;
	r = api_reader(c);
	if (r == NULL)
		return;
	rc = verify(c, r, root, version, &err);
	api_reader_back(c, r);
	if (rc != 0) {
		api_fail(c, &err);
		return;
	}
	str_hex(hex, root, sizeof(root));
	buf_puts(&c->out, "{\"aggregate_type\":");
	json_put_string(&c->out, c->part[0]);
	buf_puts(&c->out, ",\"aggregate_id\":");
	json_put_string(&c->out, c->part[1]);
	buf_printf(&c->out, ",\"version\":%" PRIu64 ",\"merkle_root\":\"%s\"}",
		   version, hex);
	api_reply(c, 200);
}

static int
run_verify(struct api_call *c)
{
	if (is_long(c, READ_HERE))
		return api_beside(c, answer_verify);
	answer_verify(c);
	return 0;
}

/* ---- all of them --------------------------------------------------------- */

struct listing {
	struct api_call *c;
	struct reader *r;
	struct weir_err err;
	struct weir_str type; /* pattern, or absent */
	uint64_t skip, take, seen, shown;
	bool text, more;
	struct buf last; /* the name of the last one, as a cursor */
};

static int
list_one(void *cookie, struct weir_str type, struct weir_str id,
	 const struct head *head)
{
	struct listing *l = cookie;
	struct one o = {.type = type,
			.id = id,
			.position = head->position,
			.version = head->version,
			.archived = head->archived,
			.text = l->text};

	if (l->type.data != NULL && !str_match(l->type, type))
		return 0;
	if (!api_sees(l->c, POLICY_READ, type, id) || l->seen++ < l->skip)
		return 0;
	if (l->shown == l->take || l->c->out.len > API_PAGE_BYTES) {
		l->more = true;
		return 1;
	}
	if (l->shown++ > 0)
		buf_putc(&l->c->out, ',');
	buf_clear(&l->last);
	api_put_encoded(&l->last, type);
	buf_putc(&l->last, '/');
	api_put_encoded(&l->last, id);
	return put_one(l->c, l->r, &o, &l->err);
}

/* after=TYPE/ID, each percent-encoded once more. */
static int
take_cursor(struct api_call *c, char *name, struct weir_str *type,
	    struct weir_str *id)
{
	struct weir_str after;
	const char *slash;

	type->data = NULL;
	if (api_query(c, &after, "after") == 0)
		return 0;
	slash = memchr(after.data, '/', after.len);
	if (slash != NULL && after.len <= API_CURSOR_MAX) {
		struct weir_str a = {after.data, (size_t)(slash - after.data)};
		struct weir_str b = {slash + 1, after.len - a.len - 1};

		if (api_decode(type, &name, a) && api_decode(id, &name, b) &&
		    type->len <= WEIR_NAME_MAX && id->len <= WEIR_ID_MAX)
			return 0;
	}
	api_refuse(c, 400, WEIR_EINPUT,
		   "after must be what a Link to the next page has");
	return -1;
}

static void
answer_list(struct api_call *c, struct listing *l, struct weir_str type,
	    struct weir_str id)
{
	bool reserved = l->type.len > 0 && l->type.data[0] == '$' &&
			api_has_scope(c, POLICY_ADMIN);
	int rc = 0;

	buf_init(&l->last, 1 << 16);
	buf_putc(&c->out, '[');
	if (l->take > 0)
		rc = store_each_after(c->api->store, reserved, type, id,
				      list_one, l);
	if (rc < 0 && l->err.code == 0)
		err_set(&l->err, rc, "cannot list the aggregates");
	buf_putc(&c->out, ']');
	if (rc < 0) {
		api_fail(c, &l->err);
	} else {
		if (l->more)
			api_next(c, "after", buf_str(&l->last), "skip");
		api_reply(c, 200);
	}
	buf_fini(&l->last);
}

static void
list(struct api_call *c)
{
	static const char *const params[] = {"skip", "take",   "after",
					     "type", "values", NULL};
	uint64_t most = config_u64(api_config(c), "page_limit");
	struct listing l = {.c = c};
	struct weir_str type, id = {"", 0};
	char name[API_CURSOR_MAX];

	l.take = config_u64(api_config(c), "list_page_size");
	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &l.skip, "skip") < 0 ||
	    api_query_u64(c, &l.take, "take") < 0 ||
	    wants_text(c, &l.text) != 0 ||
	    take_cursor(c, name, &type, &id) != 0)
		return;
	if (l.take > most)
		l.take = most;
	api_query(c, &l.type, "type");
	l.r = api_reader(c);
	if (l.r != NULL)
		answer_list(c, &l, type, id);
	api_reader_back(c, l.r);
}

static int
run_list(struct api_call *c)
{
	return api_beside(c, list);
}

const struct api_route api_aggregates_routes[] = {
	{"GET", "/v1/aggregates", API_READ, run_list, NULL},
	{"GET", "/v1/aggregates/{type}/{id}", API_READ, run_get, NULL},
	{"GET", "/v1/aggregates/{type}/{id}/events", API_READ, run_records,
	 NULL},
	{"GET", "/v1/aggregates/{type}/{id}/verify", API_READ, run_verify,
	 NULL},
	{NULL, NULL, 0, NULL, NULL},
};
