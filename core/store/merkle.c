/* SPDX-License-Identifier: MIT */
/*
 * RFC 9162 trees, grown one leaf at a time. Leaf n + 1 closes as many
 * subtrees as n has trailing one bits, so an add costs about one inner hash.
 */
#include "store/merkle.h"

#include <string.h>
#include "base/digest.h"
#include "base/must.h"

void
merkle_inner(uint8_t out[MERKLE_DIGEST], const uint8_t left[MERKLE_DIGEST],
	     const uint8_t right[MERKLE_DIGEST])
{
	uint8_t both[1 + 2 * MERKLE_DIGEST];
	struct digest_part part = {both, sizeof(both)};

	both[0] = 0x01;
	memcpy(both + 1, left, MERKLE_DIGEST);
	memcpy(both + 1 + MERKLE_DIGEST, right, MERKLE_DIGEST);
	digest_sha256(out, &part, 1);
}

void
merkle_empty(uint8_t out[MERKLE_DIGEST])
{
	struct digest_part part = {"", 0};

	digest_sha256(out, &part, 1);
}

unsigned
frontier_nodes(const struct frontier *f)
{
	return (unsigned)__builtin_popcountll(f->leaves);
}

void
frontier_add(struct frontier *f, const uint8_t leaf[MERKLE_DIGEST])
{
	unsigned n = frontier_nodes(f);
	uint8_t node[MERKLE_DIGEST];

	must(f->leaves < UINT64_MAX);
	memcpy(node, leaf, MERKLE_DIGEST);
	for (uint64_t ones = f->leaves; ones & 1; ones >>= 1)
		merkle_inner(node, f->node[--n], node);
	memcpy(f->node[n], node, MERKLE_DIGEST);
	f->leaves++;
}

void
frontier_root(uint8_t out[MERKLE_DIGEST], const struct frontier *f)
{
	unsigned n = frontier_nodes(f);
	uint8_t node[MERKLE_DIGEST];

	if (n == 0) {
		merkle_empty(out);
		return;
	}
	memcpy(node, f->node[--n], MERKLE_DIGEST);
	while (n > 0)
		merkle_inner(node, f->node[--n], node);
	memcpy(out, node, MERKLE_DIGEST);
}

const uint8_t *
frontier_last(const struct frontier *f)
{
	must(f->leaves > 0);
	return f->node[frontier_nodes(f) - 1];
}
