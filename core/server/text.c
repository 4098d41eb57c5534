/* SPDX-License-Identifier: MIT */
/*
 * The text protocol's life: settings, the listening socket, the turns of the
 * loop and the counters. text_int.h says what the other files do.
 */
#include "server/text_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"

#define BACKLOG	   1024
#define TICK_US	   50000
#define TICK_LEAST 5000

/* ---- settings
 * ------------------------------------------------------------------------ */

static void
hash_secret(uint8_t out[TEXT_SECRET], const char *s)
{
	struct digest_part part = {s != NULL ? s : "",
				   s != NULL ? strlen(s) : 0};

	digest_sha256(out, &part, 1);
}

static int
take_settings(struct text_settings *set, const struct config *c)
{
	const char *username = config_get(c, "text.username");
	const char *password = config_get(c, "text.password");
	bool asks = username != NULL && password != NULL;
	char *user = asks ? mem_dup(username, strlen(username)) : NULL;

	if (asks && user == NULL)
		return WEIR_ENOMEM;
	mem_free(set->user);
	set->user = user;
	set->asks = asks;
	hash_secret(set->username, username);
	hash_secret(set->password, password);
	set->connections = config_u64(c, "text.connections");
	set->per_address = config_u64(c, "text.connections_per_address");
	set->slow_us = (int64_t)config_u64(c, "text.slow_timeout");
	return 0;
}

void
text_reload(struct text *t, const struct config *config)
{
	if (take_settings(&t->set, config) != 0)
		diag(DIAG_ERROR, "text",
		     "no memory for the settings: the old ones stay");
}

/* ---- turns
 * ----------------------------------------------------------------------------
 */

static void on_news(uv_poll_t *h, int status, int events);

void
text_arm(struct text *t)
{
	struct weir_err err;

	if (t->closing || t->live == 0 || t->behind)
		return;
	if (watch_arm(t->watch, t->spot.sequence, &err) != 0)
		diag(DIAG_ERROR, "text", "live streams stand still: %s",
		     err.msg);
	else if (!t->armed)
		t->armed = uv_poll_start(&t->news, UV_READABLE, on_news) == 0;
}

static void
follow(struct text *t)
{
	t->behind = text_follow(t);
	if (t->behind)
		text_turn(t);
}

static void
on_news(uv_poll_t *h, int status, int events)
{
	struct text *t = h->data;

	(void)status;
	(void)events;
	/* The descriptor stays readable until it is armed again. */
	uv_poll_stop(&t->news);
	t->armed = false;
	follow(t);
	text_arm(t);
}

static void
on_turn(uv_idle_t *h)
{
	struct text *t = h->data;

	if (t->behind) {
		follow(t);
		text_arm(t);
	}
	if (!text_serve_ready(t) && !t->behind)
		uv_idle_stop(&t->turn);
}

void
text_turn(struct text *t)
{
	if (!t->closing)
		uv_idle_start(&t->turn, on_turn);
}

static void
on_answers(uv_async_t *h)
{
	struct text *t = h->data;

	text_take_answers(t);
	if (!t->behind)
		follow(t);
}

static void
on_tick(uv_timer_t *h)
{
	struct text *t = h->data;

	if (t->deferred)
		text_accept(t);
	text_retry(t);
	text_watch(t, clock_monotonic());
	if (t->waiting == 0 && t->nstalled == 0 && !t->deferred)
		uv_timer_stop(&t->tick);
}

void
text_tick(struct text *t)
{
	int64_t us = t->set.slow_us / 4;

	us = us < TICK_LEAST ? TICK_LEAST : us > TICK_US ? TICK_US : us;
	if (!t->closing && !uv_is_active((uv_handle_t *)&t->tick))
		uv_timer_start(&t->tick, on_tick, (uint64_t)us / 1000,
			       (uint64_t)us / 1000);
}

static void
on_connection(uv_stream_t *h, int status)
{
	struct text *t = h->data;

	if (status == 0)
		text_accept(t);
}

/* ---- its end
 * ----------------------------------------------------------------------------
 */

static void
release(struct text *t)
{
	text_free_addresses(t);
	watch_free(t->watch);
	reader_free(t->reader);
	mem_free(t->set.user);
	pthread_mutex_destroy(&t->mu);
	mem_free(t);
}

static void
on_handle(uv_handle_t *h)
{
	struct text *t = h->data;

	t->handles--;
	text_left(t);
}

/* The committer may wake the loop as long as publishes are with it, so this
 * handle is the last. */
void
text_left(struct text *t)
{
	void (*closed)(void *cookie) = t->closed;
	void *cookie = t->closed_cookie;

	if (!t->closing || t->objects > 0 || t->handles > t->has_answers)
		return;
	must(t->publishes == 0);
	if (t->has_answers > 0) {
		t->has_answers = 0;
		uv_close((uv_handle_t *)&t->answers, on_handle);
		return;
	}
	release(t);
	if (closed != NULL)
		closed(cookie);
}

static void
close_handle(uv_handle_t *h)
{
	/* One that was never made has no loop. */
	if (h->loop != NULL && !uv_is_closing(h))
		uv_close(h, on_handle);
}

void
text_drain(struct text *t)
{
	if (t->draining)
		return;
	t->draining = true;
	t->deferred = false;
	close_handle((uv_handle_t *)&t->listener);
	for (struct text_conn *c = t->conns; c != NULL; c = c->next) {
		if (c->sub != NULL && !c->ending && !c->gone)
			text_error(c, "EventStreamError\tClosed");
		text_end(c);
	}
}

static void
close_all(struct text *t)
{
	t->draining = t->closing = true;
	close_handle((uv_handle_t *)&t->listener);
	close_handle((uv_handle_t *)&t->news);
	close_handle((uv_handle_t *)&t->turn);
	close_handle((uv_handle_t *)&t->tick);
	for (struct text_conn *c = t->conns; c != NULL; c = c->next)
		text_cut(c);
	text_left(t);
}

void
text_close(struct text *t, void (*done)(void *cookie), void *cookie)
{
	t->closed = done;
	t->closed_cookie = cookie;
	close_all(t);
}

uint64_t
text_connections(const struct text *t)
{
	return atomic_load_explicit(&t->n_conns, memory_order_relaxed);
}

/* ---- counters
 * ----------------------------------------------------------------------------
 */

struct counter {
	const char *name, *type, *help;
	_Atomic uint64_t *n;
};

void
text_metrics(struct text *t, struct buf *out)
{
	const struct counter all[] = {
		{"connections", "gauge", "Connections of the text protocol.",
		 &t->n_conns},
		{"subscriptions", "gauge", "Streams that are running.",
		 &t->n_subs},
		{"accepted_total", "counter", "Connections accepted.",
		 &t->n_accepted},
		{"refused_total", "counter",
		 "Connections refused for being too many.", &t->n_refused},
		{"published_total", "counter", "Events published.",
		 &t->n_published},
		{"events_total", "counter", "Events sent to subscribers.",
		 &t->n_events},
		{"errors_total", "counter", "Error lines sent.", &t->n_errors},
		{"logins_failed_total", "counter",
		 "Connects with wrong credentials.", &t->n_logins_failed},
		{"slow_total", "counter",
		 "Clients given up for taking nothing.", &t->n_slow},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct counter *c = &all[i];
		uint64_t n = atomic_load_explicit(c->n, memory_order_relaxed);

		buf_printf(out,
			   "# HELP weir_text_%s %s\n# TYPE weir_text_%s %s\n"
			   "weir_text_%s %" PRIu64 "\n",
			   c->name, c->help, c->name, c->type, c->name, n);
	}
}

/* ---- its beginning
 * ------------------------------------------------------------------------ */

static int
failed(const char *what, int rc, struct weir_err *err)
{
	return err_set(err, rc == UV_ENOMEM ? WEIR_ENOMEM : WEIR_EIO,
		       "cannot %s for the text protocol: %s", what,
		       uv_strerror(rc));
}

/* What is made here is closed by close_all, whatever fails behind it. */
static int
init_handles(struct text *t, struct weir_err *err)
{
	int rc;

	t->listener.data = t->answers.data = t->news.data = t->turn.data =
		t->tick.data = t;
	rc = uv_async_init(t->loop, &t->answers, on_answers);
	if (rc != 0)
		return failed("wake the loop", rc, err);
	t->has_answers = 1;
	uv_idle_init(t->loop, &t->turn);
	uv_timer_init(t->loop, &t->tick);
	t->handles += 3;
	rc = uv_poll_init(t->loop, &t->news, watch_fd(t->watch));
	if (rc != 0) {
		t->news.loop = NULL;
		return failed("wait for records", rc, err);
	}
	t->handles++;
	return 0;
}

/* There is no encryption: others are let in on request only. */
static int
check_network(struct text *t, const struct config *config, struct weir_err *err)
{
	const char *insecure = config_get(config, "insecure_network");
	struct sockaddr_storage own;
	int n = sizeof(own);

	memset(&own, 0, sizeof(own));
	if (uv_tcp_getsockname(&t->listener, (struct sockaddr *)&own, &n) ==
		    0 &&
	    text_is_loopback(&own))
		return 0;
	if (insecure != NULL && strcmp(insecure, "yes") == 0)
		return 0;
	return err_set(err, WEIR_EDENIED,
		       "text.host %s is not a loopback address, and the text "
		       "protocol has no encryption: set another text.host, or "
		       "insecure_network = yes",
		       config_get(config, "text.host"));
}

static int
init_listener(struct text *t, const struct text_options *o,
	      struct weir_err *err)
{
	int rc = uv_tcp_init(t->loop, &t->listener);

	if (rc != 0)
		return failed("listen", rc, err);
	t->handles++;
	rc = uv_tcp_open(&t->listener, o->fd);
	if (rc != 0)
		return failed("listen", rc, err);
	t->has_socket = true;
	rc = check_network(t, o->config, err);
	if (rc != 0)
		return rc;
	rc = uv_listen((uv_stream_t *)&t->listener, BACKLOG, on_connection);
	return rc == 0 ? 0 : failed("listen", rc, err);
}

int
text_start(struct text **out, const struct text_options *o,
	   struct weir_err *err)
{
	struct text *t = mem_new(sizeof(*t));
	int rc = 0;

	if (t == NULL) {
		os_close(o->fd);
		return err_nomem(err);
	}
	t->loop = o->loop;
	t->store = o->store;
	t->answered_end = &t->answered;
	pthread_mutex_init(&t->mu, NULL);
	t->reader = reader_new_mapped(o->store);
	if (t->reader == NULL || take_settings(&t->set, o->config) != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = watch_new(&t->watch, o->store, err);
	if (rc == 0)
		rc = init_handles(t, err);
	if (rc == 0)
		rc = init_listener(t, o, err);
	if (rc != 0) {
		if (!t->has_socket)
			os_close(o->fd);
		close_all(t);
		return rc;
	}
	*out = t;
	return 0;
}
