/* SPDX-License-Identifier: MIT */
/*
 * Open tables with linear probing, at most half full: one for each span, the
 * newest first.
 */
#include "store/ids.h"

#include <string.h>
#include <weir/types.h>
#include "base/must.h"
#include "base/os.h"
#include "store/format.h"

#define FIRST_SLOTS 256u
#define SPAN_LEAST  (16u << 10) /* ids */

struct slot {
	uint8_t id[16];
	uint64_t value;
};

struct span {
	struct span *next; /* older */
	uint64_t through;  /* sequence; the newest has none yet */
	struct slot *slot;
	size_t nslots; /* a power of two */
	size_t count;
};

struct ids {
	struct span *newest;
};

static struct span *
span_new(void)
{
	struct span *p = mem_new(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->nslots = FIRST_SLOTS;
	p->slot = mem_new(p->nslots * sizeof(*p->slot));
	if (p->slot == NULL) {
		mem_free(p);
		return NULL;
	}
	return p;
}

static void
spans_free(struct span *p)
{
	struct span *next;

	for (; p != NULL; p = next) {
		next = p->next;
		mem_free(p->slot);
		mem_free(p);
	}
}

struct ids *
ids_new(void)
{
	struct ids *t = mem_new(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->newest = span_new();
	if (t->newest == NULL) {
		mem_free(t);
		return NULL;
	}
	return t;
}

void
ids_free(struct ids *t)
{
	if (t == NULL)
		return;
	spans_free(t->newest);
	mem_free(t);
}

static struct slot *
probe(struct slot *slot, size_t nslots, const uint8_t id[16])
{
	uint64_t h = (get_u64(id) ^ get_u64(id + 8) * 0xff51afd7ed558ccdu)
		* 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & (nslots - 1);

	while (slot[i].value != 0 && memcmp(slot[i].id, id, 16) != 0)
		i = (i + 1) & (nslots - 1);
	return &slot[i];
}

int
ids_reserve(struct ids *t, size_t n)
{
	struct span *p = t->newest;
	size_t nslots = p->nslots;

	while (nslots < 2 * (p->count + n))
		nslots *= 2;
	if (nslots == p->nslots)
		return 0;
	struct slot *slot = mem_new(nslots * sizeof(*slot));
	if (slot == NULL)
		return WEIR_ENOMEM;
	for (size_t i = 0; i < p->nslots; i++)
		if (p->slot[i].value != 0)
			*probe(slot, nslots, p->slot[i].id) = p->slot[i];
	mem_free(p->slot);
	p->slot = slot;
	p->nslots = nslots;
	return 0;
}

uint64_t
ids_find(const struct ids *t, const uint8_t id[16])
{
	uint64_t value = 0;

	for (const struct span *p = t->newest; value == 0 && p != NULL;
	     p = p->next)
		value = probe(p->slot, p->nslots, id)->value;
	return value;
}

int
ids_add(struct ids *t, const uint8_t id[16], uint64_t value)
{
	must(value != 0);
	if (ids_reserve(t, 1) != 0)
		return WEIR_ENOMEM;
	struct slot *s = probe(t->newest->slot, t->newest->nslots, id);
	if (s->value != 0)
		return 0;
	memcpy(s->id, id, 16);
	s->value = value;
	t->newest->count++;
	return 0;
}

void
ids_span(struct ids *t, uint64_t sequence)
{
	struct span *p;

	if (t->newest->count < SPAN_LEAST)
		return;
	p = span_new();
	if (p == NULL)
		return; /* it just gets longer */
	t->newest->through = sequence;
	p->next = t->newest;
	t->newest = p;
}

void
ids_forget(struct ids *t, uint64_t sequence)
{
	struct span *p = t->newest;

	while (p->next != NULL && p->next->through > sequence)
		p = p->next;
	spans_free(p->next);
	p->next = NULL;
}

size_t
ids_count(const struct ids *t)
{
	size_t n = 0;

	for (const struct span *p = t->newest; p != NULL; p = p->next)
		n += p->count;
	return n;
}
