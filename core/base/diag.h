/* SPDX-License-Identifier: MIT */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

/*
 * Our own messages: one line each, to stderr (or diag_set_fd's), as
 * "weir: LEVEL: area: text". Thread-safe, never blocks on a lock held while
 * writing elsewhere, control characters escaped.
 */

#include <stdbool.h>
#include <weir/types.h>

enum diag_level { DIAG_ERROR, DIAG_WARN, DIAG_INFO, DIAG_DEBUG, DIAG_TRACE };

void diag_set_level(enum diag_level level); /* default DIAG_WARN */
void diag_set_fd(int fd);		    /* before other threads run */
bool diag_wants(enum diag_level level);
void diag(enum diag_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A line for the same place whatever the level (the log sink's). The time in
 * RFC 3339 and the level's name stand before it. */
void diag_emit(enum diag_level level, struct weir_str line);

/* The same for many lines, in few writes: whole lines, in order, no more than a
 * pipe takes undivided. What is kept back is written by diag_lines_flush. One
 * thread; zero is empty. */
struct diag_lines {
	size_t len;
	char text[4096];
};
void diag_lines_add(struct diag_lines *l, enum diag_level level,
		    struct weir_str line);
void diag_lines_flush(struct diag_lines *l);
/* 0, or -1 when s is none of error, warn, info, debug, trace. */
int diag_level_parse(enum diag_level *out, const char *s);

#endif
