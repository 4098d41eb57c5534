/* SPDX-License-Identifier: MIT */
#ifndef BUS_RUNNER_H
#define BUS_RUNNER_H

/*
 * Delivering committed records to one sink, in order, at least once. The
 * runner holds DIR/sinks/NAME/lock while it lives (one runner per sink among
 * all processes). It opens the store as a reader of its own, so it can run in
 * any thread or process.
 *
 * Files of a sink's folder: sink.conf, lock, cursor (sinks that hold none
 * themselves), dead-letters, attempts (the crash marker: what is being handed
 * over and how often it crashed), status (what `sink status` shows).
 */

#include <stdbool.h>
#include <weir/sink.h>

struct pulse;
struct runner;

enum runner_state {
	RUNNER_IDLE,	   /* caught up */
	RUNNER_RUNNING,
	RUNNER_BACKOFF,	   /* waiting to try again */
	RUNNER_BLOCKED,	   /* waiting for a person or a probe */
	RUNNER_PAUSED,	   /* by `sink pause` */
	RUNNER_DISABLED,
	RUNNER_GONE
};

/* What is known of a sink; kept in DIR/sinks/NAME/status as JSON as well. */
struct runner_status {
	enum runner_state state;
	uint64_t cursor;	/* durable in the target */
	uint64_t committed;	/* of the store, when written */
	int64_t cursor_at;	/* committed_at of the cursor's record, or 0 */
	uint64_t delivered;	/* records since the runner started */
	double rate;		/* records a second, recent */
	uint64_t attempts;	/* of the batch in trouble */
	uint64_t parked;	/* parked aggregates */
	int64_t next_try_at;	/* real time, 0 when not waiting */
	int64_t updated_at;
	int pid;		/* of the runner, 0 when none holds the lock */
	uint64_t restarts;	/* of a supervised runner; see supervisor.h */
	int64_t ended_at;	/* when it ended last, 0: it never did */
	char last_end[600];	/* and why */
	char last_class[16];	/* "retry", "blocked" ... or "" */
	char last_code[32];
	char last_error[1024];
	char last_hint[512];
};

struct runner_options {
	const char *store_dir;
	const char *name;
	size_t batch_records;	/* 0: as the settings say */
	size_t batch_bytes;	/* 0: 4 MiB */
	size_t cache_bytes;	/* state cache; 0: 64 MiB */
	int stop_fd;		/* readable: stop; -1 none */
	int64_t deliver_us;	/* a deliver may take so long; 0: 30 s */
	struct pulse *pulse;	/* of a supervised one, else NULL */
	bool skip_backoff;	/* leave at once when in back-off (--once and
				 * after a write command) */
};

/* WEIR_EUNREACH when another process delivers for this sink (err names it). */
int runner_new(struct runner **out, const struct runner_options *o,
	       struct weir_err *err);
void runner_free(struct runner *r);

/*
 * Delivers until the sink has caught up with `through` (0: with what is
 * committed at the call; UINT64_MAX: run for ever, waiting for new records,
 * noticing settings changes within a second), until deadline_us (monotonic;
 * 0 none) or stop. Returns 0 caught up, WEIR_EUNREACH behind at the deadline or
 * in back-off, WEIR_ESTOPPED, or what blocks it (err says).
 */
int runner_run(struct runner *r, uint64_t through, int64_t deadline_us,
	       struct weir_err *err);

/* For a program of our own, once, before runners run: leaves a note when a
 * fatal signal (SEGV, BUS, ILL, FPE, ABRT, unless handled already) ends the
 * process inside a plugin, so that a crash is told from a kill. */
void runner_watch_crashes(void);

/* From any thread: the plugin opens its files anew (they were rotated). */
void runner_reload(struct runner *r);

/* The sink's status from its files and, when there is one, its runner. */
int runner_status(struct runner_status *out, const char *store_dir,
		  const char *name, struct weir_err *err);

/* What keeps a sink in this state from being delivered to, as an error. */
int runner_waits(const struct runner_status *st, const char *name,
	       struct weir_err *err);

/* Opens, resumes and probes the sink without delivering (`sink test`).
 * message gets one line of what was found. */
int runner_test(const char *store_dir, const char *name, char message[1024],
		struct weir_err *err);

/* Asks for a replay from a sequence (1 or more); done by the next runner (or
 * now, when none runs). WEIR_EUSAGE when the plugin REWRITES and from > 1. */
int runner_replay(const char *store_dir, const char *name, uint64_t from,
		  struct weir_err *err);

/* One plan call for `plugin map`: see weir_sink_plan. message and hint of the
 * answer; WEIR_EINPUT when refused. WEIR_OK without a plan callback. */
int runner_plan(const char *store_dir, const char *name,
		struct weir_str aggregate, struct weir_str field,
		const char *datatype, bool apply, char message[1024],
		struct weir_err *err);

#endif
