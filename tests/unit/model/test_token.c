/* SPDX-License-Identifier: MIT */
/* Tokens: what is granted to whom, for how long and for how many writes. */
#include "model_test.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "model/policy.h"
#include "model/token.h"
#include "store/reader.h"
#include "store/store.h"

#define THREADS 8
#define EACH	40
#define LIMIT	53

static struct weir_err err;
static char *dir;
static struct store *s;
static struct policy *p;
static struct buf out;
static char secret[TOKEN_SECRET], id[TOKEN_ID];
static const struct policy_actor by = {.group = {"staff", 5},
				       .user = {"ann", 3}};

/* ---- a clock that stands ------------------------------------------------- */

static struct os table;
static int64_t ahead; /* seconds */

static int
clock_ahead(clockid_t which, struct timespec *ts)
{
	int rc = os_real()->clock_gettime(which, ts);

	if (which == CLOCK_REALTIME)
		*ts = (struct timespec){.tv_sec = 1800000000 + ahead};
	return rc;
}

static void
begin(void)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE,
				  .lock_wait_us = -1};

	if (store_open(&s, dir, &o, &err) != 0 || policy_open(&p, s, &err) != 0)
		fail_msg("%s", err.msg);
}

static void
end(void)
{
	policy_free(p);
	store_close(s);
}

static int
setup(void **state)
{
	(void)state;
	memset(&err, 0, sizeof(err));
	ahead = 0;
	table = *os_real();
	table.clock_gettime = clock_ahead;
	os_set(&table);
	dir = make_folder();
	buf_init(&out, 1 << 20);
	begin();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	end();
	os_set(NULL);
	buf_fini(&out);
	drop_folder(dir);
	return 0;
}

/* Closes and opens, as after a crash: all is from the journal. */
static void
again(void)
{
	end();
	begin();
}

/* ---- helpers ------------------------------------------------------------- */

/* The text of a member of the last answer, "" when it is not there. */
static const char *
member(const char *name)
{
	static char text[4][300];
	static unsigned turn;
	struct weir_str value;
	char *to = text[turn++ % 4];

	to[0] = '\0';
	if (!json_get(buf_str(&out), name, &value) || value.len >= 300)
		return to;
	memcpy(to, value.data, value.len);
	to[value.len] = '\0';
	if (to[0] == '"') {
		size_t n = json_decode(to, value);
		to[n] = '\0';
	}
	return to;
}

static void
generate(const char *json)
{
	buf_clear(&out);
	if (token_generate(&out, p, str_of(json), &by, &err) != 0)
		fail_msg("%s", err.msg);
	snprintf(secret, sizeof(secret), "%s", member("token"));
	snprintf(id, sizeof(id), "%s", member("id"));
}

static void
look(void)
{
	buf_clear(&out);
	if (token_json(&out, p, str_of(id), &err) != 0)
		fail_msg("%s", err.msg);
}

static void
refused(const char *json, const char *words)
{
	buf_clear(&out);
	assert_int_equal(token_generate(&out, p, str_of(json), &by, &err),
			 WEIR_EINPUT);
	if (strstr(err.msg, words) == NULL)
		fail_msg("\"%s\" is not in: %s", words, err.msg);
}

static struct policy_grant *
grant(void)
{
	struct policy_grant *g = NULL;

	if (policy_grant(p, &g, str_of(secret), &err) != 0)
		fail_msg("%s", err.msg);
	return g;
}

static void
no_grant(const char *of, const char *message)
{
	struct policy_grant *g = NULL;

	assert_int_equal(policy_grant(p, &g, str_of(of), &err), WEIR_EDENIED);
	assert_string_equal(err.msg, message);
	assert_null(g);
}

static struct record_draft
draft_of(const struct policy_grant *g)
{
	return (struct record_draft){
		.aggregate_type = STR("a"),
		.aggregate_id = STR("1"),
		.event_type = STR("e"),
		.payload = STR("1"),
		.expected = EXPECT_ANY,
		.group = g->group,
		.user = g->user,
		.token = g->token,
		.token_limit = g->limit,
	};
}

static int
write_one(const struct policy_grant *g)
{
	struct record_draft d = draft_of(g);
	struct receipt got;

	return store_commit(s, &got, &d, 1, &err);
}

/* ---- tests --------------------------------------------------------------- */

static void
test_generate(void **state)
{
	struct policy_grant *g;

	(void)state;
	generate("{\"group\":\"shop\",\"user\":\"till\"}");
	assert_int_equal(strlen(secret), TOKEN_SECRET - 1);
	assert_string_equal(member("status"), "active");
	assert_string_equal(member("scopes"), "[\"read\",\"append\"]");
	assert_string_equal(member("aggregates"), "null");
	assert_string_equal(member("expires_at"), "null");
	assert_string_equal(member("remaining"), "null");
	for (int i = 0; i < 2; i++) {
		g = grant();
		assert_true(str_is(g->group, "shop") &&
			    str_is(g->user, "till"));
		assert_true(str_is(g->id, id));
		assert_int_equal(g->scopes, POLICY_READ | POLICY_APPEND);
		assert_int_equal(g->limit, 0);
		assert_int_equal(write_one(g), 0);
		policy_grant_free(g);
		again();
	}
	look();
	assert_string_equal(member("writes"), "2");
	assert_string_equal(member("token"), "");
}

static void
test_input(void **state)
{
	(void)state;
	refused("{\"group\":\"g\"}", "user are needed");
	refused("{\"group\":\"\",\"user\":\"u\"}", "group");
	refused("{\"group\":\"g\",\"user\":\"u\",\"color\":1}",
		"unknown member \"color\"");
	refused("{\"group\":\"g\",\"user\":\"u\",\"hash\":\"00\"}",
		"unknown member \"hash\"");
	refused("{\"group\":\"g\",\"user\":\"u\",\"limit\":0}", "limit");
	refused("{\"group\":\"g\",\"user\":\"u\",\"limit\":1.5}", "limit");
	refused("{\"group\":\"g\",\"user\":\"u\",\"expiration\":-1}",
		"expiration");
	refused("{\"group\":\"g\",\"user\":\"u\",\"expiration\":3155760001}",
		"expiration");
	refused("{\"group\":\"g\",\"user\":\"u\",\"scopes\":[]}", "scopes");
	refused("{\"group\":\"g\",\"user\":\"u\",\"scopes\":[\"write\"]}",
		"scopes");
	refused("{\"group\":\"g\",\"user\":\"u\",\"aggregates\":[]}",
		"at least one");
	refused("{\"group\":\"g\",\"user\":\"u\",\"aggregates\":[\"/x\"]}",
		"aggregates");
	refused("{\"group\":\"g\",\"user\":\"u\",\"keep_alive\":true}",
		"needs an expiration");
	refused("{\"group\":\"g\",\"user\":\"u\",\"scopes\":[\"admin\"],"
		"\"aggregates\":[\"a\"]}",
		"admin");
	refused("[]", "object");
	refused("{", "token");
	assert_int_equal(store_last(s), 0);
}

static void
test_unknown(void **state)
{
	char other[TOKEN_SECRET];

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	no_grant("", TOKEN_UNKNOWN);
	no_grant(id, TOKEN_UNKNOWN);
	no_grant("weir_", TOKEN_UNKNOWN);
	for (size_t i = 0; i < TOKEN_SECRET - 1; i++) {
		memcpy(other, secret, sizeof(other));
		other[i] = other[i] == 'A' ? 'B' : 'A';
		no_grant(other, TOKEN_UNKNOWN);
	}
}

static void
test_ids(void **state)
{
	char got[TOKEN_ID];

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	assert_int_equal(token_id(got, str_of(secret)), 0);
	assert_string_equal(got, id);
	assert_int_equal(token_id(got, str_of(id)), 0);
	assert_string_equal(got, id);
	assert_int_equal(token_id(got, STR("weir_short")), -1);
	assert_int_equal(token_id(got, STR("0123456789abcdeg")), -1);
	buf_clear(&out);
	assert_int_equal(token_json(&out, p, STR("0123456789abcdef"), &err),
			 WEIR_ENOTFOUND);
	assert_string_equal(err.msg, "token not found");
}

/* In the order in which they were made, whatever became of them. */
static void
test_list(void **state)
{
	char ids[12][TOKEN_ID];
	const char *at;

	(void)state;
	for (int i = 0; i < 12; i++) {
		generate("{\"group\":\"g\",\"user\":\"u\"}");
		memcpy(ids[i], id, sizeof(id));
	}
	for (int i = 0; i < 12; i += 5) {
		buf_clear(&out);
		assert_int_equal(
			token_revoke(&out, p, str_of(ids[i]), &by, &err), 0);
	}
	for (int round = 0; round < 2; round++) {
		buf_clear(&out);
		assert_int_equal(token_list_json(&out, p, &err), 0);
		at = buf_cstr(&out);
		for (int i = 0; i < 12; i++) {
			at = strstr(at, ids[i]);
			assert_non_null(at);
		}
		again();
	}
}

static void
test_expires(void **state)
{
	struct policy_grant *g;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"expiration\":100}");
	g = grant();
	ahead = 98;
	policy_grant_free(grant());
	assert_int_equal(write_one(g), 0);
	ahead = 101;
	no_grant(secret, TOKEN_EXPIRED);
	/* One that is held does not help. */
	assert_int_equal(write_one(g), WEIR_EDENIED);
	assert_string_equal(err.msg, TOKEN_EXPIRED);
	assert_int_equal(policy_grant_check(p, g, &err), WEIR_EDENIED);
	look();
	assert_string_equal(member("status"), "expired");
	/* It can be had back. */
	buf_clear(&out);
	assert_int_equal(token_refresh(&out, p, str_of(id),
				       (struct weir_str){NULL, 0}, &by, &err),
			 0);
	assert_int_equal(write_one(g), 0);
	ahead = 199;
	policy_grant_free(grant());
	ahead = 202;
	no_grant(secret, TOKEN_EXPIRED);
	policy_grant_free(g);
}

/* At least its span after the last use and at most a tenth more, with few
 * records, and the same after a crash. */
static void
test_keep_alive(void **state)
{
	uint64_t before;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"expiration\":1000,"
		 "\"keep_alive\":true}");
	before = store_last(s);
	for (ahead = 1; ahead <= 900; ahead++)
		policy_grant_free(grant());
	assert_in_range(store_last(s) - before, 8, 10);
	again();
	ahead = 900 + 995;
	policy_grant_free(grant());
	again();
	ahead += 1000 + 105;
	no_grant(secret, TOKEN_EXPIRED);
	assert_int_equal(store_token_writes(s, 1), 0);
}

static void *
use_along(void *arg)
{
	struct policy_grant *g;

	(void)arg;
	for (int i = 0; i < EACH; i++)
		if (policy_grant(p, &g, str_of(secret), NULL) == 0)
			policy_grant_free(g);
	return NULL;
}

static void
test_many_uses_one_record(void **state)
{
	pthread_t t[THREADS];

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"expiration\":100000,"
		 "\"keep_alive\":true}");
	ahead = 10;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, use_along, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(store_last(s), 2);
}

static void
test_limit(void **state)
{
	struct policy_grant *g;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"limit\":2}");
	g = grant();
	assert_int_equal(write_one(g), 0);
	look();
	assert_string_equal(member("remaining"), "1");
	assert_int_equal(write_one(g), 0);
	assert_int_equal(write_one(g), WEIR_EDENIED);
	assert_string_equal(err.msg, TOKEN_SPENT);
	policy_grant_free(g);
	again();
	look();
	assert_string_equal(member("status"), "spent");
	assert_string_equal(member("remaining"), "0");
	g = grant(); /* it may still read */
	assert_int_equal(write_one(g), WEIR_EDENIED);
	policy_grant_free(g);
	/* So many more from now on. */
	buf_clear(&out);
	assert_int_equal(token_refresh(&out, p, str_of(id),
				       STR("{\"limit\":1}"), &by, &err),
			 0);
	assert_string_equal(member("remaining"), "1");
	assert_string_equal(member("writes"), "2");
	g = grant();
	assert_int_equal(write_one(g), 0);
	assert_int_equal(write_one(g), WEIR_EDENIED);
	policy_grant_free(g);
	buf_clear(&out);
	assert_int_equal(token_refresh(&out, p, str_of(id),
				       STR("{\"limit\":null}"), &by, &err),
			 0);
	g = grant();
	assert_int_equal(write_one(g), 0);
	policy_grant_free(g);
}

static void
test_revoke(void **state)
{
	struct policy_grant *g;
	uint64_t last;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	g = grant();
	assert_int_equal(write_one(g), 0);
	buf_clear(&out);
	assert_int_equal(token_revoke(&out, p, str_of(id), &by, &err), 0);
	assert_string_equal(member("status"), "revoked");
	assert_int_equal(write_one(g), WEIR_EDENIED);
	assert_string_equal(err.msg, TOKEN_UNKNOWN);
	no_grant(secret, TOKEN_UNKNOWN);
	last = store_last(s);
	buf_clear(&out);
	assert_int_equal(token_revoke(&out, p, str_of(id), &by, &err), 0);
	assert_int_equal(store_last(s), last);
	assert_int_equal(
		token_refresh(&out, p, str_of(id), STR("{}"), &by, &err),
		WEIR_EDENIED);
	again();
	no_grant(secret, TOKEN_UNKNOWN);
	assert_int_equal(write_one(g), WEIR_EDENIED);
	assert_int_equal(
		token_revoke(&out, p, STR("0123456789abcdef"), &by, &err),
		WEIR_ENOTFOUND);
	policy_grant_free(g);
}

static bool
may(unsigned scope, const char *type, const char *of)
{
	struct policy_grant *g = grant();
	bool yes = policy_may(g, scope, str_of(type), str_of(of));

	policy_grant_free(g);
	return yes;
}

static void
test_patterns(void **state)
{
	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"scopes\":[\"read\"],"
		 "\"aggregates\":[\"order\",\"stock/eu-*\",\"t?l*\"]}");
	assert_true(may(POLICY_READ, "order", "1"));
	assert_false(may(POLICY_APPEND, "order", "1"));
	assert_false(may(POLICY_ADMIN, "order", "1"));
	assert_false(may(POLICY_READ, "orders", "1"));
	assert_true(may(POLICY_READ, "stock", "eu-7/x"));
	assert_false(may(POLICY_READ, "stock", "us-7"));
	assert_true(may(POLICY_READ, "till", "x"));
	assert_true(may(POLICY_READ, "tol", ""));
	assert_false(may(POLICY_READ, "", ""));
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	assert_true(may(POLICY_READ, "any", "x"));
	assert_true(may(POLICY_APPEND, "any", "x"));
	assert_false(may(POLICY_READ, "$token", "x"));
	generate("{\"group\":\"g\",\"user\":\"u\",\"scopes\":[\"admin\"]}");
	assert_true(
		may(POLICY_READ | POLICY_APPEND | POLICY_ADMIN, "any", "x"));
	assert_true(may(POLICY_READ, "$token", "x"));
}

/* ---- under way ----------------------------------------------------------- */

static _Atomic unsigned written;
static _Atomic bool revoked;
static _Atomic uint64_t late;

/* Everybody is stopped by the revocation: what is acknowledged after it came
 * before it in the journal. */
static void *
write_along(void *arg)
{
	struct policy_grant *g = arg;
	struct record_draft d = draft_of(g);
	struct weir_err mine = {0};
	struct receipt got;

	while (store_commit(s, &got, &d, 1, &mine) == 0) {
		atomic_fetch_add(&written, 1);
		if (atomic_load(&revoked) && got.sequence > atomic_load(&late))
			atomic_store(&late, got.sequence);
	}
	return strcmp(mine.msg, TOKEN_UNKNOWN) == 0 ? NULL : g;
}

static void
test_revoked_under_way(void **state)
{
	pthread_t t[THREADS];
	struct policy_grant *g;
	void *bad;
	uint64_t at;

	(void)state;
	atomic_store(&written, 0);
	atomic_store(&late, 0);
	atomic_store(&revoked, false);
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	g = grant();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, write_along, g);
	while (atomic_load(&written) < 50)
		;
	atomic_store(&revoked, true);
	buf_clear(&out);
	assert_int_equal(token_revoke(&out, p, str_of(id), &by, &err), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	/* Its record is the last one. */
	at = store_last(s);
	assert_true(atomic_load(&late) < at);
	assert_int_equal(store_token_writes(s, g->token), at - 2);
	policy_grant_free(g);
}

static void *
spend_along(void *arg)
{
	struct policy_grant *g = arg;
	struct record_draft d = draft_of(g);
	struct receipt got;

	for (int i = 0; i < EACH; i++)
		if (store_commit(s, &got, &d, 1, NULL) == 0)
			atomic_fetch_add(&written, 1);
	return NULL;
}

static void
test_limit_among_threads(void **state)
{
	pthread_t t[THREADS];
	struct policy_grant *g;
	char json[100];

	(void)state;
	atomic_store(&written, 0);
	snprintf(json, sizeof(json),
		 "{\"group\":\"g\",\"user\":\"u\",\"limit\":%d}", LIMIT);
	generate(json);
	g = grant();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, spend_along, g);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&written), LIMIT);
	policy_grant_free(g);
}

/* ---- secrets ------------------------------------------------------------- */

static void
search(const char *folder, const char *needle, size_t n, unsigned *files)
{
	char path[700];
	struct dirent *e;
	DIR *d = opendir(folder);

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		char *text = NULL;
		size_t len = 0;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_type == DT_DIR) {
			search(path, needle, n, files);
			continue;
		}
		assert_int_equal(
			os_read_file(&text, &len, path, 1u << 30, NULL), 0);
		if (len >= n && memmem(text, len, needle, n) != NULL)
			fail_msg("the secret is in %s", path);
		mem_free(text);
		++*files;
	}
	closedir(d);
}

static void
test_secret_is_nowhere(void **state)
{
	struct policy_grant *g;
	unsigned files = 0;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\",\"expiration\":100,"
		 "\"keep_alive\":true}");
	g = grant();
	ahead = 50;
	policy_grant_free(grant());
	assert_int_equal(write_one(g), 0);
	policy_grant_free(g);
	buf_clear(&out);
	assert_int_equal(token_list_json(&out, p, &err), 0);
	assert_null(memmem(out.data, out.len, secret + 5, 20));
	again();
	search(dir, secret + 5, 20, &files);
	assert_true(files > 2);
}

/* Who gave it is in the journal. */
static void
test_issued_by(void **state)
{
	struct reader *r = reader_new(s);
	struct record_view v;
	struct head head;

	(void)state;
	generate("{\"group\":\"g\",\"user\":\"u\"}");
	buf_clear(&out);
	assert_int_equal(token_revoke(&out, p, str_of(id), &by, &err), 0);
	assert_int_equal(store_head(s, &head, STR("$token"), str_of(id), &err),
			 0);
	assert_int_equal(head.version, 2);
	assert_int_equal(reader_at(r, &v, head.position, &err), 0);
	assert_true(str_is(v.group, "staff") && str_is(v.user, "ann"));
	assert_true(str_is(v.event_type, "revoked"));
	reader_free(r);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_generate),
		T(test_input),
		T(test_unknown),
		T(test_ids),
		T(test_list),
		T(test_expires),
		T(test_keep_alive),
		T(test_many_uses_one_record),
		T(test_limit),
		T(test_revoke),
		T(test_patterns),
		T(test_revoked_under_way),
		T(test_limit_among_threads),
		T(test_secret_is_nowhere),
		T(test_issued_by),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
