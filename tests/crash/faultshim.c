/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a program under test: counts its calls on files below one
 * folder, by name, and fails chosen ones.
 *
 *   WEIR_FAULT_UNDER  the folder; calls on anything else pass uncounted
 *   WEIR_FAULT        NAME:N:ERRNO fails the N-th call of NAME, counted from 1;
 *                     NAME:N+:ERRNO fails it and all later ones; NAME may be
 *                     room: every call that takes space on a disk (write,
 * mkdir, ftruncate, and an open that may create); ERRNO may be stall: the call
 * is carried out once the file of WEIR_FAULT_STALL is gone
 * WEIR_FAULT_PAGE   a file of one page to be mapped: struct page below
 *
 * A call that fails is not carried out. A write that fails for want of room has
 * its first half written first, when it is longer than one byte, as a full disk
 * does.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_LEN 4096

enum name {
	WRITE,
	FDATASYNC,
	FSYNC,
	OPEN,
	RENAME,
	MMAP,
	FTRUNCATE,
	MKDIR,
	UNLINK,
	FLOCK,
	PREAD,
	ROOM,
	NAMES
};

static const char *const names[NAMES] = {
	"write",     "fdatasync", "fsync",  "open",  "rename", "mmap",
	"ftruncate", "mkdir",	  "unlink", "flock", "pread",  "room",
};

/* What the parent reads: calls by name, how many failed, and where the first
 * that failed went ("spare": a segment nothing was needed of yet). */
struct page {
	uint64_t calls[NAMES];
	uint64_t failed;
	char where[512];
};

static struct page spare;
static struct page *page = &spare;
static const char *under;
static int fault = -1; /* enum name */
static uint64_t fault_at;
static int fault_on; /* and all later ones */
static int fault_errno;
static const char *stall; /* a file's path; NULL: calls fail */

static void *
real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		abort();
	return p;
}

static void
read_fault(const char *text)
{
	const char *at = strchr(text, ':');
	char *end;

	for (int i = 0; at != NULL && i < NAMES; i++)
		if (strlen(names[i]) == (size_t)(at - text) &&
		    strncmp(names[i], text, (size_t)(at - text)) == 0)
			fault = i;
	if (fault < 0)
		abort();
	fault_at = strtoull(at + 1, &end, 10);
	fault_on = *end == '+';
	end += fault_on;
	if (strcmp(end, ":stall") == 0)
		stall = getenv("WEIR_FAULT_STALL");
	fault_errno = *end == ':' ? atoi(end + 1) : 0;
	if (fault_errno <= 0 && stall == NULL)
		abort();
}

__attribute__((constructor)) static void
begin(void)
{
	int (*open_)(const char *, int, ...);
	const char *path = getenv("WEIR_FAULT_PAGE");
	const char *text = getenv("WEIR_FAULT");
	void *p;
	int fd;

	*(void **)&open_ = real("open");
	fd = path != NULL ? open_(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0) {
		p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
		if (p != MAP_FAILED)
			page = p;
		close(fd);
	}
	if (text != NULL)
		read_fault(text);
	under = getenv("WEIR_FAULT_UNDER");
}

static int
counts(const char *path)
{
	size_t n = under != NULL ? strlen(under) : 0;

	return n > 0 && strncmp(path, under, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

static void
fd_path(char path[PATH_LEN], int fd)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_LEN - 1);
	path[n < 0 ? 0 : n] = '\0';
}

static int
hit(enum name name)
{
	uint64_t n =
		__atomic_add_fetch(&page->calls[name], 1, __ATOMIC_SEQ_CST);

	return (int)name == fault &&
	       (n == fault_at || (fault_on && n > fault_at));
}

/* Is it a segment that has no header yet: one that is filled with zeros, of
 * which nothing was needed so far? */
static int
is_spare(const char *path)
{
	int (*open_)(const char *, int, ...);
	ssize_t (*pread_)(int, void *, size_t, off_t);
	const char *end = strrchr(path, '.');
	char head[64] = {0};
	int fd, used = 0;

	if (end == NULL || strcmp(end, ".seg") != 0)
		return 0;
	*(void **)&open_ = real("open");
	*(void **)&pread_ = real("pread");
	fd = open_(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread_(fd, head, sizeof(head), 0) < 0)
		used = 1;
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < sizeof(head); i++)
		used |= head[i] != 0;
	return !used;
}

/* Counts a call; true, with errno set, when it must fail. */
static int
fails(enum name name, int takes_room, const char *path)
{
	int bad;

	if (!counts(path))
		return 0;
	bad = hit(name);
	if (takes_room)
		bad |= hit(ROOM);
	if (!bad)
		return 0;
	if (__atomic_add_fetch(&page->failed, 1, __ATOMIC_SEQ_CST) == 1)
		snprintf(page->where, sizeof(page->where), "%s%s %s",
			 is_spare(path) ? "spare " : "", names[name], path);
	while (stall != NULL && access(stall, F_OK) == 0)
		usleep(10000);
	errno = fault_errno;
	return stall == NULL;
}

static int
fails_fd(enum name name, int takes_room, int fd)
{
	int keep = errno;
	char path[PATH_LEN];

	fd_path(path, fd);
	errno = keep;
	return fails(name, takes_room, path);
}

#pragma GCC visibility push(default)

#define WRITE_AT(name)                                                         \
	ssize_t name(int fd, const void *p, size_t n, off_t at);               \
	ssize_t name(int fd, const void *p, size_t n, off_t at)                \
	{                                                                      \
		ssize_t (*fn)(int, const void *, size_t, off_t);               \
		*(void **)&fn = real(#name);                                   \
		if (!fails_fd(WRITE, 1, fd))                                   \
			return fn(fd, p, n, at);                               \
		if (errno == ENOSPC && n > 1) {                                \
			fn(fd, p, n / 2, at);                                  \
			errno = ENOSPC;                                        \
		}                                                              \
		return -1;                                                     \
	}

#define READ_AT(name)                                                          \
	ssize_t name(int fd, void *p, size_t n, off_t at);                     \
	ssize_t name(int fd, void *p, size_t n, off_t at)                      \
	{                                                                      \
		ssize_t (*fn)(int, void *, size_t, off_t);                     \
		*(void **)&fn = real(#name);                                   \
		return fails_fd(PREAD, 0, fd) ? -1 : fn(fd, p, n, at);         \
	}

#define ON_FD(name, kind)                                                      \
	int name(int fd);                                                      \
	int name(int fd)                                                       \
	{                                                                      \
		int (*fn)(int);                                                \
		*(void **)&fn = real(#name);                                   \
		return fails_fd(kind, 0, fd) ? -1 : fn(fd);                    \
	}

#define TRUNCATE(name)                                                         \
	int name(int fd, off_t length);                                        \
	int name(int fd, off_t length)                                         \
	{                                                                      \
		int (*fn)(int, off_t);                                         \
		*(void **)&fn = real(#name);                                   \
		return fails_fd(FTRUNCATE, 1, fd) ? -1 : fn(fd, length);       \
	}

#define OPEN_PATH(name)                                                        \
	int name(const char *path, int flags, ...);                            \
	int name(const char *path, int flags, ...)                             \
	{                                                                      \
		int (*fn)(const char *, int, ...);                             \
		mode_t mode = 0;                                               \
		va_list ap;                                                    \
		if (flags & O_CREAT) {                                         \
			va_start(ap, flags);                                   \
			mode = va_arg(ap, mode_t);                             \
			va_end(ap);                                            \
		}                                                              \
		*(void **)&fn = real(#name);                                   \
		return fails(OPEN, flags & O_CREAT, path)                      \
			       ? -1                                            \
			       : fn(path, flags, mode);                        \
	}

#define OPEN_AT(name)                                                          \
	int name(int dir, const char *path, int flags, ...);                   \
	int name(int dir, const char *path, int flags, ...)                    \
	{                                                                      \
		int (*fn)(int, const char *, int, ...);                        \
		char whole[PATH_LEN];                                          \
		mode_t mode = 0;                                               \
		va_list ap;                                                    \
		if (flags & O_CREAT) {                                         \
			va_start(ap, flags);                                   \
			mode = va_arg(ap, mode_t);                             \
			va_end(ap);                                            \
		}                                                              \
		*(void **)&fn = real(#name);                                   \
		fd_path(whole, dir);                                           \
		return fails(OPEN, flags & O_CREAT,                            \
			     path[0] == '/' ? path : whole)                    \
			       ? -1                                            \
			       : fn(dir, path, flags, mode);                   \
	}

#define MAP(name)                                                              \
	void *name(void *p, size_t n, int prot, int flags, int fd, off_t at);  \
	void *name(void *p, size_t n, int prot, int flags, int fd, off_t at)   \
	{                                                                      \
		void *(*fn)(void *, size_t, int, int, int, off_t);             \
		*(void **)&fn = real(#name);                                   \
		return fd >= 0 && fails_fd(MMAP, 0, fd)                        \
			       ? MAP_FAILED                                    \
			       : fn(p, n, prot, flags, fd, at);                \
	}

WRITE_AT(pwrite)
WRITE_AT(pwrite64)
READ_AT(pread)
READ_AT(pread64)
ON_FD(fdatasync, FDATASYNC)
ON_FD(fsync, FSYNC)
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
OPEN_PATH(open)
OPEN_PATH(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
MAP(mmap)
MAP(mmap64)

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t (*fn)(int, const void *, size_t);

	*(void **)&fn = real("write");
	if (!fails_fd(WRITE, 1, fd))
		return fn(fd, p, n);
	if (errno == ENOSPC && n > 1) {
		ssize_t half = fn(fd, p, n / 2);

		(void)half;
		errno = ENOSPC;
	}
	return -1;
}

/* LMDB's. */
ssize_t
writev(int fd, const struct iovec *v, int n)
{
	ssize_t (*fn)(int, const struct iovec *, int);

	*(void **)&fn = real("writev");
	return fails_fd(WRITE, 1, fd) ? -1 : fn(fd, v, n);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	ssize_t (*fn)(int, const struct iovec *, int, off_t);

	*(void **)&fn = real("pwritev");
	return fails_fd(WRITE, 1, fd) ? -1 : fn(fd, v, n, at);
}

int
rename(const char *from, const char *to)
{
	int (*fn)(const char *, const char *);

	*(void **)&fn = real("rename");
	return fails(RENAME, 0, to) ? -1 : fn(from, to);
}

int
mkdir(const char *path, mode_t mode)
{
	int (*fn)(const char *, mode_t);

	*(void **)&fn = real("mkdir");
	return fails(MKDIR, 1, path) ? -1 : fn(path, mode);
}

int
unlink(const char *path)
{
	int (*fn)(const char *);

	*(void **)&fn = real("unlink");
	return fails(UNLINK, 0, path) ? -1 : fn(path);
}

int flock(int fd, int op);
int
flock(int fd, int op)
{
	int (*fn)(int, int);

	*(void **)&fn = real("flock");
	return fails_fd(FLOCK, 0, fd) ? -1 : fn(fd, op);
}

#pragma GCC visibility pop
