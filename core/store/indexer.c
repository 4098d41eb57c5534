/* SPDX-License-Identifier: MIT */
/*
 * A batch is gathered by a walk over the journal from the watermark on, sorted,
 * and written in transactions of PUTS entries each, so that no sync is large;
 * the last of them moves the watermark. What an earlier one wrote stands ahead
 * of the watermark until then, which is true all the same.
 *
 * 1. mu guards wanted, busy, failed, again_at and stop; it is never held
 *    during I/O, and no other lock is taken under it.
 * 2. meta and gather belong to the thread, or before it began to the caller of
 *    indexer_run.
 * 3. store->behind and store->indexed change under the store's mu.
 */
#include "store/indexer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "store/gather.h"
#include "store/impl.h"

#define PUTS	    4096u
#define STEP	    64u /* puts between two looks at who waits */
#define BATCH_BYTES (32u << 20)
#define RUN_BYTES   (64u << 20)
#define AGAIN_BYTES (16u << 20) /* appended before a failure is tried again */
#define GROW_MOST   (16u << 20)
#define WINDOW_MOST (GROUP_EXTENT_MAX + (2u << 20))
#define HOLD_US	    100
#define HOLD_TRIES  10

struct indexer {
	struct store *s;
	struct index_meta meta;
	struct gather gather;
	struct buf window;
	size_t puts;	/* in this transaction */
	uint64_t least; /* bytes behind from which on a batch pays */
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t news; /* for the thread */
	pthread_cond_t done; /* for indexer_pace */
	bool threaded, stop, failed;
	uint64_t wanted;   /* bytes behind, as last told */
	uint64_t again_at; /* failed: not before so many are */
	_Atomic bool held;
};

struct indexer *
indexer_new(struct store *s, const struct index_meta *at)
{
	struct indexer *x = mem_new(sizeof(*x));

	if (x == NULL)
		return NULL;
	x->s = s;
	if (at != NULL)
		x->meta = *at;
	else
		tail_init(&x->meta.tail);
	x->meta.tail.frontier_from = 0;
	x->least = s->index_after;
	if (gather_init(&x->gather, &s->journal, &x->meta) != 0) {
		gather_fini(&x->gather);
		mem_free(x);
		return NULL;
	}
	buf_init(&x->window, WINDOW_MOST);
	pthread_mutex_init(&x->mu, NULL);
	pthread_cond_init(&x->news, NULL);
	pthread_cond_init(&x->done, NULL);
	return x;
}

static void
end_thread(struct indexer *x)
{
	pthread_mutex_lock(&x->mu);
	x->stop = true;
	pthread_cond_broadcast(&x->news);
	pthread_mutex_unlock(&x->mu);
	if (x->threaded)
		pthread_join(x->thread, NULL);
	x->threaded = false;
}

void
indexer_free(struct indexer *x)
{
	if (x == NULL)
		return;
	end_thread(x);
	gather_fini(&x->gather);
	buf_fini(&x->window);
	pthread_cond_destroy(&x->news);
	pthread_cond_destroy(&x->done);
	pthread_mutex_destroy(&x->mu);
	mem_free(x);
}

void
indexer_hold(struct indexer *x, bool yes)
{
	atomic_store(&x->held, yes);
}

/* ---- writing a batch ----------------------------------------------------- */

/* Before each put: gives way to a caller who waits, but not for ever, and ends
 * a transaction that is large enough. */
static int
next_put(struct indexer *x, struct weir_err *err)
{
	int rc;

	if (x->puts % STEP == 0)
		for (int i = 0; i < HOLD_TRIES && atomic_load(&x->held); i++)
			live_sleep(HOLD_US);
	if (x->puts++ < PUTS)
		return 0;
	x->puts = 0;
	rc = index_commit(x->s->index, NULL, err);
	return rc != 0 ? rc : index_begin(x->s->index, err);
}

static int
put_names(struct indexer *x, struct weir_err *err)
{
	struct gather *g = &x->gather;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->names; i++) {
		const struct gather_name *n = &g->name[i];
		rc = next_put(x, err);
		if (rc == 0)
			rc = index_put_head(x->s->index, n->name.key, n->len,
					    &n->head, !n->archived_known, err);
	}
	return rc;
}

static int
put_all(struct indexer *x, struct weir_err *err)
{
	struct gather *g = &x->gather;
	struct index *index = x->s->index;
	int rc = put_names(x, err);

	for (size_t i = 0; rc == 0 && i < g->ids; i++) {
		rc = next_put(x, err);
		if (rc == 0)
			rc = index_put_id(index, g->id[i].id, g->id[i].position,
					  err);
	}
	for (size_t i = 0; rc == 0 && i < g->places; i++) {
		rc = next_put(x, err);
		if (rc == 0)
			rc = index_put_place(index, &g->place[i], err);
	}
	return rc;
}

/* from: the first sequence of the batch. */
static int
write_batch(struct indexer *x, uint64_t from, struct weir_err *err)
{
	struct index *index = x->s->index;
	int rc = 0;

	gather_sort(&x->gather);
	if (!index_is_open(index))
		rc = index_create(index, err);
	if (rc != 0)
		return rc;
	index_unseal(index);
	x->puts = 0;
	rc = index_begin(index, err);
	if (rc == 0)
		rc = put_all(x, err);
	if (rc == 0)
		rc = index_add_writes(index, x->gather.writes, from, err);
	if (rc == 0)
		rc = index_commit(index, &x->meta, err);
	index_abort(index);
	index_seal(index);
	return rc;
}

/* Where a batch from the watermark on ends. */
static uint64_t
batch_limit(const struct indexer *x, uint64_t limit, uint64_t bytes)
{
	const struct tail *t = &x->meta.tail;
	uint64_t to;

	if (t->segment == 0 || t->sealed || t->offset + bytes >= t->size)
		to = position_of(t->segment + 1, SEGMENT_HEADER);
	else
		to = position_of(t->segment, t->offset + bytes);
	return to < limit ? to : limit;
}

/* Takes in the journal up to the limit and writes it. On failure the watermark
 * stays where it was. */
static int
batch(struct indexer *x, uint64_t limit, struct weir_err *err)
{
	struct index_meta was = x->meta;
	struct stopped stop = {0};
	struct gather *g = &x->gather;
	struct tail *t = &x->meta.tail;
	int rc;

	gather_clear(g);
	rc = journal_walk(&x->s->journal, t, &stop, limit, &x->window,
			  gather_group, g, err);
	if (rc == 0 && stop.stop != STOP_LIMIT)
		rc = journal_damage(&x->s->journal, err, tail_position(t),
				    stop.why);
	if (tail_position(t) == g->group_end)
		x->meta.group = g->group;
	else if (t->offset == SEGMENT_HEADER)
		x->meta.group = 0;
	else
		x->meta.group = tail_position(t) - GROUP_HEADER;
	if (rc == 0)
		rc = write_batch(x, was.tail.next_sequence, err);
	if (rc != 0)
		x->meta = was;
	return rc;
}

/* ---- in the caller's thread ---------------------------------------------- */

int
indexer_run(struct indexer *x, uint64_t *records, uint64_t limit,
	    void (*progress)(void *cookie, uint64_t position), void *cookie,
	    struct weir_err *err)
{
	int rc = 0;

	must(!x->threaded);
	while (rc == 0 && tail_position(&x->meta.tail) < limit) {
		rc = batch(x, batch_limit(x, limit, RUN_BYTES), err);
		if (rc == 0)
			*records += x->gather.records;
		if (rc == 0 && progress != NULL)
			progress(cookie, tail_position(&x->meta.tail));
	}
	return rc;
}

int
indexer_run_heads(struct indexer *x, uint64_t *records,
		  void (*progress)(void *cookie, uint64_t position),
		  void *cookie, struct weir_err *err)
{
	uint64_t limit = tail_position(&x->meta.tail);
	struct index *index = x->s->index;
	struct index_meta none = {0};
	struct stopped stop = {0};
	struct tail t;
	int rc = 0;

	must(!x->threaded);
	tail_init(&t);
	t.frontier_from = UINT64_MAX;
	gather_clear(&x->gather);
	x->gather.heads_only = true;
	x->gather.meta = &none;
	while (rc == 0 && tail_position(&t) < limit) {
		uint64_t to = position_of(t.segment + 1, SEGMENT_HEADER);
		rc = journal_walk(&x->s->journal, &t, &stop,
				  to < limit ? to : limit, &x->window,
				  gather_group, &x->gather, err);
		if (rc == 0 && stop.stop != STOP_LIMIT)
			rc = journal_damage(&x->s->journal, err,
					    tail_position(&t), stop.why);
		if (rc == 0 && progress != NULL)
			progress(cookie, tail_position(&t));
	}
	gather_sort(&x->gather);
	*records = x->gather.records;
	index_unseal(index);
	if (rc == 0)
		rc = index_begin(index, err);
	if (rc == 0)
		rc = index_forget_heads(index, err);
	for (size_t i = 0; rc == 0 && i < x->gather.names; i++)
		rc = index_put_head(index, x->gather.name[i].name.key,
				    x->gather.name[i].len,
				    &x->gather.name[i].head, false, err);
	if (rc == 0)
		rc = index_commit(index, &x->meta, err);
	index_abort(index);
	index_seal(index);
	x->gather.heads_only = false;
	x->gather.meta = &x->meta;
	return rc;
}

/* ---- the thread ---------------------------------------------------------- */

/* A large index takes more pages for a batch: it waits for larger ones, but not
 * until appends must wait for it. */
static uint64_t
least(struct indexer *x)
{
	uint64_t from = x->s->index_after, most = x->s->index_most / 2;

	if (index_is_open(x->s->index))
		from += 2 * index_bytes(x->s->index);
	if (from > GROW_MOST)
		from = GROW_MOST;
	if (from > most)
		from = most;
	return from > x->s->index_after ? from : x->s->index_after;
}

static int
work(struct indexer *x)
{
	struct store *s = x->s;
	struct weir_err err = {0};
	uint64_t end;
	int rc;

	pthread_mutex_lock(&s->mu);
	end = s->end;
	pthread_mutex_unlock(&s->mu);
	rc = batch(x, batch_limit(x, end, BATCH_BYTES), &err);
	if (rc != 0) {
		diag(DIAG_WARN, "index",
		     "the index stays at sequence %" PRIu64
		     ": %s; appends go on, and it is tried again later",
		     x->meta.tail.next_sequence - 1, err.msg);
		return rc;
	}
	pthread_mutex_lock(&s->mu);
	s->behind -= x->gather.bytes < s->behind ? x->gather.bytes : s->behind;
	s->indexed = x->meta.tail.next_sequence - 1;
	pthread_mutex_unlock(&s->mu);
	return 0;
}

static uint64_t
behind(struct store *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->mu);
	n = s->behind;
	pthread_mutex_unlock(&s->mu);
	return n;
}

static void *
thread_main(void *arg)
{
	struct indexer *x = arg;

	pthread_mutex_lock(&x->mu);
	while (!x->stop) {
		if (x->wanted < x->least ||
		    (x->failed && x->wanted < x->again_at)) {
			pthread_cond_wait(&x->news, &x->mu);
			continue;
		}
		pthread_mutex_unlock(&x->mu);
		bool failed = work(x) != 0;
		uint64_t left = behind(x->s), from = least(x);
		pthread_mutex_lock(&x->mu);
		x->failed = failed;
		x->wanted = left;
		x->again_at = left + AGAIN_BYTES;
		x->least = from;
		pthread_cond_broadcast(&x->done);
	}
	pthread_mutex_unlock(&x->mu);
	return NULL;
}

void
indexer_pace(struct indexer *x)
{
	struct store *s = x->s;
	uint64_t n = behind(s);

	if (n < s->index_after)
		return;
	pthread_mutex_lock(&x->mu);
	x->wanted = n;
	if (!x->threaded && n >= x->least)
		x->threaded =
			pthread_create(&x->thread, NULL, thread_main, x) == 0;
	if (x->threaded && n >= x->least)
		pthread_cond_signal(&x->news);
	while (x->threaded && !x->failed && x->wanted > s->index_most)
		pthread_cond_wait(&x->done, &x->mu);
	pthread_mutex_unlock(&x->mu);
}

void
indexer_finish(struct indexer *x)
{
	uint64_t left = behind(x->s), was = UINT64_MAX;

	end_thread(x);
	while (!x->failed && left >= x->s->index_after && left < was) {
		was = left;
		if (work(x) != 0)
			return;
		left = behind(x->s);
	}
}
