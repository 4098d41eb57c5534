/* SPDX-License-Identifier: MIT */
/* The log sink: its lines, its templates, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "plugins/fakehost.h"

static struct fake *
begin(const char *template)
{
	struct fake *f = fake_new();

	fake_set(f, "template", template);
	return f;
}

static void
lines_are(const char *template, const char *want)
{
	static const struct fake_record odd = {
		.type = "person",
		.id = "p-1",
		.event = "moved\x1b[31m",
		.payload = {"\x00\xff\x10", 3},
		.content = WEIR_CONTENT_BYTES,
		.user = "ann\nroot",
	};
	struct fake *f = begin(template);

	(void)fake_append(f, "person", "p-1", "born",
			  "{\"name\":\"A\\nd\\u009fa\",\"n\":0.10}");
	(void)fake_append_record(f, &odd);
	assert_int_equal(fake_open(f, fake_plugin("log")), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 2, 0), WEIR_SINK_OK);
	assert_int_equal(f->res.durable_sequence, 2);
	assert_string_equal(f->lines, want);
	fake_free(f);
}

static void
test_lines(void **state)
{
	(void)state;
	lines_are(NULL, "aggregate=person id=p-1 event=born\n"
			"aggregate=person id=p-1 event=moved\\u001b[31m\n");
	lines_are("{sequence}:{version} [{user}] {{{time}}}",
		  "1:1 [ada] {2026-01-01T00:00:01.000000Z}\n"
		  "2:2 [ann\\nroot] {2026-01-01T00:00:02.000000Z}\n");
	lines_are("{payload}", "{\"name\":\"A\\nd\\u009fa\",\"n\":0.10}\n"
			       "{\"$base64\":\"AP8Q\"}\n");
	lines_are("{state.name}|{state.n}|{state.none}\t.",
		  "A\\nd\\u009fa|0.10|\\t.\nA\\nd\\u009fa|0.10|\\t.\n");
	lines_are("", "\n\n");
}

static void
refused(const char *template, const char *want)
{
	struct fake *f = begin(template);

	assert_int_equal(fake_open(f, fake_plugin("log")), WEIR_SINK_REJECT);
	assert_string_equal(f->res.message, want);
	fake_free(f);
}

static void
test_refused(void **state)
{
	(void)state;
	refused("a {user} {who} {state.}",
		"template: unknown placeholder {who} at byte 9; "
		"template: unknown placeholder {state.} at byte 15");
	refused("{id} {id",
		"template: a brace that is never closed (write {{ for a "
		"brace) at byte 5");
	refused("id}", "template: a closing brace without an opening one "
		       "(write }} for a brace) at byte 2");
}

/* The command line checks settings before there is a host. */
static void
test_no_host(void **state)
{
	struct weir_sink_setting bad = {"template", "{who}"};
	struct weir_sink_open o = {
		.struct_size = sizeof(o), .settings = &bad, .nsettings = 1};
	struct weir_sink_result res = {.struct_size = sizeof(res)};

	(void)state;
	assert_int_equal(fake_plugin("log")->validate(&o, &res),
			 WEIR_SINK_REJECT);
	assert_non_null(strstr(res.message, "{who} at byte 0"));
}

static void
test_reload(void **state)
{
	struct weir_sink_setting settings[] = {{"level", "warn"},
					       {"template", "{id}"},
					       {"template", "{nothing}"}};
	struct fake *f = begin("{event}");
	struct weir_sink_open o = {.struct_size = sizeof(o),
				   .settings = settings,
				   .nsettings = 2,
				   .host = &f->host};

	(void)state;
	(void)fake_append(f, "person", "p-1", "born", "{}");
	assert_int_equal(fake_open(f, fake_plugin("log")), WEIR_SINK_OK);
	assert_int_equal(f->plugin->reload(f->sink, &o, &f->res), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	o.settings = settings + 2;
	o.nsettings = 1;
	assert_int_equal(f->plugin->reload(f->sink, &o, &f->res),
			 WEIR_SINK_REJECT);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	assert_string_equal(f->lines, "p-1\np-1\n");
	fake_free(f);
}

static void
test_no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct fake *f = begin("{state.name}");
		bool met;
		int class;

		(void)fake_append(f, "person", "p", "born",
				  "{\"name\":\"\\u0041\"}");
		f->fail_alloc_at = n;
		class = fake_open(f, fake_plugin("log"));
		if (class == WEIR_SINK_OK)
			class = fake_deliver(f, 1, 1, 0);
		met = f->allocs >= n;
		assert_int_equal(class, met ? WEIR_SINK_RETRY : WEIR_SINK_OK);
		fake_free(f);
		if (!met)
			return;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_host),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
