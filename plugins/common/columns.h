/* SPDX-License-Identifier: MIT */
#ifndef COMMON_COLUMNS_H
#define COMMON_COLUMNS_H

/*
 * The map from records to a target: aggregate type -> table (or file), field
 * -> column. It is kept in the target and an entry's name never changes. This
 * holds it in memory: load it with columns_load_* from the target, let
 * columns_table and columns_field plan what is new, write the entries that
 * are not `saved` to the target, then call columns_keep; after a failure, free
 * the map and load it anew.
 *
 * Every function that returns a pointer returns NULL when there is no memory
 * (or, for the *_find, no entry). Pointers live until columns_free.
 */

#include <stdbool.h>
#include <weir/sink.h>

#include "common/ident.h"
#include "common/sqltypes.h"

struct columns;

enum column_source {
	COLUMN_INFERRED = 0, /* WEIR_TYPE_NONE */
	COLUMN_MAPPED = 1,
	COLUMN_BASE = 2,
	COLUMN_DECLARED = 3
};

struct column {
	struct weir_str field;
	char name[IDENT_SIZE];
	struct sqltype type;
	enum column_source source;
	size_t index;		 /* its place in table->columns */
	struct column *variant;	 /* where values go that do not fit, or NULL */
	struct column *of;	 /* set in a variant: the column it stands by */
	bool saved;		 /* its entry in the target is as here */
	bool present;		 /* the target has this column */
	bool in_history;	 /* and so has the table of versions */
	bool widen;		 /* is to become text in the next transaction */
	enum sqltype_family was; /* with widen: what it was before */
};

struct table {
	struct weir_str aggregate_type;
	char name[IDENT_SIZE];
	struct column **columns; /* without the base columns */
	size_t ncolumns;
	bool saved, present;
	char history[IDENT_SIZE]; /* the table of every version, or "" */
	bool keeps_history;	  /* planned: columns_keep_history was called */
	bool history_saved, history_present;
	size_t index; /* its place in the map */
	void *user;   /* for the plugin; NULL at first */
	struct table_parts *parts;
};

/* Which names are not free. Lists are static, NULL-ended, may be NULL. */
struct columns_rules {
	const char *const *tables;	 /* no table may be called so */
	const char *table_prefix;	 /* nor begin so: gets "t_" in front */
	const char *const *column_names; /* besides the base columns */
};

/* id, version, created_at, created_by, updated_at, updated_by, NULL. */
extern const char *const columns_base[];
#define COLUMNS_NBASE 6u

/* What a table of versions has after those: event_type, sequence,
 * committed_at, NULL. */
extern const char *const columns_history[];
#define COLUMNS_NHISTORY 3u
/* A column's name there. It differs for fields that are called like one of
 * these; a target with such tables lists columns_history_fields among its
 * column_names, so that no other field has it. */
const char *column_history_name(const struct column *col);
extern const char *const columns_history_fields[];

struct columns *columns_new(const struct weir_sink_host *host,
			    const struct columns_rules *rules);
void columns_free(struct columns *c);

/* ---- loading from the target ----------------------------------------------
 */

/* An entry of the stored map: saved, not yet present. */
struct table *columns_load_table(struct columns *c, struct weir_str type,
				 const char *name);
struct column *columns_load_field(struct columns *c, struct table *t,
				  struct weir_str field, const char *name,
				  const struct sqltype *type,
				  enum column_source source);
/* The variant of a column that was loaded or planned before. */
struct column *columns_load_variant(struct columns *c, struct table *t,
				    struct column *of, const char *name);
/* A name that something else in the target has: never given to a new table,
 * or to a new column of t. 0, or -1 without memory. */
int columns_take_table(struct columns *c, const char *name);
int columns_take_column(struct columns *c, struct table *t, const char *name);

/* ---- looking up and planning -----------------------------------------------
 */

size_t columns_ntables(const struct columns *c);
struct table *columns_table_at(const struct columns *c, size_t i);
struct table *columns_find_table(const struct columns *c, struct weir_str type);
/* hint: where the column may be (the member's place in the state); any number
 * is right, a good one is faster. */
struct column *columns_find_field(const struct table *t, struct weir_str field,
				  size_t hint);

/* The same, but an entry that is missing is planned: not saved, not present. */
struct table *columns_table(struct columns *c, struct weir_str type);
struct column *columns_field(struct columns *c, struct table *t,
			     struct weir_str field, const struct sqltype *type,
			     enum column_source source);
struct column *columns_variant(struct columns *c, struct table *t,
			       struct column *of);

/* The table has another beside it, NAME_history, of every version. False: no
 * name is free. */
bool columns_keep_history(struct columns *c, struct table *t);

/* All that was planned is now in the target. */
void columns_keep(struct columns *c);

#endif
