/* SPDX-License-Identifier: MIT */
#ifndef BUS_RETRY_H
#define BUS_RETRY_H

/*
 * DIR/sinks/NAME/attempts: what is being handed over right now (the crash
 * marker) and when to try again (the back-off), so that both outlive the
 * process.
 *
 * The file has two fixed slots, each one line of JSON padded with spaces, each
 * rewritten in place by one pwrite without a sync. That costs a microsecond a
 * batch: what a process wrote stays in the page cache when it crashes. After a
 * power loss the slots may be old or torn; then they count as empty.
 */

#include <stdbool.h>
#include <weir/types.h>

#define RETRY_MAX_US   (300 * INT64_C(1000000))
#define RETRY_PROBE_US (300 * INT64_C(1000000))
/* A record is parked after three crashes on it alone. Where crashes are watched
 * (retry_watch) a process that ended without one was killed: ten of these. */
#define CRASH_WEIGHT 10u
#define KILL_WEIGHT  3u
#define CRASH_LIMIT  30u

enum retry_kind {
	RETRY_NOTHING = 0,
	RETRY_BATCH = 1, /* a batch of the flow */
	RETRY_PARKED = 2 /* records of a parked aggregate */
};

struct retry_mark {
	enum retry_kind kind;
	uint64_t first, through; /* range of the batch */
	uint64_t records;
	uint64_t single;  /* the record, when there is one only; PARKED: the
			   * dead letter's sequence */
	uint64_t crashes; /* on that single record, before this one */
	uint64_t epoch;
	bool watched;	/* retry_watch was called */
	bool signalled; /* found: a fatal signal came in deliver */
};

struct retry_wait {
	uint64_t failures; /* in a row: exponent of the back-off */
	uint64_t tries;	   /* counted attempts of the batch in trouble */
	int64_t next_try;  /* real time, 0: now */
	uint64_t settings; /* mark of sink.conf and map.conf then */
	bool blocked;
	char class_[16];
	char code[32];
	char message[600];
	char hint[400];
};

struct retry;

/* For a program of our own: fatal signals (SEGV, BUS, ILL, FPE, ABRT) that have
 * no handler leave a note in the mark of the batch that the thread was handing
 * over, then end the process as ever. Tells a crash from a kill. */
void retry_watch(void);

/* The same note from outside, when the process that handed over is no more: it
 * was killed because it hung. */
void retry_note(const char *path);

/* Opens (and makes) the file and reads both slots. */
int retry_open(struct retry **out, const char *path, struct weir_err *err);
void retry_close(struct retry *r);

/* As left by the process before. */
const struct retry_mark *retry_found(const struct retry *r);

int retry_put_mark(struct retry *r, const struct retry_mark *m,
		   struct weir_err *err);

struct retry_wait *retry_wait(struct retry *r); /* to be read and changed */
int retry_save_wait(struct retry *r, struct weir_err *err);

/* Exponential from 1 s to 5 min with full jitter; failures is 1 or more. */
int64_t retry_delay(uint64_t failures);

/* Reads the back-off slot of a sink without holding it. */
int retry_peek(struct retry_wait *out, const char *path, struct weir_err *err);

#endif
