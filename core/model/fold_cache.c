/* SPDX-License-Identifier: MIT */
/*
 * Folds by aggregate, bounded in bytes; out goes first what was not used since
 * it came to the end of the list (the neighbours of an entry are elsewhere in
 * memory, so a use only marks it).
 *
 * 1. Every entry is in one chain of the table and once in the list.
 * 2. bytes is the sum of the entries' cost as last taken.
 * 3. The entry given out last is never thrown out by the call that gave it.
 */
#include "model/fold.h"

#include <string.h>

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/hash.h"
#include "store/record.h"

struct entry {
	struct entry *chain; /* next in the table */
	struct entry *newer, *older;
	struct fold *fold;
	uint64_t hash;
	size_t cost;
	uint32_t typelen, idlen;
	bool used;    /* since it was last at the front of the list */
	char names[]; /* type, then id */
};

struct fold_cache {
	struct entry **table;
	size_t size; /* a power of two */
	size_t n;
	struct entry *newest, *oldest;
	size_t bytes, max_bytes;
};

struct fold_cache *
fold_cache_new(size_t max_bytes)
{
	struct fold_cache *c = mem_new(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->size = 256;
	c->table = mem_new(c->size * sizeof(struct entry *));
	if (c->table == NULL) {
		mem_free(c);
		return NULL;
	}
	c->max_bytes = max_bytes;
	return c;
}

static void
unlink_use(struct fold_cache *c, struct entry *e)
{
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		c->newest = e->older;
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		c->oldest = e->newer;
	e->newer = e->older = NULL;
}

static void
link_newest(struct fold_cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	if (c->newest != NULL)
		c->newest->newer = e;
	else
		c->oldest = e;
	c->newest = e;
}

static void
drop(struct fold_cache *c, struct entry *e)
{
	struct entry **at = &c->table[e->hash & (c->size - 1)];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	unlink_use(c, e);
	c->bytes -= e->cost;
	c->n--;
	fold_free(e->fold);
	mem_free(e);
}

void
fold_cache_free(struct fold_cache *c)
{
	if (c == NULL)
		return;
	while (c->newest != NULL) {
		struct entry *e = c->newest;

		c->newest = e->older;
		fold_free(e->fold);
		mem_free(e);
	}
	mem_free(c->table);
	mem_free(c);
}

static struct entry *
find(const struct fold_cache *c, uint64_t hash, struct weir_str type,
     struct weir_str id)
{
	struct entry *e = c->table[hash & (c->size - 1)];

	for (; e != NULL; e = e->chain)
		if (e->hash == hash &&
		    str_eq((struct weir_str){e->names, e->typelen}, type) &&
		    str_eq((struct weir_str){e->names + e->typelen, e->idlen},
			   id))
			return e;
	return NULL;
}

/* A bigger table when there is memory for one; a smaller one works too. */
static void
grow(struct fold_cache *c)
{
	size_t size = c->size * 2;
	struct entry **table;

	if (c->n * 2 < c->size)
		return;
	table = mem_new(size * sizeof(struct entry *));
	if (table == NULL)
		return;
	for (struct entry *e = c->newest; e != NULL; e = e->older) {
		e->chain = table[e->hash & (size - 1)];
		table[e->hash & (size - 1)] = e;
	}
	mem_free(c->table);
	c->table = table;
	c->size = size;
}

static struct entry *
add(struct fold_cache *c, uint64_t hash, struct weir_str type,
    struct weir_str id)
{
	struct entry *e = mem_new(sizeof(*e) + type.len + id.len);

	if (e == NULL)
		return NULL;
	e->fold = fold_new();
	if (e->fold == NULL) {
		mem_free(e);
		return NULL;
	}
	e->hash = hash;
	e->typelen = (uint32_t)type.len;
	e->idlen = (uint32_t)id.len;
	memcpy(e->names, type.data, type.len);
	memcpy(e->names + type.len, id.data, id.len);
	grow(c);
	e->chain = c->table[hash & (c->size - 1)];
	c->table[hash & (c->size - 1)] = e;
	link_newest(c, e);
	c->n++;
	return e;
}

static void
settle(struct fold_cache *c, struct entry *e)
{
	size_t cost = sizeof(*e) + e->typelen + e->idlen + fold_bytes(e->fold);

	c->bytes = c->bytes - e->cost + cost;
	e->cost = cost;
	while (c->bytes > c->max_bytes && c->n > 1) {
		struct entry *last = c->oldest;

		if (!last->used && last != e) {
			drop(c, last);
			continue;
		}
		last->used = false;
		unlink_use(c, last);
		link_newest(c, last);
	}
}

static uint64_t
hash_of(const struct record_view *v)
{
	return hash_bytes(hash_bytes(0, v->aggregate_type), v->aggregate_id);
}

/* The entry of the aggregate, at the version of v or below. */
static struct entry *
entry_of(struct fold_cache *c, const struct record_view *v)
{
	uint64_t hash = hash_of(v);
	struct entry *e = find(c, hash, v->aggregate_type, v->aggregate_id);

	if (e != NULL && fold_version(e->fold) > v->version) {
		drop(c, e);
		e = NULL;
	}
	return e != NULL ? e : add(c, hash, v->aggregate_type, v->aggregate_id);
}

static void
used(struct fold_cache *c, struct entry *e)
{
	e->used = true;
	settle(c, e);
}

int
fold_cache_at(struct fold_cache *c, struct fold **out, struct reader *r,
	      const struct record_view *v, struct weir_err *err)
{
	struct entry *e = entry_of(c, v);
	int rc = 0;

	if (e == NULL)
		return err_nomem(err);
	if (fold_version(e->fold) + 1 == v->version)
		rc = fold_apply(e->fold, v, err);
	else if (fold_version(e->fold) < v->version)
		rc = fold_load(e->fold, r, v->position, err);
	if (rc != 0) {
		drop(c, e);
		return rc;
	}
	used(c, e);
	*out = e->fold;
	return 0;
}

int
fold_cache_get(struct fold_cache *c, struct fold **out, struct reader *r,
	       const struct record_view *v, struct weir_err *err)
{
	struct entry *e = entry_of(c, v);
	int rc = 0;

	if (e == NULL)
		return err_nomem(err);
	if (fold_version(e->fold) < v->version)
		rc = fold_load(e->fold, r, v->position, err);
	if (rc != 0) {
		drop(c, e);
		return rc;
	}
	used(c, e);
	*out = e->fold;
	return 0;
}

int
fold_cache_advance(struct fold_cache *c, const struct record_view *v,
		   struct weir_err *err)
{
	uint64_t hash = hash_of(v);
	struct entry *e = find(c, hash, v->aggregate_type, v->aggregate_id);
	int rc;

	if (e == NULL && v->version == 1) {
		e = add(c, hash, v->aggregate_type, v->aggregate_id);
		if (e == NULL)
			return err_nomem(err);
	}
	if (e == NULL || fold_version(e->fold) + 1 != v->version)
		return 0;
	rc = fold_apply(e->fold, v, err);
	if (rc != 0) {
		drop(c, e);
		return rc;
	}
	used(c, e);
	return 0;
}
