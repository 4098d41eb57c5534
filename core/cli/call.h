/* SPDX-License-Identifier: MIT */
#ifndef CLI_CALL_H
#define CLI_CALL_H

/*
 * Requests of a command to the API (server/api.h), by the way that is open:
 *
 *   CALL_NETWORK  to the server of --server URL (WEIR_SERVER), with the token
 *                 of --token-file (WEIR_TOKEN)
 *   CALL_SOCKET   to weir.sock of the data folder, when a server holds the
 *                 store
 *   CALL_HERE     in this process, when none does: the store is opened
 *
 * The answer is the same in each case, and so are its errors. A server that
 * starts or stops meanwhile is no error: the other way is taken.
 */

#include "cli/cli.h"

enum call_way {
	CALL_HERE,
	CALL_SOCKET,
	CALL_NETWORK
};

struct call_answer {
	int status;	 /* 2xx */
	struct buf body; /* JSON, or NDJSON */
	char type[64];	 /* of the content */
	char etag[64];	 /* "" when there is none */
	char link[2048]; /* the field Link, "" when there is none */
};

enum call_flag {
	CALL_CREATE = 1 << 0, /* in this process: make a store that is
			       * missing */
	CALL_AGAIN = 1 << 1   /* doing it twice is like doing it once, so it may
			       * be sent again when the server went away; GET and
			       * PUT need no flag */
};

/* Sends it and waits for the answer. An answer that is no success is a code
 * with err filled as if the call had been made here: the problem's word gives
 * the code. body may be absent. The caller frees with call_free in each case.
 */
int call_api(struct cli *c, struct call_answer *out, const char *method,
	     const char *target, struct weir_str body, unsigned flags,
	     struct weir_err *err);
void call_free(struct call_answer *a);

/* The same with all that a request may have; zeros are the defaults. */
struct call_request {
	const char *method, *target;
	struct weir_str body;
	const char *type;   /* of the body: application/json */
	const char *accept; /* application/json */
	unsigned flags;
	/* A success's body as it comes, instead of out->body: not zero ends the
	 * call with it. Not for streams in this process. */
	int (*take)(void *cookie, const char *data, size_t n,
		    struct weir_err *err);
	void *cookie;
	bool stream; /* may be silent for long; ends at SIGINT and SIGTERM
		      * (WEIR_ESTOPPED) */
};
int call_send(struct cli *c, struct call_answer *out,
	      const struct call_request *r, struct weir_err *err);

/* Which way it would be now: for commands that do it themselves here. */
int call_way(struct cli *c, enum call_way *out, struct weir_err *err);
/* Does the command talk to the server of --server? */
bool call_network(const struct cli *c);
/* That server's URL, for messages. */
const char *call_server(const struct cli *c);

/* Opens the store for writing, as cli_open_write does, unless a server holds it
 * (or --server is given): then *out is NULL and *way says how to ask it. */
int call_open_write(struct cli *c, struct store **out, enum call_way *way,
		    struct weir_err *err);

/* Appends text percent-encoded as one path segment or query value. */
void call_encode(struct buf *out, struct weir_str text);

/* Frees what was kept for more calls. */
void call_end(struct cli *c);

#endif
