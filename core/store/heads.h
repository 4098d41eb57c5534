/* SPDX-License-Identifier: MIT */
#ifndef STORE_HEADS_H
#define STORE_HEADS_H

/*
 * What must be known of an aggregate to append to it: its head and the newest
 * nodes of its tree. A table in memory of all aggregates or, over an index, of
 * those that changed behind its watermark and a bounded number of others. The
 * caller locks.
 */

#include <stdatomic.h>
#include "store/merkle.h"
#include "store/record.h"

#define HEAD_PEAKS 3u

/* The root of a full subtree: the version where it ends stands there. */
struct peak {
	uint64_t position;
	uint8_t node[MERKLE_DIGEST];
};

/* peak[npeaks - 1] is the newest version's. Older ones than the three kept
 * begin at position `below` (0: there are none). */
struct summit {
	uint64_t position, version, sequence;
	uint64_t below;
	struct peak peak[HEAD_PEAKS];
	unsigned npeaks;
	bool archived;
};

struct aggregate {
	struct aggregate *next;
	uint64_t hash;
	struct summit top;
	struct weir_str type, id;
	_Atomic bool again; /* found since it was last spared */
};

struct heads;
/* heads_trim keeps it near `most` bytes; 0: it has no bound. NULL: no memory */
struct heads *heads_new(size_t most);
void heads_free(struct heads *h);

uint64_t heads_hash(struct weir_str type, struct weir_str id);
struct aggregate *heads_find(const struct heads *h, uint64_t hash,
			     struct weir_str type, struct weir_str id);

/* Ask for the memory that a heads_find of that hash will look at, without
 * waiting for it: first the bucket's, then the aggregate's. */
void heads_ask(const struct heads *h, uint64_t hash);
void heads_fetch(const struct heads *h, uint64_t hash);

/* Makes sure that n new aggregates with name_bytes of names in all can be
 * added without memory. 0 or WEIR_ENOMEM. */
int heads_reserve(struct heads *h, size_t n, size_t name_bytes);

/* Moves the record's aggregate on to it. 0, WEIR_ENOMEM (not after
 * heads_reserve), or WEIR_EDAMAGE with *why when it does not follow the
 * present head. partial: an aggregate that is not there may have a past in the
 * index, and begins with this record; it counts as archived when the record
 * says so. */
int heads_apply(struct heads *h, const struct record_view *v, bool partial,
		const char **why);

/* Adds an aggregate that is not there; room was reserved. */
void heads_put(struct heads *h, uint64_t hash, struct weir_str type,
	       struct weir_str id, const struct summit *top);

/* Forgets aggregates while there are more than the bound allows: the oldest
 * that were not found again, of those whose last record has at most that
 * sequence. Does a bounded amount of work. */
void heads_trim(struct heads *h, uint64_t sequence);
size_t heads_bytes(const struct heads *h);

/* Moves a summit on to the next record; node is the record's hash for odd
 * versions. */
void summit_advance(struct summit *t, uint64_t position, uint64_t sequence,
		    uint64_t skip, const uint8_t node[MERKLE_DIGEST]);

uint64_t heads_count(const struct heads *h);
/* All aggregates in no order into out[0 .. heads_count - 1]. They stay where
 * they are until heads_trim or heads_free. */
void heads_list(const struct heads *h, struct aggregate **out);

#endif
