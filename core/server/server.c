/* SPDX-License-Identifier: MIT */
/*
 * The life of a server. What outlives a failed writer (the pid file and the
 * listening sockets) is set up once; what stands on the store is one life,
 * opened and closed in opposite orders:
 *
 *   store, policy, hub, api, http, text, sinks
 *
 * The sockets are bound before the store is opened: a port that is taken is
 * known at once, and who connects early waits in the kernel.
 */
#include "server/server_int.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"
#include "model/draft.h"
#include "model/policy.h"
#include "server/feed.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/notify.h"
#include "server/text.h"
#include "store/store.h"

#define AREA	  "server"
#define ARENAS	  2 /* of malloc: few threads allocate much */
#define AGAIN_US  1000000
#define AGAIN_MAX 16000000
#define LIFE_US	  60000000 /* a life after which failures are forgiven */
#define EXTEND_US 30000000
#define OPEN_WAIT 5000000

/* ---- telling --------------------------------------------------------------
 */

static void
set_state(struct server *s, const char *state)
{
	struct weir_err err = {0};

	snprintf(s->info.state, sizeof(s->info.state), "%s", state);
	if (pidfile_write(s->pid_fd, s->o.dir, &s->info, &err) != 0)
		diag(DIAG_WARN, AREA, "%s", err.msg);
}

static void
tell_waiting(struct server *s, char sign, const char *text)
{
	char line[1100];

	if (s->told_ready || s->o.ready_fd < 0)
		return;
	s->told_ready = true;
	snprintf(line, sizeof(line), "%c%s", sign, text);
	(void)!os()->write(s->o.ready_fd, line, strlen(line));
	os_close(s->o.ready_fd);
}

static void
tell_ready(struct server *s)
{
	set_state(s, "ready");
	/* first: who waits may look for it */
	diag(DIAG_INFO, AREA, "ready: %s, http %s, text %s", s->o.dir,
	     s->info.http, s->info.text);
	tell_waiting(s, '+', s->info.http);
	notify_send("READY=1\nSTATUS=Serving %s on %s\nMAINPID=%ld", s->o.dir,
		    s->info.http, (long)getpid());
	if (s->o.ready != NULL)
		s->o.ready(s->o.cookie, s->info.http, s->info.text);
}

/* ---- once -----------------------------------------------------------------
 */

/* A socket that was handed over, else one of our own. */
static int
take_socket(int *fd, const struct server *s, const char *handed, int port,
	    const char *host_key, const char *port_key, struct weir_err *err)
{
	unsigned number = port >= 0 ? (unsigned)port
				    : (unsigned)config_u64(s->config, port_key);

	*fd = notify_socket(handed);
	if (*fd >= 0)
		return 0;
	*fd = listen_tcp(config_get(s->config, host_key), number,
			 strcmp(handed, "text") == 0 ? "text-port" : "port",
			 err);
	return *fd < 0 ? *fd : 0;
}

static int
take_sockets(struct server *s, struct weir_err *err)
{
	char name[64];
	int rc = take_socket(&s->http_fd, s, "http", s->o.port, "host", "port",
			     err);

	if (rc == 0)
		rc = take_socket(&s->text_fd, s, "text", s->o.text_port,
				 "text.host", "text.port", err);
	if (rc == 0) {
		s->local_fd = listen_local(s->o.dir, err);
		rc = s->local_fd < 0 ? s->local_fd : 0;
	}
	if (rc == 0) {
		snprintf(s->info.http, sizeof(s->info.http), "%s",
			 listen_name(name, s->http_fd));
		snprintf(s->info.text, sizeof(s->info.text), "%s",
			 listen_name(name, s->text_fd));
	}
	return rc;
}

static int
begin(struct server *s, struct weir_err *err)
{
	int rc;

	mallopt(M_ARENA_MAX, ARENAS);
	(void)setenv("UV_THREADPOOL_SIZE", "2", 0);
	signal(SIGHUP, SIG_IGN); /* until the loop takes it */
	notify_init();
	s->started_at = clock_monotonic();
	s->info.pid = (int)getpid();
	s->info.since = clock_now();
	snprintf(s->info.options, sizeof(s->info.options), "%s",
		 s->o.words != NULL ? s->o.words : "");
	rc = server_configure(s, err);
	if (rc == 0)
		rc = os_make_folders(s->o.dir, 0700, err);
	if (rc == 0) {
		s->pid_fd = pidfile_take(s->o.dir, err);
		rc = s->pid_fd < 0 ? s->pid_fd : 0;
	}
	if (rc == 0) {
		set_state(s, "starting");
		rc = take_sockets(s, err);
	}
	return rc;
}

static void
end(struct server *s)
{
	if (s->local_fd >= 0)
		listen_remove_local(s->o.dir);
	if (s->pid_fd >= 0)
		pidfile_remove(s->o.dir);
	os_close(s->local_fd);
	os_close(s->http_fd);
	os_close(s->text_fd);
	os_close(s->pid_fd);
	for (size_t i = 0; i < s->nconfigs; i++)
		config_free(s->configs[i]);
}

/* ---- one life -------------------------------------------------------------
 */

static void
tell_progress(void *cookie, uint64_t done, uint64_t all)
{
	struct server *s = cookie;
	int64_t now = clock_monotonic();

	if (now - s->told_at < 1000000)
		return;
	s->told_at = now;
	notify_send("EXTEND_TIMEOUT_USEC=%d\nSTATUS=Indexing the journal, "
		    "%u%% done",
		    EXTEND_US,
		    all > 0 ? (unsigned)(100.0 * (double)done / (double)all)
			    : 100u);
}

/* --restrict, by the user who starts the server; once. */
static int
restrict_store(struct server *s, struct weir_err *err)
{
	enum policy_restriction value;
	struct policy_actor by = {.token = 0};
	struct draft *d;
	int rc;

	if (s->o.restriction == NULL)
		return 0;
	rc = policy_restriction_parse(&value, str_of(s->o.restriction), err);
	if (rc != 0)
		return rc;
	d = draft_new();
	if (d == NULL)
		return err_nomem(err);
	rc = draft_set_os_actor(d, err);
	if (rc == 0) {
		by.group = draft_record(d)->group;
		by.user = draft_record(d)->user;
		rc = policy_restrict(s->policy, value, &by, err);
	}
	draft_free(d);
	if (rc == 0)
		s->o.restriction = NULL;
	return rc;
}

static int
open_store(struct server *s, struct weir_err *err)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE,
				  .heads_bytes =
					  config_u64(s->config, "heads_memory"),
				  .lock_wait_us = OPEN_WAIT,
				  .index_progress = tell_progress,
				  .index_cookie = s};
	const char *kept = NULL;
	int rc = store_open(&s->store, s->o.dir, &o, err);

	if (rc == 0 && store_cut_bytes(s->store, &kept) > 0)
		diag(DIAG_WARN, AREA,
		     "%llu bytes of an unfinished append were cut off the "
		     "journal and kept in %s",
		     (unsigned long long)store_cut_bytes(s->store, &kept),
		     kept);
	if (rc == 0)
		rc = policy_open(&s->policy, s->store, err);
	if (rc == 0)
		rc = restrict_store(s, err);
	return rc;
}

/* Each life has descriptors of its own; the sockets listen on. */
static int
another(int *out, int fd, struct weir_err *err)
{
	*out = os()->dup(fd);
	return *out >= 0 ? 0 : err_sys(err, "cannot copy a descriptor");
}

static int
start_http(struct server *s, struct weir_err *err)
{
	struct http_options o = {.api = s->api,
				 .hub = s->hub,
				 .config = s->config,
				 .tcp_fd = -1,
				 .local_fd = -1};
	int rc = another(&o.tcp_fd, s->http_fd, err);

	if (rc == 0)
		rc = another(&o.local_fd, s->local_fd, err);
	if (rc == 0)
		return http_start(&s->http, &o, err);
	os_close(o.tcp_fd);
	return rc;
}

static int
start_text(struct server *s, struct weir_err *err)
{
	struct text_options o = {.loop = &s->loop,
				 .store = s->store,
				 .config = s->config,
				 .fd = -1};
	int rc = another(&o.fd, s->text_fd, err);

	return rc != 0 ? rc : text_start(&s->text, &o, err);
}

static int
start_sinks(struct server *s, struct weir_err *err)
{
	if (s->o.no_sinks)
		return 0;
	sinks_how(&s->how, s->config, s->o.dir, s->o.config_path,
		  s->o.plugin_dir);
	return sinks_start(&s->sinks, &s->how, server_sinks_ended, s, err);
}

static int
start_parts(struct server *s, struct weir_err *err)
{
	struct api_options o = {
		.config = s->config, .host = &server_host, .host_cookie = s};
	int rc = hub_new(&s->hub, s->store, err);

	o.store = s->store;
	o.policy = s->policy;
	if (rc == 0)
		rc = api_new(&s->api, &o, err);
	if (rc == 0)
		rc = server_loop_begin(s, err);
	if (rc != 0)
		return rc;
	rc = start_http(s, err);
	if (rc == 0)
		rc = start_text(s, err);
	if (rc == 0)
		rc = start_sinks(s, err);
	if (rc == 0) {
		tell_ready(s);
		s->phase = SERVER_RUNS;
	}
	server_loop_run(s); /* closes what was started, if not all was */
	server_loop_end(s);
	return rc;
}

/* From opening to closing: 0 stopped, WEIR_EFAILED the writer failed, or why
 * it could not start. */
static int
live(struct server *s, struct weir_err *err)
{
	int rc = open_store(s, err);

	s->phase = SERVER_STARTING;
	s->failed = s->sinks_ended = s->http_drained = s->text_closed = false;
	s->probing = s->sinks_news = false;
	s->probe_rc = 0;
	if (rc == 0)
		rc = start_parts(s, err);
	sinks_free(s->sinks);
	api_free(s->api);
	hub_free(s->hub);
	policy_free(s->policy);
	store_close(s->store);
	s->sinks = NULL;
	s->api = NULL;
	s->hub = NULL;
	s->policy = NULL;
	s->store = NULL;
	if (rc == 0 && s->failed) {
		*err = s->why;
		rc = WEIR_EFAILED;
	}
	return rc;
}

/* Lives on after a failed writer, after a pause that grows. */
static int
live_on(struct server *s, struct weir_err *err)
{
	int64_t pause = AGAIN_US, began;
	int rc;

	for (;;) {
		began = clock_monotonic();
		rc = live(s, err);
		if (rc == 0 || rc == WEIR_EDAMAGE ||
		    (rc != WEIR_EFAILED && s->failures == 0))
			return rc;
		if (clock_monotonic() - began > LIFE_US)
			pause = AGAIN_US;
		if (pause > AGAIN_MAX)
			return rc;
		s->failures++;
		set_state(s, "failed");
		diag(DIAG_ERROR, AREA,
		     "the writer failed: %s; the store is opened again in "
		     "%.0f s",
		     err->msg, (double)pause / 1e6);
		notify_send("EXTEND_TIMEOUT_USEC=%d\nSTATUS=The writer failed",
			    EXTEND_US);
		os_wait_readable(-1, pause);
		pause *= 2;
	}
}

int
server_run(const struct server_options *o, struct weir_err *err)
{
	struct server *s = mem_new(sizeof(*s));
	struct weir_err own = {0};
	char line[1100];
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->o = *o;
	s->pid_fd = s->http_fd = s->text_fd = s->local_fd = -1;
	rc = begin(s, &own);
	if (rc == 0)
		rc = live_on(s, &own);
	if (rc != 0) {
		notify_send("STATUS=%.400s\nERRNO=%d", own.msg, own.sys_errno);
		snprintf(line, sizeof(line), "%d %s", rc, own.msg);
		tell_waiting(s, '-', line);
		if (err != NULL)
			*err = own;
	}
	end(s);
	mem_free(s);
	return rc;
}
