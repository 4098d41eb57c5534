/* SPDX-License-Identifier: MIT */
/*
 * The map of one target in memory. Entries are allocated one by one, so that
 * pointers stay; a table's fields are found through a hash table of places.
 *
 * 1. Names are unique: tables among each other and against taken names,
 *    columns within their table and against its taken names.
 * 2. An entry's name never changes once made or loaded.
 */
#include "common/columns.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>

const char *const columns_base[] = {"id",	  "version",	"created_at",
				    "created_by", "updated_at", "updated_by",
				    NULL};

const char *const columns_history[] = {"event_type", "sequence", "committed_at",
				       NULL};
const char *const columns_history_fields[] = {
	"field_event_type", "field_sequence", "field_committed_at", NULL};

const char *
column_history_name(const struct column *col)
{
	for (size_t i = 0; i < COLUMNS_NHISTORY; i++) {
		if (strcmp(col->name, columns_history[i]) == 0)
			return columns_history_fields[i];
	}
	return col->name;
}

/* Names that something else in the target has. */
struct taken {
	char (*names)[IDENT_SIZE];
	size_t n, cap;
};

struct table_parts {
	uint32_t *slots; /* place + 1 of a field's column, 0 free */
	size_t nslots;	 /* a power of two, or 0 */
	size_t cap;	 /* of table->columns */
	struct taken taken;
};

struct columns {
	const struct weir_sink_host *host;
	struct columns_rules rules;
	struct table **tables;
	size_t n, cap;
	struct taken taken;
};

static uint32_t
hash_of(struct weir_str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.data[i]) * 16777619u;
	return h;
}

/* Makes room for one more in an array of pointers. */
static bool
grow(const struct weir_sink_host *host, void *array, size_t *cap, size_t n,
     size_t size)
{
	void *old;

	if (n < *cap)
		return true;
	size_t want = *cap ? *cap * 2 : 8;
	memcpy(&old, array, sizeof old);
	void *p = host->resize(host->cookie, old, want * size);
	if (p == NULL)
		return false;
	memcpy(array, &p, sizeof p);
	*cap = want;
	return true;
}

static int
take(const struct weir_sink_host *host, struct taken *t, const char *name)
{
	if (strlen(name) > IDENT_MAX)
		return 0; /* no name of ours is that long */
	if (!grow(host, &t->names, &t->cap, t->n, sizeof *t->names))
		return -1;
	char *kept = t->names[t->n++];
	/* In lower case: to SQLite Mine and mine are one name. */
	for (; *name != '\0'; name++, kept++)
		*kept = (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a'
							    : *name);
	*kept = '\0';
	return 0;
}

static bool
is_taken(const struct taken *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->names[i], name) == 0)
			return true;
	}
	return false;
}

struct columns *
columns_new(const struct weir_sink_host *host,
	    const struct columns_rules *rules)
{
	struct columns *c = sink_alloc(host, sizeof *c);

	if (c == NULL)
		return NULL;
	c->host = host;
	if (rules != NULL)
		c->rules = *rules;
	return c;
}

static void
column_free(const struct weir_sink_host *host, struct column *col)
{
	if (col == NULL)
		return;
	sink_free(host, (void *)(uintptr_t)col->field.data);
	sink_free(host, col);
}

static void
table_free(const struct weir_sink_host *host, struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->ncolumns; i++)
		column_free(host, t->columns[i]);
	sink_free(host, t->columns);
	if (t->parts != NULL) {
		sink_free(host, t->parts->slots);
		sink_free(host, t->parts->taken.names);
		sink_free(host, t->parts);
	}
	sink_free(host, (void *)(uintptr_t)t->aggregate_type.data);
	sink_free(host, t);
}

void
columns_free(struct columns *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		table_free(c->host, c->tables[i]);
	sink_free(c->host, c->tables);
	sink_free(c->host, c->taken.names);
	sink_free(c->host, c);
}

/* ---- tables -----------------------------------------------------------------
 */

static struct table *
table_add(struct columns *c, struct weir_str type, const char *name)
{
	const struct weir_sink_host *host = c->host;
	struct table *t = sink_alloc(host, sizeof *t);

	if (t == NULL)
		return NULL;
	t->parts = sink_alloc(host, sizeof *t->parts);
	t->aggregate_type = sink_dup(host, type);
	if (t->parts == NULL || t->aggregate_type.data == NULL ||
	    !grow(host, &c->tables, &c->cap, c->n, sizeof *c->tables)) {
		table_free(host, t);
		return NULL;
	}
	snprintf(t->name, sizeof t->name, "%s", name);
	t->index = c->n;
	c->tables[c->n++] = t;
	return t;
}

struct table *
columns_load_table(struct columns *c, struct weir_str type, const char *name)
{
	struct table *t = table_add(c, type, name);

	if (t != NULL)
		t->saved = true;
	return t;
}

int
columns_take_table(struct columns *c, const char *name)
{
	return take(c->host, &c->taken, name);
}

size_t
columns_ntables(const struct columns *c)
{
	return c->n;
}

struct table *
columns_table_at(const struct columns *c, size_t i)
{
	return c->tables[i];
}

struct table *
columns_find_table(const struct columns *c, struct weir_str type)
{
	for (size_t i = 0; i < c->n; i++) {
		if (text_same(c->tables[i]->aggregate_type, type))
			return c->tables[i];
	}
	return NULL;
}

static bool
table_name_free(const struct columns *c, const char *name)
{
	if (ident_listed(name, c->rules.tables) || is_taken(&c->taken, name))
		return false;
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->tables[i]->name, name) == 0 ||
		    strcmp(c->tables[i]->history, name) == 0)
			return false;
	}
	return true;
}

bool
columns_keep_history(struct columns *c, struct table *t)
{
	char name[IDENT_SIZE];

	for (unsigned round = 0; t->history[0] == '\0' && round < IDENT_ROUNDS;
	     round++) {
		ident_make(name, c->host, t->aggregate_type, "", "_history",
			   round);
		if (table_name_free(c, name))
			memcpy(t->history, name, sizeof name);
	}
	t->keeps_history = t->history[0] != '\0';
	return t->keeps_history;
}

struct table *
columns_table(struct columns *c, struct weir_str type)
{
	struct table *t = columns_find_table(c, type);
	const char *bad = c->rules.table_prefix, *prefix = "";
	char name[IDENT_SIZE];

	if (t != NULL)
		return t;
	ident_make(name, c->host, type, "", "", 0);
	if (bad != NULL && strncmp(name, bad, strlen(bad)) == 0)
		prefix = "t_";
	for (unsigned round = 0; round < IDENT_ROUNDS; round++) {
		ident_make(name, c->host, type, prefix, "", round);
		if (table_name_free(c, name))
			return table_add(c, type, name);
	}
	return NULL;
}

/* ---- columns ----------------------------------------------------------------
 */

static bool
reindex(const struct weir_sink_host *host, struct table *t, size_t nslots)
{
	struct table_parts *p = t->parts;
	uint32_t *slots = sink_alloc(host, nslots * sizeof *slots);

	if (slots == NULL)
		return false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (t->columns[i]->of != NULL)
			continue;
		size_t at = hash_of(t->columns[i]->field) & (nslots - 1);
		while (slots[at] != 0)
			at = (at + 1) & (nslots - 1);
		slots[at] = (uint32_t)i + 1;
	}
	sink_free(host, p->slots);
	p->slots = slots;
	p->nslots = nslots;
	return true;
}

static void
index_column(struct table *t, const struct column *col)
{
	struct table_parts *p = t->parts;
	size_t at = hash_of(col->field) & (p->nslots - 1);

	while (p->slots[at] != 0)
		at = (at + 1) & (p->nslots - 1);
	p->slots[at] = (uint32_t)col->index + 1;
}

static struct column *
column_add(struct columns *c, struct table *t, struct weir_str field,
	   const char *name, const struct sqltype *type,
	   enum column_source source, struct column *of)
{
	struct table_parts *p = t->parts;
	struct column *col = sink_alloc(c->host, sizeof *col);

	if (col == NULL)
		return NULL;
	col->field = sink_dup(c->host, field);
	if (col->field.data == NULL ||
	    !grow(c->host, &t->columns, &p->cap, t->ncolumns,
		  sizeof *t->columns) ||
	    ((t->ncolumns + 1) * 2 > p->nslots &&
	     !reindex(c->host, t, p->nslots ? p->nslots * 2 : 16))) {
		column_free(c->host, col);
		return NULL;
	}
	snprintf(col->name, sizeof col->name, "%s", name);
	col->type = *type;
	col->source = source;
	col->index = t->ncolumns;
	col->of = of;
	t->columns[t->ncolumns++] = col;
	if (of == NULL)
		index_column(t, col);
	else
		of->variant = col;
	return col;
}

struct column *
columns_load_field(struct columns *c, struct table *t, struct weir_str field,
		   const char *name, const struct sqltype *type,
		   enum column_source source)
{
	struct column *col = column_add(c, t, field, name, type, source, NULL);

	if (col != NULL)
		col->saved = true;
	return col;
}

struct column *
columns_load_variant(struct columns *c, struct table *t, struct column *of,
		     const char *name)
{
	struct column *col = column_add(c, t, of->field, name, &sqltype_text,
					of->source, of);

	if (col != NULL)
		col->saved = true;
	return col;
}

int
columns_take_column(struct columns *c, struct table *t, const char *name)
{
	return take(c->host, &t->parts->taken, name);
}

struct column *
columns_find_field(const struct table *t, struct weir_str field, size_t hint)
{
	const struct table_parts *p = t->parts;

	if (hint < t->ncolumns && t->columns[hint]->of == NULL &&
	    text_same(t->columns[hint]->field, field))
		return t->columns[hint];
	if (p->nslots == 0)
		return NULL;
	size_t at = hash_of(field) & (p->nslots - 1);
	for (; p->slots[at] != 0; at = (at + 1) & (p->nslots - 1)) {
		struct column *col = t->columns[p->slots[at] - 1];
		if (text_same(col->field, field))
			return col;
	}
	return NULL;
}

static bool
column_name_free(const struct columns *c, const struct table *t,
		 const char *name)
{
	if (ident_listed(name, columns_base) ||
	    ident_listed(name, c->rules.column_names) ||
	    is_taken(&t->parts->taken, name))
		return false;
	for (size_t i = 0; i < t->ncolumns; i++) {
		if (strcmp(t->columns[i]->name, name) == 0)
			return false;
	}
	return true;
}

/* A free name for a field's column (suffix "") or its variant. */
static bool
column_name(char name[IDENT_SIZE], const struct columns *c,
	    const struct table *t, struct weir_str field, const char *suffix)
{
	const char *prefix = "";

	ident_make(name, c->host, field, "", suffix, 0);
	if (ident_listed(name, columns_base) ||
	    ident_listed(name, c->rules.column_names))
		prefix = "field_";
	for (unsigned round = 0; round < IDENT_ROUNDS; round++) {
		ident_make(name, c->host, field, prefix, suffix, round);
		if (column_name_free(c, t, name))
			return true;
	}
	return false;
}

struct column *
columns_field(struct columns *c, struct table *t, struct weir_str field,
	      const struct sqltype *type, enum column_source source)
{
	struct column *col = columns_find_field(t, field, t->ncolumns);
	char name[IDENT_SIZE];

	if (col != NULL)
		return col;
	if (!column_name(name, c, t, field, ""))
		return NULL;
	return column_add(c, t, field, name, type, source, NULL);
}

struct column *
columns_variant(struct columns *c, struct table *t, struct column *of)
{
	char name[IDENT_SIZE];

	if (of->variant != NULL)
		return of->variant;
	if (!column_name(name, c, t, of->field, "_variant"))
		return NULL;
	return column_add(c, t, of->field, name, &sqltype_text, of->source, of);
}

void
columns_keep(struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct table *t = c->tables[i];
		t->saved = t->present = true;
		if (t->keeps_history)
			t->history_saved = t->history_present = true;
		for (size_t k = 0; k < t->ncolumns; k++) {
			t->columns[k]->saved = true;
			t->columns[k]->present = true;
			t->columns[k]->in_history = t->history_present;
			t->columns[k]->widen = false;
		}
	}
}
