/* SPDX-License-Identifier: MIT */
#ifndef BUS_DEADLETTER_H
#define BUS_DEADLETTER_H

/*
 * Parked aggregates of a sink: DIR/sinks/NAME/dead-letters, one JSON line per
 * happening (parked, tried, closed), appended and synced before the cursor
 * passes the record. An entry points into the journal; it holds no payload.
 */

#include <stdbool.h>
#include <weir/types.h>

struct deadletters;

enum dead_status {
	DEAD_PARKED,
	DEAD_RETRY, /* retry asked for, not done yet */
	DEAD_CLOSED,
	DEAD_DISCARD /* discard asked for, not done yet */
};

struct dead_letter {
	uint64_t sequence, version; /* the record that was refused */
	struct weir_str aggregate_type, aggregate_id;
	enum dead_status status;
	char reason[16];	 /* reject, attempts, crash */
	char closed_as[16];	 /* delivered, superseded, discarded, or "" */
	char code[32];
	char column[256];
	char message[1024];
	char hint[512];
	uint64_t attempts;
	uint64_t waiting; /* later records of the aggregate that wait; filled by
			   * deadletters_waiting only */
	int64_t first_at, last_at;
	/* of the runner: the version a retry goes on from (0: the record's
	 * own), and the batch under way: its epoch (0 none), last version */
	uint64_t next_version, try_epoch, try_last;
};

/* Reads them; takes no lock. */
int deadletters_load(struct deadletters **out, const char *store_dir,
		     const char *sink, struct weir_err *err);
void deadletters_free(struct deadletters *d);

/* Entries not closed, by sequence; borrowed. */
size_t deadletters_count(const struct deadletters *d);
const struct dead_letter *deadletters_at(const struct deadletters *d, size_t i);
const struct dead_letter *deadletters_of(const struct deadletters *d,
					 struct weir_str type,
					 struct weir_str id);

/* Fills `waiting` of each entry from the heads of the store. In a coalescing
 * sink these records do not wait: they are tried as the newest state. */
struct store;
void deadletters_waiting(struct deadletters *d, struct store *s);

/* ---- for the one who holds the sink: each appends to the file ------------ */

/* Takes in what others appended. */
int deadletters_refresh(struct deadletters *d, struct weir_err *err);

/* Synced. An open entry of the same aggregate is replaced. */
int deadletters_park(struct deadletters *d, const struct dead_letter *entry,
		     struct weir_err *err);
/* Synced. closed_as: delivered, superseded, discarded. */
int deadletters_close(struct deadletters *d, uint64_t sequence,
		      const char *closed_as, struct weir_err *err);
/* Tried again and refused: parked as before, with the newer error of `why`
 * (code, column, message, hint, attempts, reason, last_at). Not synced. */
int deadletters_tried(struct deadletters *d, uint64_t sequence,
		      const struct dead_letter *why, struct weir_err *err);
/* A batch of a retry, up to version `last`, is about to be handed over. Synced,
 * so that after a crash the target's epoch tells whether it was applied. */
int deadletters_trying(struct deadletters *d, uint64_t sequence, uint64_t last,
		       uint64_t epoch, struct weir_err *err);
/* What became of it: the retry goes on from `version`. */
int deadletters_next(struct deadletters *d, uint64_t sequence,
		     uint64_t version, struct weir_err *err);

/* From the command line, while a runner may hold the sink: appended to the
 * file; the runner sees it within a second. sequence 0: all. */
int deadletters_ask_retry(const char *store_dir, const char *sink,
			  uint64_t sequence, uint64_t *count,
			  struct weir_err *err);
int deadletters_ask_discard(const char *store_dir, const char *sink,
			    uint64_t sequence, uint64_t *count,
			    struct weir_err *err);

#endif
