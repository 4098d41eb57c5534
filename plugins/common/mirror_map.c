/* SPDX-License-Identifier: MIT */
/* What a target stores of a mirror, and what a plan says. */
#include "common/mirror.h"
#include "common/result.h"

#include <stdio.h>
#include <string.h>

const char *
mirror_source_name(enum column_source source)
{
	static const char *const names[] = {"inferred", "mapped", "base",
					    "declared"};
	return names[source];
}

static enum column_source
source_of(const char *name)
{
	for (int i = COLUMN_MAPPED; i <= COLUMN_DECLARED; i++) {
		if (strcmp(mirror_source_name((enum column_source)i), name) ==
		    0)
			return (enum column_source)i;
	}
	return COLUMN_INFERRED;
}

bool
mirror_load_entry(struct columns *map, const struct mirror_entry *e)
{
	struct sqltype type;

	if (strcmp(e->kind, "table") == 0)
		return columns_load_table(map, e->aggregate_type, e->name) !=
		       NULL;
	struct table *t = columns_find_table(map, e->aggregate_type);
	if (t == NULL)
		return true;
	if (strcmp(e->kind, "history") == 0) {
		snprintf(t->history, sizeof t->history, "%s", e->name);
		t->history_saved = true;
		return true;
	}
	if (strcmp(e->kind, "variant") == 0) {
		struct column *of = columns_find_field(t, e->field, 0);
		return of == NULL ||
		       columns_load_variant(map, t, of, e->name) != NULL;
	}
	if (sqltype_parse(&type, e->datatype) != 0)
		type = sqltype_text;
	return columns_load_field(map, t, e->field, e->name, &type,
				  source_of(e->source)) != NULL;
}

static struct table *
table_named(const struct columns *map, const char *name, bool *history)
{
	for (size_t i = 0; i < columns_ntables(map); i++) {
		struct table *t = columns_table_at(map, i);
		*history = strcmp(t->history, name) == 0;
		if (*history || strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

/* SQLite finds a column in any case; names of ours have one. */
static bool
same_name(const char *ours, const char *theirs)
{
	for (; *ours != '\0'; ours++, theirs++) {
		char c = *theirs;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != *ours)
			return false;
	}
	return *theirs == '\0';
}

bool
mirror_see(struct columns *map, const char *relation, bool table,
	   const char *column)
{
	bool history = false;
	struct table *t = table ? table_named(map, relation, &history) : NULL;

	if (t == NULL)
		return columns_take_table(map, relation) == 0;
	*(history ? &t->history_present : &t->present) = true;
	if (column == NULL || ident_listed(column, columns_base) ||
	    (history && ident_listed(column, columns_history)))
		return true;
	for (size_t i = 0; i < t->ncolumns; i++) {
		struct column *c = t->columns[i];
		if (!same_name(history ? column_history_name(c) : c->name,
			       column))
			continue;
		*(history ? &c->in_history : &c->present) = true;
		return true;
	}
	return columns_take_column(map, t, column) == 0;
}

/* ---- the cursor -------------------------------------------------------------
 */

static int
hex_of(char c)
{
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

void
mirror_read_hex(uint8_t *out, size_t n, const char *text)
{
	size_t got = 0;

	memset(out, 0, n);
	for (; text[0] != '\0' && got < 2 * n; text++) {
		if (*text == '-')
			continue;
		out[got / 2] =
			(uint8_t)(out[got / 2] << 4 | (hex_of(*text) & 15));
		got++;
	}
}

void
mirror_read_uuid(uint8_t out[16], const char *text)
{
	mirror_read_hex(out, 16, text);
}

int
mirror_check_cursor(const struct mirror_stand *s,
		    const struct weir_sink_cursor *c,
		    const struct weir_sink_batch *b,
		    struct weir_sink_cursor *store,
		    struct weir_sink_result *res)
{
	uint64_t at = c->found ? c->sequence : 0;

	if (c->found && memcmp(c->store_id, s->store_id, 16) != 0)
		return result_set(
			res, WEIR_SINK_BLOCKED, "OTHER_STORE", s->apart,
			"%s holds the mirror of another store", s->where);
	if (c->found && c->epoch > b->epoch)
		return result_set(res, WEIR_SINK_BLOCKED, "EPOCH",
				  "only one runner may deliver to a sink",
				  "%s: a newer runner (epoch %llu, ours is "
				  "%llu) has written it",
				  s->where, (unsigned long long)c->epoch,
				  (unsigned long long)b->epoch);
	if (s->known && at != s->sequence)
		return result_set(res, WEIR_SINK_NOT_CONNECTED, "CURSOR_MOVED",
				  NULL,
				  "%s stands at sequence %llu, but was left at "
				  "%llu: it was replaced or restored",
				  s->where, (unsigned long long)at,
				  (unsigned long long)s->sequence);
	store->sequence = b->through_sequence > at ? b->through_sequence : at;
	memcpy(store->hash,
	       b->through_sequence >= at ? b->through_hash : c->hash,
	       sizeof store->hash);
	return WEIR_SINK_OK;
}

/* ---- plans ------------------------------------------------------------------
 */

bool
mirror_plan_type(struct sqltype *out, const struct weir_sink_plan *plan,
		 struct weir_sink_result *res)
{
	if (sqltype_parse(out, plan->datatype) == 0)
		return true;
	result_set(res, WEIR_SINK_REJECT, "42704",
		   "a datatype is a name with optional (n) or (n,m) and []: "
		   "numeric(10,2)",
		   "\"%.60s\" is no datatype", plan->datatype);
	return false;
}

bool
mirror_lossless(const struct sqltype *t, struct weir_str text, char why[128])
{
	struct sqlvalue v;

	if (!sqltype_fits(&v, t, WEIR_STRING, text, why))
		return false;
	switch (t->array ? SQL_TEXT : t->family) {
	case SQL_BOOLEAN:
	case SQL_SMALLINT:
	case SQL_INTEGER:
	case SQL_BIGINT:
		if (text_same(v.text, text))
			return true;
		snprintf(why, 128, "would be written in another way");
		return false;
	default:
		return true;
	}
}

struct column *
mirror_planned(const struct columns *map, struct table **table,
	       const struct weir_sink_plan *plan)
{
	struct column *col = NULL;

	*table = columns_find_table(map, plan->aggregate_type);
	if (*table != NULL && (*table)->present)
		col = columns_find_field(*table, plan->field, 0);
	return col != NULL && col->present ? col : NULL;
}

int
mirror_refuse(const struct table *table, const struct column *col,
	      const struct sqltype *type, const struct mirror_obstacle *o,
	      struct weir_sink_result *res)
{
	return result_set(res, WEIR_SINK_REJECT, "22000",
			  "give that field another value first, or map it to "
			  "text",
			  "column %s of %s cannot become %s: %.80s has the "
			  "value %.80s, which %s; nothing was changed",
			  col->name, table->name, type->name, o->id, o->value,
			  o->why);
}

int
mirror_answer(const struct weir_sink_plan *plan, const struct sqltype *type,
	      const struct table *table, const struct column *col,
	      struct weir_sink_result *res)
{
	if (col == NULL)
		return result_set(res, WEIR_SINK_OK, NULL, NULL,
				  "column of field \"%.*s\" will be %s",
				  (int)plan->field.len, plan->field.data,
				  type->name);
	return result_set(res, WEIR_SINK_OK, NULL, NULL,
			  "column %s of %s %s %s", col->name, table->name,
			  plan->apply ? "is now" : "can become", type->name);
}
