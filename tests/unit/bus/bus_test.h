/* SPDX-License-Identifier: MIT */
#ifndef BUS_TEST_H
#define BUS_TEST_H

/*
 * What tests of the bus share: a temporary folder with a store, a target
 * folder for the fake sink, records, and looking at what arrived.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/runner.h"
#include "bus/sinkconf.h"

struct bench {
	char dir[256];	  /* temporary folder */
	char store[300];  /* of the store */
	char target[300]; /* of the sink "s" */
	struct runner_options options;
	bool watch; /* bench_run_child watches crashes */
	struct weir_err err;
};

/* A store with nothing in it and a sink "s" of that plugin. */
struct bench *bench_new(const char *plugin);
void bench_free(struct bench *b);

/* Appends one commit: pairs of "type/id" and payload, ended by NULL. */
void bench_commit(struct bench *b, ...);
void bench_fill(struct bench *b, int n, int aggregates); /* n commits of one */
uint64_t bench_last(struct bench *b);

void bench_configure(struct bench *b, const char *plugin,
		     void (*change)(struct sinkconf *c));
/* Runs a runner of its own until it has caught up with all; its code. */
int bench_run(struct bench *b);
/* The same in a child: its exit status, or -signal. */
int bench_run_child(struct bench *b);

void bench_put(struct bench *b, const char *file, const char *text);
void bench_drop(struct bench *b, const char *file);
/* A file of the target or, with '@' first, of the sink's folder; static. */
const char *bench_get(struct bench *b, const char *file);
bool bench_has(struct bench *b, const char *file);
int bench_count(const char *text, const char *word);

/* Sequences of db's lines in order, "1 2 3"; static. */
const char *bench_sequences(struct bench *b);
uint64_t bench_cursor(struct bench *b); /* of db's first line */

/* The next time in a back-off comes at once. */
void bench_hurry(struct bench *b);

#endif
