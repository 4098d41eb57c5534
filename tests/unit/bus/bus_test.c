/* SPDX-License-Identifier: MIT */
#include "bus/bus_test.h"

#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "bus/retry.h"
#include "store/record.h"
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
fail_err(const char *what, const struct weir_err *err)
{
	fail_msg("%s: %d %s", what, err->code, err->msg);
}

struct bench *
bench_new(const char *plugin)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct store_options so = {.flags = STORE_WRITE | STORE_CREATE,
				   .first_segment_bytes = 64u << 10};
	const char *tmp = getenv("TMPDIR"), *top = getenv("TOP_BUILDDIR");
	struct store *s = NULL;
	char plugins[600];

	assert_non_null(b);
	snprintf(plugins, sizeof(plugins), "%s/tests/unit/bus",
		 top != NULL ? top : ".");
	loader_set_dir(plugins);
	snprintf(b->dir, sizeof(b->dir), "%s/weir-bus-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->store, sizeof(b->store), "%s/store", b->dir);
	snprintf(b->target, sizeof(b->target), "%s/target", b->dir);
	if (os_make_folders(b->target, 0700, &b->err) != 0 ||
	    store_open(&s, b->store, &so, &b->err) != 0)
		fail_err("store", &b->err);
	store_close(s);
	bench_configure(b, plugin, NULL);
	b->options = (struct runner_options){
		.store_dir = b->store,
		.name = "s",
		.stop_fd = -1,
		.skip_backoff = true,
	};
	return b;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void
bench_free(struct bench *b)
{
	nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(b);
}

void
bench_configure(struct bench *b, const char *plugin,
		void (*change)(struct sinkconf *c))
{
	struct sinkconf_value values[2] = {
		{(char *)(uintptr_t) "dir", b->target},
		{(char *)(uintptr_t) "secret", (char *)(uintptr_t) "hunter2!"},
	};
	struct sinkconf c = {.name = "s",
			     .enabled = true,
			     .from = 1,
			     .attempts_max = 3,
			     .values = values,
			     .nvalues = 2};

	snprintf(c.plugin, sizeof(c.plugin), "%s", plugin);
	if (change != NULL)
		change(&c);
	if (sinkconf_save(b->store, &c, &b->err) != 0)
		fail_err("sinkconf_save", &b->err);
}

static void
commit(struct bench *b, struct record_draft *drafts, size_t n)
{
	struct store_options so = {.flags = STORE_WRITE,
				   .first_segment_bytes = 64u << 10};
	struct receipt receipts[64];
	struct store *s = NULL;

	if (store_open(&s, b->store, &so, &b->err) != 0 ||
	    store_commit(s, receipts, drafts, n, &b->err) != 0)
		fail_err("commit", &b->err);
	store_close(s);
}

void
bench_commit(struct bench *b, ...)
{
	struct record_draft drafts[64];
	size_t n = 0;
	va_list ap;

	memset(drafts, 0, sizeof(drafts));
	va_start(ap, b);
	for (;;) {
		const char *name = va_arg(ap, const char *), *slash;

		if (name == NULL)
			break;
		slash = strchr(name, '/');
		drafts[n].aggregate_type =
			(struct weir_str){name, (size_t)(slash - name)};
		drafts[n].aggregate_id = str_of(slash + 1);
		drafts[n].event_type = STR("changed");
		drafts[n].payload = str_of(va_arg(ap, const char *));
		drafts[n].expected = EXPECT_ANY;
		n++;
	}
	va_end(ap);
	commit(b, drafts, n);
}

void
bench_fill(struct bench *b, int n, int aggregates)
{
	struct store_options so = {.flags = STORE_WRITE,
				   .first_segment_bytes = 64u << 10};
	struct store *s = NULL;

	if (store_open(&s, b->store, &so, &b->err) != 0)
		fail_err("open", &b->err);
	for (int i = 0; i < n; i++) {
		char id[32], payload[64];
		struct record_draft d = {.aggregate_type = STR("item"),
					 .event_type = STR("changed"),
					 .expected = EXPECT_ANY};
		struct receipt receipt;

		snprintf(id, sizeof(id), "%d", i % aggregates);
		snprintf(payload, sizeof(payload), "{\"n\":%d}", i);
		d.aggregate_id = str_of(id);
		d.payload = str_of(payload);
		if (store_commit(s, &receipt, &d, 1, &b->err) != 0)
			fail_err("commit", &b->err);
	}
	store_close(s);
}

uint64_t
bench_last(struct bench *b)
{
	struct store_options so = {0};
	struct store *s = NULL;
	uint64_t last;

	if (store_open(&s, b->store, &so, &b->err) != 0)
		fail_err("open", &b->err);
	last = store_last(s);
	store_close(s);
	return last;
}

int
bench_run(struct bench *b)
{
	struct runner *r = NULL;
	int rc;

	memset(&b->err, 0, sizeof(b->err));
	rc = runner_new(&r, &b->options, &b->err);
	if (rc == 0)
		rc = runner_run(r, 0, 0, &b->err);
	runner_free(r);
	return rc;
}

int
bench_run_child(struct bench *b)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int rc;

		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		signal(SIGABRT, SIG_DFL);
		if (b->watch)
			runner_watch_crashes();
		rc = bench_run(b);
		_exit(rc == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *
path_of(struct bench *b, const char *file)
{
	static char path[700];

	if (file[0] == '@')
		snprintf(path, sizeof(path), "%s/sinks/s/%s", b->store,
			 file + 1);
	else
		snprintf(path, sizeof(path), "%s/%s", b->target, file);
	return path;
}

void
bench_put(struct bench *b, const char *file, const char *text)
{
	FILE *f = fopen(path_of(b, file), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

void
bench_drop(struct bench *b, const char *file)
{
	assert_int_equal(unlink(path_of(b, file)), 0);
}

bool
bench_has(struct bench *b, const char *file)
{
	return access(path_of(b, file), F_OK) == 0;
}

const char *
bench_get(struct bench *b, const char *file)
{
	static char text[1 << 20];
	FILE *f = fopen(path_of(b, file), "r");
	size_t n = 0;

	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

int
bench_count(const char *text, const char *word)
{
	int n = 0;

	while ((text = strstr(text, word)) != NULL) {
		n++;
		text += strlen(word);
	}
	return n;
}

const char *
bench_sequences(struct bench *b)
{
	static char out[1 << 16];
	const char *p = strchr(bench_get(b, "db"), '\n');
	size_t n = 0;

	out[0] = '\0';
	while (p != NULL && p[1] != '\0') {
		p++;
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%d",
				      n != 0 ? " " : "", atoi(p));
		p = strchr(p, '\n');
	}
	return out;
}

uint64_t
bench_cursor(struct bench *b)
{
	unsigned long long n = 0;

	sscanf(bench_get(b, "db"), "%*s %llu", &n);
	return n;
}

void
bench_hurry(struct bench *b)
{
	struct retry *r = NULL;

	if (retry_open(&r, path_of(b, "@attempts"), &b->err) != 0)
		fail_err("attempts", &b->err);
	if (retry_wait(r)->next_try != 0)
		retry_wait(r)->next_try = 1;
	if (retry_save_wait(r, &b->err) != 0)
		fail_err("attempts", &b->err);
	retry_close(r);
}
