/* SPDX-License-Identifier: MIT */
#ifndef HTTP_ORDER_H
#define HTTP_ORDER_H

/*
 * Which records may be sent now. An aggregate's records go out one after the
 * other: the next is taken only when the one before was answered well, or goes
 * in the same request. Among those that may go, the lowest sequence is first.
 * An item is a record's index in the batch.
 */

#include <stdbool.h>
#include <weir/sink.h>

/* Sequences that the target took although their batch failed: they are not
 * sent again with the next one. Ascending. */
struct seen {
	uint64_t *v;
	size_t n, cap;
};

struct order;

struct order *order_new(const struct weir_sink_host *host);
void order_free(struct order *o);

/* Begins a batch; records in seen count as done. false: no memory. The batch
 * must live until the next begin. */
bool order_begin(struct order *o, const struct weir_sink_batch *b,
		 const struct seen *seen);
/* Takes up to max items for one request, lowest first; 0: none may go now. */
size_t order_take(struct order *o, uint32_t *items, size_t max);
/* The request was answered well. One that was not is just left: what follows
 * of its aggregates waits. */
void order_done(struct order *o, const uint32_t *items, size_t n);

size_t order_left(const struct order *o); /* not done */
/* All records up to here are done; through_sequence when none is left. */
uint64_t order_durable(const struct order *o);

/* After a batch: seen loses what the batch held and, unless the whole of it
 * was done, gets what was done and is not told by order_durable. Without memory
 * it becomes empty: then more is sent twice. */
void order_keep(const struct order *o, struct seen *seen, bool whole);

#endif
