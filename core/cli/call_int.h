/* SPDX-License-Identifier: MIT */
#ifndef CLI_CALL_INT_H
#define CLI_CALL_INT_H

/* The three ways behind call.h. */

#include "cli/call.h"

/* A request on its way and what comes back. */
struct exchange {
	const struct call_request *r;
	struct call_answer *out;
	struct buf problem; /* body of an answer that is no success */
	bool sent;	    /* the server may have got it */
	bool taken;	    /* r->take was called */
};

/* Hands on a piece of the body, by x->out->status. */
int exchange_body(struct exchange *x, const char *data, size_t n,
		  struct weir_err *err);

/* Each fills x->out->status, type and etag: 0 when there was an answer. */
int call_here(struct cli *c, struct exchange *x, struct weir_err *err);

/* A kept connection to weir.sock; *fd is -1 at first. WEIR_EUNREACH. */
int call_local(int *fd, const char *dir, struct exchange *x,
	       struct weir_err *err);
/* Is a server behind DIR/weir.sock? */
bool call_listens(const char *dir);

struct call_net;
int call_net_open(struct call_net **out, const char *url, const char *token,
		  const char *cacert, struct weir_err *err);
void call_net_free(struct call_net *n);
int call_net_send(struct call_net *n, struct exchange *x, struct weir_err *err);

#endif
