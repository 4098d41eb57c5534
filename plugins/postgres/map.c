/* SPDX-License-Identifier: MIT */
/*
 * The map in the database (weir_columns), and the tables made after it. Every
 * change of the map raises its revision, which a batch compares with the one
 * it was shaped after.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL takes 1600 columns. */
#define TABLE_COLUMNS 1600u

static const char *const own_tables[] = {"weir_columns", "weir_cursors", NULL};
static const char *const system_columns[] = {"tableoid", "ctid", "xmin", "xmax",
					     "cmin",	 "cmax", NULL};

void
target_drop_map(struct target *t)
{
	if (t->mirror.map != NULL)
		map_forget_statements(t);
	columns_free(t->mirror.map);
	t->mirror.map = NULL;
}

/* ---- loading ----------------------------------------------------------------
 */

static struct weir_str
value_str(const PGresult *r, int row, int col)
{
	struct weir_str s = {PQgetvalue(r, row, col),
			     (size_t)PQgetlength(r, row, col)};
	return s;
}

/* One row of weir_columns: kind, aggregate_type, field, name, datatype,
 * source. */
static bool
load_entry(struct columns *map, const PGresult *r, int row)
{
	struct mirror_entry e = {
		.kind = PQgetvalue(r, row, 0),
		.aggregate_type = value_str(r, row, 1),
		.field = value_str(r, row, 2),
		.name = PQgetvalue(r, row, 3),
		.datatype = PQgetvalue(r, row, 4),
		.source = PQgetvalue(r, row, 5),
	};

	return mirror_load_entry(map, &e);
}

/* One row of the catalog: relation, its kind, a column of it. */
static bool
see_row(struct columns *map, const PGresult *r, int row)
{
	return mirror_see(map, PQgetvalue(r, row, 0),
			  strchr("rp", PQgetvalue(r, row, 1)[0]) != NULL,
			  PQgetisnull(r, row, 2) ? NULL
						 : PQgetvalue(r, row, 2));
}

static int
load_rows(struct target *t, struct columns *map, const char *sql,
	  const char *param,
	  bool (*one)(struct columns *, const PGresult *, int),
	  struct weir_sink_result *res)
{
	const char *params[] = {param};
	PGresult *r = NULL;
	int class = link_query(t, &r, sql, param != NULL, params, res);

	for (int i = 0; class == WEIR_SINK_OK && i < PQntuples(r); i++) {
		if (!one(map, r, i))
			class = result_nomem(res);
	}
	PQclear(r);
	return class;
}

static int
load_revision(struct target *t, struct weir_sink_result *res)
{
	PGresult *r = NULL;
	int class = link_query(t, &r,
			       "SELECT coalesce(max(revision), 0) FROM "
			       "weir_columns",
			       0, NULL, res);

	if (class == WEIR_SINK_OK)
		t->revision = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return class;
}

int
target_load_map(struct target *t, struct weir_sink_result *res)
{
	static const struct columns_rules rules = {
		.tables = own_tables, .column_names = system_columns};

	if (t->mirror.map != NULL)
		return WEIR_SINK_OK;
	t->mirror.columns_max = TABLE_COLUMNS - COLUMNS_NBASE;
	struct columns *map = columns_new(t->host, &rules);
	if (map == NULL)
		return result_nomem(res);
	/* A revision that rises while we read is found out by the batch. */
	int class = link_script(t, "DEALLOCATE ALL", res);
	if (class == WEIR_SINK_OK)
		class = load_revision(t, res);
	if (class == WEIR_SINK_OK)
		class = load_rows(t, map,
				  "SELECT kind, aggregate_type, field, name, "
				  "datatype, source FROM weir_columns ORDER BY "
				  "kind = 'table' DESC, kind = 'column' DESC, "
				  "entry",
				  NULL, load_entry, res);
	if (class == WEIR_SINK_OK)
		class = load_rows(t, map,
				  "SELECT c.relname, c.relkind, a.attname FROM "
				  "pg_class c JOIN pg_namespace n ON n.oid = "
				  "c.relnamespace LEFT JOIN pg_attribute a ON "
				  "a.attrelid = c.oid AND a.attnum > 0 AND NOT "
				  "a.attisdropped AND c.relkind IN ('r', 'p') "
				  "WHERE n.nspname = $1",
				  t->schema, see_row, res);
	if (class != WEIR_SINK_OK) {
		columns_free(map);
		return class;
	}
	t->mirror.map = map;
	return WEIR_SINK_OK;
}

/* ---- making what is planned -------------------------------------------------
 */

/* A string in quotes; backslashes stand for themselves in this session. */
void
text_literal(struct text *sql, struct weir_str s)
{
	text_puts(sql, "'");
	for (size_t i = 0; i < s.len; i++)
		text_add(sql, s.data[i] == '\'' ? "''" : s.data + i,
			 s.data[i] == '\'' ? 2 : 1);
	text_puts(sql, "'");
}

void
text_table(struct target *t, struct text *sql, const struct table *table)
{
	text_ident(sql, t->schema);
	text_puts(sql, ".");
	text_ident(sql, table->name);
}

static void
put_column(struct text *sql, const struct column *col)
{
	text_ident(sql, col->name);
	text_puts(sql, " ");
	text_puts(sql, col->type.name);
}

/* The entry of a column, or of the table itself when col is NULL. */
void
map_put_entry(struct target *t, struct text *sql, const struct table *table,
	      const struct column *col)
{
	const char *kind = col == NULL	     ? "table"
			   : col->of != NULL ? "variant"
					     : "column";

	text_fmt(sql,
		 "INSERT INTO weir_columns(kind, aggregate_type, field, name, "
		 "datatype, source, revision) VALUES ('%s', ",
		 kind);
	text_literal(sql, table->aggregate_type);
	text_puts(sql, ", ");
	text_literal(sql, col != NULL ? col->field : text_of(""));
	text_puts(sql, ", ");
	text_literal(sql, text_of(col != NULL ? col->name : table->name));
	text_puts(sql, ", ");
	text_literal(sql, text_of(col != NULL ? col->type.name : ""));
	text_fmt(sql,
		 ", '%s', %llu) ON CONFLICT (kind, aggregate_type, field) DO "
		 "UPDATE SET datatype = EXCLUDED.datatype, source = "
		 "EXCLUDED.source, revision = EXCLUDED.revision; ",
		 col != NULL ? mirror_source_name(col->source) : "",
		 (unsigned long long)t->revision + 1);
}

static void
put_table(struct target *t, struct text *sql, const struct table *table)
{
	char key[IDENT_SIZE];

	/* The default name, TABLE_pkey, may be another aggregate type's. */
	ident_make(key, t->host, table->aggregate_type, "weir_key_", "", 2);
	text_puts(sql, "CREATE TABLE IF NOT EXISTS ");
	text_table(t, sql, table);
	text_puts(sql, "(\"id\" text COLLATE \"C\" CONSTRAINT ");
	text_ident(sql, key);
	text_puts(sql, " PRIMARY KEY, "
		       "\"version\" bigint NOT NULL, "
		       "\"created_at\" timestamptz, \"created_by\" text, "
		       "\"updated_at\" timestamptz, \"updated_by\" text");
	for (size_t i = 0; i < table->ncolumns; i++) {
		text_puts(sql, ", ");
		put_column(sql, table->columns[i]);
	}
	text_puts(sql, "); ");
}

/* One ALTER TABLE for all columns that are new or become text. */
static void
put_changes(struct target *t, struct text *sql, const struct table *table)
{
	bool any = false;

	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct column *col = table->columns[i];
		if (col->present && !col->widen)
			continue;
		if (!any) {
			text_puts(sql, "ALTER TABLE ");
			text_table(t, sql, table);
		}
		text_puts(sql, any ? ", " : " ");
		any = true;
		if (!col->present) {
			text_puts(sql, "ADD COLUMN IF NOT EXISTS ");
			put_column(sql, col);
			continue;
		}
		text_puts(sql, "ALTER COLUMN ");
		text_ident(sql, col->name);
		/* A jsonb null is NULL in a text column. */
		text_puts(sql, " TYPE text USING CASE WHEN to_jsonb(");
		text_ident(sql, col->name);
		text_puts(sql, ") <> 'null'::jsonb THEN ");
		text_ident(sql, col->name);
		text_puts(sql, "::text END");
	}
	if (any)
		text_puts(sql, "; ");
}

/* Prepared statements name the types of their time. */
void
map_forget_statements(struct target *t)
{
	const struct columns *map = t->mirror.map;

	for (size_t i = 0; i < columns_ntables(map); i++) {
		struct table *table = columns_table_at(map, i);
		sink_free(t->host, table->user);
		table->user = NULL;
	}
}

void
map_put_ddl(struct target *t, struct text *sql)
{
	const struct columns *map = t->mirror.map;

	for (size_t i = 0; i < columns_ntables(map); i++) {
		const struct table *table = columns_table_at(map, i);
		if (table->present)
			put_changes(t, sql, table);
		else
			put_table(t, sql, table);
		if (!table->saved)
			map_put_entry(t, sql, table, NULL);
		for (size_t k = 0; k < table->ncolumns; k++) {
			if (!table->columns[k]->saved)
				map_put_entry(t, sql, table, table->columns[k]);
		}
	}
}
