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
#include "bus/sinkfiles.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

struct embed_sink {
	struct embed_sink *next;
	struct weir *w;
	char name[64];
	struct runner *runner;
	int stop[2]; /* the read end is readable once the write end is closed */
	pthread_t thread;
	bool failed; /* the thread has ended by itself, or is about to */
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

/* Ends the thread of a sink that was taken from the list. */
static void
sink_end(struct embed_sink *s)
{
	os_close(s->stop[1]);
	s->stop[1] = -1;
	pthread_join(s->thread, NULL);
	sink_free(s);
}

/* Takes a sink from the list; NULL when it is not there (or, with failed, has
 * not failed). */
static struct embed_sink *
take(struct weir *w, const char *name, bool failed)
{
	struct embed_sink **at, *s;

	pthread_mutex_lock(&w->lock);
	for (at = &w->sinks; (s = *at) != NULL; at = &s->next)
		if (strcmp(s->name, name) == 0 && (s->failed || !failed))
			break;
	if (s)
		*at = s->next;
	pthread_mutex_unlock(&w->lock);
	return s;
}

static int
start(struct embed_sink *s, const char *name, struct weir_err *err)
{
	struct runner_options o = {.store_dir = store_dir(s->w->store),
				   .name = name};
	int rc = sinkfile_check_name(name, err);

	if (rc)
		return rc;
	strcpy(s->name, name);
	if (os()->pipe(s->stop))
		return err_sys(err, "cannot make a pipe for sink %s", name);
	o.stop_fd = s->stop[0];
	rc = runner_new(&s->runner, &o, err);
	if (rc)
		return rc;
	/* The list first: once it runs, it may be stopped. */
	pthread_mutex_lock(&s->w->lock);
	rc = pthread_create(&s->thread, NULL, sink_main, s);
	if (rc == 0) {
		s->next = s->w->sinks;
		s->w->sinks = s;
	}
	pthread_mutex_unlock(&s->w->lock);
	return rc == 0 ? 0
		       : err_set(err, WEIR_EIO,
				 "cannot start a thread for sink %s: %s", name,
				 strerror(rc));
}

EXPORT int
weir_sink_start(struct weir *w, const char *name, struct weir_err *err)
{
	struct embed_sink *s = take(w, name, true);
	int rc;

	if (s)
		sink_end(s);
	s = mem_new(sizeof(*s));
	if (!s)
		return err_nomem(err);
	s->w = w;
	s->stop[0] = s->stop[1] = -1;
	rc = start(s, name, err);
	if (rc)
		sink_free(s);
	return rc;
}

EXPORT int
weir_sink_stop(struct weir *w, const char *name, struct weir_err *err)
{
	struct embed_sink *s = take(w, name, false);

	if (!s)
		return err_set(err, WEIR_ENOTFOUND,
			       "sink %s is not delivered to from here", name);
	sink_end(s);
	return 0;
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
		sink_end(s);
	}
}

/* Has the thread of a sink ended, and why? */
static bool
sink_failed(struct weir *w, const char *name, struct weir_err *why)
{
	bool failed = false;

	pthread_mutex_lock(&w->lock);
	for (struct embed_sink *s = w->sinks; s && !failed; s = s->next) {
		failed = s->failed && strcmp(s->name, name) == 0;
		if (failed)
			*why = s->err;
	}
	pthread_mutex_unlock(&w->lock);
	return failed;
}

EXPORT int
weir_sink_wait(struct weir *w, const char *name, uint64_t sequence,
	       int64_t timeout_us, struct weir_err *err)
{
	int64_t end =
		timeout_us < 0 ? INT64_MAX : clock_monotonic() + timeout_us;
	struct runner_status st;
	struct weir_err why;
	int rc;

	for (;;) {
		bool failed = sink_failed(w, name, &why);

		rc = runner_status(&st, store_dir(w->store), name, err);
		if (rc == 0 && st.cursor >= sequence)
			return 0;
		/* Looked at before the cursor, which may have moved since. */
		if (failed)
			return err_set(err, why.code, "%s", why.msg);
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

EXPORT int
weir_sink_status(struct weir *w, const char *name, struct weir_sink_status *out,
		 struct weir_err *err)
{
	static const char *const words[] = {
		[RUNNER_IDLE] = "idle",	      [RUNNER_RUNNING] = "running",
		[RUNNER_BACKOFF] = "backoff", [RUNNER_BLOCKED] = "blocked",
		[RUNNER_PAUSED] = "paused",   [RUNNER_DISABLED] = "disabled",
		[RUNNER_GONE] = "gone",
	};
	struct runner_status st;
	int rc = runner_status(&st, store_dir(w->store), name, err);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	strcpy(out->state, words[st.state]);
	out->cursor = st.cursor;
	out->attempts = st.attempts;
	out->parked = st.parked;
	out->next_try_at = st.next_try_at;
	snprintf(out->last_error, sizeof(out->last_error), "%s", st.last_error);
	snprintf(out->last_hint, sizeof(out->last_hint), "%s", st.last_hint);
	return 0;
}
