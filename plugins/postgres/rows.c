/* SPDX-License-Identifier: MIT */
/*
 * The newest record of each aggregate of a batch, and for a history all of
 * them, one statement per table: the
 * values of a column travel as one text array in binary form, so nothing is
 * quoted, and are cast to the column's type by the server.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX	  ((size_t)1 << 20)
#define ARRAY_MAX ((size_t)512 << 20)
#define TEXT_OID  25u

/* Records for the mirror's tables, or for the histories. */
struct set {
	const struct weir_sink_record **records; /* by sequence */
	struct table **tables;			 /* of each */
	size_t n;
	bool history;
};

struct rows {
	struct target *t;
	struct set newest, all; /* all is empty without a history */
};

static uint64_t
hash_of(const struct weir_sink_record *r)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < r->aggregate_type.len; i++)
		h = (h ^ (unsigned char)r->aggregate_type.data[i]) *
		    1099511628211u;
	h = (h ^ 0xff) * 1099511628211u;
	for (size_t i = 0; i < r->aggregate_id.len; i++)
		h = (h ^ (unsigned char)r->aggregate_id.data[i]) *
		    1099511628211u;
	return h ^ (h >> 29);
}

/* Puts a record among those seen; false when a newer one of its aggregate is
 * there already. */
static bool
first_seen(const struct weir_sink_record **slots, size_t nslots,
	   const struct weir_sink_record *r)
{
	size_t at = (size_t)hash_of(r) & (nslots - 1);

	for (; slots[at] != NULL; at = (at + 1) & (nslots - 1)) {
		if (text_same(slots[at]->aggregate_id, r->aggregate_id) &&
		    text_same(slots[at]->aggregate_type, r->aggregate_type))
			return false;
	}
	slots[at] = r;
	return true;
}

static bool
set_init(struct set *s, struct target *t, size_t n)
{
	s->records = sink_alloc(t->host, n * sizeof *s->records);
	s->tables = sink_alloc(t->host, n * sizeof *s->tables);
	return s->records != NULL && s->tables != NULL;
}

static void
set_fini(struct set *s, struct target *t)
{
	sink_free(t->host, s->records);
	sink_free(t->host, s->tables);
}

/* Fills s with the newest of each aggregate, in the batch's order. */
static bool
coalesce(struct set *s, struct target *t, const struct weir_sink_batch *b)
{
	size_t nslots = 16;

	while (nslots < (size_t)b->nrecords * 2)
		nslots *= 2;
	const struct weir_sink_record **slots =
		sink_alloc(t->host, nslots * sizeof(void *));
	if (slots == NULL)
		return false;
	size_t at = b->nrecords;
	for (size_t i = b->nrecords; i-- > 0;) {
		if (first_seen(slots, nslots, b->records[i]))
			s->records[--at] = b->records[i];
	}
	s->n = b->nrecords - at;
	memmove(s->records, s->records + at, s->n * sizeof *s->records);
	sink_free(t->host, slots);
	return true;
}

static bool
make_sets(struct rows *r, const struct weir_sink_batch *b)
{
	if (!set_init(&r->newest, r->t, b->nrecords) ||
	    !coalesce(&r->newest, r->t, b))
		return false;
	if (!r->t->mirror.history)
		return true;
	r->all.history = true;
	if (!set_init(&r->all, r->t, b->nrecords))
		return false;
	for (r->all.n = 0; r->all.n < b->nrecords; r->all.n++)
		r->all.records[r->all.n] = b->records[r->all.n];
	return true;
}

static void
find_tables(struct set *s, const struct columns *map)
{
	for (size_t i = 0; i < s->n; i++)
		s->tables[i] =
			columns_find_table(map, s->records[i]->aggregate_type);
}

int
rows_new(struct rows **out, struct target *t, const struct weir_sink_batch *b,
	 bool *changed, struct weir_sink_result *res)
{
	struct rows *r = sink_alloc(t->host, sizeof *r);
	int class = WEIR_SINK_OK;

	if (r == NULL)
		return result_nomem(res);
	r->t = t;
	if (!make_sets(r, b)) {
		rows_free(r);
		return result_nomem(res);
	}
	const struct set *s = t->mirror.history ? &r->all : &r->newest;
	for (size_t i = 0; class == WEIR_SINK_OK && i < s->n; i++)
		class = mirror_shape(&t->mirror, s->records[i], changed, res);
	if (class != WEIR_SINK_OK) {
		rows_free(r);
		return class;
	}
	find_tables(&r->newest, t->mirror.map);
	find_tables(&r->all, t->mirror.map);
	*out = r;
	return WEIR_SINK_OK;
}

void
rows_free(struct rows *r)
{
	if (r == NULL)
		return;
	set_fini(&r->newest, r->t);
	set_fini(&r->all, r->t);
	sink_free(r->t->host, r);
}

/* ---- the statement ----------------------------------------------------------
 */

/* Columns before those of the fields. */
static size_t
nbase(bool history)
{
	return COLUMNS_NBASE + (history ? COLUMNS_NHISTORY : 0);
}

static const char *
column_name(const struct table *t, size_t i, bool history)
{
	if (i < COLUMNS_NBASE)
		return columns_base[i];
	if (i < nbase(history))
		return columns_history[i - COLUMNS_NBASE];
	const struct column *col = t->columns[i - nbase(history)];
	return history ? column_history_name(col) : col->name;
}

static const char *
column_type(const struct table *t, size_t i, bool history)
{
	static const char *const base[] = {
		"text", "bigint", "timestamptz", "text",	"timestamptz",
		"text", "text",	  "bigint",	 "timestamptz",
	};
	return i < nbase(history) ? base[i]
				  : t->columns[i - nbase(history)]->type.name;
}

static void
put_conflict(struct text *sql, const struct table *table, bool history,
	     bool replay)
{
	size_t n = nbase(history) + table->ncolumns;

	text_puts(sql, history ? " ON CONFLICT (\"id\", \"version\") DO "
			       : " ON CONFLICT (\"id\") DO ");
	if (history && !replay) {
		text_puts(sql, "NOTHING");
		return;
	}
	text_puts(sql, "UPDATE SET ");
	for (size_t i = 1; i < n; i++) {
		const char *name = column_name(table, i, history);
		text_puts(sql, i > 1 ? ", " : "");
		text_ident(sql, name);
		text_puts(sql, " = EXCLUDED.");
		text_ident(sql, name);
	}
	if (!history)
		text_fmt(sql, " WHERE t.\"version\" %s EXCLUDED.\"version\"",
			 replay ? "<=" : "<");
}

static void
put_upsert(struct target *t, struct text *sql, const struct table *table,
	   bool history, bool replay)
{
	size_t n = nbase(history) + table->ncolumns;

	text_puts(sql, "INSERT INTO ");
	text_table(t, sql, history ? table->history : table->name);
	text_puts(sql, " AS t (");
	for (size_t i = 0; i < n; i++) {
		text_puts(sql, i ? ", " : "");
		text_ident(sql, column_name(table, i, history));
	}
	text_puts(sql, ") SELECT ");
	for (size_t i = 0; i < n; i++)
		text_fmt(sql, "%su.c%zu::%s", i ? ", " : "", i,
			 column_type(table, i, history));
	text_puts(sql, " FROM unnest(");
	for (size_t i = 0; i < n; i++)
		text_fmt(sql, "%s$%zu::text[]", i ? ", " : "", i + 1);
	text_puts(sql, ") AS u(");
	for (size_t i = 0; i < n; i++)
		text_fmt(sql, "%sc%zu", i ? ", " : "", i);
	text_puts(sql, ")");
	put_conflict(sql, table, history, replay);
}

/* The prepared statement's name; sends its text first when it is new. */
static int
prepare(struct target *t, char name[24], struct table *table, bool history,
	bool replay, unsigned *sent, struct weir_sink_result *res)
{
	struct row_sql *r = table->user;
	struct text sql;

	if (r == NULL) {
		r = sink_alloc(t->host, sizeof *r);
		if (r == NULL)
			return result_nomem(res);
		table->user = r;
	}
	if (r->ncolumns != table->ncolumns)
		memset(r->id, 0, sizeof r->id);
	r->ncolumns = table->ncolumns;
	unsigned *id = &r->id[history][replay];
	bool fresh = *id == 0;
	if (fresh)
		*id = ++t->statements;
	snprintf(name, 24, "w%u", *id);
	if (!fresh)
		return WEIR_SINK_OK;
	text_init(&sql, t->host, SQL_MAX);
	put_upsert(t, &sql, table, history, replay);
	int class = WEIR_SINK_OK;
	if (sql.failed)
		class = result_nomem(res);
	else if (!PQsendPrepare(t->conn, name, text_cstr(&sql), 0, NULL))
		class = link_lost(t, res);
	else
		++*sent;
	text_fini(&sql);
	return class;
}

/* ---- the arrays -------------------------------------------------------------
 */

static void
put_head(struct text *a, size_t n)
{
	text_u32be(a, 1); /* dimensions */
	text_u32be(a, 1); /* NULLs may stand in it */
	text_u32be(a, TEXT_OID);
	text_u32be(a, (uint32_t)n);
	text_u32be(a, 1); /* the first index */
}

static void
put_value(struct text *a, struct weir_str s)
{
	if (s.data == NULL) {
		text_u32be(a, UINT32_MAX);
		return;
	}
	if (!text_reserve(a, s.len + 4))
		return;
	text_u32be(a, (uint32_t)s.len);
	memcpy(a->data + a->len, s.data, s.len);
	a->len += s.len;
	a->data[a->len] = '\0';
}

static bool
put_record(struct target *t, struct text *arrays, struct cell *cells,
	   const struct table *table, bool history,
	   const struct weir_sink_record *rec)
{
	char version[20], sequence[20], created[28], updated[28], committed[28];
	struct weir_str none = {NULL, 0};

	arena_clear(&t->mirror.arena);
	if (mirror_fill(&t->mirror, cells, table, rec) != 0)
		return false;
	t->host->time_text(t->host->cookie, rec->first_at, created);
	t->host->time_text(t->host->cookie, rec->created_at, updated);
	put_value(&arrays[0], rec->aggregate_id);
	put_value(&arrays[1], text_digits(version, rec->version));
	put_value(&arrays[2], text_of(created));
	put_value(&arrays[3], rec->first_user);
	put_value(&arrays[4], text_of(updated));
	put_value(&arrays[5], rec->user);
	if (history) {
		t->host->time_text(t->host->cookie, rec->committed_at,
				   committed);
		put_value(&arrays[6], rec->event_type);
		put_value(&arrays[7], text_digits(sequence, rec->sequence));
		put_value(&arrays[8], text_of(committed));
	}
	for (size_t i = 0; i < table->ncolumns; i++)
		put_value(&arrays[nbase(history) + i],
			  cells[i].kind == CELL_NULL ? none : cells[i].text);
	return true;
}

/* What one table's statement is sent with. */
struct arrays {
	struct text *texts;
	struct cell *cells;
	const char **values;
	int *lengths, *formats;
	size_t n;
};

static bool
arrays_init(struct arrays *a, struct target *t, size_t n, size_t nrows)
{
	memset(a, 0, sizeof *a);
	a->texts = sink_alloc(t->host, n * sizeof *a->texts);
	a->cells = sink_alloc(t->host, n * sizeof *a->cells);
	a->values = sink_alloc(t->host, n * sizeof *a->values);
	a->lengths = sink_alloc(t->host, n * sizeof *a->lengths);
	a->formats = sink_alloc(t->host, n * sizeof *a->formats);
	if (a->texts == NULL || a->cells == NULL || a->values == NULL ||
	    a->lengths == NULL || a->formats == NULL)
		return false;
	for (a->n = 0; a->n < n; a->n++) {
		text_init(&a->texts[a->n], t->host, ARRAY_MAX);
		put_head(&a->texts[a->n], nrows);
	}
	return true;
}

static void
arrays_fini(struct arrays *a, struct target *t)
{
	for (size_t i = 0; i < a->n; i++)
		text_fini(&a->texts[i]);
	sink_free(t->host, a->texts);
	sink_free(t->host, a->cells);
	sink_free(t->host, a->values);
	sink_free(t->host, a->lengths);
	sink_free(t->host, a->formats);
}

static bool
arrays_close(struct arrays *a)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->texts[i].failed)
			return false;
		a->values[i] = text_cstr(&a->texts[i]);
		a->lengths[i] = (int)a->texts[i].len;
		a->formats[i] = 1;
	}
	return true;
}

/* All records of the table of record `from`, and takes them off the list. */
static int
send_table(struct target *t, struct set *s, size_t from, bool replay,
	   unsigned *sent, struct weir_sink_result *res)
{
	struct table *table = s->tables[from];
	struct arrays a;
	char name[24];
	size_t nrows = 0;

	for (size_t i = from; i < s->n; i++)
		nrows += s->tables[i] == table;
	bool ok =
		arrays_init(&a, t, nbase(s->history) + table->ncolumns, nrows);
	for (size_t i = from; ok && i < s->n; i++) {
		if (s->tables[i] != table)
			continue;
		ok = put_record(t, a.texts, a.cells, table, s->history,
				s->records[i]);
		s->tables[i] = NULL;
	}
	int class = ok && arrays_close(&a) ? prepare(t, name, table, s->history,
						     replay, sent, res)
					   : result_nomem(res);
	if (class == WEIR_SINK_OK) {
		if (!PQsendQueryPrepared(t->conn, name, (int)a.n, a.values,
					 a.lengths, a.formats, 0))
			class = link_lost(t, res);
		else
			++*sent;
	}
	arrays_fini(&a, t);
	return class;
}

int
rows_send(struct rows *r, unsigned *sent, bool replay,
	  struct weir_sink_result *res)
{
	struct set *sets[] = {&r->newest, &r->all};
	int class = WEIR_SINK_OK;

	for (size_t k = 0; k < 2; k++) {
		struct set *s = sets[k];
		for (size_t i = 0; class == WEIR_SINK_OK && i < s->n; i++) {
			if (s->tables[i] != NULL)
				class = send_table(r->t, s, i, replay, sent,
						   res);
		}
	}
	return class;
}
