/* SPDX-License-Identifier: MIT */
/*
 * One thread for all watches of a store.
 *
 * 1. The thread takes the futex word before it looks at what is published, and
 *    sleeps only as long as the word is the same; watch_arm looks at what is
 *    published after it put its sequence down. So nothing is missed between.
 * 2. A watcher lives as long as its store or any of its watches.
 * 3. mu is taken before the store's locks.
 */
#include "store/watch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include "base/err.h"
#include "base/os.h"
#include "store/impl.h"

#define WAIT_US	 1000000
#define BLIND_US 50000 /* without a page to sleep on */
#define STOP_NS	 2000000

struct watcher {
	struct store *s;
	pthread_t thread;
	pthread_mutex_t mu; /* guards what follows */
	pthread_cond_t news, gone;
	struct watch *all;
	size_t armed;
	bool stop, ended;
};

struct watch {
	struct watch *next;
	struct watcher *of;
	int fd;
	uint64_t wanted;
	bool armed;
};

/* ---- the thread --------------------------------------------------------- */

static void
make_readable(struct watch *w)
{
	const uint64_t one = 1;

	w->of->armed -= w->armed;
	w->armed = false;
	while (os()->write(w->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
}

/* When what is published can't be told all are made readable: what is wrong
 * shows at the next read. */
static void
tell(struct watcher *of)
{
	uint64_t last = 0;
	bool failed = of->armed > 0 && store_published(of->s, &last) != 0;

	for (struct watch *w = of->all; w != NULL; w = w->next)
		if (w->armed && (failed || w->wanted <= last))
			make_readable(w);
}

/* mu is held on entry and exit. */
static void
sleep_on(struct watcher *of, bool mapped, uint32_t seen)
{
	struct timespec until;

	if (mapped) {
		pthread_mutex_unlock(&of->mu);
		live_wait(&of->s->live, seen, WAIT_US);
		if (live_word(&of->s->live) == seen)
			(void)store_refresh(of->s, NULL);
		pthread_mutex_lock(&of->mu);
		return;
	}
	if (os()->clock_gettime(CLOCK_REALTIME, &until) != 0)
		return;
	until.tv_nsec += BLIND_US * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&of->news, &of->mu, &until);
}

static void *
thread_main(void *arg)
{
	struct watcher *of = arg;

	pthread_mutex_lock(&of->mu);
	while (!of->stop) {
		uint32_t seen = 0;
		if (of->armed == 0) {
			pthread_cond_wait(&of->news, &of->mu);
			continue;
		}
		bool mapped = store_word(of->s, &seen);
		tell(of);
		if (of->armed > 0)
			sleep_on(of, mapped, seen);
	}
	of->ended = true;
	pthread_cond_signal(&of->gone);
	pthread_mutex_unlock(&of->mu);
	return NULL;
}

/* ---- its life ----------------------------------------------------------- */

static void
free_watcher(struct watcher *of)
{
	pthread_cond_destroy(&of->news);
	pthread_cond_destroy(&of->gone);
	pthread_mutex_destroy(&of->mu);
	mem_free(of);
}

/* Signals are for the program's own threads. */
static int
start(struct watcher *of)
{
	sigset_t all, kept;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &kept);
	rc = pthread_create(&of->thread, NULL, thread_main, of);
	pthread_sigmask(SIG_SETMASK, &kept, NULL);
	return rc;
}

/* The store's watcher, made when there is none. */
static int
take_watcher(struct watcher **out, struct store *s, struct weir_err *err)
{
	struct watcher *of;
	int rc = 0;

	pthread_mutex_lock(&s->mu);
	of = s->watcher;
	if (of != NULL)
		goto out;
	of = mem_new(sizeof(*of));
	if (of == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	of->s = s;
	pthread_mutex_init(&of->mu, NULL);
	pthread_cond_init(&of->news, NULL);
	pthread_cond_init(&of->gone, NULL);
	rc = start(of);
	if (rc != 0) {
		rc = err_set(err, WEIR_EIO,
			     "cannot start a thread for watches: %s",
			     strerror(rc));
		free_watcher(of);
		goto out;
	}
	s->watcher = of;
out:
	pthread_mutex_unlock(&s->mu);
	if (rc == 0)
		*out = of;
	return rc;
}

/* A wake is lost when it comes before the thread sleeps: so again until it
 * says that it ended. */
static void
end_thread(struct watcher *of)
{
	struct store *s = of->s;
	struct timespec until;
	uint32_t seen;

	of->stop = true;
	pthread_cond_signal(&of->news);
	while (!of->ended) {
		pthread_mutex_unlock(&of->mu);
		if (store_word(s, &seen))
			live_wake(&s->live);
		pthread_mutex_lock(&of->mu);
		if (of->ended ||
		    os()->clock_gettime(CLOCK_REALTIME, &until) != 0)
			continue;
		until.tv_nsec += STOP_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&of->gone, &of->mu, &until);
	}
}

void
watch_close_store(struct store *s)
{
	struct watcher *of = s->watcher;

	if (of == NULL)
		return;
	pthread_mutex_lock(&of->mu);
	end_thread(of);
	pthread_mutex_unlock(&of->mu);
	pthread_join(of->thread, NULL);
	pthread_mutex_lock(&of->mu);
	of->s = NULL;
	for (struct watch *w = of->all; w != NULL; w = w->next)
		make_readable(w);
	bool unused = of->all == NULL;
	pthread_mutex_unlock(&of->mu);
	s->watcher = NULL;
	if (unused)
		free_watcher(of);
}

/* ---- watches ------------------------------------------------------------ */

int
watch_new(struct watch **out, struct store *s, struct weir_err *err)
{
	struct watch *w = mem_new(sizeof(*w));
	int rc;

	if (w == NULL)
		return err_nomem(err);
	w->fd = os()->eventfd();
	if (w->fd < 0)
		rc = err_sys(err, "cannot make a descriptor for a watch");
	else
		rc = take_watcher(&w->of, s, err);
	if (rc != 0) {
		os_close(w->fd);
		mem_free(w);
		return rc;
	}
	pthread_mutex_lock(&w->of->mu);
	w->next = w->of->all;
	w->of->all = w;
	pthread_mutex_unlock(&w->of->mu);
	*out = w;
	return 0;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	struct watcher *of = w->of;
	struct watch **at = &of->all;

	pthread_mutex_lock(&of->mu);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	of->armed -= w->armed;
	bool unused = of->all == NULL && of->s == NULL;
	pthread_mutex_unlock(&of->mu);
	os_close(w->fd);
	mem_free(w);
	if (unused)
		free_watcher(of);
}

int
watch_fd(const struct watch *w)
{
	return w->fd;
}

int
watch_arm(struct watch *w, uint64_t sequence, struct weir_err *err)
{
	struct watcher *of = w->of;
	uint64_t count;
	int rc = 0;

	pthread_mutex_lock(&of->mu);
	if (of->s == NULL) {
		rc = err_set(err, WEIR_EUSAGE,
			     "the store of this watch is closed");
		goto out;
	}
	while (os()->read(w->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		continue;
	of->armed += !w->armed;
	w->armed = true;
	w->wanted = sequence;
	tell(of);
	if (w->armed)
		pthread_cond_signal(&of->news);
out:
	pthread_mutex_unlock(&of->mu);
	return rc;
}
