/* SPDX-License-Identifier: MIT */
/*
 * The CSV sink: a file for every aggregate type, a row for every record with
 * the aggregate's state at that version. weir-sink-csv(7) is its manual;
 * layout.c gets the files ready for a batch, common/filesink.h keeps them and
 * their cursor true to each other.
 *
 * 1. A value is written as it came: numbers digit for digit, strings decoded.
 *    One that a mapped column can't take refuses the record before anything
 *    of the batch is written.
 */
#include "csv.h"

#include <stdio.h>
#include <string.h>

static const struct weir_sink_option options[] = {
	{"output-dir", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, NULL, "FOLDER",
	 "the folder that gets a file for each aggregate type"},
	{"guard", WEIR_OPT_BOOL, WEIR_OPT_RELOADABLE, "false", NULL,
	 "put an apostrophe before text that a spreadsheet would run"},
	{"null", WEIR_OPT_STRING, WEIR_OPT_RELOADABLE, "", "TEXT",
	 "what stands for a JSON null"},
	MIRROR_OPTIONS,
	{0},
};

/* ---- rows ---------------------------------------------------------------- */

static int
room_for_cells(struct csv *s, size_t n, struct weir_sink_result *res)
{
	const struct weir_sink_host *host = s->base.o.host;
	void *p;

	if (n <= s->ncells)
		return WEIR_SINK_OK;
	p = host->resize(host->cookie, s->cells, n * 2 * sizeof(*s->cells));
	if (p == NULL)
		return result_nomem(res);
	s->cells = p;
	s->ncells = n * 2;
	return WEIR_SINK_OK;
}

static void
put_base(struct csv *s, const struct weir_sink_record *r)
{
	const struct weir_sink_host *host = s->base.o.host;
	char time[28];

	cells_put(&s->row, r->aggregate_id, s->guard, s->null);
	text_putc(&s->row, ',');
	text_u64(&s->row, r->version);
	text_putc(&s->row, ',');
	host->time_text(host->cookie, r->first_at, time);
	text_puts(&s->row, time);
	text_putc(&s->row, ',');
	if (r->first_user.data != NULL)
		cells_put(&s->row, r->first_user, s->guard, s->null);
	text_putc(&s->row, ',');
	host->time_text(host->cookie, r->created_at, time);
	text_puts(&s->row, time);
	text_putc(&s->row, ',');
	if (r->user.data != NULL)
		cells_put(&s->row, r->user, s->guard, s->null);
}

static void
put_cell(struct csv *s, const struct column *col)
{
	const struct cell *cell = &s->cells[col->index];
	const struct weir_sink_member *from = cell->from;

	if (cell->kind == CELL_NULL) {
		if (from != NULL && from->kind == WEIR_NULL && col->of == NULL)
			text_puts(&s->row, s->null);
	} else if (cell->kind == CELL_TEXT) {
		cells_put(&s->row, cell->text,
			  s->guard && from->kind != WEIR_NUMBER, s->null);
	} else if (col->type.family == SQL_BOOLEAN) {
		text_puts(&s->row, cell->i != 0 ? "true" : "false");
	} else {
		text_i64(&s->row, cell->i);
	}
}

/* The row of a record into s->row. */
static int
make_row(struct csv *s, struct mirror *m, const struct table *t,
	 const struct weir_sink_record *r, struct weir_sink_result *res)
{
	int class = room_for_cells(s, t->ncolumns, res);

	if (class != WEIR_SINK_OK)
		return class;
	arena_clear(&m->arena);
	if (mirror_fill(m, s->cells, t, r) != 0)
		return result_nomem(res);
	text_clear(&s->row);
	put_base(s, r);
	for (size_t i = 0; i < t->ncolumns; i++) {
		text_putc(&s->row, ',');
		put_cell(s, t->columns[i]);
	}
	text_puts(&s->row, CELLS_END);
	return s->row.failed ? result_nomem(res) : WEIR_SINK_OK;
}

/* Before the first row of a batch: the header of an empty file, the end of a
 * last line that has none. */
static int
open_file(struct csv *s, struct csv_side *side, const struct table *t,
	  struct weir_sink_result *res)
{
	const size_t file = side->uses[t->index].file;
	const struct file_entry *e = &files_cursor(side->set)->files[file];
	char last = '\n';
	int class = WEIR_SINK_OK;

	text_clear(&s->row);
	if (e->length == 0)
		cells_header(&s->row, t);
	else
		class = files_read(side->set, file, &last, 1, e->length - 1,
				   res);
	if (class != WEIR_SINK_OK)
		return class;
	if (last != '\n')
		text_puts(&s->row, CELLS_END);
	if (s->row.failed)
		return result_nomem(res);
	return files_append(side->set, file, s->row.data, s->row.len, res);
}

static int
append_rows(struct csv *s, struct csv_side *side,
	    const struct weir_sink_batch *batch, struct weir_sink_result *res)
{
	for (size_t i = 0; i < side->nuses; i++) {
		int class = WEIR_SINK_OK;

		if (side->uses[i].used)
			class = open_file(s, side,
					  columns_table_at(side->mirror.map, i),
					  res);
		if (class != WEIR_SINK_OK)
			return class;
	}
	for (uint32_t i = 0; i < batch->nrecords; i++) {
		const struct weir_sink_record *r = batch->records[i];
		const struct table *t;
		int class;

		if (files_applied(side->set, batch, r))
			continue;
		t = columns_find_table(side->mirror.map, r->aggregate_type);
		class = make_row(s, &side->mirror, t, r, res);
		if (class == WEIR_SINK_OK)
			class = files_append(side->set,
					     side->uses[t->index].file,
					     s->row.data, s->row.len, res);
		if (class != WEIR_SINK_OK)
			return class;
	}
	return WEIR_SINK_OK;
}

static int
write_batch(struct filesink *base, struct files *set,
	    const struct weir_sink_batch *batch, struct weir_sink_result *res)
{
	struct csv *s = (struct csv *)base;
	struct csv_side *side = set == base->files ? &s->stands : &s->replay;
	int class = csv_side_refresh(s, side, set, res);

	if (class != WEIR_SINK_OK)
		return class;
	class = csv_plan(side, batch, res);
	if (class == WEIR_SINK_OK)
		class = csv_layout(s, side, res);
	if (class == WEIR_SINK_OK)
		class = files_prepare(set, batch, res);
	if (class != WEIR_SINK_OK) {
		csv_side_drop(s, side);
		files_reread(set);
		return class;
	}
	class = append_rows(s, side, batch, res);
	if (class == WEIR_SINK_OK)
		class = files_commit(set, batch, res);
	if (class != WEIR_SINK_OK)
		files_abort(set);
	return class;
}

/* ---- the callbacks ------------------------------------------------------- */

static int
csv_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	const char *folder = setting_get(o, "output-dir");
	const char *null = setting_get(o, "null");
	const char *wrong = NULL;

	if (folder == NULL || *folder == '\0')
		wrong = "output-dir is missing";
	else if (strlen(folder) > 4000)
		wrong = "output-dir is over 4000 bytes; shorten it";
	else if (null != NULL && strlen(null) > 60)
		wrong = "null is over 60 bytes; shorten it";
	else if (null != NULL && strpbrk(null, "\",\r\n") != NULL)
		wrong = "null holds a quote, a comma or a line end; leave them "
			"out";
	return wrong == NULL ? WEIR_SINK_OK
			     : result_set(res, WEIR_SINK_REJECT, "22023", NULL,
					  "%s", wrong);
}

static void
settle(struct csv *s, const struct weir_sink_open *o)
{
	const char *null = setting_get(o, "null");

	s->guard = setting_bool(o, "guard");
	(void)snprintf(s->null, sizeof(s->null), "%s",
		       null != NULL ? null : "");
}

static void
csv_close(void *sink)
{
	struct csv *s = sink;
	const struct weir_sink_host *host = s->base.o.host;

	csv_side_drop(s, &s->stands);
	csv_side_drop(s, &s->replay);
	filesink_close(&s->base);
	text_fini(&s->row);
	sink_free(host, s->cells);
	sink_free(host, s);
}

static int
csv_open(void **out, const struct weir_sink_open *o,
	 struct weir_sink_result *res)
{
	struct csv *s;
	size_t n;
	int class = csv_validate(o, res);

	if (class != WEIR_SINK_OK)
		return class;
	s = sink_alloc(o->host, sizeof(*s));
	if (s == NULL)
		return result_nomem(res);
	s->base.write = write_batch;
	s->base.make_folder = true;
	s->base.o = *o;
	text_init(&s->row, o->host, CSV_ROW_MAX);
	settle(s, o);
	(void)snprintf(s->base.folder, sizeof(s->base.folder), "%s",
		       setting_get(o, "output-dir"));
	for (n = strlen(s->base.folder); n > 1 && s->base.folder[n - 1] == '/';)
		s->base.folder[--n] = '\0';
	(void)snprintf(s->base.cursor, sizeof(s->base.cursor), "%s",
		       FILESINK_FOLDER_CURSOR);
	class = filesink_open(&s->base, o, res);
	if (class != WEIR_SINK_OK) {
		csv_close(s);
		return class;
	}
	*out = s;
	return WEIR_SINK_OK;
}

static int
csv_probe(void *sink, struct weir_sink_result *res)
{
	struct csv *s = sink;

	return files_probe(s->base.files, res);
}

static int
csv_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct csv *s = sink;

	csv_side_drop(s, &s->replay);
	return filesink_rewind(&s->base, sequence, res);
}

static int
csv_reload(void *sink, const struct weir_sink_open *o,
	   struct weir_sink_result *res)
{
	struct csv *s = sink;
	int class = o != NULL ? csv_validate(o, res) : WEIR_SINK_OK;

	if (class != WEIR_SINK_OK)
		return class;
	if (o != NULL)
		settle(s, o);
	files_rotated(s->base.files);
	return WEIR_SINK_OK;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(struct weir_sink_plugin),
	.name = "csv",
	.version = "0.1.0",
	.summary =
		"writes a CSV file for each aggregate type, a row per record",
	.capabilities =
		WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_REWRITES,
	.needs = WEIR_SINK_NEED_STATE | WEIR_SINK_NEED_TYPES,
	.options = options,
	.validate = csv_validate,
	.open = csv_open,
	.resume = filesink_resume,
	.deliver = filesink_deliver,
	.probe = csv_probe,
	.rewind = csv_rewind,
	.reload = csv_reload,
	.close = csv_close,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
