/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/events: a page of records in global order.
 *
 * A page ends after `limit` records that match, after so many bytes, or after
 * so many records that were looked at; so it may be short, even empty, and Link
 * says where the next one begins. When one aggregate is asked for, its chain is
 * walked instead of the journal.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "model/config.h"
#include "store/reader.h"

#define SCAN_MOST 200000u
#define CHUNK	  256u

struct page {
	struct api_call *c;
	struct reader *r;
	struct api_filter filter;
	uint64_t limit, shown, looked;
	uint64_t after; /* the sequence up to which all was looked at */
	bool ndjson, full, more;
	bool exact; /* with all that the hash covers */
};

/* ---- what is asked for --------------------------------------------------- */

void
api_take_filter(struct api_call *c, struct api_filter *f)
{
	memset(f, 0, sizeof(*f));
	api_query(c, &f->type, "type");
	api_query(c, &f->id, "id");
	api_query(c, &f->event, "event");
	api_query(c, &f->tag, "tag");
	f->reserved = f->type.len > 0 && f->type.data[0] == '$' &&
		      api_has_scope(c, POLICY_ADMIN);
}

bool
api_wanted(struct api_call *c, const struct api_filter *f,
	   const struct record_view *v)
{
	bool tagged = f->tag.data == NULL;

	if (v->aggregate_type.data[0] == '$' && !f->reserved)
		return false;
	if (f->type.data != NULL && !str_match(f->type, v->aggregate_type))
		return false;
	if (f->id.data != NULL && !str_match(f->id, v->aggregate_id))
		return false;
	if (f->event.data != NULL && !str_match(f->event, v->event_type))
		return false;
	for (size_t i = 0; !tagged && i < v->ntags; i++)
		tagged = str_eq(v->tags[i], f->tag);
	return tagged &&
	       api_sees(c, POLICY_READ, v->aggregate_type, v->aggregate_id);
}

static bool
is_exact(struct weir_str s)
{
	return s.data != NULL && memchr(s.data, '*', s.len) == NULL &&
	       memchr(s.data, '?', s.len) == NULL;
}

/* ---- the page ------------------------------------------------------------ */

/* As `weir export` prints it. */
static int
put_exact(struct buf *out, struct reader *r, const struct record_view *v,
	  struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	int rc = reader_root(r, root, v->position, err);

	if (rc == 0 && record_json_exact(out, v, root) != 0)
		rc = err_nomem(err);
	return rc;
}

/* Takes one record in: 0, or a code. */
static int
look(struct page *p, const struct record_view *v, struct weir_err *err)
{
	struct buf *out = &p->c->out;
	int rc;

	p->looked++;
	p->after = v->sequence;
	if (!api_wanted(p->c, &p->filter, v))
		return 0;
	if (p->shown++ > 0 && !p->ndjson)
		buf_putc(out, ',');
	rc = p->exact ? put_exact(out, p->r, v, err)
		      : reader_json(p->r, out, v, err);
	if (p->ndjson)
		buf_putc(out, '\n');
	return rc;
}

static bool
is_full(const struct page *p)
{
	return p->shown >= p->limit || p->looked >= SCAN_MOST ||
	       p->c->out.len > API_PAGE_BYTES;
}

static int
walk_journal(struct page *p, struct weir_err *err)
{
	uint64_t last = store_last(p->c->api->store);
	struct record_view v;
	int rc = 1;

	reader_seek(p->r, p->after + 1);
	while (rc > 0 && p->after < last && !is_full(p)) {
		rc = reader_next(p->r, &v, err);
		if (rc > 0 && look(p, &v, err) != 0)
			rc = err->code;
	}
	p->more = p->after < last;
	return rc < 0 ? rc : 0;
}

/* Versions from..to, at most a chunk. */
static int
walk_chunk(struct page *p, uint64_t from, uint64_t to, struct weir_err *err)
{
	const struct api_filter *f = &p->filter;
	uint64_t at[CHUNK];
	struct record_view v;
	int rc = reader_version(p->r, &v, f->type, f->id, to, err);

	if (rc == 0)
		rc = reader_chain(p->r, at, v.position, from, to, err);
	for (uint64_t n = from; rc == 0 && n <= to && !is_full(p); n++) {
		rc = reader_at(p->r, &v, at[n - from], err);
		if (rc == 0)
			rc = look(p, &v, err);
		if (rc == 0)
			p->more = n < to;
	}
	return rc;
}

static int
walk_aggregate(struct page *p, struct weir_err *err)
{
	const struct api_filter *f = &p->filter;
	struct head head;
	uint64_t from = 0;
	int rc = store_head(p->c->api->store, &head, f->type, f->id, err);

	if (rc != 0)
		return rc == WEIR_ENOTFOUND ? 0 : rc;
	rc = api_first_after(p->r, &from, f->type, f->id, head.version,
			     API_BY_SEQUENCE, p->after, err);
	while (rc == 0 && from <= head.version && !is_full(p)) {
		uint64_t to = head.version - from >= CHUNK ? from + CHUNK - 1
							   : head.version;

		rc = walk_chunk(p, from, to, err);
		p->more |= to < head.version;
		from = to + 1;
	}
	return rc;
}

static void
answer_page(struct page *p)
{
	struct api_call *c = p->c;
	struct weir_err err = {0};
	int rc = 0;

	if (!p->ndjson)
		buf_putc(&c->out, '[');
	if (p->limit > 0)
		rc = is_exact(p->filter.type) && is_exact(p->filter.id)
			     ? walk_aggregate(p, &err)
			     : walk_journal(p, &err);
	if (!p->ndjson)
		buf_putc(&c->out, ']');
	if (rc != 0) {
		api_fail(c, &err);
		return;
	}
	if (p->more) {
		char after[24];

		snprintf(after, sizeof(after), "%" PRIu64, p->after);
		api_next(c, "after", str_of(after), NULL);
	}
	api_reply_as(c, 200, p->ndjson ? API_TYPE_NDJSON : "application/json");
}

static void
answer(struct api_call *c)
{
	static const char *const params[] = {"after", "limit", "type", "id",
					     "event", "tag",	"exact",
					     "reserved", NULL};
	static const char *const types[] = {"application/json", API_TYPE_NDJSON,
					    NULL};
	uint64_t most = config_u64(api_config(c), "page_limit");
	struct page p = {.c = c, .limit = most};
	bool reserved = false;
	int type;

	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &p.after, "after") < 0 ||
	    api_query_u64(c, &p.limit, "limit") < 0)
		return;
	type = api_accept(c, types);
	if (type < 0)
		return;
	p.ndjson = type == 1;
	if (p.limit > most)
		p.limit = most;
	api_take_filter(c, &p.filter);
	if (api_query_flag(c, &p.exact, "exact") != 0 ||
	    api_query_flag(c, &reserved, "reserved") != 0)
		return;
	if (reserved && !api_has_scope(c, POLICY_ADMIN)) {
		api_refuse(c, 403, WEIR_EDENIED,
			   "reserved aggregates are for the scope admin");
		return;
	}
	p.filter.reserved |= reserved;
	p.r = api_reader(c);
	if (p.r != NULL)
		answer_page(&p);
	api_reader_back(c, p.r);
}

int
api_records_run(struct api_call *c)
{
	return api_beside(c, answer);
}
