/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SIDES_H
#define BENCH_SIDES_H

/*
 * The sides of a row: weir, and what it is compared with. Each makes a folder,
 * does the job in it, removes it, and gives records per second of the time in
 * which it appended. A job ends early when bench.cap seconds are over.
 */

#include <stdbool.h>
#include <weir/weir.h>

struct job {
	unsigned batch;	  /* records of one commit */
	uint64_t batches; /* in all */
	unsigned threads;
	size_t payload;
	enum weir_content content;
	unsigned aggregates;
	/* Every aggregate gets a record before the clock runs, and so many
	 * batches of 1000 are written in all then; 0: the store is empty. */
	unsigned warm;
	/* What a batch takes in weir's journal; side_weir and side_threads fill
	 * it, the plain sides write as much. */
	size_t bytes;
	double closing; /* side_weir: seconds that weir_close took */
	double cpu;	/* ns a record, of all threads */
};

/* The time in which a side appends. */
struct lap {
	double from, until, cpu;
};

struct lap lap_begin(void);
bool lap_goes_on(const struct lap *lap);
/* Records per second; fills job->cpu. */
double lap_end(const struct lap *lap, struct job *job, uint64_t records);

typedef double side(struct job *job);

side side_weir;	   /* one thread, one commit after the other */
side side_threads; /* many, each one record at a time */
side side_submit;  /* one thread, that does not wait */

/*
 * Plain writes of the same bytes: one pwrite and one fdatasync for each batch,
 * into segments of the sizes that weir's have, filled with zeros and synced
 * before use, the filling in the clock.
 */
side side_plain;
/* Group commit of plain bytes: callers hand their bytes to one thread, which
 * writes and syncs what waits, and they sleep until theirs are synced. */
side side_group;
side side_group_submit; /* one caller that does not wait */

/* A store in a library: each record is put under its sequence, and its
 * aggregate's newest version and sequence are put too; one synced transaction
 * for each batch. */
side side_lmdb, side_sqlite, side_rocksdb;

/* ---- plain segments ------------------------------------------------------ */

struct plain {
	char dir[4096];
	uint64_t number, size, at, before; /* before: all files together */
	int fd;
	char *block;
};

void plain_open(struct plain *p, size_t most, bool warm);
void plain_write(struct plain *p, const char *bytes, size_t n);
void plain_close(struct plain *p);

#endif
