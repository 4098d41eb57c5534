/* SPDX-License-Identifier: MIT */
/* Waiting by a descriptor: who is told, when, and what becomes of it. */
#include "store_test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "store/watch.h"

#define PATIENCE 60000 /* ms; how long a test that fails takes */
#define MANY	 40

static struct weir_err err;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	os_set(NULL);
	folder_drop(dir);
	return 0;
}

static bool
readable(const struct watch *w, int ms)
{
	struct pollfd p = {.fd = watch_fd(w), .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	return n == 1 && (p.revents & POLLIN) != 0;
}

static void
commit(struct store *s)
{
	struct receipt got;

	commit_one(s, &got, draft_sized(1, 40));
}

/* The writer's own handle (same) or another's. */
static void
told_in_turn(bool same)
{
	struct store *w = must_write(dir);
	struct store *s = same ? w : must_read(dir);
	struct watch *one = NULL, *two = NULL;

	assert_ok(watch_new(&one, s, &err), err);
	assert_ok(watch_new(&two, s, &err), err);
	assert_false(readable(one, 0));
	assert_ok(watch_arm(one, 0, &err), err);
	assert_true(readable(one, 0));
	assert_ok(watch_arm(one, 1, &err), err);
	assert_ok(watch_arm(two, 2, &err), err);
	assert_false(readable(one, 0));
	commit(w);
	assert_true(readable(one, PATIENCE));
	assert_false(readable(two, 0));
	assert_ok(store_refresh(s, &err), err);
	assert_int_equal(store_last(s), 1);
	assert_ok(watch_arm(one, 1, &err), err);
	assert_true(readable(one, 0));
	assert_ok(watch_arm(one, 3, &err), err);
	assert_false(readable(one, 0));
	commit(w);
	assert_true(readable(two, PATIENCE));
	assert_false(readable(one, 0));
	commit(w);
	assert_true(readable(one, PATIENCE));
	assert_true(readable(two, 0));
	watch_free(one);
	watch_free(two);
	if (!same)
		store_close(s);
	store_close(w);
}

static void
test_reader_told(void **state)
{
	(void)state;
	told_in_turn(false);
}

static void
test_writer_told(void **state)
{
	(void)state;
	told_in_turn(true);
}

static void
test_many(void **state)
{
	struct store *w = must_write(dir), *s = must_read(dir);
	struct watch *all[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		assert_ok(watch_new(&all[i], s, &err), err);
		assert_ok(watch_arm(all[i], MANY - i, &err), err);
	}
	watch_free(all[7]);
	for (unsigned i = MANY; i-- > 0;) {
		commit(w);
		if (i != 7)
			assert_true(readable(all[i], PATIENCE));
		for (unsigned k = 0; k < i; k++)
			if (k != 7)
				assert_false(readable(all[k], 0));
	}
	for (unsigned i = 0; i < MANY; i++)
		if (i != 7)
			watch_free(all[i]);
	store_close(s);
	store_close(w);
}

/* Closing wakes who waits, and a watch may outlive its store. */
static void
test_store_closes(void **state)
{
	struct store *w = must_write(dir), *s = must_read(dir);
	struct watch *one = NULL, *two = NULL, *own = NULL;

	(void)state;
	assert_ok(watch_new(&one, s, &err), err);
	assert_ok(watch_new(&two, s, &err), err);
	assert_ok(watch_new(&own, w, &err), err);
	assert_ok(watch_arm(one, 100, &err), err);
	assert_ok(watch_arm(own, 100, &err), err);
	store_close(s);
	assert_true(readable(one, 0));
	assert_true(readable(two, 0));
	assert_int_equal(watch_arm(one, 1, &err), WEIR_EUSAGE);
	assert_says(err, "closed");
	watch_free(two);
	watch_free(one);
	assert_false(readable(own, 0));
	store_close(w);
	assert_true(readable(own, 0));
	watch_free(own);
}

/* A child that commits one record for each `x` it is sent, and dies without
 * closing at any other byte. */
static pid_t
begin_writer(int *order)
{
	int fd[2];
	char c;

	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) {
		close(fd[0]);
		*order = fd[1];
		return pid;
	}
	close(fd[1]);
	struct store *s = NULL;
	while (read(fd[0], &c, 1) == 1 && c == 'x') {
		struct record_draft d = draft_sized(1, 40);
		struct receipt got;
		if (s == NULL && open_writer(&s, dir, &err) != 0)
			_exit(1);
		if (store_commit(s, &got, &d, 1, &err) != 0)
			_exit(2);
	}
	_exit(0);
}

static void
end_writer(pid_t pid, int order)
{
	int status;

	assert_int_equal(write(order, "q", 1), 1);
	close(order);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_writer_dies(void **state)
{
	struct watch *watch = NULL;
	int first, second;

	(void)state;
	store_close(must_write(dir));
	pid_t a = begin_writer(&first), b = begin_writer(&second);
	struct store *s = must_read(dir);
	assert_ok(watch_new(&watch, s, &err), err);
	assert_ok(watch_arm(watch, 1, &err), err);
	assert_int_equal(write(first, "x", 1), 1);
	assert_true(readable(watch, PATIENCE));
	assert_ok(watch_arm(watch, 2, &err), err);
	end_writer(a, first);
	assert_false(readable(watch, 0));
	assert_int_equal(write(second, "x", 1), 1);
	assert_true(readable(watch, PATIENCE));
	assert_ok(store_wait(s, 2, 0, -1, &err), err);
	end_writer(b, second);
	watch_free(watch);
	store_close(s);
}

/* The page is made anew under its name: who sleeps on the old one finds it. */
static void
test_page_replaced(void **state)
{
	struct watch *watch = NULL;

	(void)state;
	struct store *w = must_write(dir);
	commit(w);
	struct store *s = must_read(dir);
	assert_ok(watch_new(&watch, s, &err), err);
	assert_ok(watch_arm(watch, 2, &err), err);
	store_close(w);
	assert_int_equal(unlink(in(dir, "live")), 0);
	w = must_write(dir);
	commit(w);
	assert_true(readable(watch, PATIENCE));
	commit(w);
	assert_ok(store_wait(s, 3, (int64_t)PATIENCE * 1000, -1, &err), err);
	watch_free(watch);
	store_close(s);
	store_close(w);
}

/* There is no page yet when the watch is armed. */
static void
test_page_missing(void **state)
{
	struct watch *watch = NULL;

	(void)state;
	store_close(must_write(dir));
	assert_int_equal(unlink(in(dir, "live")), 0);
	struct store *s = must_read(dir);
	assert_ok(watch_new(&watch, s, &err), err);
	assert_ok(watch_arm(watch, 1, &err), err);
	assert_false(readable(watch, 0));
	struct store *w = must_write(dir);
	commit(w);
	assert_true(readable(watch, PATIENCE));
	assert_ok(watch_arm(watch, 2, &err), err);
	commit(w);
	assert_true(readable(watch, PATIENCE));
	watch_free(watch);
	store_close(s);
	store_close(w);
}

/* Reads, waits and watches until it is killed; tells when it has begun. */
static void
read_on(int ready)
{
	struct store *s = must_read(dir);
	struct reader *r = reader_new_mapped(s);
	struct watch *watch = NULL;
	struct record_view v;
	uint64_t n = 0;

	if (r == NULL || watch_new(&watch, s, &err) != 0)
		_exit(1);
	for (;;) {
		while (reader_next(r, &v, &err) > 0)
			n = v.sequence;
		if (watch_arm(watch, n + 2, &err) != 0 ||
		    (n == 1 && write(ready, "r", 1) != 1) ||
		    store_wait(s, n + 1, -1, -1, &err) != 0)
			_exit(1);
	}
}

/* Whoever reads and waits can be killed whenever: no file is left, nothing is
 * locked, others read and write on. */
static void
test_killed(void **state)
{
	char **before = NULL, **after = NULL;
	size_t nbefore = 0, nafter = 0;
	struct check_report report;
	int status, ready[2];
	char c;

	(void)state;
	struct store *w = must_write(dir);
	commit(w);
	assert_ok(os_list_folder(&before, &nbefore, dir, &err), err);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(pipe(ready), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			read_on(ready[1]);
		if (i == 0)
			assert_int_equal(read(ready[0], &c, 1), 1);
		for (unsigned k = 0; k < i; k++)
			commit(w);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		close(ready[0]);
		close(ready[1]);
	}
	assert_ok(os_list_folder(&after, &nafter, dir, &err), err);
	assert_int_equal(nbefore, nafter);
	mem_free(before);
	mem_free(after);
	store_close(w);
	w = must_write(dir);
	assert_int_equal(store_last(w), 46);
	assert_ok(store_check(w, &report, NULL, NULL, &err), err);
	store_close(w);
}

static int
no_descriptor(void)
{
	errno = EMFILE;
	return -1;
}

static void *
no_memory(void *p, size_t n)
{
	(void)p;
	(void)n;
	errno = ENOMEM;
	return NULL;
}

static void
test_refused(void **state)
{
	struct os table = *os_real();
	struct store *w = must_write(dir);
	struct watch *watch = NULL;

	(void)state;
	table.eventfd = no_descriptor;
	os_set(&table);
	assert_int_equal(watch_new(&watch, w, &err), WEIR_EIO);
	assert_says(err, "descriptor");
	table.realloc = no_memory;
	assert_int_equal(watch_new(&watch, w, &err), WEIR_ENOMEM);
	os_set(NULL);
	assert_null(watch);
	watch_free(NULL);
	store_close(w);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reader_told),	 TEST(test_writer_told),
		TEST(test_many),	 TEST(test_store_closes),
		TEST(test_writer_dies),	 TEST(test_page_replaced),
		TEST(test_page_missing), TEST(test_refused),
		TEST(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
