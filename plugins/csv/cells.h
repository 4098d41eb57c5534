/* SPDX-License-Identifier: MIT */
#ifndef CSV_CELLS_H
#define CSV_CELLS_H

/*
 * Rows as RFC 4180 has them: cells parted by commas, lines ended by CR LF, a
 * cell in quotes when it holds a quote, a comma, CR or LF. An empty string is
 * a pair of quotes; a cell with nothing in it means that there is no value.
 */

#include "common/mirror.h"

/* A cell of text. guard: one that a spreadsheet would run gets an apostrophe
 * in front. null is how a JSON null is written: text equal to it is quoted. */
void cells_put(struct text *row, struct weir_str s, bool guard,
	       const char *null);

/* Header and row ends. */
void cells_header(struct text *row, const struct table *t);
#define CELLS_END "\r\n"

/* Copies rows and gives each of them n more empty cells. */
struct cells_widen {
	bool quoted; /* inside quotes */
	bool cr;     /* the last byte was a CR outside of them */
	size_t n;
};
void cells_widen(struct text *out, struct cells_widen *w, const char *p,
		 size_t n);

#endif
