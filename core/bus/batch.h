/* SPDX-License-Identifier: MIT */
#ifndef BUS_BATCH_H
#define BUS_BATCH_H

/*
 * Building what deliver is handed: committed records in order, filtered,
 * coalesced where the plugin allows it, with JSON and state where it wants
 * them, copied into memory that lives until the next build.
 *
 * A batch ends at a commit's end, but for a hard bound given in `until` and
 * for a single commit whose states would not fit into memory (16 times
 * max_bytes).
 */

#include <stdbool.h>
#include <weir/sink.h>

struct batch;
struct deadletters;
struct fold_cache;
struct reader;
struct record_view;
struct sinkconf;
struct store;

struct batch_options {
	const struct sinkconf *conf; /* filters */
	uint32_t needs;		     /* enum weir_sink_need */
	bool coalesce;
	size_t max_records, max_bytes;
	uint64_t until; /* no record above; 0: none */
	const struct deadletters *parked;
};

/* A parked aggregate that has later records in a coalesced batch. */
struct batch_parked {
	uint64_t sequence; /* of its dead letter */
	uint64_t position; /* its newest record */
};

/* Readers of its own on the store; NULL: no memory. */
struct batch *batch_new(struct store *s, size_t cache_bytes);
void batch_free(struct batch *b);

/* Reads on from sequence `from`. 0; batch_through below from: there is nothing
 * yet. */
int batch_build(struct batch *b, uint64_t from, const struct batch_options *o,
		struct weir_err *err);

/* By hand: empty it, then add the record at a position (filters and parking
 * are not looked at). */
void batch_clear(struct batch *b, uint64_t through);
int batch_add(struct batch *b, uint64_t position, uint32_t needs,
	      struct weir_err *err);
/* Does the record of a position pass the filters? 1 or 0, or a code. */
int batch_wants(struct batch *b, uint64_t position, const struct sinkconf *c,
		struct weir_err *err);

uint64_t batch_through(const struct batch *b);
/* Of the record batch_through, after a batch_build that found any. */
const uint8_t *batch_through_hash(const struct batch *b);
bool batch_at_end(const struct batch *b); /* nothing more is committed */
size_t batch_bytes(const struct batch *b);
size_t batch_count(const struct batch *b);
const struct weir_sink_record *const *batch_records(const struct batch *b);
const struct batch_parked *batch_parked(const struct batch *b, size_t *n);

/* Where to cut a batch that failed: a sequence below batch_through so that
 * both parts hold records; at a commit's end when there is one between them.
 * 0 when it holds fewer than two records. */
uint64_t batch_middle(const struct batch *b);

/* A reader for single records, of the same store. */
struct reader *batch_reader(struct batch *b);

#endif
