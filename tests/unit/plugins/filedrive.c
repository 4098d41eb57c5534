/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/filedrive.h"

#define TRIES 40

char *
filedrive_read(const char *path, size_t *len)
{
	FILE *in = fopen(path, "rb");
	char *text;
	long size;

	if (in == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	(void)fseek(in, 0, SEEK_END);
	size = ftell(in);
	(void)fseek(in, 0, SEEK_SET);
	text = calloc(1, (size_t)size + 1);
	assert_int_equal(fread(text, 1, (size_t)size, in), size);
	(void)fclose(in);
	if (len != NULL)
		*len = (size_t)size;
	return text;
}

void
filedrive_write(const char *path, const char *text)
{
	FILE *out = fopen(path, "wb");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
	(void)fclose(out);
}

/* What follows a failure; a real host resumes. */
enum after {
	KEEP,
	RESUME,
	REOPEN
};

/* Where a drive stands; what the host of a real sink keeps. */
struct life {
	const struct filedrive *d;
	struct fake *f;
	enum after after;
	uint64_t done;	  /* acknowledged sequence */
	bool parked_done; /* the record held back was delivered */
	uint64_t parked_epoch;
	uint64_t replayed; /* acknowledged of the replay */
	bool rewound, replay_done, resumed;
	uint64_t replay_epoch;
};

/* Records from..to without the one held back, or that one alone. */
static int
hand_over(struct life *l, uint64_t from, uint64_t to, uint32_t flags)
{
	const struct weir_sink_record *list[64];
	struct weir_sink_batch b = {.struct_size = sizeof(b)};
	struct fake *f = l->f;
	uint64_t skip = l->d->parked;

	if ((flags & WEIR_BATCH_PARKED) != 0)
		from = to = skip, skip = 0;
	for (uint64_t s = from; s <= to; s++)
		if (s != skip)
			list[b.nrecords++] = fake_at(f, s);
	b.flags = flags;
	b.epoch = (flags & WEIR_BATCH_PARKED) != 0 ? l->parked_epoch : f->epoch;
	b.through_sequence = (flags & WEIR_BATCH_PARKED) != 0 ? l->done : to;
	b.parked = l->d->parked != 0 && !l->parked_done;
	b.deadline_us = f->host.monotonic_us(f) + 30000000;
	b.stop_fd = -1;
	b.records = list;
	memset(&f->res, 0, sizeof(f->res));
	f->res.struct_size = sizeof(f->res);
	return f->plugin->deliver(f->sink, &b, &f->res);
}

/* Takes the position from the target after a resume. */
static void
note_resume(struct life *l)
{
	struct fake *f = l->f;

	l->resumed = true;
	l->replay_done = l->rewound && f->cursor.found &&
			 f->cursor.epoch >= l->replay_epoch &&
			 f->cursor.sequence >= fake_last(f);
	l->parked_done = l->parked_epoch != 0 && f->cursor.found &&
			 f->cursor.epoch >= l->parked_epoch;
	l->rewound = l->replay_done;
	l->replayed = 0;
	l->done = f->cursor.found ? f->cursor.sequence : 0;
	if (f->cursor.found && f->cursor.epoch >= f->epoch)
		f->epoch = f->cursor.epoch + 1;
}

static int
open_life(struct life *l)
{
	int class;

	if (l->f->sink == NULL)
		class = fake_open(l->f, fake_plugin(l->d->plugin));
	else
		class = fake_resume(l->f);
	if (class == WEIR_SINK_OK)
		note_resume(l);
	else if (l->after == REOPEN)
		fake_close(l->f);
	return class;
}

static int
step_replay(struct life *l)
{
	uint64_t last = fake_last(l->f), to = l->replayed + l->d->batch;
	uint32_t flags = WEIR_BATCH_REPLAY;
	int class = WEIR_SINK_OK;

	if (!l->rewound)
		class = fake_rewind(l->f, 1);
	if (class != WEIR_SINK_OK)
		return class;
	if (!l->rewound)
		l->replay_epoch = ++l->f->epoch;
	l->rewound = true;
	if (to >= last) {
		to = last;
		flags |= WEIR_BATCH_REPLAY_END;
	}
	class = hand_over(l, l->replayed + 1, to, flags);
	if (class != WEIR_SINK_OK)
		return class;
	l->replayed = to;
	l->replay_done = to == last;
	return class;
}

/* One call of the host's loop; false when all is done. */
static bool
step(struct life *l, int *class)
{
	uint64_t last = fake_last(l->f), to;

	*class = WEIR_SINK_OK;
	if (l->f->sink == NULL || !l->resumed) {
		*class = open_life(l);
		return true;
	}
	if (l->done < last) {
		to = l->done + l->d->batch < last ? l->done + l->d->batch
						  : last;
		*class = hand_over(l, l->done + 1, to, 0);
		if (*class == WEIR_SINK_OK) {
			assert_int_equal(l->f->res.durable_sequence, to);
			l->done = to;
		}
		return true;
	}
	if (l->d->parked != 0 && !l->parked_done) {
		if (l->parked_epoch == 0)
			l->parked_epoch = l->f->epoch + 1;
		*class = hand_over(l, 0, 0, WEIR_BATCH_PARKED);
		if (*class == WEIR_SINK_OK) {
			l->parked_done = true;
			l->f->epoch = l->parked_epoch;
		}
		return true;
	}
	if (l->d->replay && !l->replay_done) {
		*class = step_replay(l);
		return true;
	}
	return false;
}

static void
run_life(struct life *l, const char *when)
{
	int class, failures = 0;

	for (int i = 0; step(l, &class); i++) {
		if (class == WEIR_SINK_OK)
			continue;
		assert_true(class == WEIR_SINK_RETRY ||
			    class == WEIR_SINK_BLOCKED);
		assert_string_not_equal(l->f->res.message, "");
		if (l->after != KEEP)
			l->resumed = false;
		if (l->f->dead_from != 0 || l->after == REOPEN) {
			fake_close(l->f);
			l->resumed = false;
		}
		l->f->dead_from = 0;
		if (++failures > TRIES)
			fail_msg("%s: never heals: %s", when,
				 l->f->res.message);
	}
	fake_close(l->f);
	l->d->check(l->f, when);
}

/* Syncs that count and fail as the others do, but leave the disk in peace:
 * there are thousands of them. */
static int
quick_sync(struct fake *f)
{
	uint64_t n = ++f->file_calls;

	if (n != f->fail_file_at && (f->dead_from == 0 || n < f->dead_from))
		return 0;
	errno = f->fail_errno;
	return -1;
}

static int
quick_sync_data(void *cookie, int fd)
{
	(void)fd;
	return quick_sync(cookie);
}

static int
quick_sync_folder(void *cookie, const char *path)
{
	(void)path;
	return quick_sync(cookie);
}

enum fault {
	FAIL_IO,
	FAIL_ROOM,
	FAIL_DEAD,
	FAIL_MEMORY
};

/* One life with one fault; false when the fault lay behind its end. */
static bool
try_fault(const struct filedrive *d, enum fault fault, uint64_t n,
	  enum after after)
{
	static const char *const names[] = {"EIO", "ENOSPC", "dead", "memory"};
	struct life l = {.d = d, .f = fake_new(), .after = after};
	struct fake *f = l.f;
	char when[96];
	bool met;

	d->setup(f);
	f->files.sync_data = quick_sync_data;
	f->files.sync_folder = quick_sync_folder;
	(void)snprintf(when, sizeof(when), "%s from %s %llu, %s", names[fault],
		       fault == FAIL_MEMORY ? "allocation" : "call",
		       (unsigned long long)n,
		       after == KEEP	 ? "kept"
		       : after == RESUME ? "resumed"
					 : "reopened");
	f->fail_errno = fault == FAIL_ROOM ? ENOSPC : EIO;
	f->file_calls = f->allocs = 0;
	if (fault == FAIL_DEAD)
		f->dead_from = n;
	else if (fault == FAIL_MEMORY)
		f->fail_alloc_at = n;
	else
		f->fail_file_at = n;
	run_life(&l, when);
	met = (fault == FAIL_MEMORY ? f->allocs : f->file_calls) >= n;
	fake_free(f);
	return met;
}

void
filedrive_all(const struct filedrive *d)
{
	/* thousands of small folders: in memory where there is some */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	for (int fault = FAIL_IO; fault <= FAIL_MEMORY; fault++)
		for (int after = KEEP; after <= REOPEN; after++)
			for (uint64_t n = 1; try_fault(d, (enum fault)fault, n,
						       (enum after)after);
			     n++)
				assert_true(n < 5000);
}

/* ---- the order of calls ---------------------------------------------------
 */

static struct {
	struct weir_sink_files real;
	bool unsynced[1024]; /* by descriptor: bytes that no sync covers */
	bool created;	     /* a data file that no folder sync covers */
	bool renamed;	     /* the same of a rename */
	unsigned renames;
} watch;

static bool
ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static void
all_synced(const char *when)
{
	for (int fd = 0; fd < 1024; fd++)
		if (watch.unsynced[fd])
			fail_msg("%s: descriptor %d is not synced", when, fd);
	if (watch.created)
		fail_msg("%s: a new file is not in its folder for sure", when);
}

static int
watch_open(void *cookie, const char *path, int flags, mode_t mode)
{
	bool there = access(path, F_OK) == 0;
	int fd = watch.real.open(cookie, path, flags, mode);

	if (fd >= 0 && !there && !ends_in(path, ".new"))
		watch.created = true;
	return fd;
}

static int
watch_close(void *cookie, int fd)
{
	assert_false(watch.unsynced[fd]);
	return watch.real.close(cookie, fd);
}

static ssize_t
watch_write_at(void *cookie, int fd, const void *buf, size_t n, off_t at)
{
	watch.unsynced[fd] = true;
	return watch.real.write_at(cookie, fd, buf, n, at);
}

static int
watch_sync_data(void *cookie, int fd)
{
	watch.unsynced[fd] = false;
	return watch.real.sync_data(cookie, fd);
}

static int
watch_sync_folder(void *cookie, const char *path)
{
	watch.created = watch.renamed = false;
	return watch.real.sync_folder(cookie, path);
}

static int
watch_rename(void *cookie, const char *from, const char *to)
{
	all_synced(to);
	watch.renamed = true;
	watch.renames++;
	return watch.real.rename(cookie, from, to);
}

void
filedrive_order(const struct filedrive *d)
{
	struct life l = {.d = d, .f = fake_new(), .after = KEEP};
	struct fake *f = l.f;
	int class;

	d->setup(f);
	memset(&watch, 0, sizeof(watch));
	watch.real = f->files;
	f->files.open = watch_open;
	f->files.close = watch_close;
	f->files.write_at = watch_write_at;
	f->files.sync_data = watch_sync_data;
	f->files.sync_folder = watch_sync_folder;
	f->files.rename = watch_rename;
	while (step(&l, &class)) {
		assert_int_equal(class, WEIR_SINK_OK);
		all_synced("acknowledged");
		assert_false(watch.renamed);
	}
	assert_true(watch.renames > fake_last(f) / d->batch);
	fake_close(f);
	d->check(f, "watched");
	fake_free(f);
}
