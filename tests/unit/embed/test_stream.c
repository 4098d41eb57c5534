/* SPDX-License-Identifier: MIT */
/* The embedding API: streams of structs and of bytes. */
#include "embed_test.h"

#include <stdlib.h>
#include <string.h>

struct sample {
	int64_t at;
	double celsius;
	uint32_t flags;
	uint32_t spare;
};

static struct weir_stream *
open_stream(struct weir *w, const char *name,
	    const struct weir_stream_options *o)
{
	struct weir_stream *s = NULL;

	ok(weir_stream_open(&s, w, name, o, &err));
	return s;
}

static struct weir_stream_event
of(uint64_t id, const void *data, size_t len)
{
	return (struct weir_stream_event){id, data, len, WEIR_ANY_VERSION};
}

static void
structs(void **state)
{
	const struct weir_stream_options o = {.event_type = "sampled",
					      .size = sizeof(struct sample)};
	struct weir *w = open_store(NULL);
	struct weir_stream *s = open_stream(w, "sensor", &o);
	struct weir_reader *r = NULL;
	struct weir_stream_event ev[3];
	struct weir_receipt got[3];
	struct weir_err why = {0};
	struct weir_record rec;
	struct sample in[3], out;
	char shorter[8];

	(void)state;
	for (int i = 0; i < 3; i++) {
		in[i] = (struct sample){i, 20.5 + i, 7, 0};
		ev[i] = of(UINT64_MAX - (uint64_t)(i % 2), &in[i],
			   sizeof(in[i]));
	}
	ok(weir_stream_append(s, got, ev, 3, &err));
	assert_int_equal(got[0].version, 1);
	assert_int_equal(got[1].version, 1);
	assert_int_equal(got[2].version, 2);
	assert_int_equal(got[2].sequence, 3);

	ok(weir_reader_open(&r, w, &err));
	ok(weir_stream_read(s, r, &rec, UINT64_MAX, 2, &err));
	assert_true(WEIR_COPY(&out, &rec));
	assert_memory_equal(&out, &in[2], sizeof(out));
	assert_memory_equal(rec.aggregate_id.data, "18446744073709551615", 20);
	assert_int_equal(rec.event_type.len, 7);
	assert_memory_equal(rec.event_type.data, "sampled", 7);
	assert_int_equal(rec.content, WEIR_CONTENT_BYTES);
	assert_false(WEIR_COPY(&shorter, &rec));
	ok(weir_stream_read(s, r, &rec, UINT64_MAX - 1, 0, &err));
	assert_true(WEIR_COPY(&out, &rec));
	assert_memory_equal(&out, &in[1], sizeof(out));
	refused(weir_stream_read(s, r, &rec, 0, 0, &err), WEIR_ENOTFOUND,
		"not found");
	refused(weir_stream_read(s, r, &rec, UINT64_MAX, 3, &err),
		WEIR_ENOTFOUND, "version 3");

	/* Another size is refused, before anything is written. */
	ev[1].len--;
	assert_int_equal(weir_stream_append(s, got, ev, 2, &why), WEIR_EINPUT);
	assert_int_equal(why.sequence, 2);
	assert_non_null(strstr(why.msg, "sensor 18446744073709551614"));
	assert_non_null(strstr(why.msg, "23 bytes"));
	assert_int_equal(weir_last(w), 3);
	weir_reader_close(r);
	weir_stream_close(s);
	weir_stream_close(NULL);
	weir_close(w);
}

static void
bytes(void **state)
{
	const struct weir_stream_options o = {.largest = 10};
	static const char bits[] = "\0\xff{\n\x80 1234567";
	struct weir *w = open_store(NULL), *ro = open_reading();
	struct weir_stream *s = open_stream(w, "run", &o),
			   *open = open_stream(w, "run", NULL),
			   *reading = open_stream(ro, "run", NULL);
	struct weir_stream_event ev = of(7, bits, 10);
	struct weir_reader *r = NULL;
	struct weir_record rec;
	char *large = calloc(1, WEIR_PAYLOAD_MAX + 1);

	(void)state;
	assert_non_null(large);
	ok(weir_stream_append(s, NULL, &ev, 1, &err));
	ev.len = 11;
	refused(weir_stream_append(s, NULL, &ev, 1, &err), WEIR_EINPUT,
		"the largest that this stream takes is 10");
	ok(weir_stream_append(open, NULL, &ev, 1, &err));
	ev = of(7, NULL, 0);
	ok(weir_stream_append(s, NULL, &ev, 1, &err));
	ev = of(7, NULL, 1);
	refused(weir_stream_append(s, NULL, &ev, 1, &err), WEIR_EINPUT,
		"no data");
	ev = of(8, large, WEIR_PAYLOAD_MAX);
	ok(weir_stream_append(open, NULL, &ev, 1, &err));
	ev.len++;
	refused(weir_stream_append(open, NULL, &ev, 1, &err), WEIR_EINPUT,
		"1048577 bytes");
	refused(weir_stream_append(open, NULL, &ev, 0, &err), WEIR_EINPUT,
		"1 to 65536");
	refused(weir_stream_append(reading, NULL, &ev, 1, &err), WEIR_EDENIED,
		"read-only");

	/* From another handle: all of stream 7, and the pointers. */
	ok(weir_reader_open(&r, ro, &err));
	ok(weir_stream_seek(reading, r, 7, 0, &err));
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.payload.len, 10);
	assert_memory_equal(rec.payload.data, bits, 10);
	assert_memory_equal(rec.event_type.data, "appended", 8);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.payload.len, 11);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.payload.len, 0);
	assert_non_null(rec.payload.data);
	assert_int_equal(weir_next(r, &rec, NULL), 0);
	assert_int_equal(weir_tell(r), 5);
	weir_reader_close(r);
	weir_stream_close(s);
	weir_stream_close(open);
	weir_stream_close(reading);
	weir_close(ro);
	weir_close(w);
	free(large);
}

static void
expected_versions(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_stream *s = open_stream(w, "run", NULL);
	struct weir_stream_event ev[2] = {of(1, "a", 1), of(1, "b", 1)};
	struct weir_err why = {0};

	(void)state;
	ev[0].expected_version = WEIR_EXISTS;
	assert_int_equal(weir_stream_append(s, NULL, ev, 1, &why),
			 WEIR_ECONFLICT);
	ev[0].expected_version = WEIR_NONE;
	ev[1].expected_version = 1;
	ok(weir_stream_append(s, NULL, ev, 2, &err));
	assert_int_equal(weir_stream_append(s, NULL, ev, 2, &why),
			 WEIR_ECONFLICT);
	assert_int_equal(why.version, 2);
	ev[1].expected_version = 2;
	ok(weir_stream_append(s, NULL, &ev[1], 1, &err));
	assert_int_equal(weir_last(w), 3);
	weir_stream_close(s);
	weir_close(w);
}

static void
everything_in_order(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_stream *s = open_stream(w, "account", NULL);
	struct weir_stream_event ev = of(0, "x", 1);
	struct weir_event other = event("7", "1");
	struct weir_event odd = event("007", "x");
	struct weir_reader *r = NULL;
	struct weir_record rec;
	uint64_t id = 9;

	(void)state;
	ok(weir_stream_append(s, NULL, &ev, 1, &err));
	ok(weir_append(w, NULL, &other, &err));
	odd.content = WEIR_CONTENT_BYTES;
	ok(weir_append(w, NULL, &odd, &err));
	other.content = WEIR_CONTENT_BYTES;
	ok(weir_append(w, NULL, &other, &err));
	other.aggregate_type = S("accoun");
	ok(weir_append(w, NULL, &other, &err));
	ok(weir_reader_open(&r, w, &err));
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_true(weir_stream_has(s, &id, &rec));
	assert_int_equal(id, 0);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_false(weir_stream_has(s, &id, &rec)); /* json */
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_false(weir_stream_has(s, &id, &rec)); /* 007 */
	assert_int_equal(id, 0);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_true(weir_stream_has(s, &id, &rec));
	assert_int_equal(id, 7);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_false(weir_stream_has(s, &id, &rec)); /* another name */
	weir_reader_close(r);
	weir_stream_close(s);
	weir_close(w);
}

static void
options(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_stream *s = NULL;
	struct weir_stream_options o = {.size = 9, .largest = 8};

	(void)state;
	refused(weir_stream_open(&s, w, "", NULL, &err), WEIR_EINPUT, "empty");
	refused(weir_stream_open(&s, w, NULL, NULL, &err), WEIR_EINPUT,
		"empty");
	refused(weir_stream_open(&s, w, "$run", NULL, &err), WEIR_EDENIED,
		"reserved");
	refused(weir_stream_open(&s, w, "run", &o, &err), WEIR_EINPUT,
		"9 bytes");
	o.size = 0;
	o.largest = WEIR_PAYLOAD_MAX + 1;
	refused(weir_stream_open(&s, w, "run", &o, &err), WEIR_EINPUT,
		"1048577");
	o.largest = 0;
	o.event_type = "";
	refused(weir_stream_open(&s, w, "run", &o, &err), WEIR_EINPUT,
		"event type");
	assert_null(s);
	weir_close(w);
}

/* ---- submit -------------------------------------------------------------- */

struct sum {
	unsigned calls;
	size_t events;
	uint64_t last;
	int failed;
};

static void
add(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
    const struct weir_err *err)
{
	struct sum *sum = cookie;

	(void)err;
	sum->calls++;
	sum->events += n;
	if (code != 0)
		sum->failed = code;
	else
		sum->last = receipts[n - 1].version;
}

static void
submitting(void **state)
{
	const struct weir_stream_options o = {.size = 8};
	struct weir *w = open_store(NULL);
	struct weir_stream *s = open_stream(w, "run", &o);
	uint64_t value = 0;
	struct weir_stream_event ev[2] = {of(1, &value, 8), of(1, &value, 8)};
	struct sum sum = {0};

	(void)state;
	for (value = 0; value < 1000; value++)
		ok(weir_stream_submit(s, ev, 1 + value % 2, 0, add, &sum,
				      &err));
	ev[0].len = 7;
	refused(weir_stream_submit(s, ev, 1, 0, add, &sum, &err), WEIR_EINPUT,
		"7 bytes");
	weir_stream_close(s);
	weir_close(w);
	assert_int_equal(sum.calls, 1000);
	assert_int_equal(sum.events, 1500);
	assert_int_equal(sum.last, 1500);
	assert_int_equal(sum.failed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(structs, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(expected_versions, setup,
						teardown),
		cmocka_unit_test_setup_teardown(everything_in_order, setup,
						teardown),
		cmocka_unit_test_setup_teardown(options, setup, teardown),
		cmocka_unit_test_setup_teardown(submitting, setup, teardown),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
