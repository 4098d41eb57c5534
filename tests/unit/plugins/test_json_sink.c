/* SPDX-License-Identifier: MIT */
/* The JSON sink: what it writes, and that no fault loses or doubles a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/filedrive.h"

static void
add_records(struct fake *f, int n)
{
	static const char *const payloads[] = {
		"{\"a\":12345678901234567890123,\"b\":0.10,\"c\":1e400}",
		"{\"name\":\"Ada\\n\\u00e9\",\"list\":[1, 2,{}],\"no\":[]}",
		"{\"d\":9007199254740993}",
	};

	for (int i = 0; i < n; i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "p-%d", i % 3);
		(void)fake_append(f, "person", id, "changed", payloads[i % 3]);
	}
}

static char *
expected(struct fake *f, const char *before, uint64_t held)
{
	size_t len = strlen(before), cap = len + 1;
	char *out;

	for (uint64_t s = 1; s <= fake_last(f); s++)
		cap += fake_at(f, s)->json.len + 1;
	out = malloc(cap);
	memcpy(out, before, len);
	for (uint64_t s = 1; s <= fake_last(f) + 1; s++) {
		const struct weir_sink_record *r;

		if (s == held || (s > fake_last(f) && held == 0))
			continue;
		r = fake_at(f, s > fake_last(f) ? held : s);
		memcpy(out + len, r->json.data, r->json.len);
		len += r->json.len;
		out[len++] = '\n';
	}
	out[len] = '\0';
	return out;
}

static void
same(struct fake *f, const char *before, uint64_t held, const char *when)
{
	char *want = expected(f, before, held);
	char *is = filedrive_read(fake_path(f, "out.json"), NULL);

	if (strcmp(want, is) != 0)
		fail_msg("%s: want:\n%s\nis:\n%s", when, want, is);
	free(want);
	free(is);
}

static void
setup(struct fake *f)
{
	fake_set(f, "path", fake_path(f, "out.json"));
	add_records(f, 7);
}

static void
check(struct fake *f, const char *when)
{
	same(f, "", 0, when);
}

static void
test_faults(void **state)
{
	const struct filedrive d = {"json", setup, check, 3, false, 0};

	(void)state;
	filedrive_all(&d);
}

static void
setup_before(struct fake *f)
{
	setup(f);
	filedrive_write(fake_path(f, "out.json"), "{\"old\":1}");
}

static void
check_before(struct fake *f, const char *when)
{
	same(f, "{\"old\":1}\n", 0, when);
}

static void
test_faults_before(void **state)
{
	const struct filedrive d = {"json", setup_before, check_before,
				    4,	    false,	  0};

	(void)state;
	filedrive_all(&d);
}

static void
check_parked(struct fake *f, const char *when)
{
	same(f, "", 2, when);
}

static void
test_faults_parked(void **state)
{
	const struct filedrive d = {"json", setup, check_parked, 3, false, 2};

	(void)state;
	filedrive_all(&d);
}

static void
test_faults_replay(void **state)
{
	const struct filedrive d = {"json", setup_before, check, 3, true, 0};

	(void)state;
	filedrive_all(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_faults_before),
		cmocka_unit_test(test_faults_parked),
		cmocka_unit_test(test_faults_replay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
