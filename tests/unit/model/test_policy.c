/* SPDX-License-Identifier: MIT */
/* The rules of a store: kept, followed, and held to by every append, also by
 * those that were under way when they changed. */
#include "store/store_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/json.h"
#include "base/os.h"
#include "model/policy.h"
#include "model/schema.h"
#include "store/gate.h"

#define ONE_FIELD "{\"events\":{\"opened\":{\"fields\":{\"owner\":\"text\"}}}}"
#define THREADS	  4
#define FLIPS	  40

static struct weir_err err;
static char *dir;
static struct store *s;
static struct policy *p;

static void
open_all(void)
{
	s = must_write(dir);
	assert_ok(policy_open(&p, s, &err), err);
}

static void
close_all(void)
{
	policy_free(p);
	store_close(s);
	p = NULL;
	s = NULL;
}

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	gate_begin();
	open_all();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close_all();
	gate_end();
	folder_drop(dir);
	return 0;
}

static int
append(const char *type, const char *event, const char *payload)
{
	struct record_draft d = draft_of(type, "1", event, payload);
	struct receipt r;

	err.msg[0] = '\0';
	return store_commit(s, &r, &d, 1, &err);
}

static void
create(const char *type, const char *json)
{
	assert_ok(schema_create(p, str_of(type), str_of(json), NULL, &err),
		  err);
}

/* ---- the restriction ----------------------------------------------------- */

static void
test_restriction(void **state)
{
	struct policy_actor by = {.group = STR("staff"),
				  .user = STR("ann")};
	struct record_view v;
	struct reader *r;

	(void)state;
	assert_int_equal(policy_restriction(p), POLICY_TRUE);
	assert_int_equal(append("free", "any", "{}"), 0);
	create("account", ONE_FIELD);
	assert_int_equal(append("account", "opened", "{}"), WEIR_EINPUT);

	assert_ok(policy_restrict(p, POLICY_STRICT, &by, &err), err);
	assert_int_equal(append("free", "any", "{}"), WEIR_EINPUT);
	assert_says(err, "aggregate free has no schema");
	assert_ok(policy_restrict(p, POLICY_FREE, &by, &err), err);
	assert_int_equal(append("account", "nonsense", "{}"), 0);
	close_all();
	open_all();
	assert_int_equal(policy_restriction(p), POLICY_FREE);
	assert_int_equal(append("account", "nonsense", "{}"), 0);

	/* Two records, for the third time nothing changes. */
	assert_ok(policy_restrict(p, POLICY_FREE, &by, &err), err);
	r = reader_new(s);
	assert_ok(reader_version(r, &v, STR("$store"), STR("restriction"), 2,
				 &err),
		  err);
	assert_true(str_is(v.payload, "{\"restriction\":\"false\"}"));
	assert_true(str_is(v.group, "staff") && str_is(v.user, "ann"));
	assert_int_equal(reader_version(r, &v, STR("$store"),
					STR("restriction"), 3, NULL),
			 WEIR_ENOTFOUND);
	reader_free(r);
}

static void
test_words(void **state)
{
	enum policy_restriction r;

	(void)state;
	for (int i = POLICY_FREE; i <= POLICY_STRICT; i++) {
		assert_ok(policy_restriction_parse(
				  &r,
				  str_of(policy_restriction_word(
					  (enum policy_restriction)i)),
				  &err),
			  err);
		assert_int_equal(r, i);
	}
	assert_int_equal(policy_restriction_parse(&r, STR("yes"), &err),
			 WEIR_EINPUT);
	assert_says(err, "true, strict or false");
}

/* ---- checks in order ----------------------------------------------------- */

static const struct {
	const char *event, *payload, *says; /* NULL: taken */
} checked[] = {
	{"other", "{\"secret\":1,\"x\":2}",
	 "field secret is locked for aggregate account"},
	{"other", "{\"x\":2}",
	 "event other is not defined for aggregate account"},
	{"opened", "{\"x\":2}",
	 "missing required field owner for event opened"},
	{"opened", "{\"x\":2,\"owner\":7}",
	 "field x is not permitted for event opened"},
	{"opened", "{\"owner\":7}",
	 "field owner of event opened must be text, not 7"},
	{"opened", "{\"note\":1,\"owner\":\"a\"}", NULL},
	{"opened", "{\"\\u006fwner\":\"a\"}", NULL},
	{"opened", "{\"ow\\u006eer\":7}",
	 "field owner of event opened must be text, not 7"},
	{"opened", "[1]", "missing required field owner for event opened"},
	{"opened", "{\"owner\":null}", NULL},
	{"closed", "{\"anything\":[{}]}", NULL},
	{"closed", "7", NULL},
	{"closed", "{\"se\\u0063ret\":1}",
	 "field secret is locked for aggregate account"},
};

static void
test_order(void **state)
{
	(void)state;
	create("account", "{\"events\":{\"opened\":{\"fields\":{"
			  "\"owner\":\"text\",\"note\":{\"required\":false}}},"
			  "\"closed\":{}},\"field_locks\":[\"secret\"]}");
	for (size_t i = 0; i < sizeof(checked) / sizeof(checked[0]); i++) {
		int rc =
			append("account", checked[i].event, checked[i].payload);
		if (checked[i].says == NULL) {
			assert_ok(rc, err);
			continue;
		}
		assert_int_equal(rc, WEIR_EINPUT);
		assert_string_equal(err.msg, checked[i].says);
	}
	assert_ok(schema_change(p, STR("account"), STR("{\"locked\":true}"),
				NULL, &err),
		  err);
	assert_int_equal(append("account", "other", "{\"secret\":1}"),
			 WEIR_EINPUT);
	assert_string_equal(err.msg, "aggregate account is locked for updates");
}

/* Text and bytes count as the field _value, as in the state. */
static void
test_other_content(void **state)
{
	struct record_draft d = draft_of("note", "1", "written", "some text");
	struct receipt r;

	(void)state;
	d.content = WEIR_CONTENT_TEXT;
	create("note", "{\"events\":{\"written\":{\"fields\":[\"a\"]},"
		       "\"typed\":{\"fields\":{\"_value\":\"text\"}}}}");
	assert_int_equal(store_commit(s, &r, &d, 1, &err), WEIR_EINPUT);
	assert_says(err, "missing required field a");
	d.event_type = STR("typed");
	assert_ok(store_commit(s, &r, &d, 1, &err), err);
	d.content = WEIR_CONTENT_BYTES;
	assert_int_equal(store_commit(s, &r, &d, 1, &err), WEIR_EINPUT);
	assert_says(err, "field _value of event typed must be text, not bytes");
}

/* The index of the draft is told. */
static void
test_batch(void **state)
{
	struct record_draft d[3];
	struct receipt r[3];

	(void)state;
	create("account", ONE_FIELD);
	for (int i = 0; i < 3; i++)
		d[i] = draft_of("account", "1", "opened",
				i == 2 ? "{}" : "{\"owner\":\"a\"}");
	assert_int_equal(store_commit(s, r, d, 3, &err), WEIR_EINPUT);
	assert_int_equal(err.sequence, 3);
	assert_int_equal(append("account", "opened", "{\"owner\":\"a\"}"), 0);
}

/* ---- under way while the rules change ------------------------------------ */

struct answers {
	_Atomic int n;
	int rc[8];
	bool duplicate[8];
	char msg[8][200];
};

static void
answered(const struct store_answer *a, int rc, const struct receipt *r,
	 size_t n, const struct weir_err *why)
{
	struct answers *all = a->cookie;
	int i = all->n;

	(void)n;
	all->rc[i] = rc;
	all->duplicate[i] = rc == 0 && r[0].duplicate;
	snprintf(all->msg[i], sizeof(all->msg[i]), "%.199s",
		 why != NULL ? why->msg : "");
	all->n++;
}

static void
submit(struct answers *all, struct record_draft d)
{
	struct store_answer a = {.fn = answered, .cookie = all};

	assert_ok(store_submit(s, &d, 1, 0, &a, &err), err);
}

/* All are admitted before the schema is committed, and wait with it in one
 * queue: what stands before it is taken, what stands behind it is refused. */
static void
test_admitted_before(void **state)
{
	struct record_draft schema =
		draft_of("$schema", "account", "created", ONE_FIELD);
	struct record_draft bad = draft_of("account", "1", "opened", "{}");
	struct record_draft good =
		draft_of("account", "1", "opened", "{\"owner\":\"a\"}");
	struct answers all = {0};

	(void)state;
	schema.system = true;
	gate_shut();
	submit(&all, draft_of("free", "1", "any", "{}"));
	submit(&all, bad);
	submit(&all, schema);
	submit(&all, bad);
	submit(&all, good);
	gate_open();
	store_set_admission(s, NULL); /* waits */
	assert_int_equal(all.n, 5);
	assert_int_equal(all.rc[0], 0);
	assert_int_equal(all.rc[1], 0);
	assert_int_equal(all.rc[2], 0);
	assert_int_equal(all.rc[3], WEIR_EINPUT);
	assert_string_equal(all.msg[3],
			    "missing required field owner for event opened");
	assert_int_equal(all.rc[4], 0);
}

/* One that was appended before the rules changed is given back. */
static void
test_again(void **state)
{
	struct record_draft d =
		draft_with_id(draft_of("account", "1", "old", "{}"), 1);
	struct record_draft other =
		draft_with_id(draft_of("account", "1", "old", "{}"), 2);
	struct receipt first, again;

	(void)state;
	commit_one(s, &first, d);
	create("account", ONE_FIELD);
	commit_one(s, &again, d);
	assert_true(again.duplicate);
	assert_int_equal(again.sequence, first.sequence);
	assert_int_equal(store_commit(s, &again, &other, 1, &err), WEIR_EINPUT);
	assert_string_equal(err.msg,
			    "event old is not defined for aggregate account");
	close_all();
	open_all();
	commit_one(s, &again, d);
	assert_true(again.duplicate);
	assert_int_equal(store_commit(s, &again, &other, 1, &err), WEIR_EINPUT);
}

/* A group takes no reserved record. */
static void
test_no_group(void **state)
{
	struct record_draft d[2] = {
		draft_of("$schema", "account", "created", ONE_FIELD),
		draft_of("free", "1", "any", "{}")};
	size_t first[3] = {0, 1, 2};
	struct weir_err results[2];
	struct receipt r[2];

	(void)state;
	d[0].system = true;
	assert_ok(store_commit_group(s, r, results, d, first, 2, &err), err);
	assert_int_equal(results[0].code, WEIR_EUSAGE);
	assert_int_equal(results[1].code, 0);
}

struct writer {
	pthread_t thread;
	unsigned number;
	unsigned taken, refused;
};

static _Atomic bool stop_writing;

static void *
write_on(void *arg)
{
	struct writer *w = arg;
	struct weir_err why;
	struct receipt r;
	char id[16];

	snprintf(id, sizeof(id), "%u", w->number);
	while (!stop_writing) {
		struct record_draft d =
			draft_of("account", id, "opened", "{\"owner\":\"a\"}");
		int rc = store_commit(s, &r, &d, 1, &why);
		w->taken += rc == 0;
		w->refused += rc == WEIR_EINPUT;
		if (rc != 0 && rc != WEIR_EINPUT)
			break;
	}
	return NULL;
}

/* The journal itself: no record stands behind a lock. */
static void
test_lock_holds(void **state)
{
	struct writer w[THREADS] = {0};
	struct weir_str locked;
	struct record_view v;
	unsigned taken = 0, seen = 0;
	bool is_locked = false;
	struct reader *r;

	(void)state;
	create("account", ONE_FIELD);
	stop_writing = false;
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].number = i;
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
	}
	for (int i = 0; i < FLIPS; i++)
		assert_ok(schema_change(p, STR("account"),
					i % 2 == 0 ? STR("{\"locked\":true}")
						   : STR("{\"locked\":false}"),
					NULL, &err),
			  err);
	stop_writing = true;
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		taken += w[i].taken;
	}
	r = reader_new(s);
	reader_seek(r, 1);
	while (reader_next(r, &v, &err) > 0) {
		if (str_is(v.aggregate_type, "$schema")) {
			assert_true(json_get(v.payload, "locked", &locked));
			is_locked = str_is(locked, "true");
		} else {
			assert_false(is_locked);
			seen++;
		}
	}
	reader_free(r);
	assert_int_equal(seen, taken);
}

/* ---- others follow ------------------------------------------------------- */

static void
test_reader(void **state)
{
	struct store *reading = must_read(dir);
	struct policy *q = NULL;
	char type[64];

	(void)state;
	assert_ok(policy_open(&q, reading, &err), err);
	assert_false(schema_field_type(q, type, STR("account"), STR("owner")));
	create("account", ONE_FIELD);
	assert_ok(policy_restrict(p, POLICY_STRICT, NULL, &err), err);
	assert_true(schema_field_type(q, type, STR("account"), STR("owner")));
	assert_string_equal(type, "text");
	assert_int_equal(policy_restriction(q), POLICY_STRICT);
	policy_free(q);
	store_close(reading);
}

static void
test_unreadable(void **state)
{
	struct record_draft d =
		draft_of("$schema", "account", "created", "{\"events\":5}");
	struct receipt r;
	struct policy *q;

	(void)state;
	d.system = true;
	commit_one(s, &r, d);
	assert_int_equal(append("free", "any", "{}"), WEIR_EINPUT);
	assert_says(err, "the record with sequence 1 can't be read as a rule");
	policy_free(p);
	assert_int_equal(policy_open(&q, s, &err), WEIR_EINPUT);
	assert_says(err, "the record with sequence 1 can't be read as a rule");
	store_close(s);
	folder_empty(dir);
	open_all();
}

/* ---- memory -------------------------------------------------------------- */

static struct os table;
static unsigned long left;

static void *
short_realloc(void *at, size_t n)
{
	if (left > 0 && --left == 0)
		return NULL;
	return os_real()->realloc(at, n);
}

/* Any allocation fails: the change is made, or it is not, and the rules are
 * those of the journal afterwards. */
static void
test_no_memory(void **state)
{
	struct weir_str a = STR("account");
	bool done = false;
	char type[64];
	int rc;

	(void)state;
	table = *os();
	table.realloc = short_realloc;
	for (unsigned long i = 1; !done && i < 2000; i++) {
		create("account", ONE_FIELD);
		os_set(&table);
		left = i;
		rc = schema_change(p, a,
				   STR("{\"events\":{\"opened\":{\"fields\":{"
				       "\"total\":\"bigint\"}}}}"),
				   NULL, &err);
		done = left > 0;
		left = 0;
		assert_true(rc == 0 || rc == WEIR_ENOMEM);
		if (rc == 0)
			assert_true(
				schema_field_type(p, type, a, STR("total")));
		assert_ok(schema_delete(p, a, NULL, &err), err);
		assert_false(schema_field_type(p, type, a, STR("owner")));
	}
	assert_true(done);
	create("account", ONE_FIELD);
	policy_free(p);
	rc = WEIR_ENOMEM;
	for (unsigned long i = 1; rc == WEIR_ENOMEM; i++) {
		left = i;
		rc = policy_open(&p, s, &err);
	}
	left = 0;
	assert_ok(rc, err);
	assert_true(schema_field_type(p, type, a, STR("owner")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_restriction, setup,
						teardown),
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_content, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_admitted_before, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_holds, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
