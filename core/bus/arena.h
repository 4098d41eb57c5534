/* SPDX-License-Identifier: MIT */
#ifndef BUS_ARENA_H
#define BUS_ARENA_H

/* Memory for one batch: handed out bit by bit, given back all at once. */

#include <weir/types.h>

struct arena_block;

struct arena {
	struct arena_block *used, *spare;
	size_t bytes; /* handed out */
};

void *arena_get(struct arena *a, size_t n); /* NULL: no memory; not zeroed */
/* A copy; an absent one stays absent. *ok becomes 0 when memory ran out. */
struct weir_str arena_str(struct arena *a, struct weir_str s, int *ok);
void arena_clear(struct arena *a); /* keeps a few blocks */
void arena_fini(struct arena *a);

#endif
