/* SPDX-License-Identifier: MIT */
#ifndef EMBED_EMBED_H
#define EMBED_EMBED_H

/* What the files of this room share: the inside of struct weir. */

#include <pthread.h>
#include <weir/weir.h>

#define EXPORT __attribute__((visibility("default")))

struct store;
struct embed_sink;

struct weir {
	struct store *store;
	bool writable;
	/* guards refresh of a read-only store, and sinks */
	pthread_mutex_t lock;
	struct embed_sink *sinks;
};

/* Ends all sink threads and frees them. */
void embed_sinks_stop(struct weir *w);

/* A read-only store takes in what was published since. */
int embed_refresh(struct weir *w, struct weir_err *err);

#endif
