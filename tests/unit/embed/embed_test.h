/* SPDX-License-Identifier: MIT */
#ifndef EMBED_TEST_H
#define EMBED_TEST_H

/* What the tests of weir.h share. They link the library as others do. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <weir/weir.h>

#define S(lit) ((struct weir_str){(lit), sizeof(lit) - 1})
#define A_WHILE (60 * 1000000LL) /* longer than anything here takes */

/* A temporary folder for each test. */
extern char folder[200];
int setup(void **state);
int teardown(void **state);

/* The store in it; options NULL is all defaults. */
struct weir *open_store(const struct weir_options *o);
struct weir *open_reading(void);

/* A JSON event of aggregate (account, id), any version. */
struct weir_event event(const char *id, const char *payload);

/* Appends n such events to an aggregate, one commit each. */
void append_events(struct weir *w, const char *id, unsigned n);

/* Calls that must succeed, with the message when they don't. */
#define ok(call)                                                               \
	do {                                                                   \
		struct weir_err err = {0};                                     \
		int rc_ = (call);                                              \
		if (rc_ != 0)                                                  \
			fail_msg("%s: %d: %s", #call, rc_, err.msg);           \
	} while (0)

/* A call that must fail with a code and words in the message. */
#define refused(call, want, words)                                             \
	do {                                                                   \
		struct weir_err err = {0};                                     \
		assert_int_equal((call), (want));                              \
		assert_int_equal(err.code, (want));                            \
		if (!strstr(err.msg, (words)))                                 \
			fail_msg("%s: %s", #call, err.msg);                    \
	} while (0)

#endif
