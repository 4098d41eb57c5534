/* SPDX-License-Identifier: MIT */
/* Blocks of 256 KiB (larger ones for larger wishes), filled from the front. */
#include "bus/arena.h"

#include "base/os.h"

#include <stdalign.h>
#include <string.h>

#define BLOCK	   (256u << 10)
#define SPARES_MAX 32u

struct arena_block {
	struct arena_block *next;
	size_t size, at;
	alignas(max_align_t) char data[];
};

static struct arena_block *
block_for(struct arena *a, size_t n)
{
	struct arena_block *b = a->spare;
	size_t size = n > BLOCK ? n : BLOCK;

	if (b != NULL && size == BLOCK) {
		a->spare = b->next;
	} else {
		b = mem_resize(NULL, sizeof(*b) + size);
		if (b == NULL)
			return NULL;
		b->size = size;
	}
	b->at = 0;
	b->next = a->used;
	a->used = b;
	return b;
}

void *
arena_get(struct arena *a, size_t n)
{
	const size_t unit = alignof(max_align_t);
	struct arena_block *b = a->used;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + unit - 1) / unit * unit;
	if (b == NULL || b->size - b->at < n)
		b = block_for(a, n);
	if (b == NULL)
		return NULL;
	p = b->data + b->at;
	b->at += n;
	a->bytes += n;
	return p;
}

struct weir_str
arena_str(struct arena *a, struct weir_str s, int *ok)
{
	char *p;

	if (s.data == NULL)
		return s;
	p = arena_get(a, s.len + 1);
	if (p == NULL) {
		*ok = 0;
		return (struct weir_str){NULL, 0};
	}
	memcpy(p, s.data, s.len);
	p[s.len] = '\0';
	return (struct weir_str){p, s.len};
}

void
arena_clear(struct arena *a)
{
	size_t spares = 0;

	for (struct arena_block *b = a->spare; b != NULL; b = b->next)
		spares++;
	while (a->used != NULL) {
		struct arena_block *b = a->used;

		a->used = b->next;
		if (b->size == BLOCK && spares < SPARES_MAX) {
			b->next = a->spare;
			a->spare = b;
			spares++;
		} else {
			mem_free(b);
		}
	}
	a->bytes = 0;
}

void
arena_fini(struct arena *a)
{
	arena_clear(a);
	while (a->spare != NULL) {
		struct arena_block *b = a->spare;

		a->spare = b->next;
		mem_free(b);
	}
}
