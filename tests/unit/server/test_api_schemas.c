/* SPDX-License-Identifier: MIT */
/* The routes of schemas and of the restriction, in this process. */
#include "store_test.h"

#include <strings.h>

#include "base/buf.h"
#include "model/config.h"
#include "model/policy.h"
#include "server/api.h"

static struct weir_err err;
static char *dir;
static struct store *s;
static struct policy *p;
static struct config *config;
static struct api *api;
static char answer[65536], etag[64], location[256];

static int
setup(void **state)
{
	struct api_options o = {0};

	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	s = must_write(dir);
	assert_ok(policy_open(&p, s, &err), err);
	assert_ok(config_load(&config, NULL, dir, &err), err);
	o.store = s;
	o.policy = p;
	o.config = config;
	assert_ok(api_new(&api, &o, &err), err);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	api_free(api);
	policy_free(p);
	store_close(s);
	config_free(config);
	folder_drop(dir);
	return 0;
}

/* NAME: VALUE of the request, or none. */
struct header {
	const char *name, *value;
};

static const char *
find_header(void *cookie, const char *name)
{
	const struct header *h = cookie;

	if (h->name != NULL && strcasecmp(h->name, name) == 0)
		return h->value;
	return strcasecmp(name, "Content-Type") == 0 ? "application/json"
						     : NULL;
}

static void
keep(char *to, size_t cap, const struct api_answer *a, const char *name)
{
	to[0] = '\0';
	for (size_t i = 0; i < a->nfields; i++)
		if (strcmp(a->field[i].name, name) == 0)
			snprintf(to, cap, "%s", a->field[i].value);
}

static int
call_with(struct header h, const char *method, const char *target,
	  const char *body, bool local)
{
	struct api_request r = {.method = method,
				.target = str_of(target),
				.header = find_header,
				.cookie = &h,
				.caller = {.local = local,
					   .group = STR("staff"),
					   .user = STR("ann"),
					   .address = STR("127.0.0.1")}};
	const struct api_answer *a;
	struct api_call *c;
	int status;

	assert_int_equal(api_begin(&c, api, &r), 0);
	if (body != NULL && !api_answered(c))
		api_body(c, body, strlen(body));
	if (!api_answered(c))
		assert_true(api_run(c, NULL, NULL));
	a = api_answer(c);
	status = a->status;
	snprintf(answer, sizeof(answer), "%.*s", (int)a->body.len,
		 a->body.len > 0 ? a->body.data : "");
	keep(etag, sizeof(etag), a, "ETag");
	keep(location, sizeof(location), a, "Location");
	api_end(c);
	return status;
}

static int
call(const char *method, const char *target, const char *body)
{
	return call_with((struct header){NULL, NULL}, method, target, body,
			 true);
}

static int
call_if(const char *name, const char *value, const char *method,
	const char *target, const char *body)
{
	return call_with((struct header){name, value}, method, target, body,
			 true);
}

#define assert_answer(status, call, text)                                      \
	do {                                                                   \
		int got_ = (call);                                             \
		if (got_ != (status) || strstr(answer, (text)) == NULL)        \
			fail_msg("%d: %s", got_, answer);                      \
	} while (0)

#define ONE "/v1/schemas/account"

static void
test_life(void **state)
{
	(void)state;
	assert_answer(200, call("GET", "/v1/schemas", NULL), "[]");
	assert_answer(404, call("GET", ONE, NULL), "schema not found");
	assert_answer(201,
		      call("POST", "/v1/schemas",
			   "{\"aggregate\":\"account\",\"events\":[\"a\"]}"),
		      "\"version\":1");
	assert_string_equal(etag, "\"1\"");
	assert_string_equal(location, ONE);
	assert_answer(409,
		      call("POST", "/v1/schemas",
			   "{\"aggregate\":\"account\",\"events\":[\"a\"]}"),
		      "schema already exists");
	assert_answer(200, call("GET", ONE, NULL), "\"aggregate\":\"account\"");
	assert_string_equal(etag, "\"1\"");
	assert_answer(304, call_if("If-None-Match", "\"1\"", "GET", ONE, NULL),
		      "");
	assert_answer(
		200,
		call("POST", ONE "/events", "{\"events\":[\"b\",\"c/d\"]}"),
		"\"c/d\"");
	assert_answer(200, call("DELETE", ONE "/events/c%2Fd", NULL),
		      "\"events\":{\"a\":{\"fields\":{}},\"b\"");
	assert_answer(404, call("DELETE", ONE "/events/z", NULL),
		      "event z is not defined for aggregate account");
	assert_answer(200, call("PATCH", ONE, "{\"locked\":true}"),
		      "\"locked\":true");
	assert_answer(200, call("PUT", ONE, "{\"events\":[\"q\"]}"),
		      "\"events\":{\"q\":{\"fields\":{}}}");
	assert_answer(400, call("DELETE", ONE "/events/q", NULL),
		      "can't be removed");
	assert_answer(200, call("GET", "/v1/schemas", NULL), "[{\"aggregate\"");
	assert_answer(204, call("DELETE", ONE, NULL), "");
	assert_answer(404, call("DELETE", ONE, NULL), "schema not found");
	assert_answer(404, call("PATCH", ONE, "{}"), "schema not found");
	assert_answer(201, call("PUT", ONE, "{\"events\":[\"q\"]}"),
		      "\"version\":7");
	assert_answer(200, call("GET", ONE "/history?skip=5", NULL),
		      "\"event_type\":\"deleted\"");
	assert_non_null(strstr(answer, "\"user\":\"ann\""));
	assert_null(strstr(answer, "\"version\":5"));
	assert_answer(200, call("GET", ONE "/history?take=0", NULL), "[]");
	assert_answer(404, call("GET", "/v1/schemas/x/history", NULL),
		      "schema not found");
}

static void
test_conditions(void **state)
{
	(void)state;
	assert_answer(
		412,
		call_if("If-Match", "*", "PUT", ONE, "{\"events\":[\"a\"]}"),
		"schema not found");
	assert_answer(201,
		      call_if("If-None-Match", "*", "PUT", ONE,
			      "{\"events\":[\"a\"]}"),
		      "\"version\":1");
	assert_answer(412,
		      call_if("If-None-Match", "*", "PUT", ONE,
			      "{\"events\":[\"b\"]}"),
		      "schema already exists");
	assert_answer(
		412,
		call_if("If-Match", "\"2\"", "PATCH", ONE, "{\"locked\":true}"),
		"\"version\":1");
	assert_answer(412, call_if("If-Match", "\"2\"", "DELETE", ONE, NULL),
		      "at version 1 where 2 was expected");
	assert_answer(
		200,
		call_if("If-Match", "\"1\"", "PATCH", ONE, "{\"locked\":true}"),
		"\"version\":2");
	assert_answer(409, call("PATCH", ONE, "{\"version\":1}"),
		      "at version 2 where 1 was expected");
	assert_answer(
		200,
		call_if("If-Match", "*", "PUT", ONE, "{\"events\":[\"b\"]}"),
		"\"version\":3");
	assert_answer(400, call_if("If-Match", "x", "DELETE", ONE, NULL),
		      "If-Match");
	assert_answer(200,
		      call_if("Content-Type", "application/merge-patch+json",
			      "PATCH", ONE, "{\"locked\":true}"),
		      "\"locked\":true");
	assert_int_equal(call_if("Content-Type", "application/merge-patch+json",
				 "PUT", ONE, "{\"events\":[\"b\"]}"),
			 415);
}

static void
test_refused(void **state)
{
	(void)state;
	assert_answer(400, call("POST", "/v1/schemas", "[]"), "JSON object");
	assert_answer(400, call("POST", "/v1/schemas", "{\"events\":[\"a\"]}"),
		      "aggregate must be the name");
	assert_answer(400, call("POST", "/v1/schemas", "{"), "body: ");
	assert_answer(400,
		      call("POST", "/v1/schemas",
			   "{\"aggregate\":\"a\",\"events\":[\"a\"],\"x\":1}"),
		      "unknown member");
	assert_answer(403,
		      call("POST", "/v1/schemas",
			   "{\"aggregate\":\"$a\",\"events\":[\"a\"]}"),
		      "reserved");
	assert_answer(400, call("GET", "/v1/schemas?x=1", NULL), "x");
	assert_answer(201, call("PUT", ONE, "{\"events\":[\"a\"]}"), "");
	assert_answer(400, call("POST", ONE "/events", "{\"locked\":true}"),
		      "events");
	assert_answer(400,
		      call("POST", ONE "/events",
			   "{\"events\":[\"b\"],\"locked\":true}"),
		      "unknown member");
	assert_int_equal(call_with((struct header){NULL, NULL}, "GET",
				   "/v1/schemas", NULL, false),
			 401);
}

static void
test_restriction(void **state)
{
	(void)state;
	assert_answer(200, call("GET", "/v1/restriction", NULL),
		      "{\"restriction\":\"true\"}");
	assert_answer(
		200,
		call("PUT", "/v1/restriction", "{\"restriction\":\"strict\"}"),
		"{\"restriction\":\"strict\"}");
	assert_answer(400,
		      call("POST", "/v1/events",
			   "{\"aggregate_type\":\"a\",\"aggregate_id\":\"1\","
			   "\"event_type\":\"e\",\"payload\":{}}"),
		      "aggregate a has no schema");
	assert_answer(200,
		      call("PUT", "/v1/restriction", "{\"restriction\":false}"),
		      "{\"restriction\":\"false\"}");
	assert_answer(201,
		      call("POST", "/v1/events",
			   "{\"aggregate_type\":\"a\",\"aggregate_id\":\"1\","
			   "\"event_type\":\"e\",\"payload\":{}}"),
		      "");
	assert_answer(400,
		      call("PUT", "/v1/restriction", "{\"restriction\":1}"),
		      "true, strict or false");
	assert_answer(400, call("PUT", "/v1/restriction", "{}"), "restriction");
	assert_answer(400,
		      call("PUT", "/v1/restriction",
			   "{\"restriction\":true,\"x\":1}"),
		      "unknown member");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conditions, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restriction, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
