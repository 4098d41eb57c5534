/* SPDX-License-Identifier: MIT */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

/*
 * What an opened store is made of; for the files of this room only.
 *
 * Two locks, taken in this order: work, then mu. The queue has one of its own,
 * under which neither is taken.
 */

#include <pthread.h>
#include <stdatomic.h>
#include "store/committer.h"
#include "store/find.h"
#include "store/gather.h"
#include "store/heads.h"
#include "store/ids.h"
#include "store/index.h"
#include "store/journal.h"
#include "store/live.h"
#include "store/reader.h"
#include "store/store.h"
#include "store/writes.h"

struct store {
	char *dir, *folder, *lock_path, *live_path; /* folder: the journal's */
	uint8_t id[16];
	int64_t created_at;
	struct journal journal;
	struct queue *queue;
	_Atomic bool writing; /* changes under work */

	pthread_mutex_t work; /* one batch or refresh; guards what follows */
	bool failed;
	char failure[200]; /* why */
	int lock_fd;
	struct live live;  /* its page stays where it is once it is there */
	_Atomic uint64_t followed; /* the page's generation that was taken in,
				    * or 0 */
	_Atomic int64_t renew_at;  /* when to look at the page's file again */
	struct tail tail;
	uint64_t synced;   /* all before this position is synced */
	uint64_t epoch;
	bool appended;	   /* records since the last mark */
	uint64_t spoilt_from, spoilt_to; /* to be zeroed before the next write */
	struct buf window;
	struct buf out;	   /* the group that is being written */
	struct reader *own; /* the committer's */
	struct pending *pending; /* the same */
	const struct committer *committer;
	struct watcher *watcher; /* watch.c's; NULL: not begun. Under mu */
	struct filler *filler; /* NULL: not begun, or impossible */
	struct indexer *indexer; /* a writer's; NULL: none, or given up */
	struct index *index;
	struct finder *finder;
	uint64_t index_after, index_most; /* bytes behind the watermark */
	uint64_t reindexed;		  /* records, at open */
	uint64_t turn;	  /* of the batch that is decided */
	uint64_t trimmed; /* sequence up to which memory was freed of ids */
	uint64_t fill_after;   /* bytes still to be written before it begins */
	uint64_t cut_bytes;
	char *kept_at;

	pthread_mutex_t mu; /* guards what follows */
	struct heads *heads;
	struct ids *ids; /* client event_id -> position */
	struct writes *writes; /* of all tokens, whatever is indexed */
	struct place *places;
	size_t nplaces, places_cap;
	uint64_t applied; /* sequence up to which heads and ids went */
	/* What stands behind it is in memory; 0: all is. */
	_Atomic uint64_t indexed;
	uint64_t behind;  /* bytes of groups that the index lacks */
	uint64_t aggregates, reserved; /* how many; those named $... */
	uint64_t last; /* sequence */
	uint64_t end;  /* position behind what is committed */
	struct buf noted; /* rules.c: where reserved records stand */
	bool noting;
	_Atomic uint64_t rules; /* the newest reserved record's sequence */
	struct store_admission admission; /* set while nobody appends */
};

/* ---- recover.c ---------------------------------------------------------- */

/* Takes in the journal at open; a writer mends what a crash left. */
int recover_open(struct store *s, const struct store_options *o,
		 struct weir_err *err);
/* A reader takes in what was published since. work is held. */
int recover_follow(struct store *s, struct weir_err *err);

/* ---- store.c ------------------------------------------------------------ */

/* The futex word of the live page as it is now: true, if there is a page. A
 * writer's stays mapped, and asking must not wait for its sync. */
bool store_word(struct store *s, uint32_t *seen);
/* The last sequence that is committed, taken in or not. 0 or a code. */
int store_published(struct store *s, uint64_t *last);

/* ---- limit.c: work is held ---------------------------------------------- */

/* How far a reader may take in the journal when no page of this boot says so,
 * and where whole groups end (STOP_LIMIT: behind that). */
int limit_find(struct store *s, uint64_t *limit, struct stopped *stop,
	       struct weir_err *err);

/* ---- rules.c: the store's mu is held ------------------------------------ */

/* Room for n more reserved records: 0 or WEIR_ENOMEM. */
int rules_reserve(struct store *s, size_t n);
/* A reserved record is taken in. */
int rules_note(struct store *s, const struct record_view *v);

/* ---- reindex.c ---------------------------------------------------------- */

/* Tells `fn` of a position as bytes of the journal up to one. */
struct told {
	struct store *s;
	uint64_t all;
	void (*fn)(void *cookie, uint64_t done, uint64_t all);
	void *cookie;
};
void reindex_tell(void *told, uint64_t position);

/* ---- watch.c ------------------------------------------------------------ */

/* Ends the thread that serves the watches and makes them readable. */
void watch_close_store(struct store *s);

/* ---- append.c: work is held -------------------------------------------- */

/* Makes the present segment one with room for a group of `extent` bytes. */
int append_room(struct store *s, uint64_t extent, struct weir_err *err);
/* Writes s->out, whose first 64 bytes are free for the header, and syncs it.
 * *g describes it. */
int append_group(struct store *s, struct group *g, uint32_t records,
		 uint32_t commits, struct weir_err *err);
/* After a group of `extent` bytes: tells the filler, which begins when this
 * writer has written enough, how far to be. */
void append_pace(struct store *s, uint64_t extent);
/* Gives the next segment, which is filled, its header. */
int append_begin_segment(struct store *s, struct weir_err *err);
/* Writes a mark, unsynced; failures don't matter. */
void append_mark(struct store *s);

/* ---- commit.c ----------------------------------------------------------- */

/* The only code that changes heads, ids and places: a journal_fn whose cookie
 * is the store. */
int commit_apply(void *store, struct tail *t, const struct group *g,
		 struct weir_err *err);
/* The same for one who holds the store's mu. */
int commit_apply_held(void *store, struct tail *t, const struct group *g,
		      struct weir_err *err);
int commit_reserve_places(struct store *s, size_t n);

#endif
