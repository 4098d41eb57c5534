/* SPDX-License-Identifier: MIT */
#ifndef COMMON_MIRROR_H
#define COMMON_MIRROR_H

/*
 * What the SQL mirrors share: from records to planned tables and columns, and
 * to values ready to bind. A batch is first shaped, record by record: new
 * columns are planned, inferred columns that a value does not fit become text
 * (column->widen), a value that a mapped column cannot take is refused or goes
 * where the options say. When the target has the shape, mirror_fill gives a
 * record's values.
 */

#include "common/columns.h"
#include "common/text.h"

enum mirror_conflict {
	MIRROR_PARK,	/* refuse the record */
	MIRROR_VARIANT, /* NULL, and the value in a text column beside */
	MIRROR_NULL	/* NULL */
};

struct mirror {
	const struct weir_sink_host *host;
	struct columns *map; /* the plugin loads it; NULL: not loaded */
	enum mirror_conflict conflict;
	bool replace_nul;   /* NUL in strings becomes U+FFFD, else refused */
	bool typed;	    /* the target has types of its own (PostgreSQL):
			     * values are text to be cast, jsonb is strict */
	bool history;	    /* every version is kept, in tables beside */
	size_t columns_max; /* of one table, without the base columns */
	struct arena arena; /* decoded values; shaping clears it, and the
			     * plugin before it fills another row */
};

enum cell_kind {
	CELL_NULL,
	CELL_TEXT,
	CELL_INT
};

struct cell {
	enum cell_kind kind;
	struct weir_str text;
	int64_t i;
	const struct weir_sink_member *from; /* NULL: not in the state */
};

/* Reads the options on-conflict-type and nul. */
void mirror_init(struct mirror *m, const struct weir_sink_open *o, bool typed);
void mirror_fini(struct mirror *m); /* frees the map too */

/* Plans for one record. *changed is set when the target must change. OK,
 * REJECT (res names the record), BLOCKED, RETRY without memory. */
int mirror_shape(struct mirror *m, const struct weir_sink_record *rec,
		 bool *changed, struct weir_sink_result *res);

/* The values of a shaped record in the order of table->columns; cells has
 * room for all. 0, or -1 without memory. */
int mirror_fill(struct mirror *m, struct cell *cells, const struct table *t,
		const struct weir_sink_record *rec);

/* ---- the stored map (mirror_map.c) -----------------------------------------
 */

/* A row of the target's weir_columns; kind is table, column, variant or
 * history. */
struct mirror_entry {
	const char *kind;
	struct weir_str aggregate_type, field;
	const char *name, *datatype, *source;
};

/* Rows come in the order of kinds above. False: no memory. */
bool mirror_load_entry(struct columns *map, const struct mirror_entry *e);
/* The target has this relation (a table or another), and in it this column
 * (NULL: none to speak of): an entry's is present, another's name is taken.
 * False: no memory. */
bool mirror_see(struct columns *map, const char *relation, bool table,
		const char *column);
const char *mirror_source_name(enum column_source source);

/* ---- the stored cursor ------------------------------------------------------
 */

void mirror_read_uuid(uint8_t out[16], const char *text);
/* n bytes; zeros in place of what is missing. */
void mirror_read_hex(uint8_t *out, size_t n, const char *text);

/* Where a target was left. */
struct mirror_stand {
	const char *where; /* for messages: the file, the schema */
	const char *apart; /* a hint: how to give each store its own */
	const uint8_t *store_id;
	bool known; /* sequence is what we read or wrote last */
	uint64_t sequence;
};

/* Does a target with this cursor take the batch? OK: store's sequence and
 * hash are to be written. BLOCKED: another store's, or a newer runner's. NOT_CONNECTED: the
 * target is not where it was left, its cursor must be read again. */
int mirror_check_cursor(const struct mirror_stand *s,
			const struct weir_sink_cursor *c,
			const struct weir_sink_batch *b,
			struct weir_sink_cursor *store,
			struct weir_sink_result *res);

/* ---- plans ------------------------------------------------------------------
 */

/* The datatype a plan asks for; false: res says REJECT. */
bool mirror_plan_type(struct sqltype *out, const struct weir_sink_plan *plan,
		      struct weir_sink_result *res);
/* The column a plan is about, or NULL when the target has none yet. */
struct column *mirror_planned(const struct columns *map, struct table **table,
			      const struct weir_sink_plan *plan);
/* Would a stored value (its text; a boolean as true or false) become one of
 * type t with nothing lost? */
bool mirror_lossless(const struct sqltype *t, struct weir_str text,
		     char why[128]);
/* REJECT: the row id has a value that stands in the way. */
struct mirror_obstacle {
	const char *id, *value, *why;
};
int mirror_refuse(const struct table *table, const struct column *col,
		  const struct sqltype *type, const struct mirror_obstacle *o,
		  struct weir_sink_result *res);
/* OK, and says what was or would be done; col as mirror_planned gave it. */
int mirror_answer(const struct weir_sink_plan *plan, const struct sqltype *type,
		  const struct table *table, const struct column *col,
		  struct weir_sink_result *res);

/* The two options, for the plugin's table. */
#define MIRROR_OPTIONS                                                         \
	{"on-conflict-type",                                                   \
	 WEIR_OPT_ENUM,                                                        \
	 0,                                                                    \
	 "park",                                                               \
	 "park|variant|null",                                                  \
	 "what becomes of a value that a mapped column cannot take: park "     \
	 "the aggregate, keep it in a text column beside, or store NULL"},     \
	{                                                                      \
		"nul", WEIR_OPT_ENUM, 0, "park", "park|replace",               \
			"what becomes of a string that holds a NUL "           \
			"character: park the "                                 \
			"aggregate, or put U+FFFD in its place"                \
	}

#endif
