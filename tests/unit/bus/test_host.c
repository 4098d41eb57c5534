/* SPDX-License-Identifier: MIT */
/* Host services, masking, the small files of a sink. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/str.h"
#include "bus/checkpoint.h"
#include "bus/host.h"
#include "bus/loader.h"
#include "bus/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[256], path[300];
static const struct weir_sink_plugin *plugin;
static struct os table;

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR"), *top = getenv("TOP_BUILDDIR");
	char plugins[600];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/weir-host-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(plugins, sizeof(plugins), "%s/tests/unit/bus",
		 top != NULL ? top : ".");
	loader_set_dir(plugins);
	assert_int_equal(loader_find(&plugin, "fake", NULL), 0);
	table = *os_real();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	os_set(NULL);
	(void)unlink(path);
	return rmdir(dir);
}

static void
test_mask(void **state)
{
	struct weir_sink_setting s[] = {
		{"dir", "/visible"},
		{"secret", "postgres://u:p%40ss@h/db?password=other"},
		{"pass", "Authorization=Bearer t0ken"},
		{"header", "Accept=anything"},
	};
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct host *h = host_new("s", plugin, NULL);

	(void)state;
	assert_non_null(h);
	assert_int_equal(host_keep_secrets(h, s, 4, NULL), 0);
	snprintf(res.column, sizeof(res.column),
		 "Authorization, Bearer t0ken, t0ken, anything");
	snprintf(res.message, sizeof(res.message),
		 "no p%%40ss at /visible,\n nor other \xff\x1b[31m");
	snprintf(res.hint, sizeof(res.hint), "see %s twice: %s", s[1].value,
		 s[1].value);
	memset(res.code, 'x', sizeof(res.code)); /* not ended */
	host_clean(h, &res);
	assert_string_equal(res.message, "no *** at /visible,  nor *** ? [31m");
	assert_string_equal(res.hint, "see *** twice: ***");
	assert_string_equal(res.column, "Authorization, ***, ***, anything");
	assert_int_equal(strlen(res.code), sizeof(res.code) - 1);
	host_free(h);
}

static ssize_t
short_pwrite(int fd, const void *p, size_t n, off_t at)
{
	static int turn;

	if (turn++ % 2 == 0) {
		errno = EINTR;
		return -1;
	}
	return os_real()->pwrite(fd, p, n > 3 ? 3 : n, at);
}

static ssize_t
short_pread(int fd, void *p, size_t n, off_t at)
{
	return os_real()->pread(fd, p, n > 2 ? 2 : n, at);
}

static ssize_t
full_pwrite(int fd, const void *p, size_t n, off_t at)
{
	(void)fd;
	(void)p;
	(void)n;
	(void)at;
	errno = ENOSPC;
	return -1;
}

static void
test_files(void **state)
{
	struct host *h = host_new("s", plugin, NULL);
	const struct weir_sink_host *t = host_table(h);
	const struct weir_sink_files *f = t->files;
	char got[32] = "";
	int fd;

	(void)state;
	table.pwrite = short_pwrite;
	table.pread = short_pread;
	os_set(&table);
	fd = f->open(t->cookie, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(f->write_at(t->cookie, fd, "hello world", 11, 0), 11);
	assert_int_equal(f->read_at(t->cookie, fd, got, 30, 0), 11);
	assert_string_equal(got, "hello world");
	assert_int_equal(f->size(t->cookie, fd), 11);
	assert_int_equal(f->truncate(t->cookie, fd, 5), 0);
	assert_int_equal(f->read_at(t->cookie, fd, got, 30, 3), 2);
	assert_int_equal(f->sync_data(t->cookie, fd), 0);
	assert_int_equal(f->sync_folder(t->cookie, dir), 0);
	table.pwrite = full_pwrite;
	assert_int_equal(f->write_at(t->cookie, fd, "x", 1, 0), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(f->close(t->cookie, fd), 0);
	assert_int_equal(f->open(t->cookie, "/nowhere/x", O_RDONLY, 0), -1);
	assert_int_equal(errno, ENOENT);
	host_free(h);
}

static void
test_services(void **state)
{
	struct host *h = host_new("s", plugin, NULL);
	const struct weir_sink_host *t = host_table(h);
	struct weir_str raw = STR("\"a\\u00e9\\n\"");
	char text[64], type[64];
	uint8_t hash[32];

	(void)state;
	assert_int_equal(t->json_string(t->cookie, raw, text), 4);
	assert_memory_equal(text, "a\xc3\xa9\n", 4);
	t->time_text(t->cookie, 0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	t->sha256(t->cookie, "abc", 3, hash);
	assert_int_equal(hash[0], 0xba);
	assert_int_equal(hash[31], 0xad);
	assert_int_equal(t->column_type(t->cookie, STR("a"), STR("b"), type),
			 WEIR_TYPE_NONE);
	assert_string_equal(type, "");
	host_free(h);
}

static void
test_checkpoint(void **state)
{
	struct checkpoint c = {
		.sequence = UINT64_MAX, .epoch = 7, .parked = 2, .target = 99};
	struct checkpoint got = {.found = true};
	FILE *f;

	(void)state;
	assert_int_equal(checkpoint_load(&got, path, NULL), 0);
	assert_false(got.found);
	memset(c.store_id, 0xab, 16);
	assert_int_equal(checkpoint_save(path, "s", &c, NULL), 0);
	assert_int_equal(checkpoint_load(&got, path, NULL), 0);
	assert_true(got.found);
	assert_int_equal(got.sequence, UINT64_MAX);
	assert_int_equal(got.epoch, 7);
	assert_int_equal(got.parked, 2);
	assert_int_equal(got.target, 99);
	assert_memory_equal(got.store_id, c.store_id, 16);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("{\"store\":\"x\"}", f);
	fclose(f);
	assert_int_equal(checkpoint_load(&got, path, NULL), WEIR_EDAMAGE);
}

static void
test_attempts(void **state)
{
	struct retry_mark m = {.kind = RETRY_BATCH,
			       .first = 5,
			       .through = 9,
			       .records = 5,
			       .crashes = 2,
			       .epoch = 3};
	struct retry_wait w;
	struct retry *r = NULL;

	(void)state;
	assert_int_equal(retry_open(&r, path, NULL), 0);
	assert_int_equal(retry_found(r)->kind, RETRY_NOTHING);
	retry_wait(r)->failures = 3;
	retry_wait(r)->next_try = 12345;
	retry_wait(r)->blocked = true;
	memset(retry_wait(r)->message, '"', sizeof(w.message) - 1);
	memset(retry_wait(r)->hint, '\\', sizeof(w.hint) - 1);
	assert_int_equal(retry_save_wait(r, NULL), 0);
	assert_int_equal(retry_put_mark(r, &m, NULL), 0);
	retry_close(r);
	assert_int_equal(retry_open(&r, path, NULL), 0);
	assert_int_equal(retry_found(r)->kind, RETRY_BATCH);
	assert_int_equal(retry_found(r)->through, 9);
	assert_int_equal(retry_found(r)->crashes, 2);
	assert_int_equal(retry_found(r)->epoch, 3);
	assert_int_equal(retry_wait(r)->failures, 3);
	retry_close(r);
	assert_int_equal(retry_peek(&w, path, NULL), 0);
	assert_int_equal(w.next_try, 12345);
	assert_true(w.blocked);
	assert_int_equal(strlen(w.message), sizeof(w.message) - 1);
	/* a torn slot counts as empty */
	assert_int_equal(truncate(path, 300), 0);
	assert_int_equal(retry_open(&r, path, NULL), 0);
	assert_int_equal(retry_found(r)->kind, RETRY_BATCH);
	assert_int_equal(retry_wait(r)->failures, 0);
	retry_close(r);
}

static void
test_delays(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 200; n++) {
		int64_t most = n < 10 ? INT64_C(500000) << n : RETRY_MAX_US;
		int64_t us = retry_delay(n);

		assert_true(us >= 1);
		assert_true(us <= most && us <= RETRY_MAX_US);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mask),       TEST(test_files),    TEST(test_services),
		TEST(test_checkpoint), TEST(test_attempts), TEST(test_delays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
