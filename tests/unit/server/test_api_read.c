/* SPDX-License-Identifier: MIT */
/* Aggregates, records by page, and streams. */
#include "api_test.h"

#include <dirent.h>

#include "base/clock.h"
#include "server/api_int.h"

static bool async; /* answers come from other threads */

static int
set_up(void **state)
{
	struct api_test *t = api_test_new();

	t->async = async;
	*state = t;
	return 0;
}

static int
tear_down(void **state)
{
	api_test_free(*state);
	return 0;
}

static const struct said *
get(struct api_test *t, const char *target)
{
	return ask(t, "GET", target, NULL, NULL);
}

static struct receipt
add(struct api_test *t, const char *type, const char *id, const char *payload)
{
	struct receipt r;

	commit_one(t->s, &r, draft_of(type, id, "e", payload));
	return r;
}

/* n records in one commit, of the aggregates named in turn. */
static void
add_run(struct api_test *t, const char *type, const char *const *ids,
	size_t nids, size_t n)
{
	struct record_draft *d = calloc(n, sizeof(*d));
	struct receipt *r = calloc(n, sizeof(*r));
	struct weir_err err = {0};

	assert_non_null(d);
	assert_non_null(r);
	for (size_t i = 0; i < n; i++)
		d[i] = draft_of(type, ids[i % nids], "e", "{}");
	assert_ok(store_commit(t->s, r, d, n, &err), err);
	free(d);
	free(r);
}

/* n aggregates: a/000, a/001 ... */
static void
add_many(struct api_test *t, size_t n)
{
	char id[100][24];
	const char *ids[100];

	for (size_t i = 0; i < n; i++) {
		snprintf(id[i], sizeof(id[i]), "%03zu", i);
		ids[i] = id[i];
	}
	add_run(t, "a", ids, n, n);
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text += strlen(what);
	}
	return n;
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The address in Link, or NULL. */
static const char *
next_of(const struct said *a)
{
	static char target[2000];
	const char *link = field_of(a, "Link");
	char *end;

	if (link == NULL)
		return NULL;
	snprintf(target, sizeof(target), "%s", link + 1);
	end = strchr(target, '>');
	assert_non_null(end);
	assert_string_equal(end, ">; rel=\"next\"");
	*end = '\0';
	return target;
}

/* ---- one aggregate ------------------------------------------------------- */

static void
test_state(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	add(t, "o", "1", "{\"n\":1.50,\"s\":\"x\\u00e9\",\"z\":null}");
	add(t, "o", "1", "{\"o\":{\"b\": [1, true]},\"t\":true}");
	a = get(t, "/v1/aggregates/o/1");
	assert_status(a, 200);
	assert_has(a, "\"state\":{\"n\":1.50,\"s\":\"x\\u00e9\",\"z\":null,"
		      "\"o\":{\"b\": [1, true]},\"t\":true}");
	assert_has(a, "\"archived\":false}");
	assert_string_equal(field_of(a, "ETag"), "\"2\"");
	a = get(t, "/v1/aggregates/o/1?values=text");
	assert_has(a, "\"state\":{\"n\":\"1.50\",\"s\":\"x\\u00e9\",\"z\":\"\","
		      "\"o\":\"{\\\"b\\\":[1,true]}\",\"t\":\"true\"}");
	a = get(t, "/v1/aggregates/o/1?version=1");
	assert_has(a, "\"version\":1,\"state\":{\"n\":1.50,\"s\":\"x\\u00e9\","
		      "\"z\":null},");
	assert_status(get(t, "/v1/aggregates/o/1?version=0"), 400);
	assert_status(get(t, "/v1/aggregates/o/1?version=x"), 400);
	assert_status(get(t, "/v1/aggregates/o/1?version=3"), 404);
	assert_status(get(t, "/v1/aggregates/o/1?values=xml"), 400);
	assert_status(get(t, "/v1/aggregates/o/1?x=1"), 400);
	a = get(t, "/v1/aggregates/o/2");
	assert_status(a, 404);
	assert_has(a, "\"message\":\"aggregate not found\"");
	assert_status(get(t, "/v1/aggregates/%2524store/x"), 404);
}

static void
test_long(void **state)
{
	static const char *const ids[] = {"1"};
	struct api_test *t = *state;

	add_run(t, "o", ids, 1, 3000);
	assert_has(get(t, "/v1/aggregates/o/1"), "\"version\":3000,");
	add(t, "o", "1", "{\"last\":1}");
	assert_has(get(t, "/v1/aggregates/o/1"),
		   "\"version\":3001,\"state\":{\"last\":1}");
	assert_has(get(t, "/v1/aggregates/o/1?version=2999"),
		   "\"version\":2999,\"state\":{},");
}

static void
test_etag(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	add(t, "o", "1", "{}");
	a = ask(t, "GET", "/v1/aggregates/o/1", "If-None-Match: \"1\"", NULL);
	assert_status(a, 304);
	assert_int_equal(a->len, 0);
	assert_string_equal(field_of(a, "ETag"), "\"1\"");
	assert_status(ask(t, "GET", "/v1/aggregates/o/1",
			  "If-None-Match: \"9\", W/\"1\"", NULL),
		      304);
	assert_status(
		ask(t, "GET", "/v1/aggregates/o/1", "If-None-Match: *", NULL),
		304);
	assert_status(ask(t, "GET", "/v1/aggregates/o/1",
			  "If-None-Match: \"2\", \"11\"", NULL),
		      200);
}

static void
test_at_time(void **state)
{
	struct api_test *t = *state;
	char target[200], when[28];
	int64_t at[5];

	for (int i = 0; i < 5; i++) {
		at[i] = add(t, "o", "1", "{}").committed_at;
		while (clock_now() <= at[i])
			;
	}
	for (int i = 0; i < 5; i++) {
		clock_text(when, at[i]);
		snprintf(target, sizeof(target), "/v1/aggregates/o/1?at=%s",
			 when);
		const struct said *a = get(t, target);
		assert_status(a, 200);
		snprintf(target, sizeof(target), "\"version\":%d,", i + 1);
		assert_has(a, target);
	}
	clock_text(when, at[0] - 1);
	snprintf(target, sizeof(target), "/v1/aggregates/o/1?at=%s", when);
	assert_status(get(t, target), 404);
	assert_status(get(t, "/v1/aggregates/o/1?at=9999-12-31T23:59:59Z"),
		      200);
	assert_status(get(t, "/v1/aggregates/o/1?at=noon"), 400);
	assert_status(get(t, "/v1/aggregates/o/1?at=2026-01-01T00:00:00Z&"
			     "version=1"),
		      400);
}

static void
test_archived(void **state)
{
	struct api_test *t = *state;
	struct record_draft d = draft_of("o", "1", "archived", "{}");
	struct receipt r;

	add(t, "o", "1", "{}");
	d.op = WEIR_OP_ARCHIVED;
	commit_one(t->s, &r, d);
	assert_has(get(t, "/v1/aggregates/o/1"), "\"archived\":true}");
	assert_has(get(t, "/v1/aggregates"), "\"archived\":true}");
	d.op = WEIR_OP_RESTORED;
	commit_one(t->s, &r, d);
	assert_has(get(t, "/v1/aggregates/o/1"), "\"archived\":false}");
	assert_has(get(t, "/v1/aggregates/o/1?version=2"),
		   "\"archived\":true}");
	assert_has(get(t, "/v1/aggregates/o/1?version=1"),
		   "\"archived\":false}");
}

static void
test_records(void **state)
{
	static const char *const ids[] = {"1"};
	struct api_test *t = *state;
	const struct said *a;
	const char *next;

	add_run(t, "o", ids, 1, 700);
	assert_status(get(t, "/v1/aggregates/o/1/verify"), 200);
	a = get(t, "/v1/aggregates/o/1/events");
	assert_status(a, 200);
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 700);
	assert_null(field_of(a, "Link"));
	a = get(t, "/v1/aggregates/o/1/events?skip=10&take=300");
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 300);
	assert_has(a, "\"version\":11,");
	next = next_of(a);
	assert_string_equal(next,
			    "/v1/aggregates/o/1/events?skip=310&take=300");
	a = get(t, next);
	assert_has(a, "\"version\":311,");
	a = get(t, next_of(a));
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 90);
	assert_null(next_of(a));
	assert_string_equal(get(t, "/v1/aggregates/o/1/events?take=0")->body,
			    "[]");
	assert_string_equal(get(t, "/v1/aggregates/o/1/events?skip=700")->body,
			    "[]");
	assert_string_equal(get(t, "/v1/aggregates/o/1/events?"
				   "skip=18446744073709551615")
				    ->body,
			    "[]");
	assert_status(get(t, "/v1/aggregates/o/1/events?skip=-1"), 400);
	assert_status(get(t, "/v1/aggregates/o/2/events"), 404);
}

static void
flip_byte(struct api_test *t, const char *text)
{
	char path[600];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/journal", t->dir);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		size_t n;

		snprintf(path, sizeof(path), "%s/journal/%s", t->dir,
			 e->d_name);
		if (e->d_name[0] == '.')
			continue;
		uint8_t *p = file_read(&n, path);
		uint8_t *at = memmem(p, n, text, strlen(text));
		if (at != NULL) {
			at[1] ^= 1;
			file_put(path, (size_t)(at - p) + 1, at + 1, 1);
		}
		free(p);
	}
	closedir(d);
}

static void
test_verify(void **state)
{
	struct api_test *t = *state;
	const struct said *a;
	char root[120];

	add(t, "o", "1", "{\"x\":\"findme\"}");
	add(t, "o", "1", "{}");
	a = get(t, "/v1/aggregates/o/1/verify");
	assert_status(a, 200);
	assert_has(a, "{\"aggregate_type\":\"o\",\"aggregate_id\":\"1\","
		      "\"version\":2,\"merkle_root\":\"");
	snprintf(root, sizeof(root), "%.80s", strstr(a->body, "\"merkle_root"));
	assert_has(get(t, "/v1/aggregates/o/1"), root);
	a = get(t, "/v1/aggregates/o/1/verify?version=1");
	assert_has(a, "\"version\":1,");
	assert_null(strstr(a->body, root));
	assert_status(get(t, "/v1/aggregates/o/1/verify?version=3"), 404);
	assert_status(get(t, "/v1/aggregates/o/1/verify?version=0"), 400);
	flip_byte(t, "findme");
	a = get(t, "/v1/aggregates/o/1/verify");
	assert_status(a, 500);
	assert_has(a, "\"code\":\"damage\"");
}

/* ---- all aggregates ------------------------------------------------------ */

static void
test_list(void **state)
{
	struct api_test *t = *state;
	const struct said *a;

	assert_string_equal(get(t, "/v1/aggregates")->body, "[]");
	add_many(t, 30);
	add(t, "b", "1", "{\"n\":null}");
	a = get(t, "/v1/aggregates");
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 10);
	a = get(t, "/v1/aggregates?take=1000000");
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 31);
	assert_null(next_of(a));
	assert_string_equal(get(t, "/v1/aggregates?take=0")->body, "[]");
	a = get(t, "/v1/aggregates?skip=29&take=5");
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 2);
	a = get(t, "/v1/aggregates?type=b&values=text");
	assert_has(a, "[{\"aggregate_type\":\"b\",\"aggregate_id\":\"1\","
		      "\"version\":1,\"state\":{\"n\":\"\"}");
	assert_status(get(t, "/v1/aggregates?take=x"), 400);
	assert_status(get(t, "/v1/aggregates?skip=-1"), 400);
	assert_status(get(t, "/v1/aggregates?tak=1"), 400);
	assert_status(get(t, "/v1/aggregates?after=x"), 400);
	assert_status(get(t, "/v1/aggregates?after=x/%25"), 400);
}

/* All pages, by the cursor; with new aggregates between them. */
static void
test_list_pages(void **state)
{
	struct api_test *t = *state;
	const char *target = "/v1/aggregates?take=7&skip=2";
	const struct said *a;
	size_t n = 0, pages = 0;
	char id[40];

	add_many(t, 30);
	add(t, "x/y", "% /", "{}");
	add(t, "x/y", "\xc3\xa9", "{}");
	for (; target != NULL; target = next_of(a)) {
		a = get(t, target);
		assert_status(a, 200);
		n += count(a->body, "\"aggregate_id\":");
		snprintf(id, sizeof(id), "0000-%zu", pages++);
		add(t, "a", id, "{}"); /* before what comes */
	}
	assert_int_equal(n, 30);
	assert_int_equal(pages, 5);
}

static void
test_reserved(void **state)
{
	struct api_test *t = *state;
	const char *reader = token_of(t, "read", NULL);
	struct record_draft d = draft_of("$note", "x", "e", "{}");
	struct receipt r;

	d.system = true;
	add(t, "a", "1", "{}");
	commit_one(t->s, &r, d);
	assert_null(strstr(get(t, "/v1/aggregates")->body, "$note"));
	assert_has(get(t, "/v1/aggregates?type=$note"), "\"$note\"");
	assert_status(get(t, "/v1/aggregates/$note/x"), 200);
	assert_null(strstr(get(t, "/v1/events")->body, "$note"));
	assert_has(get(t, "/v1/events?type=$n*"), "\"$note\"");
	assert_status(ask_as(t, reader, "GET", "/v1/aggregates/$note/x", NULL),
		      404);
	assert_null(strstr(
		ask_as(t, reader, "GET", "/v1/aggregates?type=$*", NULL)->body,
		"$note"));
	assert_null(strstr(
		ask_as(t, reader, "GET", "/v1/events?type=$note&id=x", NULL)
			->body,
		"$note"));
}

static void
test_patterns(void **state)
{
	struct api_test *t = *state;
	const char *token = token_of(t, "read,append", "a/1*");
	const struct said *a;

	add(t, "a", "1", "{}");
	add(t, "a", "12", "{}");
	add(t, "a", "2", "{}");
	add(t, "b", "1", "{}");
	a = ask_as(t, token, "GET", "/v1/aggregates", NULL);
	assert_int_equal(count(a->body, "\"aggregate_id\":\"1"), 2);
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 2);
	a = ask_as(t, token, "GET", "/v1/events", NULL);
	assert_int_equal(count(a->body, "\"aggregate_id\":"), 2);
	assert_status(ask_as(t, token, "GET", "/v1/aggregates/a/1", NULL), 200);
	assert_status(ask_as(t, token, "GET", "/v1/aggregates/a/2", NULL), 403);
	assert_status(
		ask_as(t, token, "GET", "/v1/aggregates/a/2/events", NULL),
		403);
	assert_status(
		ask_as(t, token, "GET", "/v1/aggregates/b/1/verify", NULL),
		403);
	a = ask_as(t, token, "POST", "/v1/events",
		   "{\"aggregate_type\":\"a\",\"aggregate_id\":\"2\","
		   "\"event_type\":\"e\",\"payload\":1}");
	assert_status(a, 403);
}

/* ---- records in global order --------------------------------------------- */

static void
test_events(void **state)
{
	struct api_test *t = *state;
	struct record_draft d = draft_of("b", "1", "tagged", "{}");
	struct weir_str tag = STR("blue");
	const struct said *a;
	struct receipt r;

	add_many(t, 20);
	d.tags = &tag;
	d.ntags = 1;
	commit_one(t->s, &r, d);
	a = get(t, "/v1/events");
	assert_status(a, 200);
	assert_string_equal(a->type, "application/json");
	assert_int_equal(count(a->body, "\"sequence\":"), 21);
	assert_null(next_of(a));
	a = get(t, "/v1/events?after=5&limit=3");
	assert_int_equal(count(a->body, "\"sequence\":"), 3);
	assert_has(a, "\"sequence\":6,");
	assert_string_equal(next_of(a), "/v1/events?after=8&limit=3");
	a = get(t, "/v1/events?tag=blue");
	assert_int_equal(count(a->body, "\"sequence\":"), 1);
	assert_int_equal(count(get(t, "/v1/events?tag=blu")->body, "sequence"),
			 0);
	a = get(t, "/v1/events?event=t*d&type=b&id=1");
	assert_int_equal(count(a->body, "\"sequence\":"), 1);
	a = get(t, "/v1/events?id=00?");
	assert_int_equal(count(a->body, "\"sequence\":"), 10);
	assert_string_equal(get(t, "/v1/events?limit=0")->body, "[]");
	assert_string_equal(get(t, "/v1/events?after=1000")->body, "[]");
	assert_string_equal(get(t, "/v1/events?type=x&id=y")->body, "[]");
	assert_status(get(t, "/v1/events?after=x"), 400);
	assert_status(get(t, "/v1/events?aftr=1"), 400);
}

static void
test_events_of_one(void **state)
{
	static const char *const ids[] = {"1", "2"};
	struct api_test *t = *state;
	const char *target = "/v1/events?type=o&id=1&limit=100&after=300";
	size_t n = 0, pages = 0;

	add_run(t, "o", ids, 2, 800);
	while (target != NULL) {
		const struct said *a = get(t, target);

		assert_status(a, 200);
		n += count(a->body, "\"aggregate_id\":\"1\"");
		assert_int_equal(count(a->body, "\"aggregate_id\":\"2\""), 0);
		pages++;
		target = next_of(a);
	}
	assert_int_equal(n, 250);
	assert_int_equal(pages, 3);
}

static void
test_accept(void **state)
{
	static const struct {
		const char *accept, *type;
	} cases[] = {
		{"*/*", "application/json"},
		{"", "application/json"},
		{"application/x-ndjson", "application/x-ndjson"},
		{"application/*", "application/json"},
		{"text/html, */*;q=0.1", "application/json"},
		{"application/json;q=0.5, application/x-ndjson;q=0.9",
		 "application/x-ndjson"},
		{"application/json;q=0, */*", "application/x-ndjson"},
		{"Application/X-NDJSON; q=1.000", "application/x-ndjson"},
		{"text/html", NULL},
		{"application/json;q=0", NULL},
		{"application/jsonx", NULL},
	};
	struct api_test *t = *state;
	char field[200];

	add_many(t, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(field, sizeof(field), "Accept: %s", cases[i].accept);
		const struct said *a = ask(t, "GET", "/v1/events", field, NULL);
		assert_status(a, cases[i].type != NULL ? 200 : 406);
		if (cases[i].type != NULL)
			assert_string_equal(a->type, cases[i].type);
		if (a->status == 200 && strstr(a->type, "ndjson") != NULL)
			assert_int_equal(count(a->body, "\n{"), 1);
	}
	assert_status(ask(t, "GET", "/v1/events", "Accept: */*;q=x", NULL),
		      400);
}

/* ---- streams ------------------------------------------------------------- */

static void
test_stream(void **state)
{
	struct api_test *t = *state;
	struct reading *r;
	const char *text;
	bool ended;

	add_many(t, 3);
	r = read_begin(t, "/v1/stream?after=1", NULL);
	assert_int_equal(read_status(r), 200);
	text = read_more(r, &ended);
	assert_true(begins(text, "retry: 2000\ndata: {\"aggregate"));
	assert_int_equal(count(text, "}\nid: 2\n\ndata: {"), 1);
	assert_int_equal(count(text, "\n"), 7);
	assert_false(ended);
	add(t, "a", "x", "{\"text\":\n1}");
	text = read_more(r, &ended);
	assert_true(begins(text, "data: {"));
	assert_int_equal(count(text, "}\nid: 4\n\n"), 1);
	assert_int_equal(count(text, "\n"), 3);
	read_end(r);

	r = read_begin(t, "/v1/stream?after=0&named=true&limit=1",
		       "Last-Event-ID: 2");
	text = read_more(r, &ended);
	assert_true(begins(text, "retry: 2000\nevent: e\ndata: {"));
	assert_int_equal(count(text, "}\nid: 3\n\n"), 1);
	assert_true(ended);
	read_end(r);

	r = read_begin(t, "/v1/stream?live=false&id=00*",
		       "Accept: application/x-ndjson");
	text = read_more(r, &ended);
	assert_int_equal(count(text, "}\n"), 3);
	assert_true(ended);
	read_end(r);
	r = read_begin(t, "/v1/stream?after=now", NULL);
	assert_string_equal(read_more(r, &ended), "");
	assert_false(ended);
	read_end(r);
}

static void
test_stream_refused(void **state)
{
	struct api_test *t = *state;

	assert_status(get(t, "/v1/stream?after=1"), 400);
	assert_status(get(t, "/v1/stream?after=x"), 400);
	assert_status(get(t, "/v1/stream?live=maybe"), 400);
	assert_status(get(t, "/v1/stream?named=1"), 400);
	assert_status(get(t, "/v1/stream?x=1"), 400);
	assert_status(ask(t, "GET", "/v1/stream", "Last-Event-ID: x", NULL),
		      400);
	assert_status(ask(t, "GET", "/v1/stream", "Accept: text/html", NULL),
		      406);
	assert_status(ask(t, "HEAD", "/v1/stream", NULL, NULL), 200);
}

#define WITH_API(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
read_tests(void)
{
	const struct CMUnitTest tests[] = {
		WITH_API(test_state),	      WITH_API(test_long),
		WITH_API(test_etag),	      WITH_API(test_at_time),
		WITH_API(test_archived),      WITH_API(test_records),
		WITH_API(test_verify),	      WITH_API(test_list),
		WITH_API(test_list_pages),    WITH_API(test_reserved),
		WITH_API(test_patterns),      WITH_API(test_events),
		WITH_API(test_events_of_one), WITH_API(test_accept),
		WITH_API(test_stream),	      WITH_API(test_stream_refused),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	async = true;
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
