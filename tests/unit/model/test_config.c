/* SPDX-License-Identifier: MIT */
#include "model/config.h"

#include "model_test.h"

static int
load_text(struct config **out, const char *dir, const char *text,
	  struct weir_err *err)
{
	put_file(dir, "weir.conf", text);
	return config_load(out, NULL, dir, err);
}

static void
test_defaults(void **state)
{
	char *dir = make_folder(), path[300];
	struct config *c;
	struct weir_err err = {0};

	(void)state;
	assert_int_equal(config_load(&c, NULL, dir, &err), 0);
	assert_string_equal(config_get(c, "port"), "7070");
	assert_int_equal(config_u64(c, "port"), 7070);
	assert_int_equal(config_u64(c, "list_page_size"), 10);
	assert_int_equal(config_u64(c, "page_limit"), 1000);
	assert_int_equal(config_u64(c, "memory_threshold"), 64 << 20);
	assert_int_equal(config_u64(c, "heads_memory"), 64 << 20);
	assert_int_equal(config_u64(c, "index_after"), 4 << 20);
	assert_int_equal(config_u64(c, "sink_wait"), 2000000);
	assert_string_equal(config_get(c, "diag_level"), "warn");
	assert_string_equal(config_from(c, "port"), "default");
	assert_null(config_get(c, "no_such_key"));
	config_free(c);
	snprintf(path, sizeof(path), "%s/other.conf", dir);
	assert_int_equal(config_load(&c, path, dir, &err), WEIR_ENOTFOUND);
	drop_folder(dir);
}

static void
test_file_and_environment(void **state)
{
	char *dir = make_folder();
	struct config *c;

	(void)state;
	assert_int_equal(load_text(&c, dir,
				   "; ours\n\n port=81 ; inline\n"
				   "sink_wait : 250ms\nmemory_threshold=2G",
				   NULL),
			 0);
	assert_int_equal(config_u64(c, "port"), 81);
	assert_string_equal(config_from(c, "port"), "file");
	assert_int_equal(config_u64(c, "sink_wait"), 250000);
	assert_int_equal(config_u64(c, "memory_threshold"), (uint64_t)2 << 30);
	config_free(c);
	setenv("WEIR_PORT", "82", 1);
	assert_int_equal(config_load(&c, NULL, dir, NULL), 0);
	assert_int_equal(config_u64(c, "port"), 82);
	assert_string_equal(config_from(c, "port"), "environment");
	config_free(c);
	unsetenv("WEIR_PORT");
	drop_folder(dir);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{"a = 1\n", "line 1: unknown key \"a\""},
		{"\nprot = 1\n", "did you mean \"port\""},
		{"[txt]\nport = 1\n", "unknown key \"txt.port\""},
		{"port = 0\n", "a port number"},
		{"port = 7070x\n", "not \"7070x\""},
		{"port = 1\nport = 2\n", "line 2: \"port\" is set a second"},
		{"port = 1\n  2\n", "a second time"},
		{"sink_wait = soon\n", "a time such as"},
		{"diag_level = loud\n", "error|warn"},
		{"memory_threshold = 99999999999G\n", "a number of bytes"},
		{"port\n", "line 1 is neither"},
	};
	char *dir = make_folder(), text[400];
	struct weir_err err = {0};
	struct config *c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(load_text(&c, dir, rows[i].text, &err),
				 WEIR_EINPUT);
		if (strstr(err.msg, rows[i].said) == NULL)
			fail_msg("%s: %s", rows[i].text, err.msg);
		assert_non_null(strstr(err.msg, "weir.conf"));
	}
	memset(text, 'x', sizeof(text));
	memcpy(text, "data_dir=", 9);
	text[300] = '\0';
	assert_int_equal(load_text(&c, dir, text, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "line 1 is longer"));
	put_file(dir, "weir.conf", "");
	setenv("WEIR_DIAG_LEVEL", "loud", 1);
	assert_int_equal(config_load(&c, NULL, dir, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "WEIR_DIAG_LEVEL"));
	unsetenv("WEIR_DIAG_LEVEL");
	drop_folder(dir);
}

static void
test_edit_keeps(void **state)
{
	char *dir = make_folder();
	struct config *c;

	(void)state;
	assert_int_equal(load_text(&c, dir,
				   "# a comment\n\nport = 1   ; mine\n"
				   "page_limit=5\n; the end",
				   NULL),
			 0);
	assert_int_equal(config_set(c, "port", "9000", NULL), 0);
	assert_int_equal(config_u64(c, "port"), 9000);
	assert_string_equal(get_file(dir, "weir.conf"),
			    "# a comment\n\nport = 9000   ; mine\n"
			    "page_limit=5\n; the end");
	assert_int_equal(config_set(c, "sink_wait", "1m", NULL), 0);
	assert_string_equal(get_file(dir, "weir.conf"),
			    "# a comment\n\nport = 9000   ; mine\n"
			    "page_limit=5\nsink_wait = 1m\n; the end");
	assert_int_equal(config_set(c, "port", NULL, NULL), 0);
	assert_string_equal(config_get(c, "port"), "7070");
	assert_string_equal(get_file(dir, "weir.conf"),
			    "# a comment\n\npage_limit=5\nsink_wait = 1m\n"
			    "; the end");
	config_free(c);
	assert_int_equal(config_load(&c, NULL, dir, NULL), 0);
	assert_int_equal(config_u64(c, "sink_wait"), 60000000);
	config_free(c);
	drop_folder(dir);
}

static void
test_set_refused(void **state)
{
	char *dir = make_folder(), inner[300];
	struct weir_err err = {0};
	struct config *c;

	(void)state;
	snprintf(inner, sizeof(inner), "%s/a/b", dir);
	assert_int_equal(config_load(&c, NULL, inner, NULL), 0);
	assert_int_equal(config_set(c, "prot", "1", &err), WEIR_EUSAGE);
	assert_int_equal(err.code, WEIR_EUSAGE);
	assert_non_null(strstr(err.msg, "\"port\""));
	assert_int_equal(config_set(c, "port", "x", &err), WEIR_EUSAGE);
	assert_int_equal(config_set(c, "data_dir", "a\nport = 5", &err),
			 WEIR_EUSAGE);
	assert_int_equal(config_set(c, "data_dir", "a ;b", &err), WEIR_EUSAGE);
	assert_int_equal(config_set(c, "data_dir", " a", &err), WEIR_EUSAGE);
	assert_int_not_equal(access(inner, F_OK), 0);
	assert_int_equal(config_set(c, "data_dir", "/a;b", &err), 0);
	assert_string_equal(get_file(inner, "weir.conf"), "data_dir = /a;b\n");
	config_free(c);
	assert_int_equal(config_load(&c, NULL, inner, NULL), 0);
	assert_string_equal(config_get(c, "data_dir"), "/a;b");
	config_free(c);
	drop_folder(dir);
}

/* Every key has a default that is right, and help. */
static void
test_table(void **state)
{
	char *dir = make_folder();
	struct config *c;

	(void)state;
	assert_int_equal(config_load(&c, NULL, dir, NULL), 0);
	for (const struct config_key *k = config_keys(); k->name; k++) {
		assert_ptr_equal(config_key(k->name), k);
		assert_non_null(k->help);
		assert_non_null(k->arg);
		if (k->dflt != NULL)
			assert_int_equal(config_set(c, k->name, k->dflt, NULL),
					 0);
	}
	config_free(c);
	drop_folder(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_file_and_environment),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_edit_keeps),
		cmocka_unit_test(test_set_refused),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
