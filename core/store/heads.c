/* SPDX-License-Identifier: MIT */
/*
 * A chained hash table over aggregates that live in chunks, in the order in
 * which they came.
 *
 * 1. A summit's peaks are the versions v, skip(v), skip(skip(v)) ..., newest
 *    last; only the newest three are kept, the position of the next is below.
 *    One that begins in the middle has no peaks but its own: all is below.
 * 2. heads_apply takes no memory when heads_reserve came before it.
 * 3. heads_trim empties the oldest chunk: what must stay, or was found again,
 *    moves to the newest one. Nothing else ever moves.
 */
#include "store/heads.h"

#include <string.h>
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "store/format.h"

#define CHUNK_BYTES   (256u << 10)
#define FIRST_BUCKETS 1024u
#define TRIM_CHUNKS   4u /* emptied at once */

struct chunk {
	struct chunk *next;
	size_t used, cap;
	_Alignas(16) char bytes[];
};

struct heads {
	struct aggregate **bucket;
	size_t nbuckets; /* a power of two */
	uint64_t count;
	struct chunk *oldest, *newest; /* the newest has the room */
	size_t bytes, most;	       /* of chunks */
};

struct heads *
heads_new(size_t most)
{
	struct heads *h = mem_new(sizeof(*h));

	if (h == NULL)
		return NULL;
	h->most = most;
	h->nbuckets = FIRST_BUCKETS;
	h->bucket = mem_new(h->nbuckets * sizeof(*h->bucket));
	if (h->bucket == NULL) {
		mem_free(h);
		return NULL;
	}
	return h;
}

void
heads_free(struct heads *h)
{
	struct chunk *next;

	if (h == NULL)
		return;
	for (struct chunk *c = h->oldest; c != NULL; c = next) {
		next = c->next;
		mem_free(c);
	}
	mem_free(h->bucket);
	mem_free(h);
}

static uint64_t
mix(uint64_t h, struct weir_str s)
{
	const uint64_t k = 0x9e3779b97f4a7c15u;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		h = (h ^ get_u64(s.data + i)) * k;
		h ^= h >> 29;
	}
	uint64_t rest = s.len;
	for (; i < s.len; i++)
		rest = rest << 8 | (uint8_t)s.data[i];
	h = (h ^ rest) * k;
	return h ^ h >> 32;
}

uint64_t
heads_hash(struct weir_str type, struct weir_str id)
{
	return mix(mix(0x57454952, type), id);
}

struct aggregate *
heads_find(const struct heads *h, uint64_t hash, struct weir_str type,
	   struct weir_str id)
{
	struct aggregate *a = h->bucket[hash & (h->nbuckets - 1)];

	while (a != NULL
	       && (a->hash != hash || !str_eq(a->type, type)
		   || !str_eq(a->id, id)))
		a = a->next;
	if (a != NULL)
		atomic_store_explicit(&a->again, true, memory_order_relaxed);
	return a;
}

void
heads_ask(const struct heads *h, uint64_t hash)
{
	__builtin_prefetch(&h->bucket[hash & (h->nbuckets - 1)]);
}

void
heads_fetch(const struct heads *h, uint64_t hash)
{
	const char *p = (const char *)h->bucket[hash & (h->nbuckets - 1)];

	/* The names stand behind it and are compared. */
	for (size_t i = 0; p != NULL && i < sizeof(struct aggregate) + 64;
	     i += 64)
		__builtin_prefetch(p + i, 1);
}

/* Two buckets for each keep the chains short; without memory they just get
 * longer. */
static void
grow(struct heads *h, uint64_t count)
{
	size_t n = h->nbuckets;

	while (n < 2 * count)
		n *= 2;
	if (n == h->nbuckets)
		return;
	struct aggregate **bucket = mem_new(n * sizeof(*bucket));
	if (bucket == NULL)
		return;
	for (size_t i = 0; i < h->nbuckets; i++) {
		struct aggregate *next;
		for (struct aggregate *a = h->bucket[i]; a != NULL; a = next) {
			next = a->next;
			a->next = bucket[a->hash & (n - 1)];
			bucket[a->hash & (n - 1)] = a;
		}
	}
	mem_free(h->bucket);
	h->bucket = bucket;
	h->nbuckets = n;
}

static size_t
slot_size(size_t names)
{
	return (sizeof(struct aggregate) + names + 15) & ~(size_t)15;
}

/* A newest chunk with that much room. */
static int
have_room(struct heads *h, size_t need)
{
	struct chunk *c = h->newest;

	if (c != NULL && c->cap - c->used >= need)
		return 0;
	size_t cap = need > CHUNK_BYTES ? need : CHUNK_BYTES;
	c = mem_resize(NULL, sizeof(*c) + cap);
	if (c == NULL)
		return WEIR_ENOMEM;
	c->next = NULL;
	c->used = 0;
	c->cap = cap;
	if (h->newest != NULL)
		h->newest->next = c;
	else
		h->oldest = c;
	h->newest = c;
	h->bytes += cap;
	return 0;
}

int
heads_reserve(struct heads *h, size_t n, size_t name_bytes)
{
	if (n == 0)
		return 0;
	grow(h, h->count + n);
	return have_room(h, n * slot_size(15) + name_bytes);
}

static struct aggregate *
add(struct heads *h, uint64_t hash, struct weir_str type, struct weir_str id)
{
	struct chunk *c = h->newest;
	size_t size = slot_size(type.len + id.len);

	must(c != NULL && c->cap - c->used >= size);
	struct aggregate *a = (struct aggregate *)(void *)(c->bytes + c->used);
	char *names = (char *)(a + 1);
	c->used += size;
	memset(a, 0, sizeof(*a));
	memcpy(names, type.data, type.len);
	memcpy(names + type.len, id.data, id.len);
	a->hash = hash;
	a->type = (struct weir_str){names, type.len};
	a->id = (struct weir_str){names + type.len, id.len};
	a->next = h->bucket[hash & (h->nbuckets - 1)];
	h->bucket[hash & (h->nbuckets - 1)] = a;
	h->count++;
	return a;
}

void
heads_put(struct heads *h, uint64_t hash, struct weir_str type,
	  struct weir_str id, const struct summit *top)
{
	add(h, hash, type, id)->top = *top;
}

void
summit_advance(struct summit *t, uint64_t position, uint64_t sequence,
	       uint64_t skip, const uint8_t node[MERKLE_DIGEST])
{
	t->version++;
	for (uint64_t v = t->version; v % 2 == 0 && t->npeaks > 0; v /= 2)
		t->npeaks--;
	if (t->npeaks == 0)
		t->below = skip;
	if (t->npeaks == HEAD_PEAKS) {
		t->below = t->peak[0].position;
		memmove(t->peak, t->peak + 1,
			(HEAD_PEAKS - 1) * sizeof(t->peak[0]));
		t->npeaks--;
	}
	t->peak[t->npeaks].position = position;
	memcpy(t->peak[t->npeaks].node, node, MERKLE_DIGEST);
	t->npeaks++;
	t->position = position;
	t->sequence = sequence;
}

/* The position that version + 1's skip must name, as far as it is known. */
static bool
skip_agrees(const struct summit *t, const struct record_view *v)
{
	unsigned n = t->npeaks;

	for (uint64_t w = v->version; w % 2 == 0; w /= 2) {
		if (n == 0)
			return v->version != lowbit(v->version) || v->skip == 0;
		n--;
	}
	return v->skip == (n > 0 ? t->peak[n - 1].position : t->below);
}

/* Does a record follow the summit before it? NULL or why not. */
static const char *
follows(const struct summit *t, const struct record_view *v)
{
	if (v->version != t->version + 1)
		return "version does not follow the one before";
	if (v->prev != t->position)
		return "prev does not lead to the version before";
	if (!skip_agrees(t, v))
		return "skip does not lead to the version it should";
	return NULL;
}

int
heads_apply(struct heads *h, const struct record_view *v, bool partial,
	    const char **why)
{
	uint64_t hash = heads_hash(v->aggregate_type, v->aggregate_id);
	struct aggregate *a
		= heads_find(h, hash, v->aggregate_type, v->aggregate_id);
	struct summit none = {0};

	if (a == NULL && partial && v->version > 1) {
		none.version = v->version - 1;
		none.position = v->prev;
		none.below = v->skip;
		*why = NULL;
	} else {
		*why = follows(a != NULL ? &a->top : &none, v);
	}
	if (*why != NULL)
		return WEIR_EDAMAGE;
	if (a == NULL) {
		if (heads_reserve(h, 1,
				  v->aggregate_type.len + v->aggregate_id.len)
		    != 0)
			return WEIR_ENOMEM;
		a = add(h, hash, v->aggregate_type, v->aggregate_id);
		a->top = none;
	}
	summit_advance(&a->top, v->position, v->sequence, v->skip,
		       v->has_node ? v->node : v->hash);
	if (v->op == WEIR_OP_ARCHIVED)
		a->top.archived = true;
	else if (v->op == WEIR_OP_RESTORED)
		a->top.archived = false;
	return 0;
}

/* ---- forgetting ---------------------------------------------------------- */

static void
unlink_one(struct heads *h, struct aggregate *a)
{
	struct aggregate **p = &h->bucket[a->hash & (h->nbuckets - 1)];

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	h->count--;
}

/* Goes through the oldest chunk and frees it: false without memory. */
static bool
empty_oldest(struct heads *h, uint64_t sequence)
{
	struct chunk *c = h->oldest;
	size_t size;

	for (size_t at = 0; at < c->used; at += size) {
		struct aggregate *a
			= (struct aggregate *)(void *)(c->bytes + at);
		struct aggregate old = {.top = a->top,
					.hash = a->hash,
					.type = a->type,
					.id = a->id};
		size = slot_size(a->type.len + a->id.len);
		if (a->type.len == 0)
			continue; /* it left in a try before */
		bool stays = a->top.sequence > sequence
			|| atomic_load_explicit(&a->again,
						memory_order_relaxed);
		if (stays && have_room(h, size) != 0)
			return false;
		unlink_one(h, a);
		if (stays)
			heads_put(h, old.hash, old.type, old.id, &old.top);
		a->type.len = 0;
		a->id.len = size - sizeof(*a);
	}
	h->oldest = c->next;
	h->bytes -= c->cap;
	mem_free(c);
	return true;
}

void
heads_trim(struct heads *h, uint64_t sequence)
{
	for (unsigned i = 0; i < TRIM_CHUNKS && h->most > 0
	     && h->bytes > h->most && h->oldest != h->newest;
	     i++)
		if (!empty_oldest(h, sequence))
			return;
}

size_t
heads_bytes(const struct heads *h)
{
	return h->bytes;
}

uint64_t
heads_count(const struct heads *h)
{
	return h->count;
}

void
heads_list(const struct heads *h, struct aggregate **out)
{
	for (size_t i = 0; i < h->nbuckets; i++)
		for (struct aggregate *a = h->bucket[i]; a != NULL; a = a->next)
			*out++ = a;
}
