/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a program under test: counts the calls that change a journal,
 * a sink's folder or a target, and kills the process by SIGKILL at the n-th.
 *
 *   WEIR_CRASH_PAGE  file of one page, shared with the parent: struct page
 *   WEIR_CRASH_AT    n, counted from 1; 0 or absent: never
 *   WEIR_CRASH_HOW   before | part | after the call is carried out; part of a
 *                    write is a random prefix chosen from n
 *
 * A call counts by where it goes: a file below journal/ or sinks/ of a store, a
 * file below a folder called targets/, or a socket. While one is under way
 * page->now says which, so that a kill from outside can be told to have landed
 * inside it.
 */

#include "page.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define SECTOR 512

enum how {
	BEFORE,
	PART,
	AFTER
};

static struct crash_page spare;
static struct crash_page *page = &spare;
static uint64_t crash_at;
static enum how crash_how;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("WEIR_CRASH_PAGE");
	const char *at = getenv("WEIR_CRASH_AT");
	const char *how = getenv("WEIR_CRASH_HOW");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (at != NULL)
		crash_at = strtoull(at, NULL, 10);
	if (how != NULL && strcmp(how, "part") == 0)
		crash_how = PART;
	else if (how != NULL && strcmp(how, "after") == 0)
		crash_how = AFTER;
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	if (p != MAP_FAILED)
		page = p;
	close(fd);
}

static void *
real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (p == NULL)
		abort();
	return p;
}

static uint32_t
path_place(const char *path)
{
	if (strstr(path, "/journal/") != NULL)
		return CRASH_JOURNAL;
	if (strstr(path, "/targets/") != NULL)
		return CRASH_TARGET;
	if (strstr(path, "/sinks/") != NULL)
		return CRASH_SINK;
	return CRASH_NOWHERE;
}

static uint32_t
fd_place(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return CRASH_NOWHERE;
	path[n] = '\0';
	if (strncmp(path, "socket:", 7) == 0)
		return CRASH_SOCKET;
	return path_place(path);
}

static void
die(uint32_t place)
{
	page->killed = place;
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Enters a call; true when it is the one to die in. */
static int
enter(uint32_t place)
{
	uint64_t n;

	if (place == CRASH_NOWHERE)
		return 0;
	n = __atomic_add_fetch(&page->calls, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&page->now, place, __ATOMIC_SEQ_CST);
	if (crash_at == 0 || n != crash_at)
		return 0;
	if (crash_how == BEFORE)
		die(place);
	return 1;
}

static void
leave(int dying, uint32_t place)
{
	if (dying)
		die(place);
	if (place != CRASH_NOWHERE)
		__atomic_store_n(&page->now, 0, __ATOMIC_SEQ_CST);
}

/* How much of a write of n bytes is carried out by the call to die in. */
static size_t
part(size_t n)
{
	uint64_t x = crash_at * UINT64_C(0x9e3779b97f4a7c15);

	return crash_how == PART && n > 0 ? (size_t)((x >> 20) % n) : n;
}

/* The same at a place of a file. What a journal holds is written by whole
 * sectors, whatever ends the writer. */
static size_t
part_at(uint32_t place, size_t n, off_t at)
{
	size_t some = part(n), over = (size_t)(at + (off_t)some) % SECTOR;

	if (place != CRASH_JOURNAL || some == n)
		return some;
	return some > over ? some - over : 0;
}

#define WRITE_AT(name)                                                         \
	ssize_t name(int fd, const void *p, size_t n, off_t at);               \
	ssize_t name(int fd, const void *p, size_t n, off_t at)                \
	{                                                                      \
		ssize_t (*fn)(int, const void *, size_t, off_t);               \
		uint32_t place = fd_place(fd);                                 \
		int dying = enter(place);                                      \
		ssize_t r;                                                     \
                                                                               \
		*(void **)&fn = real(#name);                                   \
		r = fn(fd, p, dying ? part_at(place, n, at) : n, at);          \
		leave(dying, place);                                           \
		return r;                                                      \
	}

#define ON_FD(name)                                                            \
	int name(int fd);                                                      \
	int name(int fd)                                                       \
	{                                                                      \
		int (*fn)(int);                                                \
		uint32_t place = fd_place(fd);                                 \
		int dying = enter(place);                                      \
		int r;                                                         \
                                                                               \
		*(void **)&fn = real(#name);                                   \
		r = fn(fd);                                                    \
		leave(dying, place);                                           \
		return r;                                                      \
	}

#define TRUNCATE(name)                                                         \
	int name(int fd, off_t length);                                        \
	int name(int fd, off_t length)                                         \
	{                                                                      \
		int (*fn)(int, off_t);                                         \
		uint32_t place = fd_place(fd);                                 \
		int dying = enter(place);                                      \
		int r;                                                         \
                                                                               \
		*(void **)&fn = real(#name);                                   \
		r = fn(fd, length);                                            \
		leave(dying, place);                                           \
		return r;                                                      \
	}

#pragma GCC visibility push(default)

WRITE_AT(pwrite)
WRITE_AT(pwrite64)
ON_FD(fdatasync)
ON_FD(fsync)
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t (*fn)(int, const void *, size_t);
	uint32_t place = fd_place(fd);
	int dying = enter(place);
	ssize_t r;

	*(void **)&fn = real("write");
	r = fn(fd, p, dying ? part(n) : n);
	leave(dying, place);
	return r;
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	ssize_t (*fn)(int, const void *, size_t, int);
	int dying = enter(CRASH_SOCKET);
	ssize_t r;

	*(void **)&fn = real("send");
	r = fn(fd, p, dying ? part(n) : n, flags);
	leave(dying, CRASH_SOCKET);
	return r;
}

int
rename(const char *from, const char *to)
{
	int (*fn)(const char *, const char *);
	uint32_t place = path_place(to);
	int dying = enter(place);
	int r;

	*(void **)&fn = real("rename");
	r = fn(from, to);
	leave(dying, place);
	return r;
}

int
unlink(const char *path)
{
	int (*fn)(const char *);
	uint32_t place = path_place(path);
	int dying = enter(place);
	int r;

	*(void **)&fn = real("unlink");
	r = fn(path);
	leave(dying, place);
	return r;
}

#pragma GCC visibility pop
