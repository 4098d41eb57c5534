/* SPDX-License-Identifier: MIT */
#ifndef SERVER_PIDFILE_H
#define SERVER_PIDFILE_H

/*
 * DIR/weir.pid: the process that serves the store, and where. A server holds a
 * flock on the file while it lives, so a file that nobody holds is stale,
 * whatever it says, and the process of one that is held is the one it names. A
 * signal goes to that process by a descriptor of it, never by a number that
 * another process may have by then.
 *
 * Lines "key value"; the first is the number alone:
 *
 *   4711
 *   since 2026-01-31T10:00:00.000000Z
 *   state starting | ready | stopping
 *   http 127.0.0.1:7070
 *   text 127.0.0.1:38580
 *   options --port 0 --no-sinks
 */

#include <stdbool.h>
#include <stdint.h>

struct weir_err;

struct pidfile_info {
	int pid; /* 0: no server runs */
	int64_t since;
	char state[16];
	char http[300], text[300]; /* HOST:PORT or "" */
	char options[600];	   /* of start, each word behind a space */
};

/* The server's. The descriptor (os_close after pidfile_remove), or a code:
 * WEIR_EUNREACH when a server runs, with a message that names it. */
int pidfile_take(const char *dir, struct weir_err *err);
int pidfile_write(int fd, const char *dir, const struct pidfile_info *i,
		  struct weir_err *err);
void pidfile_remove(const char *dir);

/* Who serves the store. 0 also when nobody does. */
int pidfile_read(struct pidfile_info *out, const char *dir,
		 struct weir_err *err);

/* The process itself: *fd is a descriptor of it (os()->pidfd_kill; readable
 * when it ended) to be closed with os_close, or -1 when no server runs. */
int pidfile_process(int *fd, struct pidfile_info *out, const char *dir,
		    struct weir_err *err);

#endif
