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
/* 0, or -1 when s is none of error, warn, info, debug, trace. */
int diag_level_parse(enum diag_level *out, const char *s);

#endif
