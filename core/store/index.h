/* SPDX-License-Identifier: MIT */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

/*
 * DIR/index: what the journal says about aggregates, client event ids and
 * sequences, in LMDB, up to a watermark. Rebuilt from the journal whenever it
 * is missing or bad. What stands behind the watermark may be there as well: a
 * batch is written in several transactions, and only the last one moves the
 * watermark. Everything in it is synced and was published before.
 *
 * Any thread may look things up; one thread at a time may write. Codes are
 * WEIR_EDAMAGE (not to be trusted any more), WEIR_ENOSPC, WEIR_EIO,
 * WEIR_ENOMEM.
 */

#include "store/journal.h"

struct writes;

/* A frame to begin at when a sequence is looked for. */
struct place {
	uint64_t sequence;
	uint64_t frame;
	uint64_t group;
};

struct index_head {
	uint64_t position, version, sequence;
	bool archived;
};

/* The watermark, and what a walk needs to go on from it. */
struct index_meta {
	struct tail tail;
	uint64_t group; /* the one that ends there; 0: at a segment's
			   beginning */
	uint64_t aggregates, reserved; /* how many; those named $... */
	uint64_t ids;
};

#define INDEX_KEY_MAX (WEIR_NAME_MAX + 1 + WEIR_ID_MAX)

struct index;

/* DIR/index of the store; nothing is opened. NULL: no memory. */
struct index *index_new(const char *dir, const uint8_t store[16]);
void index_free(struct index *x);

/* Opens the newest index: 1 and *m, or 0: there is none, or none to be
 * trusted (diag says why). A writer removes older ones. */
int index_open(struct index *x, struct index_meta *m, bool writing);
/* A reader: takes a newer index or a watermark that moved on, unless it lies
 * before sequence `least`: 1 and *m, or 0. */
int index_again(struct index *x, struct index_meta *m, uint64_t least);
bool index_is_open(struct index *x);

/* Makes an empty one beside all others, with the next number, and removes
 * those. 0 or a code. */
int index_create(struct index *x, struct weir_err *err);
/* Closes it, and removes all there are when `remove`. */
void index_drop(struct index *x, bool remove);

/* ---- looking up: 1 found, 0 not there, or a code ------------------------ */

int index_head(struct index *x, struct index_head *out, struct weir_str type,
	       struct weir_str id, struct weir_err *err);
int index_id(struct index *x, uint64_t *position, const uint8_t id[16],
	     struct weir_err *err);
/* The last place at or before a sequence. */
int index_place(struct index *x, struct place *out, uint64_t sequence,
		struct weir_err *err);
int index_watermark(struct index *x, struct index_meta *m,
		    struct weir_err *err);
/* The watermark, and how many records up to it carry each token: added to the
 * counts of *out, which may be incomplete after a code. */
int index_writes(struct index *x, struct index_meta *m, struct writes *out,
		 struct weir_err *err);

struct index_name {
	char key[INDEX_KEY_MAX];
	size_t type_len, len; /* key is type, a zero byte, id */
	struct index_head head;
};

/* Up to n aggregates in order behind the name `after` (len 0: from the
 * beginning): how many, or a code. */
int index_names(struct index *x, struct index_name *out, size_t n,
		const char *after, size_t len, struct weir_err *err);
size_t index_key(char out[INDEX_KEY_MAX], struct weir_str type,
		 struct weir_str id);

/* Reads all of it: every entry's CRC and the counts. 0 or a code. */
int index_verify(struct index *x, struct weir_err *err);

/* ---- writing: one transaction at a time --------------------------------- */

/* Before the first transaction of a batch, and after its last: what vouches for
 * the file's bytes goes, and comes again. */
void index_unseal(struct index *x);
void index_seal(struct index *x);
int index_begin(struct index *x, struct weir_err *err);
/* keep: whether it is archived stays as it was. */
int index_put_head(struct index *x, const char *key, size_t len,
		   const struct index_head *h, bool keep, struct weir_err *err);
/* The first position of an id stays. */
int index_put_id(struct index *x, const uint8_t id[16], uint64_t position,
		 struct weir_err *err);
int index_put_place(struct index *x, const struct place *p,
		    struct weir_err *err);
/* Adds to the counts what the records from sequence `from` on say: in the
 * transaction that moves the watermark, which stands before it, and nowhere
 * else. */
int index_add_writes(struct index *x, const struct writes *w, uint64_t from,
		     struct weir_err *err);
/* Forgets all heads; for weir reindex --heads. */
int index_forget_heads(struct index *x, struct weir_err *err);
/* Syncs and ends it; with a watermark unless m is NULL. Any failure leaves the
 * index as it was before the transaction. */
int index_commit(struct index *x, const struct index_meta *m,
		 struct weir_err *err);
void index_abort(struct index *x);
uint64_t index_bytes(struct index *x); /* of its file */

#endif
