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
static const char *const system_columns[] = {
	"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax",
	/* in a history: */
	"field_event_type", "field_sequence", "field_committed_at", NULL};

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
	t->mirror.columns_max =
		TABLE_COLUMNS - COLUMNS_NBASE - COLUMNS_NHISTORY;
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
text_table(struct target *t, struct text *sql, const char *name)
{
	text_ident(sql, t->schema);
	text_puts(sql, ".");
	text_ident(sql, name);
}

void
text_as_text(struct text *sql, const char *column, enum sqltype_family family)
{
	bool json = family == SQL_JSON || family == SQL_JSONB;

	text_puts(sql, json ? "nullif(" : "");
	text_ident(sql, column);
	text_puts(sql, json ? "::text, 'null')" : "::text");
}

static void
put_column(struct text *sql, const struct column *col, bool history)
{
	text_ident(sql, history ? column_history_name(col) : col->name);
	text_puts(sql, " ");
	text_puts(sql, col->type.name);
}

struct entry {
	const char *kind;
	struct weir_str aggregate_type, field;
	const char *name, *datatype, *source;
};

static void
put_entry(struct target *t, struct text *sql, const struct entry *e)
{
	text_fmt(sql,
		 "INSERT INTO weir_columns(kind, aggregate_type, field, name, "
		 "datatype, source, revision) VALUES ('%s', ",
		 e->kind);
	text_literal(sql, e->aggregate_type);
	text_puts(sql, ", ");
	text_literal(sql, e->field);
	text_puts(sql, ", ");
	text_literal(sql, text_of(e->name));
	text_puts(sql, ", ");
	text_literal(sql, text_of(e->datatype));
	text_fmt(sql,
		 ", '%s', %llu) ON CONFLICT (kind, aggregate_type, field) DO "
		 "UPDATE SET datatype = EXCLUDED.datatype, source = "
		 "EXCLUDED.source, revision = EXCLUDED.revision; ",
		 e->source, (unsigned long long)t->revision + 1);
}

void
map_put_entry(struct target *t, struct text *sql, const struct table *table,
	      const struct column *col)
{
	struct entry e = {
		.kind = col->of != NULL ? "variant" : "column",
		.aggregate_type = table->aggregate_type,
		.field = col->field,
		.name = col->name,
		.datatype = col->type.name,
		.source = mirror_source_name(col->source),
	};

	put_entry(t, sql, &e);
}

static void
put_table_entry(struct target *t, struct text *sql, const struct table *table,
		bool history)
{
	struct entry e = {
		.kind = history ? "history" : "table",
		.aggregate_type = table->aggregate_type,
		.field = text_of(""),
		.name = history ? table->history : table->name,
		.datatype = "",
		.source = "",
	};

	put_entry(t, sql, &e);
}

static void
put_table(struct target *t, struct text *sql, const struct table *table,
	  bool history)
{
	char key[IDENT_SIZE];

	/* The default name, TABLE_pkey, may be another aggregate type's. */
	ident_make(key, t->host, table->aggregate_type,
		   history ? "weir_history_key_" : "weir_key_", "", 2);
	text_puts(sql, "CREATE TABLE IF NOT EXISTS ");
	text_table(t, sql, history ? table->history : table->name);
	text_puts(sql, "(\"id\" text COLLATE \"C\", "
		       "\"version\" bigint NOT NULL, "
		       "\"created_at\" timestamptz, \"created_by\" text, "
		       "\"updated_at\" timestamptz, \"updated_by\" text");
	if (history)
		text_puts(sql, ", \"event_type\" text NOT NULL, "
			       "\"sequence\" bigint NOT NULL, "
			       "\"committed_at\" timestamptz NOT NULL");
	for (size_t i = 0; i < table->ncolumns; i++) {
		text_puts(sql, ", ");
		put_column(sql, table->columns[i], history);
	}
	text_puts(sql, ", CONSTRAINT ");
	text_ident(sql, key);
	text_puts(sql, history ? " PRIMARY KEY (\"id\", \"version\")); "
			       : " PRIMARY KEY (\"id\")); ");
}

/* One ALTER TABLE for all columns that are new or become text. */
static void
put_changes(struct target *t, struct text *sql, const struct table *table,
	    bool history)
{
	bool any = false;

	for (size_t i = 0; i < table->ncolumns; i++) {
		const struct column *col = table->columns[i];
		bool there = history ? col->in_history : col->present;
		if (there && !col->widen)
			continue;
		if (!any) {
			text_puts(sql, "ALTER TABLE ");
			text_table(t, sql,
				   history ? table->history : table->name);
		}
		text_puts(sql, any ? ", " : " ");
		any = true;
		if (!there) {
			text_puts(sql, "ADD COLUMN IF NOT EXISTS ");
			put_column(sql, col, history);
			continue;
		}
		const char *name =
			history ? column_history_name(col) : col->name;
		text_puts(sql, "ALTER COLUMN ");
		text_ident(sql, name);
		text_puts(sql, " TYPE text USING ");
		text_as_text(sql, name, col->was);
	}
	if (any)
		text_puts(sql, "; ");
}

/* A history is kept in shape, whether this sink writes it or another did. */
static void
put_history(struct target *t, struct text *sql, const struct table *table)
{
	if (table->history_present)
		put_changes(t, sql, table, true);
	else if (table->keeps_history)
		put_table(t, sql, table, true);
	if (table->keeps_history && !table->history_saved)
		put_table_entry(t, sql, table, true);
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
			put_changes(t, sql, table, false);
		else
			put_table(t, sql, table, false);
		if (!table->saved)
			put_table_entry(t, sql, table, false);
		put_history(t, sql, table);
		for (size_t k = 0; k < table->ncolumns; k++) {
			if (!table->columns[k]->saved)
				map_put_entry(t, sql, table, table->columns[k]);
		}
	}
}
