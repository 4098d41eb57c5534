/* SPDX-License-Identifier: MIT */
/*
 * How fast another process reads what a writer wrote.
 *
 * Each group of rows makes a store, which stays open for writing, and reads it
 * in a child process, once a round; the first round is the first that this
 * process sees of the bytes. Each figure is given by the clock on the wall and
 * by the reader's processor time, which stays the same when others use the
 * machine.
 *
 * Baselines: of a scan, CRC-32C over the same bytes mapped anew; of an
 * aggregate, ten touches of random places of the same bytes, each known only
 * from the one before, as links are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "bench.h"
#include "store/reader.h"
#include "store/store.h"

#define BATCH	1000u
#define SAMPLES 2000u
#define TEXT	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

enum clock_used {
	WALL,
	CPU,
	CLOCKS
};

static uint64_t records;

/* What the child tells: anonymous memory that both share. */
static struct told {
	double rate[BENCH_ROUNDS_MOST][CLOCKS], base[BENCH_ROUNDS_MOST][CLOCKS];
	double answered[SAMPLES + 2], seen[SAMPLES + 2];
} * told;

struct span {
	double from[CLOCKS];
};

static struct span
begin(void)
{
	return (struct span){{bench_now(), bench_cpu()}};
}

/* So many a second since then. */
static void
rates(double out[CLOCKS], const struct span *s, uint64_t n)
{
	out[WALL] = (double)n / (bench_now() - s->from[WALL]);
	out[CPU] = (double)n / (bench_cpu() - s->from[CPU]);
}

static uint64_t
random_of(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 24;
}

/* ---- writing ------------------------------------------------------------- */

static struct store *
make(char dir[BENCH_PATH])
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct weir_err err;
	struct store *s;

	bench_make_dir(dir);
	if (store_open(&s, dir, &o, &err) != 0)
		bench_die("open", err.msg);
	return s;
}

/* Record n belongs to aggregate n % aggregates. */
static void
fill(struct store *s, uint64_t n, unsigned aggregates, size_t payload)
{
	static struct record_draft d[BATCH];
	static struct receipt got[BATCH];
	static char id[BATCH][16];
	static char text[512];
	struct weir_err err;

	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"t\":\"", 6);
	memcpy(text + payload - 2, "\"}", 2);
	for (uint64_t at = 0; at < n;) {
		unsigned k = 0;
		for (; k < BATCH && at < n; k++, at++) {
			snprintf(id[k], sizeof(id[k]), "id-%06u",
				 (unsigned)(at % aggregates));
			memset(&d[k], 0, sizeof(d[k]));
			d[k].aggregate_type = (struct weir_str){"account", 7};
			d[k].aggregate_id = (struct weir_str){id[k], 9};
			d[k].event_type = (struct weir_str){"changed", 7};
			d[k].payload = (struct weir_str){text, payload};
			d[k].expected = EXPECT_ANY;
		}
		if (store_commit(s, got, d, k, &err) != 0)
			bench_die("commit", err.msg);
	}
}

/* ---- the child's --------------------------------------------------------- */

static struct store *
open_reader(const char *dir)
{
	struct store_options o = {0};
	struct weir_err err;
	struct store *s;

	if (store_open(&s, dir, &o, &err) != 0)
		bench_die("open", err.msg);
	return s;
}

/* CRC-32C over the first bytes of the journal, as if they were n records. */
static void
plain_crc(double out[CLOCKS], const char *dir, uint64_t bytes, uint64_t n)
{
	static volatile uint32_t sink;
	struct span span = begin();
	uint64_t left = bytes;

	for (unsigned i = 1; left > 0; i++) {
		char path[4200];
		struct stat st;
		snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir, i);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0)
			bench_die(path, strerror(errno));
		size_t size = (uint64_t)st.st_size < left ? (size_t)st.st_size
							  : (size_t)left;
		void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			bench_die(path, strerror(errno));
		sink = crc32c(sink, p, size);
		munmap(p, size);
		close(fd);
		left -= size;
	}
	rates(out, &span, n);
}

/* How many bytes of segments stand before a position. */
static uint64_t
bytes_before(const char *dir, uint64_t position)
{
	uint64_t n = position & 0xffffffff;

	for (unsigned i = 1; i < position >> 32; i++) {
		char path[4200];
		struct stat st;
		snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir, i);
		if (stat(path, &st) == 0)
			n += (uint64_t)st.st_size;
	}
	return n;
}

static void
scan(struct store *s, unsigned round, bool mapped)
{
	struct reader *r = mapped ? reader_new_mapped(s) : reader_new(s);
	struct record_view v;
	struct weir_err err;
	uint64_t n = 0, bytes = 0, position = 0;
	struct span span = begin();
	int rc;

	while ((rc = reader_next(r, &v, &err)) > 0) {
		n++;
		bytes += v.payload.len;
		position = v.position;
	}
	rates(told->rate[round], &span, n);
	if (rc < 0)
		bench_die("scan", err.msg);
	if (n != records || bytes == 0)
		bench_die("scan", "records are missing");
	reader_free(r);
	plain_crc(told->base[round], store_dir(s),
		  bytes_before(store_dir(s), position), n);
}

static void
scan_mapped(struct store *s, unsigned round)
{
	scan(s, round, true);
}

static void
scan_pread(struct store *s, unsigned round)
{
	scan(s, round, false);
}

/* Chains of ten touches, n of them: each at a place among the first bytes
 * of the journal that is known only from the byte touched before. */
static void
plain_chains(double out[CLOCKS], const char *dir, uint64_t bytes, unsigned n)
{
	static volatile uint64_t sink;
	const uint8_t *segment[64];
	uint64_t first[65] = {0}, x = 1;
	unsigned count = 0;

	for (; first[count] < bytes && count < 64; count++) {
		char path[4200];
		struct stat st;
		snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir,
			 count + 1);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0)
			bench_die(path, strerror(errno));
		segment[count] = mmap(NULL, (size_t)st.st_size, PROT_READ,
				      MAP_SHARED, fd, 0);
		if (segment[count] == MAP_FAILED)
			bench_die(path, strerror(errno));
		close(fd);
		first[count + 1] = first[count] + (uint64_t)st.st_size;
		for (uint64_t at = 0; at < (uint64_t)st.st_size; at += 4096)
			x += segment[count][at];
	}
	struct span span = begin();
	for (unsigned i = 0; i < 10 * n; i++) {
		uint64_t at = random_of(&x) % bytes;
		unsigned k = 0;
		while (at >= first[k + 1])
			k++;
		x += segment[k][at - first[k]];
	}
	rates(out, &span, n);
	sink = x;
	(void)sink;
	for (unsigned i = 0; i < count; i++)
		munmap((void *)(uintptr_t)segment[i],
		       (size_t)(first[i + 1] - first[i]));
}

static void
aggregates_of_ten(struct store *s, unsigned round)
{
	const unsigned tries = 200000;
	struct reader *r = reader_new_mapped(s);
	uint64_t random = round + 1, at[10], last = 0;
	struct record_view v;
	struct weir_err err;
	struct head head;
	struct span span = begin();

	for (unsigned i = 0; i < tries; i++) {
		char id[16];
		snprintf(id, sizeof(id), "id-%06u",
			 (unsigned)(random_of(&random) % (records / 10)));
		if (store_head(s, &head, (struct weir_str){"account", 7},
			       (struct weir_str){id, 9}, &err) != 0 ||
		    reader_chain(r, at, head.position, 1, 10, &err) != 0)
			bench_die("aggregate", err.msg);
		for (unsigned k = 0; k < 10; k++)
			if (reader_at(r, &v, at[k], &err) != 0 ||
			    v.version != k + 1)
				bench_die("aggregate", err.msg);
		last = at[9] > last ? at[9] : last;
	}
	rates(told->rate[round], &span, tries);
	reader_free(r);
	last = bytes_before(store_dir(s), last);
	plain_chains(told->base[round], store_dir(s), last, tries);
}

static void
points(struct store *s, unsigned round)
{
	const unsigned tries = 200000;
	struct reader *r = reader_new_mapped(s);
	uint64_t random = round + 1;
	struct record_view v;
	struct weir_err err;
	struct span span = begin();

	for (unsigned i = 0; i < tries; i++) {
		uint64_t version = random_of(&random) % records + 1;
		if (reader_version(r, &v, (struct weir_str){"account", 7},
				   (struct weir_str){"id-000000", 9}, version,
				   &err) != 0 ||
		    v.version != version)
			bench_die("point", err.msg);
	}
	rates(told->rate[round], &span, tries);
	reader_free(r);
}

static void
wait_along(struct store *s, unsigned round)
{
	struct reader *r = reader_new_mapped(s);
	struct record_view v;
	struct weir_err err;

	(void)round;
	for (uint64_t n = 1; n <= SAMPLES; n++) {
		if (store_wait(s, n, -1, -1, &err) != 0)
			bench_die("wait", err.msg);
		reader_seek(r, n);
		if (reader_next(r, &v, &err) != 1)
			bench_die("wait", "nothing is there");
		told->seen[n] = bench_now();
	}
	reader_free(r);
}

/* ---- rows ---------------------------------------------------------------- */

static pid_t
begin_child(const char *dir, void (*fn)(struct store *s, unsigned round),
	    unsigned times)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	struct store *s = open_reader(dir);
	for (unsigned i = 0; i < times; i++)
		fn(s, i);
	store_close(s);
	_exit(0);
}

static void
end_child(pid_t pid)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("child", "it failed");
}

struct rows {
	const char *name, *unit, *target, *base;
	unsigned aggregates; /* 0: records / 10 */
	size_t payload;
	void (*fn)(struct store *s, unsigned round);
};

static void
show(const struct rows *rows)
{
	for (int c = WALL; c < CLOCKS; c++) {
		char name[100];
		struct row row = {.name = name,
				  .unit = rows->unit,
				  .baseline_name = rows->base,
				  .target = rows->target};
		snprintf(name, sizeof(name), "%s%s", rows->name,
			 c == CPU ? ", processor time" : "");
		for (unsigned k = 0; k < bench.rounds; k++) {
			sample_add(&row.value, told->rate[k][c]);
			if (rows->base != NULL)
				sample_add(&row.baseline, told->base[k][c]);
		}
		bench_row(&row);
	}
}

static void
run(const struct rows *rows)
{
	unsigned aggregates = rows->aggregates != 0 ? rows->aggregates
						    : (unsigned)(records / 10);
	char dir[BENCH_PATH];
	struct store *s;

	if (!bench_wanted(rows->name))
		return;
	s = make(dir);
	memset(told, 0, sizeof(*told));
	fill(s, records, aggregates, rows->payload);
	end_child(begin_child(dir, rows->fn, bench.rounds));
	show(rows);
	store_close(s);
	bench_drop(dir);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* From the return of an append to the record being seen by a process that
 * waits. */
static void
latency_once(struct row *median, struct row *most)
{
	const struct timespec pause = {0, 300000};
	struct record_draft d = {
		.aggregate_type = {"account", 7},
		.aggregate_id = {"id-000000", 9},
		.event_type = {"changed", 7},
		.payload = {"{\"t\":\"" TEXT "\"}", 8 + sizeof(TEXT) - 1},
		.expected = EXPECT_ANY,
	};
	double took[SAMPLES];
	char dir[BENCH_PATH];
	struct store *s = make(dir);
	struct receipt got;
	struct weir_err err;

	memset(told, 0, sizeof(*told));
	pid_t pid = begin_child(dir, wait_along, 1);
	for (uint64_t n = 1; n <= SAMPLES; n++) {
		nanosleep(&pause, NULL);
		if (store_commit(s, &got, &d, 1, &err) != 0)
			bench_die("commit", err.msg);
		told->answered[n] = bench_now();
	}
	end_child(pid);
	for (unsigned n = 0; n < SAMPLES; n++)
		took[n] = 1e6 * (told->seen[n + 1] - told->answered[n + 1]);
	qsort(took, SAMPLES, sizeof(double), by_size);
	sample_add(&median->value, took[SAMPLES / 2]);
	sample_add(&most->value, took[SAMPLES * 99 / 100]);
	store_close(s);
	bench_drop(dir);
}

static void
latency(void)
{
	struct row median = {
		.name = "seen by a waiter after it was acknowledged",
		.unit = "us",
		.target = "value <= 100"};
	struct row most = {.name = "the same, 99 of 100 within", .unit = "us"};

	if (!bench_wanted(median.name))
		return;
	for (unsigned k = 0; k < bench.rounds; k++)
		latency_once(&median, &most);
	bench_row(&median);
	bench_row(&most);
}

static const struct rows all[] = {
	{"scan, 32 bytes", "records/s", "value >= 15000000", "CRC",
	 BENCH_AGGREGATES, 32, scan_mapped},
	{"scan, 300 bytes", "records/s", NULL, "CRC", BENCH_AGGREGATES, 300,
	 scan_mapped},
	{"scan with pread, 32 bytes", "records/s", NULL, "CRC",
	 BENCH_AGGREGATES, 32, scan_pread},
	{"random aggregates of 10", "aggregates/s", "value >= 300000",
	 "touches", 0, 32, aggregates_of_ten},
	{"random versions of one aggregate", "records/s", "value >= 200000",
	 NULL, 1, 32, points},
};

int
main(int argc, char **argv)
{
	bench_start(argc, argv);
	records = bench.quick ? 300000 : 1000000;
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		bench_die("memory", strerror(errno));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		run(&all[i]);
	latency();
	bench_end();
	return 0;
}
