/* SPDX-License-Identifier: MIT */
#ifndef CSV_CSV_H
#define CSV_CSV_H

/* What the files of the CSV sink share. */

#include "cells.h"
#include "common/filesink.h"

#define CSV_COLUMNS_MAX 10000u
#define CSV_ROW_MAX	((size_t)256 << 20)

/* A table in the batch at hand. */
struct csv_use {
	bool used, ready;
	size_t file; /* its place in the set, when ready */
};

/* The map of one set of files, made from the notes in its cursor. */
struct csv_side {
	struct files *set; /* NULL: to be made anew */
	uint64_t loads;
	struct mirror mirror;
	struct csv_use *uses; /* by table->index */
	size_t nuses;
};

struct csv {
	struct filesink base; /* first: filesink's callbacks get it */
	bool guard;
	char null[64];
	struct csv_side stands, replay;
	struct text row;
	struct cell *cells; /* of a row, by column->index */
	size_t ncells;
};

/* Makes the map if the set was read anew. */
int csv_side_refresh(struct csv *s, struct csv_side *side, struct files *set,
		     struct weir_sink_result *res);
void csv_side_drop(struct csv *s, struct csv_side *side);

/* Plans the batch's tables and columns; nothing is written. */
int csv_plan(struct csv_side *side, const struct weir_sink_batch *batch,
	     struct weir_sink_result *res);

/* Gets every file of the batch ready to take rows: writes those anew that get
 * a column, and notes what is new. */
int csv_layout(struct csv *s, struct csv_side *side,
	       struct weir_sink_result *res);

#endif
