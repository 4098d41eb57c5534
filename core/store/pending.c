/* SPDX-License-Identifier: MIT */
#include "store/pending.h"

#include <string.h>
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

struct pending *
pending_new(void)
{
	struct pending *p = mem_new(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->ids = ids_new();
	if (p->ids == NULL) {
		mem_free(p);
		return NULL;
	}
	return p;
}

void
pending_free(struct pending *p)
{
	if (p == NULL)
		return;
	ids_free(p->ids);
	mem_free(p->agg);
	mem_free(p->slot);
	mem_free(p);
}

void
pending_clear(struct pending *p)
{
	if (p->n > 0)
		memset(p->slot, 0, p->nslots * sizeof(*p->slot));
	p->n = 0;
	ids_clear(p->ids);
}

static void
put_slot(uint32_t *slot, size_t nslots, uint64_t hash, uint32_t value)
{
	size_t i = (size_t)hash & (nslots - 1);

	while (slot[i] != 0)
		i = (i + 1) & (nslots - 1);
	slot[i] = value;
}

int
pending_reserve(struct pending *p, size_t n)
{
	size_t need = p->n + n, nslots = 64;

	if (ids_reserve(p->ids, n) != 0)
		return WEIR_ENOMEM;
	if (need > p->cap) {
		struct pending_aggregate *agg
			= mem_resize(p->agg, need * sizeof(*agg));
		if (agg == NULL)
			return WEIR_ENOMEM;
		p->agg = agg;
		p->cap = need;
	}
	while (nslots < 2 * need)
		nslots *= 2;
	if (nslots <= p->nslots)
		return 0;
	uint32_t *slot = mem_new(nslots * sizeof(*slot));
	if (slot == NULL)
		return WEIR_ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		put_slot(slot, nslots, p->agg[i].hash, (uint32_t)i + 1);
	mem_free(p->slot);
	p->slot = slot;
	p->nslots = nslots;
	return 0;
}

uint32_t
pending_find(struct pending *p, const struct heads *h, struct weir_str type,
	     struct weir_str id)
{
	uint64_t hash = heads_hash(type, id);
	size_t i = (size_t)hash & (p->nslots - 1);
	struct pending_aggregate *a;

	for (; p->slot[i] != 0; i = (i + 1) & (p->nslots - 1)) {
		a = &p->agg[p->slot[i] - 1];
		if (a->hash == hash && str_eq(a->type, type)
		    && str_eq(a->id, id))
			return p->slot[i] - 1;
	}
	must(p->n < p->cap);
	const struct aggregate *known = heads_find(h, hash, type, id);
	a = &p->agg[p->n];
	memset(a, 0, sizeof(*a));
	a->hash = hash;
	a->type = type;
	a->id = id;
	if (known != NULL) {
		a->known = true;
		a->top = known->top;
		a->version = known->top.version;
		a->archived = known->top.archived;
	}
	p->slot[i] = (uint32_t)++p->n;
	return (uint32_t)p->n - 1;
}

void
pending_new_names(const struct pending *p, size_t *n, size_t *bytes)
{
	*n = *bytes = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->agg[i].known || p->agg[i].version == 0)
			continue;
		++*n;
		*bytes += p->agg[i].type.len + p->agg[i].id.len;
	}
}
