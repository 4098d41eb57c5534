/* SPDX-License-Identifier: MIT */
/*
 * The map in the file (weir_columns), and the tables made after it. Inferred
 * booleans and numbers stand in columns without a declared type: SQLite would
 * turn 0.10 into 0.1 in a column with NUMERIC or INTEGER affinity.
 */
#include "sqlite/target.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX ((size_t)1 << 20)

static const char *const own_tables[] = {"weir_columns", "weir_cursors", NULL};

void
target_drop_map(struct target *t)
{
	struct columns *map = t->mirror.map;

	for (size_t i = 0; map != NULL && i < columns_ntables(map); i++)
		row_sql_free(t, columns_table_at(map, i));
	columns_free(map);
	t->mirror.map = NULL;
}

const char *
target_declared(const struct column *col)
{
	if (col->type.array)
		return "TEXT";
	switch (col->type.family) {
	case SQL_BOOLEAN:
		return col->source == COLUMN_INFERRED ? "" : "INTEGER";
	case SQL_NUMERIC:
		return "";
	case SQL_SMALLINT:
	case SQL_INTEGER:
	case SQL_BIGINT:
		return "INTEGER";
	case SQL_REAL:
	case SQL_DOUBLE:
		return "REAL";
	default:
		return "TEXT";
	}
}

static struct weir_str
column_str(sqlite3_stmt *st, int i)
{
	struct weir_str s;

	s.data = (const char *)sqlite3_column_text(st, i);
	s.len = (size_t)sqlite3_column_bytes(st, i);
	if (s.data == NULL)
		s.data = "";
	return s;
}

/* One row of weir_columns: kind, aggregate_type, field, name, datatype,
 * source. */
static bool
load_entry(struct columns *map, sqlite3_stmt *st)
{
	struct mirror_entry e = {
		.kind = (const char *)sqlite3_column_text(st, 0),
		.aggregate_type = column_str(st, 1),
		.field = column_str(st, 2),
		.name = (const char *)sqlite3_column_text(st, 3),
		.datatype = (const char *)sqlite3_column_text(st, 4),
		.source = (const char *)sqlite3_column_text(st, 5),
	};

	return mirror_load_entry(map, &e);
}

static int
load_entries(struct target *t, struct columns *map,
	     struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	int rc;
	int class = target_prepare(
		t, &st,
		"SELECT kind, aggregate_type, field, name, datatype, source "
		"FROM weir_columns ORDER BY kind = 'table' DESC, "
		"kind = 'column' DESC, rowid",
		res);

	if (class != WEIR_SINK_OK)
		return class;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (!load_entry(map, st)) {
			class = result_nomem(res);
			break;
		}
	}
	if (class == WEIR_SINK_OK && rc != SQLITE_DONE)
		class = target_error(t, rc, "read weir_columns", res);
	sqlite3_finalize(st);
	return class;
}

/* What the file really has, against the map. */
static int
see_file(struct target *t, struct columns *map, struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	int rc;
	int class = target_prepare(
		t, &st,
		"SELECT m.name, m.type, c.name FROM sqlite_master m LEFT JOIN "
		"pragma_table_info(m.name) c ON m.type = 'table' "
		"WHERE m.type IN ('table', 'view', 'index')",
		res);

	if (class != WEIR_SINK_OK)
		return class;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		const char *kind = (const char *)sqlite3_column_text(st, 1);
		const char *col = (const char *)sqlite3_column_text(st, 2);
		bool ok =
			mirror_see(map, name, strcmp(kind, "table") == 0, col);
		if (!ok) {
			class = result_nomem(res);
			break;
		}
	}
	if (class == WEIR_SINK_OK && rc != SQLITE_DONE)
		class = target_error(t, rc, "read the tables", res);
	sqlite3_finalize(st);
	return class;
}

int
target_load_map(struct target *t, struct weir_sink_result *res)
{
	static const struct columns_rules rules = {.tables = own_tables,
						   .table_prefix = "sqlite_"};
	int64_t version = 0;

	if (sqlite3_step(t->data_version) == SQLITE_ROW)
		version = sqlite3_column_int64(t->data_version, 0);
	sqlite3_reset(t->data_version);
	if (t->mirror.map != NULL && version == t->seen_version)
		return WEIR_SINK_OK;
	target_drop_map(t);
	t->mirror.columns_max =
		(size_t)sqlite3_limit(t->db, SQLITE_LIMIT_COLUMN, -1) -
		COLUMNS_NBASE;
	struct columns *map = columns_new(t->host, &rules);
	if (map == NULL)
		return result_nomem(res);
	int class = load_entries(t, map, res);
	if (class == WEIR_SINK_OK)
		class = see_file(t, map, res);
	if (class != WEIR_SINK_OK) {
		columns_free(map);
		return class;
	}
	t->mirror.map = map;
	t->seen_version = version;
	return WEIR_SINK_OK;
}

/* ---- making what is planned
 * --------------------------------------------------- */

static int
save_entry(struct target *t, const char *kind, struct weir_str type,
	   struct weir_str field, const char *name, const char *datatype,
	   const char *source, struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	int class = target_prepare(
		t, &st,
		"INSERT INTO weir_columns(kind, aggregate_type, field, name, "
		"datatype, source) VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON "
		"CONFLICT(kind, aggregate_type, field) DO UPDATE SET "
		"datatype = excluded.datatype, source = excluded.source",
		res);

	if (class != WEIR_SINK_OK)
		return class;
	sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, type.data, (int)type.len, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, field.data, (int)field.len, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, datatype, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, source, -1, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		class = target_error(t, rc, "write weir_columns", res);
	sqlite3_finalize(st);
	return class;
}

int
target_save_column(struct target *t, const struct table *table,
		   const struct column *col, struct weir_sink_result *res)
{
	return save_entry(t, col->of != NULL ? "variant" : "column",
			  table->aggregate_type, col->field, col->name,
			  col->type.name, mirror_source_name(col->source), res);
}

static int
run_text(struct target *t, struct text *sql, const char *doing,
	 struct weir_sink_result *res)
{
	if (sql->failed)
		return result_nomem(res);
	return target_exec(t, text_cstr(sql), doing, res);
}

static void
put_column(struct text *sql, const struct column *col)
{
	text_ident(sql, col->name);
	if (target_declared(col)[0] != '\0') {
		text_puts(sql, " ");
		text_puts(sql, target_declared(col));
	}
}

static int
make_table(struct target *t, const struct table *table, struct text *sql,
	   struct weir_sink_result *res)
{
	text_clear(sql);
	text_puts(sql, "CREATE TABLE ");
	text_ident(sql, table->name);
	text_puts(sql, "(\"id\" TEXT NOT NULL PRIMARY KEY, "
		       "\"version\" INTEGER NOT NULL, \"created_at\" TEXT, "
		       "\"created_by\" TEXT, \"updated_at\" TEXT, "
		       "\"updated_by\" TEXT");
	for (size_t i = 0; i < table->ncolumns; i++) {
		text_puts(sql, ", ");
		put_column(sql, table->columns[i]);
	}
	text_puts(sql, ")");
	return run_text(t, sql, "make a table", res);
}

/* Adds a column, or turns what stands in it into text. */
static int
make_column(struct target *t, const struct table *table,
	    const struct column *col, struct text *sql,
	    struct weir_sink_result *res)
{
	text_clear(sql);
	if (!col->present) {
		text_puts(sql, "ALTER TABLE ");
		text_ident(sql, table->name);
		text_puts(sql, " ADD COLUMN ");
		put_column(sql, col);
		return run_text(t, sql, "add a column", res);
	}
	if (!col->widen)
		return WEIR_SINK_OK;
	return target_widen(t, table, col, sql, res);
}

static int
apply_table(struct target *t, struct table *table, struct text *sql,
	    struct weir_sink_result *res)
{
	int class = WEIR_SINK_OK;

	if (!table->present)
		class = make_table(t, table, sql, res);
	if (class == WEIR_SINK_OK && !table->saved)
		class = save_entry(t, "table", table->aggregate_type,
				   text_of(""), table->name, "", "", res);
	for (size_t i = 0; class == WEIR_SINK_OK && i < table->ncolumns; i++) {
		const struct column *col = table->columns[i];
		if (table->present)
			class = make_column(t, table, col, sql, res);
		if (class == WEIR_SINK_OK && !col->saved)
			class = target_save_column(t, table, col, res);
	}
	return class;
}

int
target_apply_map(struct target *t, struct weir_sink_result *res)
{
	struct columns *map = t->mirror.map;
	int class = WEIR_SINK_OK;
	struct text sql;

	text_init(&sql, t->host, SQL_MAX);
	for (size_t i = 0; class == WEIR_SINK_OK && i < columns_ntables(map);
	     i++)
		class = apply_table(t, columns_table_at(map, i), &sql, res);
	text_fini(&sql);
	return class;
}
