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
	filedrive_order(&d);
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
	filedrive_order(&d);
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
	filedrive_order(&d);
	filedrive_all(&d);
}

static void
test_faults_replay(void **state)
{
	const struct filedrive d = {"json", setup_before, check, 3, true, 0};

	(void)state;
	filedrive_order(&d);
	filedrive_all(&d);
}

/* ---- what is refused, and what heals ---------------------------------------
 */

static struct fake *
begin(int records)
{
	struct fake *f = fake_new();

	fake_set(f, "path", fake_path(f, "out.json"));
	add_records(f, records);
	assert_int_equal(fake_open(f, fake_plugin("json")), WEIR_SINK_OK);
	assert_int_equal(f->cursor.found, 0);
	return f;
}

static void
blocked(struct fake *f, int class, const char *message)
{
	assert_int_equal(class, WEIR_SINK_BLOCKED);
	if (strstr(f->res.message, message) == NULL)
		fail_msg("no \"%s\" in: %s", message, f->res.message);
	assert_string_not_equal(f->res.hint, "");
}

static void
test_short_file(void **state)
{
	struct fake *f = begin(4);
	char *want;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 3, 0), WEIR_SINK_OK);
	want = filedrive_read(fake_path(f, "out.json"), NULL);
	assert_int_equal(truncate(fake_path(f, "out.json"), 100), 0);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 3);
	blocked(f, fake_deliver(f, 4, 4, 0), "holds 100 bytes");
	blocked(f, fake_deliver(f, 4, 4, 0), "holds 100 bytes");
	filedrive_write(fake_path(f, "out.json"), want);
	free(want);
	assert_int_equal(fake_deliver(f, 4, 4, 0), WEIR_SINK_OK);
	same(f, "", 0, "put back");
	assert_int_equal(truncate(fake_path(f, "out.json"), 100), 0);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(fake_rewind(f, 1), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 2, WEIR_BATCH_REPLAY),
			 WEIR_SINK_OK);
	assert_int_equal(
		fake_deliver(f, 3, 4,
			     WEIR_BATCH_REPLAY | WEIR_BATCH_REPLAY_END),
		WEIR_SINK_OK);
	same(f, "", 0, "replayed");
	assert_int_equal(fake_rewind(f, 2), WEIR_SINK_REJECT);
	fake_free(f);
}

static void
test_surplus(void **state)
{
	struct fake *f = begin(2);
	char *before, *after;
	FILE *out;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	before = filedrive_read(fake_path(f, "out.json"), NULL);
	out = fopen(fake_path(f, "out.json"), "a");
	assert_non_null(out);
	for (int i = 0; i < 1000; i++)
		assert_true(fputs("{\"half\":", out) >= 0);
	(void)fclose(out);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	after = filedrive_read(fake_path(f, "out.json"), NULL);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_OK);
	same(f, "", 0, "cut");
	fake_free(f);
}

static void
test_other_file(void **state)
{
	struct fake *f = begin(2);
	char other[2000];

	(void)state;
	memset(other, 'x', sizeof(other) - 1);
	other[sizeof(other) - 1] = '\0';
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	filedrive_write(fake_path(f, "out.json"), other);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	blocked(f, fake_deliver(f, 2, 2, 0), "is not the file");
	fake_free(f);
}

static void
test_other_owner(void **state)
{
	struct fake *f = begin(2);

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	f->store_id[0] ^= 1;
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(f->cursor.found, 1);
	assert_int_not_equal(f->cursor.store_id[0], f->store_id[0]);
	blocked(f, fake_deliver(f, 2, 2, 0), "belongs to store 10111213-");
	f->store_id[0] ^= 1;
	(void)snprintf(f->sink_name, sizeof(f->sink_name), "other");
	blocked(f, fake_open(f, f->plugin), "belongs to the sink mirror");
	fake_free(f);
}

static void
test_epoch(void **state)
{
	struct fake *f = begin(3);
	void *older = f->sink;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	f->sink = NULL;
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	f->epoch = 2;
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_OK);
	fake_close(f);
	f->sink = older;
	f->epoch = 1;
	blocked(f, fake_deliver(f, 2, 2, 0), "newer runner (epoch 2");
	fake_free(f);
}

static void
test_again(void **state)
{
	struct fake *f = begin(4);
	int lines = 0;
	char *is;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 3, 3, 0), WEIR_SINK_OK);
	f->epoch = 2;
	for (int i = 0; i < 2; i++)
		assert_int_equal(fake_deliver(f, 2, 2, WEIR_BATCH_PARKED),
				 WEIR_SINK_OK);
	f->epoch = 3;
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 3);
	assert_int_equal(f->cursor.epoch, 2);
	assert_int_equal(fake_deliver(f, 1, 3, 0), WEIR_SINK_OK);
	is = filedrive_read(fake_path(f, "out.json"), NULL);
	for (char *at = is; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 3);
	free(is);
	fake_free(f);
}

/* A cursor file of a version that kept no hash is taken as it is. */
static void
test_older_cursor(void **state)
{
	struct fake *f = begin(3);
	const char *path = fake_path(f, "out.json.weir-cursor");
	static const uint8_t none[32];
	uint8_t sum[32];
	char *text, *hash, *end;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 2, 0), WEIR_SINK_OK);
	text = filedrive_read(path, NULL);
	hash = strstr(text, "\nhash ");
	assert_non_null(hash);
	end = strchr(hash + 1, '\n');
	memmove(hash, end, strlen(end) + 1);
	end = strstr(text, "\nend ") + 1;
	f->host.sha256(f->host.cookie, text, (size_t)(end - text), sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		(void)snprintf(end + 4 + 2 * i, 3, "%02x", sum[i]);
	memcpy(end + 68, "\n", 2);
	filedrive_write(path, text);
	free(text);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 2);
	assert_memory_equal(f->cursor.hash, none, 32);
	assert_int_equal(fake_deliver(f, 3, 3, 0), WEIR_SINK_OK);
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_memory_equal(f->cursor.hash, fake_at(f, 3)->hash, 32);
	same(f, "", 0, "older");
	fake_free(f);
}

static void
test_damaged_cursor(void **state)
{
	struct fake *f = begin(2);
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(fake_deliver(f, 1, 2, 0), WEIR_SINK_OK);
	text = filedrive_read(fake_path(f, "out.json.weir-cursor"), &len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		filedrive_write(fake_path(f, "out.json.weir-cursor"), text);
		blocked(f, fake_open(f, f->plugin), "is damaged");
		text[i] ^= 1;
	}
	free(text);
	same(f, "", 0, "damaged");
	fake_free(f);
}

static void
test_rotation(void **state)
{
	struct fake *f = begin(3);
	char *want = expected(f, "", 0), *is;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		char name[32];

		assert_int_equal(fake_deliver(f, (uint64_t)i, (uint64_t)i, 0),
				 WEIR_SINK_OK);
		(void)snprintf(name, sizeof(name), "out.json.%d", i);
		assert_int_equal(
			rename(fake_path(f, "out.json"), fake_path(f, name)),
			0);
		if (i == 1)
			filedrive_write(fake_path(f, "out.json"), "");
		assert_int_equal(f->plugin->reload(f->sink, NULL, &f->res),
				 WEIR_SINK_OK);
	}
	for (int i = 1, at = 0; i <= 3; i++) {
		char name[32];
		size_t len;

		(void)snprintf(name, sizeof(name), "out.json.%d", i);
		is = filedrive_read(fake_path(f, name), &len);
		assert_memory_equal(is, want + at, len);
		at += (int)len;
		assert_int_equal(want[at] == '\0', i == 3);
		free(is);
	}
	free(want);
	fake_free(f);
}

static void
test_pretty(void **state)
{
	struct fake *f = begin(0);
	char *is;

	(void)state;
	fake_set(f, "pretty", "true");
	(void)fake_append(f, "t", "1", "e",
			  "{\"a\":[1e400,{}, [ ],{\"b\":\"x,{\\\"y\"}]}");
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	is = filedrive_read(fake_path(f, "out.json"), NULL);
	assert_non_null(strstr(is, "  \"payload\": {\n"
				   "    \"a\": [\n"
				   "      1e400,\n"
				   "      {},\n"
				   "      [],\n"
				   "      {\n"
				   "        \"b\": \"x,{\\\"y\"\n"
				   "      }\n"
				   "    ]\n"
				   "  },\n"));
	assert_string_equal(is + strlen(is) - 3, "\n}\n");
	free(is);
	fake_free(f);
}

static void
test_no_folder(void **state)
{
	struct fake *f = begin(1);

	(void)state;
	fake_set(f, "path", fake_path(f, "none/out.json"));
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_OK);
	blocked(f, fake_deliver(f, 1, 1, 0), "none/out.json");
	blocked(f, f->plugin->probe(f->sink, &f->res), "none/");
	fake_set(f, "path", fake_path(f, "out/.."));
	assert_int_equal(fake_open(f, f->plugin), WEIR_SINK_REJECT);
	fake_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_faults_before),
		cmocka_unit_test(test_faults_parked),
		cmocka_unit_test(test_faults_replay),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_surplus),
		cmocka_unit_test(test_other_file),
		cmocka_unit_test(test_other_owner),
		cmocka_unit_test(test_epoch),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_older_cursor),
		cmocka_unit_test(test_damaged_cursor),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_pretty),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
