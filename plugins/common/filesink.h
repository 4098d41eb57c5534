/* SPDX-License-Identifier: MIT */
#ifndef COMMON_FILESINK_H
#define COMMON_FILESINK_H

/*
 * What the sinks that write files share: the callbacks of a sink over two
 * sets of files, the one that stands and, during a replay, the one that is
 * written anew and takes its place at the end.
 */

#include "common/files.h"

/* The cursor file of a sink that fills a folder. */
#define FILESINK_FOLDER_CURSOR ".weir-cursor"

struct filesink {
	struct weir_sink_open o;
	struct files *files;
	struct files *replay; /* NULL: none is being written */
	uint64_t replayed;    /* the last replay ended here */

	/* Set by the plugin before filesink_open. */
	char folder[4096], cursor[272];
	bool make_folder;

	/* Applies a batch to a set that has begun it, from files_want to
	 * files_commit or files_abort. */
	int (*write)(struct filesink *s, struct files *set,
		     const struct weir_sink_batch *batch,
		     struct weir_sink_result *res);
};

int filesink_open(struct filesink *s, const struct weir_sink_open *o,
		  struct weir_sink_result *res);
void filesink_close(struct filesink *s);

/* Callbacks; sink is a struct filesink. */
int filesink_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
		    struct weir_sink_result *res);
int filesink_deliver(void *sink, const struct weir_sink_batch *batch,
		     struct weir_sink_result *res);
int filesink_rewind(void *sink, uint64_t sequence,
		    struct weir_sink_result *res);

#endif
