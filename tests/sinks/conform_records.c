/* SPDX-License-Identifier: MIT */
/* Records at the edges of what a record may be. All must be delivered; what a
 * mirror holds of them is compared by the tests of the mirrors. */

#include "conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct fake *f, const char *type, const char *id, const char *json)
{
	fake_append(f, type, id, "changed", json);
}

static void
add_deep(struct fake *f)
{
	char json[256] = "{\"deep\":";
	size_t n = strlen(json);

	memset(json + n, '[', 60);
	memset(json + n + 60, ']', 60);
	memcpy(json + n + 120, "}", 2);
	add(f, "deep", "60", json);
}

static void
add_wide(struct fake *f)
{
	char *json = malloc(16384);
	size_t n = 1;

	if (json == NULL)
		abort();
	json[0] = '{';
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)snprintf(json + n, 16384 - n, "%s\"column %u\":%u",
				      i ? "," : "", i, i);
	snprintf(json + n, 16384 - n, "}");
	add(f, "wide", "200", json);
	free(json);
}

static void
add_names(struct fake *f)
{
	char id[256];

	memset(id, 'i', 255);
	id[255] = '\0';
	add(f, "names", id, "{\"a\":1}");
	add(f, "names", "\xc3\xa9 \xf0\x9f\x98\x80 '\"\\;--",
	    "{\"id\":1,\"version\":2,\"order\":3,\"select\":4,"
	    "\"created_at\":5,\"updated_by\":6,\"_value\":7}");
	add(f, "names", "a/b\\c..",
	    "{\"na me\":1,\"na-me\":2,\"Na Me\":3,"
	    "\"na_me\":4,\"1st\":5}");
	add(f, "Names", "x", "{\"\xc3\xbc\":1,\"quo\\\"te\":2}");
	add(f, "na/mes", "x", "{}");
	add(f, "na mes", "x", "{}");
	add(f, "order", "select", "{\"table\":\"drop table x; --\"}");
}

static void
add_values(struct fake *f)
{
	static const char *const values[] = {"12345678901234567890123",
					     "0.10",
					     "1e400",
					     "-0",
					     "9007199254740993",
					     "1E-7",
					     "true",
					     "false",
					     "null",
					     "\"\"",
					     "\"tab\\tline\\nreturn\\r\"",
					     "\"'\\\"\\\\,;\"",
					     "\"\\ud83d\\ude00\\u00e9\"",
					     "\"=cmd()\"",
					     "\" space \"",
					     "{}",
					     "[]",
					     "[1,[2,{\"a\":null}]]",
					     "{\"a\":{\"b\":0.10}}"};
	char json[256];

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(json, sizeof(json), "{\"v\":%s,\"v%zu\":%s}",
			 values[i], i, values[i]);
		add(f, "value", "turns", json);
		add(f, "value whole", "turns", values[i]);
	}
}

static void
add_contents(struct fake *f)
{
	static const char bytes[] = "\x00\xff\x01 bytes";
	struct fake_record r = {.type = "content",
				.id = "x",
				.event = "written",
				.user = "ada",
				.content = WEIR_CONTENT_TEXT};

	r.payload = (struct weir_str){"plain\ttext \"x\"\n", 15};
	fake_append_record(f, &r);
	r.content = WEIR_CONTENT_BYTES;
	r.payload = (struct weir_str){bytes, sizeof(bytes) - 1};
	fake_append_record(f, &r);
	r.payload = (struct weir_str){"", 0};
	fake_append_record(f, &r);
}

static void
add_all(struct fake *f)
{
	add_deep(f);
	add_wide(f);
	add_names(f);
	add_values(f);
	add_contents(f);
}

static enum verdict
check_one_batch(struct conform *c)
{
	struct fake *f = conform_new(c);
	int class;

	add_all(f);
	CONFORM_TRY(c, f, conform_open(c, f));
	class = fake_deliver_all(f, 1, fake_last(f), 0);
	if (class != WEIR_SINK_OK)
		return conform_end(
			c, f,
			conform_fail(c, "class %d: %s", class, f->res.message));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, fake_last(f)));
	return conform_end(c, f, PASS);
}

static enum verdict
check_one_by_one(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want, *have;
	enum verdict v = PASS;

	add_all(f);
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, fake_last(f), 0));
	want = conform_show(c);
	CONFORM_TRY(c, f, conform_end(c, f, PASS));
	f = conform_new(c);
	add_all(f);
	CONFORM_TRY(c, f, conform_open(c, f));
	for (uint64_t s = 1; s <= fake_last(f) && v == PASS; s++)
		v = conform_deliver(c, f, s, s, 0);
	if (v == PASS)
		v = conform_cursor_is(c, f, fake_last(f));
	have = conform_show(c);
	if (v == PASS && want != NULL && strlen(have) < strlen(want) / 2)
		v = conform_fail(c, "one by one gives less than one batch");
	free(want);
	free(have);
	return conform_end(c, f, v);
}

/* A value that does not fit a mapped column: REJECT, and nothing changed. */
static enum verdict
check_misfit(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want, *have;
	uint64_t bad;
	enum verdict v = PASS;
	int class;

	if (!(c->needs & WEIR_SINK_NEED_TYPES))
		return conform_end(c, f, conform_skip(c, "no typed columns"));
	fake_map(f, "typed", "n", "integer", WEIR_TYPE_MAPPED);
	add(f, "typed", "a", "{\"n\":1}");
	bad = fake_last(f) + 1;
	add(f, "typed", "b", "{\"n\":\"no number\"}");
	add(f, "typed", "c", "{\"n\":3}");
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, bad - 1, 0));
	want = conform_show(c);
	class = fake_deliver(f, bad, bad + 1, 0);
	have = conform_show(c);
	if (class != WEIR_SINK_REJECT)
		v = conform_fail(c, "class %d, not REJECT: %s", class,
				 f->res.message);
	else if (f->res.bad_sequence != 0 && f->res.bad_sequence != bad)
		v = conform_fail(c, "bad_sequence is %llu, not %llu",
				 (unsigned long long)f->res.bad_sequence,
				 (unsigned long long)bad);
	else if (want != NULL && strcmp(want, have) != 0)
		v = conform_fail(c, "a refused batch changed the target");
	free(want);
	free(have);
	if (v == PASS)
		v = conform_result(c, f, class);
	if (v == PASS)
		v = conform_deliver(c, f, bad + 1, bad + 1, 0);
	return conform_end(c, f, v);
}

const struct conform_check conform_records[] = {
	{"odd names, values, contents: one batch", check_one_batch},
	{"odd names, values, contents: one by one", check_one_by_one},
	{"a value that does not fit a mapped column", check_misfit},
	{NULL, NULL},
};
