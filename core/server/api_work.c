/* SPDX-License-Identifier: MIT */
/*
 * Work that may take long (a state of many versions, a page that looks at much)
 * is done beside the threads that serve connections, so that nobody waits for
 * it who asked for something else.
 *
 * 1. lock guards all but what is in a call. A call that is queued belongs to
 *    the worker that takes it, until its `ready`.
 * 2. Threads are made when there is work that no idle one takes, and stay.
 */
#include "server/api_int.h"

#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"

#define THREADS	 4
#define JOBS_MAX 1024u

struct api_work {
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct api_call *first, **last;
	size_t jobs; /* queued */
	size_t idle, nthreads;
	bool stop;
	pthread_t thread[THREADS];
};

struct api_work *
api_work_new(void)
{
	struct api_work *w = mem_new(sizeof(*w));

	if (w == NULL)
		return NULL;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->news, NULL);
	return w;
}

void
api_work_free(struct api_work *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->news);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->nthreads; i++)
		pthread_join(w->thread[i], NULL);
	must(w->first == NULL);
	pthread_cond_destroy(&w->news);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

static void
do_one(struct api_call *c)
{
	void (*ready)(void *cookie) = c->ready;
	void *cookie = c->ready_cookie;

	diag_request(c->id);
	c->job(c);
	diag_request(NULL);
	must(c->answered);
	ready(cookie);
}

static void *
work(void *cookie)
{
	struct api_work *w = cookie;
	struct api_call *c;

	pthread_mutex_lock(&w->lock);
	while (w->first != NULL || !w->stop) {
		c = w->first;
		if (c == NULL) {
			w->idle++;
			pthread_cond_wait(&w->news, &w->lock);
			w->idle--;
			continue;
		}
		w->first = c->next_job;
		if (w->first == NULL)
			w->last = &w->first;
		w->jobs--;
		pthread_mutex_unlock(&w->lock);
		do_one(c);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* lock is held. True: a thread will take what is queued. */
static bool
have_thread(struct api_work *w)
{
	if (w->idle <= w->jobs && w->nthreads < THREADS &&
	    pthread_create(&w->thread[w->nthreads], NULL, work, w) == 0)
		w->nthreads++;
	return w->nthreads > 0;
}

int
api_beside(struct api_call *c, void (*job)(struct api_call *c))
{
	struct api_work *w = c->api->work;
	bool queued = false, full;

	c->job = job;
	c->next_job = NULL;
	pthread_mutex_lock(&w->lock);
	full = c->ready != NULL && w->jobs >= JOBS_MAX;
	if (c->ready != NULL && !full && have_thread(w)) {
		*w->last = c;
		w->last = &c->next_job;
		w->jobs++;
		queued = true;
		pthread_cond_signal(&w->news);
	}
	pthread_mutex_unlock(&w->lock);
	if (queued)
		return API_LATER; /* and the call may be gone */
	if (full)
		return api_refuse(c, 503, WEIR_EUNREACH,
				  "too much waits to be read; ask again later");
	job(c);
	return 0;
}
