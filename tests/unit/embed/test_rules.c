/* SPDX-License-Identifier: MIT */
/* A program that embeds weir is bound by schemas like everybody. The schema is
 * made with the core, which the library hides. */
#include "embed_test.h"

#include <string.h>

#include "base/str.h"
#include "model/policy.h"
#include "model/schema.h"
#include "store/store.h"

static void
declare(const char *json, enum policy_restriction restriction)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct policy *p = NULL;
	struct store *s = NULL;

	ok(store_open(&s, folder, &o, &err));
	ok(policy_open(&p, s, &err));
	if (json != NULL)
		ok(schema_create(p, S("account"), str_of(json), NULL, &err));
	ok(policy_restrict(p, restriction, NULL, &err));
	policy_free(p);
	store_close(s);
}

static int
append(struct weir *w, const char *payload, struct weir_err *err)
{
	struct weir_event e = event("1", payload);

	return weir_append(w, NULL, &e, err);
}

static void
test_bound(void **state)
{
	struct weir *w;

	(void)state;
	w = open_store(NULL);
	ok(append(w, "{}", &err));
	weir_close(w);
	declare("{\"events\":[\"other\"]}", POLICY_TRUE);
	w = open_store(NULL);
	refused(append(w, "{}", &err), WEIR_EINPUT,
		"is not defined for aggregate account");
	weir_close(w);
	declare(NULL, POLICY_FREE);
	w = open_store(NULL);
	ok(append(w, "{}", &err));
	weir_close(w);
}

static void
answered(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
	 const struct weir_err *why)
{
	(void)receipts;
	(void)n;
	(void)why;
	*(int *)cookie = code;
}

/* One that waits when the store is closed is refused as well. */
static void
test_submitted(void **state)
{
	struct weir_event e = event("1", "{}");
	int code = 0;
	struct weir *w;

	(void)state;
	declare("{\"events\":[\"other\"]}", POLICY_TRUE);
	w = open_store(NULL);
	e.has_event_id = true;
	ok(weir_submit(w, &e, 1, 0, answered, &code, &err));
	weir_close(w);
	assert_int_equal(code, WEIR_EINPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_submitted, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
