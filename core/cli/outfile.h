/* SPDX-License-Identifier: MIT */
#ifndef CLI_OUTFILE_H
#define CLI_OUTFILE_H

/*
 * A file that a command writes from beginning to end. Atomic: it is written
 * beside the path and stands there whole and synced after outfile_finish, or
 * not at all. Else it grows in place and keeps what was written.
 */

#include <stdbool.h>
#include <weir/types.h>
#include "base/buf.h"

struct outfile;

int outfile_open(struct outfile **out, const char *path, bool atomic,
		 struct weir_err *err);
/* Append with buf_*; spill writes when much is waiting, flush always. */
struct buf *outfile_buf(struct outfile *f);
int outfile_spill(struct outfile *f, struct weir_err *err);
int outfile_flush(struct outfile *f, struct weir_err *err);
int outfile_finish(struct outfile *f, struct weir_err *err);
void outfile_close(struct outfile *f); /* without finish: given up */

#endif
