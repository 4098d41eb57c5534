/* SPDX-License-Identifier: MIT */
/* The embedding API: waiting by call and by descriptor. */
#include "embed_test.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct weir_watch *
open_watch(struct weir *w, uint64_t sequence)
{
	struct weir_watch *h = NULL;

	ok(weir_watch_open(&h, w, &err));
	ok(weir_watch_arm(h, sequence, &err));
	return h;
}

static bool
readable(const struct weir_watch *h, int timeout_ms)
{
	struct pollfd fd = {weir_watch_fd(h), POLLIN, 0};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void
watching(struct weir *w, struct weir *from)
{
	struct weir_watch *one = NULL, *two = open_watch(from, 2),
			  *three = open_watch(from, 3);

	ok(weir_watch_open(&one, from, &err));
	assert_true(weir_watch_fd(one) != weir_watch_fd(two));
	append_events(w, "a", 1);
	assert_false(readable(one, 0)); /* never armed */
	ok(weir_watch_arm(one, 1, &err));
	assert_true(readable(one, 60000));
	assert_false(readable(two, 0));
	append_events(w, "a", 1);
	assert_true(readable(two, 60000));
	assert_true(readable(two, 0)); /* stays so */
	assert_false(readable(three, 0));
	ok(weir_watch_arm(two, 4, &err));
	assert_false(readable(two, 0));
	ok(weir_watch_arm(three, 2, &err)); /* a lower one, already there */
	assert_true(readable(three, 60000));
	append_events(w, "a", 2);
	assert_true(readable(two, 60000));
	assert_int_equal(weir_last(from), 4);
	weir_watch_close(one);
	weir_watch_close(two);
	weir_watch_close(three);
	weir_watch_close(NULL);
}

static void
watch_the_own_store(void **state)
{
	struct weir *w = open_store(NULL);

	(void)state;
	watching(w, w);
	weir_close(w);
}

static void
watch_another_handle(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();

	(void)state;
	watching(w, ro);
	weir_close(ro);
	weir_close(w);
}

/* Appends in a process of its own, which is killed afterwards. */
static void
append_elsewhere(unsigned n)
{
	struct weir_event ev = event("a", "1");
	struct weir *w = NULL;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int rc = weir_open(&w, folder, NULL, NULL);

		for (unsigned i = 0; rc == 0 && i < n; i++)
			rc = weir_append(w, NULL, &ev, NULL);
		_exit(rc == 0 ? 0 : 1); /* nothing is closed: like a kill */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Writers come and die; the watch and the reader go on. */
static void
watch_other_processes(void **state)
{
	struct weir_reader *r = NULL;
	struct weir_record rec;
	struct weir_watch *h;
	struct weir *ro;

	(void)state;
	append_elsewhere(1);
	ro = open_reading();
	ok(weir_reader_open(&r, ro, &err));
	h = open_watch(ro, 4);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(weir_next(r, &rec, NULL), 1);
		assert_int_equal(weir_next(r, &rec, NULL), 0);
		assert_int_equal(weir_tell(r), i + 1);
		assert_false(readable(h, 0));
		append_elsewhere(1);
	}
	assert_true(readable(h, 60000));
	ok(weir_wait(ro, 4, 0, &err));
	refused(weir_wait(ro, 5, 0, &err), WEIR_EUNREACH, "sequence 5");
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.version, 4);
	weir_watch_close(h);
	weir_reader_close(r);
	weir_close(ro);
}

/* Threads that each wait for a number of their own, by call or descriptor,
 * while another appends. */
enum {
	WAITERS = 6,
	RECORDS = 60
};

struct waiter {
	struct weir *w;
	pthread_t thread;
	uint64_t first, met;
	bool watch;
};

static void *
wait_again_and_again(void *arg)
{
	struct waiter *me = arg;
	struct weir_watch *h = NULL;
	struct pollfd fd = {.events = POLLIN};
	int rc = me->watch ? weir_watch_open(&h, me->w, NULL) : 0;

	if (h)
		fd.fd = weir_watch_fd(h);
	for (uint64_t n = me->first; rc == 0 && n <= RECORDS; n += WAITERS) {
		if (me->watch) {
			rc = weir_watch_arm(h, n, NULL);
			while (rc == 0 && poll(&fd, 1, -1) < 0)
				;
		} else {
			rc = weir_wait(me->w, n, -1, NULL);
		}
		if (rc == 0 && weir_last(me->w) >= n)
			me->met++;
	}
	weir_watch_close(h);
	return NULL;
}

static void
many_waiters(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();
	struct waiter waiter[WAITERS];

	(void)state;
	for (unsigned i = 0; i < WAITERS; i++) {
		waiter[i] = (struct waiter){.w = i % 3 == 0 ? w : ro,
					    .first = i + 1,
					    .watch = i % 2 == 0};
		assert_int_equal(pthread_create(&waiter[i].thread, NULL,
						wait_again_and_again,
						&waiter[i]),
				 0);
	}
	append_events(w, "a", RECORDS);
	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(waiter[i].thread, NULL);
		assert_int_equal(waiter[i].met, RECORDS / WAITERS);
	}
	weir_close(ro);
	weir_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(watch_the_own_store, setup,
						teardown),
		cmocka_unit_test_setup_teardown(watch_another_handle, setup,
						teardown),
		cmocka_unit_test_setup_teardown(watch_other_processes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(many_waiters, setup, teardown),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
