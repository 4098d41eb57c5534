/* SPDX-License-Identifier: MIT */
#ifndef BASE_STR_H
#define BASE_STR_H

/* Text helpers over struct weir_str: UTF-8, names, hex, base64, numbers. */

#include <stdbool.h>
#include <stdint.h>
#include <weir/types.h>

struct weir_str str_of(const char *s); /* NULL gives an absent one */
#define STR(lit) ((struct weir_str){(lit), sizeof(lit) - 1})
bool str_eq(struct weir_str a, struct weir_str b);
bool str_is(struct weir_str a, const char *s);
int str_cmp(struct weir_str a, struct weir_str b); /* bytes, then length */

/* Length of the valid UTF-8 prefix (RFC 3629: no surrogates, no overlong
 * forms); equals s.len when all is valid. */
size_t str_utf8_valid(struct weir_str s);

/* Length (1 to 4) of the valid sequence that begins at p, 0 when the n bytes
 * there begin with none. */
size_t str_utf8_one(const char *p, size_t n);

/* The code point at *at, which moves behind it; s must be valid UTF-8. */
uint32_t str_utf8_next(struct weir_str s, size_t *at);

/* Writes a code point (at most 4 bytes); returns how many. */
size_t str_utf8_put(char out[4], uint32_t cp);

/* Checks a name: not empty, at most max bytes, valid UTF-8, no control
 * characters (C0, DEL, C1). what names it in the error ("aggregate type").
 * With reserved, a leading '$' is refused as reserved (WEIR_EDENIED). */
int str_check_name(struct weir_str s, const char *what, size_t max,
		   bool refuse_dollar, struct weir_err *err);

/* As str_check_name, and no white space (Unicode White_Space) in it. */
int str_check_tag(struct weir_str s, struct weir_err *err);

void str_hex(char *out, const void *p, size_t n); /* 2n lower-case + NUL */
int str_unhex(void *out, struct weir_str hex, size_t n); /* 0 or -1 */
size_t str_base64_len(size_t n); /* encoded, with padding */
void str_base64(char *out, const void *p, size_t n); /* no NUL added */
int64_t str_unbase64(void *out, struct weir_str s); /* length or -1 */

size_t str_decimal(char out[20], uint64_t v); /* its length; no NUL */
/* Whole decimal numbers; 0, or -1 when s is anything else or too large. */
int str_u64(uint64_t *out, struct weir_str s);

/* Shell-like pattern: * any run, ? one byte-character; the whole must match. */
bool str_match(struct weir_str pattern, struct weir_str s);

/* The name in words[] (ended by NULL) nearest to s by edit distance, or NULL
 * when none is near (distance above about a third of its length). */
const char *str_nearest(const char *s, const char *const *words);

/* The value made safe for one line of a terminal or diag: control characters
 * and invalid bytes as \n, \t, \r, \xHH; cut with "..." at its end where cap
 * (the size of out) is too small. Returns out, ended by NUL. */
const char *str_show(char *out, size_t cap, struct weir_str s);

#endif
