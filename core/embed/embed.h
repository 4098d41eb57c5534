/* SPDX-License-Identifier: MIT */
#ifndef EMBED_EMBED_H
#define EMBED_EMBED_H

/* What the files of this room share: the inside of struct weir. */

#include <pthread.h>
#include <weir/weir.h>

#define EXPORT __attribute__((visibility("default")))

struct store;
struct embed_sink;
struct record_draft;

struct weir {
	struct store *store;
	struct policy *policy; /* NULL when read-only */
	bool writable, unmapped;
	pthread_mutex_t lock; /* guards sinks */
	struct embed_sink *sinks;
};

/* ---- append.c ------------------------------------------------------------ */

/* May n events be appended as one commit? */
int embed_check_append(const struct weir *w, size_t n, struct weir_err *err);

/* weir_commit of drafts. */
int embed_commit(struct weir *w, struct weir_receipt *receipts,
		 struct record_draft *drafts, size_t n, struct weir_err *err);

struct embed_answer {
	weir_done *done;
	void *cookie;
};

/* weir_submit of drafts. */
int embed_submit(struct weir *w, const struct record_draft *drafts, size_t n,
		 int flags, const struct embed_answer *to,
		 struct weir_err *err);

/* ---- open.c, sinks.c ----------------------------------------------------- */

/* Ends all sink threads and frees them. */
void embed_sinks_stop(struct weir *w);

/* A read-only store takes in what was published since. */
int embed_refresh(struct weir *w, struct weir_err *err);

#endif
