/* SPDX-License-Identifier: MIT */
#ifndef STORE_PENDING_H
#define STORE_PENDING_H

/*
 * The aggregates and event ids that a group about to be written touches, over
 * the committed ones. Thrown away or, when the group is synced, made true by
 * commit_apply from the group's bytes.
 */

#include "store/heads.h"
#include "store/ids.h"

struct pending_aggregate {
	uint64_t hash;
	struct weir_str type, id;
	bool known;	    /* the heads have it */
	uint64_t version;   /* as the accepted drafts will leave it */
	bool archived;	    /* the same */
	struct summit top;  /* as far as it is encoded */
};

struct pending {
	struct pending_aggregate *agg;
	size_t n, cap;
	uint32_t *slot; /* index + 1 */
	size_t nslots;	/* a power of two */
	struct ids *ids; /* event_id -> index of the draft + 1 */
};

struct pending *pending_new(void); /* NULL: no memory */
void pending_free(struct pending *p);
void pending_clear(struct pending *p);

/* Room for n more aggregates and ids: 0 or WEIR_ENOMEM. */
int pending_reserve(struct pending *p, size_t n);

/* The index of an aggregate, taken over from the heads when it is new here.
 * Room was reserved. Names are borrowed. */
uint32_t pending_find(struct pending *p, const struct heads *h,
		      struct weir_str type, struct weir_str id);

/* What the heads need for the aggregates they don't have yet. */
void pending_new_names(const struct pending *p, size_t *n, size_t *bytes);

#endif
