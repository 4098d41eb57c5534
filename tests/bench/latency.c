/* SPDX-License-Identifier: MIT */
/*
 * How long one append takes, from the call to the acknowledgement, beside one
 * plain write and sync. A burst of large batches comes first, so that weir
 * still has segments to fill and records to index behind the single appends.
 * The plain segments were filled before: their filling is in no time here.
 */
#include <stdio.h>
#include <stdlib.h>
#include "bench.h"
#include "sides.h"

#define RANKS 4u

static const struct {
	const char *name;
	double part; /* of the appends that are not slower */
	const char *target;
} ranks[RANKS] = {
	{"single append, p50", 0.5, NULL},
	{"single append, p99", 0.99, NULL},
	{"single append, p99.9", 0.999, "value <= 5000"},
	{"single append, slowest", 1, NULL},
};

static double *times; /* us, of one round */
static unsigned ntimes;

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the times; at[i] is for rank i. */
static void
take_ranks(double at[RANKS])
{
	qsort(times, ntimes, sizeof(*times), by_size);
	for (unsigned i = 0; i < RANKS; i++) {
		unsigned k = (unsigned)(ranks[i].part * ntimes);
		at[i] = times[k < ntimes ? k : ntimes - 1];
	}
}

static void
commit(struct weir *w, struct events *e)
{
	struct weir_err err;

	events_next(e);
	if (weir_commit(w, NULL, e->event, e->n, &err) != 0)
		bench_die("commit", err.msg);
}

static void
ours(double at[RANKS], unsigned burst)
{
	struct events many, one;
	char dir[BENCH_PATH];
	struct weir_err err;
	struct weir *w;

	bench_make_dir(dir);
	if (weir_open(&w, dir, NULL, &err) != 0)
		bench_die(dir, err.msg);
	events_init(&many, 1000, BENCH_PAYLOAD, WEIR_CONTENT_JSON,
		    BENCH_AGGREGATES, 1);
	events_init(&one, 1, BENCH_PAYLOAD, WEIR_CONTENT_JSON, BENCH_AGGREGATES,
		    2);
	for (unsigned i = 0; i < burst; i++)
		commit(w, &many);
	for (unsigned i = 0; i < ntimes; i++) {
		double from = bench_now();
		commit(w, &one);
		times[i] = (bench_now() - from) * 1e6;
	}
	weir_close(w);
	bench_drop(dir);
	events_fini(&many);
	events_fini(&one);
	take_ranks(at);
}

static void
theirs(double at[RANKS], size_t bytes)
{
	struct plain p;

	plain_open(&p, bytes, false);
	while (p.size < (uint64_t)bytes * ntimes) {
		p.at = p.size; /* on to a larger one */
		plain_write(&p, p.block, bytes);
	}
	for (unsigned i = 0; i < ntimes; i++) {
		double from = bench_now();
		plain_write(&p, p.block, bytes);
		times[i] = (bench_now() - from) * 1e6;
	}
	plain_close(&p);
	take_ranks(at);
}

int
main(int argc, char **argv)
{
	struct row r[RANKS];
	double a[RANKS], b[RANKS];

	bench_start(argc, argv);
	events_names(BENCH_AGGREGATES);
	unsigned burst = bench.quick ? 60 : 260;
	ntimes = bench.quick ? 2000 : 8000;
	times = calloc(ntimes, sizeof(*times));
	if (times == NULL)
		bench_die("memory", "none");
	for (unsigned i = 0; i < RANKS; i++)
		r[i] = (struct row){.name = ranks[i].name,
				    .unit = "us",
				    .baseline_name = "plain",
				    .target = ranks[i].target};
	for (unsigned k = 0; k < bench.rounds; k++) {
		ours(a, burst);
		theirs(b, 592);
		for (unsigned i = 0; i < RANKS; i++) {
			sample_add(&r[i].value, a[i]);
			sample_add(&r[i].baseline, b[i]);
		}
	}
	for (unsigned i = 0; i < RANKS; i++)
		bench_row(&r[i]);
	free(times);
	bench_end();
	return 0;
}
