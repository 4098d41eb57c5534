/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/os.h"
#include "store/live.h"

#define ZEROS 4096u /* a write of zeros is at least so long */

static struct {
	struct os table;
	pthread_t main;
	pthread_mutex_t mu; /* guards what follows */
	pthread_cond_t news;
	bool shut;
	int64_t slow_us;
	uint64_t writes, fail_write_at, syncs, fail_sync_at, fsyncs, zeros;
	int write_error, sync_error;
	enum gate_of of;
} gate;

static bool
is_main(void)
{
	return pthread_equal(pthread_self(), gate.main) != 0;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static ssize_t
gate_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	bool fails = false;
	int error;

	pthread_mutex_lock(&gate.mu);
	if (n >= ZEROS && is_main() && all_zero(buf, n))
		gate.zeros += n;
	if (gate.of == GATE_ALL || (gate.of == GATE_MAIN) == is_main())
		fails = ++gate.writes >= gate.fail_write_at &&
			gate.fail_write_at != 0;
	error = gate.write_error;
	pthread_mutex_unlock(&gate.mu);
	if (fails) {
		errno = error;
		return -1;
	}
	return os_real()->pwrite(fd, buf, n, at);
}

static int
gate_fdatasync(int fd)
{
	int64_t slow;
	int error = 0;

	pthread_mutex_lock(&gate.mu);
	while (gate.shut)
		pthread_cond_wait(&gate.news, &gate.mu);
	gate.syncs++;
	if (gate.fail_sync_at != 0 && gate.syncs >= gate.fail_sync_at)
		error = gate.sync_error;
	slow = gate.slow_us;
	pthread_mutex_unlock(&gate.mu);
	if (slow > 0)
		live_sleep(slow);
	if (error != 0) {
		errno = error;
		return -1;
	}
	return os_real()->fdatasync(fd);
}

static int
gate_fsync(int fd)
{
	int rc = os_real()->fsync(fd);

	pthread_mutex_lock(&gate.mu);
	gate.fsyncs += !is_main();
	pthread_cond_broadcast(&gate.news);
	pthread_mutex_unlock(&gate.mu);
	return rc;
}

void
gate_begin(void)
{
	memset(&gate, 0, sizeof(gate));
	pthread_mutex_init(&gate.mu, NULL);
	pthread_cond_init(&gate.news, NULL);
	gate.main = pthread_self();
	gate.table = *os_real();
	gate.table.pwrite = gate_pwrite;
	gate.table.fdatasync = gate_fdatasync;
	gate.table.fsync = gate_fsync;
	os_set(&gate.table);
}

void
gate_end(void)
{
	os_set(NULL);
}

void
gate_slow(int64_t us)
{
	pthread_mutex_lock(&gate.mu);
	gate.slow_us = us;
	pthread_mutex_unlock(&gate.mu);
}

void
gate_fail_write(uint64_t n, int error, enum gate_of of)
{
	pthread_mutex_lock(&gate.mu);
	gate.writes = 0;
	gate.fail_write_at = n;
	gate.write_error = error;
	gate.of = of;
	pthread_mutex_unlock(&gate.mu);
}

void
gate_fail_sync(uint64_t n, int error)
{
	pthread_mutex_lock(&gate.mu);
	gate.fail_sync_at = gate.syncs + n;
	gate.sync_error = error;
	pthread_mutex_unlock(&gate.mu);
}

void
gate_mend(void)
{
	pthread_mutex_lock(&gate.mu);
	gate.fail_write_at = gate.fail_sync_at = 0;
	gate.of = GATE_ALL;
	pthread_mutex_unlock(&gate.mu);
}

void
gate_shut(void)
{
	pthread_mutex_lock(&gate.mu);
	gate.shut = true;
	pthread_mutex_unlock(&gate.mu);
}

void
gate_open(void)
{
	pthread_mutex_lock(&gate.mu);
	gate.shut = false;
	pthread_cond_broadcast(&gate.news);
	pthread_mutex_unlock(&gate.mu);
}

uint64_t
gate_syncs(void)
{
	pthread_mutex_lock(&gate.mu);
	uint64_t n = gate.syncs;
	pthread_mutex_unlock(&gate.mu);
	return n;
}

uint64_t
gate_main_zeros(void)
{
	pthread_mutex_lock(&gate.mu);
	uint64_t n = gate.zeros;
	pthread_mutex_unlock(&gate.mu);
	return n;
}

void
gate_wait_fsync(uint64_t n)
{
	pthread_mutex_lock(&gate.mu);
	while (gate.fsyncs < n)
		pthread_cond_wait(&gate.news, &gate.mu);
	pthread_mutex_unlock(&gate.mu);
}

uint64_t
gate_fsyncs(void)
{
	pthread_mutex_lock(&gate.mu);
	uint64_t n = gate.fsyncs;
	pthread_mutex_unlock(&gate.mu);
	return n;
}
