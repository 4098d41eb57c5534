/* SPDX-License-Identifier: MIT */
#ifndef BUS_DEADVIEW_H
#define BUS_DEADVIEW_H

/* How dead letters are shown, by the command line and the server. */

#include "base/buf.h"

struct dead_letter;
struct store;

/* "parked", "retry", "discard", or as what it was closed. */
const char *deadview_status(const struct dead_letter *e);

/* Appends the entry as a JSON object without its closing brace. */
void deadview_entry(struct buf *out, const struct dead_letter *e);

/* The whole object, with the value that was refused and the record. */
int deadview_whole(struct buf *out, struct store *s,
		   const struct dead_letter *e, struct weir_err *err);

#endif
