/* SPDX-License-Identifier: MIT */
#ifndef SINKS_CONFORM_H
#define SINKS_CONFORM_H

/*
 * What the conformance checks share. Each check works on a target of its own:
 * conform_new gives a host with the settings filled in for a fresh one.
 */

#include <stdbool.h>
#include <weir/sink.h>

#include "plugins/fakehost.h"

#define CONFORM_SETTINGS 64
#define CONFORM_CHECKS	 64

struct conform {
	const struct weir_sink_plugin *plugin;
	uint32_t capabilities, needs; /* of a sink with these settings */
	const char *names[CONFORM_SETTINGS]; /* --set, values with %d and %n */
	const char *values[CONFORM_SETTINGS];
	size_t nsettings;
	const char *show; /* command that prints what a target holds, or NULL */
	unsigned target;  /* number of the target in use: %n */
	char folder[512]; /* its folder: %d */
	unsigned passed, failed, skipped;
	char why[2048]; /* of a check that failed or was skipped */
};

/* What a check says. */
enum verdict {
	PASS,
	FAIL,
	SKIP
};

struct conform_check {
	const char *name;
	enum verdict (*fn)(struct conform *c);
};

/* Tables ended by a NULL name. */
extern const struct conform_check conform_descriptor[];
extern const struct conform_check conform_basics[];
extern const struct conform_check conform_records[];
extern const struct conform_check conform_faults[];

enum verdict conform_fail(struct conform *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
enum verdict conform_skip(struct conform *c, const char *why);

/* A host for a fresh target; twelve records over three aggregates are in its
 * list (five of them in the first commit's batch: CONFORM_FIRST). */
struct fake *conform_new(struct conform *c);
#define CONFORM_FIRST 5u
#define CONFORM_LAST  12u

/* Ends the host; a failure when the plugin kept memory. */
enum verdict conform_end(struct conform *c, struct fake *f, enum verdict v);

/* What the target holds, in fresh memory, or NULL without --show. */
char *conform_show(struct conform *c);

/* Is a failure's result filled as sink.h says? */
enum verdict conform_result(struct conform *c, const struct fake *f, int class);

/* Opens, and fails the check when that is not OK. */
enum verdict conform_open(struct conform *c, struct fake *f);
/* Delivers from..to, expecting OK and a durable_sequence of `to`. */
enum verdict conform_deliver(struct conform *c, struct fake *f, uint64_t from,
			     uint64_t to, uint32_t flags);
/* With HOLDS_CURSOR: closes, opens, and compares the target's cursor. */
enum verdict conform_cursor_is(struct conform *c, struct fake *f,
			       uint64_t sequence);
/* The same after rewind: the hash is forgotten. */
enum verdict conform_rewound_to(struct conform *c, struct fake *f,
				uint64_t sequence);
bool conform_has(const struct conform *c, uint32_t capability);

/* Runs STEP and leaves the check with its verdict unless it passed. */
#define CONFORM_TRY(c, f, step)                                                \
	do {                                                                   \
		enum verdict v_ = (step);                                      \
		if (v_ != PASS)                                                \
			return conform_end(c, f, v_);                          \
	} while (0)

#endif
