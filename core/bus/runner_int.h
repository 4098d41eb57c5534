/* SPDX-License-Identifier: MIT */
#ifndef BUS_RUNNER_INT_H
#define BUS_RUNNER_INT_H

/* What the files of the runner share. Nothing else includes this. */

#include "bus/batch.h"
#include "bus/checkpoint.h"
#include "bus/deadletter.h"
#include "bus/host.h"
#include "bus/pulse.h"
#include "bus/retry.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"

#include <stdatomic.h>

struct mapping;
struct policy;

/* Outcome of a step; an own failure is a negative enum weir_code. */
enum step {
	STEP_MORE = 0, /* go on at once */
	STEP_IDLE = 1, /* nothing to deliver */
	STEP_WAIT = 2  /* back-off, blocked, paused, disabled */
};

struct runner {
	struct runner_options o;
	char *dir;
	char name[64];
	char folder[SINK_PATH_MAX], path_conf[SINK_PATH_MAX],
		path_map[SINK_PATH_MAX], path_dead[SINK_PATH_MAX],
		path_cursor[SINK_PATH_MAX], path_replay[SINK_PATH_MAX],
		path_status[SINK_PATH_MAX];
	int lock_fd;
	struct store *store;
	struct policy *policy; /* of the store: what schemas declare */
	struct batch *batch;
	struct deadletters *dead;
	struct retry *retry;
	struct sinkconf *conf;
	struct mapping *mapping;
	const struct weir_sink_plugin *plugin;

	/* the opened sink */
	struct host *host;
	struct weir_sink_setting *settings;
	size_t nsettings;
	void *sink;
	uint32_t capabilities, needs; /* of this sink as configured */
	bool resumed;	    /* cursor and epoch are known */
	atomic_bool reopen; /* runner_reload was called */
	uint64_t cursor, epoch;
	uint8_t cursor_hash[32]; /* of the journal's record `cursor`, or zeros
				  * when there is none */
	uint64_t target; /* of the settings: see checkpoint.h */
	int64_t cursor_at;
	bool marker_done; /* the crash marker was looked at */
	struct replay replay;

	/* a batch in trouble: the flow up to `suspect` holds the bad record,
	 * the next batch ends at `limit`; 0 none */
	uint64_t suspect, limit;
	bool halve;	   /* crashed: never hand over all of it again */
	bool for_attempts; /* tries are used up: park what fails */
	uint64_t crash_single, crashes;
	uint64_t crash_parked, crashes_parked; /* the same of a dead letter */

	/* changes of files are noticed by these */
	/* settings or mappings changed: what is parked is tried once more, in
	 * order; `retried` is the last dead letter that was */
	bool retry_all;
	uint64_t retried;

	uint64_t mark_conf, mark_map, mark_dead, mark_replay;
	int64_t noticed_at;
	bool faulty; /* the settings could not be read anew */

	/* what is shown */
	enum runner_state state;
	uint64_t delivered, rate_from;
	int64_t rate_at, status_at, empty_at;
	double rate;
	enum runner_state status_state;
	uint64_t status_cursor;
	int64_t run_deadline; /* of runner_run, 0 none */
	bool forever;
};

/* runner_open.c */
int runner_ready(struct runner *r, struct weir_err *err); /* enum step */
void runner_shut(struct runner *r);
int runner_settings_load(struct runner *r, struct weir_err *err);
bool runner_holds(const struct runner *r);
bool runner_coalesces(const struct runner *r);
size_t runner_batch_records(const struct runner *r);

/* runner_cursor.c */
/* The hash of the journal's record; zeros when there is none. */
int runner_hash_at(struct runner *r, uint8_t out[32], uint64_t sequence,
		   struct weir_err *err);
/* Moves the cursor in memory, with its hash, which is looked up when it is not
 * known (NULL); untouched on failure. */
int runner_move(struct runner *r, uint64_t sequence, const uint8_t *known,
		struct weir_err *err);
/* Writes the cursor file. */
int runner_save_cursor(struct runner *r, struct weir_err *err);

/* runner_deliver.c */
int runner_flow(struct runner *r, struct weir_err *err); /* enum step */
enum weir_sink_class runner_hand_over(struct runner *r,
				      struct weir_sink_batch *b,
				      const struct retry_mark *mark,
				      struct weir_sink_result *res);
/* Enters back-off, BLOCKED or GONE. Always STEP_WAIT, or a code. */
int runner_fail(struct runner *r, enum weir_sink_class cls,
		const struct weir_sink_result *res, struct weir_err *err);
int runner_calm(struct runner *r, struct weir_err *err); /* all is well again */
bool runner_stopping(const struct runner *r);
int runner_park(struct runner *r, const struct weir_sink_record *rec,
		const char *reason, const struct weir_sink_result *res,
		struct weir_err *err);
void runner_why(struct dead_letter *d, const char *reason,
		const struct weir_sink_result *res);

/* runner_parked.c */
int runner_parked_asked(struct runner *r, struct weir_err *err);
int runner_parked_try(struct runner *r, const struct batch_parked *list,
		      size_t n, struct weir_err *err);

/* runner_status.c */
void runner_status_write(struct runner *r, bool now);
const char *runner_class_word(enum weir_sink_class cls);

#endif
