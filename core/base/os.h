/* SPDX-License-Identifier: MIT */
#ifndef BASE_OS_H
#define BASE_OS_H

/*
 * Every file, socket, clock, random and allocation call that can fail, in one
 * table, so that a test can record calls or make any of them fail. Only os.c
 * makes these calls; everything else calls through os(). Members keep the
 * meaning, return values and errno of their POSIX namesakes, EINTR included.
 * Wrappers below retry EINTR and short transfers.
 */

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

struct weir_err;

/* A program to be started. Its descriptors 0, 1, 2 ... are `fds`; it gets no
 * other descriptor of ours, no blocked signal, and every signal as at the
 * beginning of a program. */
struct os_spawn {
	const char *path;
	char *const *argv, *const *envp; /* NULL-ended */
	const int *fds;
	size_t nfds;	  /* 1 to 8 */
	int death_signal; /* sent to it when the thread that started it ends;
			   * 0 none */
};

struct os {
	int (*open)(const char *path, int flags,
		    mode_t mode); /* adds CLOEXEC; never 0, 1 or 2 */
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *buf, size_t n, off_t at);
	ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t at);
	ssize_t (*read)(int fd, void *buf, size_t n);
	ssize_t (*write)(int fd, const void *buf, size_t n);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*ftruncate)(int fd, off_t length);
	int (*fstat)(int fd, struct stat *st);
	int (*stat)(const char *path, struct stat *st);
	int (*statvfs)(const char *path, struct statvfs *st);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*rmdir)(const char *path);
	int (*mkdir)(const char *path, mode_t mode);
	int (*flock)(int fd, int op);
	void *(*mmap)(size_t n, int prot, int flags, int fd, off_t at);
	/* In place of what is mapped at p (MAP_FIXED). */
	void *(*mmap_over)(void *p, size_t n, int prot, int flags, int fd,
			   off_t at);
	int (*munmap)(void *p, size_t n);
	/* FUTEX_WAIT / FUTEX_WAKE on a word shared between processes; timeout
	 * NULL waits for ever. */
	int (*futex_wait)(const uint32_t *word, uint32_t seen,
			  const struct timespec *timeout);
	int (*futex_wake)(uint32_t *word, int n);
	int (*clock_gettime)(clockid_t id, struct timespec *ts);
	int (*random)(void *buf, size_t n);  /* all n bytes or -1 */
	void *(*realloc)(void *p, size_t n); /* n > 0; p NULL allocates */
	ssize_t (*getdents)(int fd, void *buf, size_t n); /* getdents64(2) */
	char *(*getcwd)(char *buf, size_t n);
	int (*pipe)(int fds[2]); /* adds CLOEXEC and NONBLOCK */
	int (*poll)(struct pollfd *fds, nfds_t n, int timeout_ms);
	int (*eventfd)(void); /* of 0; adds CLOEXEC and NONBLOCK */
	/* fork and execve: its pid, or -1 also when execve failed */
	pid_t (*spawn)(const struct os_spawn *s);
	pid_t (*waitpid)(pid_t pid, int *status, int options);
	int (*kill)(pid_t pid, int sig);
	int (*memfd)(const char *name); /* memfd_create, CLOEXEC */
	pid_t (*setsid)(void);
	int (*chmod)(int fd, mode_t mode); /* fchmod; a socket's before bind */
	/* A process by a descriptor, which no other process ever takes over
	 * (pidfd_open, pidfd_send_signal). */
	int (*pidfd)(pid_t pid);
	int (*pidfd_kill)(int pidfd, int sig);
	int (*socket)(int domain, int type,
		      int protocol); /* adds CLOEXEC and NONBLOCK */
	int (*bind)(int fd, const struct sockaddr *to, socklen_t n);
	int (*listen)(int fd, int backlog);
	int (*accept)(int fd, struct sockaddr *from,
		      socklen_t *n); /* adds CLOEXEC and NONBLOCK */
	int (*connect)(int fd, const struct sockaddr *to, socklen_t n);
	int (*shutdown)(int fd, int how);
	int (*getsockname)(int fd, struct sockaddr *out, socklen_t *n);
	int (*setsockopt)(int fd, int level, int name, const void *value,
			  socklen_t n);
	int (*getsockopt)(int fd, int level, int name, void *value,
			  socklen_t *n);
	/* one datagram */
	ssize_t (*sendto)(int fd, const void *buf, size_t n,
			  const struct sockaddr *to, socklen_t to_len);
	int (*dup)(int fd); /* CLOEXEC */
	int (*dup_over)(int from, int to); /* dup3, CLOEXEC */
};

/* For a program, first of all: puts something in the place of a standard
 * descriptor that is closed, so that no file gets its number; reading and
 * writing it fail as before. 0, or -1 with errno. */
int os_hold_standard(void);

/* The table in use. os_set is for tests, before other threads run; NULL puts
 * the real one back. os_real is the real one, to be wrapped. */
const struct os *os(void);
void os_set(const struct os *table);
const struct os *os_real(void);

/* Allocation: NULL and errno ENOMEM on failure. mem_free(NULL) is legal. The
 * must_ forms abort the process with a message: for small, bounded, start-up
 * allocations of the command line only, never in core/store or core/bus. */
void *mem_new(size_t n); /* zeroed */
void *mem_resize(void *p, size_t n);
char *mem_dup(const char *p, size_t n); /* adds a NUL */
void mem_free(void *p);
void *must_mem(size_t n);
char *must_dup(const char *s);

/* Whole transfers. 0, or WEIR_EIO/WEIR_ENOSPC (ENOSPC, EDQUOT) with err naming
 * path and offset. os_pread_upto returns how many bytes there were. */
int os_pread_all(int fd, const char *path, void *buf, size_t n, uint64_t at,
		 struct weir_err *err); /* end of file is WEIR_EDAMAGE */
int64_t os_pread_upto(int fd, const char *path, void *buf, size_t n,
		      uint64_t at, struct weir_err *err);
int os_pwrite_all(int fd, const char *path, const void *buf, size_t n,
		  uint64_t at, struct weir_err *err);
int os_zero_fill(int fd, const char *path, uint64_t from, uint64_t to,
		 struct weir_err *err); /* real zero bytes, by pwrite */
/* Asks for short turns of the processor for this thread, so that none waits
 * long for another where many work for one request. Linux before 6.12 has no
 * such thing, and a filter may forbid it: then all stays as it is. */
void os_short_turns(void);
int os_sync_data(int fd, const char *path, struct weir_err *err);
int os_sync_folder(const char *path, struct weir_err *err); /* open+fsync */

/* Opens, with O_CLOEXEC. fd >= 0, or a code (WEIR_ENOTFOUND for ENOENT,
 * WEIR_EDENIED for EACCES/EPERM/EROFS). */
int os_open(const char *path, int flags, mode_t mode, struct weir_err *err);
void os_close(int fd); /* -1 is legal; errors are ignored */

/* A whole small file (at most max bytes) into fresh memory with a NUL added;
 * the caller frees *out with mem_free. */
int os_read_file(char **out, size_t *len, const char *path, size_t max,
		 struct weir_err *err);

/* Replaces a file atomically: temporary file beside it, fdatasync, rename,
 * folder sync. */
int os_replace_file(const char *path, const void *p, size_t n, mode_t mode,
		    struct weir_err *err);

/* Makes a folder and its missing parents, each synced into its parent; one
 * that exists is fine. */
int os_make_folders(const char *path, mode_t mode, struct weir_err *err);

/* Names in a folder but . and .., sorted; *out is one allocation to be freed
 * with mem_free (an array of pointers, then the names). */
int os_list_folder(char ***out, size_t *n, const char *path,
		   struct weir_err *err);

bool os_exists(const char *path);

/* Bytes that are free for us on the file system of a path. */
int os_disk_free(uint64_t *out, const char *path, struct weir_err *err);

/* Waits until fd is readable (or its writer has closed), at most so many
 * microseconds (-1: for ever): true when it is. fd -1 only waits. */
bool os_wait_readable(int fd, int64_t timeout_us);

/* An absolute form of path (lexical: against the working folder, . and ..
 * resolved as text). The caller frees. */
int os_absolute(char **out, const char *path, struct weir_err *err);

#endif
