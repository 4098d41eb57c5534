/* SPDX-License-Identifier: MIT */
/*
 * Changing a column's datatype. Every value that stands there is looked at
 * before; types that only the server knows are cast there and back.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX ((size_t)1 << 20)
#define PAGE	1000

/* Checks one page of values; *more when there may be another. */
static int
check_page(const struct table *table, const struct column *col,
	   const struct sqltype *type, const PGresult *r,
	   struct weir_sink_result *res)
{
	char why[128];

	for (int i = 0; i < PQntuples(r); i++) {
		struct weir_str v = {PQgetvalue(r, i, 1),
				     (size_t)PQgetlength(r, i, 1)};
		if (type->family == SQL_OTHER || type->array) {
			if (PQgetvalue(r, i, 2)[0] == 't')
				continue;
			snprintf(why, sizeof why, "would come back changed");
		} else if (mirror_lossless(type, v, why)) {
			continue;
		}
		struct mirror_obstacle o = {PQgetvalue(r, i, 0), v.data, why};
		return mirror_refuse(table, col, type, &o, res);
	}
	return WEIR_SINK_OK;
}

/* The column's value as the text that becomes one of the type. */
static void
put_text(struct text *sql, const struct column *col, const struct sqltype *type)
{
	bool plain = col->type.array || type->family == SQL_JSON ||
		     type->family == SQL_JSONB;

	text_as_text(sql, col->name, plain ? SQL_TEXT : col->type.family);
}

static void
put_declare(struct target *t, struct text *sql, const struct table *table,
	    const struct column *col, const struct sqltype *type)
{
	text_puts(sql, "DECLARE weir_values NO SCROLL CURSOR FOR SELECT ");
	text_puts(sql, strcmp(table->name, table->history) == 0
			       ? "id || ' version ' || version, "
			       : "id, ");
	put_text(sql, col, type);
	if (type->family == SQL_OTHER || type->array) {
		text_puts(sql, ", ");
		put_text(sql, col, type);
		text_fmt(sql, "::%s::text = ", type->name);
		put_text(sql, col, type);
	}
	text_puts(sql, " FROM ");
	text_table(t, sql, table->name);
	text_puts(sql, " WHERE ");
	put_text(sql, col, type);
	text_puts(sql, " IS NOT NULL");
}

static int
check_values(struct target *t, struct text *sql, const struct table *table,
	     const struct column *col, const struct sqltype *type,
	     struct weir_sink_result *res)
{
	int class, n = PAGE;
	char fetch[64];

	text_clear(sql);
	put_declare(t, sql, table, col, type);
	class = sql->failed ? result_nomem(res)
			    : link_script(t, text_cstr(sql), res);
	snprintf(fetch, sizeof fetch, "FETCH %d FROM weir_values", PAGE);
	while (class == WEIR_SINK_OK && n == PAGE) {
		PGresult *r = NULL;
		class = link_query(t, &r, fetch, 0, NULL, res);
		if (class == WEIR_SINK_OK) {
			n = PQntuples(r);
			class = check_page(table, col, type, r, res);
		}
		PQclear(r);
	}
	if (class == WEIR_SINK_OK)
		class = link_script(t, "CLOSE weir_values", res);
	return class;
}

/* Checks the values of one table's column and changes its type. */
static int
change_one(struct target *t, struct text *sql, const struct table *table,
	   const struct column *col, const struct sqltype *type,
	   struct weir_sink_result *res)
{
	int class = check_values(t, sql, table, col, type, res);

	text_clear(sql);
	text_puts(sql, "ALTER TABLE ");
	text_table(t, sql, table->name);
	text_puts(sql, " ALTER COLUMN ");
	text_ident(sql, col->name);
	text_fmt(sql, " TYPE %s USING ", type->name);
	put_text(sql, col, type);
	text_fmt(sql, "::%s", type->name);
	if (class == WEIR_SINK_OK)
		class = sql->failed ? result_nomem(res)
				    : link_script(t, text_cstr(sql), res);
	return class;
}

/* In the history as in the mirror. */
static int
change_column(struct target *t, const struct table *table,
	      const struct column *col, const struct sqltype *type,
	      struct weir_sink_result *res)
{
	struct table history = *table;
	struct column next = *col, there = *col;
	struct text sql;

	next.type = *type;
	next.source = COLUMN_MAPPED;
	memcpy(history.name, table->history, sizeof history.name);
	snprintf(there.name, sizeof there.name, "%s", column_history_name(col));
	text_init(&sql, t->host, SQL_MAX);
	int class = change_one(t, &sql, table, col, type, res);
	if (class == WEIR_SINK_OK && table->history_present && col->in_history)
		class = change_one(t, &sql, &history, &there, type, res);
	text_clear(&sql);
	map_put_entry(t, &sql, table, &next);
	if (class == WEIR_SINK_OK)
		class = sql.failed ? result_nomem(res)
				   : link_script(t, text_cstr(&sql), res);
	text_fini(&sql);
	return class;
}

/* Is there such a type? BLOCKED would be the answer of a later CREATE. */
static int
check_type(struct target *t, const struct sqltype *type,
	   struct weir_sink_result *res)
{
	struct text sql;

	text_init(&sql, t->host, 256);
	text_fmt(&sql, "SELECT NULL::%s", type->name);
	int class = link_script(t, text_cstr(&sql), res);
	text_fini(&sql);
	if (class == WEIR_SINK_BLOCKED || class == WEIR_SINK_REJECT)
		return result_set(res, WEIR_SINK_REJECT, res->code,
				  "name a datatype that the database has",
				  "the database has no datatype %s",
				  type->name);
	return class;
}

int
target_plan(void *sink, const struct weir_sink_plan *plan,
	    struct weir_sink_result *res)
{
	struct weir_sink_result other = {.struct_size = sizeof other};
	struct target *t = sink;
	struct sqltype type;
	struct table *table = NULL;
	struct column *col = NULL;
	char begin[160];

	t->stop_fd = -1;
	t->deadline_us =
		t->host->monotonic_us(t->host->cookie) + 3600 * 1000000LL;
	if (!mirror_plan_type(&type, plan, res))
		return WEIR_SINK_REJECT;
	int class = target_ready(t, res);
	if (class != WEIR_SINK_OK)
		return class;
	snprintf(begin, sizeof begin,
		 "BEGIN; SET LOCAL statement_timeout = 0; "
		 "SELECT pg_advisory_xact_lock(%lld)",
		 (long long)t->lock_key);
	target_drop_map(t);
	class = link_script(t, begin, res);
	if (class == WEIR_SINK_OK)
		class = check_type(t, &type, res);
	if (class == WEIR_SINK_OK)
		class = target_load_map(t, res);
	if (class == WEIR_SINK_OK)
		col = mirror_planned(t->mirror.map, &table, plan);
	if (class == WEIR_SINK_OK && col != NULL)
		class = change_column(t, table, col, &type, res);
	if (class == WEIR_SINK_OK && plan->apply)
		class = link_script(t, "COMMIT", res);
	if (class == WEIR_SINK_OK)
		class = mirror_answer(plan, &type, table, col, res);
	if (t->conn != NULL && PQtransactionStatus(t->conn) != PQTRANS_IDLE &&
	    link_script(t, "ROLLBACK", &other) != WEIR_SINK_OK)
		link_close(t);
	target_drop_map(t);
	return class;
}
