/* SPDX-License-Identifier: MIT */
#include "store/pending.h"

#include <string.h>
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "store/format.h"

#define FETCH_MOST 1024u /* more would push each other out */

struct pending *
pending_new(void)
{
	return mem_new(sizeof(struct pending));
}

void
pending_free(struct pending *p)
{
	if (p == NULL)
		return;
	mem_free(p->agg);
	mem_free(p->id);
	mem_free(p->slot);
	mem_free(p);
}

/* Only the slots in use: a small batch must not pay for a large one before
 * it. */
void
pending_clear(struct pending *p)
{
	for (size_t i = 0; i < p->n; i++)
		p->slot[p->agg[i].at] = 0;
	for (size_t i = 0; i < p->nids; i++)
		p->slot[p->id[i].at] = 0;
	p->n = p->nids = 0;
}

int
pending_reserve(struct pending *p, size_t n)
{
	size_t nslots = 64;

	must(p->n == 0 && p->nids == 0);
	if (n <= p->cap)
		return 0;
	struct pending_aggregate *agg = mem_resize(p->agg, n * sizeof(*agg));
	if (agg == NULL)
		return WEIR_ENOMEM;
	p->agg = agg;
	struct pending_id *id = mem_resize(p->id, n * sizeof(*id));
	if (id == NULL)
		return WEIR_ENOMEM;
	p->id = id;
	while (nslots < 2 * n)
		nslots *= 2;
	if (nslots > p->nslots) {
		uint32_t *slot = mem_new(2 * nslots * sizeof(*slot));
		if (slot == NULL)
			return WEIR_ENOMEM;
		mem_free(p->slot);
		p->slot = slot;
		p->nslots = nslots;
	}
	p->cap = n;
	return 0;
}

static size_t
probe_id(const struct pending *p, const uint8_t id[16])
{
	uint64_t h = (get_u64(id) ^ get_u64(id + 8) * 0xff51afd7ed558ccdu)
		* 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & (p->nslots - 1);

	while (p->slot[p->nslots + i] != 0
	       && memcmp(p->id[p->slot[p->nslots + i] - 1].id, id, 16) != 0)
		i = (i + 1) & (p->nslots - 1);
	return p->nslots + i;
}

struct item *
pending_id_find(const struct pending *p, const uint8_t id[16])
{
	uint32_t i = p->slot[probe_id(p, id)];

	return i != 0 ? p->id[i - 1].item : NULL;
}

void
pending_id_add(struct pending *p, const uint8_t id[16], struct item *it)
{
	size_t at = probe_id(p, id);

	must(p->nids < p->cap && p->slot[at] == 0);
	p->id[p->nids++] = (struct pending_id){id, it, at};
	p->slot[at] = (uint32_t)p->nids;
}

/* The newest: no other id was ever probed past it. */
void
pending_id_undo(struct pending *p)
{
	must(p->nids > 0);
	p->slot[p->id[--p->nids].at] = 0;
}

uint32_t
pending_find(struct pending *p, bool *fresh, const struct heads *h,
	     uint64_t hash, struct weir_str type, struct weir_str id)
{
	size_t i = (size_t)hash & (p->nslots - 1);
	struct pending_aggregate *a;

	*fresh = false;
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
	*fresh = known == NULL;
	a->at = i;
	p->slot[i] = (uint32_t)++p->n;
	return (uint32_t)p->n - 1;
}

void
pending_found(struct pending *p, uint32_t i, const struct summit *top)
{
	struct pending_aggregate *a = &p->agg[i];

	a->far = true;
	a->top = *top;
	a->version = top->version;
	a->archived = top->archived;
}

void
pending_unfind(struct pending *p)
{
	must(p->n > 0);
	p->slot[p->agg[--p->n].at] = 0;
}

void
pending_install(struct pending *p, struct heads *h)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pending_aggregate *a = &p->agg[i];
		if (!a->far || a->version == a->top.version)
			continue;
		/* They have it when the index was given up meanwhile. */
		if (heads_find(h, a->hash, a->type, a->id) == NULL)
			heads_put(h, a->hash, a->type, a->id, &a->top);
		a->far = false;
		a->known = true;
	}
}

void
pending_new_names(const struct pending *p, size_t *n, size_t *bytes)
{
	*n = *bytes = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->agg[i].known
		    || p->agg[i].version == p->agg[i].top.version)
			continue;
		++*n;
		*bytes += p->agg[i].type.len + p->agg[i].id.len;
	}
}

void
pending_fetch(const struct pending *p, const struct heads *h)
{
	size_t n = p->n < FETCH_MOST ? p->n : FETCH_MOST;

	for (size_t i = 0; i < n; i++)
		heads_ask(h, p->agg[i].hash);
	for (size_t i = 0; i < n; i++)
		heads_fetch(h, p->agg[i].hash);
}
