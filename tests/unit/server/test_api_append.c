/* SPDX-License-Identifier: MIT */
/* POST /v1/events: what is taken, what is refused and with which status. */
#include "api_test.h"

#include "../store/gate.h"

#include <errno.h>
#include <pthread.h>

#include "server/api_int.h"

#define EVENT(more)                                                            \
	"{\"aggregate_type\":\"order\",\"aggregate_id\":\"o1\","               \
	"\"event_type\":\"placed\",\"payload\":{\"n\":1.50}" more "}"
#define KEY "Idempotency-Key: "

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
post(struct api_test *t, const char *fields, const char *body)
{
	return ask(t, "POST", "/v1/events", fields, body);
}

static void
test_append(void **state)
{
	struct api_test *t = *state;

	for (int i = 0; i < 2; i++) {
		const struct said *a;

		t->async = i > 0;
		a = post(t, NULL, EVENT(""));
		assert_status(a, 201);
		assert_has(a, "\"payload\":{\"n\":1.50}");
		assert_has(a, "\"issued_by\":{\"group\":\"ops\",\"user\":"
			      "\"ann\"}");
		assert_has(a, i > 0 ? "\"version\":4," : "\"version\":1,");
		assert_string_equal(field_of(a, "ETag"),
				    i > 0 ? "\"4\"" : "\"1\"");
		assert_string_equal(field_of(a, "Location"),
				    "/v1/aggregates/order/o1");
		a = post(t, NULL, " \n[" EVENT("") "," EVENT("") "]");
		assert_status(a, 201);
		assert_int_equal(a->body[0], '[');
		assert_has(a, i > 0 ? "\"version\":6," : "\"version\":3,");
		assert_null(field_of(a, "ETag"));
	}
}

static void
test_names(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	a = post(
		t, NULL,
		"{\"aggregate_type\":\"a/b\",\"aggregate_id\":\"../\\u00e9 %\","
		"\"event_type\":\"e\",\"payload\":null}");
	assert_status(a, 201);
	assert_string_equal(field_of(a, "Location"),
			    "/v1/aggregates/a%2Fb/..%2F%C3%A9%20%25");
	assert_status(ask(t, "GET", field_of(a, "Location"), NULL, NULL), 200);
	a = post(t, NULL,
		 "{\"aggregate_type\":\"a\",\"aggregate_id\":\"..\","
		 "\"event_type\":\"e\",\"payload\":null}");
	assert_status(a, 201);
	assert_status(ask(t, "GET", "/v1/aggregates/a/..", NULL, NULL), 200);
	assert_status(ask(t, "GET", "/v1/aggregates/a/%2e%2E", NULL, NULL),
		      200);
	a = post(t, NULL,
		 "{\"aggregate_type\":\"$token\",\"aggregate_id\":\"x\","
		 "\"event_type\":\"e\",\"payload\":null}");
	assert_status(a, 403);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"[]",
		"[1]",
		"7",
		"\"x\"",
		"{}",
		"null",
		"[" EVENT("") "",
		EVENT(",\"colour\":1"),
		EVENT(",\"event_type\":\"again\""),
		EVENT(",\"metadata\":{}"),
		EVENT(",\"version\":1"),
		EVENT(",\"tags\":[\"a b\"]"),
		EVENT(",\"event_id\":\"x\""),
		EVENT(",\"created_at\":\"yesterday\""),
		EVENT(",\"content\":\"text\""),
		"{\"aggregate_type\":\"\",\"aggregate_id\":\"x\","
		"\"event_type\":\"e\",\"payload\":1}",
		"{\"aggregate_type\":\"a\\u0000\",\"aggregate_id\":\"x\","
		"\"event_type\":\"e\",\"payload\":1}",
		"{\"aggregate_type\":\"a\",\"aggregate_id\":\"\xff\","
		"\"event_type\":\"e\",\"payload\":1}",
	};
	struct api_test *t = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct said *a = post(t, NULL, bad[i]);

		if (a->status != 400)
			fail_msg("%d to %s: %s", a->status, bad[i], a->body);
		assert_has(a, "\"code\":\"input\"");
	}
	assert_has(post(t, NULL, EVENT(",\"colour\":1")),
		   "unknown member \\\"colour\\\"");
	assert_has(post(t, NULL, EVENT(",\"metadata\":{}")),
		   "unknown member \\\"metadata\\\"");
	assert_has(post(t, NULL, "[" EVENT("") "," EVENT(",\"x\":1") "]"),
		   "event 2: unknown member");
	assert_has(
		post(t, NULL, "[" EVENT("") "," EVENT(",\"tags\":[\"\"]") "]"),
		"event 2: ");
	assert_status(ask(t, "POST", "/v1/events?a=1", NULL, EVENT("")), 400);
	assert_int_equal(store_last(t->s), 0);
}

static void
test_deep(void **state)
{
	struct api_test *t = *state;
	char body[600];

	for (int depth = 62; depth <= 66; depth++) {
		for (int array = 0; array < 2; array++) {
			char open[80], close[80];

			memset(open, '[', 80);
			memset(close, ']', 80);
			snprintf(body, sizeof(body),
				 "%s{\"aggregate_type\":\"a\",\"aggregate_id\":"
				 "\"i\",\"event_type\":\"e\",\"payload\":%.*s"
				 "%.*s}%s",
				 array ? "[" : "", depth, open, depth, close,
				 array ? "]" : "");
			assert_status(post(t, NULL, body),
				      depth <= 64 ? 201 : 400);
		}
	}
}

static void
test_content_type(void **state)
{
	static const struct {
		const char *type;
		int status;
	} cases[] = {
		{"Content-Type: application/json", 201},
		{"Content-Type: Application/JSON; charset=UTF-8", 201},
		{"Content-Type: application/json;charset=\"utf-8\"", 201},
		{"Content-Type: application/json; charset=latin1", 415},
		{"Content-Type: application/jsonx", 415},
		{"Content-Type: application/x-www-form-urlencoded", 415},
		{"Content-Type: text/plain", 415},
		{"Content-Type:", 415},
		{"Content-Encoding: gzip", 415},
		{"Content-Encoding: identity", 201},
	};
	struct api_test *t = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_status(post(t, cases[i].type, EVENT("")),
			      cases[i].status);
}

static void
test_too_long(void **state)
{
	struct api_test *t = *state;
	size_t n = API_BODY_MAX + 1;
	char *body = malloc(n);
	const struct said *a;

	assert_non_null(body);
	memset(body, ' ', n);
	a = ask_n(t, "POST", STR("/v1/events"), NULL,
		  (struct weir_str){body, n}, true);
	assert_status(a, 413);
	a = ask_n(t, "POST", STR("/v1/events"), NULL,
		  (struct weir_str){body, n - 1}, true);
	assert_status(a, 400);
	free(body);
	a = post(t, "Content-Length: 99999999999", "");
	assert_status(a, 413);
	a = ask(t, "GET", "/health", NULL, "x");
	assert_status(a, 400);
}

/* What all calls hold is bounded, and given back. */
static void
test_held(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	post(t, NULL, EVENT(""));
	assert_int_equal(t->api->held, 0);
	t->api->held = API_HELD_MAX;
	a = post(t, NULL, EVENT(""));
	assert_status(a, 503);
	assert_non_null(field_of(a, "Retry-After"));
	assert_status(ask(t, "GET", "/v1/aggregates", NULL, NULL), 503);
	t->api->held = API_HELD_MAX / 2;
	assert_status(ask(t, "GET", "/v1/aggregates", NULL, NULL), 200);
	assert_status(post(t, NULL, EVENT("")), 201);
	assert_int_equal(t->api->held, API_HELD_MAX / 2);
}

/* ---- expected versions --------------------------------------------------- */

static void
test_expected(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	assert_status(post(t, NULL, EVENT(",\"expected_version\":\"none\"")),
		      201);
	a = post(t, NULL, EVENT(",\"expected_version\":0"));
	assert_status(a, 409);
	assert_has(a, "\"code\":\"conflict\"");
	assert_has(a, "\"version\":1}");
	assert_status(post(t, "If-None-Match: *", EVENT("")), 412);
	assert_status(post(t, "If-Match: \"7\"", EVENT("")), 412);
	assert_has(post(t, "If-Match: \"7\"", EVENT("")), "\"version\":1}");
	assert_status(post(t, "If-Match: \"1\"", EVENT("")), 201);
	assert_status(post(t, "If-Match: *", EVENT("")), 201);
	assert_status(
		post(t, "If-Match: \"3\"", EVENT(",\"expected_version\":3")),
		201);
	assert_status(
		post(t, "If-Match: \"3\"", EVENT(",\"expected_version\":4")),
		400);
	assert_status(post(t, "If-Match: 4", EVENT("")), 400);
	assert_status(post(t, "If-Match: W/\"4\"", EVENT("")), 400);
	assert_status(post(t, "If-None-Match: \"4\"", EVENT("")), 400);
	assert_status(post(t, "If-Match: *\nIf-None-Match: *", EVENT("")), 400);
	assert_status(
		post(t, "If-Match: \"4\"", "[" EVENT("") "," EVENT("") "]"),
		400);
	a = post(t, NULL,
		 "[" EVENT("") "," EVENT(",\"expected_version\":4") "]");
	assert_status(a, 409);
	assert_has(a, "event 2: ");
	assert_has(a, "\"version\":5}");
	assert_int_equal(store_last(t->s), 4);
}

/* ---- keys ---------------------------------------------------------------- */

static void
test_keys(void **state)
{
	static const char uuid[] = "0b3f6b1e-7a86-4d4b-8f0e-2f6f2f3f4f5f";
	struct api_test *t = *state;
	char id[200], again[200], field[100];
	const struct said *a;

	snprintf(field, sizeof(field), KEY "%s", uuid);
	a = post(t, field, EVENT(""));
	assert_status(a, 201);
	assert_has(a, uuid);
	assert_status(post(t, field, EVENT("")), 200);
	assert_status(post(t, field, EVENT(",\"tags\":[\"x\"]")), 422);
	snprintf(id, sizeof(id), EVENT(",\"event_id\":\"%s\""), uuid);
	assert_status(post(t, NULL, id), 200);
	assert_status(post(t, field, id), 200);
	snprintf(again, sizeof(again),
		 EVENT(",\"event_id\":\"%s\",\"tags\":[\"x\"]"), uuid);
	assert_status(post(t, NULL, again), 409);
	assert_status(post(t, KEY "other", id), 400);

	assert_status(post(t, KEY "order 1", EVENT("")), 201);
	a = post(t, KEY "\"order 1\"", EVENT(""));
	assert_status(a, 200);
	assert_has(a, "\"version\":2,");
	assert_status(post(t, KEY "order 2", EVENT("")), 201);
	assert_status(post(t, KEY "\"\"", EVENT("")), 400);
	a = post(t, KEY "both", "[" EVENT("") "," EVENT("") "]");
	assert_status(a, 201);
	assert_status(post(t, KEY "both", "[" EVENT("") "," EVENT("") "]"),
		      200);
	assert_int_equal(store_last(t->s), 5);
}

/* The key of one is not the key of another. */
static void
test_keys_of_others(void **state)
{
	struct api_test *t = *state;
	const char *token = token_of(t, "read,append", NULL);
	char fields[300];

	assert_status(post(t, KEY "k", EVENT("")), 201);
	snprintf(fields, sizeof(fields), KEY "k\nAuthorization: Bearer %s",
		 token);
	assert_status(ask_n(t, "POST", STR("/v1/events"), fields,
			    STR(EVENT("")), false),
		      201);
}

static void
test_traceparent(void **state)
{
	static const char good[] =
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	struct api_test *t = *state;
	char field[200];
	const struct said *a;

	snprintf(field, sizeof(field), "traceparent: %s", good);
	assert_has(post(t, field, EVENT("")), good);
	a = post(t, field, EVENT(",\"traceparent\":\"mine\""));
	assert_has(a, "\"traceparent\":\"mine\"");
	a = post(t, "traceparent: 00-xyz", EVENT(""));
	assert_status(a, 201);
	assert_null(strstr(a->body, "traceparent"));
	a = post(t,
		 "traceparent: "
		 "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		 EVENT(""));
	assert_null(strstr(a->body, "traceparent"));
}

/* ---- a disk in trouble --------------------------------------------------- */

static void
test_failed_sync(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	for (int i = 0; i < 2; i++) {
		t->async = i > 0;
		gate_fail_sync(1, EIO);
		assert_status(post(t, NULL, EVENT("")), 503);
		gate_mend();
		a = post(t, NULL, EVENT(""));
		assert_status(a, 503);
		assert_non_null(field_of(a, "Retry-After"));
	}
	a = ask(t, "GET", "/readyz", NULL, NULL);
	assert_status(a, 503);
	assert_has(a, "[-]store ");
}

static void
test_full_disk(void **state)
{
	struct api_test *t = *state;
	char body[70000];
	int status = 201;

	snprintf(body, sizeof(body), "%.*s\"%060000d\"}",
		 (int)(strstr(EVENT(""), "{\"n\"") - EVENT("")), EVENT(""), 0);
	gate_fail_write(1, ENOSPC, GATE_ALL);
	for (int i = 0; i < 8 && status == 201; i++)
		status = post(t, NULL, body)->status;
	assert_int_equal(status, 507);
	gate_mend();
	assert_status(post(t, NULL, EVENT("")), 201);
}

static int
set_up_gate(void **state)
{
	gate_begin();
	return set_up(state);
}

static int
tear_down_gate(void **state)
{
	tear_down(state);
	gate_end();
	return 0;
}

/* ---- many at once -------------------------------------------------------- */

#define THREADS 4
#define ROUNDS	60

struct worker {
	struct api_test *t;
	pthread_t thread;
	const char *fault;
};

/* NULL, or what is wrong. */
static const char *
quick(struct api_test *t, const char *method, const char *target,
      const char *body, int wanted)
{
	struct api_request r = {
		.method = method,
		.target = str_of(target),
		.caller = {.local = true, .group = STR("g"), .user = STR("u")}};
	struct api_call *c = NULL;
	int status;

	if (api_begin(&c, t->api, &r) != 0)
		return "no memory";
	api_body(c, body, strlen(body));
	if (!api_answered(c))
		api_test_run(t, c);
	status = api_answer(c)->status;
	api_end(c);
	return status == wanted ? NULL : target;
}

static void *
work(void *cookie)
{
	struct worker *w = cookie;

	for (int i = 0; i < ROUNDS && w->fault == NULL; i++) {
		w->fault = quick(w->t, "POST", "/v1/events", EVENT(""), 201);
		if (w->fault == NULL)
			w->fault = quick(w->t, "GET", "/v1/aggregates/order/o1",
					 "", 200);
		if (w->fault == NULL)
			w->fault =
				quick(w->t, "GET",
				      "/v1/events?limit=3&type=order", "", 200);
		if (w->fault == NULL)
			w->fault = quick(w->t, "GET", "/readyz", "", 200);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct worker w[THREADS] = {{.t = *state}};
	struct api_test *t = *state;
	struct head head;

	t->async = true;
	for (int i = 0; i < THREADS; i++) {
		w[i].t = t;
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		if (w[i].fault != NULL)
			fail_msg("%s", w[i].fault);
	assert_int_equal(store_head(t->s, &head, STR("order"), STR("o1"), NULL),
			 0);
	assert_int_equal(head.version, THREADS * ROUNDS);
}

#define WITH_API(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_GATE(test)                                                        \
	cmocka_unit_test_setup_teardown(test, set_up_gate, tear_down_gate)

int
append_tests(void)
{
	const struct CMUnitTest tests[] = {
		WITH_API(test_append),	     WITH_API(test_names),
		WITH_API(test_refused),	     WITH_API(test_deep),
		WITH_API(test_content_type), WITH_API(test_too_long),
		WITH_API(test_expected),     WITH_API(test_keys),
		WITH_API(test_traceparent),  WITH_API(test_keys_of_others),
		WITH_API(test_held),	     WITH_API(test_threads),
		WITH_GATE(test_failed_sync), WITH_GATE(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
