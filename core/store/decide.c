/* SPDX-License-Identifier: MIT */
/*
 * Deciding: idempotency, archived, expected version, what a token may still
 * write, against heads, ids, counts and what this batch already holds. A commit
 * is taken whole or not.
 *
 * 1. work is held: only its holder changes heads and ids, so they are read here
 *    without mu.
 * 2. A draft of another caller in the same batch may be looked at: it stays
 *    where it is until all of the batch is answered.
 */
#include "store/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/uuid.h"
#include "store/impl.h"
#include "store/pending.h"

#define AHEAD 64

static void
receipt_of_view(struct receipt *r, const struct record_view *v)
{
	r->sequence = v->sequence;
	r->version = v->version;
	r->position = v->position;
	r->committed_at = v->committed_at;
	memcpy(r->event_id, v->event_id, 16);
	memcpy(r->hash, v->hash, RECORD_DIGEST);
	r->lefts_known = false;
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
decide_id(struct batch *b, const struct item *first, struct item *it,
	  struct weir_err *err)
{
	const struct record_draft *d = it->draft;
	struct pending *p = b->s->pending;
	struct record_view v;
	uint64_t seen;
	char id[37];
	int rc;

	it->fate = FATE_NEW;
	if (!d->has_event_id)
		return 0;
	seen = ids_find(b->s->ids, d->event_id);
	if (seen == 0) {
		rc = find_id(b->s, &seen, d->event_id, err);
		if (rc < 0)
			return rc;
	}
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
	it->original = pending_id_find(p, d->event_id);
	if (it->original == NULL) {
		pending_id_add(p, d->event_id, it);
		return 0;
	}
	it->fate = FATE_PENDING;
	if (it->original >= first && it->original < it) {
		uuid_text(id, d->event_id);
		return err_set(err, WEIR_ECONFLICT,
			       "event_id %s is given to two records of one "
			       "commit; each needs its own",
			       id);
	}
	record_of_draft(&v, it->original->draft, &it->original->ready);
	if (!record_same_content(&v, d))
		return id_conflict(d, it->original->receipt.sequence, err);
	return 0;
}

static int
decide_version(const struct record_draft *d, const struct pending_aggregate *a,
	       struct weir_err *err)
{
	char wanted[40];
	char name[WEIR_NAME_MAX + WEIR_ID_MAX + 2];
	bool archived = a->archived && d->op == WEIR_OP_EVENT;

	if (!archived &&
	    (d->expected == EXPECT_ANY || d->expected == a->version ||
	     (d->expected == EXPECT_EXISTS && a->version > 0)))
		return 0;
	snprintf(name, sizeof(name), "%.*s/%.*s", (int)a->type.len,
		 a->type.data, (int)a->id.len, a->id.data);
	if (archived)
		return err_set(err, WEIR_EDENIED,
			       "aggregate is archived and cannot accept new "
			       "events: %s",
			       name);
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

/* A draft's record counts for its token. The entry is made here, for apply may
 * not need memory. */
static int
take_token(struct batch *b, const struct record_draft *d, struct weir_err *err)
{
	struct store *s = b->s;
	struct writes_entry *e;

	if (d->token == 0)
		return 0;
	e = writes_find(s->writes, d->token);
	if (e == NULL) {
		pthread_mutex_lock(&s->mu);
		e = writes_at(s->writes, d->token);
		pthread_mutex_unlock(&s->mu);
	}
	if (e == NULL)
		return err_nomem(err);
	if (e->turn != s->turn) {
		e->turn = s->turn;
		e->pending = 0;
	}
	if (d->token_limit != 0 && e->count + e->pending >= d->token_limit)
		return err_set(err, WEIR_EDENIED, "token write limit reached");
	e->pending++;
	return 0;
}

/* Takes back what decide_commit noted of items from..to. */
static void
undo(struct batch *b, struct item *from, struct item *ids_to,
     struct item *versions_to)
{
	struct pending *p = b->s->pending;

	for (struct item *it = versions_to; it-- > from;)
		if (it->draft->token != 0)
			writes_find(b->s->writes, it->draft->token)->pending--;
	for (struct item *it = versions_to; it-- > from;) {
		struct pending_aggregate *a = &p->agg[it->aggregate];
		a->version--;
		a->archived = it->was_archived;
	}
	for (struct item *it = ids_to; it-- > from;) {
		if (it->fate == FATE_NEW && it->draft->has_event_id)
			pending_id_undo(p);
		it->fate = FATE_OPEN;
	}
}

/* Asks for the memory of the next heads all at once: one after the other they
 * would be most of the cost of a large batch. */
static void
look_ahead(struct batch *b, const struct item *from)
{
	const struct item *to = b->end - from > AHEAD ? from + AHEAD : b->end;

	for (const struct item *it = from; it < to; it++)
		heads_ask(b->s->heads, it->hash);
	for (const struct item *it = from; it < to; it++)
		heads_fetch(b->s->heads, it->hash);
	b->ahead = to;
}

/* The same over callers with few records each. */
static void
look_over(struct batch *b)
{
	const struct request *r = b->requests;

	for (int i = 0; r != NULL && i < AHEAD; i++, r = r->next)
		heads_ask(b->s->heads, r->item[r->first[0]].hash);
	r = b->requests;
	for (int i = 0; r != NULL && i < AHEAD; i++, r = r->next)
		heads_fetch(b->s->heads, r->item[r->first[0]].hash);
}

/* The aggregate of an item, from memory or the index. */
static int
find_aggregate(struct batch *b, struct item *it, struct weir_err *err)
{
	const struct record_draft *d = it->draft;
	struct pending *p = b->s->pending;
	struct summit top;
	bool fresh;
	int rc;

	it->aggregate = pending_find(p, &fresh, b->s->heads, it->hash,
				     d->aggregate_type, d->aggregate_id);
	if (!fresh)
		return 0;
	rc = find_summit(b->s, &top, it->hash, d->aggregate_type,
			 d->aggregate_id, err);
	if (rc > 0)
		pending_found(p, it->aggregate, &top);
	else if (rc < 0)
		pending_unfind(p);
	return rc < 0 ? rc : 0;
}

static int
decide_versions(struct batch *b, struct item *from, struct item *to,
		struct weir_err *err)
{
	struct pending *p = b->s->pending;

	for (struct item *it = from; it < to; it++) {
		const struct record_draft *d = it->draft;
		if (it >= b->ahead)
			look_ahead(b, it);
		int rc = find_aggregate(b, it, err);
		struct pending_aggregate *a = &p->agg[it->aggregate];
		if (rc == 0)
			rc = decide_version(d, a, err);
		if (rc == 0)
			rc = take_token(b, d, err);
		if (rc != 0) {
			if (err->sequence == 0)
				err->sequence = (uint64_t)(it - from) + 1;
			undo(b, from, to, it);
			return rc;
		}
		it->was_archived = a->archived;
		a->version++;
		if (d->op == WEIR_OP_ARCHIVED || d->op == WEIR_OP_RESTORED)
			a->archived = d->op == WEIR_OP_ARCHIVED;
	}
	return 0;
}

/* Were the rules changed since it was admitted? */
static int
decide_rules(struct batch *b, struct item *from, size_t n, struct weir_err *err)
{
	const struct store_admission *a = &b->s->admission;

	if (a->admit == NULL || (from->system && from->draft->token == 0) ||
	    (from->rules != 0 && from->rules > b->s->rules))
		return 0;
	return a->admit(a->cookie, &from->rules, from->draft, n, err);
}

static int
decide_commit(struct batch *b, struct item *from, struct item *to,
	      struct weir_err *err)
{
	size_t known = 0, n = (size_t)(to - from);
	int rc;

	for (struct item *it = from; it < to; it++) {
		rc = decide_id(b, from, it, err);
		if (rc != 0) {
			it->fate = FATE_OPEN;
			undo(b, from, it, from);
			return rc;
		}
		known += it->fate != FATE_NEW;
	}
	if (known == n)
		return 0;
	if (known > 0) {
		undo(b, from, to, from);
		return err_set(err, WEIR_ECONFLICT,
			       "%zu of the %zu records of this commit are "
			       "there already: a commit is all or nothing",
			       known, n);
	}
	rc = decide_rules(b, from, n, err);
	if (rc != 0) {
		undo(b, from, to, from);
		return rc;
	}
	rc = decide_versions(b, from, to, err);
	if (rc != 0)
		return rc;
	b->reserved += from->system ? n : 0;
	for (struct item *it = from; it < to; it++) {
		it->receipt.sequence = b->next_sequence++;
		b->bytes += frame_size_max(it->ready.body);
		b->new_ids += it->draft->has_event_id;
	}
	b->records += (uint32_t)n;
	b->commits++;
	return 0;
}

void
decide_batch(struct batch *b)
{
	b->next_sequence = b->base;
	b->bytes = b->new_ids = b->reserved = 0;
	b->records = b->commits = 0;
	b->s->turn++;
	if (b->requests->next != NULL)
		look_over(b);
	for (struct request *r = b->requests; r != NULL; r = r->next) {
		b->ahead = r->item + r->first[0];
		b->end = r->item + r->first[r->n];
		for (size_t c = 0; c < r->n; c++) {
			struct item *from = r->item + r->first[c];
			struct item *to = r->item + r->first[c + 1];
			/* Refused when it was admitted. */
			if (from == to || from->draft == NULL)
				continue;
			r->result[c].code =
				decide_commit(b, from, to, &r->result[c]);
		}
	}
}
