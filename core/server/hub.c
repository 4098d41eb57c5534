/* SPDX-License-Identifier: MIT */
/*
 * Who waits for records.
 *
 * 1. A waiter is in one of two lists (waiting) or in none. The thread moves
 *    those who are due to the second and calls them from there one by one,
 *    without the lock.
 * 2. The thread takes its mark before it asks for the last sequence, so what is
 *    committed between ends its sleep at once.
 * 3. Times are rounded up to STEP_US, so that thousands of heartbeats are
 *    looked through at most ten times a second.
 */
#include "server/feed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "store/store.h"

#define STEP_US 100000
#define LONG_US 1000000
#define NEVER	INT64_MAX

struct list {
	struct hub_waiter *first;
};

struct hub {
	struct store *s;
	pthread_t thread;
	pthread_mutex_t mu;    /* guards what follows */
	pthread_cond_t some;   /* somebody waits, or stop */
	pthread_cond_t called; /* current has returned */
	struct list waiters, due;
	struct hub_waiter *current; /* its wake is running in the thread */
	unsigned forgetting;	    /* who wait for called */
	uint64_t last;		    /* sequence, when the thread looked */
	int64_t soonest;	    /* no waiter's time is before it */
	int64_t until;		    /* the thread sleeps no longer */
	bool all;		    /* all are due */
	bool stop;
};

/* ---- lists --------------------------------------------------------------- */

static void
list_add(struct list *l, struct hub_waiter *w)
{
	w->before = NULL;
	w->next = l->first;
	if (w->next != NULL)
		w->next->before = w;
	l->first = w;
}

static void
list_remove(struct list *l, struct hub_waiter *w)
{
	if (w->before != NULL)
		w->before->next = w->next;
	else
		l->first = w->next;
	if (w->next != NULL)
		w->next->before = w->before;
	w->next = w->before = NULL;
}

/* ---- the thread ---------------------------------------------------------- */

static int64_t
due_at(const struct hub_waiter *w)
{
	return w->at == 0 ? NEVER : (w->at + STEP_US - 1) / STEP_US * STEP_US;
}

/* Moves those who are due. */
static void
sort_out(struct hub *h, int64_t now)
{
	struct hub_waiter *next;

	h->soonest = NEVER;
	for (struct hub_waiter *w = h->waiters.first; w != NULL; w = next) {
		int64_t at = due_at(w);

		next = w->next;
		if (h->all || w->sequence <= h->last || at <= now) {
			list_remove(&h->waiters, w);
			list_add(&h->due, w);
		} else if (at < h->soonest)
			h->soonest = at;
	}
	h->all = false;
}

static void
call_due(struct hub *h)
{
	while (h->due.first != NULL && !h->stop) {
		struct hub_waiter *w = h->due.first;

		list_remove(&h->due, w);
		w->waiting = false;
		h->current = w;
		pthread_mutex_unlock(&h->mu);
		w->wake(w);
		pthread_mutex_lock(&h->mu);
		h->current = NULL;
		if (h->forgetting > 0)
			pthread_cond_broadcast(&h->called);
	}
}

/* A store that can't be refreshed wakes all: what is wrong shows when they
 * read. */
static void
look(struct hub *h, uint32_t *mark)
{
	uint64_t was = h->last, last;
	int64_t now;
	bool failed;

	pthread_mutex_unlock(&h->mu);
	*mark = store_mark(h->s);
	failed = store_refresh(h->s, NULL) != 0;
	last = store_last(h->s);
	now = clock_monotonic();
	pthread_mutex_lock(&h->mu);
	h->last = last;
	h->all = h->all || failed;
	if (last != was || h->all || h->soonest <= now) {
		sort_out(h, now);
		call_due(h);
	}
}

static void
doze(struct hub *h, uint32_t mark)
{
	int64_t now = clock_monotonic();

	h->until = h->soonest < now + LONG_US ? h->soonest : now + LONG_US;
	int64_t us = h->until - now;
	pthread_mutex_unlock(&h->mu);
	store_doze(h->s, mark, us);
	pthread_mutex_lock(&h->mu);
	h->until = 0;
}

static void *
thread_main(void *arg)
{
	struct hub *h = arg;
	uint32_t mark;

	pthread_mutex_lock(&h->mu);
	while (!h->stop) {
		if (h->waiters.first == NULL) {
			h->all = false;
			h->soonest = NEVER;
			pthread_cond_wait(&h->some, &h->mu);
			continue;
		}
		look(h, &mark);
		if (h->waiters.first != NULL && !h->stop && !h->all)
			doze(h, mark);
	}
	pthread_mutex_unlock(&h->mu);
	return NULL;
}

/* ---- waiters ------------------------------------------------------------- */

void
hub_wait(struct hub *h, struct hub_waiter *w)
{
	int64_t at = due_at(w);
	bool first, rouse = false;

	pthread_mutex_lock(&h->mu);
	if (w->sequence <= h->last || (w->at != 0 && at <= clock_monotonic())) {
		pthread_mutex_unlock(&h->mu);
		w->wake(w);
		return;
	}
	first = h->waiters.first == NULL;
	w->waiting = true;
	list_add(&h->waiters, w);
	if (at < h->soonest) {
		h->soonest = at;
		rouse = at < h->until;
	}
	if (first)
		pthread_cond_signal(&h->some);
	pthread_mutex_unlock(&h->mu);
	if (rouse)
		store_rouse(h->s);
}

void
hub_forget(struct hub *h, struct hub_waiter *w)
{
	pthread_mutex_lock(&h->mu);
	/* It may be in either list: removing the head looks at which. */
	if (w->waiting) {
		list_remove(h->due.first == w ? &h->due : &h->waiters, w);
		w->waiting = false;
	}
	h->forgetting++;
	while (h->current == w && !pthread_equal(h->thread, pthread_self()))
		pthread_cond_wait(&h->called, &h->mu);
	h->forgetting--;
	pthread_mutex_unlock(&h->mu);
}

void
hub_wake_all(struct hub *h)
{
	pthread_mutex_lock(&h->mu);
	h->all = true;
	pthread_cond_signal(&h->some);
	pthread_mutex_unlock(&h->mu);
	store_rouse(h->s);
}

/* ---- its life ------------------------------------------------------------ */

/* Signals are for the program's own threads. */
static int
start(struct hub *h)
{
	sigset_t all, kept;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &kept);
	rc = pthread_create(&h->thread, NULL, thread_main, h);
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	return rc;
}

static void
release(struct hub *h)
{
	pthread_cond_destroy(&h->some);
	pthread_cond_destroy(&h->called);
	pthread_mutex_destroy(&h->mu);
	mem_free(h);
}

int
hub_new(struct hub **out, struct store *s, struct weir_err *err)
{
	struct hub *h = mem_new(sizeof(*h));
	int rc;

	if (h == NULL)
		return err_nomem(err);
	h->s = s;
	h->last = store_last(s);
	h->soonest = NEVER;
	pthread_mutex_init(&h->mu, NULL);
	pthread_cond_init(&h->some, NULL);
	pthread_cond_init(&h->called, NULL);
	rc = start(h);
	if (rc != 0) {
		release(h);
		return err_set(err, WEIR_EIO,
			       "cannot start a thread for live streams: %s",
			       strerror(rc));
	}
	*out = h;
	return 0;
}

void
hub_free(struct hub *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->mu);
	h->stop = true;
	pthread_cond_signal(&h->some);
	pthread_mutex_unlock(&h->mu);
	store_rouse(h->s);
	pthread_join(h->thread, NULL);
	release(h);
}
