/* SPDX-License-Identifier: MIT */
#ifndef SERVER_API_INT_H
#define SERVER_API_INT_H

/*
 * What the files of the API share. A file api_X.c exports one table of routes
 * (api_X_routes), ended by a NULL method; api.c knows all tables.
 */

#include <pthread.h>
#include "model/policy.h"
#include "server/api.h"
#include "store/store.h"

#define API_PARTS      5	  /* {...} of a route, at most */
#define API_BODY_MAX   (9u << 20) /* one commit and what JSON adds */
#define API_IMPORT_MAX (64u << 20)

enum api_flag {
	API_OPEN = 1 << 0,   /* needs no token */
	API_READ = 1 << 1,   /* scope read */
	API_APPEND = 1 << 2, /* scope append */
	API_ADMIN = 1 << 3,  /* scope admin */
	API_JSON = 1 << 4,   /* has a JSON body */
	API_NDJSON = 1 << 5, /* has an NDJSON body */
	API_BODY_OPTIONAL = 1 << 6
};

struct api_route {
	const char *method;  /* NULL ends a table */
	const char *pattern; /* "/v1/aggregates/{type}/{id}" */
	unsigned flags;	     /* enum api_flag */
	/* Answers (api_reply, api_fail), or gives API_LATER after api_submit.
	 */
	int (*run)(struct api_call *c);
	/* Answers what was submitted; receipts are in c. */
	void (*finish)(struct api_call *c);
};
#define API_LATER 1

struct api {
	struct store *store;
	struct policy *policy;
	const struct config *_Atomic config;
	const struct api_host *host;
	void *host_cookie;
};

struct api_call {
	struct api *api;
	const struct api_route *route;
	char *memory;			 /* of decoded texts below */
	struct weir_str part[API_PARTS]; /* decoded {...} of the path */
	struct weir_str query;		 /* still encoded */
	struct api_request request;
	struct api_caller caller;
	struct policy_grant *grant; /* of its token; NULL: local or open */
	char id[64];
	struct buf body; /* of the request */
	size_t body_max;
	struct buf out; /* of the answer */
	struct api_answer answer;
	bool answered;

	/* an append under way */
	struct draft **drafts;
	size_t ndrafts;
	struct receipt *receipts;
	int rc;
	struct weir_err err;
	void (*ready)(void *cookie);
	void *ready_cookie;
	void *own; /* of the route; freed with mem_free */
};

/* ---- answering ----------------------------------------------------------- */

/* c->out is the body (JSON). */
int api_reply(struct api_call *c, int status);
int api_reply_as(struct api_call *c, int status, const char *type);
/* A problem document from err; the status follows from err->code unless it is
 * given (0: from the code). Both give 0, to be returned by run. */
int api_fail(struct api_call *c, const struct weir_err *err);
int api_fail_as(struct api_call *c, int status, const struct weir_err *err);
int api_refuse(struct api_call *c, int status, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void api_field(struct api_call *c, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- asking -------------------------------------------------------------- */

/* A query parameter, decoded (borrowed until api_end): 1, 0 absent, or a
 * problem was answered (-1): not valid, or given twice. */
int api_query(struct api_call *c, struct weir_str *out, const char *name);
/* As a whole number; *out is left when absent. */
int api_query_u64(struct api_call *c, uint64_t *out, const char *name);
/* Refuses a query parameter that is not in the NULL-ended list: 0 or -1. */
int api_query_known(struct api_call *c, const char *const *names);
const char *api_header(struct api_call *c, const char *name);

/* May this caller read (append to) the aggregate? 0, or -1 after a 403. */
int api_may(struct api_call *c, unsigned scope, struct weir_str type,
	    struct weir_str id);

/* Sets issued_by and the token of a draft from the caller. */
int api_actor(struct api_call *c, struct record_draft *d, struct weir_err *err);

/* Commits c->drafts as one commit. API_LATER, or 0 after it was answered. */
int api_submit(struct api_call *c);

/* Appends the EventRecord at a position. */
int api_put_record(struct api_call *c, struct buf *out, uint64_t position,
		   struct weir_err *err);

/* ---- the tables ---------------------------------------------------------- */

extern const struct api_route api_basics_routes[];
extern const struct api_route api_aggregates_routes[];
extern const struct api_route api_events_routes[];
extern const struct api_route api_import_routes[];
extern const struct api_route api_stream_routes[];
extern const struct api_route api_schemas_routes[];
extern const struct api_route api_tokens_routes[];
extern const struct api_route api_sinks_routes[];

#endif
