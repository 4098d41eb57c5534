/* SPDX-License-Identifier: MIT */
#ifndef STORE_MERKLE_H
#define STORE_MERKLE_H

/*
 * Merkle trees of RFC 9162, section 2.1: a leaf is a record's hash, an inner
 * node SHA-256(0x01 || left || right), and a tree of n leaves splits at the
 * largest power of two below n.
 */

#include <stdint.h>

#define MERKLE_DIGEST 32

/* out may be the same as left or right. */
void merkle_inner(uint8_t out[MERKLE_DIGEST], const uint8_t left[MERKLE_DIGEST],
		  const uint8_t right[MERKLE_DIGEST]);

/* SHA-256 of nothing: the root of an empty tree. */
void merkle_empty(uint8_t out[MERKLE_DIGEST]);

/* The roots of the full subtrees of `leaves` leaves, largest first; there are
 * popcount(leaves) of them. Zero is the empty tree. */
struct frontier {
	uint64_t leaves;
	uint8_t node[64][MERKLE_DIGEST];
};

void frontier_add(struct frontier *f, const uint8_t leaf[MERKLE_DIGEST]);
void frontier_root(uint8_t out[MERKLE_DIGEST], const struct frontier *f);
unsigned frontier_nodes(const struct frontier *f);
/* The last node: after an add of leaf v, the root of the lowbit(v) leaves that
 * end at v. */
const uint8_t *frontier_last(const struct frontier *f);

static inline uint64_t
lowbit(uint64_t v)
{
	return v & (~v + 1);
}

#endif
