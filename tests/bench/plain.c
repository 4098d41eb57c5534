/* SPDX-License-Identifier: MIT */
#include "sides.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "bench.h"

#define FIRST (1u << 20)
#define LAST  (256u << 20)
#define TIMES 8		 /* what stands, when segments double */
#define WARM  (8u << 20) /* the segment before */
/* As weir does it: kernels that copy into large new folios can take ten times
 * as long for it. */
#define FILL	 (64u << 10)
#define HAND	 (8u << 20) /* bytes that may wait */
#define WORDS	 64u
#define PATIENCE 8

struct lap
lap_begin(void)
{
	double now = bench_now();

	return (struct lap){now, now + bench.cap, bench_cpu()};
}

bool
lap_goes_on(const struct lap *lap)
{
	return bench_now() < lap->until;
}

double
lap_end(const struct lap *lap, struct job *job, uint64_t records)
{
	double took = bench_now() - lap->from;

	job->cpu = (bench_cpu() - lap->cpu) / (double)records * 1e9;
	return (double)records / took;
}

/* ---- segments ------------------------------------------------------------ */

static void
next_segment(struct plain *p)
{
	static const char zeros[FILL];
	char path[4200];

	if (p->fd >= 0)
		close(p->fd);
	if (p->number == 0)
		p->size = FIRST;
	else if (p->size < LAST && p->before >= TIMES * p->size)
		p->size *= 2;
	p->before += p->size;
	snprintf(path, sizeof(path), "%s/%08llu", p->dir,
		 (unsigned long long)++p->number);
	p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->fd < 0)
		bench_die(path, strerror(errno));
	for (p->at = 0; p->at < p->size; p->at += FILL)
		if (pwrite(p->fd, zeros, FILL, (off_t)p->at) != FILL)
			bench_die(path, strerror(errno));
	if (fsync(p->fd) != 0)
		bench_die(path, strerror(errno));
	p->at = 0;
}

/* A warm store stands a little behind 64 MiB, where segments get larger. */
void
plain_open(struct plain *p, size_t most, bool warm)
{
	*p = (struct plain){.fd = -1};
	if (warm) {
		p->size = WARM;
		p->before = TIMES * WARM;
		p->number = 1;
	}
	p->block = malloc(most);
	if (p->block == NULL)
		bench_die("memory", "none");
	memset(p->block, 'x', most);
	bench_make_dir(p->dir);
	next_segment(p);
	if (warm)
		p->at = p->size / 32;
}

void
plain_write(struct plain *p, const char *bytes, size_t n)
{
	if (p->at + n > p->size)
		next_segment(p);
	if (pwrite(p->fd, bytes, n, (off_t)p->at) != (ssize_t)n ||
	    fdatasync(p->fd) != 0)
		bench_die("write", strerror(errno));
	p->at += n;
}

void
plain_close(struct plain *p)
{
	close(p->fd);
	free(p->block);
	bench_drop(p->dir);
}

double
side_plain(struct job *job)
{
	struct plain p;
	uint64_t done = 0;

	plain_open(&p, job->bytes, job->warm > 0);
	struct lap lap = lap_begin();
	while (done < job->batches && lap_goes_on(&lap)) {
		plain_write(&p, p.block, job->bytes);
		done++;
	}
	double rate = lap_end(&lap, job, done * job->batch);
	plain_close(&p);
	return rate;
}

/* ---- group commit -------------------------------------------------------- */

static struct {
	struct plain plain;
	char *hand[2];
	pthread_mutex_t mu; /* guards what follows up to synced */
	pthread_cond_t news, room;
	unsigned now; /* the hand that is filled */
	size_t len;
	uint32_t turn;
	unsigned waiting, callers;
	uint64_t records, each;
	size_t bytes;
	struct lap lap;
	bool patient; /* callers wait for the sync */
	_Atomic uint32_t synced, word[WORDS];
} group;

static void
sleep_on(uint32_t mine)
{
	_Atomic uint32_t *word = &group.word[mine % WORDS];

	for (;;) {
		uint32_t seen = atomic_load(word);
		if ((int32_t)(atomic_load(&group.synced) - mine) > 0)
			return;
		syscall(SYS_futex, (void *)word, FUTEX_WAIT_PRIVATE, seen, NULL,
			NULL, 0);
	}
}

static void
hand_over(const char *bytes)
{
	pthread_mutex_lock(&group.mu);
	while (group.len + group.bytes > HAND)
		pthread_cond_wait(&group.room, &group.mu);
	memcpy(group.hand[group.now] + group.len, bytes, group.bytes);
	group.len += group.bytes;
	uint32_t mine = group.turn;
	if (group.waiting++ == 0)
		pthread_cond_signal(&group.news);
	pthread_mutex_unlock(&group.mu);
	if (group.patient)
		sleep_on(mine);
}

static void *
caller(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < group.each && lap_goes_on(&group.lap); i++)
		hand_over(group.plain.block);
	pthread_mutex_lock(&group.mu);
	group.callers--;
	pthread_cond_signal(&group.news);
	pthread_mutex_unlock(&group.mu);
	return NULL;
}

/* Lets those who were answered just now come again before a sync is spent on
 * the first of them. mu is held. */
static void
gather(unsigned last)
{
	for (int i = 0; i < PATIENCE && group.waiting * 2 < last; i++) {
		pthread_mutex_unlock(&group.mu);
		sched_yield();
		pthread_mutex_lock(&group.mu);
	}
}

static void
serve(void)
{
	unsigned last = 0;

	pthread_mutex_lock(&group.mu);
	while (group.callers > 0 || group.waiting > 0) {
		if (group.waiting == 0) {
			pthread_cond_wait(&group.news, &group.mu);
			continue;
		}
		gather(group.patient ? last : 0);
		const char *bytes = group.hand[group.now];
		size_t n = group.len;
		uint32_t mine = group.turn++;
		last = group.waiting;
		group.now = !group.now;
		group.len = 0;
		group.waiting = 0;
		pthread_cond_broadcast(&group.room);
		pthread_mutex_unlock(&group.mu);
		plain_write(&group.plain, bytes, n);
		atomic_store(&group.synced, mine + 1);
		atomic_fetch_add(&group.word[mine % WORDS], 1);
		syscall(SYS_futex, (void *)&group.word[mine % WORDS],
			FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
		pthread_mutex_lock(&group.mu);
		group.records += last;
	}
	pthread_mutex_unlock(&group.mu);
}

static double
run_group(struct job *job, unsigned threads, bool patient)
{
	pthread_t *thread = calloc(threads, sizeof(*thread));

	memset(&group, 0, sizeof(group));
	pthread_mutex_init(&group.mu, NULL);
	pthread_cond_init(&group.news, NULL);
	pthread_cond_init(&group.room, NULL);
	for (int i = 0; i < 2; i++) {
		group.hand[i] = malloc(HAND);
		if (group.hand[i] == NULL || thread == NULL)
			bench_die("memory", "none");
		memset(group.hand[i], 0, HAND);
	}
	plain_open(&group.plain, job->bytes, job->warm > 0);
	group.bytes = job->bytes;
	group.each = job->batches / threads;
	group.callers = threads;
	group.patient = patient;
	group.lap = lap_begin();
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, caller, NULL) != 0)
			bench_die("thread", "none");
	serve();
	double rate = lap_end(&group.lap, job, group.records);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	plain_close(&group.plain);
	free(group.hand[0]);
	free(group.hand[1]);
	free(thread);
	return rate;
}

double
side_group(struct job *job)
{
	return run_group(job, job->threads, true);
}

double
side_group_submit(struct job *job)
{
	return run_group(job, 1, false);
}
