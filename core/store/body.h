/* SPDX-License-Identifier: MIT */
#ifndef STORE_BODY_H
#define STORE_BODY_H

/*
 * Frames: the bytes of one record. weir-format(5) has the layout. Nothing
 * here does I/O.
 */

#include "store/record.h"

/* What can be computed of a draft before its place in the journal is known. */
struct ready {
	uint8_t event_id[16];
	int64_t created_at;
	uint8_t payload_hash[RECORD_DIGEST];
	uint8_t body_hash[RECORD_DIGEST];
	size_t body; /* bytes of its body */
};

/* Fills r from a checked draft; r->event_id and r->created_at are the
 * caller's. */
void ready_fill(struct ready *r, const struct record_draft *d);

/* Most bytes a frame with a body of that size can have. */
size_t frame_size_max(size_t body);

/* hash = SHA-256(0x00 || body_hash || sequence || version || committed_at) */
void record_leaf(uint8_t out[RECORD_DIGEST],
		 const uint8_t body_hash[RECORD_DIGEST], uint64_t sequence,
		 uint64_t version, int64_t committed_at);

/* Where and when a record stands. */
struct frame_place {
	const uint8_t *store;
	uint64_t position, prev, skip;
	uint64_t sequence, version;
	int64_t committed_at;
	const uint8_t *hash;
	const uint8_t *node; /* NULL for odd versions */
	bool end_of_commit;
};

/* Writes a frame and returns its length, at most frame_size_max(r->body). */
size_t frame_encode(uint8_t *out, const struct record_draft *d,
		    const struct ready *r, const struct frame_place *at);

/* The length of the frame that begins with these 64 bytes, or 0 when it can't
 * be one. */
size_t frame_length(const uint8_t *p);

/* Decodes a frame of n bytes in place; v points into p. 0, or -1 with *why. */
int frame_decode(struct record_view *v, const uint8_t *p, size_t n,
		 const uint8_t store[16], uint64_t position, const char **why);

/* The same without looking at its CRC, for who checked its group's. */
int frame_parse(struct record_view *v, const uint8_t *p, size_t n,
		uint64_t position, const char **why);

/* The payload and body hashes of a view's fields. */
void record_payload_hash(uint8_t out[RECORD_DIGEST],
			 const struct record_view *v);

/* A view of a draft that is not yet committed; for record_same_content. */
void record_of_draft(struct record_view *v, const struct record_draft *d,
		     const struct ready *r);

/* The same in all that the idempotency of an event_id compares. */
bool record_same_content(const struct record_view *v,
			 const struct record_draft *d);

#endif
