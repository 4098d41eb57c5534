/* SPDX-License-Identifier: MIT */
/* POST /v1/import: an answer for each line. */
#include "api_test.h"

#include "../store/gate.h"

#include <errno.h>

#include "base/buf.h"
#include "server/api_int.h"

#define NDJSON "Content-Type: application/x-ndjson"

static int
set_up(void **state)
{
	*state = api_test_new();
	return 0;
}

static int
tear_down(void **state)
{
	api_test_free(*state);
	return 0;
}

static const struct said *
import(struct api_test *t, const char *query, const char *body)
{
	char target[200];

	snprintf(target, sizeof(target), "/v1/import%s", query);
	return ask(t, "POST", target, NDJSON, body);
}

#define LINE(id, more)                                                         \
	"{\"aggregate_type\":\"a\",\"aggregate_id\":\"" id                     \
	"\",\"event_type\":\"e\",\"payload\":1" more "}\n"

static void
test_lines(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	for (int i = 0; i < 2; i++) {
		t->async = i > 0;
		a = import(
			t, "?source=x",
			LINE("1", "") "\n \r\n" LINE(
				"2", ",\"x\":1") "not json\n" LINE("1",
								   ",\"expected"
								   "_version\""
								   ":9")
				LINE("3", ""));
		assert_status(a, 200);
		assert_string_equal(a->type, "application/x-ndjson");
		assert_has(a,
			   i == 0 ? "{\"line\":1,\"sequence\":1,\"version\":1}"
				    "\n{\"line\":4,\"error\":{\"code\":"
				    "\"input\",\"message\":\"unknown member"
				  : "{\"line\":1,\"sequence\":1,\"version\":"
				    "1,\"duplicate\":true}\n{\"line\":4,");
		assert_has(a, "{\"line\":5,\"error\":{\"code\":\"input\"");
		assert_has(a, "{\"line\":6,\"error\":{\"code\":\"conflict\"");
		assert_has(a, ",\"version\":1}}\n{\"line\":7,\"sequence\":2,");
	}
	a = import(t, "", LINE("1", ""));
	assert_has(a, "\"version\":2}");
	a = import(t, "?line=41", "\n" LINE("1", ""));
	assert_has(a, "{\"line\":42,");
	a = import(t, "", "");
	assert_status(a, 200);
	assert_string_equal(a->body, "");
	assert_status(import(t, "?line=0", ""), 400);
	assert_status(import(t, "?lines=1", ""), 400);
	assert_status(ask(t, "POST", "/v1/import", NULL, ""), 415);
}

static void
test_many(void **state)
{
	struct api_test *t = *state;
	const struct said *a;
	struct buf b;
	char line[100];

	buf_init(&b, 1 << 22);
	for (int i = 0; i < 2500; i++)
		buf_puts(&b, LINE("many", ""));
	t->async = true;
	a = ask_n(t, "POST", STR("/v1/import"), NDJSON, buf_str(&b), true);
	assert_status(a, 200);
	for (int i = 1; i <= 2500; i += 833) {
		snprintf(line, sizeof(line),
			 "{\"line\":%d,\"sequence\":%d,\"version\":%d}\n", i, i,
			 i);
		assert_has(a, line);
	}
	assert_int_equal(store_last(t->s), 2500);
	buf_fini(&b);
}

static void
test_too_long(void **state)
{
	struct api_test *t = *state;
	const struct said *a;
	char field[200];
	size_t n = (8u << 20) + 10;
	char *body = malloc(n + 200);

	snprintf(field, sizeof(field), NDJSON "\nContent-Length: %u",
		 API_IMPORT_MAX + 1);
	assert_status(ask(t, "POST", "/v1/import", field, ""), 413);
	assert_non_null(body);
	memset(body, 'x', n);
	snprintf(body + n, 200, "\n%s", LINE("1", ""));
	a = ask_n(t, "POST", STR("/v1/import"), NDJSON, str_of(body), true);
	assert_status(a, 200);
	assert_has(a, "{\"line\":1,\"error\":{\"code\":\"input\",\"message\":"
		      "\"longer than ");
	assert_has(a, "{\"line\":2,\"sequence\":1,");
	free(body);
}

/* An EventRecord says who issued it: an administrator's import keeps that,
 * another's is its own. */
static void
test_actors(void **state)
{
	static const char record[] =
		"{\"aggregate_type\":\"a\",\"aggregate_id\":\"%s\","
		"\"event_type\":\"e\",\"payload\":1,\"metadata\":{\"issued_by\""
		":{\"group\":\"them\",\"user\":\"joe\"}}%s}\n";
	struct api_test *t = *state;
	const char *token = token_of(t, "append", NULL);
	char body[400], fields[300];
	const struct said *a;

	snprintf(body, sizeof(body), record, "1", "");
	a = import(t, "", body);
	assert_status(a, 200);
	a = ask(t, "GET", "/v1/events?id=1", NULL, NULL);
	assert_has(a, "{\"group\":\"them\",\"user\":\"joe\"}");
	snprintf(fields, sizeof(fields), NDJSON "\nAuthorization: Bearer %s",
		 token);
	snprintf(body, sizeof(body), record, "2", "");
	a = ask_n(t, "POST", STR("/v1/import"), fields, str_of(body), false);
	assert_status(a, 200);
	a = ask(t, "GET", "/v1/events?id=2", NULL, NULL);
	assert_null(strstr(a->body, "joe"));
	snprintf(body, sizeof(body), record, "2", ",\"op\":\"archived\"");
	a = ask_n(t, "POST", STR("/v1/import"), fields, str_of(body), false);
	assert_has(a, "\"error\":{\"code\":\"denied\"");
}

/* A writer that fails refuses all; one that fails on its way says of the rest
 * why it is not there. */
static void
test_failed(void **state)
{
	struct api_test *t = NULL;
	const struct said *a = NULL;
	int status = 503;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 22);
	for (int i = 0; i < 1500; i++)
		buf_puts(&b, LINE("many", ""));
	/* The first group may need new segments, which are synced as well. */
	for (uint64_t k = 1; status == 503 && k < 10; k++) {
		if (t != NULL)
			api_test_free(t);
		t = api_test_new();
		gate_fail_sync(k, EIO);
		a = ask_n(t, "POST", STR("/v1/import"), NDJSON, buf_str(&b),
			  true);
		gate_mend();
		status = a->status;
		assert_int_equal(store_last(t->s), status == 503 ? 0 : 1000);
	}
	assert_status(a, 200);
	assert_has(a, "{\"line\":1000,\"sequence\":1000,");
	assert_has(a, "{\"line\":1001,\"error\":{\"code\":\"io\"");
	assert_has(a, "{\"line\":1500,\"error\":{\"code\":\"io\"");
	t->async = true;
	assert_status(import(t, "", LINE("1", "")), 503);
	api_test_free(t);
	buf_fini(&b);
}

static int
set_up_gate(void **state)
{
	(void)state;
	gate_begin();
	return 0;
}

static int
tear_down_gate(void **state)
{
	(void)state;
	gate_end();
	return 0;
}

#define WITH_API(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
import_tests(void)
{
	const struct CMUnitTest tests[] = {
		WITH_API(test_lines),
		WITH_API(test_many),
		WITH_API(test_too_long),
		WITH_API(test_actors),
		cmocka_unit_test_setup_teardown(test_failed, set_up_gate,
						tear_down_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
