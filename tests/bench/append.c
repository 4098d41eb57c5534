/* SPDX-License-Identifier: MIT */
/*
 * How fast records are appended, beside plain writes of the same bytes.
 *
 *   append [-d FOLDER] [-t SECONDS] [-r ROUNDS] [THREADS BATCH]
 *
 * Each row runs weir and its baseline in turn, ROUNDS times, and shows medians.
 * One thread: batches of 1, 100, 1000 records, each batch one commit. 64
 * threads: one record at a time. Records have 300 bytes of JSON payload and are
 * spread over 100,000 aggregates.
 *
 * The baseline writes as many bytes for each batch as the journal took, with
 * one pwrite and one fdatasync, into segments of the same sizes, filled with
 * zeros and synced before use; that filling is in the clock on both sides. With
 * threads, one of them writes and syncs what waits, the others sleep.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "store/store.h"

#define AGGREGATES   100000u
#define PAYLOAD	     300u
#define BATCH_MOST   1000u
#define THREADS_MOST 64u
#define ROUNDS_MOST  9u
#define FIRST	     (1u << 20)
#define LAST	     (256u << 20)

static char (*names)[16];
static const char *folder = ".";
static double seconds = 1.0;
static unsigned rounds = 3;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "append: %s: %s\n", what, why);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
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

static void
make_dir(char out[4096])
{
	snprintf(out, 4096, "%s/append-XXXXXX", folder);
	if (mkdtemp(out) == NULL)
		die(out, strerror(errno));
}

/* ---- weir ---------------------------------------------------------------- */

struct writer {
	struct store *s;
	unsigned batch;
	uint64_t random;
	double until;
	uint64_t records;
	/* between two batches in one segment */
	uint64_t last, bytes, pairs;
};

static void
one_batch(struct writer *w, struct record_draft *d, struct receipt *got,
	  char (*payloads)[PAYLOAD + 1])
{
	struct weir_err err;

	for (unsigned i = 0; i < w->batch; i++) {
		w->random =
			w->random * 6364136223846793005u + 1442695040888963407u;
		unsigned a = (unsigned)(w->random >> 33) % AGGREGATES;
		for (unsigned k = 0; k < 16; k++)
			payloads[i][6 + k] =
				"0123456789abcdef"[w->random >> 4 * k & 15];
		memset(&d[i], 0, sizeof(d[i]));
		d[i].aggregate_type = (struct weir_str){"account", 7};
		d[i].aggregate_id = (struct weir_str){names[a], 9};
		d[i].event_type = (struct weir_str){"changed", 7};
		d[i].payload = (struct weir_str){payloads[i], PAYLOAD};
		d[i].expected = EXPECT_ANY;
	}
	if (store_commit(w->s, got, d, w->batch, &err) != 0)
		die("commit", err.msg);
	if (w->last >> 32 == got[0].position >> 32) {
		w->bytes += got[0].position - w->last;
		w->pairs++;
	}
	w->last = got[0].position;
	w->records += w->batch;
}

static void *
write_records(void *arg)
{
	struct writer *w = arg;
	struct record_draft *d = calloc(w->batch, sizeof(*d));
	struct receipt *got = calloc(w->batch, sizeof(*got));
	char(*payloads)[PAYLOAD + 1] = calloc(w->batch, sizeof(*payloads));

	if (d == NULL || got == NULL || payloads == NULL)
		die("memory", "none");
	for (unsigned i = 0; i < w->batch; i++) {
		memset(payloads[i], 'x', PAYLOAD);
		memcpy(payloads[i], "{\"n\":\"0123456789abcdef\",\"text\":\"",
		       32);
		memcpy(payloads[i] + PAYLOAD - 2, "\"}", 2);
	}
	while (now() < w->until)
		one_batch(w, d, got, payloads);
	free(d);
	free(got);
	free(payloads);
	return NULL;
}

/* Records per second; *bytes: of one batch in the journal. */
static double
run_weir(double *bytes, unsigned threads, unsigned batch)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct writer w[THREADS_MOST];
	pthread_t thread[THREADS_MOST];
	struct weir_err err;
	struct store *s;
	char dir[4096];
	uint64_t records = 0;

	make_dir(dir);
	if (store_open(&s, dir, &o, &err) != 0)
		die("open", err.msg);
	double from = now();
	for (unsigned i = 0; i < threads; i++) {
		w[i] = (struct writer){.s = s,
				       .batch = batch,
				       .random = i + 1,
				       .until = from + seconds};
		if (threads == 1)
			write_records(&w[0]);
		else if (pthread_create(&thread[i], NULL, write_records,
					&w[i]) != 0)
			die("thread", "none");
	}
	for (unsigned i = 0; i < threads; i++) {
		if (threads > 1)
			pthread_join(thread[i], NULL);
		records += w[i].records;
	}
	double took = now() - from;
	if (threads == 1 && w[0].pairs > 0)
		*bytes = (double)w[0].bytes / (double)w[0].pairs;
	store_close(s);
	drop(dir);
	return (double)records / took;
}

/* ---- plain --------------------------------------------------------------- */

static struct {
	char dir[4096];
	uint64_t number, size, at;
	int fd;
	pthread_mutex_t mu;
	pthread_cond_t done[2]; /* of a turn */
	pthread_cond_t news;
	unsigned turn, synced, waiting, callers;
	double until, filling;
	size_t bytes;
	uint64_t records;
	char *block;
} plain;

/* The next segment, full of synced zeros. */
static void
next_segment(void)
{
	double from = now();
	char path[4200];

	if (plain.fd >= 0)
		close(plain.fd);
	plain.size = plain.number == 0	     ? FIRST
		     : plain.size * 2 < LAST ? plain.size * 2
					     : LAST;
	snprintf(path, sizeof(path), "%s/%08llu", plain.dir,
		 (unsigned long long)++plain.number);
	plain.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (plain.fd < 0 ||
	    os_zero_fill(plain.fd, path, 0, plain.size, NULL) != 0 ||
	    fsync(plain.fd) != 0)
		die(path, strerror(errno));
	plain.at = 0;
	plain.filling += now() - from;
}

static void
plain_write(size_t n)
{
	if (plain.at + n > plain.size)
		next_segment();
	if (pwrite(plain.fd, plain.block, n, (off_t)plain.at) != (ssize_t)n ||
	    fdatasync(plain.fd) != 0)
		die("write", strerror(errno));
	plain.at += n;
}

/* Sends one record after the other and waits until each is synced. */
static void *
plain_caller(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&plain.mu);
	while (now() < plain.until) {
		unsigned mine = plain.turn;
		if (plain.waiting++ == 0)
			pthread_cond_signal(&plain.news);
		while (plain.synced <= mine)
			pthread_cond_wait(&plain.done[mine % 2], &plain.mu);
	}
	plain.callers--;
	pthread_cond_signal(&plain.news);
	pthread_mutex_unlock(&plain.mu);
	return NULL;
}

/* Writes and syncs what waits, until no caller is left. */
static void
plain_serve(void)
{
	unsigned last = 0;

	pthread_mutex_lock(&plain.mu);
	while (plain.callers > 0) {
		unsigned n = plain.waiting, mine = plain.turn;
		if (n == 0) {
			pthread_cond_wait(&plain.news, &plain.mu);
			continue;
		}
		/* The same patience as weir's. */
		for (int i = 0; i < 8 && n * 2 < last; i++) {
			pthread_mutex_unlock(&plain.mu);
			sched_yield();
			pthread_mutex_lock(&plain.mu);
			n = plain.waiting;
		}
		last = n;
		plain.waiting = 0;
		plain.turn++;
		pthread_mutex_unlock(&plain.mu);
		plain_write(n * plain.bytes);
		pthread_mutex_lock(&plain.mu);
		plain.records += n;
		plain.synced = mine + 1;
		pthread_cond_broadcast(&plain.done[mine % 2]);
	}
	pthread_mutex_unlock(&plain.mu);
}

static double
run_plain(double *filled, size_t bytes, unsigned threads, unsigned batch)
{
	pthread_t thread[THREADS_MOST];

	memset(&plain, 0, sizeof(plain));
	plain.fd = -1;
	plain.bytes = bytes;
	plain.block = malloc(bytes * THREADS_MOST);
	if (plain.block == NULL)
		die("memory", "none");
	memset(plain.block, 'x', bytes * THREADS_MOST);
	pthread_mutex_init(&plain.mu, NULL);
	pthread_cond_init(&plain.done[0], NULL);
	pthread_cond_init(&plain.done[1], NULL);
	pthread_cond_init(&plain.news, NULL);
	plain.callers = threads;
	make_dir(plain.dir);
	next_segment();
	double from = now();
	plain.until = from + seconds;
	for (unsigned i = 0; threads > 1 && i < threads; i++)
		if (pthread_create(&thread[i], NULL, plain_caller, NULL) != 0)
			die("thread", "none");
	if (threads > 1)
		plain_serve();
	for (unsigned i = 0; threads > 1 && i < threads; i++)
		pthread_join(thread[i], NULL);
	while (threads == 1 && now() < plain.until) {
		plain_write(bytes);
		plain.records += batch;
	}
	double took = now() - from;
	close(plain.fd);
	free(plain.block);
	drop(plain.dir);
	*filled = (double)plain.records / (took - plain.filling);
	return (double)plain.records / took;
}

/* ---- rows ---------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v)
{
	qsort(v, rounds, sizeof(*v), by_size);
	return v[rounds / 2];
}

static void
row(unsigned threads, unsigned batch)
{
	static double single_bytes;
	double ours[ROUNDS_MOST], theirs[ROUNDS_MOST], filled[ROUNDS_MOST];
	double bytes = single_bytes > 0 ? single_bytes : 600;

	for (unsigned i = 0; i < rounds; i++) {
		ours[i] = run_weir(&bytes, threads, batch);
		/* In a group of many, one takes no header and trailer. */
		size_t n = (size_t)bytes - (threads > 1 ? 72 : 0);
		theirs[i] = run_plain(&filled[i], n, threads, batch);
	}
	if (threads == 1 && batch == 1)
		single_bytes = bytes;
	double a = median(ours), b = median(theirs), c = median(filled);
	printf("%7u  %5u  %9.0f  %9.0f  %9.0f  %5.1f %%  %9.0f  %5.1f %%\n",
	       threads, batch, bytes, a, b, 100 * a / b, c, 100 * a / c);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:t:r:")) != -1) {
		if (c == 'd')
			folder = optarg;
		else if (c == 't')
			seconds = strtod(optarg, NULL);
		else if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (rounds < 1 || rounds > ROUNDS_MOST || seconds <= 0)
		die("options", "1 to 9 rounds of more than no time");
	names = calloc(AGGREGATES, sizeof(*names));
	if (names == NULL)
		die("memory", "none");
	for (unsigned i = 0; i < AGGREGATES; i++)
		snprintf(names[i], sizeof(names[i]), "id-%06u", i);
	printf("threads  batch  bytes/one  records/s      plain    ratio     "
	       "filled    ratio\n");
	if (argc - optind == 2) {
		unsigned threads = (unsigned)atoi(argv[optind]);
		unsigned batch = (unsigned)atoi(argv[optind + 1]);
		if (threads < 1 || threads > THREADS_MOST || batch < 1 ||
		    batch > BATCH_MOST || (threads > 1 && batch > 1))
			die("a row", "1 to 64 threads; 1 to 1000 records, with "
				     "more threads one at a time");
		row(threads, batch);
		return 0;
	}
	row(1, 1);
	row(1, 100);
	row(1, 1000);
	row(64, 1);
	free(names);
	return 0;
}
