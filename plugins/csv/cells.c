/* SPDX-License-Identifier: MIT */
#include "cells.h"

#include <string.h>

/* Would a spreadsheet take it for a formula? */
static bool
runs(struct weir_str s)
{
	return s.len > 0 && s.data[0] != '\0' &&
	       strchr("=+-@\t\r", s.data[0]) != NULL;
}

static bool
needs_quotes(struct weir_str s, const char *null)
{
	if (s.len == 0 || text_same(s, text_of(null)))
		return true;
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == '"' || s.data[i] == ',' || s.data[i] == '\r' ||
		    s.data[i] == '\n')
			return true;
	return false;
}

void
cells_put(struct text *row, struct weir_str s, bool guard, const char *null)
{
	const char *apostrophe = guard && runs(s) ? "'" : "";
	size_t from = 0;

	if (!needs_quotes(s, null)) {
		text_puts(row, apostrophe);
		text_str(row, s);
		return;
	}
	text_putc(row, '"');
	text_puts(row, apostrophe);
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] != '"')
			continue;
		text_add(row, s.data + from, i + 1 - from);
		from = i;
	}
	text_add(row, s.data + from, s.len - from);
	text_putc(row, '"');
}

void
cells_header(struct text *row, const struct table *t)
{
	for (size_t i = 0; columns_base[i] != NULL; i++) {
		if (i > 0)
			text_putc(row, ',');
		text_puts(row, columns_base[i]);
	}
	for (size_t i = 0; i < t->ncolumns; i++) {
		text_putc(row, ',');
		text_puts(row, t->columns[i]->name);
	}
	text_puts(row, CELLS_END);
}

void
cells_widen(struct text *out, struct cells_widen *w, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (w->cr && p[i] != '\n')
			text_putc(out, '\r');
		if (p[i] == '"')
			w->quoted = !w->quoted;
		if (!w->quoted && p[i] == '\r') {
			w->cr = true;
			continue;
		}
		if (!w->quoted && p[i] == '\n') {
			for (size_t k = 0; k < w->n; k++)
				text_putc(out, ',');
			if (w->cr)
				text_putc(out, '\r');
		}
		w->cr = false;
		text_putc(out, p[i]);
	}
}
