/* SPDX-License-Identifier: MIT */
/*
 * 1. mu guards all but held and needed. It is never held during I/O.
 * 2. done counts synced zeros only. It is 0 after any failure: then the one who
 *    needs the segment fills it from its beginning.
 * 3. number is 0 when there is nothing to fill; while busy the file is the
 *    thread's.
 */
#include "store/filler.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/os.h"
#include "store/live.h"
#include "store/segment.h"

/* Small, for a caller's sync waits behind ours: */
#define STEP	   (64u << 10) /* written at once */
#define SYNCED	   (512u << 10) /* written between two syncs */
#define HOLD_US	   100
#define HOLD_TRIES 20

struct filler {
	const char *folder;
	pthread_t thread;
	pthread_mutex_t mu;
	pthread_cond_t news; /* for the thread */
	pthread_cond_t idle; /* for filler_take */
	uint64_t number, size, goal;
	uint64_t done;
	bool whole, failed, busy, stop;
	int fd; /* of number's file, or -1; the thread's */
	_Atomic bool held, needed;
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Puts off a step for a caller who waits, but not for ever. */
static void
yield(struct filler *f)
{
	for (int i = 0; i < HOLD_TRIES && atomic_load(&f->held) &&
			!atomic_load(&f->needed);
	     i++)
		live_sleep(HOLD_US);
}

/* Fills from `from` on up to about a sync's worth: where it ended, or 0. */
static uint64_t
fill_some(struct filler *f, uint64_t number, uint64_t from, uint64_t size)
{
	uint64_t to = least(size, from + SYNCED), at = from;
	char path[SEGMENT_PATH];

	segment_path(path, f->folder, number);
	if (f->fd < 0)
		f->fd = os_open(path, O_RDWR | O_CREAT, 0600, NULL);
	if (f->fd < 0)
		return 0;
	while (at < to && !atomic_load(&f->needed)) {
		uint64_t end = least(to, at + STEP);
		yield(f);
		if (os_zero_fill(f->fd, path, at, end, NULL) != 0)
			return 0;
		at = end;
	}
	return os_sync_data(f->fd, path, NULL) == 0 ? at : 0;
}

/* The file's size and name, once it is full. */
static bool
finish(struct filler *f, uint64_t size)
{
	struct stat st;

	/* One that was made larger before is not ours to judge. */
	return os()->fstat(f->fd, &st) == 0 && (uint64_t)st.st_size == size &&
	       os()->fsync(f->fd) == 0 && os_sync_folder(f->folder, NULL) == 0;
}

static bool
has_work(const struct filler *f)
{
	return f->number != 0 && !f->failed && !f->whole &&
	       !atomic_load(&f->needed) &&
	       (f->done < f->goal || f->done == f->size);
}

static void
work(struct filler *f)
{
	uint64_t number = f->number, size = f->size, done = f->done;
	bool whole = false;

	f->busy = true;
	pthread_mutex_unlock(&f->mu);
	if (done < size)
		done = fill_some(f, number, done, size);
	if (done == size) {
		whole = finish(f, size);
		done = whole ? done : 0;
	}
	if (done == 0 || whole) {
		os_close(f->fd);
		f->fd = -1;
	}
	pthread_mutex_lock(&f->mu);
	f->done = done;
	f->failed = done == 0;
	f->whole = whole;
	f->busy = false;
	pthread_cond_signal(&f->idle);
}

static void *
thread_main(void *arg)
{
	struct filler *f = arg;

	pthread_mutex_lock(&f->mu);
	while (!f->stop) {
		if (has_work(f))
			work(f);
		else
			pthread_cond_wait(&f->news, &f->mu);
	}
	pthread_mutex_unlock(&f->mu);
	return NULL;
}

struct filler *
filler_new(const char *folder)
{
	struct filler *f = mem_new(sizeof(*f));

	if (f == NULL)
		return NULL;
	f->folder = folder;
	f->fd = -1;
	pthread_mutex_init(&f->mu, NULL);
	pthread_cond_init(&f->news, NULL);
	pthread_cond_init(&f->idle, NULL);
	if (pthread_create(&f->thread, NULL, thread_main, f) == 0)
		return f;
	pthread_mutex_destroy(&f->mu);
	mem_free(f);
	return NULL;
}

void
filler_free(struct filler *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->mu);
	f->stop = true;
	atomic_store(&f->needed, true);
	pthread_cond_signal(&f->news);
	pthread_mutex_unlock(&f->mu);
	pthread_join(f->thread, NULL);
	os_close(f->fd);
	pthread_cond_destroy(&f->news);
	pthread_cond_destroy(&f->idle);
	pthread_mutex_destroy(&f->mu);
	mem_free(f);
}

void
filler_pace(struct filler *f, uint64_t number, uint64_t size, uint64_t goal)
{
	pthread_mutex_lock(&f->mu);
	if (f->number != number && !f->busy) {
		f->number = number;
		f->size = size;
		f->done = 0;
		f->whole = f->failed = false;
	}
	if (f->number == number)
		f->goal = goal;
	if (has_work(f))
		pthread_cond_signal(&f->news);
	pthread_mutex_unlock(&f->mu);
}

void
filler_hold(struct filler *f, bool yes)
{
	atomic_store(&f->held, yes);
}

uint64_t
filler_take(struct filler *f, bool *whole, uint64_t number)
{
	uint64_t done = 0;

	*whole = false;
	pthread_mutex_lock(&f->mu);
	atomic_store(&f->needed, true);
	while (f->busy)
		pthread_cond_wait(&f->idle, &f->mu);
	if (f->number == number && !f->failed) {
		done = f->done;
		*whole = f->whole;
	}
	os_close(f->fd);
	f->fd = -1;
	f->number = 0;
	atomic_store(&f->needed, false);
	pthread_mutex_unlock(&f->mu);
	return done;
}
