/* SPDX-License-Identifier: MIT */
#ifndef MODEL_SCHEMA_INT_H
#define MODEL_SCHEMA_INT_H

/* A schema in memory; for schema*.c. */

#include "model/policy_int.h"
#include "model/schema.h"

#define SCHEMA_EVENTS_MAX 1024u
#define SCHEMA_FIELDS_MAX 1024u /* of one event */
#define SCHEMA_LOCKS_MAX  1024u

enum schema_family {
	SCHEMA_ANY,  /* json and jsonb as well */
	SCHEMA_TEXT, /* with the most code points, 0: any number */
	SCHEMA_BOOLEAN,
	SCHEMA_SMALLINT,
	SCHEMA_INTEGER,
	SCHEMA_BIGINT,
	SCHEMA_NUMERIC, /* with digits in all (0: any) and behind the point */
	SCHEMA_DOUBLE,
	SCHEMA_REAL,
	SCHEMA_DATE,
	SCHEMA_TIME,
	SCHEMA_TIMESTAMP,
	SCHEMA_TIMESTAMPTZ,
	SCHEMA_UUID,
	SCHEMA_BYTES
};

/* A datatype, read once. */
struct schema_type {
	enum schema_family family;
	bool array;
	uint32_t n, scale;
};

struct schema_field {
	char *name;
	size_t len;
	char type[64]; /* as mapping_type spells it; empty: any */
	struct schema_type read;
	bool optional;
};

struct schema_event {
	char *name;
	size_t len;
	struct schema_field *field; /* in the order they were declared in */
	size_t n, cap;
};

struct schema {
	struct rule rule; /* must be first */
	bool deleted, locked;
	uint64_t threshold;	    /* 0: none */
	struct schema_event *event; /* the same */
	size_t n, cap;
	char **lock; /* names */
	size_t nlocks, locks_cap;
};

/* ---- schema_doc.c: schemas and JSON -------------------------------------- */

struct schema *schema_doc_new(void); /* NULL: no memory */
void schema_doc_free(struct schema *s);
/* Takes in a checked JSON value; version (0: not given) is what it says of
 * itself. Checks all but what schema_doc_check does. */
int schema_doc_merge(struct schema *s, uint64_t *version, struct weir_str json,
		     struct weir_str aggregate, struct weir_err *err);
/* Does it hold together? */
int schema_doc_check(const struct schema *s, struct weir_err *err);
/* Appends its members without braces, as a record holds them. */
int schema_doc_put(struct buf *out, const struct schema *s);
struct schema_event *schema_doc_event(const struct schema *s,
				      struct weir_str name);
struct schema_field *schema_doc_field(const struct schema_event *e,
				      struct weir_str name);
void schema_doc_remove(struct schema *s, struct schema_event *e);

/* ---- schema_type.c ------------------------------------------------------- */

/* Of a text as mapping_type spells it. */
struct schema_type schema_type_of(const char *text);
/* Is a checked JSON value one of a type? */
bool schema_type_fits(const struct schema_type *type, struct weir_str value);

#endif
