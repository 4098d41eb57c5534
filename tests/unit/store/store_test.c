/* SPDX-License-Identifier: MIT */
#include "store_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS 8

/* ---- folders ------------------------------------------------------------ */

char *
folder_make(void)
{
	const char *top = getenv("TMPDIR");
	char *dir = malloc(256);

	assert_non_null(dir);
	snprintf(dir, 256, "%s/weir-store-XXXXXX", top != NULL ? top : "/tmp");
	assert_non_null(mkdtemp(dir));
	return dir;
}

static int
drop_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	return f->level > 0 ? remove(path) : 0;
}

void
folder_empty(const char *dir)
{
	nftw(dir, drop_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
folder_drop(char *dir)
{
	folder_empty(dir);
	rmdir(dir);
	free(dir);
}

const char *
in(const char *dir, const char *name)
{
	static _Thread_local char path[PATHS][600];
	static _Thread_local unsigned turn;

	turn = (turn + 1) % PATHS;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

bool
file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

uint8_t *
file_read(size_t *n, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *p = malloc((size_t)st.st_size + 1);
	assert_non_null(p);
	assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
	close(fd);
	*n = (size_t)st.st_size;
	return p;
}

void
file_write(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

void
file_put(const char *path, size_t at, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
	close(fd);
}

void
file_cut(const char *path, size_t n)
{
	assert_int_equal(truncate(path, (off_t)n), 0);
}

static void
copy_files(const char *to, const char *from, bool live)
{
	char path[600];
	struct dirent *e;
	struct stat st;
	size_t n;

	DIR *d = opendir(from);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", from, e->d_name);
		if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
		    (!live && strcmp(e->d_name, "live") == 0))
			continue;
		uint8_t *p = file_read(&n, path);
		snprintf(path, sizeof(path), "%s/%s", to, e->d_name);
		file_write(path, p, n);
		free(p);
	}
	closedir(d);
}

void
store_copy(const char *to, const char *from, bool live)
{
	char a[600], b[600];

	folder_empty(to);
	copy_files(to, from, live);
	snprintf(a, sizeof(a), "%s/journal", to);
	snprintf(b, sizeof(b), "%s/journal", from);
	assert_int_equal(mkdir(a, 0700), 0);
	copy_files(a, b, live);
}

/* ---- stores ------------------------------------------------------------- */

int
open_writer(struct store **out, const char *dir, struct weir_err *err)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE,
				  .lock_wait_us = -1,
				  .first_segment_bytes = SMALL,
				  .max_segment_bytes = 4 * SMALL,
				  .segment_times = 1};

	return store_open(out, dir, &o, err);
}

int
open_reader(struct store **out, const char *dir, struct weir_err *err)
{
	struct store_options o = {0};

	return store_open(out, dir, &o, err);
}

struct store *
must_write(const char *dir)
{
	struct weir_err err = {0};
	struct store *s = NULL;

	assert_ok(open_writer(&s, dir, &err), err);
	return s;
}

struct store *
must_read(const char *dir)
{
	struct weir_err err = {0};
	struct store *s = NULL;

	assert_ok(open_reader(&s, dir, &err), err);
	return s;
}

struct record_draft
draft_of(const char *type, const char *id, const char *event,
	 const char *payload)
{
	return (struct record_draft){.aggregate_type = str_of(type),
				     .aggregate_id = str_of(id),
				     .event_type = str_of(event),
				     .payload = str_of(payload),
				     .expected = EXPECT_ANY};
}

struct record_draft
draft_with_id(struct record_draft d, unsigned n)
{
	memset(d.event_id, 0x5a, 16);
	memcpy(d.event_id, &n, sizeof(n));
	d.has_event_id = true;
	return d;
}

struct record_draft
draft_sized(unsigned seed, size_t n)
{
	static _Thread_local char *payload[PATHS];
	static _Thread_local char id[PATHS][24];
	static _Thread_local unsigned turn;
	struct record_draft d;

	turn = (turn + 1) % PATHS;
	payload[turn] = realloc(payload[turn], n + 8);
	assert_non_null(payload[turn]);
	for (size_t i = 0; i < n; i++)
		payload[turn][i] = (char)('a' + (seed * 31 + i * i) % 26);
	snprintf(id[turn], sizeof(id[turn]), "n%u", seed % 7);
	d = draft_of("thing", id[turn], "grown", "");
	d.content = WEIR_CONTENT_TEXT;
	d.payload = (struct weir_str){payload[turn], n};
	return d;
}

void
commit_one(struct store *s, struct receipt *r, struct record_draft d)
{
	struct weir_err err = {0};

	assert_ok(store_commit(s, r, &d, 1, &err), err);
}

/* ---- the truth ---------------------------------------------------------- */

void
truth_note(struct truth *t, const struct receipt *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r[i].duplicate)
			continue;
		if (t->gaps)
			assert_true(r[i].sequence > t->n);
		else
			assert_int_equal(r[i].sequence, t->n + 1);
		while (t->n < r[i].sequence) {
			if (t->n == t->cap) {
				t->cap = 2 * t->cap + 64;
				t->hash = realloc(t->hash,
						  t->cap * sizeof(*t->hash));
				assert_non_null(t->hash);
			}
			memset(t->hash[t->n++], 0, RECORD_DIGEST);
		}
		memcpy(t->hash[t->n - 1], r[i].hash, RECORD_DIGEST);
	}
}

void
truth_free(struct truth *t)
{
	free(t->hash);
	*t = (struct truth){0};
}

static const char *
record_fault(const struct truth *t, struct store *s,
	     const struct record_view *v, uint64_t n)
{
	static char text[200];
	uint8_t hash[RECORD_DIGEST];
	struct head head;

	record_hash(hash, v);
	snprintf(text, sizeof(text), "sequence %llu where %llu should be",
		 (unsigned long long)v->sequence, (unsigned long long)n);
	if (v->sequence != n)
		return text;
	if (memcmp(hash, v->hash, RECORD_DIGEST) != 0)
		return "a hash does not agree";
	static const uint8_t unknown[RECORD_DIGEST];
	if (n <= t->n && memcmp(unknown, t->hash[n - 1], RECORD_DIGEST) != 0 &&
	    memcmp(hash, t->hash[n - 1], RECORD_DIGEST) != 0)
		return "another record than was acknowledged";
	if (store_head(s, &head, v->aggregate_type, v->aggregate_id, NULL) !=
		    0 ||
	    head.version < v->version)
		return "the head does not know of a record";
	return NULL;
}

static const char *
read_fault(const struct truth *t, struct store *s, struct reader *r,
	   uint64_t *all)
{
	static struct weir_err err;
	const char *fault = NULL;
	struct record_view v;
	int rc;

	assert_non_null(r);
	*all = 0;
	while (fault == NULL && (rc = reader_next(r, &v, &err)) > 0)
		fault = record_fault(t, s, &v, ++*all);
	if (fault == NULL && rc < 0)
		fault = err.msg;
	if (fault == NULL && *all != store_last(s))
		fault = "store_last names another end";
	if (fault == NULL && *all < t->n)
		fault = "acknowledged records are missing";
	reader_free(r);
	return fault;
}

const char *
truth_fault(const struct truth *t, struct store *s, uint64_t *all)
{
	const char *fault = read_fault(t, s, reader_new(s), all);

	return fault != NULL ? fault
			     : read_fault(t, s, reader_new_mapped(s), all);
}

uint64_t
truth_holds(const struct truth *t, struct store *s)
{
	uint64_t all = 0;
	const char *fault = truth_fault(t, s, &all);

	if (fault != NULL)
		fail_msg("of %zu acknowledged, at %llu: %s", t->n,
			 (unsigned long long)all, fault);
	return all;
}
