/* SPDX-License-Identifier: MIT */
/*
 * The loop: signals, and a tick that moves the server from phase to phase.
 *
 *   RUNS                each second, in a thread of the pool, a pass through
 *                       the writer's lock; the service manager's watchdog is
 *                       fed by it, so not while the writer stands still
 *   ENDS_CONNECTIONS    HTTP drains in a thread of the pool, text in the loop
 *   WAITS_FOR_SINKS     until they have all records
 *   STOPS_SINKS         the supervisor ends the children, within its own time
 *   CLOSES              text closes its connections
 *   ENDED               nothing is left in the loop
 *
 * Each phase but the last two ends at s->until at the latest.
 */
#include "server/server_int.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "model/config.h"
#include "server/feed.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/notify.h"
#include "server/text.h"
#include "store/store.h"

#define AREA	  "server"
#define TICK_MS	  500
#define FAST_MS	  10 /* while draining */
#define FAILED_US 1000000
#define TELL_US	  1000000
#define MORE_US	  20000000 /* the sinks' processes and the last sync */
#define EXTEND_US 15000000

static void step(struct server *s);

/* ---- the watchdog ---------------------------------------------------------
 */

static void
probe(uv_work_t *w)
{
	struct server *s = w->data;

	memset(&s->probe_err, 0, sizeof(s->probe_err));
	s->probe_rc = store_probe(s->store, &s->probe_err);
}

static void
after_probe(uv_work_t *w, int status)
{
	struct server *s = w->data;
	int64_t now = clock_monotonic();

	(void)status;
	s->probing = false;
	if (s->probe_rc != 0 && s->phase == SERVER_RUNS) {
		s->failed = true;
		s->why = s->probe_err;
		step(s);
	}
	if (s->probe_rc != 0 || notify_watchdog() == 0)
		return;
	if (now - s->told_at >= notify_watchdog() / 2) {
		s->told_at = now;
		notify_send("WATCHDOG=1");
	}
}

static void
begin_probe(struct server *s)
{
	if (s->probing)
		return;
	s->probe_work.data = s;
	s->probing = uv_queue_work(&s->loop, &s->probe_work, probe,
				   after_probe) == 0;
}

/* ---- the phases -----------------------------------------------------------
 */

static void
drain_http(uv_work_t *w)
{
	struct server *s = w->data;

	(void)http_drain(s->http, s->until);
}

static void
after_drain(uv_work_t *w, int status)
{
	struct server *s = w->data;

	(void)status;
	s->http_drained = true;
	step(s);
}

/* It is to end: asked to, or the writer failed. */
static void
begin_drain(struct server *s)
{
	int64_t wait = (int64_t)config_u64(s->config, "drain_timeout");

	if (s->failed && wait > FAILED_US)
		wait = FAILED_US;
	s->until = clock_monotonic() + wait;
	s->phase = SERVER_ENDS_CONNECTIONS;
	snprintf(s->info.state, sizeof(s->info.state), "stopping");
	(void)pidfile_write(s->pid_fd, s->o.dir, &s->info, NULL);
	if (!s->failed)
		notify_send("STOPPING=1\nSTATUS=Stopping");
	uv_timer_set_repeat(&s->tick, FAST_MS);
	uv_timer_again(&s->tick);
	if (s->text != NULL)
		text_drain(s->text);
	s->drain_work.data = s;
	if (s->http == NULL || uv_queue_work(&s->loop, &s->drain_work,
					     drain_http, after_drain) != 0)
		s->http_drained = true;
	hub_wake_all(s->hub);
}

static void
on_text_closed(void *server)
{
	struct server *s = server;

	s->text = NULL;
	s->text_closed = true;
	step(s);
}

static void
begin_close(struct server *s)
{
	s->phase = SERVER_CLOSES;
	if (s->http != NULL)
		http_free(s->http);
	s->http = NULL;
	s->text_closed = s->text == NULL;
	if (s->text != NULL)
		text_close(s->text, on_text_closed, s);
}

static bool
connections_ended(const struct server *s)
{
	return s->http_drained &&
	       (s->text == NULL || text_connections(s->text) == 0 ||
		clock_monotonic() >= s->until);
}

/* A writer that failed has nothing new for the sinks. */
static bool
sinks_done(const struct server *s)
{
	return s->sinks == NULL || s->failed || clock_monotonic() >= s->until ||
	       sinks_caught_up(s->o.dir, store_last(s->store));
}

static void
begin_stop_sinks(struct server *s)
{
	s->phase = SERVER_STOPS_SINKS;
	if (s->sinks == NULL)
		s->sinks_ended = true;
	else
		sinks_stop(s->sinks);
}

/* As far as it goes now. */
static void
step(struct server *s)
{
	s->sinks_ended = s->sinks_ended || s->sinks_news;
	switch (s->phase) {
	case SERVER_RUNS:
		if (!s->failed)
			return;
		begin_drain(s);
		return;
	case SERVER_ENDS_CONNECTIONS:
		if (!connections_ended(s))
			return;
		s->phase = SERVER_WAITS_FOR_SINKS;
		/* fallthrough */
	case SERVER_WAITS_FOR_SINKS:
		if (!sinks_done(s))
			return;
		begin_stop_sinks(s);
		/* fallthrough */
	case SERVER_STOPS_SINKS:
		if (!s->sinks_ended || s->probing)
			return;
		begin_close(s);
		/* fallthrough */
	case SERVER_CLOSES:
		if (!s->text_closed || s->phase == SERVER_ENDED)
			return;
		s->phase = SERVER_ENDED;
		uv_stop(&s->loop);
		return;
	default:
		return;
	}
}

/* ---- what comes in --------------------------------------------------------
 */

static void
on_tick(uv_timer_t *t)
{
	struct server *s = t->data;
	int64_t now = clock_monotonic();

	if (s->phase == SERVER_RUNS) {
		begin_probe(s);
	} else if (now - s->told_at >= TELL_US && now < s->until + MORE_US) {
		/* past that it hangs, and is to be killed */
		s->told_at = now;
		notify_send("EXTEND_TIMEOUT_USEC=%d", EXTEND_US);
	}
	step(s);
}

static void
on_news(uv_async_t *a)
{
	step(a->data);
}

void
server_sinks_ended(void *server)
{
	struct server *s = server;

	s->sinks_news = true;
	uv_async_send(&s->news);
}

/* The journal needs no goodbye; the sinks' processes end with this one. */
static void
end_at_once(struct server *s)
{
	diag(DIAG_WARN, AREA, "asked a second time: ends at once");
	listen_remove_local(s->o.dir);
	pidfile_remove(s->o.dir);
	_exit(1);
}

static void
on_stop(uv_signal_t *h, int sig)
{
	struct server *s = h->data;

	(void)sig;
	if (s->asked)
		end_at_once(s);
	s->asked = true;
	diag(DIAG_INFO, AREA, "stopping");
	if (s->phase == SERVER_RUNS)
		begin_drain(s);
	s->failed = false; /* not to be opened again */
}

static void
on_hangup(uv_signal_t *h, int sig)
{
	struct server *s = h->data;

	(void)sig;
	if (s->phase == SERVER_RUNS)
		server_reload(s);
}

/* ---- the loop -------------------------------------------------------------
 */

static int
begin_signal(struct server *s, uv_signal_t *h, uv_signal_cb fn, int sig)
{
	int rc = uv_signal_init(&s->loop, h);

	h->data = s;
	return rc != 0 ? rc : uv_signal_start(h, fn, sig);
}

int
server_loop_begin(struct server *s, struct weir_err *err)
{
	int rc = uv_loop_init(&s->loop);

	if (rc != 0)
		goto failed;
	rc = uv_timer_init(&s->loop, &s->tick);
	if (rc == 0)
		rc = uv_async_init(&s->loop, &s->news, on_news);
	if (rc == 0)
		rc = begin_signal(s, &s->on_term, on_stop, SIGTERM);
	if (rc == 0)
		rc = begin_signal(s, &s->on_int, on_stop, SIGINT);
	if (rc == 0)
		rc = begin_signal(s, &s->on_hup, on_hangup, SIGHUP);
	s->tick.data = s->news.data = s;
	if (rc == 0)
		rc = uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	if (rc == 0)
		return 0;
	server_loop_end(s);
failed:
	return err_set(err, WEIR_ENOMEM, "cannot make the loop: %s",
		       uv_strerror(rc));
}

void
server_loop_run(struct server *s)
{
	if (s->phase != SERVER_RUNS) { /* it did not come so far */
		if (s->sinks == NULL)
			s->sinks_ended = true;
		begin_stop_sinks(s);
		step(s);
	}
	if (s->phase != SERVER_ENDED)
		uv_run(&s->loop, UV_RUN_DEFAULT);
}

static void
close_handle(uv_handle_t *h, void *cookie)
{
	(void)cookie;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void
server_loop_end(struct server *s)
{
	uv_walk(&s->loop, close_handle, NULL);
	do /* a uv_stop outside of uv_run ends the next one at once */
		uv_run(&s->loop, UV_RUN_DEFAULT);
	while (uv_loop_close(&s->loop) == UV_EBUSY);
	signal(SIGHUP, SIG_IGN);
}
