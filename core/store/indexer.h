/* SPDX-License-Identifier: MIT */
#ifndef STORE_INDEXER_H
#define STORE_INDEXER_H

/*
 * Brings the index on: reads committed groups from the journal and writes what
 * they say in large sorted batches, in a thread of the writer's beside the
 * appends. Nothing depends on it but how much is held in memory and how much
 * is walked at the next open.
 *
 * An index that can't be written (a full disk) is left as it is and tried again
 * after more was appended; appends go on and memory holds what it lacks. Only
 * an indexer that works but is slower than the appends makes them wait.
 */

#include <stdbool.h>
#include <stdint.h>

struct index_meta;
struct indexer;
struct store;
struct weir_err;

/* at: the watermark of the opened index, or NULL. NULL: no memory. */
struct indexer *indexer_new(struct store *s, const struct index_meta *at);
/* The writer's last: ends the thread and leaves less than index_after behind
 * the watermark, so that the next open has little to walk and to hold. What
 * fails is told and left to the next writer. */
void indexer_finish(struct indexer *x);
/* Ends the thread, when its batch is done. NULL is legal. */
void indexer_free(struct indexer *x);

/* The store's work is held: begins when enough is behind the watermark, waits
 * while far too much is. */
void indexer_pace(struct indexer *x);

/* While a caller waits for one append the thread puts off what it can. */
void indexer_hold(struct indexer *x, bool yes);

/* In the caller's thread, before indexer_pace was ever called: brings the index
 * up to a position. *records counts. progress may be NULL. */
int indexer_run(struct indexer *x, uint64_t *records, uint64_t limit,
		void (*progress)(void *cookie, uint64_t position), void *cookie,
		struct weir_err *err);

/* The same for the heads alone, up to the watermark, all in one transaction. */
int indexer_run_heads(struct indexer *x, uint64_t *records,
		      void (*progress)(void *cookie, uint64_t position),
		      void *cookie, struct weir_err *err);

#endif
