/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SERVER_INT_H
#define SERVER_SERVER_INT_H

/*
 * What the files of the server share. The loop's thread owns all of it, but
 * for the atomic members, and what server_host.c says of the API's threads.
 */

#include <stdatomic.h>
#include <uv.h>
#include <weir/types.h>
#include "server/api.h"
#include "server/pidfile.h"
#include "server/server.h"
#include "server/sinks.h"

struct api;
struct http;
struct hub;
struct policy;
struct store;
struct text;

enum server_phase {
	SERVER_STARTING,
	SERVER_RUNS,
	SERVER_ENDS_CONNECTIONS,
	SERVER_WAITS_FOR_SINKS,
	SERVER_STOPS_SINKS,
	SERVER_CLOSES,
	SERVER_ENDED
};

#define SERVER_CONFIGS 1024

struct server {
	struct server_options o;
	/* Of all reloads, the newest last: a call under way may use an older
	 * one. */
	struct config *configs[SERVER_CONFIGS];
	size_t nconfigs;
	const struct config *config; /* the newest */
	struct pidfile_info info;
	int pid_fd;
	int http_fd, text_fd, local_fd; /* listening, for all lives */
	int64_t started_at;		/* monotonic */
	bool told_ready;		/* the one who waits */
	_Atomic uint64_t failures;	/* of the writer */

	/* one life, from opening the store to closing it */
	struct store *store;
	struct policy *policy;
	struct api *api;
	struct hub *hub;
	struct http *http;
	struct text *text;
	struct sinks_how how;
	struct sinks *sinks;
	_Atomic int phase;   /* enum server_phase */
	bool asked;	     /* to stop, by a signal */
	bool failed;	     /* it ends because the writer failed */
	struct weir_err why; /* and why */
	int64_t until;	     /* draining, at most (monotonic) */
	int64_t told_at;     /* the service manager, last */
	bool sinks_ended, http_drained, probing, text_closed;
	int probe_rc;
	struct weir_err probe_err;
	uv_loop_t loop;
	uv_signal_t on_term, on_int, on_hup;
	uv_timer_t tick;
	uv_async_t news; /* something of the above happened elsewhere */
	uv_work_t drain_work, probe_work;
	_Atomic bool sinks_news;
};

/* ---- server_loop.c ------------------------------------------------------ */

/* The loop's handles; then it runs until the server is to be closed. */
int server_loop_begin(struct server *s, struct weir_err *err);
void server_loop_run(struct server *s);
/* Closes the handles and the loop. */
void server_loop_end(struct server *s);
/* The sinks' thread says that no child is left. */
void server_sinks_ended(void *server);

/* ---- server_reload.c ---------------------------------------------------- */

/* Reads the settings; with a life, gives them to its parts. */
int server_configure(struct server *s, struct weir_err *err);
void server_reload(struct server *s);

/* ---- server_host.c ------------------------------------------------------ */

extern const struct api_host server_host;

#endif
