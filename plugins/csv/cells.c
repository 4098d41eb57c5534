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

/* Non-zero when a byte of the word is c; may be so for others of 0x80 and
 * above, too. */
static uint64_t
has(uint64_t word, unsigned char c)
{
	uint64_t ones = 0x0101010101010101u;
	uint64_t diff = word ^ (ones * c);

	return (diff - ones) & ~diff & ones << 7;
}

static bool
special(char c)
{
	return c == '"' || c == ',' || c == '\r' || c == '\n';
}

static bool
needs_quotes(struct weir_str s, const char *null)
{
	size_t i = 0;
	uint64_t w;

	if (s.len == 0 || text_same(s, text_of(null)))
		return true;
	for (; i + 8 <= s.len; i += 8) {
		memcpy(&w, s.data + i, 8);
		if ((has(w, '"') | has(w, ',') | has(w, '\r') |
		     has(w, '\n')) != 0)
			break;
	}
	for (; i < s.len; i++)
		if (special(s.data[i]))
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
