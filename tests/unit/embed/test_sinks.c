/* SPDX-License-Identifier: MIT */
/* The embedding API: sinks in threads of the program. */
#include "embed_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The JSON sink of this build, writing to FOLDER/out.json. */
static char target[240];

static const struct weir_setting json_settings[] = {{"path", target}};
static const struct weir_sink_config json_sink = {
	.plugin = "json", .settings = json_settings, .nsettings = 1};

static int
setup_sink(void **state)
{
	int rc = setup(state);

	snprintf(target, sizeof(target), "%s/out.json", folder);
	return rc;
}

static unsigned
lines_of(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void
deliver(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_sink_status st = {0};

	(void)state;
	append_events(w, "a", 3);
	ok(weir_sink_configure(w, "out", &json_sink, &err));
	ok(weir_sink_start(w, "out", &err));
	ok(weir_sink_wait(w, "out", 3, A_WHILE, &err));
	assert_int_equal(lines_of(target), 3);
	append_events(w, "a", 2);
	ok(weir_sink_wait(w, "out", weir_last(w), A_WHILE, &err));
	assert_int_equal(lines_of(target), 5);
	refused(weir_sink_wait(w, "out", 6, 1000, &err), WEIR_EUNREACH,
		"is at 5, not yet at 6");
	refused(weir_sink_start(w, "out", &err), WEIR_EUNREACH, "out");
	ok(weir_sink_stop(w, "out", &err));
	refused(weir_sink_stop(w, "out", &err), WEIR_ENOTFOUND, "out");
	append_events(w, "a", 1);
	refused(weir_sink_wait(w, "out", 6, 1000, &err), WEIR_EUNREACH, "6");
	ok(weir_sink_start(w, "out", &err));
	ok(weir_sink_wait(w, "out", 6, -1, &err));
	ok(weir_sink_status(w, "out", &st, &err));
	assert_int_equal(st.cursor, 6);
	assert_int_equal(st.parked, 0);
	assert_string_equal(st.last_error, "");
	assert_true(strcmp(st.state, "idle") == 0 ||
		    strcmp(st.state, "running") == 0);
	weir_close(w); /* while it runs */
	assert_int_equal(lines_of(target), 6);
}

/* From a read-only handle: the writer may be another process. */
static void
from_a_reader(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();

	(void)state;
	ok(weir_sink_configure(ro, "out", &json_sink, &err));
	ok(weir_sink_start(ro, "out", &err));
	append_events(w, "a", 4);
	ok(weir_sink_wait(w, "out", 4, A_WHILE, &err));
	assert_int_equal(lines_of(target), 4);
	weir_close(ro);
	weir_close(w);
}

static void
what_is_delivered(void **state)
{
	static const char *const only[] = {"account", NULL};
	static const char *const others[] = {"x*", "y?", NULL};
	struct weir_sink_config c = json_sink;
	struct weir *w = open_store(NULL);

	(void)state;
	append_events(w, "a", 3);
	c.from = 2;
	c.aggregates = only;
	c.batch = 1;
	ok(weir_sink_configure(w, "some", &c, &err));
	ok(weir_sink_start(w, "some", &err));
	ok(weir_sink_wait(w, "some", 3, A_WHILE, &err));
	assert_int_equal(lines_of(target), 2);
	ok(weir_sink_stop(w, "some", &err));
	/* New settings, the same cursor. */
	c.events = others;
	ok(weir_sink_configure(w, "some", &c, &err));
	append_events(w, "a", 3);
	ok(weir_sink_start(w, "some", &err));
	ok(weir_sink_wait(w, "some", 6, A_WHILE, &err));
	assert_int_equal(lines_of(target), 2);
	ok(weir_sink_stop(w, "some", &err));

	snprintf(target, sizeof(target), "%s/now.json", folder);
	c = json_sink;
	c.from = WEIR_FROM_NOW;
	ok(weir_sink_configure(w, "now", &c, &err));
	append_events(w, "a", 1);
	ok(weir_sink_start(w, "now", &err));
	ok(weir_sink_wait(w, "now", 7, A_WHILE, &err));
	assert_int_equal(lines_of(target), 1);
	weir_close(w);
}

static void
bad_settings(void **state)
{
	struct weir_setting wrong[2] = {{"pathh", target}, {"pretty", "maybe"}};
	struct weir_sink_config c = {
		.plugin = "json", .settings = wrong, .nsettings = 2};
	struct weir *w = open_store(NULL);
	struct weir_sink_status st;

	(void)state;
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT, "pathh");
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT, "pretty");
	wrong[0].value = NULL;
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT,
		"setting 1");
	c.nsettings = 0;
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT, "path");
	refused(weir_sink_configure(w, "../out", &json_sink, &err), WEIR_EINPUT,
		"no name");
	refused(weir_sink_start(w, "../out", &err), WEIR_EINPUT, "no name");
	c.plugin = "jsonn";
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_ENOTFOUND,
		"jsonn");
	c.plugin = NULL;
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT,
		"needs a plugin");
	c = json_sink;
	c.batch = 65537;
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT, "65536");
	refused(weir_sink_start(w, "out", &err), WEIR_ENOTFOUND, "out");
	refused(weir_sink_wait(w, "out", 1, 0, &err), WEIR_ENOTFOUND, "out");
	refused(weir_sink_status(w, "out", &st, &err), WEIR_ENOTFOUND, "out");
	ok(weir_sink_configure(w, "out", &json_sink, &err));
	c = json_sink;
	c.plugin = "csv";
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EINPUT,
		"plugin json");
	c = json_sink;
	c.disabled = true;
	ok(weir_sink_configure(w, "out", &c, &err));
	ok(weir_sink_status(w, "out", &st, &err));
	assert_string_equal(st.state, "disabled");
	weir_close(w);
}

/* A thread that ends by itself says why, and the next start ends it. */
static void
ended_thread(void **state)
{
	struct weir *w;
	struct weir_err why = {0};
	char path[300], line[100] = "";
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	ok(weir_diag(ends[1], "error", &err));
	w = open_store(NULL);
	append_events(w, "a", 1);
	ok(weir_sink_configure(w, "out", &json_sink, &err));
	ok(weir_sink_start(w, "out", &err));
	ok(weir_sink_wait(w, "out", 1, A_WHILE, &err));
	snprintf(path, sizeof(path), "%s/sinks/out/sink.conf", folder);
	assert_int_equal(unlink(path), 0);
	while (!strstr(why.msg, "was removed"))
		assert_int_equal(weir_sink_wait(w, "out", 2, 0, &why),
				 WEIR_ENOTFOUND);
	ok(weir_sink_configure(w, "out", &json_sink, &err));
	append_events(w, "a", 1);
	ok(weir_sink_start(w, "out", &err));
	ok(weir_sink_wait(w, "out", 2, A_WHILE, &err));
	assert_int_equal(lines_of(target), 2);
	refused(weir_sink_start(w, "out", &err), WEIR_EUNREACH, "out");
	weir_close(w);
	/* It was said where messages go. */
	refused(weir_diag(1, "loud", &err), WEIR_EUSAGE, "loud");
	refused(weir_diag(1, NULL, &err), WEIR_EUSAGE, "level");
	ok(weir_diag(-1, "warn", &err));
	close(ends[1]);
	assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line,
			    "weir: error: sink: out: sink out was removed\n");
	close(ends[0]);
}

/* The folder given first is where a plugin is looked for; without it, and
 * without WEIR_PLUGIN_PATH, there is none. */
static void
plugin_folder(void **state)
{
	struct weir_sink_config c = {.plugin = "nowhere"};
	char path[300];
	struct weir *w = open_store(NULL);
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/nowhere.so", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_ENOTFOUND,
		"no plugin");
	weir_plugin_dir(folder);
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_EIO,
		"nowhere.so");
	weir_plugin_dir(NULL);
	refused(weir_sink_configure(w, "out", &c, &err), WEIR_ENOTFOUND,
		"no plugin");
	weir_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(deliver, setup_sink, teardown),
		cmocka_unit_test_setup_teardown(from_a_reader, setup_sink,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_delivered, setup_sink,
						teardown),
		cmocka_unit_test_setup_teardown(bad_settings, setup_sink,
						teardown),
		cmocka_unit_test_setup_teardown(ended_thread, setup_sink,
						teardown),
		cmocka_unit_test_setup_teardown(plugin_folder, setup_sink,
						teardown),
	};

	return cmocka_run_group_tests_name("sinks", tests, NULL, NULL);
}
