/* SPDX-License-Identifier: MIT */
#ifndef SQLITE_TARGET_H
#define SQLITE_TARGET_H

/* The parts of the sqlite plugin. */

#include <sqlite3.h>

#include "common/mirror.h"
#include "common/result.h"

/* The statements of a table; table->user. */
struct row_sql {
	sqlite3_stmt *newer;  /* takes version > */
	sqlite3_stmt *replay; /* takes version >= */
	size_t ncolumns;      /* they were made for so many */
};

struct target {
	const struct weir_sink_host *host;
	char *path;
	char sink[64];
	char store_uuid[37];
	uint8_t store_id[16];
	int64_t busy_us, busy_until;

	sqlite3 *db;
	sqlite3_stmt *find_cursor, *put_cursor, *data_version;
	int64_t seen_version; /* data_version when the map was loaded */
	bool known;	      /* the cursor was read or written by us */
	uint64_t sequence;    /* it, when known */
	struct mirror mirror;
	struct cell *cells; /* of one row */
	size_t ncells;

	/* For the busy handler, during a call. */
	int stop_fd;
	int64_t deadline_us;
};

/* ---- sqlite.c ---- */
/* Opens the file when it is not open; `create` makes it when it is missing. */
int target_connect(struct target *t, bool create, struct weir_sink_result *res);
void target_disconnect(struct target *t);
/* The class of an SQLite error of the last call, with what was being done. */
int target_error(const struct target *t, int rc, const char *doing,
		 struct weir_sink_result *res);
int target_exec(struct target *t, const char *sql, const char *doing,
		struct weir_sink_result *res);
int target_prepare(struct target *t, sqlite3_stmt **out, const char *sql,
		   struct weir_sink_result *res);
/* BEGIN IMMEDIATE; COMMIT; ROLLBACK, which also drops a map that was changed.
 */
int target_begin(struct target *t, struct weir_sink_result *res);
int target_commit(struct target *t, struct weir_sink_result *res);
void target_rollback(struct target *t, bool changed);

/* ---- cursor.c ---- */
int target_make_tables(struct target *t, struct weir_sink_result *res);
/* Own cursor, else one of another store, else found = 0. */
int target_read_cursor(struct target *t, uint32_t lane,
		       struct weir_sink_cursor *out,
		       struct weir_sink_result *res);
/* Within a transaction: does the target still stand where we left it? */
int target_check_cursor(struct target *t, const struct weir_sink_batch *b,
			struct weir_sink_cursor *store,
			struct weir_sink_result *res);
int target_write_cursor(struct target *t, const struct weir_sink_batch *b,
			const struct weir_sink_cursor *at,
			struct weir_sink_result *res);

/* ---- map.c ---- */
/* Loads the map when it is not loaded or another process changed the file. */
int target_load_map(struct target *t, struct weir_sink_result *res);
void target_drop_map(struct target *t);
/* Makes the target's tables and columns as the map plans them. */
int target_apply_map(struct target *t, struct weir_sink_result *res);
/* Writes one column's entry. */
int target_save_column(struct target *t, const struct table *table,
		       const struct column *col, struct weir_sink_result *res);
/* The declared type of a column, "" for none. */
const char *target_declared(const struct column *col);

/* ---- rows.c ---- */
int target_write_record(struct target *t, const struct weir_sink_record *rec,
			bool replay, struct weir_sink_result *res);
void row_sql_free(struct target *t, struct table *table);

/* ---- plan.c ---- */
/* Turns what stands in a column that becomes text into text. */
int target_widen(struct target *t, const struct table *table,
		 const struct column *col, struct text *sql,
		 struct weir_sink_result *res);
int target_plan(void *sink, const struct weir_sink_plan *plan,
		struct weir_sink_result *res);

#endif
