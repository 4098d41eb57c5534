/* SPDX-License-Identifier: MIT */
/* A record as an upsert of its aggregate's row. */
#include "sqlite/target.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX ((size_t)1 << 20)

void
row_sql_free(struct target *t, struct table *table)
{
	struct row_sql *r = table->user;

	if (r == NULL)
		return;
	sqlite3_finalize(r->newer);
	sqlite3_finalize(r->replay);
	sink_free(t->host, r);
	table->user = NULL;
}

static void
put_upsert(struct text *sql, const struct table *table, const char *compare)
{
	size_t n = COLUMNS_NBASE + table->ncolumns;

	text_puts(sql, "INSERT INTO ");
	text_ident(sql, table->name);
	for (size_t i = 0; i < n; i++) {
		text_puts(sql, i ? ", " : "(");
		text_ident(sql,
			   i < COLUMNS_NBASE
				   ? columns_base[i]
				   : table->columns[i - COLUMNS_NBASE]->name);
	}
	text_puts(sql, ") VALUES");
	for (size_t i = 0; i < n; i++)
		text_puts(sql, i ? ", ?" : "(?");
	text_puts(sql, ") ON CONFLICT(\"id\") DO UPDATE SET ");
	for (size_t i = 1; i < n; i++) {
		const char *name =
			i < COLUMNS_NBASE
				? columns_base[i]
				: table->columns[i - COLUMNS_NBASE]->name;
		text_puts(sql, i > 1 ? ", " : "");
		text_ident(sql, name);
		text_puts(sql, " = excluded.");
		text_ident(sql, name);
	}
	text_puts(sql, " WHERE excluded.\"version\" ");
	text_puts(sql, compare);
	text_puts(sql, " ");
	text_ident(sql, table->name);
	text_puts(sql, ".\"version\"");
}

/* The statement for a table's present shape, made when it is not there. */
static int
upsert(struct target *t, sqlite3_stmt **out, struct table *table, bool replay,
       struct weir_sink_result *res)
{
	struct row_sql *r = table->user;
	struct text sql;

	if (r != NULL && r->ncolumns != table->ncolumns) {
		row_sql_free(t, table);
		r = NULL;
	}
	if (r == NULL) {
		r = sink_alloc(t->host, sizeof *r);
		if (r == NULL)
			return result_nomem(res);
		r->ncolumns = table->ncolumns;
		table->user = r;
	}
	sqlite3_stmt **slot = replay ? &r->replay : &r->newer;
	int class = WEIR_SINK_OK;
	if (*slot == NULL) {
		text_init(&sql, t->host, SQL_MAX);
		put_upsert(&sql, table, replay ? ">=" : ">");
		class = sql.failed
				? result_nomem(res)
				: target_prepare(t, slot, text_cstr(&sql), res);
		text_fini(&sql);
	}
	*out = *slot;
	return class;
}

static void
bind_str(sqlite3_stmt *st, int at, struct weir_str s)
{
	if (s.data == NULL)
		sqlite3_bind_null(st, at);
	else
		sqlite3_bind_text64(st, at, s.data, s.len, SQLITE_STATIC,
				    SQLITE_UTF8);
}

static void
bind_cell(sqlite3_stmt *st, int at, const struct cell *c)
{
	switch (c->kind) {
	case CELL_NULL:
		sqlite3_bind_null(st, at);
		break;
	case CELL_INT:
		sqlite3_bind_int64(st, at, c->i);
		break;
	case CELL_TEXT:
		bind_str(st, at, c->text);
		break;
	}
}

static int
room_for_cells(struct target *t, size_t n, struct weir_sink_result *res)
{
	if (n <= t->ncells)
		return WEIR_SINK_OK;
	struct cell *p =
		t->host->resize(t->host->cookie, t->cells, n * 2 * sizeof *p);
	if (p == NULL)
		return result_nomem(res);
	t->cells = p;
	t->ncells = n * 2;
	return WEIR_SINK_OK;
}

static void
name_record(const struct target *t, const struct weir_sink_record *rec,
	    const char *table, struct weir_sink_result *res)
{
	res->bad_sequence = rec->sequence;
	char what[600];

	snprintf(what, sizeof what, "%s", sqlite3_errmsg(t->db));
	result_set(res, WEIR_SINK_REJECT, res->code, res->hint,
		   "record %llu (%.*s %.*s version %llu): table %s: %s",
		   (unsigned long long)rec->sequence,
		   (int)rec->aggregate_type.len, rec->aggregate_type.data,
		   (int)rec->aggregate_id.len, rec->aggregate_id.data,
		   (unsigned long long)rec->version, table, what);
}

int
target_write_record(struct target *t, const struct weir_sink_record *rec,
		    bool replay, struct weir_sink_result *res)
{
	struct table *table = columns_table(t->mirror.map, rec->aggregate_type);
	sqlite3_stmt *st = NULL;
	char created[28], updated[28];

	if (table == NULL)
		return result_nomem(res);
	int class = upsert(t, &st, table, replay, res);
	if (class == WEIR_SINK_OK)
		class = room_for_cells(t, table->ncolumns, res);
	if (class != WEIR_SINK_OK)
		return class;
	arena_clear(&t->mirror.arena);
	if (mirror_fill(&t->mirror, t->cells, table, rec) != 0)
		return result_nomem(res);
	t->host->time_text(t->host->cookie, rec->first_at, created);
	t->host->time_text(t->host->cookie, rec->created_at, updated);
	bind_str(st, 1, rec->aggregate_id);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)rec->version);
	bind_str(st, 3, text_of(created));
	bind_str(st, 4, rec->first_user);
	bind_str(st, 5, text_of(updated));
	bind_str(st, 6, rec->user);
	for (size_t i = 0; i < table->ncolumns; i++)
		bind_cell(st, (int)(COLUMNS_NBASE + i + 1), &t->cells[i]);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_DONE) {
		class = target_error(t, rc, "write a row", res);
		if (class == WEIR_SINK_REJECT)
			name_record(t, rec, table->name, res);
	}
	sqlite3_reset(st);
	return class;
}
