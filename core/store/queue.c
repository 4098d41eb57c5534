/* SPDX-License-Identifier: MIT */
/*
 * The committer's queue.
 *
 * A caller that finds nobody at work leads itself: it takes its own request
 * through and pays for no switch of threads. What comes in meanwhile waits in
 * the queue, and when the leader is done, a thread of the store's takes it all,
 * as one batch, and goes on until callers come one by one again. So a program
 * that appends from one thread never starts another.
 *
 * 1. mu guards all but the words, r->done and orphan. It is never held during
 *    I/O or a callback.
 * 2. Requests that may share a batch have the same turn; a turn is closed when
 *    its batch is taken or full. All callers of a turn sleep on one word and
 *    are woken by one call.
 * 3. A request is not touched after done is set: it may be gone.
 * 4. Callbacks are made by the store's thread only, in the order of the queue.
 * 5. When no thread can be made, a waiting caller is woken to lead (orphan);
 *    nothing is submitted then.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "store/batch.h"
#include "store/impl.h"

#define TURNS	     64u
#define HELD_BYTES   (32u << 20) /* submitted, unanswered */
#define HELD_RECORDS (64u << 10)
#define BLOCK	     4096u /* usual size of what is submitted */
#define SPARES	     64u
#define MANY	     2u /* requests of one batch */
#define YIELDS	     8

enum leader {
	LEADER_NONE,
	LEADER_CALLER,
	LEADER_THREAD
};

/* What store_submit keeps of a call, and a run of memory behind it. */
struct submitted {
	struct request r; /* must be first */
	struct store_answer answer;
	struct weir_err result;
	size_t first[2];
	size_t held;
	size_t size; /* of the block */
	char *far;   /* bytes that had no room in the block */
	_Alignas(16) char room[];
};

struct queue {
	struct store *s;
	pthread_mutex_t mu;
	pthread_cond_t news; /* for the thread */
	pthread_cond_t room; /* something was answered */
	struct request *first, **last;
	enum leader leader;
	bool threaded, stop;
	bool working;		     /* the thread has a batch in hand */
	unsigned queued, last_batch; /* requests */
	pthread_t thread;
	uint64_t turn; /* of what comes in now */
	size_t turn_bytes, turn_records;
	size_t held_bytes, held_records;
	struct submitted *spare;
	unsigned nspare;
	_Atomic bool orphan;
	_Atomic uint32_t word[TURNS];
};

/* ---- turns: mu is held --------------------------------------------------- */

static void
next_turn(struct queue *q)
{
	q->turn++;
	q->turn_bytes = q->turn_records = 0;
}

static void
enter(struct queue *q, struct request *r)
{
	if (q->turn_records > 0 &&
	    (q->turn_bytes + r->bytes > BATCH_BYTES ||
	     q->turn_records + r->records > BATCH_RECORDS))
		next_turn(q);
	r->turn = q->turn;
	q->turn_bytes += r->bytes;
	q->turn_records += r->records;
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
	if (q->queued++ == 0 && q->leader == LEADER_THREAD && !q->working)
		pthread_cond_signal(&q->news);
}

/* All that has the turn of the first one. */
static struct request *
take(struct queue *q)
{
	struct request *list = q->first, **end = &q->first;
	uint64_t turn = list->turn;

	for (q->last_batch = 0; *end != NULL && (*end)->turn == turn;
	     q->last_batch++)
		end = &(*end)->next;
	q->queued -= q->last_batch;
	q->first = *end;
	*end = NULL;
	if (q->first == NULL)
		q->last = &q->first;
	if (turn == q->turn)
		next_turn(q);
	return list;
}

/* ---- answers ------------------------------------------------------------- */

static void
wake(struct queue *q, uint64_t turn)
{
	_Atomic uint32_t *word = &q->word[turn % TURNS];

	atomic_fetch_add(word, 1);
	os()->futex_wake((uint32_t *)(void *)word, INT_MAX);
}

static void
give_back(struct queue *q, struct submitted *b)
{
	mem_free(b->far);
	pthread_mutex_lock(&q->mu);
	q->held_bytes -= b->held;
	q->held_records -= b->r.records;
	if (b->size == BLOCK && q->nspare < SPARES) {
		b->r.next = q->spare != NULL ? &q->spare->r : NULL;
		q->spare = b;
		q->nspare++;
		b = NULL;
	}
	pthread_cond_broadcast(&q->room);
	pthread_mutex_unlock(&q->mu);
	mem_free(b);
}

static void
call_back(struct queue *q, struct submitted *b)
{
	const struct store_answer *a = &b->answer;
	int rc = b->result.code;

	a->fn(a, rc, rc == 0 ? b->r.receipts : NULL, b->first[1],
	      rc == 0 ? NULL : &b->result);
	give_back(q, b);
}

/* Of a thread that answers: the same fn is called right behind this one. */
static _Thread_local bool follows;

bool
store_answers_follow(void)
{
	return follows;
}

static bool
same_fn(const struct request *a, const struct request *b)
{
	return ((const struct submitted *)(const void *)a)->answer.fn ==
	       ((const struct submitted *)(const void *)b)->answer.fn;
}

/* Callers first: they are waited for. */
static void
answer_all(struct queue *q, struct request *list)
{
	struct request *next, *later = NULL, **last = &later;
	uint64_t turn = list->turn;
	bool callers = false;

	for (struct request *r = list; r != NULL; r = next) {
		next = r->next;
		if (r->submitted) {
			r->next = NULL;
			*last = r;
			last = &r->next;
			continue;
		}
		callers = true;
		atomic_store(&r->done, true);
	}
	if (callers)
		wake(q, turn);
	for (struct request *r = later; r != NULL; r = next) {
		next = r->next;
		follows = next != NULL && same_fn(r, next);
		call_back(q, (struct submitted *)(void *)r);
	}
}

/* ---- leading ------------------------------------------------------------- */

/* Those who were answered just now are about to come again: lets them run
 * before a sync is spent on the first one alone. mu is held. */
static void
gather(struct queue *q)
{
	for (int i = 0; i < YIELDS && q->queued * 2 < q->last_batch; i++) {
		pthread_mutex_unlock(&q->mu);
		sched_yield();
		pthread_mutex_lock(&q->mu);
	}
}

/* The store's thread. */
static void *
thread_main(void *arg)
{
	struct queue *q = arg;

	os_short_turns();
	pthread_mutex_lock(&q->mu);
	while (!q->stop) {
		if (q->leader != LEADER_THREAD || q->first == NULL) {
			pthread_cond_wait(&q->news, &q->mu);
			continue;
		}
		q->working = true;
		gather(q);
		struct request *list = take(q);
		pthread_mutex_unlock(&q->mu);
		commit_requests(q->s, list);
		answer_all(q, list);
		pthread_mutex_lock(&q->mu);
		q->working = false;
		if (q->first != NULL)
			continue;
		/* Where many came, more will come: it stays the leader. */
		if (q->last_batch < MANY)
			q->leader = LEADER_NONE;
		pthread_cond_broadcast(&q->room);
	}
	pthread_mutex_unlock(&q->mu);
	return NULL;
}

/* mu is held. */
static bool
have_thread(struct queue *q)
{
	if (!q->threaded && !q->stop)
		q->threaded =
			pthread_create(&q->thread, NULL, thread_main, q) == 0;
	return q->threaded;
}

static bool
in_thread(const struct queue *q)
{
	return q->threaded && pthread_equal(pthread_self(), q->thread);
}

/* A caller has led: who leads what came in meanwhile? mu is held. */
static void
hand_over(struct queue *q)
{
	q->leader = LEADER_NONE;
	if (q->first == NULL) {
		pthread_cond_broadcast(&q->room);
	} else if (have_thread(q)) {
		q->leader = LEADER_THREAD;
		pthread_cond_signal(&q->news);
	} else {
		atomic_store(&q->orphan, true);
		wake(q, q->first->turn);
	}
}

/* A waiting caller leads, when nobody else does. */
static void
lead_orphans(struct queue *q)
{
	pthread_mutex_lock(&q->mu);
	if (q->leader == LEADER_NONE && q->first != NULL) {
		q->leader = LEADER_CALLER;
		atomic_store(&q->orphan, false);
		struct request *list = take(q);
		pthread_mutex_unlock(&q->mu);
		commit_requests(q->s, list);
		answer_all(q, list);
		pthread_mutex_lock(&q->mu);
		hand_over(q);
	}
	pthread_mutex_unlock(&q->mu);
}

static void
wait_done(struct queue *q, struct request *r)
{
	_Atomic uint32_t *word = &q->word[r->turn % TURNS];

	for (;;) {
		uint32_t seen = atomic_load(word);
		if (atomic_load(&r->done))
			return;
		if (atomic_load(&q->orphan))
			lead_orphans(q);
		else
			os()->futex_wait((const uint32_t *)(void *)word, seen,
					 NULL);
	}
}

int
queue_send(struct queue *q, struct request *r, struct weir_err *err)
{
	pthread_mutex_lock(&q->mu);
	if (in_thread(q)) {
		pthread_mutex_unlock(&q->mu);
		return err_set(err, WEIR_EUSAGE,
			       "a callback can't wait for an append: submit "
			       "it");
	}
	if (q->leader == LEADER_NONE && q->first == NULL) {
		q->leader = LEADER_CALLER;
		pthread_mutex_unlock(&q->mu);
		r->next = NULL;
		commit_requests(q->s, r);
		pthread_mutex_lock(&q->mu);
		hand_over(q);
		pthread_mutex_unlock(&q->mu);
	} else {
		enter(q, r);
		pthread_mutex_unlock(&q->mu);
		wait_done(q, r);
	}
	return r->rc;
}

/* ---- submit -------------------------------------------------------------- */

static struct submitted *
new_block(struct queue *q, size_t n)
{
	size_t size = sizeof(struct submitted) +
		      n * (sizeof(struct record_draft) + sizeof(struct item) +
			   sizeof(struct receipt)) +
		      64;
	struct submitted *b = NULL;

	size = size > BLOCK ? size : BLOCK;
	if (size == BLOCK) {
		pthread_mutex_lock(&q->mu);
		b = q->spare;
		if (b != NULL) {
			q->spare = (struct submitted *)(void *)b->r.next;
			q->nspare--;
		}
		pthread_mutex_unlock(&q->mu);
	}
	if (b == NULL)
		b = mem_resize(NULL, size);
	if (b == NULL)
		return NULL;
	b->size = size;
	b->far = NULL;
	b->result.code = 0;
	b->first[0] = 0;
	b->first[1] = n;
	b->r = (struct request){.first = b->first,
				.n = 1,
				.result = &b->result,
				.records = n,
				.submitted = true};
	return b;
}

/* The strings of a draft, one after the other. */
#define STRINGS 9u

static void
strings_of(struct weir_str *out[STRINGS], struct record_draft *d)
{
	struct weir_str *all[STRINGS] = {
		&d->aggregate_type, &d->aggregate_id, &d->event_type,
		&d->payload,	    &d->group,	      &d->user,
		&d->correlation_id, &d->causation_id, &d->traceparent};

	memcpy(out, all, sizeof(all));
}

static size_t
size_of_strings(struct record_draft *d)
{
	struct weir_str *s[STRINGS];
	size_t n = d->ntags * sizeof(struct weir_str);

	strings_of(s, d);
	for (unsigned i = 0; i < STRINGS; i++)
		n += s[i]->data != NULL ? s[i]->len : 0;
	for (size_t i = 0; i < d->ntags; i++)
		n += d->tags[i].len;
	return n;
}

static char *
keep(struct weir_str *s, char *p)
{
	if (s->data == NULL)
		return p;
	if (s->len > 0)
		memcpy(p, s->data, s->len);
	s->data = p;
	return p + s->len;
}

/* Copies what a draft points to; p is aligned for the tags. */
static char *
keep_strings(struct record_draft *d, char *p)
{
	struct weir_str *s[STRINGS];
	struct weir_str *tags = (struct weir_str *)(void *)p;

	p += d->ntags * sizeof(*tags);
	if (d->ntags > 0)
		memcpy(tags, d->tags, d->ntags * sizeof(*tags));
	d->tags = d->ntags > 0 ? tags : NULL;
	for (size_t i = 0; i < d->ntags; i++)
		p = keep(&tags[i], p);
	strings_of(s, d);
	for (unsigned i = 0; i < STRINGS; i++)
		p = keep(s[i], p);
	return (char *)(((uintptr_t)p + 15) & ~(uintptr_t)15);
}

/* Checks the drafts and copies all of them into b. */
static int
fill_block(struct queue *q, struct submitted *b,
	   const struct record_draft *drafts, size_t n, struct weir_err *err)
{
	struct record_draft *d = (struct record_draft *)(void *)b->room;
	size_t need = 0;
	int rc;

	b->r.item = (struct item *)(void *)(d + n);
	b->r.receipts = (struct receipt *)(void *)(b->r.item + n);
	char *p = (char *)(b->r.receipts + n);
	p = (char *)(((uintptr_t)p + 15) & ~(uintptr_t)15);
	memcpy(d, drafts, n * sizeof(*d));
	rc = admit_commit(q->s, b->r.item, &b->r.bytes, d, n, err);
	if (rc != 0)
		return rc;
	b->r.system = b->r.item->system;
	for (size_t i = 0; i < n; i++)
		need += size_of_strings(&d[i]) + 15;
	if (need > (size_t)((char *)b + b->size - p)) {
		b->far = p = mem_resize(NULL, need);
		if (p == NULL)
			return err_nomem(err);
	}
	for (size_t i = 0; i < n; i++)
		p = keep_strings(&d[i], p);
	b->held = b->size + (b->far != NULL ? need : 0);
	return 0;
}

static bool
has_room(const struct queue *q, const struct submitted *b)
{
	return q->held_records == 0 ||
	       (q->held_bytes + b->held <= HELD_BYTES &&
		q->held_records + b->r.records <= HELD_RECORDS);
}

static int
enter_submitted(struct queue *q, struct submitted *b, bool wait,
		struct weir_err *err)
{
	if (q->stop)
		return err_set(err, WEIR_EUSAGE, "the store is being closed");
	if (!have_thread(q))
		return err_set(err, WEIR_EIO,
			       "cannot start a thread to commit what is "
			       "submitted");
	while (!has_room(q, b)) {
		if (!wait || in_thread(q))
			return err_set(err, WEIR_EUNREACH,
				       "%zu records wait to be committed, and "
				       "no more are taken; submit again later",
				       q->held_records);
		pthread_cond_wait(&q->room, &q->mu);
	}
	q->held_bytes += b->held;
	q->held_records += b->r.records;
	enter(q, &b->r);
	if (q->leader == LEADER_NONE) {
		q->leader = LEADER_THREAD;
		pthread_cond_signal(&q->news);
	}
	return 0;
}

int
store_submit(struct store *s, const struct record_draft *drafts, size_t n,
	     int flags, const struct store_answer *answer, struct weir_err *err)
{
	struct queue *q = s->queue;
	struct weir_err mine;
	struct submitted *b;
	int rc;

	err = err != NULL ? err : &mine;
	if (n == 0 || n > WEIR_COMMIT_RECORDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "a commit takes 1 to %u records, not %zu",
			       WEIR_COMMIT_RECORDS_MAX, n);
	b = new_block(q, n);
	if (b == NULL)
		return err_nomem(err);
	b->answer = *answer;
	rc = fill_block(q, b, drafts, n, err);
	if (rc == 0) {
		pthread_mutex_lock(&q->mu);
		rc = enter_submitted(q, b, (flags & STORE_NOWAIT) == 0, err);
		pthread_mutex_unlock(&q->mu);
	}
	if (rc != 0) {
		mem_free(b->far);
		mem_free(b);
	}
	return rc;
}

/* ---- begin and end ------------------------------------------------------- */

struct queue *
queue_new(struct store *s)
{
	struct queue *q = mem_new(sizeof(*q));
	pthread_mutexattr_t attr;

	if (q == NULL)
		return NULL;
	q->s = s;
	q->last = &q->first;
	pthread_mutexattr_init(&attr);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
	/* held for moments only: whoever finds it taken had better try again */
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(&q->mu, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&q->news, NULL);
	pthread_cond_init(&q->room, NULL);
	return q;
}

/* mu is held. */
static void
wait_idle(struct queue *q)
{
	while (q->first != NULL || q->working || q->leader == LEADER_CALLER)
		pthread_cond_wait(&q->room, &q->mu);
}

void
queue_wait(struct queue *q)
{
	pthread_mutex_lock(&q->mu);
	wait_idle(q);
	pthread_mutex_unlock(&q->mu);
}

void
queue_drain(struct queue *q)
{
	bool threaded;

	pthread_mutex_lock(&q->mu);
	wait_idle(q);
	threaded = q->threaded;
	q->stop = true;
	pthread_cond_broadcast(&q->news);
	pthread_mutex_unlock(&q->mu);
	if (!threaded)
		return;
	pthread_join(q->thread, NULL);
	q->threaded = false;
	q->leader = LEADER_NONE;
}

void
queue_free(struct queue *q)
{
	struct submitted *next;

	if (q == NULL)
		return;
	must(q->first == NULL && !q->threaded);
	for (struct submitted *b = q->spare; b != NULL; b = next) {
		next = (struct submitted *)(void *)b->r.next;
		mem_free(b);
	}
	pthread_cond_destroy(&q->news);
	pthread_cond_destroy(&q->room);
	pthread_mutex_destroy(&q->mu);
	mem_free(q);
}
