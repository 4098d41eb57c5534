/* SPDX-License-Identifier: MIT */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

/*
 * The segments of a store as one ordered run of groups, and its walk from a
 * tail on. A tail is what must be known to check and to write the next group.
 */

#include <pthread.h>
#include "base/buf.h"
#include "store/body.h"
#include "store/segment.h"

struct journal {
	const char *folder;
	const uint8_t *store;
	bool writing;
	/* guards seg, nseg, maps; an open file stays open, a map mapped */
	pthread_mutex_t mu;
	struct segment **seg; /* seg[i] is number i + 1 */
	size_t nseg;
	uint64_t first_bytes, max_bytes;
	unsigned times; /* store.h: segment_times */
};

/* folder and store are borrowed for the journal's life. */
int journal_init(struct journal *j, const char *folder,
		 const uint8_t store[16]);
void journal_fini(struct journal *j);

/* The segment of a number, opened when it was not yet. 0 and *state; *out only
 * for SEGMENT_USED. */
int journal_segment(struct journal *j, const struct segment **out,
		    enum segment_state *state, const char **why, unsigned *at,
		    uint64_t number, struct weir_err *err);

/* The same for one that is known to be in use, or WEIR_EDAMAGE. */
int journal_used(struct journal *j, const struct segment **out, uint64_t number,
		 struct weir_err *err);

/* The same, mapped: its first *n bytes at *p. They stay there until
 * journal_fini. A file that is cut short afterwards raises SIGBUS in who reads
 * what is gone. */
int journal_map(struct journal *j, const uint8_t **p, uint64_t *n,
		uint64_t number, struct weir_err *err);

/* The usual size of a segment's file. */
uint64_t journal_size(const struct journal *j, uint64_t number);

/* Bytes of the journal up to a position. */
uint64_t journal_bytes(struct journal *j, uint64_t position);

/* Fills err for a damaged place; err->offset is the byte in the file. */
int journal_damage(const struct journal *j, struct weir_err *err,
		   uint64_t position, const char *why);

/* ---- the walk ----------------------------------------------------------- */

struct tail {
	uint64_t segment, offset; /* where the next group stands */
	uint64_t size;		  /* of the segment */
	uint64_t length;	  /* of its file */
	uint32_t chain;
	bool sealed;		  /* the next group is in the next segment */
	uint64_t next_size;	  /* sealed: its size */
	uint64_t next_sequence;
	int64_t committed_at;
	uint64_t epoch;		/* highest seen */
	uint64_t synced_before; /* highest seen */
	uint64_t data_end;	/* behind the last group with records, or 0 */
	uint64_t frontier_from; /* segments from this on keep the frontier */
	struct frontier frontier;
};

/* Before the first segment. */
void tail_init(struct tail *t);
uint64_t tail_position(const struct tail *t);

struct group {
	uint64_t position;
	struct group_header head;
	const uint8_t *bytes; /* head.extent of them */
	bool ours; /* encoded just now: its frames' CRCs are not tried again */
};

/* Takes one whole group of records: goes through it with group_next and
 * tail_record. A code ends the walk. */
typedef int journal_fn(void *cookie, struct tail *t, const struct group *g,
		       struct weir_err *err);

/* Why a walk ended. */
enum stop {
	STOP_LIMIT,	  /* the limit was reached */
	STOP_ZERO,	  /* zeros where the next group's header would stand */
	STOP_HEADER,	  /* no valid group header there */
	STOP_BODY,	  /* a valid header, but the group is not whole */
	STOP_NEXT_MISSING, /* sealed, and the next file is not there */
	STOP_NEXT_UNUSED, /* sealed, and the next one has no header yet */
	STOP_NEXT_BAD	  /* sealed, and the next one has a bad header */
};

struct stopped {
	enum stop stop;
	const char *why;
	unsigned at;	/* STOP_NEXT_BAD: byte in the header */
	uint32_t extent; /* STOP_BODY */
};

/* Takes in whole groups from t on, up to the position limit (0: none). window
 * is the caller's read buffer. 0 and *s, or a code: WEIR_EDAMAGE when a whole
 * group or header does not follow what stands before it. */
int journal_walk(struct journal *j, struct tail *t, struct stopped *s,
		 uint64_t limit, struct buf *window, journal_fn *fn,
		 void *cookie, struct weir_err *err);

struct group_iter {
	uint64_t at; /* offset in the group */
	uint32_t seen;
	uint32_t commits;
};

/* The next record of a group: 1, 0 at its end, -1 with *why (and it->at). */
int group_next(struct group_iter *it, struct record_view *v,
	       const struct journal *j, const struct group *g,
	       const char **why);

/* Checks the numbering of a record and moves the tail's counters on: 0, or -1
 * with *why. */
int tail_record(struct tail *t, const struct record_view *v, const char **why);

/* Moves the tail behind a group (records apart). */
void tail_group(struct tail *t, const struct group *g);

#endif
