/* SPDX-License-Identifier: MIT */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/*
 * Our own messages: one line each, to stderr as "weir: LEVEL: area: text"
 * unless diag_setup says otherwise. Any thread. A line is put together first
 * and handed to the kernel in one call without a lock, nothing is allocated,
 * errno is kept, control characters are escaped. What the kernel does not take
 * is lost, and so is what nobody reads: a message waits for room a tenth of a
 * second at most (a line of the log sink as long as it takes).
 */

#include <stdbool.h>
#include <weir/types.h>

struct weir_err;

enum diag_level {
	DIAG_ERROR,
	DIAG_WARN,
	DIAG_INFO,
	DIAG_DEBUG,
	DIAG_TRACE
};

/* ---- saying -------------------------------------------------------------- */

/* An area is a part of weir ("store", "http") or a sink's name. */
void diag(enum diag_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Is there an area whose messages of this level are shown? */
bool diag_wants(enum diag_level level);

/* The request that this thread serves from now on, NULL: none; borrowed until
 * the next call. The thread's messages carry it. */
void diag_request(const char *id);

/* Says now how many messages the rate has left out so far: at the end. */
void diag_flush(void);

/* ---- where to, and what -------------------------------------------------- */

enum diag_target {
	DIAG_STDERR,  /* with journald at its other end: as DIAG_JOURNAL */
	DIAG_JOURNAL, /* stderr, each line with its priority: "<4>weir: ..." */
	DIAG_SYSLOG,  /* a datagram to /dev/log each, facility daemon */
	DIAG_FILE     /* appended to it; made 0600 when missing */
};

#define DIAG_AREA_MAX	64u /* bytes of an area, NUL included */
#define DIAG_FORMAT_MAX 200u

struct diag_options {
	enum diag_target target;
	const char *path; /* the file; of DIAG_SYSLOG a socket other than
			   * /dev/log, or NULL */
	/* NULL or "text": the usual one; "json": an object a line, with the
	 * members time, level, area, message and request_id; else a pattern
	 * with {time} {level} {area} {message} {request} {pid}. {request} is
	 * " (request ID)" or nothing. */
	const char *format;
	enum diag_level level;
	const char *levels; /* "http=debug,store=info" goes over level; NULL:
			     * none */
	unsigned rate;	    /* messages alike (area and text before its values)
			     * in 10 s; 0: any */
};

/* May be called again at any time. WEIR_EUSAGE for a format or levels that
 * can't be read, WEIR_EIO ... for a file or socket; all stays as it was then.
 */
int diag_setup(const struct diag_options *o, struct weir_err *err);
/* Format and levels as diag_setup would: 0 or WEIR_EUSAGE. */
int diag_check(const char *format, const char *levels, struct weir_err *err);
/* The file is opened by its name again before the next message, which the old
 * one keeps getting if that fails. For signal handlers too. */
void diag_reopen(void);

void diag_set_level(enum diag_level level); /* of all areas; default WARN */
void diag_set_fd(int fd);		    /* in the place of stderr */
/* 0, or -1 when s is none of error, warn, info, debug, trace. */
int diag_level_parse(enum diag_level *out, const char *s);

/* ---- lines of the log sink -----------------------------------------------
 * A line for the same place whatever the level and the rate. The time in
 * RFC 3339 and the level's name stand before it. */
void diag_emit(enum diag_level level, const char *area, struct weir_str line);

/* The same for many lines, in few writes: whole lines, in order, no more than a
 * pipe takes undivided. What is kept back is written by diag_lines_flush. One
 * thread; zero is empty. */
struct diag_lines {
	size_t len;
	char text[4096];
};
void diag_lines_add(struct diag_lines *l, enum diag_level level,
		    const char *area, struct weir_str line);
void diag_lines_flush(struct diag_lines *l);

#endif
