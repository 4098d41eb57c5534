/* SPDX-License-Identifier: MIT */
/*
 * Which file is the index, and is it whole?
 *
 * LMDB has no checksums of its own and ends the process when a page it looks at
 * makes no sense. So between two batches a file NNNNNNNN.sum stands beside a
 * small index: its size and CRC-32C. Where it stands the index must agree, else
 * it is damaged; during a batch, and above SUM_MOST, there is none, and entries
 * are only checked one by one.
 *
 * 1. An index that is thrown away is removed by name and a new one gets the
 *    next number. Those who have the old one open go on with it: what it says
 *    stays true.
 * 2. A reader removes and makes nothing.
 */
#include "store/index_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#define SUM_BYTES 20u
#define SUM_MOST  (32u << 20)
#define BLOCK	  (256u << 10)
#define SUFFIX	  ".mdb"
#define FOLDER	  "/index"

struct index *
index_new(const char *dir, const uint8_t store[16])
{
	struct index *x = mem_new(sizeof(*x));
	size_t n = strlen(dir);

	if (x == NULL)
		return NULL;
	x->folder = mem_resize(NULL, n + sizeof(FOLDER));
	if (x->folder == NULL) {
		mem_free(x);
		return NULL;
	}
	memcpy(x->folder, dir, n);
	memcpy(x->folder + n, FOLDER, sizeof(FOLDER));
	memcpy(x->store, store, 16);
	pthread_mutex_init(&x->mu, NULL);
	return x;
}

static void
path_of(const struct index *x, char out[4200], uint64_t number,
	const char *suffix)
{
	snprintf(out, 4200, "%s/%08" PRIu64 "%s", x->folder, number, suffix);
}

static void
close_env(struct index *x)
{
	index_abort(x);
	if (x->read != NULL)
		mdb_txn_abort(x->read);
	x->read = NULL;
	index_env_put(x->env);
	x->env = NULL;
}

void
index_free(struct index *x)
{
	if (x == NULL)
		return;
	close_env(x);
	pthread_mutex_destroy(&x->mu);
	mem_free(x->folder);
	mem_free(x);
}

bool
index_is_open(struct index *x)
{
	pthread_mutex_lock(&x->mu);
	bool open = x->env != NULL;
	pthread_mutex_unlock(&x->mu);
	return open;
}

/* ---- names --------------------------------------------------------------- */

/* The number a name in the folder begins with, or 0. */
static uint64_t
number_of(const char *name)
{
	uint64_t number;
	size_t n = strcspn(name, ".");

	return str_u64(&number, (struct weir_str){name, n}) == 0 ? number : 0;
}

/* The highest number in the folder, or 0; `ends`: of files that end so. */
static uint64_t
newest(const struct index *x, const char *ends)
{
	char **names = NULL;
	size_t count = 0;
	uint64_t best = 0;

	if (os_list_folder(&names, &count, x->folder, NULL) != 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const char *dot = strchr(names[i], '.');
		uint64_t number = number_of(names[i]);
		if (number > best && dot != NULL &&
		    (ends == NULL || strcmp(dot, ends) == 0))
			best = number;
	}
	mem_free(names);
	return best;
}

/* Removes what belongs to any number but `keep`. */
static void
remove_others(const struct index *x, uint64_t keep)
{
	char **names = NULL, path[4200];
	size_t count = 0;

	if (os_list_folder(&names, &count, x->folder, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		uint64_t number = number_of(names[i]);
		if (number == 0 || number == keep)
			continue;
		snprintf(path, sizeof(path), "%s/%s", x->folder, names[i]);
		os()->unlink(path);
	}
	mem_free(names);
}

void
index_drop(struct index *x, bool remove)
{
	pthread_mutex_lock(&x->mu);
	close_env(x);
	pthread_mutex_unlock(&x->mu);
	if (!remove)
		return;
	/* The next one gets another name all the same. */
	uint64_t number = newest(x, NULL);
	x->number = number > x->number ? number : x->number;
	remove_others(x, 0);
}

/* ---- the sum ------------------------------------------------------------- */

static int
sum_file(uint8_t out[SUM_BYTES], const struct index *x, const char *path)
{
	char *block = mem_resize(NULL, BLOCK);
	uint64_t size = 0;
	uint32_t c = crc32c(0, x->store, 16);
	int64_t got = -1;
	int fd = os_open(path, O_RDONLY, 0, NULL);

	while (fd >= 0 && block != NULL && size <= SUM_MOST &&
	       (got = os_pread_upto(fd, path, block, BLOCK, size, NULL)) > 0) {
		c = crc32c(c, block, (size_t)got);
		size += (uint64_t)got;
	}
	os_close(fd >= 0 ? fd : -1);
	mem_free(block);
	if (got != 0)
		return -1;
	put_u32(out, 0x4d555357u);
	put_u64(out + 4, size);
	put_u32(out + 12, c);
	put_u32(out + 16, crc32c(0, out, 16));
	return 0;
}

void
index_unseal(struct index *x)
{
	char path[4200];

	path_of(x, path, x->number, ".sum");
	os()->unlink(path);
}

void
index_seal(struct index *x)
{
	uint8_t sum[SUM_BYTES];
	char path[4200];

	if (index_bytes(x) > SUM_MOST || sum_file(sum, x, x->path) != 0)
		return;
	path_of(x, path, x->number, ".sum");
	int fd = os_open(path, O_WRONLY | O_CREAT, 0600, NULL);
	if (fd < 0)
		return;
	if (os_pwrite_all(fd, path, sum, sizeof(sum), 0, NULL) != 0)
		os()->unlink(path);
	os_close(fd);
}

static bool
read_sum(const struct index *x, uint8_t out[SUM_BYTES], uint64_t number)
{
	char path[4200];
	char *text = NULL;
	size_t n = 0;

	path_of(x, path, number, ".sum");
	if (os_read_file(&text, &n, path, SUM_BYTES, NULL) != 0)
		return false;
	bool good = n == SUM_BYTES;
	if (good)
		memcpy(out, text, SUM_BYTES);
	mem_free(text);
	return good;
}

/* Does the file differ from what vouches for it? Not, when a writer is at work
 * on it: then the sum goes away meanwhile. */
static bool
differs(const struct index *x, uint64_t number, const char *path)
{
	uint8_t was[SUM_BYTES], is[SUM_BYTES], now[SUM_BYTES];

	return read_sum(x, was, number) && sum_file(is, x, path) == 0 &&
	       memcmp(was, is, SUM_BYTES) != 0 && read_sum(x, now, number) &&
	       memcmp(was, now, SUM_BYTES) == 0;
}

/* ---- opening ------------------------------------------------------------- */

static void
say(const struct weir_err *err, bool writing)
{
	if (err->code == WEIR_ENOTFOUND)
		return;
	diag(err->code == WEIR_EDAMAGE ? DIAG_WARN : DIAG_INFO, "index",
	     "%s; %s", err->msg,
	     writing ? "it is built again from the journal"
		     : "the journal is read without it");
}

/* Takes another environment in place of the one there is. */
static void
take_env(struct index *x, struct index_env *e, uint64_t number,
	 const char path[4200])
{
	pthread_mutex_lock(&x->mu);
	close_env(x);
	x->env = e;
	x->number = number;
	memcpy(x->path, path, 4200);
	pthread_mutex_unlock(&x->mu);
}

static int
open_number(struct index *x, uint64_t number, struct weir_err *err)
{
	struct index_env *e = NULL;
	char path[4200];
	int rc;

	path_of(x, path, number, SUFFIX);
	if (differs(x, number, path))
		return err_set(err, WEIR_EDAMAGE,
			       "%s is damaged: its CRC does not agree", path);
	rc = index_env_get(&e, path, false, err);
	if (rc != 0)
		return rc;
	take_env(x, e, number, path);
	return 0;
}

int
index_open(struct index *x, struct index_meta *m, bool writing)
{
	uint64_t number = newest(x, SUFFIX);
	struct weir_err err = {0};
	int rc;

	if (number == 0)
		return 0;
	x->number = number; /* not to be used again */
	rc = open_number(x, number, &err);
	if (rc == 0)
		rc = index_watermark(x, m, &err);
	if (rc == 0)
		rc = err_set(&err, WEIR_EDAMAGE, "%s was never finished",
			     x->path);
	if (rc < 0) {
		say(&err, writing);
		index_drop(x, writing && err.code == WEIR_EDAMAGE);
		return 0;
	}
	if (writing)
		remove_others(x, number);
	return 1;
}

int
index_again(struct index *x, struct index_meta *m, uint64_t least)
{
	uint64_t number = newest(x, SUFFIX);
	struct index *y;
	int rc;

	if (number == 0)
		return 0;
	if (index_is_open(x) && x->number == number)
		return index_watermark(x, m, NULL) > 0 &&
		       m->tail.next_sequence > least;
	/* A newer one: it must reach as far as the one before did. */
	y = mem_new(sizeof(*y));
	if (y == NULL)
		return 0;
	y->folder = x->folder;
	memcpy(y->store, x->store, 16);
	pthread_mutex_init(&y->mu, NULL);
	rc = open_number(y, number, NULL) == 0 &&
	     index_watermark(y, m, NULL) > 0 && m->tail.next_sequence > least;
	close_env(y);
	pthread_mutex_destroy(&y->mu);
	mem_free(y);
	return rc && open_number(x, number, NULL) == 0;
}

int
index_create(struct index *x, struct weir_err *err)
{
	struct index_env *e = NULL;
	char path[4200];
	uint64_t number;
	int rc;

	rc = os_make_folders(x->folder, 0700, err);
	if (rc != 0)
		return rc;
	number = newest(x, NULL);
	number = (number > x->number ? number : x->number) + 1;
	path_of(x, path, number, SUFFIX);
	rc = index_env_get(&e, path, true, err);
	if (rc != 0) {
		remove_others(x, number - 1);
		return rc;
	}
	take_env(x, e, number, path);
	remove_others(x, number);
	return 0;
}

uint64_t
index_bytes(struct index *x)
{
	struct stat st;

	return os()->stat(x->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}
