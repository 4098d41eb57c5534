/* SPDX-License-Identifier: MIT */
#ifndef CLI_CALL_H
#define CLI_CALL_H

/*
 * One request of a command to the API (server/api.h), by the way that is open:
 *
 *   --server URL (WEIR_SERVER)   over the network, with --token-file
 * (WEIR_TOKEN) weir.sock                    when a server holds the store in
 * this process              when none does: the store is opened
 *
 * The answer is the same in each case, and so are its errors.
 */

#include "cli/cli.h"

struct call_answer {
	int status;	      /* 2xx */
	struct buf body;      /* JSON, or NDJSON */
	struct weir_str etag; /* borrowed from the answer */
};

enum call_flag {
	CALL_CREATE = 1 << 0 /* in this process: make a store that is missing */
};

/* Sends it and waits for the answer. An answer that is no success is a code
 * with err filled as if the call had been made here: the problem's word gives
 * the code. body may be absent. The caller frees with call_free in each case.
 */
int call_api(struct cli *c, struct call_answer *out, const char *method,
	     const char *target, struct weir_str body, unsigned flags,
	     struct weir_err *err);
void call_free(struct call_answer *a);

/* Which way it will be: for commands that do more than one request. */
enum call_way {
	CALL_HERE,
	CALL_SOCKET,
	CALL_NETWORK
};
int call_way(struct cli *c, enum call_way *out, struct weir_err *err);

/* Appends text percent-encoded as one path segment or query value. */
void call_encode(struct buf *out, struct weir_str text);

#endif
