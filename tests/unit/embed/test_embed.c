/* SPDX-License-Identifier: MIT */
/* The embedding API over a real store: what weir.h promises. */
#include "embed_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
append_read_state(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_event ev[2] = {event("a", "{\"x\":0.10}"),
				   event("a", "{\"y\":[1, 2]}")};
	struct weir_receipt got[2];
	struct weir_record rec;
	struct weir_reader *r = NULL;
	char *json = NULL;
	size_t len = 0;
	uint8_t root[32];

	(void)state;
	assert_int_equal(weir_commit(w, got, ev, 2, NULL), 0);
	assert_int_equal(got[0].sequence, 1);
	assert_int_equal(got[1].sequence, 2);
	assert_int_equal(got[1].version, 2);
	assert_int_equal(weir_reader_open(&r, w, NULL), 0);
	assert_int_equal(weir_read(r, &rec, 2, NULL), 0);
	assert_memory_equal(rec.payload.data, "{\"y\":[1, 2]}", 12);
	assert_true(rec.end_of_commit);
	assert_int_equal(
		weir_read_version(r, &rec, S("account"), S("a"), 1, NULL), 0);
	assert_int_equal(rec.sequence, 1);
	assert_false(rec.end_of_commit);
	assert_int_equal(weir_read(r, &rec, 3, NULL), WEIR_ENOTFOUND);

	assert_int_equal(
		weir_state(r, &json, &len, S("account"), S("a"), 0, NULL), 0);
	assert_int_equal(strlen(json), len);
	assert_non_null(strstr(json, "\"x\":0.10"));
	assert_non_null(strstr(json, "\"version\":2"));
	weir_free(json);
	assert_int_equal(
		weir_state(r, &json, &len, S("account"), S("a"), 1, NULL), 0);
	assert_null(strstr(json, "\"y\""));
	weir_free(json);
	assert_int_equal(weir_verify(r, root, S("account"), S("a"), NULL), 0);
	weir_reader_close(r);
	weir_close(w);
}

static void
conflicts_and_ids(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_event ev = event("a", "1");
	struct weir_err err = {0};
	struct weir_receipt first, again;

	(void)state;
	ev.expected_version = WEIR_EXISTS;
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_ECONFLICT);
	ev.expected_version = WEIR_NONE;
	ev.has_event_id = true;
	memset(ev.event_id, 7, sizeof(ev.event_id));
	assert_int_equal(weir_append(w, &first, &ev, NULL), 0);
	assert_int_equal(weir_append(w, &again, &ev, NULL), 0);
	assert_true(again.duplicate);
	assert_int_equal(again.sequence, first.sequence);
	ev.payload = S("2");
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_ECONFLICT);
	ev.has_event_id = false;
	memset(&err, 0, sizeof(err));
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_ECONFLICT);
	assert_int_equal(err.version, 1);
	assert_int_equal(weir_last(w), 1);
	weir_close(w);
}

static void
bad_events(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_event ev = event("a", "{\"a\":1,\"a\":2}");
	struct weir_err err = {0};

	(void)state;
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "duplicate"));
	ev = event("", "1");
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_EINPUT);
	assert_int_equal(weir_commit(w, NULL, &ev, 0, &err), WEIR_EINPUT);
	ev = event("a", "1");
	ev.user = S("ann");
	assert_int_equal(weir_append(w, NULL, &ev, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "both group and user"));
	assert_int_equal(weir_last(w), 0);
	weir_close(w);
}

/* What calls said: codes and sequences in their order. */
struct said {
	unsigned n;
	int code[8];
	size_t events[8];
	uint64_t sequence[8];
};

static void
say(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
    const struct weir_err *err)
{
	struct said *s = cookie;

	assert_true((code == 0) == (receipts != NULL));
	assert_true((code == 0) == (err == NULL));
	s->code[s->n] = code;
	s->events[s->n] = n;
	s->sequence[s->n++] = code == 0 ? receipts[n - 1].sequence : 0;
}

static void
submit(void **state)
{
	struct weir *w = open_store(NULL);
	char payload[] = "{\"x\":1}";
	struct weir_event ev[3] = {event("a", payload), event("b", payload),
				   event("c", payload)};
	struct weir_options ro = {.read_only = true};
	struct said said = {0};

	(void)state;
	assert_int_equal(weir_submit(w, ev, 1, 0, say, &said, NULL), 0);
	assert_int_equal(weir_submit(w, ev, 3, 0, say, &said, NULL), 0);
	ev[0].expected_version = WEIR_NONE;
	assert_int_equal(
		weir_submit(w, ev, 2, WEIR_SUBMIT_NOWAIT, say, &said, NULL), 0);
	assert_int_equal(weir_submit(w, ev, 0, 0, say, &said, NULL),
			 WEIR_EINPUT);
	refused(weir_submit(w, ev, 1, 0, NULL, &said, &err), WEIR_EUSAGE,
		"done");
	refused(weir_submit(w, ev, 3, 2, say, &said, &err), WEIR_EUSAGE,
		"flag");
	ev[0].expected_version = WEIR_ANY_VERSION;
	assert_int_equal(weir_submit(w, ev, 1, 0, say, &said, NULL), 0);
	memset(payload, 0xff, sizeof(payload));
	assert_int_equal(weir_submit(w, ev, 1, 0, say, &said, NULL),
			 WEIR_EINPUT);
	weir_close(w);
	assert_int_equal(said.n, 4);
	assert_int_equal(said.sequence[0], 1);
	assert_int_equal(said.events[1], 3);
	assert_int_equal(said.sequence[1], 4);
	assert_int_equal(said.code[2], WEIR_ECONFLICT);
	assert_int_equal(said.sequence[3], 5);
	w = open_store(&ro);
	assert_int_equal(weir_submit(w, ev, 1, 0, say, &said, NULL),
			 WEIR_EDENIED);
	assert_int_equal(weir_last(w), 5);
	weir_close(w);
}

/* What may be called within done. */
struct inside {
	struct weir *w;
	pthread_mutex_t hold; /* done waits for it */
	int append, group, read;
	unsigned calls;
	int again; /* submits so many more */
};

static void
call_inside(void *cookie, int code, const struct weir_receipt *receipts,
	    size_t n, const struct weir_err *err)
{
	struct inside *in = cookie;
	struct weir_event ev = event("inside", "1");
	struct weir_part part = {.events = &ev, .n = 1};
	struct weir_reader *r = NULL;
	struct weir_record rec;

	(void)err;
	(void)n;
	pthread_mutex_lock(&in->hold);
	in->calls++;
	if (code == 0 && weir_reader_open(&r, in->w, NULL) == 0)
		in->read = weir_read(r, &rec, receipts->sequence, NULL);
	weir_reader_close(r);
	in->append = weir_append(in->w, NULL, &ev, NULL);
	in->group = weir_commit_group(in->w, &part, 1, NULL);
	if (in->again > 0 && in->again-- > 0)
		(void)weir_submit(in->w, &ev, 1, 0, call_inside, in, NULL);
	pthread_mutex_unlock(&in->hold);
}

static void
within_done(void **state)
{
	struct inside in = {.w = open_store(NULL),
			    .hold = PTHREAD_MUTEX_INITIALIZER,
			    .again = 2};
	struct weir_event ev = event("a", "1");

	(void)state;
	pthread_mutex_lock(&in.hold);
	ok(weir_submit(in.w, &ev, 1, 0, call_inside, &in, &err));
	pthread_mutex_unlock(&in.hold);
	ok(weir_wait(in.w, 3, A_WHILE, &err));
	weir_close(in.w);
	assert_int_equal(in.calls, 3);
	assert_int_equal(in.read, 0);
	assert_int_equal(in.append, WEIR_EUSAGE);
	assert_int_equal(in.group, WEIR_EUSAGE);
}

/* While done does not return, what is submitted waits, up to a limit. */
static void
too_much_submitted(void **state)
{
	struct inside in = {.w = open_store(NULL),
			    .hold = PTHREAD_MUTEX_INITIALIZER};
	struct weir_event ev[64];
	unsigned taken = 0;
	int rc = 0;

	(void)state;
	for (size_t i = 0; i < 64; i++)
		ev[i] = event("a", "1");
	pthread_mutex_lock(&in.hold);
	for (; rc == 0 && taken < 10000; taken += rc == 0)
		rc = weir_submit(in.w, ev, 64, WEIR_SUBMIT_NOWAIT, call_inside,
				 &in, NULL);
	assert_int_equal(rc, WEIR_EUNREACH);
	assert_in_range(taken, 100, 65536 / 64 + 1); /* or 32 MiB */
	pthread_mutex_unlock(&in.hold);
	ok(weir_submit(in.w, ev, 64, 0, call_inside, &in, &err));
	weir_close(in.w);
	assert_int_equal(in.calls, taken + 1);
}

static void *
append_later(void *arg)
{
	struct weir_event ev = event("late", "true");

	return weir_append(arg, NULL, &ev, NULL) ? arg : NULL;
}

/* A read-only handle of the same folder sees what another handle commits. */
static void
follow_from_another_handle(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_options ro = {.read_only = true};
	struct weir_event ev = event("a", "1");
	struct weir_reader *r = NULL;
	struct weir_record rec;
	struct weir *reader;
	pthread_t thread;
	void *failed;

	(void)state;
	assert_int_equal(weir_append(w, NULL, &ev, NULL), 0);
	reader = open_store(&ro);
	assert_int_equal(weir_last(reader), 1);
	assert_int_equal(weir_append(reader, NULL, &ev, NULL), WEIR_EDENIED);
	assert_int_equal(weir_reader_open(&r, reader, NULL), 0);
	weir_seek(r, 1);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(weir_next(r, &rec, NULL), 0);
	assert_int_equal(weir_wait(reader, 2, 1000, NULL), WEIR_EUNREACH);
	assert_int_equal(pthread_create(&thread, NULL, append_later, w), 0);
	assert_int_equal(weir_wait(reader, 2, 30 * 1000000LL, NULL), 0);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 2);
	assert_memory_equal(rec.aggregate_id.data, "late", 4);
	weir_reader_close(r);
	weir_close(reader);
	weir_close(w);
}

static void
opening(void **state)
{
	const struct weir_options there = {.must_exist = true};
	const struct weir_options at_once = {.lock_wait_us = -1};
	const struct weir_options soon = {.lock_wait_us = 1000};
	char text[20];
	struct weir *w = NULL, *other = NULL;
	const char *kept_at = "";

	(void)state;
	refused(weir_open(&w, folder, &there, &err), WEIR_ENOTFOUND, folder);
	refused(weir_open(&w, folder, &(struct weir_options){.read_only = true},
			  &err),
		WEIR_ENOTFOUND, folder);
	assert_null(w);
	refused(weir_open(&w, "", NULL, &err), WEIR_EINPUT, "name");
	refused(weir_open(&w, NULL, NULL, &err), WEIR_EINPUT, "folder");
	w = open_store(NULL);
	snprintf(text, sizeof(text), "process %d", (int)getpid());
	refused(weir_open(&other, folder, &at_once, &err), WEIR_EUNREACH, text);
	refused(weir_open(&other, folder, &soon, &err), WEIR_EUNREACH, text);
	assert_null(other);
	assert_string_equal(weir_dir(w), folder);
	assert_int_equal(weir_cut_bytes(w, &kept_at), 0);
	assert_null(kept_at);
	other = open_reading();
	assert_memory_equal(weir_store_id(w), weir_store_id(other), 16);
	weir_close(other);
	weir_close(w);
	w = open_store(&there);
	weir_close(w);
	weir_close(NULL);
	assert_int_equal(strncmp(weir_version(), "0.", 2), 0);
}

/* ---- groups -------------------------------------------------------------- */

static void
group(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_event one = event("a", "1"), bad = event("b", "{"),
			  two[2] = {event("c", "2"), event("d", "3")},
			  none = event("a", "4");
	struct weir_receipt got[3];
	struct weir_err why[2] = {{0}, {0}};
	struct weir_part parts[] = {
		{.events = &one, .n = 1, .receipts = &got[0]},
		{.events = &bad, .n = 1, .err = &why[0]},
		{.events = two, .n = 2, .receipts = &got[1]},
		{.events = &none, .n = 1, .err = &why[1]},
		{.events = two, .n = 0},
		{.events = &one, .n = 1},
	};
	struct weir *ro;

	(void)state;
	none.expected_version = WEIR_NONE;
	ok(weir_commit_group(w, parts, 6, &err));
	assert_int_equal(parts[0].code, 0);
	assert_int_equal(parts[1].code, WEIR_EINPUT);
	assert_int_equal(why[0].sequence, 1);
	assert_int_equal(parts[2].code, 0);
	assert_int_equal(parts[3].code, WEIR_ECONFLICT);
	assert_int_equal(why[1].version, 1);
	assert_int_equal(parts[4].code, WEIR_EINPUT);
	assert_int_equal(parts[5].code, 0);
	assert_int_equal(got[0].sequence, 1);
	assert_int_equal(got[1].sequence, 2);
	assert_int_equal(got[2].sequence, 3);
	assert_int_equal(weir_last(w), 4);
	ok(weir_commit_group(w, parts, 0, &err));

	/* What is wrong with the call refuses all of it. */
	parts[2].n = WEIR_COMMIT_RECORDS_MAX + 1;
	refused(weir_commit_group(w, parts, 3, &err), WEIR_EINPUT, "commit 3");
	assert_int_equal(parts[0].code, WEIR_EINPUT);
	assert_int_equal(parts[2].code, WEIR_EINPUT);
	assert_int_equal(weir_last(w), 4);
	ro = open_reading();
	refused(weir_commit_group(ro, parts, 2, &err), WEIR_EDENIED,
		"read-only");
	assert_int_equal(parts[1].code, WEIR_EDENIED);
	assert_non_null(strstr(why[0].msg, "read-only"));
	weir_close(ro);
	weir_close(w);
}

/* More parts than go to the store at once. */
static void
large_group(void **state)
{
	enum {
		PARTS = 10000
	};
	struct weir *w = open_store(NULL);
	struct weir_part *parts = calloc(PARTS, sizeof(*parts));
	struct weir_receipt *got = calloc(PARTS, sizeof(*got));
	struct weir_event ev = event("a", "1"), bad = event("a", "?");

	(void)state;
	assert_true(parts && got);
	for (int i = 0; i < PARTS; i++)
		parts[i] = (struct weir_part){.events = i % 1000 == 999 ? &bad
									: &ev,
					      .n = 1,
					      .receipts = &got[i]};
	ok(weir_commit_group(w, parts, PARTS, &err));
	for (int i = 0; i < PARTS; i++) {
		assert_int_equal(parts[i].code,
				 i % 1000 == 999 ? WEIR_EINPUT : 0);
		if (parts[i].code == 0)
			assert_int_equal(got[i].version, i - i / 1000 + 1);
	}
	assert_int_equal(weir_last(w), PARTS - PARTS / 1000);
	weir_close(w);
	free(parts);
	free(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(append_read_state, setup,
						teardown),
		cmocka_unit_test_setup_teardown(conflicts_and_ids, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bad_events, setup, teardown),
		cmocka_unit_test_setup_teardown(submit, setup, teardown),
		cmocka_unit_test_setup_teardown(follow_from_another_handle,
						setup, teardown),
		cmocka_unit_test_setup_teardown(within_done, setup, teardown),
		cmocka_unit_test_setup_teardown(too_much_submitted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(opening, setup, teardown),
		cmocka_unit_test_setup_teardown(group, setup, teardown),
		cmocka_unit_test_setup_teardown(large_group, setup, teardown),
	};

	return cmocka_run_group_tests_name("embed", tests, NULL, NULL);
}
