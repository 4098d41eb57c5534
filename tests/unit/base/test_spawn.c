/* SPDX-License-Identifier: MIT */
/* Starting a program: what it gets from us and what it does not. */
#include "base/os.h"

#include "base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Runs a script of sh with these descriptors; its exit status or -signal. */
static int
run_script(const char *script, const int *fds, size_t n)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script,
			NULL};
	struct os_spawn s = {.path = "/bin/sh",
			     .argv = argv,
			     .envp = environ,
			     .fds = fds,
			     .nfds = n};
	pid_t pid = os()->spawn(&s);
	int status;

	assert_true(pid > 0);
	assert_int_equal(os()->waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a script prints on its standard output. */
static const char *
output_of(const char *script)
{
	static char text[4096];
	int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n, all = 0;

	assert_true(null >= 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(run_script(script, (int[]){null, ends[1], null}, 3),
			 0);
	close(ends[1]);
	close(null);
	while ((n = read(ends[0], text + all, sizeof(text) - 1 - (size_t)all)) >
	       0)
		all += n;
	close(ends[0]);
	text[all] = '\0';
	return text;
}

static void
test_status(void **state)
{
	(void)state;
	assert_int_equal(run_script("exit 7", (int[]){0, 1, 2}, 3), 7);
	assert_int_equal(run_script("kill -9 $$", (int[]){0, 1, 2}, 3), -9);
}

static void
test_descriptors(void **state)
{
	int leak = open("/dev/null", O_RDONLY); /* without CLOEXEC */
	const char *seen;

	(void)state;
	assert_true(leak > 2);
	/* ls itself opens the folder as 3 */
	seen = output_of("ls -x /proc/self/fd | tr -s '[:space:]' ' '");
	assert_string_equal(seen, "0 1 2 3 ");
	close(leak);
}

/* Each wants a place that another one has. */
static void
test_crossed_descriptors(void **state)
{
	char path[] = "/tmp/weir-spawn-XXXXXX", text[16] = "";
	int a = mkstemp(path), b, ends[2], saved[2] = {dup(0), dup(1)};

	(void)state;
	assert_true(a >= 0 && saved[0] >= 0 && saved[1] >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "in", 2), 2);
	close(ends[1]);
	assert_int_equal(dup2(a, 0), 0);       /* 0 is what is to be 1 */
	assert_int_equal(dup2(ends[0], 1), 1); /* and 1 what is to be 0 */
	b = run_script("cat; echo ' err' >&2", (int[]){1, 0, 0}, 3);
	assert_int_equal(dup2(saved[0], 0), 0);
	assert_int_equal(dup2(saved[1], 1), 1);
	assert_int_equal(b, 0);
	assert_int_equal(pread(a, text, sizeof(text) - 1, 0), 7);
	assert_string_equal(text, "in err\n");
	close(a);
	close(ends[0]);
	close(saved[0]);
	close(saved[1]);
}

static void
test_signals(void **state)
{
	unsigned long long blocked = 1, ignored = 1;
	sigset_t some, before;
	const char *seen;

	(void)state;
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &some, &before), 0);
	signal(SIGPIPE, SIG_IGN);
	seen = output_of("grep -E '^Sig(Blk|Ign):' /proc/self/status");
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(
		sscanf(seen, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored),
		2);
	assert_int_equal(blocked, 0);
	/* 32 and 33 are the C library's own: who was started by posix_spawn
	 * has them ignored */
	assert_int_equal(ignored & ~(3ull << 31), 0);
}

static void
test_no_such_program(void **state)
{
	char *argv[] = {(char *)"x", NULL};
	struct os_spawn s = {.path = "/no/such/program",
			     .argv = argv,
			     .envp = environ,
			     .fds = (int[]){0},
			     .nfds = 1};

	(void)state;
	assert_int_equal(os()->spawn(&s), -1);
	assert_int_equal(errno, ENOENT);
	s.fds = (int[]){-1};
	s.path = "/bin/sh";
	assert_int_equal(os()->spawn(&s), -1);
	assert_int_equal(errno, EBADF);
	s.nfds = 0;
	assert_int_equal(os()->spawn(&s), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(waitpid(-1, NULL, 0), -1); /* nothing is left */
	assert_int_equal(errno, ECHILD);
}

/* It is killed with the one that started it: the pipe that it holds closes. */
static void
test_death(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
	int ends[2], status;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct os_spawn s = {.path = "/bin/sleep",
				     .argv = argv,
				     .envp = environ,
				     .fds = (int[]){ends[1]},
				     .nfds = 1,
				     .death_signal = SIGKILL};

		_exit(os()->spawn(&s) > 0 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(os_wait_readable(ends[0], 60000000));
	assert_int_equal(read(ends[0], &c, 1), 0);
	close(ends[0]);
}

static void
test_memfd(void **state)
{
	int fd = os()->memfd("weir-test");

	(void)state;
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(os()->ftruncate(fd, 4096), 0);
	os_close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_crossed_descriptors),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_no_such_program),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_memfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
