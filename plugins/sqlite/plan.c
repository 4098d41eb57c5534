/* SPDX-License-Identifier: MIT */
/*
 * Changing a column's datatype. SQLite cannot change a column in place: a new
 * one is added, filled, put in the old one's place. Values are looked at one
 * by one before, so that nothing is lost.
 */
#include "sqlite/target.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX ((size_t)1 << 20)

/* What stands in a column as text: an expression. */
static void
put_as_text(struct text *sql, const char *name, enum sqltype_family family)
{
	if (family == SQL_BOOLEAN) {
		text_puts(sql, "CASE ");
		text_ident(sql, name);
		text_puts(sql, " WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE ");
	}
	text_puts(sql, "CAST(");
	text_ident(sql, name);
	text_puts(sql, " AS TEXT)");
	if (family == SQL_BOOLEAN)
		text_puts(sql, " END");
}

int
target_widen(struct target *t, const struct table *table,
	     const struct column *col, struct text *sql,
	     struct weir_sink_result *res)
{
	text_clear(sql);
	text_puts(sql, "UPDATE ");
	text_ident(sql, table->name);
	text_puts(sql, " SET ");
	text_ident(sql, col->name);
	text_puts(sql, " = ");
	put_as_text(sql, col->name, col->was);
	text_puts(sql, " WHERE typeof(");
	text_ident(sql, col->name);
	text_puts(sql, ") NOT IN ('text', 'null')");
	if (sql->failed)
		return result_nomem(res);
	return target_exec(t, text_cstr(sql), "widen a column to text", res);
}

/* The new value, from the old one as text in `inner`. */
static void
put_as_type(struct text *sql, const char *inner, const struct sqltype *type)
{
	switch (type->array ? SQL_TEXT : type->family) {
	case SQL_BOOLEAN:
		text_fmt(sql,
			 "CASE %s WHEN 'true' THEN 1 WHEN 'false' THEN 0 "
			 "END",
			 inner);
		break;
	case SQL_SMALLINT:
	case SQL_INTEGER:
	case SQL_BIGINT:
		text_fmt(sql, "CAST(%s AS INTEGER)", inner);
		break;
	case SQL_NUMERIC:
		text_fmt(sql,
			 "CASE WHEN CAST(CAST(%s AS INTEGER) AS TEXT) = "
			 "%s THEN CAST(%s AS INTEGER) ELSE %s END",
			 inner, inner, inner, inner);
		break;
	case SQL_REAL:
	case SQL_DOUBLE:
		text_fmt(sql, "CAST(%s AS REAL)", inner);
		break;
	default:
		text_puts(sql, inner);
		break;
	}
}

/* Does every value that stands there fit? */
static int
check_values(struct target *t, const struct table *table,
	     const struct column *col, const struct sqltype *type,
	     struct text *sql, struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	char why[128];
	int rc = SQLITE_DONE;

	text_clear(sql);
	text_puts(sql, "SELECT ");
	put_as_text(sql, col->name, col->type.family);
	text_puts(sql, ", \"id\" FROM ");
	text_ident(sql, table->name);
	text_puts(sql, " WHERE ");
	text_ident(sql, col->name);
	text_puts(sql, " IS NOT NULL");
	int class = sql->failed ? result_nomem(res)
				: target_prepare(t, &st, text_cstr(sql), res);
	while (class == WEIR_SINK_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct weir_str v;
		v.data = (const char *)sqlite3_column_text(st, 0);
		v.len = (size_t)sqlite3_column_bytes(st, 0);
		const char *id = (const char *)sqlite3_column_text(st, 1);
		if (v.data == NULL || id == NULL)
			class = result_nomem(res);
		else if (!mirror_lossless(type, v, why))
			class = mirror_refuse(
				table, col, type,
				&(struct mirror_obstacle){id, v.data, why},
				res);
	}
	if (class == WEIR_SINK_OK && rc != SQLITE_DONE)
		class = target_error(t, rc, "look at the values", res);
	sqlite3_finalize(st);
	return class;
}

/* Runs `sql` put together from pieces: a name begins with '"'. */
static int
run_pieces(struct target *t, struct text *sql, const char *const *pieces,
	   const char *doing, struct weir_sink_result *res)
{
	text_clear(sql);
	for (; *pieces != NULL; pieces++) {
		if ((*pieces)[0] == '"')
			text_ident(sql, *pieces + 1);
		else
			text_puts(sql, *pieces);
	}
	if (sql->failed)
		return result_nomem(res);
	return target_exec(t, text_cstr(sql), doing, res);
}

#define NAME_SIZE (IDENT_SIZE + 1u)

static int
replace_column(struct target *t, const struct table *table,
	       const struct column *next, const char *expr, struct text *sql,
	       struct weir_sink_result *res)
{
	char tab[NAME_SIZE], col[NAME_SIZE];
	static const char fresh[] = "\"weir_new_column";

	snprintf(tab, sizeof tab, "\"%s", table->name);
	snprintf(col, sizeof col, "\"%s", next->name);
	const char *const add[] = {
		"ALTER TABLE ",	       tab, " ADD COLUMN ", fresh, " ",
		target_declared(next), NULL};
	const char *const fill[] = {"UPDATE ", tab,  " SET ", fresh,
				    " = ",     expr, NULL};
	const char *const drop[] = {"ALTER TABLE ", tab, " DROP COLUMN ", col,
				    NULL};
	const char *const rename[] = {"ALTER TABLE ",
				      tab,
				      " RENAME COLUMN ",
				      fresh,
				      " TO ",
				      col,
				      NULL};
	int class = run_pieces(t, sql, add, "add the new column", res);

	if (class == WEIR_SINK_OK)
		class = run_pieces(t, sql, fill, "fill the new column", res);
	if (class == WEIR_SINK_OK)
		class = run_pieces(t, sql, drop, "drop the old column", res);
	if (class == WEIR_SINK_OK)
		class = run_pieces(t, sql, rename, "name the column", res);
	return class;
}

/* Gives the column its new type; within a transaction. */
static int
change_column(struct target *t, const struct table *table,
	      const struct column *col, const struct sqltype *type,
	      struct weir_sink_result *res)
{
	struct column next = *col;
	struct text sql, inner, expr;
	char tab[NAME_SIZE], name[NAME_SIZE];

	next.type = *type;
	next.source = COLUMN_MAPPED;
	text_init(&sql, t->host, SQL_MAX);
	text_init(&inner, t->host, SQL_MAX);
	text_init(&expr, t->host, SQL_MAX);
	put_as_text(&inner, col->name, col->type.family);
	put_as_type(&expr, text_cstr(&inner), type);
	snprintf(tab, sizeof tab, "\"%s", table->name);
	snprintf(name, sizeof name, "\"%s", col->name);
	const char *const update[] = {
		"UPDATE ",	  tab,	     " SET ", name,	      " = ",
		text_cstr(&expr), " WHERE ", name,    " IS NOT NULL", NULL};
	int class = check_values(t, table, col, type, &sql, res);
	if (class == WEIR_SINK_OK && (inner.failed || expr.failed))
		class = result_nomem(res);
	if (class == WEIR_SINK_OK)
		class = strcmp(target_declared(col), target_declared(&next)) ==
					0
				? run_pieces(t, &sql, update,
					     "write the column anew", res)
				: replace_column(t, table, &next,
						 text_cstr(&expr), &sql, res);
	if (class == WEIR_SINK_OK)
		class = target_save_column(t, table, &next, res);
	text_fini(&sql);
	text_fini(&inner);
	text_fini(&expr);
	return class;
}

int
target_plan(void *sink, const struct weir_sink_plan *plan,
	    struct weir_sink_result *res)
{
	struct target *t = sink;
	struct sqltype type;
	struct table *table = NULL;
	struct column *col = NULL;

	t->stop_fd = -1;
	t->deadline_us = 0;
	if (!mirror_plan_type(&type, plan, res))
		return WEIR_SINK_REJECT;
	int class = target_connect(t, true, res);
	if (class == WEIR_SINK_OK)
		class = target_make_tables(t, res);
	if (class == WEIR_SINK_OK)
		class = target_begin(t, res);
	if (class != WEIR_SINK_OK)
		return class;
	class = target_load_map(t, res);
	if (class == WEIR_SINK_OK)
		col = mirror_planned(t->mirror.map, &table, plan);
	if (class == WEIR_SINK_OK && col != NULL)
		class = change_column(t, table, col, &type, res);
	if (class == WEIR_SINK_OK && plan->apply)
		class = target_commit(t, res);
	if (class == WEIR_SINK_OK)
		class = mirror_answer(plan, &type, table, col, res);
	target_rollback(t, true);
	return class;
}
