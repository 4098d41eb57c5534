/* SPDX-License-Identifier: MIT */
/*
 * Reading one aggregate: by the links that its records keep to the ones before.
 *
 * Links are followed without looking at CRCs, each record that is given is
 * checked: by its CRC, and for being the version of the aggregate that was
 * asked for. So a damaged link leads to an error, never to another record.
 */
#include "store/reader_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/impl.h"

/* Where versions of long aggregates stand that one came by on the way down: in
 * one table those that are multiples of NEAR, in the other those of FAR. They
 * never change, and what a wrong one leads to shows in the record. */
#define NEAR_STEP  64u
#define NEAR_MARKS 16384u
#define FAR_STEP   4096u
#define FAR_MARKS  1024u

struct waymark {
	uint64_t aggregate; /* heads_hash */
	uint64_t version;   /* 0: empty */
	uint64_t position;
};

struct aggregate_name {
	struct weir_str type, id;
};

/* Its place in the tables; NULL when they keep no such version. */
static struct waymark *
waymark_at(struct reader *r, uint64_t aggregate, uint64_t version)
{
	if (version % NEAR_STEP != 0)
		return NULL;
	if (version % FAR_STEP == 0)
		return r->marks + (aggregate + version / FAR_STEP) % FAR_MARKS;
	return r->marks + FAR_MARKS +
	       (aggregate + version / NEAR_STEP) % NEAR_MARKS;
}

/* Begins at the lowest waymark that is not below `version`. Every way down to
 * it comes by the next multiples of both steps, if they are above. */
static void
take_waymark(struct reader *r, struct waymark *from, uint64_t version)
{
	for (uint64_t step = NEAR_STEP; step <= FAR_STEP;
	     step *= FAR_STEP / NEAR_STEP) {
		uint64_t near = (version + step - 1) / step * step;
		if (near >= from->version)
			return;
		const struct waymark *m = waymark_at(r, from->aggregate, near);
		if (m->version == near && m->aggregate == from->aggregate) {
			*from = *m;
			return;
		}
	}
}

/* Moves from a record down to version `version` of the same aggregate. No CRC
 * is looked at on the way: the caller sees in the record whether it is the one.
 */
static int
descend(struct reader *r, struct waymark *from, uint64_t version, bool marks,
	struct weir_err *err)
{
	const uint8_t *p = NULL;
	int rc;

	r->forward = false;
	if (marks && r->marks == NULL && from->version - version > NEAR_STEP)
		r->marks =
			mem_new((FAR_MARKS + NEAR_MARKS) * sizeof(*r->marks));
	marks = marks && r->marks != NULL;
	if (marks)
		take_waymark(r, from, version);
	while (from->version > version) {
		uint64_t below = from->version - lowbit(from->version);
		uint64_t was = from->position;
		rc = reader_look(r, &p, was, FRAME_LOCAL, err);
		if (rc != 0)
			return rc;
		from->position = get_u64(p + (below >= version ? 24 : 16));
		from->version = below >= version ? below : from->version - 1;
		if (!reader_is_place(from->position) || from->position >= was)
			return journal_damage(&r->s->journal, err, was,
					      "prev or skip leads astray");
		struct waymark *m = NULL;
		if (marks)
			m = waymark_at(r, from->aggregate, from->version);
		if (m != NULL)
			*m = *from;
	}
	return 0;
}

static int
find_version(struct reader *r, struct record_view *out, struct aggregate_name n,
	     const struct head *head, uint64_t version, bool marks,
	     struct weir_err *err)
{
	struct waymark at = {heads_hash(n.type, n.id), head->version,
			     head->position};
	int rc = descend(r, &at, version, marks, err);

	if (rc == 0)
		rc = reader_at(r, out, at.position, err);
	if (rc == 0 &&
	    (out->version != version || !str_eq(out->aggregate_type, n.type) ||
	     !str_eq(out->aggregate_id, n.id)))
		rc = journal_damage(&r->s->journal, err, at.position,
				    "another record should stand here");
	return rc;
}

int
reader_version(struct reader *r, struct record_view *out, struct weir_str type,
	       struct weir_str id, uint64_t version, struct weir_err *err)
{
	struct aggregate_name name = {type, id};
	struct head head;
	int rc;

	rc = store_head(r->s, &head, type, id, err);
	if (rc != 0)
		return rc;
	if (version == 0 || version > head.version)
		return err_set(err, WEIR_ENOTFOUND,
			       "there is no version %" PRIu64
			       ": the aggregate is at version %" PRIu64,
			       version, head.version);
	rc = find_version(r, out, name, &head, version, true, err);
	/* A waymark of another aggregate with the same hash, or damage. */
	if (rc == WEIR_EDAMAGE)
		rc = find_version(r, out, name, &head, version, false, err);
	return rc;
}

/* Where the record before leads, and whose it is. */
struct link {
	uint64_t prev, skip;
	struct aggregate_name name;
};

static void
copy_name(struct aggregate_name *out, char names[WEIR_NAME_MAX + WEIR_ID_MAX],
	  const struct record_view *v)
{
	size_t n = v->aggregate_type.len;

	memcpy(names, v->aggregate_type.data, n);
	memcpy(names + n, v->aggregate_id.data, v->aggregate_id.len);
	out->type = (struct weir_str){names, n};
	out->id = (struct weir_str){names + n, v->aggregate_id.len};
}

/* Is this frame, whose CRC nobody looked at, by its bytes this version of this
 * aggregate? */
static bool
is_version(const uint8_t *p, const struct aggregate_name *name,
	   uint64_t version)
{
	const uint8_t *b = p + get_u16(p + 14);

	return get_u64(b + 16) == version &&
	       get_u16(b + 96) == name->type.len &&
	       get_u16(b + 98) == name->id.len &&
	       FRAME_BODY + name->type.len + name->id.len <= get_u32(p + 8) &&
	       memcmp(b + FRAME_BODY, name->type.data, name->type.len) == 0 &&
	       memcmp(b + FRAME_BODY + name->type.len, name->id.data,
		      name->id.len) == 0;
}

/* Asks for what comes after a version on the way down to `last`. */
static void
ask_links(const struct reader *r, const struct link *link, uint64_t version,
	  uint64_t last)
{
	reader_ask_ahead(r, link->prev);
	if (version - lowbit(version) >= last)
		reader_ask_ahead(r, link->skip);
}

/* One step of a chain: no two records have the same aggregate and version, so
 * the bytes tell that it leads to the right one. Their CRC is looked at when
 * the record is read. */
static int
follow_link(struct reader *r, struct link *link, uint64_t position,
	    uint64_t version, uint64_t last, struct weir_err *err)
{
	const uint8_t *p = NULL;
	size_t n = 0;
	int rc;

	if (reader_is_place(position))
		rc = reader_look_length(r, &n, position, err);
	else
		rc = journal_damage(&r->s->journal, err, position,
				    "prev leads astray");
	if (rc == 0)
		rc = reader_look(r, &p, position, n, err);
	if (rc != 0)
		return rc;
	link->prev = get_u64(p + 16);
	link->skip = get_u64(p + 24);
	if (version > last)
		ask_links(r, link, version, last);
	return is_version(p, &link->name, version)
		       ? 0
		       : journal_damage(&r->s->journal, err, position,
					"prev leads astray");
}

int
reader_chain(struct reader *r, uint64_t *out, uint64_t at, uint64_t from,
	     uint64_t to, struct weir_err *err)
{
	char names[WEIR_NAME_MAX + WEIR_ID_MAX];
	struct record_view v;
	struct link link;
	int rc;

	if (from == 0 || from > to)
		return err_set(err, WEIR_EUSAGE,
			       "versions %" PRIu64 " to %" PRIu64
			       " are no range",
			       from, to);
	rc = reader_at(r, &v, at, err);
	if (rc != 0)
		return rc;
	if (v.version != to)
		return journal_damage(&r->s->journal, err, at,
				      "another version should stand here");
	link.prev = v.prev;
	link.skip = v.skip;
	if (to > from)
		ask_links(r, &link, to, from);
	copy_name(&link.name, names, &v);
	for (uint64_t want = to; want > from; want--) {
		out[want - from] = at;
		at = link.prev;
		rc = follow_link(r, &link, at, want - 1, from, err);
		if (rc != 0)
			return rc;
	}
	out[0] = at;
	return 0;
}

/* v is read over. */
static int
root_of(struct reader *r, uint8_t out[RECORD_DIGEST], struct record_view v,
	struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	uint64_t version;
	int rc;

	memcpy(root, v.has_node ? v.node : v.hash, RECORD_DIGEST);
	while ((version = v.version - lowbit(v.version)) > 0) {
		uint64_t from = v.position;
		rc = reader_at(r, &v, v.skip, err);
		if (rc == 0 && v.version != version)
			rc = journal_damage(&r->s->journal, err, from,
					    "skip leads astray");
		if (rc != 0)
			return rc;
		merkle_inner(root, v.has_node ? v.node : v.hash, root);
	}
	memcpy(out, root, RECORD_DIGEST);
	return 0;
}

int
reader_root(struct reader *r, uint8_t out[RECORD_DIGEST], uint64_t position,
	    struct weir_err *err)
{
	struct record_view v;
	int rc = reader_at(r, &v, position, err);

	return rc == 0 ? root_of(r, out, v, err) : rc;
}

int
reader_json(struct reader *r, struct buf *out, const struct record_view *v,
	    struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	int rc = root_of(r, root, *v, err);

	if (rc != 0)
		return rc;
	return record_json(out, v, root) == 0 ? 0 : err_nomem(err);
}

int
reader_receipt_json(struct reader *r, struct buf *out,
		    const struct receipt *receipt, struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	struct record_view v;
	int rc = reader_at(r, &v, receipt->position, err);

	if (rc != 0)
		return rc;
	if (!receipt->lefts_known)
		return reader_json(r, out, &v, err);
	memcpy(root, v.has_node ? v.node : v.hash, RECORD_DIGEST);
	for (unsigned i = 0; i < receipt->lefts; i++)
		merkle_inner(root, receipt->left[i], root);
	return record_json(out, &v, root) == 0 ? 0 : err_nomem(err);
}

static int
verify_record(struct reader *r, struct frontier *f, uint64_t position,
	      const struct aggregate_name *of, struct weir_err *err)
{
	uint8_t hash[RECORD_DIGEST], payload[RECORD_DIGEST];
	struct record_view v;
	const char *why = NULL;
	int rc;

	rc = reader_at(r, &v, position, err);
	if (rc != 0)
		return rc;
	record_hash(hash, &v);
	record_payload_hash(payload, &v);
	frontier_add(f, hash);
	if (memcmp(hash, v.hash, RECORD_DIGEST) != 0 ||
	    memcmp(payload, v.payload_hash, RECORD_DIGEST) != 0)
		why = "the record's hash does not agree";
	else if (!str_eq(v.aggregate_type, of->type) ||
		 !str_eq(v.aggregate_id, of->id) || v.version != f->leaves)
		why = "another record should stand here";
	else if (v.has_node &&
		 memcmp(v.node, frontier_last(f), RECORD_DIGEST) != 0)
		why = "the stored subtree node does not agree";
	if (why == NULL)
		return 0;
	rc = journal_damage(&r->s->journal, err, position, why);
	if (err != NULL)
		err->sequence = v.sequence;
	return rc;
}

static int
verify(struct reader *r, uint8_t out[RECORD_DIGEST], uint64_t position,
       struct weir_err *err)
{
	struct record_view v;
	struct aggregate_name of;
	char names[WEIR_NAME_MAX + WEIR_ID_MAX];
	uint64_t *at;
	int rc;

	rc = reader_at(r, &v, position, err);
	if (rc != 0)
		return rc;
	copy_name(&of, names, &v);
	struct frontier *f = mem_new(sizeof(*f));
	uint64_t versions = v.version;
	at = versions < SIZE_MAX / sizeof(*at)
		     ? mem_resize(NULL, (size_t)versions * sizeof(*at))
		     : NULL;
	rc = f == NULL || at == NULL
		     ? err_nomem(err)
		     : reader_chain(r, at, position, 1, versions, err);
	for (uint64_t i = 0; rc == 0 && i < versions; i++)
		rc = verify_record(r, f, at[i], &of, err);
	if (rc == 0)
		frontier_root(out, f);
	mem_free(at);
	mem_free(f);
	return rc;
}

int
reader_verify(struct reader *r, uint8_t out[RECORD_DIGEST], uint64_t position,
	      struct weir_err *err)
{
	struct reader *own;
	int rc;

	if (!r->mapped)
		return verify(r, out, position, err);
	own = reader_new(r->s);
	rc = own != NULL ? verify(own, out, position, err) : err_nomem(err);
	reader_free(own);
	return rc;
}
