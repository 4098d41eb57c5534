/* SPDX-License-Identifier: MIT */
/* An open table with linear probing, at most half full. */
#include "store/writes.h"

#include "base/must.h"
#include "base/os.h"

#define FIRST_SLOTS 16u

struct writes {
	struct writes_entry *slot; /* token 0: free */
	size_t nslots;		   /* a power of two */
	size_t count;
};

struct writes *
writes_new(void)
{
	struct writes *w = mem_new(sizeof(*w));

	if (w == NULL)
		return NULL;
	w->nslots = FIRST_SLOTS;
	w->slot = mem_new(w->nslots * sizeof(*w->slot));
	if (w->slot == NULL) {
		mem_free(w);
		return NULL;
	}
	return w;
}

void
writes_free(struct writes *w)
{
	if (w == NULL)
		return;
	mem_free(w->slot);
	mem_free(w);
}

void
writes_zero(struct writes *w)
{
	for (size_t i = 0; i < w->nslots; i++)
		w->slot[i].count = 0;
}

static struct writes_entry *
probe(struct writes_entry *slot, size_t nslots, uint64_t token)
{
	size_t i = (size_t)(token * 0x9e3779b97f4a7c15u >> 20) & (nslots - 1);

	while (slot[i].token != 0 && slot[i].token != token)
		i = (i + 1) & (nslots - 1);
	return &slot[i];
}

static int
grow(struct writes *w)
{
	size_t nslots = 2 * w->nslots;
	struct writes_entry *slot = mem_new(nslots * sizeof(*slot));

	if (slot == NULL)
		return -1;
	for (size_t i = 0; i < w->nslots; i++)
		if (w->slot[i].token != 0)
			*probe(slot, nslots, w->slot[i].token) = w->slot[i];
	mem_free(w->slot);
	w->slot = slot;
	w->nslots = nslots;
	return 0;
}

struct writes_entry *
writes_find(const struct writes *w, uint64_t token)
{
	struct writes_entry *e = probe(w->slot, w->nslots, token);

	return e->token != 0 ? e : NULL;
}

struct writes_entry *
writes_at(struct writes *w, uint64_t token)
{
	struct writes_entry *e = probe(w->slot, w->nslots, token);

	must(token != 0);
	if (e->token != 0)
		return e;
	if (2 * (w->count + 1) > w->nslots) {
		if (grow(w) != 0)
			return NULL;
		e = probe(w->slot, w->nslots, token);
	}
	e->token = token;
	w->count++;
	return e;
}

const struct writes_entry *
writes_next(const struct writes *w, size_t *i)
{
	while (*i < w->nslots)
		if (w->slot[(*i)++].token != 0)
			return &w->slot[*i - 1];
	return NULL;
}
