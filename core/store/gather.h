/* SPDX-License-Identifier: MIT */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H

/* What a run of groups says to the index: the newest head of each aggregate,
 * the event ids, the places and how often each token wrote, in memory until it is sorted and written. */

#include "base/buf.h"
#include "store/index.h"
#include "store/writes.h"

#define PLACE_BYTES (32u << 10) /* one place for each so many bytes */

struct gather_name {
	union {
		size_t at; /* in keys */
		const char *key;
	} name;
	struct index_head head;
	bool archived_known;
	uint32_t hash, len;
};

struct gather_id {
	uint8_t id[16];
	uint64_t position;
};

struct gather {
	const struct journal *journal;
	struct index_meta *meta; /* its counts move on */
	bool heads_only;
	uint64_t bytes, records;   /* of groups */
	uint64_t group, group_end; /* the last one with records */
	struct buf keys;
	struct gather_name *name;
	struct gather_id *id;
	struct place *place;
	size_t names, names_cap, ids, ids_cap, places, places_cap;
	uint32_t *slot; /* index + 1 */
	size_t nslots;	/* a power of two */
	struct writes *writes;
};

/* 0 or WEIR_ENOMEM; gather_fini in each case. */
int gather_init(struct gather *g, const struct journal *j,
		struct index_meta *m);
void gather_fini(struct gather *g);
void gather_clear(struct gather *g);

/* A journal_fn; the cookie is the gather. */
int gather_group(void *gather, struct tail *t, const struct group *g,
		 struct weir_err *err);

/* Sorts by key; nothing can be added then. */
void gather_sort(struct gather *g);

#endif
