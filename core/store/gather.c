/* SPDX-License-Identifier: MIT */
#include "store/gather.h"

#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/os.h"
#include "store/heads.h"

#define FIRST_SLOTS 1024u
#define KEYS_MOST   ((size_t)4 << 30)

int
gather_init(struct gather *g, const struct journal *j, struct index_meta *m)
{
	memset(g, 0, sizeof(*g));
	g->journal = j;
	g->meta = m;
	buf_init(&g->keys, KEYS_MOST);
	g->writes = writes_new();
	return g->writes != NULL ? 0 : WEIR_ENOMEM;
}

void
gather_fini(struct gather *g)
{
	buf_fini(&g->keys);
	mem_free(g->name);
	mem_free(g->id);
	mem_free(g->place);
	mem_free(g->slot);
	writes_free(g->writes);
}

void
gather_clear(struct gather *g)
{
	if (g->slot != NULL)
		memset(g->slot, 0, g->nslots * sizeof(*g->slot));
	buf_clear(&g->keys);
	writes_zero(g->writes);
	g->names = g->ids = g->places = 0;
	g->bytes = g->records = 0;
	g->group = g->group_end = 0;
}

/* Room for one more. */
static int
have_room(void **array, size_t *cap, size_t n, size_t size)
{
	if (n < *cap)
		return 0;
	size_t more = *cap == 0 ? 1024 : 2 * *cap;
	void *p = mem_resize(*array, more * size);
	if (p == NULL)
		return WEIR_ENOMEM;
	*array = p;
	*cap = more;
	return 0;
}

static int
have_slots(struct gather *g)
{
	size_t n = g->nslots == 0 ? FIRST_SLOTS : 2 * g->nslots;

	if (2 * (g->names + 1) <= g->nslots)
		return 0;
	uint32_t *slot = mem_new(n * sizeof(*slot));
	if (slot == NULL)
		return WEIR_ENOMEM;
	for (size_t i = 0; i < g->names; i++) {
		size_t at = g->name[i].hash & (n - 1);
		while (slot[at] != 0)
			at = (at + 1) & (n - 1);
		slot[at] = (uint32_t)i + 1;
	}
	mem_free(g->slot);
	g->slot = slot;
	g->nslots = n;
	return 0;
}

static bool
is_named(const struct gather *g, const struct gather_name *n,
	 const struct record_view *v)
{
	const char *key = g->keys.data + n->name.at;
	size_t len = v->aggregate_type.len;

	return n->len == len + 1 + v->aggregate_id.len &&
	       memcmp(key, v->aggregate_type.data, len) == 0 &&
	       key[len] == '\0' &&
	       memcmp(key + len + 1, v->aggregate_id.data,
		      v->aggregate_id.len) == 0;
}

/* The entry of the record's aggregate, made when there is none: NULL without
 * memory. */
static struct gather_name *
name_of(struct gather *g, const struct record_view *v)
{
	uint32_t hash =
		(uint32_t)heads_hash(v->aggregate_type, v->aggregate_id);
	void *names = g->name;
	char key[INDEX_KEY_MAX];
	size_t at;

	if (have_slots(g) != 0)
		return NULL;
	at = hash & (g->nslots - 1);
	for (; g->slot[at] != 0; at = (at + 1) & (g->nslots - 1)) {
		struct gather_name *n = &g->name[g->slot[at] - 1];
		if (n->hash == hash && is_named(g, n, v))
			return n;
	}
	int rc = have_room(&names, &g->names_cap, g->names, sizeof(*g->name));
	g->name = names;
	size_t len = index_key(key, v->aggregate_type, v->aggregate_id);
	if (rc != 0 || buf_add(&g->keys, key, len) != 0)
		return NULL;
	struct gather_name *n = &g->name[g->names++];
	memset(n, 0, sizeof(*n));
	n->name.at = g->keys.len - len;
	n->len = (uint32_t)len;
	n->hash = hash;
	g->slot[at] = (uint32_t)g->names;
	return n;
}

static int
add_id(struct gather *g, const struct record_view *v)
{
	void *ids = g->id;

	if (have_room(&ids, &g->ids_cap, g->ids, sizeof(*g->id)) != 0)
		return WEIR_ENOMEM;
	g->id = ids;
	memcpy(g->id[g->ids].id, v->event_id, 16);
	g->id[g->ids++].position = v->position;
	return 0;
}

static int
add_place(struct gather *g, const struct group *of, const struct record_view *v)
{
	void *places = g->place;

	if (g->places > 0 &&
	    v->position - g->place[g->places - 1].frame < PLACE_BYTES)
		return 0;
	if (have_room(&places, &g->places_cap, g->places, sizeof(*g->place)) !=
	    0)
		return WEIR_ENOMEM;
	g->place = places;
	g->place[g->places++] =
		(struct place){v->sequence, v->position, of->position};
	return 0;
}

static int
add_token(struct gather *g, uint64_t token)
{
	struct writes_entry *e = writes_at(g->writes, token);

	if (e == NULL)
		return WEIR_ENOMEM;
	e->count++;
	return 0;
}

static int
add_record(struct gather *g, const struct group *of,
	   const struct record_view *v)
{
	struct gather_name *n = name_of(g, v);

	if (n == NULL)
		return WEIR_ENOMEM;
	n->head.position = v->position;
	n->head.version = v->version;
	n->head.sequence = v->sequence;
	if (v->op != WEIR_OP_SHREDDED || v->version == 1) {
		n->head.archived = v->op == WEIR_OP_ARCHIVED;
		n->archived_known = true;
	}
	g->records++;
	if (g->heads_only)
		return 0;
	if (v->version == 1) {
		g->meta->aggregates++;
		g->meta->reserved += v->aggregate_type.data[0] == '$';
	}
	g->meta->ids += v->client_event_id;
	if (v->client_event_id && add_id(g, v) != 0)
		return WEIR_ENOMEM;
	if (v->token != 0 && add_token(g, v->token) != 0)
		return WEIR_ENOMEM;
	return add_place(g, of, v);
}

int
gather_group(void *gather, struct tail *t, const struct group *of,
	     struct weir_err *err)
{
	struct gather *g = gather;
	struct group_iter it = {0};
	struct record_view v;
	const char *why = NULL;
	uint64_t at = of->position;
	int rc = 0, more;

	while (rc == 0 && (more = group_next(&it, &v, g->journal, of, &why))) {
		at = more > 0 ? v.position : of->position + it.at;
		if (more < 0 || tail_record(t, &v, &why) != 0)
			rc = journal_damage(g->journal, err, at, why);
		else if (add_record(g, of, &v) != 0)
			rc = err_nomem(err);
	}
	g->bytes += of->head.extent;
	g->group = of->position;
	g->group_end = of->position + of->head.extent;
	return rc;
}

static int
by_key(const void *a, const void *b)
{
	const struct gather_name *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->name.key, y->name.key, n);

	if (c != 0)
		return c;
	return x->len < y->len ? -1 : x->len > y->len;
}

static int
by_id(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

void
gather_sort(struct gather *g)
{
	for (size_t i = 0; i < g->names; i++)
		g->name[i].name.key = g->keys.data + g->name[i].name.at;
	if (g->names > 0)
		qsort(g->name, g->names, sizeof(*g->name), by_key);
	if (g->ids > 0)
		qsort(g->id, g->ids, sizeof(*g->id), by_id);
}
