/* SPDX-License-Identifier: MIT */
/*
 * The supervisor and the page of a runner. The children are this program with
 * other words; the file "mode" in the target folder says what one does, and
 * each start adds a line to "starts".
 */
#include "bus/bus_test.h"

#include "base/err.h"
#include "base/os.h"
#include "bus/pulse.h"
#include "bus/retry.h"
#include "bus/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPAN_US 100000

/* ---- the child -------------------------------------------------------------
 */

static volatile sig_atomic_t asked;

static void
on_term(int sig)
{
	(void)sig;
	asked = 1;
}

static void
wait_for_ever(void)
{
	struct timespec some = {0, 1000000};

	while (!asked)
		nanosleep(&some, NULL);
}

static int
act(const char *mode, struct pulse *p)
{
	struct weir_err err = {0};

	if (strcmp(mode, "idle") == 0)
		wait_for_ever();
	if (strcmp(mode, "stubborn") == 0 || strcmp(mode, "hang") == 0)
		signal(SIGTERM, SIG_IGN);
	pulse_ready(p);
	if (strcmp(mode, "hang") == 0) {
		pulse_hold(p, 1);
		pulse_enter(p, 0);
	}
	if (strcmp(mode, "late") == 0) /* comes back when it is asked */
		pulse_enter(p, 0);
	if (strcmp(mode, "exit") == 0)
		return 3;
	if (strcmp(mode, "crash") == 0) {
		pulse_hold(p, 12);
		abort();
	}
	if (strcmp(mode, "says") == 0) {
		err_set(&err, WEIR_EUNREACH, "another one is at work");
		pulse_say(p, &err);
		return 6;
	}
	wait_for_ever();
	return 0;
}

/* argv: program "child" NAME TARGET */
static int
child_main(char **argv)
{
	struct sigaction term = {.sa_handler = on_term};
	char path[600], mode[32] = "";
	struct pulse *p = NULL;
	struct weir_err err = {0};
	FILE *f;
	int rc;

	sigaction(SIGTERM, &term, NULL);
	if (supervisor_child(&p, &err) != 1)
		return 90;
	snprintf(path, sizeof(path), "%s/mode", argv[3]);
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%31s", mode) != 1)
		return 91;
	fclose(f);
	snprintf(path, sizeof(path), "%s/starts", argv[3]);
	f = fopen(path, "a");
	if (f == NULL)
		return 92;
	fprintf(f, "%s %s %d\n", argv[2], mode, (int)getpid());
	fclose(f);
	rc = act(mode, p);
	pulse_free(p);
	return rc;
}

/* ---- the supervisor, in a thread -------------------------------------------
 */

static struct {
	struct bench *b;
	struct supervisor *s;
	int stop[2];
	pthread_t thread;
	int rc;
	const char *words[5];
	struct supervisor_options o;
} run;

static void
nap(void)
{
	struct timespec some = {0, 2000000};

	nanosleep(&some, NULL);
}

/* A bound, not a delay. */
#define WAIT_FOR(what)                                                         \
	do {                                                                   \
		int left = 30000;                                              \
		while (!(what) && left-- > 0)                                  \
			nap();                                                 \
		assert_true(left > 0);                                         \
	} while (0)

static void *
thread_main(void *arg)
{
	struct weir_err err = {0};

	(void)arg;
	run.rc = supervisor_run(run.s, &err);
	return NULL;
}

/* Whole at once: a child may be reading it. */
static void
set_mode(const char *mode)
{
	char from[400], to[400];

	bench_put(run.b, "mode.new", mode);
	snprintf(from, sizeof(from), "%s/mode.new", run.b->target);
	snprintf(to, sizeof(to), "%s/mode", run.b->target);
	assert_int_equal(rename(from, to), 0);
}

static void
begin(const char *mode)
{
	struct weir_err err = {0};

	set_mode(mode);
	bench_put(run.b, "starts", "");
	assert_int_equal(pipe2(run.stop, O_CLOEXEC), 0);
	run.o.stop_fd = run.stop[0];
	assert_int_equal(supervisor_new(&run.s, &run.o, &err), 0);
	assert_int_equal(pthread_create(&run.thread, NULL, thread_main, NULL),
			 0);
}

static void
end(void)
{
	assert_int_equal(write(run.stop[1], "x", 1), 1);
	assert_int_equal(pthread_join(run.thread, NULL), 0);
	assert_int_equal(run.rc, 0);
	supervisor_free(run.s);
	close(run.stop[0]);
	close(run.stop[1]);
	/* no child is left, also no dead one */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static struct runner_status
status(void)
{
	struct runner_status st = {0};

	assert_int_equal(runner_status(&st, run.b->store, "s", &run.b->err), 0);
	return st;
}

static int
starts(const char *mode)
{
	return bench_count(bench_get(run.b, "starts"), mode);
}

static int
set_up(void **state)
{
	(void)state;
	run.b = bench_new("fake");
	run.words[0] = "test_supervisor";
	run.words[1] = "child";
	run.words[2] = "";
	run.words[3] = run.b->target;
	run.o = (struct supervisor_options){.store_dir = run.b->store,
					    .program = "/proc/self/exe",
					    .argv = run.words,
					    .name_at = 2,
					    .deliver_us = SPAN_US,
					    .stop_us = 20000000};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	os_set(NULL);
	bench_free(run.b);
	return 0;
}

/* ---- tests -----------------------------------------------------------------
 */

static void
test_idle(void **state)
{
	(void)state;
	begin("idle");
	WAIT_FOR(starts("s idle") == 1);
	end();
	assert_int_equal(starts("\n"), 1);
	assert_int_equal(status().restarts, 0);
	assert_string_equal(status().last_end, "");
}

static void
test_exit(void **state)
{
	(void)state;
	begin("exit");
	WAIT_FOR(starts("s exit") >= 3);
	set_mode("idle");
	WAIT_FOR(starts("s idle") == 1);
	WAIT_FOR(status().restarts == (uint64_t)starts("s exit"));
	assert_string_equal(status().last_end,
			    "its runner ended with exit status 3");
	assert_true(status().ended_at > 0);
	end();
}

static void
test_what_it_says(void **state)
{
	(void)state;
	begin("says");
	WAIT_FOR(strcmp(status().last_end, "another one is at work") == 0);
	end();
}

static void
test_crash(void **state)
{
	(void)state;
	begin("crash");
	WAIT_FOR(strstr(status().last_end, "by signal 6") != NULL);
	assert_non_null(strstr(status().last_end,
			       "while 12 records were being handed over"));
	end();
}

static const char *
attempts_path(void)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/sinks/s/attempts", run.b->store);
	return path;
}

/* As a runner leaves it that ended inside its plugin. */
static void
put_marker(void)
{
	struct retry_mark m = {.kind = RETRY_BATCH,
			       .first = 1,
			       .through = 1,
			       .records = 1,
			       .single = 1,
			       .watched = true};
	struct retry *r = NULL;

	assert_int_equal(retry_open(&r, attempts_path(), &run.b->err), 0);
	assert_int_equal(retry_put_mark(r, &m, &run.b->err), 0);
	retry_close(r);
}

static bool
counts_as_crash(void)
{
	struct retry *r = NULL;
	bool yes;

	assert_int_equal(retry_open(&r, attempts_path(), &run.b->err), 0);
	assert_int_equal(retry_found(r)->single, 1);
	yes = retry_found(r)->signalled;
	retry_close(r);
	return yes;
}

/* One that does not answer is killed, and the crash marker tells of it. */
static void
test_hang(void **state)
{
	(void)state;
	put_marker();
	begin("hang");
	WAIT_FOR(starts("s hang") >= 1);
	set_mode("idle");
	WAIT_FOR(starts("s idle") == 1);
	assert_non_null(strstr(status().last_end, "hangs"));
	end();
	assert_true(counts_as_crash());
}

/* One that comes back when it is asked has not crashed. */
static void
test_late(void **state)
{
	(void)state;
	put_marker();
	begin("late");
	WAIT_FOR(starts("s late") >= 1);
	set_mode("idle");
	WAIT_FOR(starts("s idle") == 1);
	assert_non_null(strstr(status().last_end, "hangs"));
	end();
	assert_false(counts_as_crash());
}

static void
test_stubborn(void **state)
{
	(void)state;
	run.o.stop_us = 100000;
	begin("stubborn");
	WAIT_FOR(starts("s stubborn") == 1);
	end(); /* killed, or this would not end */
}

static void
pause_it(struct sinkconf *c)
{
	c->paused = true;
}

static void
test_paused(void **state)
{
	siginfo_t info;

	(void)state;
	begin("idle");
	WAIT_FOR(starts("s idle") == 1);
	bench_configure(run.b, "fake", pause_it);
	/* it is not waited for here: the supervisor does that */
	WAIT_FOR(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
		 errno == ECHILD);
	bench_configure(run.b, "fake", NULL);
	WAIT_FOR(starts("s idle") == 2);
	assert_int_equal(status().restarts, 0);
	end();
}

/* ---- our own calls that fail -----------------------------------------------
 */

static struct os table;
static _Atomic int failing;

static bool
fails(void)
{
	if (failing <= 0)
		return false;
	failing--;
	errno = EMFILE;
	return true;
}

static pid_t
t_spawn(const struct os_spawn *s)
{
	return fails() ? -1 : os_real()->spawn(s);
}

static int
t_memfd(const char *name)
{
	return fails() ? -1 : os_real()->memfd(name);
}

static int
t_pipe(int fds[2])
{
	return fails() ? -1 : os_real()->pipe(fds);
}

static void *
t_mmap(size_t n, int prot, int flags, int fd, off_t at)
{
	return n == 4096 && (prot & PROT_WRITE) != 0 && fails()
		       ? MAP_FAILED
		       : os_real()->mmap(n, prot, flags, fd, at);
}

static int
count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
try_failing(void)
{
	int before = count_fds();

	failing = 3;
	os_set(&table);
	begin("idle");
	WAIT_FOR(starts("s idle") == 1);
	assert_non_null(strstr(status().last_end, "cannot"));
	end();
	assert_int_equal(failing, 0);
	assert_int_equal(count_fds(), before);
	table = *os_real();
}

static void
test_failing_calls(void **state)
{
	(void)state;
	table = *os_real();
	table.spawn = t_spawn;
	try_failing();
	table.memfd = t_memfd;
	try_failing();
	table.pipe = t_pipe;
	try_failing();
	table.mmap = t_mmap;
	try_failing();
}

static void
test_no_program(void **state)
{
	(void)state;
	run.o.program = "/no/such/program";
	begin("idle");
	WAIT_FOR(strstr(status().last_end, "/no/such/program") != NULL);
	end();
}

static void
test_pulse(void **state)
{
	struct weir_err err = {0};
	struct pulse *p = NULL, *q = NULL;
	char why[PULSE_WHY_MAX];
	int fd = -1, null = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(pulse_new(&p, &fd, 1000, &err), 0);
	assert_int_equal(pulse_attach(&q, fd, &err), 0);
	assert_int_equal(pulse_due(p), 0);
	pulse_more(q); /* nothing is being called */
	assert_int_equal(pulse_due(p), 0);
	pulse_enter(q, 7);
	assert_int_equal(pulse_due(p), 7);
	pulse_more(q);
	assert_true(pulse_due(p) > 7);
	pulse_leave(q);
	assert_int_equal(pulse_due(p), 0);
	pulse_hold(q, 5);
	assert_int_equal(pulse_held(p), 5);
	assert_int_equal(pulse_why(p, why), 0);
	err_set(&err, WEIR_EINPUT, "no %s", "way");
	pulse_say(q, &err);
	assert_int_equal(pulse_why(p, why), WEIR_EINPUT);
	assert_string_equal(why, "no way");
	pulse_free(q);
	pulse_free(p);
	assert_int_equal(pulse_attach(&q, null, &err), WEIR_EUSAGE);
	close(null);
	pulse_enter(NULL, 1);
	pulse_leave(NULL);
	pulse_free(NULL);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pulse),
		cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_it_says, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_crash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hang, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stubborn, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_paused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failing_calls, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_no_program, set_up,
						tear_down),
	};

	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
