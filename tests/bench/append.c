/* SPDX-License-Identifier: MIT */
/*
 * How fast records are appended, beside its baselines. Each round runs all
 * sides of a row in turn; 300-byte payloads over 100,000 aggregates.
 *
 * Large batches come into stores that have their aggregates already. A job
 * begins and ends at the beginning of a segment: then both sides have filled as
 * many zeros in that time.
 */
#include <stdio.h>
#include "bench.h"
#include "sides.h"

#define SIDES_MOST 5u
#define MIB	   ((uint64_t)1 << 20)
#define THREADS	   64u
#define WARM	   130u
#define SINGLES	   5500u /* three segments */

struct against {
	const char *name;
	side *run;
	const char *target;
};

/* A library that was not there when this was built is left out. */
#ifdef BENCH_LMDB
#define LMDB(target) {"lmdb", side_lmdb, target},
#else
#define LMDB(target)
#endif
#ifdef BENCH_SQLITE
#define SQLITE {"sqlite", side_sqlite, NULL},
#else
#define SQLITE
#endif
#ifdef BENCH_ROCKSDB
#define ROCKSDB {"rocksdb", side_rocksdb, NULL},
#else
#define ROCKSDB
#endif

static void
rows(const char *name, struct job job, side *ours,
     const struct against *against)
{
	struct row r[SIDES_MOST], cpu[SIDES_MOST];
	struct sample closing = {.n = 0};
	char text[80];
	unsigned n = 0;

	if (!bench_wanted(name))
		return;
	snprintf(text, sizeof(text), "%s: CPU", name);
	for (; against[n].name != NULL; n++) {
		r[n] = (struct row){.name = name,
				    .unit = "records/s",
				    .baseline_name = against[n].name,
				    .target = against[n].target};
		cpu[n] = (struct row){.name = text,
				      .unit = "ns/record",
				      .baseline_name = against[n].name};
	}
	for (unsigned i = 0; i < bench.rounds; i++) {
		double value = ours(&job);
		for (unsigned k = 0; k < n; k++) {
			struct job other = job;
			sample_add(&r[k].value, value);
			sample_add(&r[k].baseline, against[k].run(&other));
			sample_add(&cpu[k].value, job.cpu);
			sample_add(&cpu[k].baseline, other.cpu);
		}
		sample_add(&closing, job.closing * 1e3);
	}
	for (unsigned k = 0; k < n; k++)
		bench_row(&r[k]);
	for (unsigned k = 0; k < n; k++)
		bench_row(&cpu[k]);
	if (ours != side_weir || job.batch < 1000)
		return;
	snprintf(text, sizeof(text), "%s, then close", name);
	bench_row(&(struct row){.name = text, .unit = "ms", .value = closing});
}

/* How many batches of about so many bytes take a store over `bytes`, to a
 * little behind the switch that comes there. */
static uint64_t
until(uint64_t bytes, unsigned batch)
{
	return bytes / 32 * 33 / (batch * 536 + 72) + 1;
}

static void
batches(unsigned batch, enum weir_content content,
	const struct against *against)
{
	struct job job = {.batch = batch,
			  .batches = SINGLES,
			  .payload = BENCH_PAYLOAD,
			  .content = content,
			  .aggregates = BENCH_AGGREGATES};
	char name[80];

	if (batch > 1) {
		job.warm = WARM;
		job.batches = until(64 * MIB, batch);
	}
	snprintf(name, sizeof(name), "append %s, batch of %u",
		 content == WEIR_CONTENT_JSON ? "JSON" : "bytes", batch);
	rows(name, job, side_weir, against);
}

/* One thread of weir as the baseline of many. */
static double
single(struct job *job)
{
	job->batches = SINGLES;
	return side_weir(job);
}

int
main(int argc, char **argv)
{
	bench_start(argc, argv);
	events_names(BENCH_AGGREGATES);
	struct job job = {.batch = 1,
			  .batches = until((bench.quick ? 15 : 31) * MIB, 1),
			  .threads = THREADS,
			  .payload = BENCH_PAYLOAD,
			  .aggregates = BENCH_AGGREGATES};

	batches(1, WEIR_CONTENT_JSON,
		(struct against[]){{"plain", side_plain, "ratio >= 0.85"},
				   LMDB(NULL) SQLITE ROCKSDB{0}});
	batches(100, WEIR_CONTENT_JSON,
		(struct against[]){{"plain", side_plain, NULL},
				   LMDB(NULL) SQLITE ROCKSDB{0}});
	batches(1000, WEIR_CONTENT_JSON,
		(struct against[]){{"plain", side_plain, "ratio >= 0.30"},
				   LMDB("ratio >= 8") SQLITE ROCKSDB{0}});
	batches(1, WEIR_CONTENT_BYTES,
		(struct against[]){{"plain", side_plain, NULL}, {0}});
	batches(1000, WEIR_CONTENT_BYTES,
		(struct against[]){{"plain", side_plain, "ratio >= 0.40"},
				   {0}});
	rows("append JSON, 64 threads", job, side_threads,
	     (struct against[]){{"group", side_group, "ratio >= 0.80"},
				{"one thread", single, "ratio >= 12"},
				{0}});
	rows("submit JSON, one thread", job, side_submit,
	     (struct against[]){{"group submit", side_group_submit, NULL},
				{0}});
	bench_end();
	return 0;
}
