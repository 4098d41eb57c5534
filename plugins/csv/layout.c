/* SPDX-License-Identifier: MIT */
/*
 * Which file and which columns a record goes to. The map is kept as notes in
 * the cursor, in the order in which files and columns came:
 *
 *	note table TYPE NAME
 *	note column TYPE FIELD NAME
 *	note variant TYPE FIELD NAME
 *
 * 1. The header of a file that is not empty is the base columns and then the
 *    noted columns of its table, in the order of the notes.
 * 2. So the notes of a table and its file change in one step: by a swap when
 *    the file holds rows, by the notes alone when it is empty (its header is
 *    written with its first row).
 */
#include "csv.h"

#include <string.h>

#define CHUNK ((size_t)64 << 10)

/* ---- the map from the notes --------------------------------------------- */

/* Cuts the next word off *at and unescapes it; absent at the end. */
static struct weir_str
next_word(char **at)
{
	struct weir_str word = {NULL, 0};
	char *space;

	if (*at == NULL)
		return word;
	space = strchr(*at, ' ');
	if (space != NULL)
		*space++ = '\0';
	word.data = *at;
	word.len = filecursor_unescape(*at);
	*at = space;
	return word;
}

/* The datatype that the field has now. */
static enum column_source
type_now(const struct mirror *m, struct sqltype *out, struct weir_str type,
	 struct weir_str field)
{
	char name[64] = "";
	enum weir_type_source source =
		m->host->column_type(m->host->cookie, type, field, name);

	if (source != WEIR_TYPE_NONE && sqltype_parse(out, name) == 0)
		return (enum column_source)source;
	*out = sqltype_text;
	return COLUMN_INFERRED;
}

static bool
load_column(struct mirror *m, struct table *t, struct weir_str field,
	    const char *name, bool variant)
{
	enum column_source source;
	struct sqltype type;
	struct column *col;

	if (variant) {
		col = columns_find_field(t, field, 0);
		if (col != NULL)
			col = columns_load_variant(m->map, t, col, name);
	} else {
		source = type_now(m, &type, t->aggregate_type, field);
		col = columns_load_field(m->map, t, field, name, &type, source);
	}
	if (col != NULL)
		col->present = true;
	return col != NULL;
}

/* One note, which is changed; false without memory. */
static bool
load_note(struct mirror *m, char *note)
{
	struct weir_str kind = next_word(&note), type = next_word(&note);
	struct weir_str field, name;
	struct table *t;

	if (text_same(kind, text_of("table"))) {
		name = next_word(&note);
		t = columns_load_table(m->map, type, name.data);
		if (t != NULL)
			t->present = true;
		return t != NULL;
	}
	field = next_word(&note);
	name = next_word(&note);
	t = columns_find_table(m->map, type);
	if (name.data == NULL || t == NULL)
		return true;
	return load_column(m, t, field, name.data,
			   text_same(kind, text_of("variant")));
}

static bool
load_notes(struct mirror *m, const struct file_cursor *c)
{
	for (size_t i = 0; i < c->nnotes; i++) {
		struct weir_str copy = sink_dup(m->host, text_of(c->notes[i]));
		bool ok = copy.data != NULL && load_note(m, (char *)copy.data);

		if (copy.data != NULL)
			m->host->release(m->host->cookie, (char *)copy.data);
		if (!ok)
			return false;
	}
	return true;
}

void
csv_side_drop(struct csv *s, struct csv_side *side)
{
	if (side->mirror.host != NULL)
		mirror_fini(&side->mirror);
	sink_free(s->base.o.host, side->uses);
	memset(side, 0, sizeof(*side));
}

/* A replay begins with the columns of the files that stand, so that a field
 * keeps its column. */
static bool
seed_notes(struct csv *s, struct files *set)
{
	const struct file_cursor *c = files_cursor(s->base.files);

	if (set == s->base.files || files_found(set) ||
	    files_cursor(set)->nnotes > 0)
		return true;
	for (size_t i = 0; i < c->nnotes; i++)
		if (!files_note(set, c->notes[i]))
			return false;
	return true;
}

int
csv_side_refresh(struct csv *s, struct csv_side *side, struct files *set,
		 struct weir_sink_result *res)
{
	if (side->set == set && side->loads == files_loads(set))
		return WEIR_SINK_OK;
	csv_side_drop(s, side);
	mirror_init(&side->mirror, &s->base.o, false);
	side->mirror.columns_max = CSV_COLUMNS_MAX;
	side->mirror.map = columns_new(s->base.o.host, NULL);
	if (side->mirror.map == NULL || !seed_notes(s, set) ||
	    !load_notes(&side->mirror, files_cursor(set))) {
		csv_side_drop(s, side);
		files_reread(set);
		return result_nomem(res);
	}
	side->set = set;
	side->loads = files_loads(set);
	return WEIR_SINK_OK;
}

/* ---- planning ----------------------------------------------------------- */

static bool
mark_used(struct csv_side *side, const struct table *t)
{
	const struct weir_sink_host *host = side->mirror.host;
	size_t n = side->nuses;
	struct csv_use *uses;

	if (t->index >= n) {
		n = t->index * 2 + 8;
		uses = host->resize(host->cookie, side->uses,
				    n * sizeof(*uses));
		if (uses == NULL)
			return false;
		memset(uses + side->nuses, 0,
		       (n - side->nuses) * sizeof(*uses));
		side->uses = uses;
		side->nuses = n;
	}
	side->uses[t->index].used = true;
	return true;
}

int
csv_plan(struct csv_side *side, const struct weir_sink_batch *batch,
	 struct weir_sink_result *res)
{
	struct mirror *m = &side->mirror;

	if (side->nuses > 0)
		memset(side->uses, 0, side->nuses * sizeof(*side->uses));
	for (uint32_t i = 0; i < batch->nrecords; i++) {
		const struct weir_sink_record *r = batch->records[i];
		struct table *t;
		bool changed;
		int class;

		if (files_applied(side->set, batch, r))
			continue;
		arena_clear(&m->arena);
		class = mirror_shape(m, r, &changed, res);
		if (class != WEIR_SINK_OK)
			return class;
		t = columns_find_table(m->map, r->aggregate_type);
		if (t == NULL || !mark_used(side, t))
			return result_nomem(res);
	}
	return WEIR_SINK_OK;
}

/* ---- notes and files ---------------------------------------------------- */

static void
put_word(struct text *line, struct weir_str s)
{
	text_putc(line, ' ');
	filecursor_put_word(line, s.data, s.len);
}

static bool
note(struct csv *s, struct files *set, const char *kind, const struct table *t,
     const struct column *col)
{
	struct text line;
	bool ok;

	text_init(&line, s->base.o.host, 1 << 20);
	text_puts(&line, kind);
	put_word(&line, t->aggregate_type);
	if (col != NULL)
		put_word(&line, col->field);
	put_word(&line, text_of(col != NULL ? col->name : t->name));
	ok = !line.failed && files_note(set, text_cstr(&line));
	text_fini(&line);
	return ok;
}

/* Notes what is new of a table. */
static int
note_table(struct csv *s, struct csv_side *side, struct table *t,
	   struct weir_sink_result *res)
{
	bool ok = t->present || note(s, side->set, "table", t, NULL);

	for (size_t i = 0; i < t->ncolumns && ok; i++) {
		const struct column *col = t->columns[i];

		if (!col->present)
			ok = note(s, side->set,
				  col->of != NULL ? "variant" : "column", t,
				  col);
	}
	return ok ? WEIR_SINK_OK : result_nomem(res);
}

static size_t
count_new(const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ncolumns; i++)
		n += !t->columns[i]->present;
	return n;
}

static const struct file_entry *
entry(const struct csv_side *side, const struct table *t)
{
	return &files_cursor(side->set)->files[side->uses[t->index].file];
}

static int
want_file(struct csv_side *side, const struct table *t,
	  struct weir_sink_result *res)
{
	struct csv_use *use = &side->uses[t->index];
	char name[IDENT_SIZE + 4];
	int class;

	if (use->ready)
		return WEIR_SINK_OK;
	memcpy(name, t->name, strlen(t->name) + 1);
	memcpy(name + strlen(name), ".csv", 5);
	class = files_want(side->set, &use->file, name, res);
	use->ready = class == WEIR_SINK_OK;
	return class;
}

/* Skips the header of the file: where its first row begins. */
static int
header_end(struct csv *s, struct csv_side *side, const struct table *t,
	   uint64_t *end, struct weir_sink_result *res)
{
	const struct file_entry *e = entry(side, t);

	for (*end = 0; *end < e->length;) {
		size_t n = e->length - *end < CHUNK ? e->length - *end : CHUNK;
		const char *newline;
		int class;

		text_clear(&s->row);
		if (!text_reserve(&s->row, n))
			return result_nomem(res);
		class = files_read(side->set, side->uses[t->index].file,
				   s->row.data, n, *end, res);
		if (class != WEIR_SINK_OK)
			return class;
		newline = memchr(s->row.data, '\n', n);
		if (newline != NULL) {
			*end += (uint64_t)(newline - s->row.data) + 1;
			return WEIR_SINK_OK;
		}
		*end += n;
	}
	return WEIR_SINK_OK;
}

/* Writes the file anew: a header with the new columns, and every row with
 * empty cells in them. */
static int
rewrite(struct csv *s, struct csv_side *side, struct table *t,
	struct weir_sink_result *res)
{
	const size_t file = side->uses[t->index].file;
	struct cells_widen w = {.n = count_new(t)};
	struct text wide;
	uint64_t at;
	int class = header_end(s, side, t, &at, res);

	if (class == WEIR_SINK_OK)
		class = files_scratch_begin(side->set, file, res);
	text_init(&wide, s->base.o.host, CSV_ROW_MAX);
	cells_header(&wide, t);
	while (class == WEIR_SINK_OK) {
		uint64_t left = entry(side, t)->length - at;
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (wide.failed || !text_reserve(&s->row, CHUNK)) {
			class = result_nomem(res);
			break;
		}
		class = files_scratch_put(side->set, wide.data, wide.len, res);
		if (class != WEIR_SINK_OK || n == 0)
			break;
		class = files_read(side->set, file, s->row.data, n, at, res);
		at += n;
		text_clear(&wide);
		cells_widen(&wide, &w, s->row.data, n);
	}
	text_fini(&wide);
	if (class == WEIR_SINK_OK)
		class = note_table(s, side, t, res);
	return class == WEIR_SINK_OK ? files_scratch_end(side->set, res)
				     : class;
}

/* A file that was there before the sink must begin with the header that it
 * would get. */
static int
check_before(struct csv *s, struct csv_side *side, const struct table *t,
	     struct weir_sink_result *res)
{
	struct text want;
	int class = WEIR_SINK_OK;
	bool same;

	text_init(&want, s->base.o.host, CSV_ROW_MAX);
	cells_header(&want, t);
	text_clear(&s->row);
	same = entry(side, t)->length >= want.len;
	if (want.failed || !text_reserve(&s->row, want.len))
		class = result_nomem(res);
	else if (same)
		class = files_read(side->set, side->uses[t->index].file,
				   s->row.data, want.len, 0, res);
	if (class == WEIR_SINK_OK && same)
		same = memcmp(s->row.data, want.data, want.len) == 0;
	text_fini(&want);
	if (class != WEIR_SINK_OK || same)
		return class;
	return result_set(res, WEIR_SINK_BLOCKED, "FILE",
			  "move the file away, or choose another folder",
			  "%s/%s.csv is there already, with another header "
			  "than its rows will need",
			  s->base.folder, t->name);
}

static int
settle_table(struct csv *s, struct csv_side *side, struct table *t,
	     struct weir_sink_result *res)
{
	const struct file_entry *e;
	int class = want_file(side, t, res);

	if (class != WEIR_SINK_OK)
		return class;
	e = entry(side, t);
	if (e->known && e->length > 0)
		return count_new(t) > 0 ? rewrite(s, side, t, res)
					: WEIR_SINK_OK;
	if (e->length > 0)
		class = check_before(s, side, t, res);
	return class == WEIR_SINK_OK ? note_table(s, side, t, res) : class;
}

int
csv_layout(struct csv *s, struct csv_side *side, struct weir_sink_result *res)
{
	/* one table after the other: a swap stores all notes made so far, so
	 * those of a table are made only when its own file follows at once */
	for (size_t i = 0; i < side->nuses; i++) {
		int class = WEIR_SINK_OK;

		if (side->uses[i].used)
			class = settle_table(
				s, side, columns_table_at(side->mirror.map, i),
				res);
		if (class != WEIR_SINK_OK)
			return class;
	}
	columns_keep(side->mirror.map);
	return WEIR_SINK_OK;
}
