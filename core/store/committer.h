/* SPDX-License-Identifier: MIT */
#ifndef STORE_COMMITTER_H
#define STORE_COMMITTER_H

/*
 * The seam between deciding what a group is to hold and making it durable.
 * commit.c decides, proposes, applies what was committed and answers; a
 * committer only says what became of a proposal. Today's is the local journal.
 * One that is shared by several nodes must end each committed group in the
 * local journal, synced, before it says so.
 */

struct batch;
struct group;
struct store;
struct weir_err;

enum outcome {
	/* *g is in the journal and synced: the numbers are true. */
	OUTCOME_COMMITTED,
	/* Others took the base, and what they wrote has been applied: check
	 * again and renumber. Nothing of this proposal is anywhere. */
	OUTCOME_LOST,
	/* It may or may not have come to stay. The group's place and epoch
	 * settle it when the store is opened next; until then this writer
	 * takes nothing more. */
	OUTCOME_UNKNOWN
};

struct committer {
	/*
	 * Numbers, encodes and stores the records of b that were taken, the
	 * first one as sequence b->base. The store's work is held. 0 and
	 * *out: committed or lost; a code: refused, nothing was written, or
	 * *out is unknown.
	 */
	int (*propose)(struct store *s, enum outcome *out, struct group *g,
		       struct batch *b, struct weir_err *err);
};

extern const struct committer committer_journal;

#endif
