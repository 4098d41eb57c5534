/* SPDX-License-Identifier: MIT */
#ifndef CLI_CSVREAD_H
#define CLI_CSVREAD_H

/*
 * CSV (RFC 4180, comma and double quotes) turned into bodies of POST
 * /v1/events by a mapping of columns.
 */

#include <stdbool.h>
#include <weir/types.h>

struct buf;
struct csvread;

struct csvread_options {
	const char *const *maps; /* "member=COLUMN" or "member==CONSTANT" */
	size_t nmaps;
	const char *payload_columns; /* "a,b", or NULL: those not mapped */
	bool typed; /* numbers, true, false keep their type; empty is null */
};

/* Members that a map may name, NULL-ended. */
const char *const *csvread_members(void);

/* Takes the header row. WEIR_EUSAGE: a map that names no column or member, a
 * needed member without one. WEIR_EINPUT: a bad header. */
int csvread_new(struct csvread **out, const struct csvread_options *o,
		struct weir_str header, struct weir_err *err);
void csvread_free(struct csvread *r);

/* Appends the body of one row to out. WEIR_EINPUT says what is wrong. */
int csvread_body(struct csvread *r, struct buf *out, struct weir_str row,
		 struct weir_err *err);

#endif
