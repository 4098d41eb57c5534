/* SPDX-License-Identifier: MIT */
#ifndef SERVER_API_H
#define SERVER_API_H

/*
 * What weir does for a request, whatever brought it: a connection of the HTTP
 * server, the control socket, or a command that runs without a server and
 * calls this in its own process. So a command does the same in each case.
 * weir-rest(7) describes the routes; openapi.json is held against them.
 *
 * One struct api serves all threads. A struct api_call is one request on its
 * way and belongs to one thread at a time:
 *
 *   api_begin    route, rights, limits and headers, before the body is there
 *   api_body     the body as it comes, in pieces
 *   api_run      does it: answered at once, or later when a commit is durable
 *   api_answer   what to send
 *   api_end      frees
 */

#include <stdbool.h>
#include <stddef.h>
#include <weir/types.h>
#include "base/buf.h"

struct api;
struct api_call;
struct config;
struct feed;
struct policy;
struct store;

struct api_options {
	struct store *store;   /* borrowed; opened for writing, or read-only */
	struct policy *policy; /* borrowed */
	const struct config *config; /* borrowed; see api_configure */
	/* For a server: its counts and checks as Prometheus text, lines of
	 * /readyz, members of /v1/status. NULL: none. */
	const struct api_host *host;
	void *host_cookie;
};

/* What only a running server knows. Any thread. */
struct api_host {
	/* Appends metrics in the text format. */
	void (*metrics)(void *cookie, struct buf *out);
	/* Appends ",\"name\":value" members to the JSON of /v1/status. */
	void (*status)(void *cookie, struct buf *out);
	/* Appends one line "[+]name ok\n" or "[-]name why\n" for each check:
	 * true when all hold. */
	bool (*ready)(void *cookie, struct buf *out);
};

int api_new(struct api **out, const struct api_options *o,
	    struct weir_err *err);
/* No call is under way. */
void api_free(struct api *a);
/* Settings were read again; config is borrowed from then on. Calls that are
 * under way may use the old one until they end: the caller keeps it. */
void api_configure(struct api *a, const struct config *config);

/* Who asks. Strings are borrowed until api_end. */
struct api_caller {
	/* This process, or a peer on the control socket that is the store's
	 * owner or root: an administrator without a token, whose records carry
	 * group and user (names of the system). */
	bool local;
	struct weir_str group, user;
	struct weir_str address; /* of the peer, for limits and messages */
};

struct api_request {
	const char *method;	/* "GET"; "HEAD" is answered like GET, body
				 * included: who sends it leaves it out */
	struct weir_str target; /* path and query as they came, still encoded */
	/* A header's value by name (any case), NULL when absent. Borrowed until
	 * api_end. NULL: no headers; a body is what the route takes. */
	const char *(*header)(void *cookie, const char *name);
	void *cookie;
	struct api_caller caller;
	const char *id; /* request id, or NULL: one is made */
};

/*
 * Looks at everything but the body. 0 and a call: when api_answered is true
 * already (no such route, no token, ...) the body need not be read. WEIR_ENOMEM
 * alone is a failure.
 */
int api_begin(struct api_call **out, struct api *a,
	      const struct api_request *r);
bool api_answered(const struct api_call *c);

/* Takes more of the body. Past the route's limit the call is answered (413)
 * and more is thrown away. */
void api_body(struct api_call *c, const void *data, size_t n);

/* After the whole body. True: answered. False: `ready` will be called, once,
 * from another thread, and then the answer is there after api_finish. With
 * ready NULL it waits, and is always true. */
bool api_run(struct api_call *c, void (*ready)(void *cookie), void *cookie);
/* In the thread that owns the call, after `ready`. */
void api_finish(struct api_call *c);

#define API_FIELDS 8

struct api_answer {
	int status;
	const char *type; /* of the content; NULL: there is none */
	struct weir_str body;
	size_t nfields;
	struct api_field {
		const char *name, *value;
	} field[API_FIELDS];
	/* Not NULL: there is no body, but a stream, read with feed_read
	 * (feed.h) until it ends or the client goes. The call owns it. */
	struct feed *feed;
	bool close; /* the connection is to end */
};
/* Borrowed until api_end. */
const struct api_answer *api_answer(struct api_call *c);
const char *api_id(const struct api_call *c); /* the request's id */

/* May be called at any time but between a false api_run and its `ready`. */
void api_end(struct api_call *c);

/* After a false api_run: only the store has it, which needs nothing of the
 * request. Then the request's memory may go before `ready`, after api_leave. */
bool api_submitted(const struct api_call *c);
void api_leave(struct api_call *c);

/* For embedding in the HTTP server's own refusals (before a route is known):
 * a problem document. */
void api_problem_text(struct buf *out, int status, const char *word,
		      const char *message, const char *request_id);

#endif
