/* SPDX-License-Identifier: MIT */
/*
 * A child of the supervisor: starting it, what it prints, its end.
 *
 * Its descriptors: 0 is /dev/null; 1 and 2 a pipe to us, for what a plugin or a
 * library prints; 3 the page of the runner; 4 our own stderr, where its
 * messages and the lines of the log sink go straight, one write each. It gets
 * no other of ours. It is killed when the thread that started it ends.
 */
#include "bus/supervisor_int.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_BYTES  (256u << 10) /* read of a child in one look */
#define LINES_BURST 50u		 /* passed on at once */
#define LINE_US	    100000	 /* and one more each */
#define WORDS_MAX   32
#define ENV_MAX	    65536u

extern char **environ;

/* ---- starting -------------------------------------------------------------
 */

/* Our environment, and what tells the child that it is one. */
static char **
environment(char *own)
{
	char **all;
	size_t n = 0, kept = 0;

	while (environ != NULL && environ[n] != NULL && n < ENV_MAX)
		n++;
	all = mem_new((n + 2) * sizeof(*all));
	if (all == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(environ[i], CHILD_ENV "=",
			    sizeof(CHILD_ENV "=") - 1) != 0)
			all[kept++] = environ[i];
	}
	all[kept++] = own;
	all[kept] = NULL;
	return all;
}

static pid_t
spawn(struct child *k, const struct supervisor_options *o, const int *fds,
      struct weir_err *err)
{
	static char own[] = CHILD_ENV "=1";
	char *argv[WORDS_MAX + 1] = {NULL};
	struct os_spawn how = {.path = o->program,
			       .argv = argv,
			       .fds = fds,
			       .nfds = 5,
			       .death_signal = SIGKILL};
	char **env = environment(own);
	pid_t pid;

	if (env == NULL) {
		err_nomem(err);
		return -1;
	}
	for (size_t i = 0; i < WORDS_MAX && o->argv[i] != NULL; i++)
		argv[i] = (char *)(uintptr_t)o->argv[i];
	argv[o->name_at] = k->name;
	how.envp = env;
	pid = os()->spawn(&how);
	if (pid < 0)
		err_sys(err, "cannot start %s", o->program);
	mem_free(env);
	return pid;
}

static int
start_with(struct child *k, const struct supervisor_options *o, int null,
	   int print, struct weir_err *err)
{
	int fds[5] = {null, print, print, -1, STDERR_FILENO};
	struct pulse *pulse = NULL;
	int rc = pulse_new(&pulse, &fds[CHILD_FD_PULSE], o->deliver_us, err);
	pid_t pid;

	if (rc != 0)
		return rc;
	pid = spawn(k, o, fds, err);
	os_close(fds[CHILD_FD_PULSE]);
	if (pid < 0) {
		pulse_free(pulse);
		return err->code;
	}
	k->pid = pid;
	k->pulse = pulse;
	return 0;
}

/* The child's end of the pipe waits for us, so it has to block. */
static int
pipe_for_prints(int ends[2], struct weir_err *err)
{
	char path[64];
	int fd;

	if (os()->pipe(ends) != 0)
		return err_sys(err, "cannot make a pipe for a runner");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
	fd = os_open(path, O_WRONLY, 0, err);
	os_close(ends[1]);
	ends[1] = fd;
	return fd < 0 ? fd : 0;
}

int
child_start(struct child *k, const struct supervisor_options *o,
	    struct weir_err *err)
{
	int ends[2] = {-1, -1};
	int rc, null = os_open("/dev/null", O_RDONLY, 0, err);

	if (null < 0)
		return null;
	rc = pipe_for_prints(ends, err);
	if (rc == 0)
		rc = start_with(k, o, null, ends[1], err);
	os_close(null);
	os_close(ends[1]);
	if (rc != 0) {
		os_close(ends[0]);
		return rc;
	}
	k->out_fd = ends[0];
	memset(&k->outlet, 0, sizeof(k->outlet));
	k->outlet.tokens = LINES_BURST;
	k->phase = CHILD_RUNS;
	k->started_at = k->outlet.filled_at = clock_monotonic();
	k->trouble[0] = '\0';
	k->hangs = false;
	return 0;
}

/* ---- in the child ---------------------------------------------------------
 */

int
supervisor_child(struct pulse **out, struct weir_err *err)
{
	int rc;

	if (getenv(CHILD_ENV) == NULL)
		return 0;
	rc = pulse_attach(out, CHILD_FD_PULSE, err);
	if (rc != 0)
		return err_prefix(err, "%s is set, but", CHILD_ENV);
	(void)unsetenv(CHILD_ENV);
	diag_set_fd(CHILD_FD_DIAG);
	return 1;
}

/* ---- what it prints -------------------------------------------------------
 */

static void
pass_on(struct child *k)
{
	struct outlet *out = &k->outlet;

	out->line[out->len] = '\0';
	if (out->len > 0 && out->tokens > 0) {
		out->tokens--;
		diag(DIAG_WARN, k->name, "printed: %s%s", out->line,
		     out->over ? "..." : "");
	} else if (out->len > 0) {
		out->dropped++;
	}
	out->len = 0;
	out->over = false;
}

static void
say_dropped(struct child *k)
{
	if (k->outlet.dropped > 0)
		diag(DIAG_WARN, k->name,
		     "%" PRIu64 " more lines that its plugin printed were "
		     "left out",
		     k->outlet.dropped);
	k->outlet.dropped = 0;
}

static void
take(struct child *k, const char *p, size_t n)
{
	struct outlet *out = &k->outlet;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			pass_on(k);
		} else if (out->len < sizeof(out->line) - 1) {
			out->line[out->len++] = p[i] != '\0' ? p[i] : ' ';
		} else {
			out->over = true;
		}
	}
}

void
child_drain(struct child *k)
{
	struct outlet *out = &k->outlet;
	char some[8192];

	while (k->out_fd >= 0 && out->room > 0) {
		ssize_t n = os()->read(k->out_fd, some, sizeof(some));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) { /* nobody prints there any more */
			os_close(k->out_fd);
			k->out_fd = -1;
			pass_on(k);
			break;
		}
		take(k, some, (size_t)n);
		out->room -= (uint64_t)n < out->room ? (uint64_t)n : out->room;
	}
}

void
child_look(struct child *k, int64_t now)
{
	struct outlet *out = &k->outlet;

	out->room = LOOK_BYTES;
	while (now - out->filled_at >= LINE_US) {
		out->filled_at += LINE_US;
		if (out->tokens < LINES_BURST)
			out->tokens++;
		else
			out->filled_at = now;
	}
	if (out->tokens > LINES_BURST / 5)
		say_dropped(k);
}

/* ---- signals and the end --------------------------------------------------
 */

void
child_signal(struct child *k, int sig)
{
	if (k->phase != CHILD_NONE)
		(void)os()->kill(k->pid, sig);
}

void
child_ask(struct child *k, int64_t grace_us, const char *trouble)
{
	if (k->phase != CHILD_RUNS)
		return;
	child_signal(k, SIGTERM);
	k->phase = CHILD_ASKED;
	k->asked_at = clock_monotonic();
	k->grace_us = grace_us;
	snprintf(k->trouble, sizeof(k->trouble), "%s", trouble);
}

bool
child_ended(struct child *k, struct child_end *out)
{
	pid_t pid;

	if (k->phase == CHILD_NONE)
		return false;
	do
		pid = os()->waitpid(k->pid, &out->status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (pid < 0) /* somebody else has waited for it */
		out->status = 0;
	out->held = pulse_held(k->pulse);
	out->code = pulse_why(k->pulse, out->why);
	k->outlet.room = LOOK_BYTES;
	child_drain(k);
	pass_on(k);
	say_dropped(k);
	os_close(k->out_fd);
	k->out_fd = -1;
	pulse_free(k->pulse);
	k->pulse = NULL;
	k->pid = 0;
	k->phase = CHILD_NONE;
	return true;
}

uint64_t
child_memory(const struct child *k)
{
	char path[64], *text = NULL;
	uint64_t all = 0, shared = 0;
	size_t n = 0;
	long page = sysconf(_SC_PAGESIZE);

	if (k->phase == CHILD_NONE || page <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%ld/statm", (long)k->pid);
	if (os_read_file(&text, &n, path, 4096, NULL) != 0)
		return 0;
	if (sscanf(text, "%*s %" SCNu64 " %" SCNu64, &all, &shared) != 2 ||
	    shared > all)
		all = shared = 0;
	mem_free(text);
	return (all - shared) * (uint64_t)page;
}
