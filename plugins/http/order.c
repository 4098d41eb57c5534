/* SPDX-License-Identifier: MIT */
/*
 * The records of an aggregate are a chain in the batch. The heap holds the
 * items that may go, and lazily some whose predecessor was taken in the
 * meantime: these are dropped when they come up and put back when the
 * predecessor is done.
 */
#include "order.h"

#include "common/text.h"

#include <stdlib.h>
#include <string.h>

#define NONE	 UINT32_MAX
#define SEEN_MAX ((size_t)1 << 20)

enum item_state {
	WAITING, /* behind another one */
	READY,	 /* in the heap */
	TAKEN,
	DONE
};

struct item {
	uint32_t next, prev; /* of the aggregate, or NONE */
	uint32_t request;    /* number of the request that took it */
	uint32_t state;
};

struct order {
	const struct weir_sink_host *host;
	const struct weir_sink_batch *batch;
	struct item *items;
	uint32_t *heap, *table;
	size_t cap, nheap, left;
	uint32_t request;
};

struct order *
order_new(const struct weir_sink_host *host)
{
	struct order *o = sink_alloc(host, sizeof(*o));

	if (o != NULL)
		o->host = host;
	return o;
}

void
order_free(struct order *o)
{
	if (o == NULL)
		return;
	sink_free(o->host, o->items);
	sink_free(o->host, o->heap);
	sink_free(o->host, o->table);
	sink_free(o->host, o);
}

/* ---- the heap ------------------------------------------------------------ */

static void
push(struct order *o, uint32_t item)
{
	size_t k = o->nheap++;

	o->items[item].state = READY;
	while (k > 0 && o->heap[(k - 1) / 2] > item) {
		o->heap[k] = o->heap[(k - 1) / 2];
		k = (k - 1) / 2;
	}
	o->heap[k] = item;
}

static uint32_t
pop(struct order *o)
{
	uint32_t top = o->heap[0], last = o->heap[--o->nheap];
	size_t k = 0, child;

	while ((child = 2 * k + 1) < o->nheap) {
		if (child + 1 < o->nheap && o->heap[child + 1] < o->heap[child])
			child++;
		if (o->heap[child] >= last)
			break;
		o->heap[k] = o->heap[child];
		k = child;
	}
	o->heap[k] = last;
	return top;
}

/* ---- a batch ------------------------------------------------------------- */

static size_t
table_size(size_t n)
{
	size_t size = 64;

	while (size < 2 * n)
		size *= 2;
	return size;
}

static bool
reserve(struct order *o, size_t n)
{
	size_t cap = table_size(n) / 2;

	if (n <= o->cap && o->table != NULL)
		return true;
	sink_free(o->host, o->items);
	sink_free(o->host, o->heap);
	sink_free(o->host, o->table);
	o->items = sink_alloc(o->host, cap * sizeof(*o->items));
	o->heap = sink_alloc(o->host, cap * sizeof(*o->heap));
	o->table = sink_alloc(o->host, 2 * cap * sizeof(*o->table));
	o->cap = cap;
	if (o->items != NULL && o->heap != NULL && o->table != NULL)
		return true;
	o->cap = 0;
	return false;
}

static size_t
hash_of(const struct weir_sink_record *r)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < r->aggregate_type.len; i++)
		h = (h ^ (unsigned char)r->aggregate_type.data[i]) *
		    0x100000001b3u;
	h = (h ^ 0xffu) * 0x100000001b3u;
	for (size_t i = 0; i < r->aggregate_id.len; i++)
		h = (h ^ (unsigned char)r->aggregate_id.data[i]) *
		    0x100000001b3u;
	return (size_t)(h ^ (h >> 32));
}

/* The last item of the record's aggregate so far, which `item` becomes. */
static uint32_t
chain(struct order *o, uint32_t item, size_t size)
{
	const struct weir_sink_record *const *recs = o->batch->records;
	const struct weir_sink_record *r = recs[item];
	size_t k = hash_of(r) & (size - 1);
	uint32_t before;

	for (; o->table[k] != NONE; k = (k + 1) & (size - 1)) {
		const struct weir_sink_record *other = recs[o->table[k]];

		if (text_same(other->aggregate_id, r->aggregate_id) &&
		    text_same(other->aggregate_type, r->aggregate_type))
			break;
	}
	before = o->table[k];
	o->table[k] = item;
	return before;
}

static bool
is_seen(const struct seen *s, uint64_t sequence)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->v[mid] < sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->v[low] == sequence;
}

bool
order_begin(struct order *o, const struct weir_sink_batch *b,
	    const struct seen *seen)
{
	size_t size = table_size(b->nrecords);

	if (!reserve(o, b->nrecords))
		return false;
	o->batch = b;
	o->nheap = 0;
	o->left = 0;
	o->request = 0;
	memset(o->table, 0xff, size * sizeof(*o->table));
	for (uint32_t i = 0; i < b->nrecords; i++) {
		struct item *e = &o->items[i];

		*e = (struct item){.next = NONE, .prev = NONE, .state = DONE};
		if (is_seen(seen, b->records[i]->sequence))
			continue;
		o->left++;
		e->state = WAITING;
		e->prev = chain(o, i, size);
		if (e->prev != NONE)
			o->items[e->prev].next = i;
		else
			push(o, i);
	}
	return true;
}

size_t
order_take(struct order *o, uint32_t *items, size_t max)
{
	size_t n = 0;

	o->request++;
	while (n < max && o->nheap > 0) {
		uint32_t i = pop(o);
		struct item *e = &o->items[i];
		const struct item *p =
			e->prev != NONE ? &o->items[e->prev] : NULL;

		if (p != NULL && p->state != DONE && p->request != o->request) {
			e->state = WAITING;
			continue;
		}
		e->state = TAKEN;
		e->request = o->request;
		items[n++] = i;
		if (e->next != NONE)
			push(o, e->next);
	}
	return n;
}

void
order_done(struct order *o, const uint32_t *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		o->items[items[i]].state = DONE;
	o->left -= n;
	for (size_t i = 0; i < n; i++) {
		uint32_t next = o->items[items[i]].next;

		if (next != NONE && o->items[next].state == WAITING)
			push(o, next);
	}
}

size_t
order_left(const struct order *o)
{
	return o->left;
}

uint64_t
order_durable(const struct order *o)
{
	for (uint32_t i = 0; i < o->batch->nrecords; i++)
		if (o->items[i].state != DONE)
			return o->batch->records[i]->sequence - 1;
	return o->batch->through_sequence;
}

/* ---- what was done of a batch that failed -------------------------------- */

static int
by_sequence(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
order_keep(const struct order *o, struct seen *seen, bool whole)
{
	const struct weir_sink_batch *b = o->batch;
	uint64_t durable = order_durable(o);
	size_t kept = 0, room;

	/* those of this batch are told anew */
	for (size_t i = 0, k = 0; i < seen->n; i++) {
		while (k < b->nrecords && b->records[k]->sequence < seen->v[i])
			k++;
		if (k == b->nrecords || b->records[k]->sequence != seen->v[i])
			seen->v[kept++] = seen->v[i];
	}
	seen->n = kept;
	if (whole)
		return;
	room = kept + b->nrecords - o->left;
	if (room > seen->cap) {
		uint64_t *v = NULL;

		if (room <= SEEN_MAX)
			v = o->host->resize(o->host->cookie, seen->v,
					    room * sizeof(*v));
		if (v == NULL) {
			seen->n = 0;
			return;
		}
		seen->v = v;
		seen->cap = room;
	}
	for (uint32_t i = 0; i < b->nrecords; i++)
		if (o->items[i].state == DONE &&
		    ((b->flags & WEIR_BATCH_PARKED) != 0 ||
		     b->records[i]->sequence > durable))
			seen->v[seen->n++] = b->records[i]->sequence;
	if (seen->n > 0)
		qsort(seen->v, seen->n, sizeof(*seen->v), by_sequence);
}
