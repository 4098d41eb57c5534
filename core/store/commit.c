/* SPDX-License-Identifier: MIT */
/*
 * The committer over the local journal.
 *
 *   admit     in the caller's thread, without a lock: the rules of a draft,
 *             its event_id, its time, its payload and body hashes
 *   decide    against heads, ids and what this group already holds: idempotency,
 *             archived, expected version; a commit is taken whole or not
 *   encode    numbers, times, hashes, nodes, frames into one buffer
 *   write     one write, one sync (append.c)
 *   apply     commit_apply reads the group back from its bytes: the only code
 *             that changes heads, ids and places, the same at open and when a
 *             reader follows
 *   publish   in `live`; then the callers are answered
 *
 * 1. work is held from decide to publish. Only its holder changes heads and
 *    ids, so decide reads them without mu.
 * 2. All memory that apply needs is there before the write.
 * 3. Receipts are filled last: they are untouched on failure.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/uuid.h"
#include "store/impl.h"
#include "store/pending.h"

#define BATCH_BYTES (16u << 20) /* a group goes on up to this */

enum fate {
	FATE_OPEN,	/* not decided yet, or refused */
	FATE_NEW,	/* to be written */
	FATE_STORED,	/* a duplicate of a committed record */
	FATE_PENDING	/* a duplicate of a draft of this group */
};

struct item {
	struct ready ready;
	struct receipt receipt;
	uint32_t aggregate;
	uint32_t original; /* FATE_PENDING: its item */
	enum fate fate;
	bool was_archived;
};

struct batch {
	struct store *s;
	struct item *item;
	struct record_draft *draft;
	const size_t *first;
	struct weir_err *result;
	uint64_t next_sequence; /* of the next draft that is taken */
	size_t bytes;		/* most that the group can take */
	size_t new_ids;
	uint32_t records, commits;
};

/* ---- admit -------------------------------------------------------------- */

static int
admit_draft(struct item *it, struct record_draft *d, int64_t now,
	    struct weir_err *err)
{
	int rc = record_check(d, err);

	if (rc != 0)
		return rc;
	it->ready.created_at = d->has_created_at ? d->created_at : now;
	if (d->has_event_id)
		memcpy(it->ready.event_id, d->event_id, 16);
	else if ((rc = uuid_v7(it->ready.event_id, err)) != 0)
		return rc;
	ready_fill(&it->ready, d);
	return 0;
}

static int
admit_commit(struct item *item, struct record_draft *draft, size_t n,
	     struct weir_err *err)
{
	int64_t now = clock_now();
	uint64_t bytes = 0;

	if (n == 0)
		return err_set(err, WEIR_EINPUT,
			       "a commit needs at least one record");
	if (n > WEIR_COMMIT_RECORDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "the commit has %zu records; at most %u are "
			       "taken",
			       n, WEIR_COMMIT_RECORDS_MAX);
	for (size_t i = 0; i < n; i++) {
		int rc = admit_draft(&item[i], &draft[i], now, err);
		if (rc != 0) {
			err->sequence = i + 1;
			return rc;
		}
		bytes += frame_size_max(item[i].ready.body);
		if (bytes > WEIR_COMMIT_BYTES_MAX) {
			err_set(err, WEIR_EINPUT,
				"the commit has more than %u bytes; make "
				"several of it",
				WEIR_COMMIT_BYTES_MAX);
			err->sequence = i + 1;
			return WEIR_EINPUT;
		}
	}
	return 0;
}

/* ---- decide ------------------------------------------------------------- */

static void
receipt_of_view(struct receipt *r, const struct record_view *v)
{
	r->sequence = v->sequence;
	r->version = v->version;
	r->position = v->position;
	r->committed_at = v->committed_at;
	memcpy(r->event_id, v->event_id, 16);
	memcpy(r->hash, v->hash, RECORD_DIGEST);
	r->duplicate = true;
}

static int
id_conflict(const struct record_draft *d, uint64_t sequence,
	    struct weir_err *err)
{
	char id[37];

	uuid_text(id, d->event_id);
	err_set(err, WEIR_ECONFLICT,
		"event_id %s was given before to the record with sequence "
		"%" PRIu64 ", which has other content; use a new event_id",
		id, sequence);
	err->sequence = sequence;
	return WEIR_ECONFLICT;
}

/* Is the draft's event_id known? Sets the item's fate. */
static int
decide_id(struct batch *b, size_t c, size_t i, struct weir_err *err)
{
	struct record_draft *d = &b->draft[i];
	struct item *it = &b->item[i];
	struct record_view v;
	uint64_t seen;
	char id[37];
	int rc;

	it->fate = FATE_NEW;
	if (!d->has_event_id)
		return 0;
	seen = ids_find(b->s->ids, d->event_id);
	if (seen != 0) {
		rc = reader_at(b->s->own, &v, seen, err);
		if (rc != 0)
			return rc;
		if (!record_same_content(&v, d))
			return id_conflict(d, v.sequence, err);
		receipt_of_view(&it->receipt, &v);
		it->fate = FATE_STORED;
		return 0;
	}
	seen = ids_find(b->s->pending->ids, d->event_id);
	if (seen == 0) {
		must(ids_add(b->s->pending->ids, d->event_id, i + 1) == 0);
		return 0;
	}
	it->fate = FATE_PENDING;
	it->original = (uint32_t)(seen - 1);
	if (it->original >= b->first[c]) {
		uuid_text(id, d->event_id);
		return err_set(err, WEIR_ECONFLICT,
			       "event_id %s is given to two records of one "
			       "commit; each needs its own",
			       id);
	}
	record_of_draft(&v, &b->draft[it->original],
			&b->item[it->original].ready);
	if (!record_same_content(&v, d))
		return id_conflict(d, b->item[it->original].receipt.sequence,
				   err);
	return 0;
}

static int
decide_version(const struct record_draft *d, const struct pending_aggregate *a,
	       struct weir_err *err)
{
	char wanted[40];
	char name[WEIR_NAME_MAX + WEIR_ID_MAX + 2];

	snprintf(name, sizeof(name), "%.*s/%.*s", (int)a->type.len,
		 a->type.data, (int)a->id.len, a->id.data);
	if (a->archived && d->op == WEIR_OP_EVENT)
		return err_set(err, WEIR_EDENIED,
			       "aggregate is archived and cannot accept new "
			       "events: %s",
			       name);
	if (d->expected == EXPECT_ANY || d->expected == a->version
	    || (d->expected == EXPECT_EXISTS && a->version > 0))
		return 0;
	if (d->expected == 0)
		snprintf(wanted, sizeof(wanted), "none");
	else if (d->expected == EXPECT_EXISTS)
		snprintf(wanted, sizeof(wanted), "1 or more");
	else
		snprintf(wanted, sizeof(wanted), "%" PRIu64, d->expected);
	err_set(err, WEIR_ECONFLICT,
		"%s is at version %" PRIu64
		" where %s was expected; read it again and decide anew",
		name, a->version, wanted);
	err->version = a->version;
	return WEIR_ECONFLICT;
}

/* Takes back what decide_commit noted of drafts from..to. */
static void
undo(struct batch *b, size_t from, size_t ids_to, size_t versions_to)
{
	struct pending *p = b->s->pending;

	for (size_t i = versions_to; i-- > from;) {
		struct pending_aggregate *a = &p->agg[b->item[i].aggregate];
		a->version--;
		a->archived = b->item[i].was_archived;
	}
	for (size_t i = ids_to; i-- > from;) {
		if (b->item[i].fate == FATE_NEW && b->draft[i].has_event_id)
			ids_undo(p->ids, b->draft[i].event_id);
		b->item[i].fate = FATE_OPEN;
	}
}

static int
decide_versions(struct batch *b, size_t from, size_t to, struct weir_err *err)
{
	struct pending *p = b->s->pending;

	for (size_t i = from; i < to; i++) {
		struct record_draft *d = &b->draft[i];
		struct item *it = &b->item[i];
		it->aggregate = pending_find(p, b->s->heads, d->aggregate_type,
					     d->aggregate_id);
		struct pending_aggregate *a = &p->agg[it->aggregate];
		int rc = decide_version(d, a, err);
		if (rc != 0) {
			if (err->sequence == 0)
				err->sequence = i - from + 1;
			undo(b, from, to, i);
			return rc;
		}
		it->was_archived = a->archived;
		a->version++;
		if (d->op == WEIR_OP_ARCHIVED || d->op == WEIR_OP_RESTORED)
			a->archived = d->op == WEIR_OP_ARCHIVED;
	}
	return 0;
}

static int
decide_commit(struct batch *b, size_t c, struct weir_err *err)
{
	size_t from = b->first[c], to = b->first[c + 1], known = 0;
	int rc;

	for (size_t i = from; i < to; i++) {
		rc = decide_id(b, c, i, err);
		if (rc != 0) {
			b->item[i].fate = FATE_OPEN;
			undo(b, from, i, from);
			return rc;
		}
		known += b->item[i].fate != FATE_NEW;
	}
	if (known == to - from)
		return 0;
	if (known > 0) {
		undo(b, from, to, from);
		return err_set(err, WEIR_ECONFLICT,
			       "%zu of the %zu records of this commit are "
			       "there already: a commit is all or nothing",
			       known, to - from);
	}
	rc = decide_versions(b, from, to, err);
	if (rc != 0)
		return rc;
	for (size_t i = from; i < to; i++) {
		b->item[i].receipt.sequence = b->next_sequence++;
		b->bytes += frame_size_max(b->item[i].ready.body);
		b->new_ids += b->draft[i].has_event_id;
	}
	b->records += (uint32_t)(to - from);
	b->commits++;
	return 0;
}

/* ---- encode ------------------------------------------------------------- */

/* The node of an older peak and where the next one stands. */
static int
older_peak(struct batch *b, struct peak *out, uint64_t *below,
	   uint64_t group, uint64_t position, struct weir_err *err)
{
	struct store *s = b->s;
	struct record_view v;
	const char *why = NULL;
	int rc = 0;

	if (position >= group) {
		const uint8_t *p
			= (const uint8_t *)s->out.data + (position - group);
		must(frame_decode(&v, p, frame_length(p), s->id, position, &why)
		     == 0);
	} else {
		rc = reader_at(s->own, &v, position, err);
	}
	if (rc != 0)
		return rc;
	out->position = position;
	memcpy(out->node, v.has_node ? v.node : v.hash, MERKLE_DIGEST);
	*below = v.skip;
	return 0;
}

/* skip and, for even versions, the node of the record after `t`. */
static int
place_in_tree(struct batch *b, uint8_t node[RECORD_DIGEST], uint64_t *skip,
	      const struct summit *t, uint64_t group, const uint8_t *hash,
	      struct weir_err *err)
{
	unsigned n = t->npeaks;
	uint64_t below = t->below;
	struct peak old;

	memcpy(node, hash, RECORD_DIGEST);
	for (uint64_t v = t->version + 1; v % 2 == 0; v /= 2) {
		const struct peak *left = &old;
		if (n > 0) {
			left = &t->peak[--n];
		} else {
			int rc = older_peak(b, &old, &below, group, below, err);
			if (rc != 0)
				return rc;
		}
		merkle_inner(node, left->node, node);
	}
	*skip = n > 0 ? t->peak[n - 1].position : below;
	return 0;
}

static int
encode_record(struct batch *b, size_t i, uint64_t group, bool end,
	      int64_t committed_at, struct weir_err *err)
{
	struct store *s = b->s;
	struct item *it = &b->item[i];
	struct summit *top = &s->pending->agg[it->aggregate].top;
	struct receipt *r = &it->receipt;
	uint8_t node[RECORD_DIGEST];
	struct frame_place at = {
		.store = s->id,
		.position = group + s->out.len,
		.prev = top->position,
		.sequence = r->sequence,
		.version = top->version + 1,
		.committed_at = committed_at,
		.hash = r->hash,
		.end_of_commit = end,
	};
	int rc;

	record_leaf(r->hash, it->ready.body_hash, at.sequence, at.version,
		    committed_at);
	rc = place_in_tree(b, node, &at.skip, top, group, r->hash, err);
	if (rc != 0)
		return rc;
	at.node = at.version % 2 == 0 ? node : NULL;
	s->out.len += frame_encode((uint8_t *)s->out.data + s->out.len,
				   &b->draft[i], &it->ready, &at);
	summit_advance(top, at.position, at.sequence, at.skip, node);
	r->version = at.version;
	r->position = at.position;
	r->committed_at = committed_at;
	memcpy(r->event_id, it->ready.event_id, 16);
	r->duplicate = false;
	return 0;
}

static int
encode(struct batch *b, size_t from, size_t to, struct weir_err *err)
{
	struct store *s = b->s;
	uint64_t group = tail_position(&s->tail);
	int64_t now = clock_now();

	if (now < s->tail.committed_at)
		now = s->tail.committed_at;
	s->out.len = GROUP_HEADER;
	for (size_t c = from; c < to; c++) {
		if (b->result[c].code != 0
		    || b->item[b->first[c]].fate != FATE_NEW)
			continue;
		for (size_t i = b->first[c]; i < b->first[c + 1]; i++) {
			int rc = encode_record(b, i, group,
					       i + 1 == b->first[c + 1], now,
					       err);
			if (rc != 0)
				return rc;
		}
	}
	s->out.len += GROUP_TRAILER;
	return 0;
}

/* ---- apply -------------------------------------------------------------- */

int
commit_reserve_places(struct store *s, size_t n)
{
	if (s->places_cap - s->nplaces >= n)
		return 0;
	size_t cap = 2 * s->places_cap + n + 64;
	struct place *p = mem_resize(s->places, cap * sizeof(*p));
	if (p == NULL)
		return WEIR_ENOMEM;
	s->places = p;
	s->places_cap = cap;
	return 0;
}

static int
apply_record(struct store *s, const struct group *g,
	     const struct record_view *v, const char **why)
{
	int rc;

	if (s->nplaces == 0
	    || v->position - s->places[s->nplaces - 1].frame >= PLACE_BYTES) {
		if (commit_reserve_places(s, 1) != 0)
			return WEIR_ENOMEM;
		s->places[s->nplaces++] = (struct place){
			v->sequence, v->position, g->position};
	}
	if (v->client_event_id) {
		rc = ids_add(s->ids, v->event_id, v->position);
		if (rc != 0)
			return rc;
	}
	rc = heads_apply(s->heads, v, why);
	if (rc == 0)
		s->applied = v->sequence;
	return rc;
}

int
commit_apply(void *store, struct tail *t, const struct group *g,
	     struct weir_err *err)
{
	struct store *s = store;
	struct group_iter it = {0};
	struct record_view v;
	const char *why = NULL;
	int64_t committed_at = t->committed_at;
	uint64_t at = g->position;
	int rc = 0, more;

	pthread_mutex_lock(&s->mu);
	while (rc == 0 && (more = group_next(&it, &v, &s->journal, g, &why))) {
		at = more > 0 ? v.position : g->position + it.at;
		if (more < 0 || tail_record(t, &v, &why) != 0)
			rc = WEIR_EDAMAGE;
		else if (v.sequence > s->applied)
			rc = apply_record(s, g, &v, &why);
	}
	if (rc == 0) {
		s->last = t->next_sequence - 1;
		s->end = g->position + g->head.extent;
	} else {
		/* So that a reader may try the same group again. */
		t->next_sequence = g->head.first_sequence;
		t->committed_at = committed_at;
	}
	pthread_mutex_unlock(&s->mu);
	if (rc == WEIR_EDAMAGE)
		return journal_damage(&s->journal, err, at, why);
	return rc != 0 ? err_nomem(err) : 0;
}

/* ---- the whole ---------------------------------------------------------- */

static int
reserve(struct batch *b, size_t extent)
{
	struct store *s = b->s;
	size_t n, bytes;
	int rc = 0;

	pending_new_names(s->pending, &n, &bytes);
	buf_clear(&s->out);
	rc = buf_reserve(&s->out, extent);
	pthread_mutex_lock(&s->mu);
	if (rc == 0)
		rc = heads_reserve(s->heads, n, bytes);
	if (rc == 0)
		rc = ids_reserve(s->ids, b->new_ids);
	if (rc == 0)
		rc = commit_reserve_places(s, extent / PLACE_BYTES + 2);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

/* Writes the commits of from..to that were taken. */
static int
write_batch(struct batch *b, size_t from, size_t to, struct weir_err *err)
{
	struct store *s = b->s;
	size_t extent = GROUP_HEADER + b->bytes + GROUP_TRAILER;
	struct group g;
	int rc;

	if (b->records == 0)
		return 0;
	if (reserve(b, extent) != 0)
		return err_nomem(err);
	rc = append_room(s, extent, err);
	if (rc == 0)
		rc = encode(b, from, to, err);
	if (rc == 0)
		rc = append_group(s, &g, b->records, b->commits, err);
	if (rc != 0)
		return rc;
	must(commit_apply(s, &s->tail, &g, err) == 0);
	tail_group(&s->tail, &g);
	live_publish(&s->live, &(struct live_state){
				       .sequence = s->tail.next_sequence - 1,
				       .end = tail_position(&s->tail),
				       .epoch = s->epoch,
				       .chain = s->tail.chain});
	return 0;
}

static void
answer(struct batch *b, struct receipt *receipts, size_t from, size_t to)
{
	for (size_t c = from; c < to; c++) {
		if (b->result[c].code != 0)
			continue;
		for (size_t i = b->first[c]; i < b->first[c + 1]; i++) {
			struct item *it = &b->item[i];
			if (it->fate == FATE_PENDING) {
				it->receipt = b->item[it->original].receipt;
				it->receipt.duplicate = true;
			}
			receipts[i] = it->receipt;
		}
	}
}

/* One group: commits from..to. */
static int
run_batch(struct batch *b, struct receipt *receipts, size_t from, size_t to,
	  struct weir_err *err)
{
	struct store *s = b->s;
	int rc = 0;

	if (s->failed)
		return err_set(err, WEIR_EFAILED,
			       "this writer has failed (%s); close the store "
			       "and open it again",
			       s->failure);
	if (!s->writing)
		return err_set(err, WEIR_EUSAGE,
			       "%s is not open for writing", s->dir);
	pending_clear(s->pending);
	if (pending_reserve(s->pending, b->first[to] - b->first[from]) != 0)
		return err_nomem(err);
	b->next_sequence = s->tail.next_sequence;
	b->bytes = b->new_ids = 0;
	b->records = b->commits = 0;
	for (size_t c = from; c < to; c++)
		if (b->result[c].code == 0)
			b->result[c].code
				= decide_commit(b, c, &b->result[c]);
	rc = write_batch(b, from, to, err);
	if (rc == 0)
		answer(b, receipts, from, to);
	return rc;
}

/* How many commits from c on make one group. */
static size_t
batch_end(const struct batch *b, size_t c, size_t n)
{
	size_t bytes = 0, from = c;

	for (; c < n; c++) {
		if (b->result[c].code != 0)
			continue;
		for (size_t i = b->first[c]; i < b->first[c + 1]; i++)
			bytes += frame_size_max(b->item[i].ready.body);
		if (bytes > BATCH_BYTES && c > from)
			return c;
	}
	return n;
}

int
store_commit_group(struct store *s, struct receipt *receipts,
		   struct weir_err *results, struct record_draft *drafts,
		   const size_t *first, size_t n, struct weir_err *err)
{
	size_t total = first[n] - first[0], to;
	struct batch b = {.s = s, .draft = drafts, .first = first,
			  .result = results};
	int rc = 0;

	must(first[0] == 0);
	if (total >= UINT32_MAX / 2)
		return err_set(err, WEIR_EINPUT, "too many records at once");
	b.item = mem_resize(NULL, (total + 1) * sizeof(*b.item));
	if (b.item == NULL)
		return err_nomem(err);
	for (size_t c = 0; c < n; c++) {
		results[c] = (struct weir_err){0};
		admit_commit(b.item + first[c], drafts + first[c],
			     first[c + 1] - first[c], &results[c]);
	}
	pthread_mutex_lock(&s->work);
	for (size_t c = 0; c < n && rc == 0; c = to) {
		to = batch_end(&b, c, n);
		rc = run_batch(&b, receipts, c, to, err);
		for (size_t i = c; rc != 0 && i < n; i++)
			err_set(&results[i], rc, "%s",
				err != NULL ? err->msg : "not written");
	}
	pthread_mutex_unlock(&s->work);
	mem_free(b.item);
	return rc;
}

int
store_commit(struct store *s, struct receipt *receipts,
	     struct record_draft *drafts, size_t n, struct weir_err *err)
{
	size_t first[2] = {0, n};
	struct weir_err one;
	int rc;

	rc = store_commit_group(s, receipts, &one, drafts, first, 1, err);
	if (rc == 0 && one.code != 0) {
		rc = one.code;
		if (err != NULL)
			*err = one;
	}
	return rc;
}
