/* SPDX-License-Identifier: MIT */
/*
 * Opening, creating and closing a store, and what is asked of an open one.
 *
 * A store is made in this order: LOCK, the journal's folder, its first segment
 * with a header, all synced, then STORE. So a folder with STORE has a first
 * segment, and one without it may be begun again as long as no record stands
 * in it.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"
#include "store/batch.h"
#include "store/filler.h"
#include "store/impl.h"
#include "store/indexer.h"
#include "store/lock.h"
#include "store/pending.h"

#define DIR_MAX	    3900u
#define STORE_MAX   4096u
#define WINDOW_MAX  (GROUP_EXTENT_MAX + (2u << 20))
#define WAIT_US	    1000000
#define WAIT_STOP_US 50000
#define FILL_AFTER    (512u << 10)
#define HEADS_BYTES   (64u << 20)
#define INDEX_AFTER   (4u << 20)
#define INDEX_MOST    (64u << 20)
#define SEGMENT_LEAST (64u << 10)
#define SEGMENT_MOST  (1u << 30)

/* ---- STORE -------------------------------------------------------------- */

static int
identity_write(const struct store *s, const char *path, struct weir_err *err)
{
	char text[256], id[37], time[28];

	uuid_text(id, s->id);
	clock_text(time, s->created_at);
	int n = snprintf(text, sizeof(text),
			 "weir store\nformat %u\nid %s\ncreated %s\n",
			 FORMAT_VERSION, id, time);
	return os_replace_file(path, text, (size_t)n, 0600, err);
}

static int
identity_read(struct store *s, const char *path, struct weir_err *err)
{
	char *text = NULL, id[40], time[40];
	const char *why = NULL;
	unsigned format = 0;
	size_t len = 0;
	int end = 0;
	int rc;

	rc = os_read_file(&text, &len, path, STORE_MAX, err);
	if (rc != 0)
		return rc;
	if (sscanf(text, "weir store\nformat %9u\nid %36s\ncreated %27s\n%n",
		   &format, id, time, &end)
		    != 3
	    || (size_t)end != len || uuid_parse(s->id, str_of(id)) != 0
	    || clock_parse(&s->created_at, str_of(time), &why) != 0)
		rc = err_set(err, WEIR_EDAMAGE,
			     "%s is damaged at byte 0: it does not read as "
			     "the identity of a store; restore this file from "
			     "a copy",
			     path);
	else if (format != FORMAT_VERSION)
		rc = err_set(err, WEIR_EINPUT,
			     "%s names format %u, which this program does not "
			     "know; use a newer weir",
			     path, format);
	mem_free(text);
	return rc;
}

/* Makes the journal with an empty first segment. */
static int
create_journal(struct store *s, struct weir_err *err)
{
	struct tail *t = &s->tail;
	char path[SEGMENT_PATH];
	uint64_t last = 0;
	int rc;

	rc = os_make_folders(s->folder, 0700, err);
	if (rc != 0)
		return rc;
	segment_path(path, s->folder, 1);
	int fd = os_open(path, O_RDONLY, 0, NULL);
	if (fd >= 0) {
		rc = segment_last_used(&last, fd, path, SEGMENT_HEADER, err);
		os_close(fd);
		if (rc == 0 && last > SEGMENT_HEADER)
			rc = err_set(err, WEIR_EDAMAGE,
				     "%s/STORE is missing, but %s holds "
				     "records; restore STORE from a copy",
				     s->dir, path);
	}
	if (rc == 0)
		rc = segment_fill(s->folder, 1, 0,
				  journal_size(&s->journal, 1), err);
	if (rc != 0)
		return rc;
	t->next_size = journal_size(&s->journal, 1);
	rc = append_begin_segment(s, err);
	tail_init(t);
	return rc;
}

static int
create(struct store *s, const char *identity, struct weir_err *err)
{
	int rc = uuid_v4(s->id, err);

	if (rc != 0)
		return rc;
	s->created_at = clock_now();
	rc = create_journal(s, err);
	return rc != 0 ? rc : identity_write(s, identity, err);
}

/* ---- open --------------------------------------------------------------- */

static char *
join(const char *dir, const char *name)
{
	size_t n = strlen(dir), m = strlen(name);
	char *p = mem_resize(NULL, n + m + 2);

	if (p != NULL) {
		memcpy(p, dir, n);
		p[n] = '/';
		memcpy(p + n + 1, name, m + 1);
	}
	return p;
}

static int
init(struct store *s, const char *dir, const struct store_options *o,
     struct weir_err *err)
{
	s->lock_fd = -1;
	pthread_mutex_init(&s->work, NULL);
	pthread_mutex_init(&s->mu, NULL);
	buf_init(&s->window, WINDOW_MAX);
	buf_init(&s->out, GROUP_EXTENT_MAX);
	s->folder = join(dir, "journal");
	journal_init(&s->journal, s->folder, s->id);
	tail_init(&s->tail);
	s->dir = mem_dup(dir, strlen(dir));
	s->lock_path = join(dir, "LOCK");
	s->live_path = join(dir, "live");
	s->heads = heads_new(o->heads_bytes != 0 ? o->heads_bytes
						 : HEADS_BYTES);
	s->finder = finder_new();
	s->index_after = o->index_after_bytes != 0 ? o->index_after_bytes
						   : INDEX_AFTER;
	s->index_most = o->index_most_bytes != 0 ? o->index_most_bytes
						 : INDEX_MOST;
	if (s->index_most / 2 < s->index_after)
		s->index_most = s->index_after < UINT64_MAX / 2
			? 2 * s->index_after
			: UINT64_MAX;
	s->ids = ids_new();
	s->writes = writes_new();
	s->own = reader_new(s);
	s->pending = pending_new();
	s->queue = queue_new(s);
	s->committer = &committer_journal;
	s->fill_after = o->fill_after_bytes != 0 ? o->fill_after_bytes
						 : FILL_AFTER;
	s->writing = (o->flags & STORE_WRITE) != 0;
	s->journal.writing = s->writing;
	if (o->first_segment_bytes != 0)
		s->journal.first_bytes = o->first_segment_bytes;
	if (o->max_segment_bytes != 0)
		s->journal.max_bytes = o->max_segment_bytes;
	if (o->segment_times != 0)
		s->journal.times = o->segment_times;
	if (s->folder == NULL || s->dir == NULL || s->lock_path == NULL
	    || s->live_path == NULL || s->heads == NULL || s->ids == NULL
	    || s->writes == NULL
	    || s->finder == NULL || s->own == NULL || s->pending == NULL || s->queue == NULL)
		return err_nomem(err);
	return 0;
}

static int
check_options(const char *dir, const struct store_options *o,
	      struct weir_err *err)
{
	if (dir[0] == '\0' || strlen(dir) > DIR_MAX)
		return err_set(err, WEIR_EINPUT,
			       "the store's folder has an impossible name");
	if ((o->first_segment_bytes != 0
	     && o->first_segment_bytes < SEGMENT_LEAST)
	    || o->first_segment_bytes > SEGMENT_MOST
	    || o->first_segment_bytes % 4096 != 0
	    || o->max_segment_bytes > SEGMENT_MOST
	    || o->max_segment_bytes % 4096 != 0)
		return err_set(err, WEIR_EUSAGE,
			       "segment sizes are multiples of 4096 from %u to "
			       "%u bytes",
			       SEGMENT_LEAST, SEGMENT_MOST);
	return 0;
}

/* Takes LOCK, and makes the store when there is none. */
static int
open_writing(struct store *s, const char *identity,
	     const struct store_options *o, struct weir_err *err)
{
	int rc;

	if ((o->flags & STORE_CREATE) != 0) {
		rc = os_make_folders(s->dir, 0700, err);
		if (rc != 0)
			return rc;
	}
	rc = lock_check_folder(s->dir, err);
	if (rc != 0)
		return rc;
	s->lock_fd = lock_take(s->lock_path,
			       o->lock_wait_us == 0 ? LOCK_WAIT_US
						    : o->lock_wait_us,
			       err);
	if (s->lock_fd < 0)
		return s->lock_fd;
	if (!os_exists(identity)) {
		rc = create(s, identity, err);
		if (rc != 0)
			return err_prefix(err, "cannot make a store in %s",
					  s->dir);
	}
	return 0;
}

static int
open_parts(struct store *s, const struct store_options *o,
	   struct weir_err *err)
{
	char *identity = join(s->dir, "STORE");
	struct stat st;
	int rc = 0;

	if (identity == NULL)
		return err_nomem(err);
	if (os()->stat(identity, &st) == 0 || (o->flags & STORE_CREATE) != 0)
		rc = 0;
	else if (errno != ENOENT && errno != ENOTDIR)
		rc = err_sys(err, "cannot look at the store in %s", s->dir);
	else
		rc = err_set(err, WEIR_ENOTFOUND,
			     "there is no store in %s; the first append makes "
			     "one, or name another with --data-dir",
			     s->dir);
	if (rc == 0 && s->writing)
		rc = open_writing(s, identity, o, err);
	if (rc == 0)
		rc = identity_read(s, identity, err);
	if (rc == 0)
		rc = live_open(&s->live, s->live_path, s->writing, err);
	if (rc == 0) {
		s->index = index_new(s->dir, s->id);
		rc = s->index == NULL ? err_nomem(err) : 0;
	}
	if (rc == 0 && (o->flags & STORE_REINDEX) != 0)
		index_drop(s->index, s->writing);
	if (rc == 0)
		rc = recover_open(s, o, err);
	/* The sync of its name may have failed when the store was made. */
	if (rc == 0 && s->writing && s->last == 0)
		rc = os_sync_folder(s->dir, err);
	if (rc == 0 && s->writing)
		live_begin(&s->live, s->id,
			   &(struct live_state){
				   .sequence = s->last,
				   .end = s->synced,
				   .epoch = s->epoch,
				   .chain = s->tail.chain});
	mem_free(identity);
	return rc;
}

static void
free_store(struct store *s)
{
	watch_close_store(s);
	filler_free(s->filler);
	indexer_free(s->indexer);
	index_free(s->index);
	finder_free(s->finder);
	queue_free(s->queue);
	live_close(&s->live);
	os_close(s->lock_fd);
	journal_fini(&s->journal);
	reader_free(s->own);
	pending_free(s->pending);
	heads_free(s->heads);
	ids_free(s->ids);
	writes_free(s->writes);
	buf_fini(&s->window);
	buf_fini(&s->out);
	buf_fini(&s->noted);
	mem_free(s->places);
	mem_free(s->kept_at);
	mem_free(s->dir);
	mem_free(s->folder);
	mem_free(s->lock_path);
	mem_free(s->live_path);
	pthread_mutex_destroy(&s->work);
	pthread_mutex_destroy(&s->mu);
	mem_free(s);
}

int
store_open(struct store **out, const char *dir, const struct store_options *o,
	   struct weir_err *err)
{
	struct weir_err mine;
	struct store *s;
	int rc;

	err = err != NULL ? err : &mine;
	rc = check_options(dir, o, err);
	if (rc != 0)
		return rc;
	s = mem_new(sizeof(*s));
	if (s == NULL)
		return err_nomem(err);
	rc = init(s, dir, o, err);
	if (rc == 0)
		rc = open_parts(s, o, err);
	if (rc != 0) {
		free_store(s);
		return rc;
	}
	*out = s;
	return 0;
}

static void
finish_index(struct store *s)
{
	if (s->indexer != NULL && !s->failed)
		indexer_finish(s->indexer);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	queue_drain(s->queue);
	if (s->writing) {
		append_mark(s);
		finish_index(s);
	}
	free_store(s);
}

int
store_end_writing(struct store *s, struct weir_err *err)
{
	int rc = 0;

	queue_drain(s->queue);
	pthread_mutex_lock(&s->work);
	if (s->writing) {
		filler_free(s->filler);
		s->filler = NULL;
		finish_index(s);
		indexer_free(s->indexer);
		s->indexer = NULL;
		append_mark(s);
		os_close(s->lock_fd);
		s->lock_fd = -1;
		s->writing = false;
	} else {
		rc = err_set(err, WEIR_EUSAGE, "%s is not open for writing",
			     s->dir);
	}
	pthread_mutex_unlock(&s->work);
	return rc;
}

/* ---- asking ------------------------------------------------------------- */

const char *
store_dir(const struct store *s)
{
	return s->dir;
}

const uint8_t *
store_id(const struct store *s)
{
	return s->id;
}

uint64_t
store_epoch(const struct store *s)
{
	return s->epoch;
}

uint64_t
store_cut_bytes(const struct store *s, const char **kept_at)
{
	if (kept_at != NULL)
		*kept_at = s->cut_bytes > 0 ? s->kept_at : NULL;
	return s->cut_bytes;
}

uint64_t
store_last(const struct store *s)
{
	struct store *own = (struct store *)(uintptr_t)s;
	uint64_t last;

	pthread_mutex_lock(&own->mu);
	last = s->last;
	pthread_mutex_unlock(&own->mu);
	return last;
}

uint64_t
store_token_writes(struct store *s, uint64_t token)
{
	const struct writes_entry *e;
	uint64_t n;

	pthread_mutex_lock(&s->mu);
	e = writes_find(s->writes, token);
	n = e != NULL ? e->count : 0;
	pthread_mutex_unlock(&s->mu);
	return n;
}

/* Microseconds of a clock that costs next to nothing and goes in steps of some
 * milliseconds. */
static int64_t
coarse_now(void)
{
	struct timespec t;

	if (os()->clock_gettime(CLOCK_MONOTONIC_COARSE, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Once a second: is it still the page that a writer would publish in? */
static void
renew_live(struct store *s, int64_t now)
{
	if (now < atomic_load(&s->renew_at))
		return;
	atomic_store(&s->renew_at, now + WAIT_US);
	if (s->live.page != NULL && live_renew(&s->live, s->live_path))
		atomic_store(&s->followed, 0);
}

int
store_refresh(struct store *s, struct weir_err *err)
{
	uint64_t followed = atomic_load(&s->followed);
	int64_t now;
	int rc = 0;

	if (s->writing)
		return 0;
	now = coarse_now();
	if (followed != 0 && live_generation(&s->live) == followed
	    && now < atomic_load(&s->renew_at))
		return 0;
	pthread_mutex_lock(&s->work);
	if (!s->writing) {
		renew_live(s, now);
		rc = recover_follow(s, err);
	}
	pthread_mutex_unlock(&s->work);
	return rc;
}

bool
store_word(struct store *s, uint32_t *seen)
{
	if (s->writing) {
		*seen = live_word(&s->live);
		return true;
	}
	pthread_mutex_lock(&s->work);
	bool mapped = s->live.page != NULL;
	*seen = mapped ? live_word(&s->live) : 0;
	pthread_mutex_unlock(&s->work);
	return mapped;
}

int
store_published(struct store *s, uint64_t *last)
{
	struct live_state live;
	bool this_boot = false, known = false;
	int rc = 0;

	if (!s->writing) {
		pthread_mutex_lock(&s->work);
		known = live_read(&s->live, &live, &this_boot, s->id)
			&& this_boot;
		pthread_mutex_unlock(&s->work);
		if (!known)
			rc = store_refresh(s, NULL);
	}
	if (rc == 0)
		*last = known ? live.sequence : store_last(s);
	return rc;
}

int
store_wait(struct store *s, uint64_t sequence, int64_t timeout_us, int stop_fd,
	   struct weir_err *err)
{
	int64_t until = clock_monotonic() + (timeout_us < 0 ? 0 : timeout_us);
	int64_t step = stop_fd >= 0 ? WAIT_STOP_US : WAIT_US;

	for (;;) {
		uint32_t seen;
		bool mapped = store_word(s, &seen);
		int rc = store_refresh(s, err);
		if (rc != 0)
			return rc;
		if (store_last(s) >= sequence)
			return 0;
		if (stop_fd >= 0 && os_wait_readable(stop_fd, 0))
			return err_set(err, WEIR_ESTOPPED, "asked to stop");
		int64_t left = timeout_us < 0 ? step
					      : until - clock_monotonic();
		if (left <= 0)
			return err_set(err, WEIR_EUNREACH,
				       "sequence %" PRIu64
				       " was not committed in time",
				       sequence);
		left = left < step ? left : step;
		if (mapped)
			live_wait(&s->live, seen, left);
		else
			live_sleep(left < WAIT_STOP_US ? left : WAIT_STOP_US);
	}
}

uint32_t
store_mark(struct store *s)
{
	uint32_t seen = 0;

	(void)store_word(s, &seen);
	return seen;
}

void
store_doze(struct store *s, uint32_t mark, int64_t timeout_us)
{
	int64_t most = s->writing ? WAIT_US : WAIT_STOP_US;
	int64_t us = timeout_us < most ? timeout_us : most;
	uint32_t seen;

	if (us <= 0)
		return;
	if (store_word(s, &seen))
		live_wait(&s->live, mark, us);
	else
		live_sleep(us);
}

void
store_rouse(struct store *s)
{
	uint32_t seen;

	if (s->writing)
		live_rouse(&s->live);
	else if (store_word(s, &seen))
		live_wake(&s->live);
}
