/* SPDX-License-Identifier: MIT */
#include "common/mirror.h"
#include "common/result.h"

#include <stdio.h>
#include <string.h>

#define ARENA_MAX ((size_t)256 << 20)

enum fit {
	FITS,
	UNFIT,
	HAS_NUL,
	NO_MEMORY
};

void
mirror_init(struct mirror *m, const struct weir_sink_open *o, bool typed)
{
	const char *conflict = setting_get(o, "on-conflict-type");
	const char *nul = setting_get(o, "nul");

	memset(m, 0, sizeof *m);
	m->host = o->host;
	m->typed = typed;
	if (conflict != NULL && strcmp(conflict, "variant") == 0)
		m->conflict = MIRROR_VARIANT;
	else if (conflict != NULL && strcmp(conflict, "null") == 0)
		m->conflict = MIRROR_NULL;
	m->replace_nul = nul != NULL && strcmp(nul, "replace") == 0;
	arena_init(&m->arena, o->host, ARENA_MAX);
}

void
mirror_fini(struct mirror *m)
{
	columns_free(m->map);
	m->map = NULL;
	arena_fini(&m->arena);
}

/* ---- values -----------------------------------------------------------------
 */

/* NUL as U+FFFD. */
static struct weir_str
without_nul(struct arena *a, struct weir_str s)
{
	struct weir_str out = {NULL, 0};
	char *p = arena_alloc(a, s.len * 3);

	if (p == NULL)
		return out;
	out.data = p;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] != '\0') {
			p[out.len++] = s.data[i];
			continue;
		}
		memcpy(p + out.len, "\xef\xbf\xbd", 3);
		out.len += 3;
	}
	return out;
}

/* \u0000 as \ufffd in JSON text. */
static struct weir_str
without_nul_escape(struct arena *a, struct weir_str raw)
{
	struct weir_str out = {NULL, 0};
	char *p = arena_alloc(a, raw.len);

	if (p == NULL)
		return out;
	memcpy(p, raw.data, raw.len);
	for (size_t i = 0; i + 1 < raw.len; i++) {
		if (p[i] != '\\')
			continue;
		if (raw.len - i >= 6 && memcmp(p + i, "\\u0000", 6) == 0)
			memcpy(p + i, "\\ufffd", 6);
		i++;
	}
	out.data = p;
	out.len = raw.len;
	return out;
}

static bool
is_json(const struct sqltype *t)
{
	return !t->array && (t->family == SQL_JSON || t->family == SQL_JSONB);
}

/* Raw JSON for a json or jsonb column. */
static enum fit
json_value(struct mirror *m, const struct column *col, struct cell *out,
	   const struct weir_sink_member *mem, char why[128])
{
	bool strict = m->typed && col->type.family == SQL_JSONB;

	out->kind = CELL_TEXT;
	out->text = mem->raw;
	if (!strict || sqltype_jsonb_takes(mem->raw))
		return FITS;
	if (m->replace_nul) {
		out->text = without_nul_escape(&m->arena, mem->raw);
		if (out->text.data == NULL)
			return NO_MEMORY;
		if (sqltype_jsonb_takes(out->text))
			return FITS;
	}
	snprintf(why, 128, "holds a NUL or a number that jsonb cannot hold");
	return UNFIT;
}

/* Does the column's inferred type stand for this kind of value? */
static bool
inferred_fits(const struct mirror *m, const struct column *col,
	      const struct weir_sink_member *mem)
{
	switch (col->type.family) {
	case SQL_TEXT:
		return true;
	case SQL_BOOLEAN:
		return mem->kind == WEIR_BOOL;
	case SQL_NUMERIC:
		return mem->kind == WEIR_NUMBER &&
		       (!m->typed || sqltype_numeric_same(mem->raw));
	default:
		return mem->kind == WEIR_OBJECT || mem->kind == WEIR_ARRAY;
	}
}

/* How an untyped target keeps a checked value: booleans and whole numbers of
 * 64 bits as integers, everything else as text. */
static void
as_integer(struct cell *out, const struct sqltype *t, const struct sqlvalue *v)
{
	switch (t->array ? SQL_TEXT : t->family) {
	case SQL_BOOLEAN:
	case SQL_SMALLINT:
	case SQL_INTEGER:
	case SQL_BIGINT:
		out->kind = CELL_INT;
		out->i = v->i;
		break;
	case SQL_NUMERIC:
		if (sqltype_plain_int(&out->i, out->text))
			out->kind = CELL_INT;
		break;
	default:
		break;
	}
}

/* A value that stands in v's own space is copied to the arena. */
static enum fit
keep_value(struct mirror *m, struct cell *out, const struct sqltype *t,
	   const struct sqlvalue *v)
{
	out->kind = CELL_TEXT;
	out->text = v->text;
	if (!m->typed)
		as_integer(out, t, v);
	if (out->kind == CELL_TEXT && v->text.data == v->space) {
		char *p = arena_alloc(&m->arena, v->text.len);
		if (p == NULL)
			return NO_MEMORY;
		memcpy(p, v->text.data, v->text.len);
		out->text.data = p;
	}
	return FITS;
}

static enum fit
string_value(struct mirror *m, struct weir_str *text, struct weir_str raw)
{
	*text = text_decode(&m->arena, raw);
	if (text->data == NULL)
		return NO_MEMORY;
	if (memchr(text->data, '\0', text->len) == NULL)
		return FITS;
	if (!m->replace_nul)
		return HAS_NUL;
	*text = without_nul(&m->arena, *text);
	return text->data != NULL ? FITS : NO_MEMORY;
}

/* A JSON number without an exponent that is not -0 and the like; *whole: its
 * value, when it has no point and few digits. */
static bool
plain_number(struct weir_str s, bool *whole, int64_t *value)
{
	size_t i = s.data[0] == '-';
	int64_t v = 0;

	if (s.len > 18 || (i == 1 && s.data[1] == '0'))
		return false;
	for (; i < s.len && s.data[i] != '.'; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		v = v * 10 + (s.data[i] - '0');
	}
	*whole = i == s.len;
	*value = s.data[0] == '-' ? -v : v;
	for (i++; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return true;
}

/* The values that make up most of the world, each by a short way to what
 * value() would give; false: take the long one. */
static bool
quick_value(const struct mirror *m, const struct column *col, struct cell *out,
	    const struct weir_sink_member *mem)
{
	struct weir_str raw = mem->raw;
	bool whole;

	if (col->type.array || mem->kind == WEIR_NULL)
		return false;
	out->kind = CELL_TEXT;
	out->text = raw;
	switch (col->type.family) {
	case SQL_TEXT:
		if (mem->kind != WEIR_STRING)
			return true;
		out->text = (struct weir_str){raw.data + 1, raw.len - 2};
		return memchr(raw.data, '\\', raw.len) == NULL;
	case SQL_BOOLEAN:
		out->i = raw.data[0] == 't';
		if (!m->typed)
			out->kind = CELL_INT;
		return mem->kind == WEIR_BOOL;
	case SQL_NUMERIC:
	case SQL_BIGINT:
		if (mem->kind != WEIR_NUMBER || col->type.n >= 0 ||
		    !plain_number(raw, &whole, &out->i))
			return false;
		if (!m->typed && whole)
			out->kind = CELL_INT;
		return whole || col->type.family == SQL_NUMERIC;
	default:
		return false;
	}
}

static enum fit
value(struct mirror *m, const struct column *col, struct cell *out,
      const struct weir_sink_member *mem, char why[128])
{
	struct weir_str text = mem->raw;
	struct sqlvalue v;
	enum fit fit = FITS;

	if (quick_value(m, col, out, mem))
		return FITS;
	if (mem->kind == WEIR_NULL && !(m->typed && is_json(&col->type))) {
		out->kind = CELL_NULL;
		return FITS;
	}
	if (col->source == COLUMN_INFERRED && mem->kind != WEIR_NULL &&
	    !inferred_fits(m, col, mem)) {
		snprintf(why, 128, "is of another kind");
		return UNFIT;
	}
	if (is_json(&col->type))
		return json_value(m, col, out, mem, why);
	if (mem->kind == WEIR_STRING)
		fit = string_value(m, &text, mem->raw);
	if (fit != FITS)
		return fit;
	if (!sqltype_fits(&v, &col->type, (enum weir_kind)mem->kind, text, why))
		return UNFIT;
	if (m->typed && col->type.array && mem->kind == WEIR_ARRAY) {
		v.text = sqltype_array_literal(&m->arena, mem->raw);
		if (v.text.data == NULL) {
			snprintf(why, 128, "is no array of plain values");
			return UNFIT;
		}
	}
	return keep_value(m, out, &col->type, &v);
}

/* ---- shaping ----------------------------------------------------------------
 */

/* The datatype of a column that is not there yet. */
static int
new_type(struct mirror *m, const struct weir_sink_record *rec,
	 const struct weir_sink_member *mem, struct sqltype *type,
	 enum column_source *source, struct weir_sink_result *res)
{
	char name[64] = "";

	*source = (enum column_source)m->host->column_type(
		m->host->cookie, rec->aggregate_type, mem->name, name);
	if (*source == COLUMN_INFERRED) {
		struct column probe = {.source = COLUMN_INFERRED};
		sqltype_infer(type, (enum weir_kind)mem->kind);
		probe.type = *type;
		if (!inferred_fits(m, &probe, mem))
			*type = sqltype_text;
		return WEIR_SINK_OK;
	}
	if (sqltype_parse(type, name) != 0) {
		res->bad_sequence = rec->sequence;
		return result_set(res, WEIR_SINK_BLOCKED, "42704",
				  "map the field to another datatype: weir "
				  "plugin map",
				  "field \"%.*s\" of \"%.*s\" is mapped to "
				  "\"%s\", which is no datatype",
				  (int)mem->name.len, mem->name.data,
				  (int)rec->aggregate_type.len,
				  rec->aggregate_type.data, name);
	}
	/* A declared whole number has no stated size. */
	if (*source == COLUMN_DECLARED && type->family == SQL_INTEGER &&
	    !type->array)
		(void)sqltype_parse(type, "bigint");
	return WEIR_SINK_OK;
}

static int
too_many(const struct mirror *m, const struct weir_sink_record *rec,
	 const struct table *t, const struct weir_sink_member *mem,
	 struct weir_sink_result *res)
{
	res->bad_sequence = rec->sequence;
	return result_set(res, WEIR_SINK_REJECT, "54011",
			  "give the records fewer top-level fields",
			  "record %llu: table %s has its %zu columns, field "
			  "\"%.*s\" finds no place",
			  (unsigned long long)rec->sequence, t->name,
			  m->columns_max, (int)mem->name.len, mem->name.data);
}

static int
plan_column(struct mirror *m, struct column **out, struct table *t,
	    const struct weir_sink_record *rec,
	    const struct weir_sink_member *mem, bool *changed,
	    struct weir_sink_result *res)
{
	struct sqltype type;
	enum column_source source;

	if (t->ncolumns >= m->columns_max)
		return too_many(m, rec, t, mem, res);
	if (memchr(mem->name.data, '\0', mem->name.len) != NULL)
		return result_bad_value(res, rec, mem->name, "", "text",
					mem->raw,
					"stands under a name with a NUL");
	int class = new_type(m, rec, mem, &type, &source, res);
	if (class != WEIR_SINK_OK)
		return class;
	*out = columns_field(m->map, t, mem->name, &type, source);
	if (*out == NULL)
		return result_nomem(res);
	*changed = true;
	return WEIR_SINK_OK;
}

/* An inferred column becomes text. */
static void
widen(struct column *col, bool *changed)
{
	col->was = col->type.family;
	col->type = sqltype_text;
	col->widen = col->present || col->in_history;
	col->saved = false;
	*changed = true;
}

static int
conflict(struct mirror *m, struct table *t, struct column *col,
	 const struct weir_sink_record *rec, const struct weir_sink_member *mem,
	 const char *why, bool *changed, struct weir_sink_result *res)
{
	struct weir_str shown = mem->raw;

	if (m->conflict == MIRROR_NULL)
		return WEIR_SINK_OK;
	if (m->conflict == MIRROR_PARK) {
		if (mem->kind == WEIR_STRING)
			shown = text_decode(&m->arena, mem->raw);
		return result_bad_value(res, rec, mem->name, col->name,
					col->type.name, shown, why);
	}
	if (col->variant == NULL) {
		if (t->ncolumns >= m->columns_max)
			return too_many(m, rec, t, mem, res);
		if (columns_variant(m->map, t, col) == NULL)
			return result_nomem(res);
		*changed = true;
	}
	return WEIR_SINK_OK;
}

static int
shape_member(struct mirror *m, struct table *t,
	     const struct weir_sink_record *rec, size_t i, bool *changed,
	     struct weir_sink_result *res)
{
	const struct weir_sink_member *mem = &rec->state[i];
	struct column *col = columns_find_field(t, mem->name, i);
	char why[128] = "";
	struct cell cell;

	if (col == NULL && mem->kind == WEIR_NULL)
		return WEIR_SINK_OK;
	if (col == NULL) {
		int class = plan_column(m, &col, t, rec, mem, changed, res);
		if (class != WEIR_SINK_OK)
			return class;
	}
	if (!col->present || (t->keeps_history && !col->in_history))
		*changed = true;
	enum fit fit = value(m, col, &cell, mem, why);
	if (fit == UNFIT && col->source == COLUMN_INFERRED) {
		widen(col, changed);
		fit = value(m, col, &cell, mem, why);
	}
	if (fit == NO_MEMORY)
		return result_nomem(res);
	if (fit == HAS_NUL)
		return result_bad_value(res, rec, mem->name, col->name,
					col->type.name, mem->raw,
					"holds a NUL character (option nul = "
					"replace takes it)");
	if (fit == UNFIT)
		return conflict(m, t, col, rec, mem, why, changed, res);
	return WEIR_SINK_OK;
}

int
mirror_shape(struct mirror *m, const struct weir_sink_record *rec,
	     bool *changed, struct weir_sink_result *res)
{
	struct table *t = columns_table(m->map, rec->aggregate_type);

	arena_clear(&m->arena);
	if (t == NULL)
		return result_nomem(res);
	if (!t->present)
		*changed = true;
	if (m->history && !columns_keep_history(m->map, t))
		return result_nomem(res);
	if (t->keeps_history && !(t->history_present && t->history_saved))
		*changed = true;
	for (size_t i = 0; i < rec->nstate; i++) {
		int class = shape_member(m, t, rec, i, changed, res);
		if (class != WEIR_SINK_OK)
			return class;
	}
	return WEIR_SINK_OK;
}

int
mirror_fill(struct mirror *m, struct cell *cells, const struct table *t,
	    const struct weir_sink_record *rec)
{
	char why[128];

	for (size_t i = 0; i < t->ncolumns; i++) {
		cells[i].kind = CELL_NULL;
		cells[i].from = NULL;
	}
	for (size_t i = 0; i < rec->nstate; i++) {
		const struct weir_sink_member *mem = &rec->state[i];
		struct column *col = columns_find_field(t, mem->name, i);
		if (col == NULL)
			continue;
		cells[col->index].from = mem;
		if (col->variant != NULL)
			cells[col->variant->index].from = mem;
		enum fit fit = value(m, col, &cells[col->index], mem, why);
		if (fit == NO_MEMORY)
			return -1;
		if (fit == FITS)
			continue;
		cells[col->index].kind = CELL_NULL;
		if (col->variant == NULL || m->conflict != MIRROR_VARIANT)
			continue;
		if (value(m, col->variant, &cells[col->variant->index], mem,
			  why) == NO_MEMORY)
			return -1;
	}
	return 0;
}
