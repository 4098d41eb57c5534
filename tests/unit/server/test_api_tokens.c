/* SPDX-License-Identifier: MIT */
/* Tokens by API: each route and status, and what a token's bearer may do. */
#include "api_test.h"

#include "base/err.h"
#include "base/json.h"
#include "model/token.h"
#include "server/feed.h"

#define EVENT(type, id)                                                        \
	"{\"aggregate_type\":\"" type "\",\"aggregate_id\":\"" id              \
	"\",\"event_type\":\"e\",\"payload\":{\"n\":1}}"

static char id[TOKEN_ID], secret[TOKEN_SECRET];

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

/* Keeps the secret and the ID of the token that an answer is about. */
static const struct said *
generate(struct api_test *t, const char *body)
{
	const struct said *a = ask(t, "POST", "/v1/tokens", NULL, body);
	struct weir_str all = {a->body, a->len}, value;

	assert_status(a, 201);
	assert_true(json_get(all, "token", &value));
	assert_int_equal(value.len, TOKEN_SECRET + 1);
	secret[json_decode(secret, value)] = '\0';
	assert_true(json_get(all, "id", &value));
	assert_int_equal(value.len, TOKEN_ID + 1);
	id[json_decode(id, value)] = '\0';
	return a;
}

static const char *
target(const char *rest)
{
	static char text[4][100];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(text[turn], sizeof(text[0]), "/v1/tokens/%s%s", id, rest);
	return text[turn];
}

/* Every route by one who has no right to it. */
static void
refuse_all(struct api_test *t)
{
	static const char *const routes[][2] = {
		{"GET", "/v1/tokens"},
		{"POST", "/v1/tokens"},
		{"GET", "/v1/tokens/0123456789abcdef"},
		{"DELETE", "/v1/tokens/0123456789abcdef"},
		{"POST", "/v1/tokens/0123456789abcdef/refresh"},
		{"POST", "/v1/tokens/0123456789abcdef/revoke"},
	};
	const char *user = token_of(t, "read,append", NULL);

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const char *method = routes[i][0], *at = routes[i][1];
		assert_status(ask_as(t, NULL, method, at, ""), 401);
		assert_status(ask_as(t, user, method, at, ""), 403);
		if (strstr(at, "0123") != NULL)
			assert_status(ask(t, method, at, NULL, ""), 404);
	}
}

static void
test_routes(void **state)
{
	struct api_test *t = *state;
	const struct said *a;
	char location[64];

	a = generate(t, "{\"group\":\"shop\",\"user\":\"till\",\"limit\":3}");
	snprintf(location, sizeof(location), "/v1/tokens/%s", id);
	assert_string_equal(field_of(a, "Location"), location);
	assert_string_equal(field_of(a, "Cache-Control"), "no-store");
	a = ask(t, "GET", target(""), NULL, NULL);
	assert_status(a, 200);
	assert_has(a, "\"remaining\":3");
	assert_null(strstr(a->body, secret));
	a = ask(t, "GET", "/v1/tokens", NULL, NULL);
	assert_status(a, 200);
	assert_int_equal(a->body[0], '[');
	assert_null(strstr(a->body, secret));
	assert_status(ask(t, "POST", target("/refresh"), NULL, ""), 200);
	a = ask(t, "POST", target("/refresh"), NULL, "{\"expiration\":60}");
	assert_status(a, 200);
	assert_has(a, "\"expiration\":60");
	a = ask(t, "POST", target("/revoke"), NULL, "");
	assert_status(a, 200);
	assert_has(a, "\"status\":\"revoked\"");
	a = ask(t, "DELETE", target(""), NULL, NULL);
	assert_status(a, 200);
	assert_has(a, "\"version\":4");
	assert_status(ask(t, "POST", target("/refresh"), NULL, ""), 403);
	refuse_all(t);
}

static void
test_bad_bodies(void **state)
{
	struct api_test *t = *state;
	char big[100] =
		"Content-Length: 99999999\nContent-Type: application/json";
	char text[] = "Content-Type: text/plain";
	const struct said *a;

	generate(t, "{\"group\":\"g\",\"user\":\"u\"}");
	a = ask(t, "POST", "/v1/tokens", NULL,
		"{\"group\":\"g\",\"user\":\"u\",\"shoe\":1}");
	assert_status(a, 400);
	assert_has(a, "unknown member \\\"shoe\\\"");
	assert_status(ask(t, "POST", "/v1/tokens", NULL, ""), 400);
	assert_status(ask(t, "POST", "/v1/tokens", NULL, "null"), 400);
	assert_status(ask(t, "POST", "/v1/tokens", big, "{}"), 413);
	assert_status(ask(t, "POST", "/v1/tokens", text, "{}"), 415);
	a = ask(t, "POST", target("/refresh"), NULL, "{\"group\":\"h\"}");
	assert_status(a, 400);
	assert_status(ask(t, "POST", target("/refresh"), big, "{}"), 413);
	assert_status(ask(t, "POST", target("/refresh"), text, "{}"), 415);
	/* A secret is no ID: it has no place in a target. */
	snprintf(big, sizeof(big), "/v1/tokens/%s", secret);
	assert_status(ask(t, "GET", big, NULL, NULL), 404);
}

/* Administrators by token, and what that leaves in the journal. */
static void
test_by_token(void **state)
{
	struct api_test *t = *state;
	const char *admin = token_of(t, "admin", NULL);
	const struct said *a;

	a = ask_as(t, admin, "POST", "/v1/tokens",
		   "{\"group\":\"g\",\"user\":\"u\"}");
	assert_status(a, 201);
	a = ask_as(t, admin, "GET", "/v1/events?type=$token", NULL);
	assert_status(a, 200);
	assert_has(a, "\"issued_by\":{\"group\":\"ops\",\"user\":\"ann\"}");
	assert_has(a, "\"issued_by\":{\"group\":\"g\",\"user\":\"u\"}");
	assert_null(strstr(a->body, admin));
	a = ask_as(t, admin, "GET", "/v1/tokens", NULL);
	assert_status(a, 200);
	assert_has(a, "\"writes\":1");
}

static void
test_limit(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	t->async = true;
	generate(t, "{\"group\":\"g\",\"user\":\"u\",\"limit\":2}");
	a = ask_as(t, secret, "POST", "/v1/events", EVENT("a", "1"));
	assert_status(a, 201);
	assert_has(a, "\"issued_by\":{\"group\":\"g\",\"user\":\"u\"}");
	/* What is refused does not count. */
	a = ask_as(t, secret, "POST", "/v1/events",
		   "[" EVENT("a", "1") "," EVENT("a", "2") "]");
	assert_status(a, 403);
	assert_has(a, "token write limit reached");
	a = ask_as(t, secret, "POST", "/v1/events",
		   "{\"aggregate_type\":\"a\",\"aggregate_id\":\"1\","
		   "\"event_type\":\"e\",\"payload\":1,"
		   "\"expected_version\":9}");
	assert_status(a, 409);
	a = ask_as(t, secret, "POST", "/v1/events", EVENT("a", "1"));
	assert_status(a, 201);
	a = ask_as(t, secret, "POST", "/v1/events", EVENT("a", "1"));
	assert_status(a, 403);
	assert_has(a, "\"message\":\"token write limit reached\"");
	a = ask_as(t, secret, "GET", "/v1/aggregates/a/1", NULL);
	assert_status(a, 200);
	assert_has(ask(t, "GET", target(""), NULL, NULL),
		   "\"status\":\"spent\"");
}

static void
test_refused(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	generate(t, "{\"group\":\"g\",\"user\":\"u\"}");
	assert_status(ask_as(t, secret, "GET", "/v1/status", NULL), 200);
	assert_status(ask(t, "POST", target("/revoke"), NULL, ""), 200);
	a = ask_as(t, secret, "GET", "/v1/status", NULL);
	assert_status(a, 401);
	assert_has(a, "\"message\":\"token not found or inactive\"");
	assert_non_null(field_of(a, "WWW-Authenticate"));
}

/* A stream ends before the first record behind the revocation. */
static void
test_stream_ends(void **state)
{
	struct api_test *t = *state;
	char fields[100];
	struct reading *r;
	bool ended = false;

	generate(t, "{\"group\":\"g\",\"user\":\"u\"}");
	snprintf(fields, sizeof(fields), "Authorization: Bearer %s", secret);
	r = read_begin(t, "/v1/stream", fields);
	assert_int_equal(read_status(r), 200);
	assert_status(ask(t, "POST", "/v1/events", NULL, EVENT("a", "1")), 201);
	assert_non_null(strstr(read_more(r, &ended), "data: "));
	assert_false(ended);
	assert_status(ask(t, "POST", target("/revoke"), NULL, ""), 200);
	assert_status(ask(t, "POST", "/v1/events", NULL, EVENT("a", "1")), 201);
	assert_null(strstr(read_more(r, &ended), "data: "));
	assert_true(ended);
	read_end(r);
}

/* Every status that openapi.json has for these routes was given. */
static void
test_statuses(void **state)
{
	static const struct {
		const char *route;
		int status[8];
	} all[] = {
		{"GET /v1/tokens", {200, 401, 403}},
		{"POST /v1/tokens", {201, 400, 401, 403, 413, 415}},
		{"GET /v1/tokens/{id}", {200, 401, 403, 404}},
		{"DELETE /v1/tokens/{id}", {200, 401, 403, 404}},
		{"POST /v1/tokens/{id}/refresh",
		 {200, 400, 401, 403, 404, 413, 415}},
		{"POST /v1/tokens/{id}/revoke", {200, 401, 403, 404}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t k = 0; all[i].status[k] != 0; k++)
			if (!was_seen(all[i].route, all[i].status[k]))
				fail_msg("%s never gave %d", all[i].route,
					 all[i].status[k]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_routes),	  T(test_bad_bodies), T(test_by_token),
		T(test_limit),	  T(test_refused),    T(test_stream_ends),
		T(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
