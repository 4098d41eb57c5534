/* SPDX-License-Identifier: MIT */
/*
 * weir sink run, in this process: a thread for the sink that is named, or with
 * --once for each. One that ends because it can't go on (its settings, another
 * process that delivers) is started anew after a while, until a signal comes.
 * Settings changes of a running sink are the runner's own business. Everything
 * else is sink_supervise's.
 *
 * Invariant: the main thread alone adds workers; `lock` guards runner, done, rc
 * and err of each.
 */
#include "cli/sink.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkview.h"
#include "model/config.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS	   500	    /* between looks for new or ended sinks */
#define AGAIN_US   2000000  /* before an ended worker is started anew */
#define AT_ONCE_US 10000000 /* --once: for a sink held by another */

struct worker {
	char *name;
	char *dir;
	bool once;
	uint64_t through;
	size_t cache_bytes;
	int64_t deliver_us;
	pthread_t thread;
	struct runner *runner; /* while it delivers */
	bool running, done;
	int rc;
	int64_t ended_at;
	char told[1000]; /* the last message about it */
	struct weir_err err;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct team {
	struct cli *c;
	const char *dir;
	bool once;
	uint64_t through;
	struct worker **workers;
	size_t n;
};

static volatile sig_atomic_t files_rotated;

static void
on_hangup(int sig)
{
	(void)sig;
	diag_reopen();
	files_rotated = 1;
}

static void
set_runner(struct worker *w, struct runner *r)
{
	pthread_mutex_lock(&lock);
	w->runner = r;
	pthread_mutex_unlock(&lock);
}

/* Has another process delivered all that is asked for? */
static bool
has_reached(const struct worker *w)
{
	struct runner_status st;

	return runner_status(&st, w->dir, w->name, NULL) == 0 &&
	       st.cursor >= w->through;
}

static int
deliver(struct worker *w, struct weir_err *err)
{
	struct runner_options o = {.store_dir = w->dir,
				   .name = w->name,
				   .cache_bytes = w->cache_bytes,
				   .stop_fd = cli_stop_fd(),
				   .deliver_us = w->deliver_us,
				   .skip_backoff = w->once};
	struct pollfd stop = {.fd = o.stop_fd, .events = POLLIN};
	int64_t until = clock_monotonic() + AT_ONCE_US;
	struct runner *r = NULL;
	int rc;

	do {
		rc = runner_new(&r, &o, err);
		if (rc == WEIR_EUNREACH && w->once && has_reached(w))
			return 0;
	} while (rc == WEIR_EUNREACH && w->once && clock_monotonic() < until &&
		 os()->poll(&stop, 1, 50) == 0);
	if (rc != 0)
		return rc;
	set_runner(w, r);
	rc = runner_run(r, w->once ? w->through : UINT64_MAX, 0, err);
	set_runner(w, NULL);
	runner_free(r);
	return rc;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct weir_err err = {0};
	int rc = deliver(w, &err);

	pthread_mutex_lock(&lock);
	w->rc = rc;
	w->err = err;
	w->done = true;
	w->ended_at = clock_monotonic();
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void
start(struct worker *w)
{
	w->done = false;
	w->running = pthread_create(&w->thread, NULL, worker_main, w) == 0;
	if (!w->running) {
		w->done = true;
		w->ended_at = clock_monotonic();
		w->rc = err_set(&w->err, WEIR_ENOMEM,
				"no thread could be started");
	}
}

static struct worker *
find(struct team *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->workers[i]->name, name) == 0)
			return t->workers[i];
	return NULL;
}

static void
add(struct team *t, const char *name)
{
	struct worker **more = must_mem((t->n + 1) * sizeof(*more));
	struct worker *w = must_mem(sizeof(*w));

	w->name = must_dup(name);
	w->dir = must_dup(t->dir);
	w->once = t->once;
	w->through = t->through;
	w->cache_bytes = config_u64(t->c->config, "memory_threshold");
	w->deliver_us = (int64_t)config_u64(t->c->config, "deliver_timeout");
	if (t->n > 0)
		memcpy(more, t->workers, t->n * sizeof(*more));
	mem_free(t->workers);
	t->workers = more;
	t->workers[t->n++] = w;
	start(w);
}

/* Settings that can't be read are left to the worker, who says so. */
static bool
may_run(struct team *t, const char *name)
{
	struct sinkconf *conf = NULL;
	int rc = sinkconf_load(&conf, t->dir, name, NULL);
	bool ok = rc == 0 ? conf->enabled && (!t->once || !conf->paused)
			  : rc != WEIR_ENOTFOUND;

	sinkconf_free(conf);
	return ok;
}

/* Starts workers for the sinks that have none. */
static int
look_for_sinks(struct team *t, struct weir_err *err)
{
	size_t named = cli_count(t->c, "SINK"), at = 0, n = 0;
	char **names = NULL;
	int rc = sinkconf_list(&names, &n, t->dir, err);

	for (size_t i = 0; rc == 0 && i < (named > 0 ? named : n); i++) {
		const char *name =
			named > 0 ? cli_next(t->c, "SINK", &at) : names[i];

		if (find(t, name) == NULL && may_run(t, name))
			add(t, name);
	}
	mem_free(names);
	return rc;
}

/* Says once why a worker ended. */
static void
tell(struct team *t, struct worker *w)
{
	char text[1100];

	if (w->rc == 0 || w->rc == WEIR_ESTOPPED ||
	    strcmp(w->told, w->err.msg) == 0)
		return;
	snprintf(w->told, sizeof(w->told), "%s", w->err.msg);
	cli_warn(t->c, "sink %s: %s", w->name,
		 sinkview_message(text, w->err.msg, w->name));
}

/* How many still run; ended ones are joined, and started anew in time. */
static size_t
look_at_workers(struct team *t)
{
	int64_t now = clock_monotonic();
	size_t running = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct worker *w = t->workers[i];
		bool done;

		pthread_mutex_lock(&lock);
		done = w->done;
		pthread_mutex_unlock(&lock);
		if (done && w->running) {
			pthread_join(w->thread, NULL);
			w->running = false;
			tell(t, w);
		}
		if (!w->running && !t->once && !cli_stopped() &&
		    now - w->ended_at > AGAIN_US && may_run(t, w->name))
			start(w);
		running += w->running;
	}
	return running;
}

/* After SIGHUP: every sink opens its files anew. */
static void
reload_files(struct team *t)
{
	if (!files_rotated)
		return;
	files_rotated = 0;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < t->n; i++)
		if (t->workers[i]->runner != NULL)
			runner_reload(t->workers[i]->runner);
	pthread_mutex_unlock(&lock);
}

static int
check_names(struct team *t, struct weir_err *err)
{
	const char *name;
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && (name = cli_next(t->c, "SINK", &at)) != NULL) {
		struct sinkconf *conf = NULL;

		rc = sinkconf_load(&conf, t->dir, name, err);
		if (rc == 0 && t->once && (!conf->enabled || conf->paused))
			cli_warn(t->c, "sink %s is %s and gets nothing", name,
				 conf->enabled ? "paused" : "disabled");
		sinkconf_free(conf);
	}
	return rc;
}

/* Counts for people, or one JSON object; the exit status. */
static int
sum_up(struct team *t)
{
	struct buf *b = &t->c->out;
	size_t behind = 0;

	for (size_t i = 0; i < t->n; i++)
		behind += t->workers[i]->rc != 0;
	if (t->c->json)
		buf_printf(b,
			   "{\"sinks\":%zu,\"behind\":%zu,"
			   "\"through\":%" PRIu64 "}\n",
			   t->n, behind, t->through);
	else if (behind == 0 && t->n > 0)
		buf_printf(b, "%zu %s delivered through sequence %" PRIu64 "\n",
			   t->n, t->n == 1 ? "sink" : "sinks", t->through);
	return behind > 0 ? 8 : 0;
}

static void
team_free(struct team *t)
{
	for (size_t i = 0; i < t->n; i++) {
		mem_free(t->workers[i]->name);
		mem_free(t->workers[i]->dir);
		mem_free(t->workers[i]);
	}
	mem_free(t->workers);
}

static int
run_team(struct team *t, struct weir_err *err)
{
	struct pollfd stop = {.fd = cli_stop_fd(), .events = POLLIN};
	int64_t stopped_at = 0;
	int rc = check_names(t, err);

	if (stop.fd < 0)
		return err_sys(err, "making a pipe for signals");
	if (rc == 0)
		rc = look_for_sinks(t, err);
	if (rc == 0 && t->n == 0)
		cli_note(t->c, "no sink is enabled");
	else if (rc == 0 && !t->once && t->c->err_tty)
		cli_note(t->c, "delivering to %zu %s until interrupted", t->n,
			 t->n == 1 ? "sink" : "sinks");
	while (rc == 0) {
		size_t running = look_at_workers(t);

		if (running == 0 && (t->once || cli_stopped()))
			break;
		reload_files(t);
		if (cli_stopped() && stopped_at == 0)
			stopped_at = clock_monotonic();
		if (stopped_at != 0 &&
		    clock_monotonic() - stopped_at > AT_ONCE_US) {
			cli_warn(t->c, "a sink did not stop in time");
			t->c->abandon = true;
			break;
		}
		if (cli_stopped())
			os()->poll(NULL, 0, 10);
		else
			os()->poll(&stop, 1, t->once ? 10 : LOOK_MS);
		if (!t->once && !cli_stopped())
			rc = look_for_sinks(t, err);
	}
	return rc;
}

int
sink_run(struct cli *c, struct weir_err *err)
{
	struct sigaction hangup = {.sa_handler = on_hangup};
	struct team t = {.c = c, .once = cli_has(c, "once")};
	struct store *s = NULL;
	int rc = cli_data_dir(c, &t.dir, err);

	if (rc == 0 && sink_supervised(c, &rc, err))
		return rc;
	if (rc == 0)
		rc = cli_open_read(c, &s, err);
	if (rc != 0)
		return rc;
	t.through = store_last(s);
	store_close(s);
	if (!t.once && cli_count(c, "SINK") != 1)
		return sink_supervise(c, err);
	sigaction(SIGHUP, &hangup, NULL);
	rc = run_team(&t, err);
	if (rc == 0 && cli_stopped() == SIGINT)
		rc = err_set(err, WEIR_ESTOPPED, "%s", "");
	if (rc == 0 && t.once && !cli_stopped())
		rc = sum_up(&t);
	if (!c->abandon)
		team_free(&t);
	return rc;
}
