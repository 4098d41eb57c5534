/* SPDX-License-Identifier: MIT */
/* What a server's life is made of: its pid file, sockets and datagrams. */
#include "server/listen.h"
#include "server/notify.h"
#include "server/pidfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/os.h"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/weir-life-XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	char path[128];
	const char *const names[] = {"weir.pid", "weir.sock"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

/* ---- the pid file ---------------------------------------------------------
 */

static void
test_pidfile(void **state)
{
	struct pidfile_info i = {.pid = (int)getpid(),
				 .since = 1700000000000000,
				 .state = "ready",
				 .http = "127.0.0.1:1",
				 .text = "[::1]:2",
				 .options = " --port 0"},
			    seen;
	struct weir_err err = {0};
	int fd, process = -1;

	(void)state;
	assert_int_equal(pidfile_read(&seen, dir, &err), 0);
	assert_int_equal(seen.pid, 0);
	fd = pidfile_take(dir, &err);
	assert_true(fd >= 0);
	assert_int_equal(pidfile_write(fd, dir, &i, &err), 0);
	assert_int_equal(pidfile_read(&seen, dir, &err), 0);
	assert_int_equal(seen.pid, i.pid);
	assert_true(seen.since == i.since);
	assert_string_equal(seen.state, "ready");
	assert_string_equal(seen.http, i.http);
	assert_string_equal(seen.text, i.text);
	assert_string_equal(seen.options, i.options);
	assert_int_equal(pidfile_take(dir, &err), WEIR_EUNREACH);
	assert_non_null(strstr(err.msg, "127.0.0.1:1"));
	assert_int_equal(pidfile_process(&process, &seen, dir, &err), 0);
	assert_true(process >= 0);
	assert_false(os_wait_readable(process, 0));
	assert_int_equal(os()->pidfd_kill(process, 0), 0);
	os_close(process);
	os_close(fd); /* it died: the file is stale */
	assert_int_equal(pidfile_process(&process, &seen, dir, &err), 0);
	assert_int_equal(process, -1);
	assert_int_equal(seen.pid, 0);
	fd = pidfile_take(dir, &err);
	assert_true(fd >= 0);
	pidfile_remove(dir);
	os_close(fd);
	assert_int_equal(pidfile_read(&seen, dir, &err), 0);
	assert_int_equal(seen.pid, 0);
}

/* One that is locked and says nothing of use is waited for, then an error. */
static void
test_pidfile_without_sense(void **state)
{
	struct pidfile_info seen;
	struct weir_err err = {0};
	int fd = pidfile_take(dir, &err);
	const char text[] = "no number\nhttp\n\n  \nstate \n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(
		os_pwrite_all(fd, "weir.pid", text, sizeof(text) - 1, 0, &err),
		0);
	assert_int_equal(pidfile_read(&seen, dir, &err), WEIR_EUNREACH);
	assert_non_null(strstr(err.msg, "names no process"));
	os_close(fd);
}

/* ---- sockets ---------------------------------------------------------------
 */

static void
test_listen_tcp(void **state)
{
	struct weir_err err = {0};
	char name[64], again[64];
	unsigned port;
	int fd = listen_tcp("127.0.0.1", 0, "port", &err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(sscanf(listen_name(name, fd), "127.0.0.1:%u", &port),
			 1);
	assert_int_equal(listen_tcp("127.0.0.1", port, "text-port", &err),
			 WEIR_EIO);
	assert_non_null(strstr(err.msg, "--text-port"));
	assert_int_equal(err.sys_errno, EADDRINUSE);
	os_close(fd);
	fd = listen_tcp("127.0.0.2", 0, "port", &err);
	assert_true(fd >= 0);
	assert_true(listen_name(again, fd)[0] != '\0');
	os_close(fd);
	assert_int_equal(listen_tcp("no host", 0, "port", &err), WEIR_EINPUT);
	assert_string_equal(listen_name(name, -1), "");
}

static void
test_listen_local(void **state)
{
	struct weir_err err = {0};
	char path[128], name[64];
	struct stat st;
	int fd = listen_local(dir, &err), other;

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/weir.sock", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(listen_name(name, fd), "");
	/* what a server that was killed left is replaced */
	other = listen_local(dir, &err);
	assert_true(other >= 0);
	os_close(fd);
	os_close(other);
	listen_remove_local(dir);
	assert_int_equal(stat(path, &st), -1);
	/* anything else is left alone */
	assert_int_equal(os_replace_file(path, "x", 1, 0600, &err), 0);
	assert_int_equal(listen_local(dir, &err), WEIR_EINPUT);
	assert_int_equal(stat(path, &st), 0);
}

/* A call that fails is told, and leaks nothing. */
static int
refuse_listen(int fd, int backlog)
{
	(void)fd;
	(void)backlog;
	errno = ENOBUFS;
	return -1;
}

static void
test_listen_fails(void **state)
{
	struct os table = *os_real();
	struct weir_err err = {0};
	int before = dup(0), after;

	(void)state;
	close(before);
	table.listen = refuse_listen;
	os_set(&table);
	assert_int_equal(listen_tcp("127.0.0.1", 0, "port", &err), WEIR_EIO);
	assert_int_equal(err.sys_errno, ENOBUFS);
	assert_int_equal(listen_local(dir, &err), WEIR_EIO);
	os_set(NULL);
	after = dup(0);
	assert_int_equal(after, before);
	close(after);
}

/* ---- notify ----------------------------------------------------------------
 */

static void
test_notify(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
	char text[200], pid[24];
	ssize_t n;

	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/weir.sock", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	setenv("LISTEN_PID", "1", 1); /* another's: not ours to take */
	setenv("LISTEN_FDS", "2", 1);
	assert_int_equal(pipe(pair), 0);
	notify_init();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("LISTEN_FDS"));
	assert_true(notify_watchdog() == 1500000);
	assert_int_equal(notify_socket("http"), -1);
	notify_send("READY=%d\n", 1);
	n = recv(fd, text, sizeof(text), 0);
	assert_int_equal(n, 8);
	assert_memory_equal(text, "READY=1\n", 8);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pidfile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pidfile_without_sense,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_listen_tcp, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_listen_local, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_listen_fails, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_notify, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
