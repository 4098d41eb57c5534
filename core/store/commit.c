/* SPDX-License-Identifier: MIT */
/*
 * A batch of requests on its way into the journal, and the calls that send one.
 *
 *   admit     in the caller's thread (admit.c)
 *   queue     one leader takes what waits (queue.c)
 *   decide    (decide.c)
 *   propose   encode, one write, one sync (committer.c, append.c)
 *   apply     commit_apply reads the group back from its bytes: the only code
 *             that changes heads, ids and places, the same at open and when a
 *             reader follows
 *   publish   in `live`; then the callers are answered
 *
 * 1. work is held from decide to publish.
 * 2. All memory that apply needs is there before the write.
 * 3. Receipts are filled last: they are untouched on failure. All of a batch
 * are filled before anybody is answered, for one may be another's original.
 */
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "store/batch.h"
#include "store/impl.h"
#include "store/indexer.h"
#include "store/pending.h"

#define ITEMS_NEAR 4 /* so many need no memory */
#define LOST_MOST  1000

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

/* The same for one whose past is in the index: shredding leaves it archived or
 * not, as it was. */
static int
apply_shredded(struct store *s, const struct record_view *v, const char **why,
	       struct weir_err *err)
{
	uint64_t hash = heads_hash(v->aggregate_type, v->aggregate_id);
	bool archived = false;
	int rc = find_archived(s, &archived, v->prev, err);

	*why = NULL;
	if (rc == 0)
		rc = heads_apply(s->heads, v, true, why);
	if (rc == 0)
		heads_find(s->heads, hash, v->aggregate_type, v->aggregate_id)
			->top.archived = archived;
	return rc;
}

static int
apply_head(struct store *s, const struct record_view *v, const char **why,
	   struct weir_err *err)
{
	bool partial = find_partial(s);

	if (v->op == WEIR_OP_SHREDDED && partial && v->version > 1
	    && heads_find(s->heads,
			  heads_hash(v->aggregate_type, v->aggregate_id),
			  v->aggregate_type, v->aggregate_id)
		    == NULL)
		return apply_shredded(s, v, why, err);
	return heads_apply(s->heads, v, partial, why);
}

static int
apply_record(struct store *s, const struct group *g,
	     const struct record_view *v, const char **why,
	     struct weir_err *err)
{
	struct writes_entry *token = NULL;
	int rc;

	if (v->token != 0) {
		token = writes_at(s->writes, v->token);
		if (token == NULL)
			return WEIR_ENOMEM;
	}
	if (s->nplaces == 0 ||
	    v->position - s->places[s->nplaces - 1].frame >= PLACE_BYTES) {
		if (commit_reserve_places(s, 1) != 0)
			return WEIR_ENOMEM;
		s->places[s->nplaces++] =
			(struct place){v->sequence, v->position, g->position};
	}
	if (v->client_event_id && s->writing) {
		rc = ids_add(s->ids, v->event_id, v->position);
		if (rc != 0)
			return rc;
	}
	rc = apply_head(s, v, why, err);
	if (rc == 0 && v->aggregate_type.data[0] == '$')
		rc = rules_note(s, v);
	if (rc != 0)
		return rc;
	s->applied = v->sequence;
	if (token != NULL)
		token->count++;
	if (v->version == 1) {
		s->aggregates++;
		s->reserved += v->aggregate_type.data[0] == '$';
	}
	return 0;
}

int
commit_apply_held(void *store, struct tail *t, const struct group *g,
		  struct weir_err *err)
{
	struct store *s = store;
	struct group_iter it = {0};
	struct record_view v;
	const char *why = NULL;
	int64_t committed_at = t->committed_at;
	uint64_t at = g->position;
	int rc = 0, more;

	while (rc == 0 && (more = group_next(&it, &v, &s->journal, g, &why))) {
		at = more > 0 ? v.position : g->position + it.at;
		if (more < 0 || tail_record(t, &v, &why) != 0)
			rc = WEIR_EDAMAGE;
		else if (v.sequence > s->applied)
			rc = apply_record(s, g, &v, &why, err);
	}
	if (rc == 0) {
		s->last = t->next_sequence - 1;
		s->end = g->position + g->head.extent;
		s->behind += g->head.extent;
		return 0;
	}
	/* So that a reader may try the same group again. */
	t->next_sequence = g->head.first_sequence;
	t->committed_at = committed_at;
	if (rc == WEIR_EDAMAGE && why != NULL)
		return journal_damage(&s->journal, err, at, why);
	return rc == WEIR_ENOMEM ? err_nomem(err) : rc;
}

int
commit_apply(void *store, struct tail *t, const struct group *g,
	     struct weir_err *err)
{
	struct store *s = store;
	int rc;

	pthread_mutex_lock(&s->mu);
	rc = commit_apply_held(s, t, g, err);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

/* ---- the whole ---------------------------------------------------------- */

static int
reserve(struct batch *b)
{
	struct store *s = b->s;
	size_t n, bytes;
	int rc;

	pending_new_names(s->pending, &n, &bytes);
	pthread_mutex_lock(&s->mu);
	rc = heads_reserve(s->heads, n, bytes);
	if (rc == 0)
		pending_install(s->pending, s->heads);
	if (rc == 0)
		rc = ids_reserve(s->ids, b->new_ids);
	if (rc == 0)
		rc = commit_reserve_places(s, b->bytes / PLACE_BYTES + 2);
	if (rc == 0)
		rc = rules_reserve(s, b->reserved);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

static void
publish(struct store *s)
{
	live_publish(&s->live,
		     &(struct live_state){.sequence = s->tail.next_sequence - 1,
					  .end = tail_position(&s->tail),
					  .epoch = s->epoch,
					  .chain = s->tail.chain});
}

/* One try against the present heads. */
static int
try_batch(struct batch *b, enum outcome *out, struct weir_err *err)
{
	struct store *s = b->s;
	struct group g;
	size_t n = 0;
	int rc;

	for (const struct request *r = b->requests; r != NULL; r = r->next)
		n += r->first[r->n] - r->first[0];
	pending_clear(s->pending);
	if (pending_reserve(s->pending, n) != 0)
		return err_nomem(err);
	b->base = s->tail.next_sequence;
	find_trim(s);
	decide_batch(b);
	*out = OUTCOME_COMMITTED;
	if (b->records == 0)
		return 0;
	if (reserve(b) != 0)
		return err_nomem(err);
	rc = s->committer->propose(s, out, &g, b, err);
	if (rc != 0 || *out != OUTCOME_COMMITTED)
		return rc;
	pending_fetch(s->pending, s->heads);
	must(commit_apply(s, &s->tail, &g, err) == 0);
	tail_group(&s->tail, &g);
	publish(s);
	append_pace(s, g.head.extent);
	if (s->indexer != NULL)
		indexer_pace(s->indexer);
	return 0;
}

static void
answer(struct request *r)
{
	for (size_t c = 0; c < r->n; c++) {
		if (r->result[c].code != 0)
			continue;
		for (size_t i = r->first[c]; i < r->first[c + 1]; i++) {
			struct item *it = &r->item[i];
			if (it->fate == FATE_PENDING) {
				it->receipt = it->original->receipt;
				it->receipt.duplicate = true;
			}
			r->receipts[i] = it->receipt;
		}
	}
}

/* work is held */
static int
can_commit(const struct store *s, struct weir_err *err)
{
	if (s->failed)
		return err_set(err, WEIR_EFAILED,
			       "this writer has failed (%s); close the store "
			       "and open it again",
			       s->failure);
	if (!s->writing)
		return err_set(err, WEIR_EUSAGE, "%s is not open for writing",
			       s->dir);
	return 0;
}

int
store_probe(struct store *s, struct weir_err *err)
{
	int rc;

	pthread_mutex_lock(&s->work);
	rc = can_commit(s, err);
	pthread_mutex_unlock(&s->work);
	return rc;
}

static int
run_batch(struct batch *b, struct weir_err *err)
{
	struct store *s = b->s;
	enum outcome out = OUTCOME_LOST;
	int rc = can_commit(s, err);

	for (int i = 0; rc == 0 && out == OUTCOME_LOST && i < LOST_MOST; i++)
		rc = try_batch(b, &out, err);
	if (rc == 0 && out == OUTCOME_LOST)
		rc = err_set(err, WEIR_EUNREACH,
			     "others were faster %d times in a row; try again",
			     LOST_MOST);
	must(out != OUTCOME_UNKNOWN || (rc != 0 && s->failed));
	return rc;
}

static void
commit_batch(struct store *s, struct request *list)
{
	struct batch b = {.s = s, .requests = list};
	struct weir_err err;
	int rc;

	pthread_mutex_lock(&s->work);
	rc = run_batch(&b, &err);
	pthread_mutex_unlock(&s->work);
	for (struct request *r = list; r != NULL; r = r->next) {
		r->rc = rc;
		if (rc == 0)
			answer(r);
		for (size_t c = 0; rc != 0 && c < r->n; c++) {
			r->result[c] = err;
			r->result[c].code = rc;
		}
	}
}

/* The last request of a batch that begins with r: a reserved record may change
 * the rules for what comes after it. */
static struct request *
batch_end(struct request *r)
{
	while (r->next != NULL && !r->system)
		r = r->next;
	return r;
}

void
commit_requests(struct store *s, struct request *list)
{
	while (list != NULL) {
		struct request *last = batch_end(list), *rest = last->next;

		last->next = NULL;
		commit_batch(s, list);
		last->next = rest;
		list = rest;
	}
}

/* ---- the calls ---------------------------------------------------------- */

/* How many commits from c on make one request. */
static size_t
request_end(const struct request *all, size_t c, size_t *bytes)
{
	size_t from = c;

	for (*bytes = 0; c < all->n; c++) {
		size_t n = 0;
		if (all->result[c].code != 0)
			continue;
		for (size_t i = all->first[c]; i < all->first[c + 1]; i++)
			n += frame_size_max(all->item[i].ready.body);
		if (*bytes + n > BATCH_BYTES && c > from)
			break;
		*bytes += n;
	}
	return c;
}

static int
send_parts(struct store *s, const struct request *all, struct weir_err *err)
{
	size_t to, bytes;
	int rc = 0;

	for (size_t c = 0; c < all->n && rc == 0; c = to) {
		to = request_end(all, c, &bytes);
		struct request part = {
			.item = all->item,
			.first = all->first + c,
			.n = to - c,
			.result = all->result + c,
			.receipts = all->receipts,
			.bytes = bytes,
			.records = all->first[to] - all->first[c],
		};
		rc = queue_send(s->queue, &part, err);
		if (rc != 0 && part.rc != 0 && err != NULL)
			*err = part.result[0];
		for (size_t i = c; rc != 0 && i < all->n; i++)
			err_set(&all->result[i], rc, "%s",
				err != NULL ? err->msg : "not written");
	}
	return rc;
}

int
store_commit_group(struct store *s, struct receipt *receipts,
		   struct weir_err *results, struct record_draft *drafts,
		   const size_t *first, size_t n, struct weir_err *err)
{
	size_t total = first[n] - first[0], bytes;
	struct request all = {.first = first,
			      .n = n,
			      .result = results,
			      .receipts = receipts};
	int rc;

	must(first[0] == 0);
	if (total >= BATCH_RECORDS)
		return err_set(err, WEIR_EINPUT, "too many records at once");
	all.item = mem_resize(NULL, (total + 1) * sizeof(*all.item));
	if (all.item == NULL)
		return err_nomem(err);
	all.item[total].hash = 0; /* looked at when the last commit is empty */
	for (size_t c = 0; c < n; c++) {
		struct item *it = all.item + first[c];
		results[c] = (struct weir_err){0};
		int bad = admit_commit(s, it, &bytes, drafts + first[c],
				       first[c + 1] - first[c], &results[c]);
		if (bad == 0 && it->system)
			bad = err_set(&results[c], WEIR_EUSAGE,
				      "a reserved record is committed alone");
		if (bad != 0 && first[c] < first[c + 1])
			it->draft = NULL, it->hash = 0;
	}
	rc = send_parts(s, &all, err);
	mem_free(all.item);
	return rc;
}

int
store_commit(struct store *s, struct receipt *receipts,
	     struct record_draft *drafts, size_t n, struct weir_err *err)
{
	struct item near[ITEMS_NEAR];
	size_t first[2] = {0, n};
	struct weir_err one;
	struct request r = {.item = near,
			    .first = first,
			    .n = 1,
			    .result = &one,
			    .receipts = receipts,
			    .records = n};
	int rc;

	one.code = 0;
	if (n > ITEMS_NEAR && n <= WEIR_COMMIT_RECORDS_MAX) {
		r.item = mem_resize(NULL, n * sizeof(*r.item));
		if (r.item == NULL)
			return err_nomem(err);
	}
	rc = admit_commit(s, r.item, &r.bytes, drafts, n, &one);
	if (rc == 0) {
		r.system = r.item->system;
		rc = queue_send(s->queue, &r, &one);
	}
	if (rc == 0)
		rc = one.code;
	if (rc != 0 && err != NULL)
		*err = one;
	if (r.item != near)
		mem_free(r.item);
	return rc;
}
