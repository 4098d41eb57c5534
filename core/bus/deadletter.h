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

enum dead_status { DEAD_PARKED, DEAD_RETRY, DEAD_CLOSED };

struct dead_letter {
	uint64_t sequence, version; /* the record that was refused */
	struct weir_str aggregate_type, aggregate_id;
	enum dead_status status; /* RETRY: asked for, not yet tried */
	char reason[16];	 /* reject, attempts, crash */
	char closed_as[16];	 /* delivered, superseded, discarded, or "" */
	char code[32];
	char column[256];
	char message[1024];
	char hint[512];
	uint64_t attempts;
	uint64_t waiting; /* later records of the aggregate that wait */
	int64_t first_at, last_at;
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

/* Appends to the file and syncs, then to memory. */
int deadletters_park(struct deadletters *d, const struct dead_letter *entry,
		     struct weir_err *err);
int deadletters_close(struct deadletters *d, uint64_t sequence,
		      const char *closed_as, struct weir_err *err);

/* From the command line, while a runner may hold the sink: appended to the
 * file; the runner sees it within a second. sequence 0: all. */
int deadletters_ask_retry(const char *store_dir, const char *sink,
			  uint64_t sequence, uint64_t *count,
			  struct weir_err *err);
int deadletters_ask_discard(const char *store_dir, const char *sink,
			    uint64_t sequence, uint64_t *count,
			    struct weir_err *err);

#endif
