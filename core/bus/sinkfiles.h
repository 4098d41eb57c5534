/* SPDX-License-Identifier: MIT */
#ifndef BUS_SINKFILES_H
#define BUS_SINKFILES_H

/* Paths of a sink's folder and small helpers over its files. */

#include <stdbool.h>
#include <weir/types.h>

#define SINK_PATH_MAX 4096

/* DIR/sinks/NAME/FILE (file NULL: the folder; name NULL: DIR/sinks). */
int sinkfile_path(char out[SINK_PATH_MAX], const char *store_dir,
		  const char *name, const char *file, struct weir_err *err);

/* [A-Za-z0-9][A-Za-z0-9_.-]*, at most 63. */
int sinkfile_check_name(const char *name, struct weir_err *err);

/* Tells one state of a file from another (inode, size, time); 0 when it is
 * not there. */
uint64_t sinkfile_mark(const char *path);

/* Replaces a small file atomically but without a sync: for what may be lost
 * with the machine (status). */
int sinkfile_replace(const char *path, const void *p, size_t n,
		     struct weir_err *err);

/* Removes a file; one that is not there is fine. */
int sinkfile_remove(const char *path, struct weir_err *err);

#endif
