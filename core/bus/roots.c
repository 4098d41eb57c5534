/* SPDX-License-Identifier: MIT */
/*
 * The root at version v is made of the nodes of v, v - lowbit(v) and so on, of
 * which all but the first belong to even versions. A table of those, by the
 * position of their frame; a newer one takes an older one's place.
 *
 * 1. Records do not change, so neither does an entry.
 */
#include "bus/roots.h"

#include "base/err.h"
#include "base/os.h"
#include "store/merkle.h"
#include "store/reader.h"

#include <string.h>

#define LEAST 64u

struct node {
	uint64_t position; /* 0: free */
	uint64_t version;
	uint64_t skip; /* position of version - lowbit(version) */
	uint8_t digest[MERKLE_DIGEST];
};

struct roots {
	struct node *table;
	size_t mask;
	size_t taken; /* since the table has this size */
	size_t most;  /* entries it may grow to */
};

struct roots *
roots_new(size_t max_bytes)
{
	struct roots *r = mem_new(sizeof(*r));

	if (r == NULL)
		return NULL;
	r->most = max_bytes / sizeof(*r->table);
	r->mask = LEAST - 1;
	r->table = mem_new(LEAST * sizeof(*r->table));
	if (r->table == NULL) {
		mem_free(r);
		return NULL;
	}
	return r;
}

void
roots_free(struct roots *r)
{
	if (r == NULL)
		return;
	mem_free(r->table);
	mem_free(r);
}

static struct node *
place_of(const struct roots *r, uint64_t position)
{
	return &r->table[(position * 0x9e3779b97f4a7c15u >> 32) & r->mask];
}

static void
node_set(struct node *n, const struct record_view *v)
{
	n->position = v->position;
	n->version = v->version;
	n->skip = v->skip;
	memcpy(n->digest, v->has_node ? v->node : v->hash, MERKLE_DIGEST);
}

/* A table twice as large when there is memory for it; a smaller one works,
 * too. */
static void
grow(struct roots *r)
{
	struct node *old = r->table, *fresh;
	size_t n = r->mask + 1;

	if (n * 2 > r->most)
		return;
	fresh = mem_new(n * 2 * sizeof(*fresh));
	if (fresh == NULL)
		return;
	r->table = fresh;
	r->mask = n * 2 - 1;
	r->taken = 0;
	for (size_t i = 0; i < n; i++) {
		if (old[i].position == 0)
			continue;
		*place_of(r, old[i].position) = old[i];
		r->taken++;
	}
	mem_free(old);
}

static void
keep(struct roots *r, const struct node *n)
{
	if (r->taken > r->mask / 2)
		grow(r);
	*place_of(r, n->position) = *n;
	r->taken++;
}

/* The node of the frame at a position. */
static int
node_at(struct roots *r, struct node *out, struct reader *rd, uint64_t position,
	struct weir_err *err)
{
	const struct node *n = place_of(r, position);
	struct record_view v;
	int rc;

	if (position != 0 && n->position == position) {
		*out = *n;
		return 0;
	}
	rc = reader_at(rd, &v, position, err);
	if (rc != 0)
		return rc;
	node_set(out, &v);
	keep(r, out);
	return 0;
}

int
roots_of(struct roots *r, uint8_t out[32], struct reader *rd,
	 const struct record_view *v, struct weir_err *err)
{
	uint8_t root[MERKLE_DIGEST];
	struct node n;
	uint64_t below;
	int rc;

	node_set(&n, v);
	if (v->version % 2 == 0)
		keep(r, &n);
	memcpy(root, n.digest, sizeof(root));
	while ((below = n.version - lowbit(n.version)) > 0) {
		uint64_t skip = n.skip;

		rc = node_at(r, &n, rd, skip, err);
		if (rc != 0)
			return rc;
		if (n.version != below)
			return err_set(err, WEIR_EDAMAGE,
				       "sequence %llu: skip leads to version "
				       "%llu, not %llu; see `weir check`",
				       (unsigned long long)v->sequence,
				       (unsigned long long)n.version,
				       (unsigned long long)below);
		merkle_inner(root, n.digest, root);
	}
	memcpy(out, root, sizeof(root));
	return 0;
}
