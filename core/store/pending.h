/* SPDX-License-Identifier: MIT */
#ifndef STORE_PENDING_H
#define STORE_PENDING_H

/*
 * The aggregates and event ids that a group about to be written touches, over
 * the committed ones. Thrown away or, when the group is synced, made true by
 * commit_apply from the group's bytes.
 */

#include "store/heads.h"

struct item;

struct pending_aggregate {
	uint64_t hash;
	struct weir_str type, id;
	bool known;	    /* the heads have it */
	bool far;	    /* only the index has it */
	uint64_t version;   /* as the accepted drafts will leave it */
	bool archived;	    /* the same */
	struct summit top;  /* as far as it is encoded */
	size_t at;	    /* its slot */
};

struct pending_id {
	const uint8_t *id; /* borrowed */
	struct item *item;
	size_t at; /* its slot */
};

struct pending {
	struct pending_aggregate *agg;
	struct pending_id *id;
	size_t n, nids, cap; /* cap: of each */
	uint32_t *slot;	     /* index + 1; of aggregates, then of ids */
	size_t nslots;	     /* of each; a power of two */
};

struct pending *pending_new(void); /* NULL: no memory */
void pending_free(struct pending *p);
void pending_clear(struct pending *p);

/* Room for n aggregates and ids after a clear: 0 or WEIR_ENOMEM. */
int pending_reserve(struct pending *p, size_t n);

/* The index of an aggregate, taken over from the heads when it is new here.
 * Room was reserved. Names are borrowed; hash is their heads_hash. *fresh: it
 * is new here and the heads don't have it. */
uint32_t pending_find(struct pending *p, bool *fresh, const struct heads *h,
		      uint64_t hash, struct weir_str type, struct weir_str id);
/* The same taken over from the index. */
void pending_found(struct pending *p, uint32_t i, const struct summit *top);
/* Forgets a fresh one, which was the last. */
void pending_unfind(struct pending *p);

/* The item that brought an event id, or NULL. */
struct item *pending_id_find(const struct pending *p, const uint8_t id[16]);
/* Notes a new one; room was reserved. */
void pending_id_add(struct pending *p, const uint8_t id[16], struct item *it);
/* Forgets the one that was noted last. */
void pending_id_undo(struct pending *p);

/* Asks for the memory of the heads that are about to change. */
void pending_fetch(const struct pending *p, const struct heads *h);

/* What the heads need for the aggregates they don't have yet. */
void pending_new_names(const struct pending *p, size_t *n, size_t *bytes);
/* Gives the heads those that only the index has; their room was reserved. */
void pending_install(struct pending *p, struct heads *h);

#endif
