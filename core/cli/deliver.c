/* SPDX-License-Identifier: MIT */
/*
 * Delivering after a write command. Each sink has a thread (a courier) with a
 * runner; the command waits for them for --sink-wait, asks them to stop, and
 * leaves the process behind a courier whose plugin does not come back.
 *
 * Invariant: what the couriers use is allocated once and never freed while one
 * of them runs; `lock` guards `done` of every courier and `left`.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/deadletter.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkview.h"
#include "cli/call.h"
#include "cli/remote_sink.h"
#include "model/config.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GRACE_US 300000	 /* past the deadline, for a batch that is ending */
#define STOP_US	 5000000 /* after the couriers were asked to stop */
#define RETRY_MS 20	 /* between looks at a sink that another holds */

struct courier {
	struct crew *crew;
	char *name;
	uint64_t parked_before, parked;
	struct weir_err err;
	int rc;
	bool started, done;
	pthread_t thread;
};

struct crew {
	char *dir;
	uint64_t through;
	size_t cache_bytes;
	int64_t deadline;
	bool only_wait; /* a server's children deliver */
	int stop[2];
	pthread_mutex_t lock;
	pthread_cond_t ended;
	size_t left, n;
	struct courier couriers[];
};

static uint64_t
count_parked(const char *dir, const char *name)
{
	struct deadletters *d = NULL;
	uint64_t n = 0;

	if (deadletters_load(&d, dir, name, NULL) == 0)
		n = deadletters_count(d);
	deadletters_free(d);
	return n;
}

static bool
is_waiting(const struct runner_status *st)
{
	return st->state == RUNNER_BACKOFF || st->state == RUNNER_BLOCKED ||
	       st->state == RUNNER_GONE;
}

/* Another process delivers for the sink: waits for its cursor or its lock. */
static int
wait_for_other(struct courier *k, bool *reached)
{
	struct pollfd stop = {.fd = k->crew->stop[0], .events = POLLIN};
	struct runner_status st;
	int rc = runner_status(&st, k->crew->dir, k->name, NULL);

	*reached = rc == 0 && st.cursor >= k->crew->through;
	if (*reached)
		return 0;
	if (rc == 0 && k->crew->only_wait && is_waiting(&st))
		return runner_waits(&st, k->name, &k->err);
	if (clock_monotonic() >= k->crew->deadline)
		return WEIR_EUNREACH;
	return os()->poll(&stop, 1, RETRY_MS) > 0 ? WEIR_ESTOPPED : 0;
}

static int
carry(struct courier *k)
{
	struct runner_options o = {.store_dir = k->crew->dir,
				   .name = k->name,
				   .cache_bytes = k->crew->cache_bytes,
				   .stop_fd = k->crew->stop[0],
				   .skip_backoff = true};
	struct runner *r = NULL;
	bool reached = false;
	int rc;

	while (k->crew->only_wait ||
	       (rc = runner_new(&r, &o, &k->err)) == WEIR_EUNREACH) {
		rc = wait_for_other(k, &reached);
		if (reached || rc != 0)
			return rc;
	}
	if (rc == 0)
		rc = runner_run(r, k->crew->through, k->crew->deadline,
				&k->err);
	runner_free(r);
	return rc;
}

static void *
courier_main(void *arg)
{
	struct courier *k = arg;
	int rc = carry(k);

	k->parked = count_parked(k->crew->dir, k->name);
	pthread_mutex_lock(&k->crew->lock);
	k->rc = rc;
	k->done = true;
	k->crew->left--;
	pthread_cond_signal(&k->crew->ended);
	pthread_mutex_unlock(&k->crew->lock);
	return NULL;
}

/* Waits until all couriers are back or the monotonic time has come. */
static bool
all_back(struct crew *crew, int64_t until)
{
	struct timespec ts = {.tv_sec = until / 1000000,
			      .tv_nsec = until % 1000000 * 1000};
	bool back;
	int rc = 0;

	pthread_mutex_lock(&crew->lock);
	while (crew->left > 0 && rc == 0)
		rc = pthread_cond_timedwait(&crew->ended, &crew->lock, &ts);
	back = crew->left == 0;
	pthread_mutex_unlock(&crew->lock);
	return back;
}

static struct crew *
crew_new(const char *dir, char **names, size_t n, struct weir_err *err)
{
	struct crew *crew = mem_new(sizeof(*crew) + n * sizeof(struct courier));
	pthread_condattr_t attr;

	if (crew == NULL || (crew->dir = mem_dup(dir, strlen(dir))) == NULL) {
		mem_free(crew);
		err_nomem(err);
		return NULL;
	}
	if (os()->pipe(crew->stop) != 0) {
		err_sys(err, "making a pipe for the sinks");
		mem_free(crew->dir);
		mem_free(crew);
		return NULL;
	}
	pthread_mutex_init(&crew->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&crew->ended, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < n; i++) {
		crew->couriers[i].crew = crew;
		crew->couriers[i].name = must_dup(names[i]);
	}
	crew->n = n;
	return crew;
}

/* All couriers are back. */
static void
crew_free(struct crew *crew)
{
	for (size_t i = 0; i < crew->n; i++) {
		if (crew->couriers[i].started)
			pthread_join(crew->couriers[i].thread, NULL);
		mem_free(crew->couriers[i].name);
	}
	pthread_cond_destroy(&crew->ended);
	pthread_mutex_destroy(&crew->lock);
	os_close(crew->stop[0]);
	os_close(crew->stop[1]);
	mem_free(crew->dir);
	mem_free(crew);
}

/* Enabled sinks that are not paused; NULL-ended, names from list. */
static size_t
wanted(const char *dir, char **list, size_t n, const char *only)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct sinkconf *conf = NULL;
		bool keep = only == NULL || strcmp(only, list[i]) == 0;

		if (keep && sinkconf_load(&conf, dir, list[i], NULL) == 0)
			keep = conf->enabled && !conf->paused;
		sinkconf_free(conf);
		if (keep)
			list[kept++] = list[i];
	}
	return kept;
}

static void
send_out(struct crew *crew, int64_t wait_us)
{
	crew->deadline = clock_monotonic() + wait_us;
	for (size_t i = 0; i < crew->n; i++) {
		struct courier *k = &crew->couriers[i];

		k->parked_before = count_parked(crew->dir, k->name);
		pthread_mutex_lock(&crew->lock);
		crew->left++;
		pthread_mutex_unlock(&crew->lock);
		k->started =
			pthread_create(&k->thread, NULL, courier_main, k) == 0;
		if (k->started)
			continue;
		pthread_mutex_lock(&crew->lock);
		crew->left--;
		k->done = true;
		k->rc = err_set(&k->err, WEIR_ENOMEM,
				"no thread could be started");
		pthread_mutex_unlock(&crew->lock);
	}
}

/* Warns about every sink that is behind; how many there are. */
static size_t
report(struct cli *c, struct crew *crew)
{
	size_t behind = 0;
	char text[1100];

	pthread_mutex_lock(&crew->lock);
	for (size_t i = 0; i < crew->n; i++) {
		struct courier *k = &crew->couriers[i];

		if (k->done && k->rc == 0 && k->parked <= k->parked_before)
			continue;
		behind++;
		if (!k->done)
			cli_warn(c,
				 "sink %s is behind: its plugin did not "
				 "come back in time",
				 k->name);
		else if (k->rc == 0)
			cli_warn(c,
				 "sink %s refused a record and parked its "
				 "aggregate; `weir sink dead-letters %s` "
				 "says why",
				 k->name, k->name);
		else
			cli_warn(c, "sink %s is behind: %s", k->name,
				 k->err.msg[0] != '\0'
					 ? sinkview_message(text, k->err.msg,
							    k->name)
					 : "it did not catch up in time");
	}
	pthread_mutex_unlock(&crew->lock);
	return behind;
}

static int
deliver(struct cli *c, struct store *s, const char *only, bool writes,
	int64_t wait_us, size_t *behind, struct weir_err *err)
{
	enum call_way way = CALL_HERE;
	struct crew *crew = NULL;
	char **names = NULL;
	size_t n = 0;
	bool back;
	int rc = sinkconf_list(&names, &n, store_dir(s), err);

	if (rc == 0)
		n = wanted(store_dir(s), names, n, only);
	if (rc != 0 || n == 0)
		goto out;
	if (writes)
		rc = store_end_writing(s, err);
	if (rc != 0)
		goto out;
	crew = crew_new(store_dir(s), names, n, err);
	if (crew == NULL) {
		rc = err != NULL ? err->code : WEIR_ENOMEM;
		goto out;
	}
	if (call_way(c, &way, NULL) == 0)
		crew->only_wait = way == CALL_SOCKET;
	crew->through = store_last(s);
	crew->cache_bytes = config_u64(c->config, "memory_threshold");
	send_out(crew, wait_us);
	back = all_back(crew, crew->deadline + GRACE_US);
	if (!back) {
		ssize_t k = os()->write(crew->stop[1], "", 1);

		(void)k;
		back = all_back(crew, clock_monotonic() + STOP_US);
	}
	*behind = report(c, crew);
	if (back)
		crew_free(crew);
	else
		c->abandon = true;
out:
	mem_free(names);
	return rc;
}

static int
deliver_for(struct cli *c, struct store *s, const char *only, bool writes)
{
	const char *given = cli_get(c, "sink-wait");
	bool require = cli_has(c, "require-sinks");
	struct weir_err err = {0};
	struct config *config;
	size_t behind = 0;
	int64_t wait_us;
	int rc = cli_config(c, &config, &err);

	if (rc == 0)
		rc = cli_duration(&wait_us,
				  given ? given
					: config_get(config, "sink_wait"),
				  given ? "--sink-wait" : "sink_wait", &err);
	if (rc == 0 && (wait_us > 0 || require))
		rc = deliver(c, s, only, writes, wait_us, &behind, &err);
	if (rc != 0)
		cli_warn(c, "nothing was delivered to the sinks: %s", err.msg);
	return require && (rc != 0 || behind > 0) ? 8 : 0;
}

int
cli_deliver(struct cli *c, struct store *s, const char *only)
{
	return deliver_for(c, s, only, only == NULL);
}

int
cli_await(struct cli *c)
{
	struct weir_err err = {0};
	struct store *s = NULL;
	int rc;

	if (call_network(c))
		return remote_await(c, NULL);
	rc = cli_open_read(c, &s, &err);
	if (rc != 0)
		cli_warn(c, "nothing is known of the sinks: %s", err.msg);
	else
		rc = deliver_for(c, s, NULL, false);
	store_close(s);
	return rc < 0 ? cli_has(c, "require-sinks") ? 8 : 0 : rc;
}
