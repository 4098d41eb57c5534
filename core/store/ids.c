/* SPDX-License-Identifier: MIT */
/*
 * An open table with linear probing, at most half full.
 */
#include "store/ids.h"

#include <string.h>
#include <weir/types.h>
#include "base/must.h"
#include "base/os.h"
#include "store/format.h"

#define FIRST_SLOTS 256u

struct slot {
	uint8_t id[16];
	uint64_t value;
};

struct ids {
	struct slot *slot;
	size_t nslots; /* a power of two */
	size_t count;
};

struct ids *
ids_new(void)
{
	struct ids *t = mem_new(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->nslots = FIRST_SLOTS;
	t->slot = mem_new(t->nslots * sizeof(*t->slot));
	if (t->slot == NULL) {
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
	mem_free(t->slot);
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
	size_t nslots = t->nslots;

	while (nslots < 2 * (t->count + n))
		nslots *= 2;
	if (nslots == t->nslots)
		return 0;
	struct slot *slot = mem_new(nslots * sizeof(*slot));
	if (slot == NULL)
		return WEIR_ENOMEM;
	for (size_t i = 0; i < t->nslots; i++)
		if (t->slot[i].value != 0)
			*probe(slot, nslots, t->slot[i].id) = t->slot[i];
	mem_free(t->slot);
	t->slot = slot;
	t->nslots = nslots;
	return 0;
}

uint64_t
ids_find(const struct ids *t, const uint8_t id[16])
{
	return probe(t->slot, t->nslots, id)->value;
}

int
ids_add(struct ids *t, const uint8_t id[16], uint64_t value)
{
	must(value != 0);
	if (ids_reserve(t, 1) != 0)
		return WEIR_ENOMEM;
	struct slot *s = probe(t->slot, t->nslots, id);
	if (s->value != 0)
		return 0;
	memcpy(s->id, id, 16);
	s->value = value;
	t->count++;
	return 0;
}
