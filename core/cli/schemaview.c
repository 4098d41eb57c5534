/* SPDX-License-Identifier: MIT */
/* Schemas as tables for people. */
#include "cli/schemaview.h"

#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#define LIST_CELLS 6
#define SHOW_CELLS 4

/* ---- cells --------------------------------------------------------------- */

/* Rows of texts that are freed together. */
struct grid {
	const char **cell;
	size_t n, cap;
};

static void
grid_add(struct grid *g, const char *text)
{
	if (g->n == g->cap) {
		size_t cap = g->cap == 0 ? 64 : 2 * g->cap;
		const char **more = must_mem(cap * sizeof(*more));
		if (g->n > 0)
			memcpy(more, g->cell, g->n * sizeof(*more));
		mem_free(g->cell);
		g->cell = more;
		g->cap = cap;
	}
	g->cell[g->n++] = must_dup(text);
}

static void
grid_add_str(struct grid *g, struct weir_str s)
{
	char shown[160];

	grid_add(g, str_show(shown, sizeof(shown), s));
}

static void
grid_free(struct grid *g)
{
	for (size_t i = 0; i < g->n; i++)
		mem_free((void *)(uintptr_t)g->cell[i]);
	mem_free(g->cell);
}

/* ---- what is shown ------------------------------------------------------- */

struct weir_str
schemaview_member(struct weir_str object, const char *name)
{
	struct weir_str value = {"null", 4};

	(void)json_get(object, name, &value);
	return value;
}

/* A string without its quotes, anything else as it stands; the caller clears
 * room. */
static struct weir_str
plain(struct buf *room, struct weir_str value)
{
	buf_clear(room);
	if (json_kind(value) == WEIR_STRING)
		json_decode_buf(room, value);
	else if (json_kind(value) == WEIR_NULL)
		buf_putc(room, '-');
	else
		buf_add_str(room, value);
	return buf_str(room);
}

/* The names of an object, or the values of an array, with commas. */
static void
put_names(struct buf *out, struct weir_str container, const char *none)
{
	struct weir_str key, value;
	struct json_iter it;
	size_t n = 0;

	json_iter_init(&it, container);
	while (json_iter_next(&it, &key, &value)) {
		if (n++ > 0)
			buf_puts(out, ", ");
		json_decode_buf(out, it.object ? key : value);
	}
	if (n == 0)
		buf_puts(out, none);
}

static void
list_row(struct grid *g, struct buf *room, struct weir_str schema)
{
	grid_add_str(g, plain(room, schemaview_member(schema, "aggregate")));
	buf_clear(room);
	put_names(room, schemaview_member(schema, "events"), "-");
	grid_add_str(g, buf_str(room));
	grid_add(g, str_is(schemaview_member(schema, "locked"), "true") ? "yes"
									: "no");
	buf_clear(room);
	put_names(room, schemaview_member(schema, "field_locks"), "-");
	grid_add_str(g, buf_str(room));
	grid_add_str(g, plain(room,
			      schemaview_member(schema, "snapshot_threshold")));
	grid_add_str(g, plain(room, schemaview_member(schema, "version")));
}

void
schemaview_list(struct cli *c, struct weir_str all)
{
	static const char *const header[LIST_CELLS] = {
		"AGGREGATE",	 "EVENTS",    "LOCKED",
		"LOCKED FIELDS", "THRESHOLD", "VERSION"};
	struct weir_str key, schema;
	struct grid g = {0};
	struct json_iter it;
	struct buf room;

	buf_init(&room, CLI_TEXT_MAX);
	for (size_t i = 0; i < LIST_CELLS; i++)
		grid_add(&g, header[i]);
	json_iter_init(&it, all);
	while (json_iter_next(&it, &key, &schema))
		list_row(&g, &room, schema);
	if (g.n > LIST_CELLS)
		out_table(c, g.cell, LIST_CELLS, g.n / LIST_CELLS, 0x30);
	else
		cli_note(c, "no aggregate is declared; `weir schema create` "
			    "declares one");
	buf_fini(&room);
	grid_free(&g);
}

static void
show_event(struct grid *g, struct buf *room, struct weir_str name,
	   struct weir_str event)
{
	struct weir_str key, field;
	struct json_iter it;
	size_t n = 0;

	json_iter_init(&it, schemaview_member(event, "fields"));
	while (json_iter_next(&it, &key, &field)) {
		grid_add_str(g, plain(room, name));
		grid_add_str(g, plain(room, key));
		grid_add_str(g, plain(room, schemaview_member(field, "type")));
		grid_add(g, str_is(schemaview_member(field, "required"), "true")
				    ? "yes"
				    : "no");
		n++;
	}
	if (n > 0)
		return;
	grid_add_str(g, plain(room, name));
	grid_add(g, "any");
	grid_add(g, "-");
	grid_add(g, "-");
}

void
schemaview_one(struct cli *c, struct weir_str schema)
{
	static const char *const header[SHOW_CELLS] = {"EVENT", "FIELD", "TYPE",
						       "REQUIRED"};
	struct weir_str key, event;
	struct grid g = {0};
	struct json_iter it;
	struct buf room, locks;
	char name[160], shown[400];

	buf_init(&room, CLI_TEXT_MAX);
	buf_init(&locks, CLI_TEXT_MAX);
	put_names(&locks, schemaview_member(schema, "field_locks"), "none");
	str_show(name, sizeof(name),
		 plain(&room, schemaview_member(schema, "aggregate")));
	buf_printf(&c->out, "%s  version %s", name,
		   buf_cstr((plain(&room, schemaview_member(schema, "version")),
			     &room)));
	if (str_is(schemaview_member(schema, "locked"), "true"))
		buf_puts(&c->out, "  locked");
	buf_printf(&c->out, "  locked fields: %s",
		   str_show(shown, sizeof(shown), buf_str(&locks)));
	if (json_kind(schemaview_member(schema, "snapshot_threshold")) ==
	    WEIR_NUMBER)
		buf_printf(
			&c->out, "  snapshot threshold: %s",
			buf_cstr((plain(&room,
					schemaview_member(
						schema, "snapshot_threshold")),
				  &room)));
	buf_puts(&c->out, "\n\n");
	for (size_t i = 0; i < SHOW_CELLS; i++)
		grid_add(&g, header[i]);
	json_iter_init(&it, schemaview_member(schema, "events"));
	while (json_iter_next(&it, &key, &event))
		show_event(&g, &room, key, event);
	out_table(c, g.cell, SHOW_CELLS, g.n / SHOW_CELLS, 0);
	buf_fini(&locks);
	buf_fini(&room);
	grid_free(&g);
}

void
schemaview_history(struct cli *c, struct weir_str all)
{
	static const char *const names[] = {"version", "event_type"};
	struct weir_str key, record, meta, by;
	struct json_iter it;
	struct buf room;

	buf_init(&room, CLI_TEXT_MAX);
	json_iter_init(&it, all);
	while (json_iter_next(&it, &key, &record)) {
		meta = schemaview_member(record, "metadata");
		for (size_t i = 0; i < 2; i++)
			buf_printf(&c->out, "%s  ",
				   buf_cstr((plain(&room,
						   schemaview_member(record,
								     names[i])),
					     &room)));
		buf_printf(
			&c->out, "%s  ",
			buf_cstr((plain(&room, schemaview_member(
						       meta, "committed_at")),
				  &room)));
		by = schemaview_member(meta, "issued_by");
		if (json_kind(by) == WEIR_OBJECT)
			plain(&room, schemaview_member(by, "user"));
		else
			plain(&room, by);
		buf_printf(&c->out, "%s\n", buf_cstr(&room));
		json_put_compact(&c->out, schemaview_member(record, "payload"));
		buf_putc(&c->out, '\n');
	}
	buf_fini(&room);
}
