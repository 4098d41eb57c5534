/* SPDX-License-Identifier: MIT */
/* The sides that are weir, through weir.h alone. */
#include "sides.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bench.h"

#define BLOCK	   (64u << 10)
#define WARM_BATCH 1000u

static struct weir *
open_in(char dir[BENCH_PATH])
{
	struct weir_err err;
	struct weir *w;

	bench_make_dir(dir);
	if (weir_open(&w, dir, NULL, &err) != 0)
		bench_die(dir, err.msg);
	return w;
}

/* Bytes of a segment up to the last that is not zero; 0: no such file. */
static uint64_t
used(const char *path)
{
	static char block[BLOCK];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t at = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0)
		at = (uint64_t)st.st_size;
	while (at > 0) {
		uint64_t n = at < BLOCK ? at : BLOCK;
		if (pread(fd, block, n, (off_t)(at - n)) != (ssize_t)n)
			bench_die(path, strerror(errno));
		while (n > 0 && block[n - 1] == 0)
			n--, at--;
		if (n > 0)
			break;
	}
	close(fd);
	return at;
}

/* What the journal took. */
static uint64_t
journal_bytes(const char *dir)
{
	char path[BENCH_PATH + 40];
	uint64_t sum = 0, n = 1;

	for (unsigned i = 1; n > 0; i++) {
		snprintf(path, sizeof(path), "%s/journal/%08u.seg", dir, i);
		n = used(path);
		sum += n;
	}
	if (sum == 0)
		bench_die(dir, "no journal to measure");
	return sum;
}

/* Gives what the journal took so far. */
static uint64_t
warm_up(struct weir *w, const struct job *job, const char *dir)
{
	struct weir_err err;
	struct events e;
	unsigned next = 0;

	if (job->warm == 0)
		return 0;
	events_init(&e, WARM_BATCH, BENCH_PAYLOAD, WEIR_CONTENT_JSON,
		    job->aggregates, 3);
	for (unsigned i = 0; i < job->warm; i++, next += WARM_BATCH) {
		if (next < job->aggregates)
			events_next_from(&e, next);
		else
			events_next(&e);
		if (weir_commit(w, NULL, e.event, WARM_BATCH, &err) != 0)
			bench_die("commit", err.msg);
	}
	events_fini(&e);
	return journal_bytes(dir);
}

double
side_weir(struct job *job)
{
	char dir[BENCH_PATH];
	struct weir *w = open_in(dir);
	uint64_t before = warm_up(w, job, dir);
	struct weir_err err;
	struct events e;
	uint64_t done = 0;

	events_init(&e, job->batch, job->payload, job->content, job->aggregates,
		    1);
	struct weir_receipt *got = calloc(job->batch, sizeof(*got));
	struct lap lap = lap_begin();
	while (done < job->batches && lap_goes_on(&lap)) {
		events_next(&e);
		if (weir_commit(w, got, e.event, job->batch, &err) != 0)
			bench_die("commit", err.msg);
		done++;
	}
	double rate = lap_end(&lap, job, done * job->batch);
	double closing = bench_now();
	weir_close(w);
	job->closing = bench_now() - closing;
	job->bytes = (journal_bytes(dir) - before) / done;
	bench_drop(dir);
	events_fini(&e);
	free(got);
	return rate;
}

/* ---- many threads -------------------------------------------------------- */

struct one {
	struct weir *w;
	struct job *job;
	unsigned number;
	const struct lap *lap;
	uint64_t done;
	pthread_t thread;
};

static void *
append_some(void *arg)
{
	struct one *o = arg;
	const struct job *job = o->job;
	struct weir_receipt got;
	struct weir_err err;
	struct events e;

	events_init(&e, 1, job->payload, job->content, job->aggregates,
		    o->number + 1);
	while (o->done < job->batches / job->threads && lap_goes_on(o->lap)) {
		events_next(&e);
		if (weir_append(o->w, &got, e.event, &err) != 0)
			bench_die("append", err.msg);
		o->done++;
	}
	events_fini(&e);
	return NULL;
}

double
side_threads(struct job *job)
{
	struct one *one = calloc(job->threads, sizeof(*one));
	char dir[BENCH_PATH];
	struct weir *w = open_in(dir);
	uint64_t before = warm_up(w, job, dir);
	uint64_t done = 0;

	struct lap lap = lap_begin();
	for (unsigned i = 0; i < job->threads; i++) {
		one[i] = (struct one){
			.w = w, .job = job, .number = i, .lap = &lap};
		if (pthread_create(&one[i].thread, NULL, append_some,
				   &one[i]) != 0)
			bench_die("thread", "none");
	}
	for (unsigned i = 0; i < job->threads; i++) {
		pthread_join(one[i].thread, NULL);
		done += one[i].done;
	}
	double rate = lap_end(&lap, job, done);
	weir_close(w);
	job->bytes = (journal_bytes(dir) - before) / done;
	bench_drop(dir);
	free(one);
	return rate;
}

/* ---- submit -------------------------------------------------------------- */

static void
answered(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
	 const struct weir_err *err)
{
	_Atomic uint64_t *done = cookie;

	(void)receipts;
	if (code != 0)
		bench_die("submit", err->msg);
	atomic_fetch_add(done, n);
}

double
side_submit(struct job *job)
{
	char dir[BENCH_PATH];
	struct weir *w = open_in(dir);
	uint64_t before = warm_up(w, job, dir), last = weir_last(w);
	_Atomic uint64_t done = 0;
	uint64_t sent = 0;
	struct weir_err err;
	struct events e;

	events_init(&e, job->batch, job->payload, job->content, job->aggregates,
		    1);
	struct lap lap = lap_begin();
	while (sent < job->batches && lap_goes_on(&lap)) {
		events_next(&e);
		if (weir_submit(w, e.event, job->batch, 0, answered, &done,
				&err) != 0)
			bench_die("submit", err.msg);
		sent++;
	}
	if (weir_wait(w, last + sent * job->batch, -1, &err) != 0)
		bench_die("wait", err.msg);
	double rate = lap_end(&lap, job, done);
	weir_close(w);
	if (done != sent * job->batch)
		bench_die("submit", "an answer is missing");
	job->bytes = (journal_bytes(dir) - before) / sent;
	bench_drop(dir);
	events_fini(&e);
	return rate;
}
