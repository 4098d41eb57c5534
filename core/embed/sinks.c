/* SPDX-License-Identifier: MIT */
/*
 * The embedding API: sinks delivered by threads of the program. Each thread
 * owns one runner; a pipe that closes is its order to stop.
 *
 * A sink's `failed` and `err` are written by its thread under w->lock.
 */
#include "embed/embed.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/runner.h"
#include "store/store.h"

#include <string.h>

struct embed_sink {
	struct embed_sink *next;
	struct weir *w;
	char name[64];
	struct runner *runner;
	int stop[2]; /* the read end is readable once the write end is closed */
	pthread_t thread;
	bool failed;
	struct weir_err err;
};

static void *
sink_main(void *arg)
{
	struct embed_sink *s = arg;
	struct weir_err err = {0};
	int rc = runner_run(s->runner, UINT64_MAX, 0, &err);

	if (rc && rc != WEIR_ESTOPPED) {
		diag(DIAG_ERROR, "sink", "%s: %s", s->name, err.msg);
		pthread_mutex_lock(&s->w->lock);
		s->failed = true;
		s->err = err;
		pthread_mutex_unlock(&s->w->lock);
	}
	return NULL;
}

static void
sink_free(struct embed_sink *s)
{
	runner_free(s->runner);
	os_close(s->stop[0]);
	os_close(s->stop[1]);
	mem_free(s);
}

EXPORT int
weir_sink_start(struct weir *w, const char *name, struct weir_err *err)
{
	struct embed_sink *s = mem_new(sizeof(*s));
	struct runner_options o = {.store_dir = store_dir(w->store),
				   .name = name};
	int rc;

	if (!s)
		return err_nomem(err);
	s->w = w;
	s->stop[0] = s->stop[1] = -1;
	if (strlen(name) >= sizeof(s->name)) {
		rc = err_set(err, WEIR_EINPUT,
			     "a sink's name has at most %zu "
			     "bytes",
			     sizeof(s->name) - 1);
		goto fail;
	}
	strcpy(s->name, name);
	if (os()->pipe(s->stop)) {
		rc = err_sys(err, "cannot make a pipe for sink %s", name);
		goto fail;
	}
	o.stop_fd = s->stop[0];
	rc = runner_new(&s->runner, &o, err);
	if (rc)
		goto fail;
	rc = pthread_create(&s->thread, NULL, sink_main, s);
	if (rc) {
		rc = err_set(err, WEIR_EIO,
			     "cannot start a thread for sink "
			     "%s: %s",
			     name, strerror(rc));
		goto fail;
	}
	pthread_mutex_lock(&w->lock);
	s->next = w->sinks;
	w->sinks = s;
	pthread_mutex_unlock(&w->lock);
	return 0;
fail:
	sink_free(s);
	return rc;
}

void
embed_sinks_stop(struct weir *w)
{
	struct embed_sink *s;

	for (s = w->sinks; s; s = s->next) {
		os_close(s->stop[1]);
		s->stop[1] = -1;
	}
	while ((s = w->sinks)) {
		w->sinks = s->next;
		pthread_join(s->thread, NULL);
		sink_free(s);
	}
}

/* The error with which the thread of a sink ended, if it did. */
static int
sink_failed(struct weir *w, const char *name, struct weir_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	for (struct embed_sink *s = w->sinks; s; s = s->next) {
		if (s->failed && strcmp(s->name, name) == 0)
			rc = err_set(err, s->err.code, "%s", s->err.msg);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

EXPORT int
weir_sink_wait(struct weir *w, const char *name, uint64_t sequence,
	       int64_t timeout_us, struct weir_err *err)
{
	int64_t end =
		timeout_us < 0 ? INT64_MAX : clock_monotonic() + timeout_us;
	struct runner_status st;
	int rc;

	for (;;) {
		rc = runner_status(&st, store_dir(w->store), name, err);
		if (rc)
			return rc;
		if (st.cursor >= sequence)
			return 0;
		rc = sink_failed(w, name, err);
		if (rc)
			return rc;
		if (clock_monotonic() >= end)
			return err_set(
				err, WEIR_EUNREACH,
				"sink %s is at %llu, not yet at %llu%s%s", name,
				(unsigned long long)st.cursor,
				(unsigned long long)sequence,
				st.last_error[0] ? ": " : "", st.last_error);
		(void)os_wait_readable(-1, 2000);
	}
}
