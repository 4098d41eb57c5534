/* SPDX-License-Identifier: MIT */
/*
 * What an append costs as a store grows: by records, by aggregates, by versions
 * of one aggregate, by the payload's size; the memory that aggregates take; how
 * long opening takes after kill -9.
 *
 * A cost is the time of the appending thread's own CPU for a record, in batches
 * of 1000: it shows what grows, without the disk's moods. Beside each point a
 * small store is appended to in turn, so that both see the same machine. Every
 * point has a process of its own.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"
#include "sides.h"

#define BATCH	       1000u
#define WINDOW	       4u /* batches that are measured at once */
#define FEW_AGGREGATES 1000u

struct grown {
	struct weir *w;
	struct events e;
	char dir[BENCH_PATH];
	unsigned next; /* aggregate, while all are made */
};

static struct weir *
open_store(const char *dir)
{
	struct weir_err err;
	struct weir *w;

	if (weir_open(&w, dir, NULL, &err) != 0)
		bench_die(dir, err.msg);
	return w;
}

static void
append_batch(struct grown *g)
{
	struct weir_err err;

	if (g->next < g->e.aggregates)
		events_next_from(&g->e, g->next);
	else
		events_next(&g->e);
	g->next += g->next < g->e.aggregates ? BATCH : 0;
	if (weir_commit(g->w, NULL, g->e.event, BATCH, &err) != 0)
		bench_die("commit", err.msg);
}

/* Every aggregate gets a record first, then any of them. */
static void
grow(struct grown *g, unsigned aggregates, uint64_t records)
{
	bench_make_dir(g->dir);
	g->next = 0;
	g->w = open_store(g->dir);
	events_init(&g->e, BATCH, BENCH_PAYLOAD, WEIR_CONTENT_JSON, aggregates,
		    1);
	for (uint64_t i = 0; i < records; i += BATCH)
		append_batch(g);
}

static void
drop(struct grown *g)
{
	weir_close(g->w);
	events_fini(&g->e);
	bench_drop(g->dir);
}

/* ns a record */
static double
cost(struct grown *g)
{
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (unsigned i = 0; i < WINDOW; i++)
		append_batch(g);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 +
		(double)(b.tv_nsec - a.tv_nsec)) /
	       (WINDOW * BATCH);
}

/* ---- points -------------------------------------------------------------- */

/* A point and the small store beside it; in memory that processes share. */
struct point {
	unsigned aggregates, few_aggregates;
	uint64_t records, few_records;
	struct sample cost, few, memory;
};

static double
measure(void *arg)
{
	struct point *p = arg;
	struct grown large, small;

	events_names(p->aggregates > p->few_aggregates ? p->aggregates
						       : p->few_aggregates);
	double before = bench_rss();
	grow(&large, p->aggregates, p->records);
	sample_add(&p->memory, bench_rss() - before);
	grow(&small, p->few_aggregates, p->few_records);
	cost(&large);
	cost(&small);
	for (unsigned i = 0; i < bench.rounds; i++) {
		sample_add(&p->cost, cost(&large));
		sample_add(&p->few, cost(&small));
	}
	drop(&large);
	drop(&small);
	return 0;
}

static void *
shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("memory", "none");
	return p;
}

static void
point(struct row *r, struct row *memory, unsigned aggregates, uint64_t records,
      unsigned few_aggregates, uint64_t few_records)
{
	struct point *p = shared(sizeof(*p));

	*p = (struct point){.aggregates = aggregates,
			    .records = records,
			    .few_aggregates = few_aggregates,
			    .few_records = few_records};
	bench_apart(measure, p);
	r->unit = "ns";
	r->value = p->cost;
	r->baseline = p->few;
	bench_row(r);
	if (memory != NULL) {
		memory->value = p->memory;
		bench_row(memory);
	}
	munmap(p, sizeof(*p));
}

static uint64_t
most_records(void)
{
	return bench.full ? 10000000 : bench.quick ? 100000 : 1000000;
}

static void
by_records(void)
{
	char name[80];

	for (uint64_t n = 10000; n <= most_records(); n *= 10) {
		struct row r = {.name = name,
				.baseline_name = "10000 records",
				.target = n > 10000 ? "ratio <= 1.2" : NULL,
				.curve = "CPU of an append by records",
				.x = (double)n,
				.x_name = "records in the store"};
		snprintf(name, sizeof(name),
			 "append behind %" PRIu64 " records", n);
		if (bench_wanted(name))
			point(&r, NULL, 10000, n, 10000, 10000);
	}
}

static void
by_aggregates(void)
{
	char name[80], memory_name[80];

	for (unsigned n = 1; n <= (bench.quick ? 100000u : 1000000u);
	     n *= n < 100 ? 100 : 10) {
		struct row r = {.name = name,
				.baseline_name = "1000 aggregates",
				.curve = "CPU of an append by aggregates",
				.x = n,
				.x_name = "aggregates"};
		struct row m = {.name = memory_name,
				.unit = "MiB",
				.target = n == 1000000 ? "value <= 256" : NULL,
				.curve = "Memory of a writer by aggregates",
				.x = n,
				.x_name = "aggregates"};
		snprintf(name, sizeof(name), "append to one of %u aggregates",
			 n);
		snprintf(memory_name, sizeof(memory_name),
			 "memory of a writer, %u aggregates", n);
		if (bench_wanted(name) || bench_wanted(memory_name))
			point(&r, &m, n, n > 10000 ? n : 10000, FEW_AGGREGATES,
			      10000);
	}
}

static void
by_versions(void)
{
	uint64_t n = bench.quick ? 100000 : 1000000;
	char name[80], other[80];
	struct row r = {
		.name = name, .baseline_name = other, .target = "ratio <= 1.2"};

	snprintf(name, sizeof(name), "append to one of %" PRIu64 " versions",
		 n);
	snprintf(other, sizeof(other), "%" PRIu64 " of 10 versions", n / 10);
	if (bench_wanted(name))
		point(&r, NULL, 1, n, (unsigned)(n / 10), n);
}

static void
by_payload(void)
{
	static const size_t sizes[] = {64, 300, 1024, 4096, 16384, 65536};
	uint64_t bytes = (uint64_t)(bench.quick ? 33 : 130) << 20;
	char name[80];

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned batch = (512u << 10) / (unsigned)sizes[i];
		batch = batch > BATCH ? BATCH : batch;
		struct job job = {.batch = batch,
				  .payload = sizes[i],
				  .aggregates = BENCH_AGGREGATES};
		struct row r = {.name = name,
				.unit = "records/s",
				.baseline_name = "plain",
				.curve = "Append by size of the payload",
				.x = (double)sizes[i],
				.x_name = "bytes of a payload"};
		job.batches = bytes / (batch * (sizes[i] + 240)) + 1;
		snprintf(name, sizeof(name), "append JSON of %zu bytes",
			 sizes[i]);
		for (unsigned k = 0; bench_wanted(name) && k < bench.rounds;
		     k++) {
			sample_add(&r.value, side_weir(&job));
			sample_add(&r.baseline, side_plain(&job));
		}
		if (r.value.n > 0)
			bench_row(&r);
	}
}

/* ---- opening after kill -9 ----------------------------------------------- */

struct killed {
	char *dir;
	uint64_t records;
};

static double
append_and_die(void *arg)
{
	const struct killed *k = arg;
	struct grown g = {.w = open_store(k->dir)};

	events_init(&g.e, BATCH, BENCH_PAYLOAD, WEIR_CONTENT_JSON,
		    BENCH_AGGREGATES, 1);
	for (uint64_t i = 0; i < k->records; i += BATCH)
		append_batch(&g);
	kill(getpid(), SIGKILL);
	return 0;
}

static double
open_again(void *arg)
{
	const struct killed *k = arg;
	double from = bench_now();
	struct weir *w = open_store(k->dir);
	double took = bench_now() - from;

	weir_close(w);
	return took * 1e3;
}

static void
by_opening(void)
{
	char dir[BENCH_PATH], name[80];
	struct killed k = {.dir = dir};

	for (uint64_t n = 10000; n <= most_records(); n *= 10) {
		struct row r = {.name = name,
				.unit = "ms",
				.target = n == 10000000 ? "value <= 500" : NULL,
				.curve = "Open after kill -9 by records",
				.x = (double)n,
				.x_name = "records in the store"};
		snprintf(name, sizeof(name),
			 "open after kill -9, %" PRIu64 " records", n);
		if (!bench_wanted(name))
			continue;
		bench_make_dir(dir);
		k.records = n;
		for (unsigned i = 0; i < bench.rounds; i++) {
			bench_apart(append_and_die, &k);
			sample_add(&r.value, bench_apart(open_again, &k));
			k.records = BATCH;
		}
		bench_row(&r);
		bench_drop(dir);
	}
}

int
main(int argc, char **argv)
{
	bench_start(argc, argv);
	events_names(BENCH_AGGREGATES);
	by_records();
	by_aggregates();
	by_versions();
	by_payload();
	by_opening();
	bench_end();
	return 0;
}
