/* SPDX-License-Identifier: MIT */
/* Option tables, sink.conf, finding plugins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "bus/options.h"
#include "bus/sinkconf.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[256];

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR"), *top = getenv("TOP_BUILDDIR");
	char plugins[600];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/weir-conf-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(plugins, sizeof(plugins), "%s/tests/unit/bus",
		 top != NULL ? top : ".");
	loader_set_dir(plugins);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *
text(const char *s)
{
	return mem_dup(s, strlen(s));
}

static struct sinkconf *
conf(const char *const *pairs)
{
	struct sinkconf *c = mem_new(sizeof(*c));
	size_t n = 0;

	while (pairs[2 * n] != NULL)
		n++;
	snprintf(c->name, sizeof(c->name), "s");
	snprintf(c->plugin, sizeof(c->plugin), "fake");
	c->enabled = true;
	c->from = 7;
	c->attempts_max = 5;
	c->values = mem_new((n + 1) * sizeof(*c->values));
	c->nvalues = n;
	for (size_t i = 0; i < n; i++) {
		c->values[i].name = text(pairs[2 * i]);
		c->values[i].value = text(pairs[2 * i + 1]);
	}
	return c;
}

#define CONF(...) conf((const char *const[]){__VA_ARGS__, NULL})

static void
test_durations(void **state)
{
	(void)state;
	assert_int_equal(options_duration("5"), 5000000);
	assert_int_equal(options_duration("5s"), 5000000);
	assert_int_equal(options_duration("250ms"), 250000);
	assert_int_equal(options_duration("7us"), 7);
	assert_int_equal(options_duration("2m"), 120000000);
	assert_int_equal(options_duration("1h"), 3600000000);
	assert_int_equal(options_duration(""), -1);
	assert_int_equal(options_duration("s"), -1);
	assert_int_equal(options_duration("5 s"), -1);
	assert_int_equal(options_duration("-5s"), -1);
	assert_int_equal(options_duration("1.5s"), -1);
	assert_int_equal(options_duration("9999999999999999h"), -1);
}

static void
test_table_faults(void **state)
{
	struct weir_sink_option t[3] = {
		{"a", WEIR_OPT_STRING, 0, NULL, NULL, "A."},
		{"b", WEIR_OPT_UINT, 0, "3", NULL, "B."},
	};

	(void)state;
	assert_null(options_fault(NULL));
	assert_null(options_fault(t));
	t[1].dflt = "x";
	assert_non_null(options_fault(t));
	t[1].dflt = NULL;
	t[1].name = "a";
	assert_non_null(options_fault(t));
	t[1].name = "B";
	assert_non_null(options_fault(t));
	t[1].name = "b";
	t[1].type = WEIR_OPT_ENUM;
	assert_non_null(options_fault(t));
	t[1].arg = "x|y";
	assert_null(options_fault(t));
	t[1].help = NULL;
	assert_non_null(options_fault(t));
}

static void
test_loader(void **state)
{
	const struct weir_sink_plugin *p = NULL;
	struct plugin_entry *list = NULL;
	struct weir_err err = {0};
	size_t n = 0;
	bool seen = false;

	(void)state;
	assert_int_equal(loader_find(&p, "fake", &err), 0);
	assert_string_equal(p->name, "fake");
	assert_non_null(loader_path("fake"));
	assert_int_equal(loader_find(&p, "fakee", &err), WEIR_ENOTFOUND);
	assert_non_null(strstr(err.msg, "did you mean fake"));
	assert_int_equal(loader_find(&p, "../fake", &err), WEIR_ENOTFOUND);
	assert_int_equal(loader_list(&list, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, "fakehold") == 0)
			seen = list[i].plugin != NULL;
		if (i != 0)
			assert_true(strcmp(list[i - 1].name, list[i].name) < 0);
	}
	assert_true(seen);
	mem_free(list);
}

static void
refused(const char *file, mode_t mode, const char *what, const char *words)
{
	const struct weir_sink_plugin *p = NULL;
	struct weir_err err = {0};
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.so", dir, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(what, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	loader_set_dir(dir);
	assert_true(loader_find(&p, file, &err) < 0);
	if (strstr(err.msg, words) == NULL)
		fail_msg("no \"%s\" in \"%s\"", words, err.msg);
}

static void
test_loader_refuses(void **state)
{
	(void)state;
	refused("broken", 0644, "no shared object", "cannot load the plugin");
	refused("open", 0666, "no shared object", "written by others");
	assert_int_equal(chmod(dir, 0777), 0);
	refused("folder", 0644, "no shared object", "written by others");
	assert_int_equal(chmod(dir, 0700), 0);
}

static void
test_round_trip(void **state)
{
	char *aggregates[] = {text("order*"), text(" odd \"one\""), NULL};
	char *tags[] = {text("t;1 # x"), NULL};
	struct sinkconf *c =
		CONF("dir", "/a b/c ; d", "secret", "env:X", "header", "A=1\n2",
		     "header", " b", "header", "\"q\"");
	struct sinkconf *got = NULL;
	struct weir_err err = {0};
	struct stat st;
	char path[600];
	uint64_t revision;

	(void)state;
	c->aggregates = aggregates;
	c->tags = tags;
	c->paused = true;
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	snprintf(path, sizeof(path), "%s/sinks/s/sink.conf", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(sinkconf_load(&got, dir, "s", &err), 0);
	assert_string_equal(got->plugin, "fake");
	assert_true(got->enabled && got->paused);
	assert_int_equal(got->from, 7);
	assert_int_equal(got->attempts_max, 5);
	assert_int_equal(got->batch, 1000);
	assert_string_equal(got->aggregates[0], "order*");
	assert_string_equal(got->aggregates[1], " odd \"one\"");
	assert_null(got->aggregates[2]);
	assert_null(got->events);
	assert_string_equal(got->tags[0], "t;1 # x");
	assert_int_equal(got->nvalues, c->nvalues);
	for (size_t i = 0; i < c->nvalues; i++) {
		assert_string_equal(got->values[i].name, c->values[i].name);
		assert_string_equal(got->values[i].value, c->values[i].value);
	}
	revision = got->revision;
	sinkconf_free(got);
	c->from = 8;
	c->batch = SINK_BATCH_MAX;
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	assert_int_equal(sinkconf_load(&got, dir, "s", &err), 0);
	assert_true(got->revision != revision);
	assert_int_equal(got->batch, SINK_BATCH_MAX);
	sinkconf_free(got);
	c->batch = SINK_BATCH_MAX + 1;
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	assert_int_equal(sinkconf_load(&got, dir, "s", &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "\"batch\""));
	c->aggregates = c->tags = NULL;
	for (size_t i = 0; i < 2; i++)
		mem_free(aggregates[i]);
	mem_free(tags[0]);
	sinkconf_free(c);
}

static void
test_list_and_remove(void **state)
{
	struct sinkconf *c = CONF("dir", "/x");
	struct weir_err err = {0};
	char **names = NULL, path[600];
	size_t n = 9;
	FILE *f;

	(void)state;
	assert_int_equal(sinkconf_list(&names, &n, dir, &err), 0);
	assert_int_equal(n, 0);
	mem_free(names);
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	snprintf(c->name, sizeof(c->name), "b.2");
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	assert_int_equal(sinkconf_list(&names, &n, dir, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "b.2");
	assert_string_equal(names[1], "s");
	assert_null(names[2]);
	mem_free(names);
	snprintf(path, sizeof(path), "%s/sinks/s/dead-letters", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(sinkconf_remove(dir, "s", false, &err), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(sinkconf_remove(dir, "s", true, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(sinkconf_remove(dir, "s", false, &err),
			 WEIR_ENOTFOUND);
	snprintf(c->name, sizeof(c->name), "../x");
	assert_int_equal(sinkconf_save(dir, c, &err), WEIR_EINPUT);
	sinkconf_free(c);
}

static void
complains(struct sinkconf *c, const char *words)
{
	const struct weir_sink_plugin *p = NULL;
	struct weir_err err = {0};

	assert_int_equal(loader_find(&p, "fake", &err), 0);
	assert_int_equal(sinkconf_check(c, p, &err), WEIR_EINPUT);
	if (strstr(err.msg, words) == NULL)
		fail_msg("no \"%s\" in \"%s\"", words, err.msg);
	sinkconf_free(c);
}

static void
test_check(void **state)
{
	(void)state;
	complains(CONF("mode", "even"), "needs option dir");
	complains(CONF("dir", "/x", "mod", "even"), "did you mean mode?");
	complains(CONF("dir", "/x", "mode", "none"), "one of even|odd");
	complains(CONF("dir", "/x", "mode", "odd"), "an even moon");
	complains(CONF("dir", "/x", "wait", "soon"), "takes a number with");
	complains(CONF("dir", "/x", "size", "-1"), "whole number");
	complains(CONF("dir", "/x", "loud", "yes"), "true or false");
	complains(CONF("dir", "/x", "dir", "/y"), "more than once");
	complains(CONF("size", "z", "zzzzzz", "y"), "; ");
}

static const char *
setting(const struct weir_sink_setting *s, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].name, name) == 0)
			return s[i].value;
	}
	return NULL;
}

static void
test_settings(void **state)
{
	struct sinkconf *c =
		CONF("dir", "rel/path", "secret", "env:BUS_SECRET", "header",
		     "A=1", "header", "B=2", "wait", "250ms");
	const struct weir_sink_plugin *p = NULL;
	struct weir_sink_setting *s = NULL;
	struct weir_err err = {0};
	size_t n = 0, headers = 0;

	(void)state;
	assert_int_equal(loader_find(&p, "fake", &err), 0);
	assert_int_equal(sinkconf_check(c, p, &err), 0);
	assert_int_equal(c->values[0].value[0], '/');
	unsetenv("BUS_SECRET");
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "BUS_SECRET"));
	setenv("BUS_SECRET", "hush", 1);
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), 0);
	assert_string_equal(setting(s, n, "secret"), "hush");
	assert_string_equal(setting(s, n, "wait"), "250000");
	assert_string_equal(setting(s, n, "mode"), "even");
	assert_null(setting(s, n, "size"));
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].name, "header") == 0)
			assert_string_equal(s[i].value,
					    headers++ == 0 ? "A=1" : "B=2");
	}
	assert_int_equal(headers, 2);
	sinkconf_settings_free(s, n);
	sinkconf_free(c);
}

static void
test_secret_file(void **state)
{
	const struct weir_sink_plugin *p = NULL;
	struct weir_sink_setting *s = NULL;
	struct weir_err err = {0};
	struct sinkconf *c;
	char path[600], ref[640];
	size_t n = 0;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/pw", dir);
	snprintf(ref, sizeof(ref), "file:%s", path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("top secret\n", f);
	fclose(f);
	c = CONF("dir", "/x", "secret", ref);
	assert_int_equal(loader_find(&p, "fake", &err), 0);
	assert_int_equal(sinkconf_check(c, p, &err), 0);
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), 0);
	assert_string_equal(setting(s, n, "secret"), "top secret");
	sinkconf_settings_free(s, n);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), WEIR_ENOTFOUND);
	sinkconf_free(c);
}

/* In a secret list the reference may stand behind K=. */
static void
test_secret_list(void **state)
{
	struct sinkconf *c =
		CONF("dir", "/x", "pass", "Token=env:BUS_SECRET", "pass",
		     "Key=file:key", "pass", "env:BUS_LINE", "pass",
		     "Plain=a=env:b", "header", "A=env:BUS_SECRET");
	static const char *const want[] = {"Token=hush", "Key=k=1", "Line=x",
					   "Plain=a=env:b"};
	const struct weir_sink_plugin *p = NULL;
	struct weir_sink_setting *s = NULL;
	struct weir_err err = {0};
	size_t n = 0, found = 0;
	char path[600];
	FILE *f;

	(void)state;
	setenv("BUS_SECRET", "hush", 1);
	setenv("BUS_LINE", "Line=x", 1);
	snprintf(path, sizeof(path), "%s/key", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("k=1\n", f);
	fclose(f);
	assert_int_equal(loader_find(&p, "fake", &err), 0);
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(sinkconf_check(c, p, &err), 0);
	assert_int_equal(strncmp(c->values[2].value, "Key=file:/", 10), 0);
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), 0);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].name, "pass") == 0)
			assert_string_equal(s[i].value, want[found++]);
	}
	assert_int_equal(found, 4);
	assert_string_equal(setting(s, n, "header"), "A=env:BUS_SECRET");
	sinkconf_settings_free(s, n);
	unsetenv("BUS_SECRET");
	assert_int_equal(sinkconf_settings(&s, &n, c, p, &err), WEIR_EINPUT);
	assert_int_equal(unlink(path), 0);
	sinkconf_free(c);
}

/* Every write of sink.conf that fails leaves the old file whole. */
static int fail_at, calls;

static ssize_t
failing_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return ++calls == fail_at ? -1 : os_real()->pwrite(fd, p, n, at);
}

static int
failing_sync(int fd)
{
	return ++calls == fail_at ? -1 : os_real()->fdatasync(fd);
}

static int
failing_rename(const char *from, const char *to)
{
	return ++calls == fail_at ? -1 : os_real()->rename(from, to);
}

static void
test_save_fails(void **state)
{
	struct sinkconf *c = CONF("dir", "/x"), *got = NULL;
	struct os table = *os_real();
	struct weir_err err = {0};

	(void)state;
	assert_int_equal(sinkconf_save(dir, c, &err), 0);
	table.pwrite = failing_pwrite;
	table.fdatasync = failing_sync;
	table.rename = failing_rename;
	c->from = 99;
	for (fail_at = 1; fail_at <= 3; fail_at++) {
		calls = 0;
		os_set(&table);
		assert_true(sinkconf_save(dir, c, &err) < 0);
		os_set(NULL);
		assert_int_equal(sinkconf_load(&got, dir, "s", &err), 0);
		assert_int_equal(got->from, 7);
		sinkconf_free(got);
	}
	sinkconf_free(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_durations),	TEST(test_table_faults),
		TEST(test_loader),	TEST(test_loader_refuses),
		TEST(test_round_trip),	TEST(test_list_and_remove),
		TEST(test_check),	TEST(test_settings),
		TEST(test_secret_file), TEST(test_secret_list),
		TEST(test_save_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
