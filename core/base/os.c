/* SPDX-License-Identifier: MIT */
/*
 * The table of calls that can fail, and the wrappers that finish what the
 * kernel may leave half done. This is the only file of core that opens, syncs,
 * renames or truncates; os_file.c builds whole-file steps on the wrappers.
 *
 * 1. The table's functions do one call each and keep errno.
 * 2. The wrappers retry EINTR and short transfers, and nothing else: a failed
 *    sync is reported at once and never repeated.
 */
#include "base/os.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZEROS_LEN   (64u << 10)
#define SPAWN_FDS   8
#define OLD_FDS_MAX 4096 /* looked at where there is no close_range */
#define SIGNALS_MAX 64
#define EXEC_FAILED 127
#define TURN_NS	    100000 /* the least that Linux takes */

/* ---- the real calls ----------------------------------------------------- */

static int
real_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode), high, why;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	/* a standard descriptor is closed: what is printed must never go into a
	 * file of ours */
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	why = errno;
	close(fd);
	errno = why;
	return high;
}

static int
real_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

static int
real_stat(const char *path, struct stat *st)
{
	return stat(path, st);
}

static void *
real_mmap(size_t n, int prot, int flags, int fd, off_t at)
{
	return mmap(NULL, n, prot, flags, fd, at);
}

static void *
real_mmap_over(void *p, size_t n, int prot, int flags, int fd, off_t at)
{
	return mmap(p, n, prot, flags | MAP_FIXED, fd, at);
}

/* No FUTEX_PRIVATE_FLAG: the word may lie in a page that processes share. */
static int
real_futex_wait(const uint32_t *word, uint32_t seen,
		const struct timespec *timeout)
{
	return (int)syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout, NULL,
			    0);
}

static int
real_futex_wake(uint32_t *word, int n)
{
	return (int)syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

static int
real_random(void *buf, size_t n)
{
	char *at = buf;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static int
real_pipe(int fds[2])
{
	return pipe2(fds, O_CLOEXEC | O_NONBLOCK);
}

static int
real_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static ssize_t
real_getdents(int fd, void *buf, size_t n)
{
	return (ssize_t)syscall(SYS_getdents64, fd, buf, n);
}

static int
real_memfd(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}

static int
real_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec */
}

static int
real_pidfd_kill(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static int
real_socket(int domain, int type, int protocol)
{
	return socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}

static int
real_bind(int fd, const struct sockaddr *to, socklen_t n)
{
	return bind(fd, to, n);
}

static int
real_accept(int fd, struct sockaddr *from, socklen_t *n)
{
	return accept4(fd, from, n, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int
real_connect(int fd, const struct sockaddr *to, socklen_t n)
{
	return connect(fd, to, n);
}

static int
real_getsockname(int fd, struct sockaddr *out, socklen_t *n)
{
	return getsockname(fd, out, n);
}

static ssize_t
real_sendto(int fd, const void *buf, size_t n, const struct sockaddr *to,
	    socklen_t to_len)
{
	return sendto(fd, buf, n, MSG_NOSIGNAL, to, to_len);
}

static int
real_dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int
real_dup_over(int from, int to)
{
	return dup3(from, to, O_CLOEXEC);
}

/* ---- starting a program: between fork and execve only calls that a signal
 * handler may make ---- */

/* Closes at execve everything from `first` on. */
static void
close_others(unsigned first)
{
	if (syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	for (int fd = (int)first; fd < OLD_FDS_MAX; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Puts the descriptors where they belong; report stays open above them. */
static int
place_fds(const struct os_spawn *s, int *report)
{
	int moved[SPAWN_FDS], n = (int)s->nfds;

	/* all above the places first, so that no place is taken */
	*report = fcntl(*report, F_DUPFD_CLOEXEC, n);
	for (int i = 0; i < n; i++) {
		moved[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, n);
		if (moved[i] < 0)
			return -1;
	}
	for (int i = 0; i < n; i++) {
		if (dup2(moved[i], i) < 0)
			return -1;
	}
	close_others((unsigned)n);
	return *report < 0 ? -1 : 0;
}

static void
become(const struct os_spawn *s, pid_t parent, int report)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig <= SIGNALS_MAX; sig++)
		(void)sigaction(sig, &plain, NULL);
	if (s->death_signal != 0 &&
	    prctl(PR_SET_PDEATHSIG, s->death_signal) != 0)
		goto failed;
	if (s->death_signal != 0 && getppid() != parent)
		_exit(EXEC_FAILED); /* it ended before prctl */
	if (place_fds(s, &report) != 0)
		goto failed;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->path, s->argv, s->envp);
failed:
	(void)!write(report, &errno, sizeof(errno));
	_exit(EXEC_FAILED);
}

/* What the child could not do, as an errno; 0 once execve took place. */
static int
failure_of(int report)
{
	int why = 0;
	ssize_t n;

	do
		n = read(report, &why, sizeof(why));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(why) ? why : 0;
}

static pid_t
real_spawn(const struct os_spawn *s)
{
	pid_t pid, parent = getpid();
	int report[2], why = 0;
	sigset_t all, before;

	if (s->nfds == 0 || s->nfds > SPAWN_FDS) {
		errno = EINVAL;
		return -1;
	}
	if (pipe2(report, O_CLOEXEC) != 0)
		return -1;
	/* a handler of ours must not run in the child */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(s, parent, report[1]);
	if (pid < 0)
		why = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (pid > 0)
		why = failure_of(report[0]);
	close(report[0]);
	if (pid > 0 && why != 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		pid = -1;
	}
	errno = why;
	return pid;
}

static const struct os real = {
	.open = real_open,
	.close = close,
	.pread = pread,
	.pwrite = pwrite,
	.read = read,
	.write = write,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.ftruncate = ftruncate,
	.fstat = real_fstat,
	.stat = real_stat,
	.statvfs = statvfs,
	.rename = rename,
	.unlink = unlink,
	.rmdir = rmdir,
	.mkdir = mkdir,
	.flock = flock,
	.mmap = real_mmap,
	.mmap_over = real_mmap_over,
	.munmap = munmap,
	.futex_wait = real_futex_wait,
	.futex_wake = real_futex_wake,
	.clock_gettime = clock_gettime,
	.random = real_random,
	.realloc = realloc,
	.getdents = real_getdents,
	.getcwd = getcwd,
	.pipe = real_pipe,
	.poll = poll,
	.eventfd = real_eventfd,
	.spawn = real_spawn,
	.waitpid = waitpid,
	.kill = kill,
	.memfd = real_memfd,
	.setsid = setsid,
	.chmod = fchmod,
	.pidfd = real_pidfd,
	.pidfd_kill = real_pidfd_kill,
	.socket = real_socket,
	.bind = real_bind,
	.listen = listen,
	.accept = real_accept,
	.connect = real_connect,
	.shutdown = shutdown,
	.getsockname = real_getsockname,
	.setsockopt = setsockopt,
	.getsockopt = getsockopt,
	.sendto = real_sendto,
	.dup = real_dup,
	.dup_over = real_dup_over,
};

static const struct os *current = &real;

const struct os *
os(void)
{
	return current;
}

void
os_set(const struct os *table)
{
	current = table != NULL ? table : &real;
}

const struct os *
os_real(void)
{
	return &real;
}

int
os_hold_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		int how = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", how) != fd)
			return -1;
	}
	return 0;
}

/* ---- whole transfers ---------------------------------------------------- */

int64_t
os_pread_upto(int fd, const char *path, void *buf, size_t n, uint64_t at,
	      struct weir_err *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = os()->pread(fd, (char *)buf + done, n - done,
					  (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int rc = err_sys(err, "cannot read %s at byte %llu",
					 path, (unsigned long long)(at + done));
			if (err != NULL)
				err->offset = at + done;
			return rc;
		}
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)done;
}

int
os_pread_all(int fd, const char *path, void *buf, size_t n, uint64_t at,
	     struct weir_err *err)
{
	int64_t got = os_pread_upto(fd, path, buf, n, at, err);

	if (got < 0)
		return (int)got;
	if ((uint64_t)got == n)
		return 0;
	err_set(err, WEIR_EDAMAGE,
		"%s ends at byte %llu, but %zu bytes must stand at byte %llu",
		path, (unsigned long long)(at + (uint64_t)got), n,
		(unsigned long long)at);
	if (err != NULL)
		err->offset = at + (uint64_t)got;
	return WEIR_EDAMAGE;
}

int
os_pwrite_all(int fd, const char *path, const void *buf, size_t n, uint64_t at,
	      struct weir_err *err)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = os()->pwrite(fd, (const char *)buf + done,
					   n - done, (off_t)(at + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			if (put == 0)
				errno = EIO;
			int rc = err_sys(err, "cannot write %s at byte %llu",
					 path, (unsigned long long)(at + done));
			if (err != NULL)
				err->offset = at + done;
			return rc;
		}
		done += (size_t)put;
	}
	return 0;
}

int
os_zero_fill(int fd, const char *path, uint64_t from, uint64_t to,
	     struct weir_err *err)
{
	static const char zeros[ZEROS_LEN];

	while (from < to) {
		size_t n =
			to - from < ZEROS_LEN ? (size_t)(to - from) : ZEROS_LEN;
		int rc = os_pwrite_all(fd, path, zeros, n, from, err);
		if (rc != 0)
			return rc;
		from += n;
	}
	return 0;
}

/* Not in the table: nothing depends on it. */
void
os_short_turns(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = {0};

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) != 0 ||
	    a.policy != SCHED_OTHER)
		return;
	a.runtime = TURN_NS;
	syscall(SYS_sched_setattr, 0, &a, 0);
}

int
os_sync_data(int fd, const char *path, struct weir_err *err)
{
	int rc;

	do
		rc = os()->fdatasync(fd);
	while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : err_sys(err, "cannot sync %s", path);
}

int
os_sync_folder(const char *path, struct weir_err *err)
{
	int fd = os_open(path, O_RDONLY | O_DIRECTORY, 0, err);
	int rc;

	if (fd < 0)
		return fd;
	do
		rc = os()->fsync(fd);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		rc = err_sys(err, "cannot sync the folder %s", path);
	os_close(fd);
	return rc;
}

int
os_open(const char *path, int flags, mode_t mode, struct weir_err *err)
{
	int fd;

	do
		fd = os()->open(path, flags, mode);
	while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	return err_sys(err, "cannot %s %s",
		       flags & O_CREAT ? "open or create" : "open", path);
}

void
os_close(int fd)
{
	int keep = errno;

	/* Linux has closed the descriptor also when close says EINTR. */
	if (fd >= 0)
		os()->close(fd);
	errno = keep;
}

bool
os_exists(const char *path)
{
	struct stat st;

	return os()->stat(path, &st) == 0;
}
