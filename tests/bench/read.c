/* SPDX-License-Identifier: MIT */
/*
 * How fast another process reads what a writer wrote.
 *
 *   read [-d FOLDER] [-n RECORDS] [-r ROUNDS] [-c] [-j] [ROW...]
 *
 * Each row makes a store in FOLDER, which stays open for writing, and reads it
 * in a child process through mapped readers, ROUNDS times; the median is shown.
 * Rows (all of them unless named):
 *
 *   small      a scan of RECORDS records with 32 bytes of payload
 *   large      the same with 300 bytes
 *   pread      the small ones through a reader that does not map
 *   aggregate  all of a random aggregate of 10 records
 *   point      a random version of one aggregate that has RECORDS of them
 *   latency    from the return of an append to the record being seen by a
 *              process that waits, microseconds: median, and p99 as a row
 *
 * Baselines: of a scan, CRC-32C over the same bytes mapped anew; of an
 * aggregate, ten touches of random places of the same bytes, each known only
 * from the one before, as links are.
 * -c counts the reader's processor time instead of the clock on the wall (but
 * for latency), for a machine that is busy with other things.
 * -j prints a line of JSON for each figure.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/os.h"
#include "store/reader.h"
#include "store/store.h"

#define AGGREGATES  100000u
#define BATCH	    1000u
#define SAMPLES	    2000u
#define ROUNDS_MOST 9u
#define TEXT	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char *folder = ".";
static uint64_t records = 1000000;
static unsigned rounds = 3;
static bool json;
static clockid_t clock_used = CLOCK_MONOTONIC;

/* What the child tells: anonymous memory that both share. */
static struct told {
	double rate[ROUNDS_MOST], base[ROUNDS_MOST];
	double answered[SAMPLES + 2], seen[SAMPLES + 2];
} * told;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "read: %s: %s\n", what, why);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(clock_used, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t
random_of(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 24;
}

static void
drop(const char *dir)
{
	char **list = NULL, path[4096];
	struct stat st;
	size_t n = 0;

	if (os_list_folder(&list, &n, dir, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]);
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			drop(path);
		else
			unlink(path);
	}
	mem_free(list);
	rmdir(dir);
}

/* ---- writing ------------------------------------------------------------- */

static struct store *
make(char dir[4096])
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct weir_err err;
	struct store *s;

	snprintf(dir, 4096, "%s/read-XXXXXX", folder);
	if (mkdtemp(dir) == NULL)
		die(dir, strerror(errno));
	if (store_open(&s, dir, &o, &err) != 0)
		die("open", err.msg);
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
			die("commit", err.msg);
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
		die("open", err.msg);
	return s;
}

/* Bytes per second of CRC-32C over all segments. */
static double
plain_crc(const char *dir, uint64_t bytes)
{
	static volatile uint32_t sink;
	double from = now();
	uint64_t left = bytes;

	for (unsigned i = 1; left > 0; i++) {
		char path[4200];
		struct stat st;
		snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir, i);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0)
			die(path, strerror(errno));
		size_t n = (uint64_t)st.st_size < left ? (size_t)st.st_size
						       : (size_t)left;
		void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			die(path, strerror(errno));
		sink = crc32c(sink, p, n);
		munmap(p, n);
		close(fd);
		left -= n;
	}
	return now() - from;
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
	double from = now();
	int rc;

	while ((rc = reader_next(r, &v, &err)) > 0) {
		n++;
		bytes += v.payload.len;
		position = v.position;
	}
	double took = now() - from;
	if (rc < 0)
		die("scan", err.msg);
	if (n != records || bytes == 0)
		die("scan", "records are missing");
	told->rate[round] = (double)n / took;
	reader_free(r);
	position = bytes_before(store_dir(s), position);
	told->base[round] = (double)n / plain_crc(store_dir(s), position);
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

/* How long n chains of ten touches take: each at a place among the first bytes
 * of the journal that is known only from the byte touched before. */
static double
plain_chains(const char *dir, uint64_t bytes, unsigned n)
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
			die(path, strerror(errno));
		segment[count] = mmap(NULL, (size_t)st.st_size, PROT_READ,
				      MAP_SHARED, fd, 0);
		if (segment[count] == MAP_FAILED)
			die(path, strerror(errno));
		close(fd);
		first[count + 1] = first[count] + (uint64_t)st.st_size;
		for (uint64_t at = 0; at < (uint64_t)st.st_size; at += 4096)
			x += segment[count][at];
	}
	double from = now();
	for (unsigned i = 0; i < 10 * n; i++) {
		uint64_t at = random_of(&x) % bytes;
		unsigned k = 0;
		while (at >= first[k + 1])
			k++;
		x += segment[k][at - first[k]];
	}
	double took = now() - from;
	sink = x;
	(void)sink;
	for (unsigned i = 0; i < count; i++)
		munmap((void *)(uintptr_t)segment[i],
		       (size_t)(first[i + 1] - first[i]));
	return took;
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
	double from = now();

	for (unsigned i = 0; i < tries; i++) {
		char id[16];
		snprintf(id, sizeof(id), "id-%06u",
			 (unsigned)(random_of(&random) % (records / 10)));
		if (store_head(s, &head, (struct weir_str){"account", 7},
			       (struct weir_str){id, 9}, &err) != 0 ||
		    reader_chain(r, at, head.position, 1, 10, &err) != 0)
			die("aggregate", err.msg);
		for (unsigned k = 0; k < 10; k++)
			if (reader_at(r, &v, at[k], &err) != 0 ||
			    v.version != k + 1)
				die("aggregate", err.msg);
		last = at[9] > last ? at[9] : last;
	}
	told->rate[round] = tries / (now() - from);
	reader_free(r);
	last = bytes_before(store_dir(s), last);
	told->base[round] = tries / plain_chains(store_dir(s), last, tries);
}

static void
points(struct store *s, unsigned round)
{
	const unsigned tries = 200000;
	struct reader *r = reader_new_mapped(s);
	uint64_t random = round + 1;
	struct record_view v;
	struct weir_err err;
	double from = now();

	for (unsigned i = 0; i < tries; i++) {
		uint64_t version = random_of(&random) % records + 1;
		if (reader_version(r, &v, (struct weir_str){"account", 7},
				   (struct weir_str){"id-000000", 9}, version,
				   &err) != 0 ||
		    v.version != version)
			die("point", err.msg);
	}
	told->rate[round] = tries / (now() - from);
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
			die("wait", err.msg);
		reader_seek(r, n);
		if (reader_next(r, &v, &err) != 1)
			die("wait", "nothing is there");
		told->seen[n] = now();
	}
	reader_free(r);
}

/* ---- rows ---------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
show(const char *name, const char *unit, double value, double base,
     const char *base_name, const char *target)
{
	if (!json) {
		printf("%-24s  %12.1f %-12s", name, value, unit);
		if (base > 0)
			printf("  %s %12.1f  %5.1f %%", base_name, base,
			       100 * value / base);
		printf("  target %s\n", target);
	} else if (base > 0) {
		printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.1f,"
		       "\"baseline_name\":\"%s\",\"baseline\":%.1f,"
		       "\"ratio\":%.4f,\"target\":\"%s\"}\n",
		       name, unit, value, base_name, base, value / base,
		       target);
	} else {
		printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%.1f,"
		       "\"baseline_name\":null,\"baseline\":null,"
		       "\"ratio\":null,\"target\":\"%s\"}\n",
		       name, unit, value, target);
	}
	fflush(stdout);
}

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
		die("child", "it failed");
}

struct row {
	const char *name, *shown, *unit, *target, *base;
	unsigned aggregates; /* 0: records / 10 */
	size_t payload;
	void (*fn)(struct store *s, unsigned round);
};

static void
run(const struct row *row)
{
	unsigned aggregates = row->aggregates != 0 ? row->aggregates
						   : (unsigned)(records / 10);
	char dir[4096];
	struct store *s = make(dir);

	memset(told, 0, sizeof(*told));
	fill(s, records, aggregates, row->payload);
	end_child(begin_child(dir, row->fn, rounds));
	qsort(told->rate, rounds, sizeof(double), by_size);
	qsort(told->base, rounds, sizeof(double), by_size);
	show(row->shown, row->unit, told->rate[rounds / 2],
	     told->base[rounds / 2], row->base, row->target);
	store_close(s);
	drop(dir);
}

static void
latency(void)
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
	char dir[4096];
	struct store *s = make(dir);
	struct receipt got;
	struct weir_err err;

	clock_used = CLOCK_MONOTONIC;
	memset(told, 0, sizeof(*told));
	pid_t pid = begin_child(dir, wait_along, 1);
	for (uint64_t n = 1; n <= SAMPLES; n++) {
		nanosleep(&pause, NULL);
		if (store_commit(s, &got, &d, 1, &err) != 0)
			die("commit", err.msg);
		told->answered[n] = now();
	}
	end_child(pid);
	for (unsigned n = 0; n < SAMPLES; n++)
		took[n] = 1e6 * (told->seen[n + 1] - told->answered[n + 1]);
	qsort(took, SAMPLES, sizeof(double), by_size);
	show("visible to a waiter, p50", "us", took[SAMPLES / 2], 0, "", "100");
	show("visible to a waiter, p99", "us", took[SAMPLES * 99 / 100], 0, "",
	     "none");
	store_close(s);
	drop(dir);
}

static const struct row rows[] = {
	{"small", "scan, 32 bytes", "records/s", "15000000", "crc", AGGREGATES,
	 32, scan_mapped},
	{"large", "scan, 300 bytes", "records/s", "none", "crc", AGGREGATES,
	 300, scan_mapped},
	{"pread", "scan, 32 bytes, pread", "records/s", "none", "crc",
	 AGGREGATES, 32, scan_pread},
	{"aggregate", "aggregates of 10", "aggregates/s", "300000", "touches",
	 0, 32, aggregates_of_ten},
	{"point", "version of 1 aggregate", "records/s", "200000", "", 1, 32,
	 points},
};

static bool
chosen(const char *name, int n, char **names)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return n == 0;
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:n:r:cj")) != -1) {
		if (c == 'd')
			folder = optarg;
		else if (c == 'n')
			records = strtoull(optarg, NULL, 10);
		else if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'c')
			clock_used = CLOCK_PROCESS_CPUTIME_ID;
		else if (c == 'j')
			json = true;
		else
			return 2;
	}
	if (rounds < 1 || rounds > ROUNDS_MOST || records < 1000 ||
	    records % 10 != 0)
		die("options", "1 to 9 rounds; 1000 records or more, a "
			       "multiple of 10");
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		die("memory", strerror(errno));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (chosen(rows[i].name, argc - optind, argv + optind))
			run(&rows[i]);
	if (chosen("latency", argc - optind, argv + optind))
		latency();
	return 0;
}
