/* SPDX-License-Identifier: MIT */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * weir's own JSON scanner and writer (RFC 8259, strict: UTF-8 checked, no
 * duplicate keys in an object (compared decoded), no lone surrogates, nesting
 * at most WEIR_DEPTH_MAX). Values are handled as spans of the text they came
 * in; numbers are never converted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <weir/types.h>

struct buf;

/* Checks that text is exactly one JSON value (white space around it allowed).
 * On success *value is the span without the surrounding white space. On
 * failure WEIR_EINPUT; err->offset is the byte, msg says what, line and column
 * left out: "payload: duplicate key \"a\" at byte 17". what names the text. */
int json_check(struct weir_str text, struct weir_str *value, const char *what,
	       struct weir_err *err);

/* The same with a nesting of its own, at most WEIR_DEPTH_MAX + 2: for an object
 * that holds a payload, and an array of these. */
int json_check_depth(struct weir_str text, struct weir_str *value,
		     unsigned depth, const char *what, struct weir_err *err);

enum weir_kind json_kind(struct weir_str value); /* of a checked span */

/* Walking a checked object or array. Keys come raw, with their quotes. */
struct json_iter {
	const char *at, *end;
	bool object;
};
void json_iter_init(struct json_iter *it, struct weir_str container);
/* True and the next member (key is absent for arrays), or false at the end. */
bool json_iter_next(struct json_iter *it, struct weir_str *key,
		    struct weir_str *value);

/* The raw value of a member of a checked object by decoded name; false when
 * it is not there. */
bool json_get(struct weir_str object, const char *name, struct weir_str *value);

/* A member that is a string, decoded and ended by NUL; "" when it is not there,
 * is no string or is written with cap bytes or more. One that is a whole number; 0 when
 * it is not there. */
void json_get_text(char *out, size_t cap, struct weir_str object,
		   const char *name);
uint64_t json_get_u64(struct weir_str object, const char *name);

/* Decodes a raw string (with quotes): at most raw.len - 2 bytes to out. */
size_t json_decode(char *out, struct weir_str raw);
int json_decode_buf(struct buf *b, struct weir_str raw); /* appended */
bool json_string_is(struct weir_str raw, const char *s); /* decoded compare */

/* A checked number as u64 / i64 when it is a whole number in range written
 * without fraction or exponent: 0, else -1. */
int json_u64(uint64_t *out, struct weir_str raw);
int json_i64(int64_t *out, struct weir_str raw);

/* Appends a quoted, escaped string: control characters, quote and backslash
 * escaped (short forms where there are some), everything else as it is. */
int json_put_string(struct buf *b, struct weir_str s);

/* Appends the value without insignificant white space. */
int json_put_compact(struct buf *b, struct weir_str value);

/* Appends the value indented by two spaces a level, at the given level. */
int json_put_pretty(struct buf *b, struct weir_str value, unsigned level);

#endif
