/* SPDX-License-Identifier: MIT */
#ifndef COMMON_SQLTYPES_H
#define COMMON_SQLTYPES_H

/*
 * Datatypes of columns and whether a value fits one without loss. A value is
 * the JSON text of a member: a string counts by its decoded text, everything
 * else by its raw text; numbers are looked at digit by digit and never
 * converted. JSON null fits every type and is not asked about here.
 */

#include <stdbool.h>
#include <weir/sink.h>

struct arena;

enum sqltype_family {
	SQL_TEXT,
	SQL_VARCHAR, /* varchar(n), char(n); also without n */
	SQL_BOOLEAN,
	SQL_SMALLINT,
	SQL_INTEGER,
	SQL_BIGINT,
	SQL_NUMERIC, /* numeric, numeric(p), numeric(p,s) */
	SQL_REAL,
	SQL_DOUBLE,
	SQL_DATE,
	SQL_TIMESTAMP,
	SQL_TIMESTAMPTZ,
	SQL_UUID,
	SQL_JSON,
	SQL_JSONB,
	SQL_OTHER /* a name this page does not know: the target decides */
};

struct sqltype {
	enum sqltype_family family;
	bool array;    /* [] */
	int n, m;      /* (n,m); -1 when not given */
	char name[64]; /* as it stands in SQL: "numeric(10,2)" */
};

/* Reads "name", "name(n)", "name(n,m)" with optional "[]", names of two or
 * more words only where SQL has them ("double precision"); common other names
 * (int, int8, bool, string, number, object ...) are known. 0, or -1 when the
 * text breaks the grammar; never anything but letters, digits, '_', blanks,
 * parentheses, comma and brackets gets into name. */
int sqltype_parse(struct sqltype *out, const char *datatype);

/* The type inferred from a value: boolean, numeric, text or jsonb. */
void sqltype_infer(struct sqltype *out, enum weir_kind kind);
extern const struct sqltype sqltype_text;

/* A value made ready. text is for a target that takes text (a bool is "true"
 * or "false", an integer is plain digits); i is set for booleans and
 * integers. text may point into the input or into space. */
struct sqlvalue {
	struct weir_str text;
	int64_t i;
	char space[24];
};

/* Does a value fit a type? kind and text as said above; for kind WEIR_STRING
 * text is decoded. On false why gets a short reason: "is not a whole number".
 * Arrays are checked by their elements and keep their JSON text. Families
 * JSON and JSONB take every value; text stays as given (the caller hands raw
 * JSON, also for strings). */
bool sqltype_fits(struct sqlvalue *out, const struct sqltype *t,
		  enum weir_kind kind, struct weir_str text, char why[128]);

/* Would PostgreSQL's numeric print this JSON number with the same bytes? */
bool sqltype_numeric_same(struct weir_str raw);
/* Would PostgreSQL's jsonb take this JSON text? */
bool sqltype_jsonb_takes(struct weir_str raw);
/* A JSON number of plain digits that fits 64 bits and prints back the same. */
bool sqltype_plain_int(int64_t *out, struct weir_str raw);

/* A JSON array as a PostgreSQL array literal, in space from a; absent when the
 * value is no array (of arrays) of scalars or without memory. */
struct weir_str sqltype_array_literal(struct arena *a, struct weir_str raw);

#endif
