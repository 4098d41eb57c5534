/* SPDX-License-Identifier: MIT */
/*
 * The API in this process: routes and rights, what a server says of itself, and
 * openapi.json held against the routes both ways.
 */
#include "api_test.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "model/policy.h"
#include "server/api_int.h"

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

/* ---- routes -------------------------------------------------------------- */

static void
test_routes(void **state)
{
	struct api_test *t = *state;
	const struct said *a = ask(t, "GET", "/health", NULL, NULL);

	assert_status(a, 200);
	assert_string_equal(a->body, "{\"status\":\"ok\"}");
	assert_string_equal(a->type, "application/json");
	assert_non_null(field_of(a, "X-Request-Id"));
	assert_status(ask(t, "HEAD", "/health", NULL, NULL), 200);
	assert_status(ask(t, "GET", "/%68ealth", NULL, NULL), 200);
	a = ask(t, "POST", "/health", NULL, NULL);
	assert_status(a, 405);
	assert_string_equal(field_of(a, "Allow"), "GET, HEAD");
	assert_string_equal(a->type, "application/problem+json");
	a = ask(t, "DELETE", "/v1/events", NULL, NULL);
	assert_status(a, 405);
	assert_string_equal(field_of(a, "Allow"), "GET, HEAD, POST");
	a = ask(t, "GET", "/healthy", NULL, NULL);
	assert_status(a, 404);
	assert_has(a, "\"code\":\"not-found\"");
	assert_status(ask(t, "GET", "/health/", NULL, NULL), 404);
}

static void
test_bad_targets(void **state)
{
	static const char *const bad[] = {
		"",
		"*",
		"he",
		"?",
		"/he%",
		"/he%4",
		"/he%zz",
		"/%ff",
		"/%ed%a0%80",
		"/health?a=%",
		"/health?%c3=1",
		"/health?a=1&a=2",
		"/health?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q",
	};
	static const char *const lost[] = {
		"/",
		"//",
		"/v1",
		"/v1/",
		"/v1/aggregates/a",
		"/v1//events",
		"/v1/aggregates//b",
		"/v1/aggregates/a/b/c",
		"/a/b/c/d/e/f/g/h/i/j/k",
		"/..",
		"/health/../health",
		"/%2e%2e/etc/passwd",
		"/v1%2fevents",
	};
	struct api_test *t = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_status(ask(t, "GET", bad[i], NULL, NULL), 400);
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		assert_status(ask(t, "GET", lost[i], NULL, NULL), 404);
}

/* Bytes of a kind that break parsers: each is answered, never with 5xx. */
static void
test_hostile_targets(void **state)
{
	static const char *const bits[] = {
		"/v1/aggregates/",
		"/v1/events?",
		"/v1/stream?live=false&",
		"%00",
		"%",
		"%2",
		"..",
		"/",
		"?",
		"&",
		"=",
		"#",
		"+",
		" ",
		"\x01",
		"\xff",
		"\xc3\xa9",
		"after=",
		"take=",
		"skip=",
		"version=",
		"at=",
		"type=*",
		"18446744073709551616",
		"-1",
		"1e9",
		"9999999999",
		"%C3%A9",
		"%F0%9F%92%A9",
		"$token",
		":",
		"\"",
		"{",
		"verify",
		"events",
		"%0d%0aX: y",
	};
	const size_t nbits = sizeof(bits) / sizeof(bits[0]);
	struct api_test *t = *state;
	unsigned seed = 12345;
	char target[600];

	for (int i = 0; i < 4000; i++) {
		size_t n = 0, parts;

		seed = seed * 1103515245u + 12345u;
		parts = 1 + (seed >> 16) % 8;
		while (parts-- > 0) {
			seed = seed * 1103515245u + 12345u;
			n += (size_t)snprintf(target + n, sizeof(target) - n,
					      "%s", bits[(seed >> 16) % nbits]);
		}
		const struct said *a =
			ask_n(t, (seed >> 20) % 3 == 0 ? "POST" : "GET",
			      (struct weir_str){target, n}, NULL, STR("[{}]"),
			      (seed >> 22) % 2 == 0);
		if (a->status < 200 || a->status >= 500)
			fail_msg("%d to %s: %s", a->status, target, a->body);
		if (strchr(a->fields, '\r') != NULL)
			fail_msg("a broken field for %s: %s", target,
				 a->fields);
	}
}

static void
test_request_ids(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	a = ask(t, "GET", "/health", "X-Request-Id: abc-1.2", NULL);
	assert_string_equal(field_of(a, "X-Request-Id"), "abc-1.2");
	a = ask(t, "GET", "/none", "X-Request-Id: abc-1.2", NULL);
	assert_has(a, "\"request_id\":\"abc-1.2\"");
	a = ask(t, "GET", "/health", "X-Request-Id: a b", NULL);
	assert_null(strchr(field_of(a, "X-Request-Id"), ' '));
	a = ask(t, "GET", "/health",
		"X-Request-Id: 0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789",
		NULL);
	assert_true(strlen(field_of(a, "X-Request-Id")) < 40);
}

/* ---- rights -------------------------------------------------------------- */

/* A route's path, with x for each {...}. */
static void
path_of(char *out, size_t cap, const char *pattern)
{
	size_t k = 0;

	for (const char *p = pattern; *p != '\0' && k + 1 < cap; p++) {
		out[k++] = *p == '{' ? 'x' : *p;
		if (*p == '{')
			p = strchr(p, '}');
	}
	out[k] = '\0';
}

struct need {
	struct api_test *t;
	const char *none, *read, *append;
};

/* Each route but the open ones wants a token with its scope. */
static int
check_rights(void *cookie, const struct api_route *r)
{
	struct need *n = cookie;
	const char *wrong = (r->flags & API_READ) != 0 ? n->append : n->read;
	char target[300];

	path_of(target, sizeof(target), r->pattern);
	if ((r->flags & API_OPEN) != 0) {
		assert_true(
			ask_as(n->t, NULL, r->method, target, NULL)->status !=
			401);
		return 0;
	}
	const struct said *a = ask_as(n->t, NULL, r->method, target, NULL);
	assert_status(a, 401);
	assert_non_null(field_of(a, "WWW-Authenticate"));
	assert_status(ask_as(n->t, wrong, r->method, target, NULL), 403);
	return 0;
}

static void
test_rights(void **state)
{
	struct api_test *t = *state;
	struct need n = {.t = t,
			 .read = token_of(t, "read", NULL),
			 .append = token_of(t, "append", NULL)};
	const struct said *a;

	api_route_each(check_rights, &n);
	a = ask_n(t, "GET", STR("/v1/status"), "Authorization: Basic YTpi",
		  STR(""), false);
	assert_status(a, 401);
	a = ask_as(t, "nonsense", "GET", "/v1/status", NULL);
	assert_status(a, 401);
	assert_has(a, "\"message\":\"token not found or inactive\"");
}

static void
test_attempts(void **state)
{
	struct api_test *t = *state;
	const struct said *a = NULL;
	const char *good = token_of(t, "admin", NULL);

	for (int i = 0; i < 12; i++)
		a = ask_as(t, "nonsense", "POST", "/v1/events", "{}");
	assert_status(a, 429);
	assert_true(atoi(field_of(a, "Retry-After")) >= 1);
	assert_status(ask_as(t, good, "GET", "/v1/status", NULL), 200);
}

/* ---- what a server says of itself ---------------------------------------- */

static void
put_metrics(void *cookie, struct buf *out)
{
	(void)cookie;
	buf_puts(out, "# HELP test_x X.\n# TYPE test_x gauge\ntest_x 1\n");
}

static void
put_status(void *cookie, struct buf *out)
{
	(void)cookie;
	buf_puts(out, ",\"port\":7070");
}

static bool
put_ready(void *cookie, struct buf *out)
{
	bool *good = cookie;

	buf_puts(out, *good ? "[+]ports ok\n" : "[-]ports are closed\n");
	return *good;
}

static void
test_basics(void **state)
{
	static const struct api_host host = {put_metrics, put_status,
					     put_ready};
	struct api_test *t = *state;
	const struct said *a;
	bool good = true;

	t->api->host = &host;
	t->api->host_cookie = &good;
	assert_status(ask(t, "GET", "/livez", NULL, NULL), 200);
	a = ask(t, "GET", "/readyz", NULL, NULL);
	assert_status(a, 200);
	assert_string_equal(a->body, "[+]store ok\n[+]policy ok\n[+]disk ok\n"
				     "[+]index ok\n[+]ports ok\n");
	good = false;
	a = ask(t, "GET", "/readyz", NULL, NULL);
	assert_status(a, 503);
	assert_has(a, "[-]ports are closed\n");
	a = ask(t, "GET", "/v1/status", NULL, NULL);
	assert_status(a, 200);
	assert_has(a, "\"committed_sequence\":0,\"aggregates\":0,"
		      "\"restriction\":\"true\",\"port\":7070}");
	a = ask(t, "GET", "/metrics", NULL, NULL);
	assert_status(a, 200);
	assert_has(a, "\nweir_committed_sequence 0\n");
	assert_has(a, "\ntest_x 1\n");
	assert_has(a, "weir_append_events_total{result=\"committed\"} 0\n");
}

/* Each metric has HELP and TYPE once, counters end in _total. */
static void
test_metrics_form(void **state)
{
	struct api_test *t = *state;
	char *text = strdup(ask(t, "GET", "/metrics", NULL, NULL)->body);
	char type[100] = "", *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		char kind[20];
		size_t n = strlen(type);

		if (sscanf(line, "# TYPE %99s %19s", type, kind) == 2) {
			n = strlen(type);
			assert_int_equal(
				strcmp(kind, "counter") == 0,
				n > 6 && strcmp(type + n - 6, "_total") == 0);
			continue;
		}
		if (strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (strncmp(line, type, n) != 0 ||
		    (line[n] != ' ' && line[n] != '{'))
			fail_msg("%s stands under %s", line, type);
	}
	free(text);
}

/* ---- openapi.json -------------------------------------------------------- */

static struct weir_str
openapi(void)
{
	static char *text;
	const char *src = getenv("TOP_SRCDIR");
	struct weir_err err = {0};
	struct weir_str value;
	char path[600];
	size_t n = 0;

	if (text == NULL) {
		snprintf(path, sizeof(path), "%s/core/server/openapi.json",
			 src != NULL ? src : ".");
		assert_ok(os_read_file(&text, &n, path, 1 << 20, &err), err);
	}
	assert_ok(json_check((struct weir_str){text, strlen(text)}, &value,
			     "openapi.json", &err),
		  err);
	return value;
}

static const char *
lower(const char *method)
{
	static char text[20];
	size_t i = 0;

	for (; method[i] != '\0' && i < 19; i++)
		text[i] = (char)(method[i] | 0x20);
	text[i] = '\0';
	return text;
}

static int
check_described(void *cookie, const struct api_route *r)
{
	struct weir_str *paths = cookie, item, op;

	if (!json_get(*paths, r->pattern, &item) ||
	    !json_get(item, lower(r->method), &op))
		fail_msg("openapi.json lacks %s %s", r->method, r->pattern);
	return 0;
}

struct described {
	char name[400];
	bool found;
};

static int
find_route(void *cookie, const struct api_route *r)
{
	struct described *d = cookie;
	char name[400];

	snprintf(name, sizeof(name), "%s %s", r->method, r->pattern);
	d->found |= strcmp(name, d->name) == 0;
	return 0;
}

/* What this program tests; the others have programs of their own. */
static bool
is_ours(const char *pattern)
{
	static const char *const others[] = {"/v1/schemas", "/v1/tokens",
					     "/v1/sinks", "/v1/restriction"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strncmp(pattern, others[i], strlen(others[i])) == 0)
			return false;
	return true;
}

/* Every parameter of its query is known. */
static void
check_params(struct api_test *t, const char *pattern, const char *method,
	     struct weir_str op)
{
	struct weir_str params, key, value, in, name;
	const char *body = json_get(op, "requestBody", &value) ? "{}" : NULL;
	const char *fields = strcmp(pattern, "/v1/import") == 0
				     ? "Content-Type: application/x-ndjson"
				     : NULL;
	char target[400], path[300];
	struct json_iter it;

	if (!json_get(op, "parameters", &params))
		return;
	path_of(path, sizeof(path), pattern);
	json_iter_init(&it, params);
	while (json_iter_next(&it, &key, &value)) {
		if (!json_get(value, "in", &in) || !str_is(in, "\"query\""))
			continue;
		assert_true(json_get(value, "name", &name));
		snprintf(target, sizeof(target), "%s?%.*s=", path,
			 (int)name.len - 2, name.data + 1);
		const struct said *a = ask(t, method, target, fields, body);
		if (strstr(a->body, "unknown query parameter") != NULL)
			fail_msg("%s %s: %s", method, target, a->body);
	}
	snprintf(target, sizeof(target), "%s?zzz=", path);
	assert_status(ask(t, method, target, fields, body), 400);
}

/* The operation is a route; every status of ours was seen. */
static void
check_operation(const char *pattern, const char *method, struct weir_str op)
{
	struct described d = {.found = false};
	struct weir_str responses, key, value;
	struct json_iter it;
	char status[20];

	snprintf(d.name, sizeof(d.name), "%s %s", method, pattern);
	api_route_each(find_route, &d);
	if (!d.found)
		fail_msg("there is no route %s", d.name);
	assert_true(json_get(op, "responses", &responses));
	json_iter_init(&it, responses);
	while (json_iter_next(&it, &key, &value)) {
		snprintf(status, sizeof(status), "%.*s", (int)key.len - 2,
			 key.data + 1);
		if (is_ours(pattern) && strcmp(status, "default") != 0 &&
		    !was_seen(d.name, atoi(status)))
			fail_msg("%s was never answered with %s", d.name,
				 status);
	}
}

static void
test_openapi(void **state)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "DELETE",
					      "PATCH"};
	struct api_test *t = *state;
	struct weir_str doc = openapi(), paths, key, item, op;
	const struct said *a = ask(t, "GET", "/openapi.json", NULL, NULL);
	struct json_iter it;

	assert_status(a, 200);
	assert_int_equal(strncmp(a->body, doc.data, doc.len), 0);
	assert_true(json_get(doc, "paths", &paths));
	api_route_each(check_described, &paths);
	json_iter_init(&it, paths);
	while (json_iter_next(&it, &key, &item)) {
		char pattern[300];

		snprintf(pattern, sizeof(pattern), "%.*s", (int)key.len - 2,
			 key.data + 1);
		for (size_t i = 0; i < 5; i++)
			if (json_get(item, lower(methods[i]), &op)) {
				check_operation(pattern, methods[i], op);
				check_params(t, pattern, methods[i], op);
			}
	}
}

#define WITH_API(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_API(test_routes),	     WITH_API(test_bad_targets),
		WITH_API(test_request_ids),  WITH_API(test_rights),
		WITH_API(test_attempts),     WITH_API(test_basics),
		WITH_API(test_metrics_form), WITH_API(test_hostile_targets),
	};
	const struct CMUnitTest last[] = {WITH_API(test_openapi)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	failed += append_tests();
	failed += read_tests();
	failed += import_tests();
	return failed + cmocka_run_group_tests(last, NULL, NULL);
}
