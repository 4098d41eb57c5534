/* SPDX-License-Identifier: MIT */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

/*
 * What is under way between callers and the journal; for the files of this
 * room only. A request is what one caller sends at once; a batch is what one
 * leader takes, decides and writes as one group.
 */

#include <stdatomic.h>
#include "store/body.h"
#include "store/store.h"

#define BATCH_BYTES   (16u << 20) /* a group goes on up to this */
#define BATCH_RECORDS (1u << 20)

enum fate {
	FATE_OPEN,   /* not decided yet, or refused */
	FATE_NEW,    /* to be written */
	FATE_STORED, /* a duplicate of a committed record */
	FATE_PENDING /* a duplicate of a draft of this batch */
};

/* A draft on its way. */
struct item {
	const struct record_draft *draft;
	uint64_t hash; /* of the aggregate's name */
	struct ready ready;
	struct receipt receipt;
	struct item *original; /* FATE_PENDING */
	uint32_t aggregate;    /* index among the pending ones */
	enum fate fate;
	bool was_archived;
	/* in the first one of a commit: */
	bool system;	/* it holds a reserved record */
	uint64_t rules; /* what admit said, 0: ask again */
};

/* All memory is the caller's until the request is answered. Commit c is
 * item[first[c]] .. item[first[c + 1] - 1]; result[c].code says what became of
 * it. Receipts are as the items. */
struct request {
	struct request *next;
	struct item *item;
	const size_t *first;
	size_t n; /* commits */
	struct weir_err *result;
	struct receipt *receipts;
	size_t bytes, records; /* most that they take */
	int rc;		       /* the code that refused all of it */
	bool submitted;	       /* answered by a callback */
	bool system;	       /* one commit, which holds a reserved record */
	uint64_t turn;	       /* queue.c */
	_Atomic bool done;
};

struct batch {
	struct store *s;
	struct request *requests;
	uint64_t base;		/* sequence of the first new record */
	uint64_t next_sequence; /* of the next draft that is taken */
	size_t bytes;		/* most that the group can take */
	size_t new_ids, reserved;
	uint32_t records, commits;
	/* up to where the memory of heads was asked for, in a request that
	 * ends at `end` */
	const struct item *ahead, *end;
};

/* ---- admit.c: no lock, any thread ---------------------------------------- */

/* Checks n drafts as one commit, by the rules of the store's owner as well, and
 * fills their items. *bytes is what their frames take at most. */
int admit_commit(struct store *s, struct item *item, size_t *bytes,
		 struct record_draft *draft, size_t n, struct weir_err *err);

/* ---- decide.c: work is held ---------------------------------------------- */

/* Decides every commit of the batch against heads, ids and what the batch
 * holds. Memory was reserved in s->pending. */
void decide_batch(struct batch *b);

/* ---- commit.c ------------------------------------------------------------ */

/* Takes a list of requests as one batch through to the journal, and fills their
 * results and receipts. Takes work. */
void commit_requests(struct store *s, struct request *list);

/* ---- queue.c ------------------------------------------------------------- */

struct queue;
struct queue *queue_new(struct store *s); /* NULL: no memory */
void queue_free(struct queue *q);	  /* after queue_drain */

/* Sends a request and waits until it is answered. 0, or the code that refused
 * to take it, or r->rc. */
int queue_send(struct queue *q, struct request *r, struct weir_err *err);

/* Waits until all is answered. */
void queue_wait(struct queue *q);
/* Waits until all is answered, then ends the thread. */
void queue_drain(struct queue *q);

#endif
