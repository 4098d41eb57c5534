/* SPDX-License-Identifier: MIT */
#ifndef API_TEST_H
#define API_TEST_H

/*
 * What tests of the API share: a store with an API over it, and requests to it
 * in this process.
 */

#include "../store/store_test.h"

#include "server/api.h"

struct weir_str;

struct api_test {
	char *dir;
	struct store *s;
	struct policy *policy;
	struct config *config;
	struct api *api;
	bool async; /* answers come by `ready` */
};

struct api_test *api_test_new(void);
void api_test_free(struct api_test *t);

/* api_run and, when t is async, the wait and api_finish. */
struct api_call;
void api_test_run(struct api_test *t, struct api_call *c);

/* One request: header fields as "Name: value\n..." or NULL. */
struct said {
	int status;
	char *type, *body;
	size_t len;
	char fields[4000]; /* "Name: value\n" each */
};

/* A local caller (user "ann" of group "ops"), or with fields that name a token
 * a remote one. The answer is good until the next but fifteen. */
const struct said *ask(struct api_test *t, const char *method,
		       const char *target, const char *fields,
		       const char *body);
const struct said *ask_n(struct api_test *t, const char *method,
			 struct weir_str target, const char *fields,
			 struct weir_str body, bool local);
/* The same from elsewhere. */
const struct said *ask_as(struct api_test *t, const char *token,
			  const char *method, const char *target,
			  const char *body);

/* The value of a header field of the answer, or NULL; static memory. */
const char *field_of(const struct said *a, const char *name);

/* The secret of a new token: scopes by comma ("read,append"), and one pattern
 * or NULL. */
const char *token_of(struct api_test *t, const char *scopes,
		     const char *pattern);

/* Reads the stream of an answer until it has nothing to say (or ends, then
 * *ended): all of it, in static memory. */
struct reading *read_begin(struct api_test *t, const char *target,
			   const char *fields);
const char *read_more(struct reading *r, bool *ended);
int read_status(const struct reading *r);
void read_end(struct reading *r);

/* Was this status given to a route ("GET /health") since the program began? */
bool was_seen(const char *route, int status);

/* The other files' tests: how many failed. */
int append_tests(void);
int read_tests(void);
int import_tests(void);

#define assert_status(a, wanted)                                               \
	do {                                                                   \
		const struct said *a_ = (a);                                   \
		if (a_->status != (wanted))                                    \
			fail_msg("%d instead of %d: %s", a_->status, (wanted), \
				 a_->body);                                    \
	} while (0)
#define assert_has(a, text)                                                    \
	do {                                                                   \
		if (strstr((a)->body, (text)) == NULL)                         \
			fail_msg("\"%s\" is not in: %s", (text), (a)->body);   \
	} while (0)

#endif
