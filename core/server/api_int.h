/* SPDX-License-Identifier: MIT */
#ifndef SERVER_API_INT_H
#define SERVER_API_INT_H

/*
 * What the files of the API share. A file api_X.c exports one table of routes
 * (api_X_routes), ended by a NULL method; api.c knows all tables.
 */

#include <pthread.h>
#include <stdatomic.h>
#include "model/fold.h"
#include "model/policy.h"
#include "server/api.h"
#include "store/store.h"

#define API_PARTS	5  /* {...} of a route, at most */
#define API_PARAMS	16 /* of a query, at most */
#define API_READERS	16 /* kept for the next call */
#define API_TYPE_TEXT	"text/plain; charset=utf-8"
#define API_TYPE_NDJSON "application/x-ndjson"
#define API_CURSOR_MAX	(4 * (WEIR_NAME_MAX + WEIR_ID_MAX))
#define API_BODY_MAX	(9u << 20) /* one commit and what JSON adds */
#define API_IMPORT_MAX	(64u << 20)
#define API_OUT_MAX	(256u << 20) /* of one answer */
#define API_PAGE_BYTES	(8u << 20)   /* a page is cut short behind it */
#define API_HELD_MAX	(512u << 20) /* what all calls hold */

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

/* What becomes of an event. */
enum api_result {
	API_COMMITTED,
	API_DUPLICATE,
	API_CONFLICT,
	API_DENIED,
	API_REFUSED,
	API_FAILED,
	API_RESULTS
};

struct api {
	struct store *store;
	struct policy *policy;
	const struct config *_Atomic config;
	const struct api_host *host;
	void *host_cookie;
	char boot[17]; /* what made request ids begin with */
	_Atomic uint64_t calls;
	int64_t started;     /* monotonic */
	_Atomic size_t held; /* bytes of bodies, drafts and answers */
	_Atomic int imports; /* under way */
	struct api_work *work;
	_Atomic int64_t probing; /* since (monotonic), or 0 */
	_Atomic uint64_t results[API_RESULTS];
	pthread_mutex_t folding; /* guards folds */
	struct fold_cache *folds;
	pthread_mutex_t lock;	   /* guards readers and spare */
	struct attempts *attempts; /* to show a token, that failed */
	struct reader *readers[API_READERS];
	size_t nreaders;
	struct api_call *spare; /* by next_job; under lock */
	size_t nspare;
};

struct api_param {
	struct weir_str name, value;
};

struct api_call {
	struct api *api;
	const struct api_route *route;
	struct weir_str part[API_PARTS]; /* decoded {...} of the path */
	struct weir_str path, query;	 /* still encoded */
	size_t nparams;
	struct api_request request;
	struct api_caller caller;
	struct policy_grant *grant; /* of its token; NULL: local or open */
	uint64_t granted;	    /* policy_revision when it was looked up */
	char id[64];
	size_t body_max;
	size_t held; /* its part of the API's */
	struct api_answer answer;
	size_t field_at[API_FIELDS]; /* in fields */
	bool answered;

	/* an append under way */
	bool submitted; /* api_submitted */
	size_t ndrafts;
	int on_version, on_id; /* status of a conflict of version, of event_id;
				* 0: 409 */
	int rc;
	void (*ready)(void *cookie);
	void *ready_cookie;
	void (*job)(struct api_call *c); /* api_work.c's */
	struct api_call *next_job;
	void *own;		     /* of the route */
	void (*own_free)(void *own); /* NULL: mem_free */

	/* Large, and not cleared for the next call: so many as nparams says,
	 * and why an append failed, when rc is not 0. */
	struct api_param params[API_PARAMS];
	struct weir_err err;

	/* Memory: what is small stays for the next call. */
	char *memory; /* of the decoded texts */
	size_t memory_cap;
	struct buf body;   /* of the request */
	struct buf out;	   /* of the answer */
	struct buf fields; /* their values, each with a NUL */
	struct draft **drafts;
	struct receipt *receipts;
	bool has_draft; /* drafts and receipts have room for one */
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
/* A header field of the answer; name is static. What the value consists of is
 * appended to the buffer between begin and end. */
struct buf *api_field_begin(struct api_call *c, const char *name);
void api_field_end(struct api_call *c);
void api_field(struct api_call *c, const char *name, const char *value);
/* The ETag of a version. */
void api_etag(struct api_call *c, uint64_t version);

/* ---- asking -------------------------------------------------------------- */

/* A query parameter, decoded (borrowed until api_end): 1, or 0 when it is
 * absent. One that is not valid or given twice never comes so far. */
int api_query(struct api_call *c, struct weir_str *out, const char *name);
/* As a whole number; *out is left when absent. -1: a problem was answered. */
int api_query_u64(struct api_call *c, uint64_t *out, const char *name);
/* As true or false; *out is left when absent. 0, or -1 after a problem. */
int api_query_flag(struct api_call *c, bool *out, const char *name);
/* Decodes percent-encoded UTF-8 to *to, which moves behind it. */
bool api_decode(struct weir_str *out, char **to, struct weir_str s);
/* Refuses a query parameter that is not in the NULL-ended list: 0 or -1. */
int api_query_known(struct api_call *c, const char *const *names);
const char *api_header(struct api_call *c, const char *name);
const struct config *api_config(struct api_call *c);
/* Which of the media types (NULL-ended; the first is the default) is asked for;
 * -1 after a 406. */
int api_accept(struct api_call *c, const char *const *types);
/* Gives the answer its ETag. True when If-None-Match has it: answer 304. */
bool api_unchanged(struct api_call *c, uint64_t version);
/* If-Match and If-None-Match as an expected version (EXPECT_...): 1, 0 when
 * there is none, or -1 after a 400. */
int api_expected(struct api_call *c, uint64_t *out);

/* Has the caller this scope (enum policy_scope) at all? */
bool api_has_scope(const struct api_call *c, unsigned scope);
/* May this caller read (append to) the aggregate? Says nothing. */
bool api_sees(const struct api_call *c, unsigned scope, struct weir_str type,
	      struct weir_str id);
/* The same: 0, or -1 after a 403. A reserved aggregate is a 404 for everybody
 * but administrators. */
int api_may(struct api_call *c, unsigned scope, struct weir_str type,
	    struct weir_str id);

/* The caller as the one who changes a rule; borrowed from c. */
struct policy_actor api_by(const struct api_call *c);
/* Sets issued_by and the token of a draft from the caller. */
void api_actor(const struct api_call *c, struct record_draft *d);

/* Commits c->drafts as one commit: API_LATER, and then the route's finish runs
 * when it is durable, with receipts; a refusal is answered without it. Or 0
 * after it was answered. */
int api_submit(struct api_call *c);
/* Counts n bytes more that the call holds: false, and 503, when all calls
 * hold too much. */
bool api_hold(struct api_call *c, size_t n);
/* Makes room for n drafts, each new; -1 after a problem. api_end frees them. */
int api_drafts(struct api_call *c, size_t n);

/* ---- what may take long -------------------------------------------------- */

/* Lets another thread run a job that answers, when nobody waits for api_run:
 * for the route to return. */
int api_beside(struct api_call *c, void (*job)(struct api_call *c));
struct api_work *api_work_new(void); /* NULL: no memory */
void api_work_free(struct api_work *w);

/* ---- reading ------------------------------------------------------------- */

/* A mapped reader of this thread's until it is put back; NULL: no memory, and
 * a problem was answered. What it gave stays. */
struct reader *api_reader(struct api_call *c);
void api_reader_back(struct api_call *c, struct reader *r);

/* The first version of an aggregate whose commit came after a time
 * (microseconds from CLOCK_MIN_US on) or a sequence: newest + 1 when none did.
 */
enum api_by {
	API_BY_TIME,
	API_BY_SEQUENCE
};
int api_first_after(struct reader *r, uint64_t *out, struct weir_str type,
		    struct weir_str id, uint64_t newest, enum api_by by,
		    uint64_t value, struct weir_err *err);

/* type, id, event (patterns) and tag of a query, and whether it names reserved
 * aggregates and may. */
struct api_filter {
	struct weir_str type, id, event, tag;
	bool reserved;
};
void api_take_filter(struct api_call *c, struct api_filter *f);
/* Does it match, and may the caller read it? */
bool api_wanted(struct api_call *c, const struct api_filter *f,
		const struct record_view *v);
int api_records_run(struct api_call *c);

/* Appends text percent-encoded as one path segment or query value. */
void api_put_encoded(struct buf *out, struct weir_str text);
/* Gives the answer a Link to the next page: this request with the parameter
 * `name` set to value, and without the parameter `drop` (or NULL). */
void api_next(struct api_call *c, const char *name, struct weir_str value,
	      const char *drop);

/* ---- between api.c and its parts ----------------------------------------- */

/* Finds the route: sets c->route, parts and params, or answers. */
void api_route_find(struct api_call *c);
/* Calls fn for each route there is until it gives something else than 0. */
int api_route_each(int (*fn)(void *cookie, const struct api_route *r),
		   void *cookie);
/* Looks at who asks and what for, or answers. */
void api_auth(struct api_call *c);
/* Is the token still good? Looked up when *checked (monotonic) is more than a
 * second ago: 0 or WEIR_EDENIED. */
int api_still(struct api_call *c, int64_t *checked, struct weir_err *err);
/* Counts n events, for /metrics. receipts may be NULL when rc is a code. */
void api_count(struct api *a, int rc, const struct receipt *receipts, size_t n);
/* Answers what was submitted. */
void api_append_finish(struct api_call *c);
/* Frees the drafts; or all but one. */
void api_drafts_free(struct api_call *c);
void api_drafts_keep(struct api_call *c);

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
