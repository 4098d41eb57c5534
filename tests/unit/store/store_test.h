/* SPDX-License-Identifier: MIT */
#ifndef STORE_TEST_H
#define STORE_TEST_H

/*
 * What tests of the store share: temporary folders, drafts, and the truth: what
 * was acknowledged, to be found again whatever happened since.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* the above first */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/reader.h"
#include "store/store.h"

#define SMALL (64u << 10) /* the smallest segment */

/* ---- folders ------------------------------------------------------------ */

/* A fresh folder; freed by folder_drop with all in it. */
char *folder_make(void);
void folder_drop(char *dir);
void folder_empty(const char *dir);
/* "dir/name"; one of a few static buffers. */
const char *in(const char *dir, const char *name);
/* Copies a store; without `live` when said so. */
void store_copy(const char *to, const char *from, bool live);
bool file_exists(const char *path);
uint8_t *file_read(size_t *n, const char *path);
void file_write(const char *path, const void *p, size_t n);
void file_put(const char *path, size_t at, const void *p, size_t n);
void file_cut(const char *path, size_t n);

/* ---- stores ------------------------------------------------------------- */

/* Opens for writing, makes it when missing, small segments, no wait. */
int open_writer(struct store **out, const char *dir, struct weir_err *err);
int open_reader(struct store **out, const char *dir, struct weir_err *err);
struct store *must_write(const char *dir);
struct store *must_read(const char *dir);

/* A draft with expected any and content json. Names are borrowed. */
struct record_draft draft_of(const char *type, const char *id,
			     const char *event, const char *payload);
struct record_draft draft_with_id(struct record_draft d, unsigned n);
/* A draft whose payload has about n bytes; static buffers taken in turn. */
struct record_draft draft_sized(unsigned seed, size_t n);
void commit_one(struct store *s, struct receipt *r, struct record_draft d);

/* ---- the truth ---------------------------------------------------------- */

struct truth {
	size_t n, cap;
	uint8_t (*hash)[RECORD_DIGEST]; /* of sequence i + 1; zeros: unknown */
	bool gaps; /* a refused commit may have come to stay at a reopening */
};

void truth_note(struct truth *t, const struct receipt *r, size_t n);
void truth_free(struct truth *t);
/* All that was acknowledged is there, unchanged, in order and readable in all
 * ways; how many records there are in all. Ends the test when not. */
uint64_t truth_holds(const struct truth *t, struct store *s);
/* The same without a verdict: NULL or what is wrong. */
const char *truth_fault(const struct truth *t, struct store *s, uint64_t *all);

#define assert_says(err, word)                                                 \
	do {                                                                   \
		if (strstr((err).msg, (word)) == NULL)                         \
			fail_msg("\"%s\" is not in: %s", (word), (err).msg);   \
	} while (0)

#define assert_ok(rc, err)                                                     \
	do {                                                                   \
		int ok_ = (rc);                                                \
		if (ok_ != 0)                                                  \
			fail_msg("code %d: %s", ok_, (err).msg);               \
	} while (0)

#endif
