/* SPDX-License-Identifier: MIT */
/* The embedding API over a real store: what weir.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <weir/weir.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S(lit) ((struct weir_str){(lit), sizeof(lit) - 1})

static char folder[200];

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/weir-embed-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int
teardown(void **state)
{
	char cmd[240];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	return system(cmd) ? -1 : 0;
}

static struct weir *
open_store(const struct weir_options *o)
{
	struct weir_err err = {0};
	struct weir *w = NULL;

	if (weir_open(&w, folder, o, &err))
		fail_msg("open: %s", err.msg);
	return w;
}

static struct weir_event
event(const char *id, const char *payload)
{
	return (struct weir_event){
		.aggregate_type = S("account"),
		.aggregate_id = {id, strlen(id)},
		.event_type = S("changed"),
		.payload = {payload, strlen(payload)},
		.expected_version = WEIR_ANY_VERSION,
	};
}

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
	assert_int_equal(weir_submit(w, ev, 2, WEIR_SUBMIT_NOWAIT, say, &said,
				     NULL),
			 0);
	assert_int_equal(weir_submit(w, ev, 0, 0, say, &said, NULL),
			 WEIR_EINPUT);
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
missing_store(void **state)
{
	struct weir_options ro = {.read_only = true};
	struct weir_err err = {0};
	struct weir *w = NULL;

	(void)state;
	assert_int_equal(weir_open(&w, folder, &ro, &err), WEIR_ENOTFOUND);
	assert_non_null(strstr(err.msg, folder));
	assert_null(w);
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
		cmocka_unit_test_setup_teardown(missing_store, setup, teardown),
	};

	return cmocka_run_group_tests_name("embed", tests, NULL, NULL);
}
