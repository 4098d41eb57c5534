/* SPDX-License-Identifier: MIT */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/*
 * Times: int64_t microseconds since 1970-01-01T00:00:00Z, years 1 to 9999.
 * Text: RFC 3339. Output is UTC with six digits and Z.
 */

#include <stdint.h>
#include <weir/types.h>

#define CLOCK_MIN_US (-62135596800000000LL) /* 0001-01-01T00:00:00Z */
#define CLOCK_MAX_US (253402300799999999LL) /* 9999-12-31T23:59:59.999999Z */

int64_t clock_now(void);       /* real time; 0 when the clock fails */
int64_t clock_monotonic(void); /* never steps; 0 when the clock fails */
int64_t clock_coarse(void);    /* the same, up to 10 ms behind, and cheaper */

/* 27 characters and NUL; a time outside the range shows as its nearest end. */
void clock_text(char out[28], int64_t us);

/* Parses RFC 3339 (T or t or space, any offset, 0 to 9 digits of fraction, cut
 * to microseconds; second 60 is refused). 0, or -1 with *why (static text). */
int clock_parse(int64_t *us, struct weir_str s, const char **why);

#endif
