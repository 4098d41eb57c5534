/* SPDX-License-Identifier: MIT */
/*
 * Every file call and every allocation of a run fails once. Whatever the plugin
 * then says, it may never say OK for what a fresh open does not find; and when
 * the fault is gone the rest is delivered and the target is as if nothing had
 * happened.
 */

#include "conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run has at most so many calls; one that has more is a failure. */
#define CALLS_MAX 20000u

enum fault {
	FILE_CALL,
	SHORT_OF_MEMORY,
	KILLED
};

/* Sets the fault for n calls from now; false when it has no such call. */
static void
arm(struct fake *f, enum fault kind, uint64_t n)
{
	f->fail_file_at = kind == FILE_CALL ? f->file_calls + n : 0;
	f->dead_from = kind == KILLED ? f->file_calls + n : 0;
	f->fail_alloc_at = kind == SHORT_OF_MEMORY ? f->allocs + n : 0;
}

static bool
fired(const struct fake *f, enum fault kind)
{
	if (kind == FILE_CALL)
		return f->file_calls >= f->fail_file_at;
	if (kind == KILLED)
		return f->file_calls >= f->dead_from;
	return f->allocs >= f->fail_alloc_at;
}

static void
disarm(struct fake *f)
{
	f->fail_file_at = 0;
	f->dead_from = 0;
	f->fail_alloc_at = 0;
}

/* The run that meets the fault: reopens and delivers the rest in two batches,
 * up to the first that fails. *done is the last sequence that was said to be
 * delivered. */
static enum verdict
run(struct conform *c, struct fake *f, uint64_t *done)
{
	static const uint64_t steps[] = {CONFORM_FIRST, 8, CONFORM_LAST};
	int class;

	*done = CONFORM_FIRST;
	fake_close(f);
	class = fake_open(f, c->plugin);
	for (unsigned i = 0; class == WEIR_SINK_OK && i < 2; i++) {
		class = fake_deliver(f, steps[i] + 1, steps[i + 1], 0);
		if (class == WEIR_SINK_OK &&
		    f->res.durable_sequence == steps[i + 1])
			*done = steps[i + 1];
	}
	return conform_result(c, f, class);
}

/* After the fault: opens, looks at the cursor, delivers what is missing. */
static enum verdict
heal(struct conform *c, struct fake *f, uint64_t done, uint64_t *from)
{
	enum verdict v;

	fake_close(f);
	v = conform_open(c, f);
	if (v != PASS)
		return v;
	*from = done;
	if (conform_has(c, WEIR_SINK_HOLDS_CURSOR)) {
		if (!f->cursor.found || f->cursor.sequence < done)
			return conform_fail(
				c, "said OK up to %llu, but the cursor is %llu",
				(unsigned long long)done,
				(unsigned long long)(f->cursor.found
							     ? f->cursor
								       .sequence
							     : 0));
		*from = f->cursor.sequence;
	}
	if (*from >= CONFORM_LAST)
		return PASS;
	return conform_deliver(c, f, *from + 1, CONFORM_LAST, 0);
}

static enum verdict
one_fault(struct conform *c, enum fault kind, uint64_t n, const char *want,
	  bool *end)
{
	struct fake *f = conform_new(c);
	uint64_t done, from;
	enum verdict v;
	char *have;

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	arm(f, kind, n);
	v = run(c, f, &done);
	*end = !fired(f, kind);
	if (kind == KILLED)
		v = PASS;
	disarm(f);
	if (v == PASS)
		v = heal(c, f, done, &from);
	have = v == PASS ? conform_show(c) : NULL;
	if (have != NULL && conform_has(c, WEIR_SINK_HOLDS_CURSOR) &&
	    strcmp(want, have) != 0)
		v = conform_fail(c,
				 "the target differs; expected:\n%.700s\n"
				 "found:\n%.700s",
				 want, have);
	free(have);
	return conform_end(c, f, v);
}

static enum verdict
sweep(struct conform *c, enum fault kind)
{
	struct fake *f = conform_new(c);
	enum verdict v = PASS;
	char *want, why[sizeof(c->why)];
	bool end = false;
	uint64_t n;

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	CONFORM_TRY(c, f, conform_deliver(c, f, CONFORM_FIRST + 1, 8, 0));
	CONFORM_TRY(c, f, conform_deliver(c, f, 9, CONFORM_LAST, 0));
	if (kind != SHORT_OF_MEMORY && f->file_calls == 0)
		return conform_end(c, f,
				   conform_skip(c, "makes no file calls of "
						   "the host's"));
	want = conform_show(c);
	v = conform_end(c, f, PASS);
	for (n = 1; v == PASS && !end && n < CALLS_MAX; n++)
		v = one_fault(c, kind, n, want, &end);
	free(want);
	if (v == PASS && !end)
		return conform_fail(c, "more than %u calls", CALLS_MAX);
	if (v != PASS) {
		memcpy(why, c->why, sizeof(why));
		return conform_fail(c, "call %llu: %.1900s",
				    (unsigned long long)n - 1, why);
	}
	return PASS;
}

static enum verdict
check_file_calls(struct conform *c)
{
	return sweep(c, FILE_CALL);
}

static enum verdict
check_killed(struct conform *c)
{
	return sweep(c, KILLED);
}

static enum verdict
check_memory(struct conform *c)
{
	return sweep(c, SHORT_OF_MEMORY);
}

const struct conform_check conform_faults[] = {
	{"every file call fails once", check_file_calls},
	{"killed at every file call", check_killed},
	{"every allocation fails once", check_memory},
	{NULL, NULL},
};
