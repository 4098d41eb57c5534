/* SPDX-License-Identifier: MIT */
#ifndef COMMON_FILES_IMPL_H
#define COMMON_FILES_IMPL_H

/* What files.c, files_load.c and files_swap.c share; nobody else includes it.
 */

#include "common/files.h"

#define FILES_PATH_MAX	 4608
#define FILES_HEAD_BYTES 256u /* of a file, known again by their hash */

/* What has to be done before the files are as the cursor in memory says. */
enum files_dirt {
	DIRT_NONE,
	DIRT_CUT,     /* touched files are to be cut to their length */
	DIRT_RESTORE, /* the cursor is to be written again, then DIRT_CUT */
	DIRT_RELOAD   /* the cursor on disk rules: it is to be read again */
};

struct files {
	const struct weir_sink_host *host;
	const struct weir_sink_files *io;
	char *folder, *cursor, *suffix;
	char store[37], sink[64];
	uint8_t store_id[16];
	bool make_folder, fresh;
	bool loaded, found, foreign, rotated;
	bool created; /* a file was created, its folder is not synced yet */
	enum files_dirt dirt;
	uint64_t loads;
	struct file_cursor c;
	struct text text; /* of the cursor file */
	/* a file that is to take the place of file scratch_of */
	struct text scratch;
	size_t scratch_of;
	uint64_t scratch_end;
	int scratch_fd;
	char path[FILES_PATH_MAX], path2[FILES_PATH_MAX];
};

/* folder/NAME SUFFIX into out, which is returned. */
const char *files_path(struct files *f, char out[FILES_PATH_MAX],
		       const char *name, const char *suffix);

enum files_load_flag {
	LOAD_ROTATED = 1u << 0, /* an empty file was begun anew by a person */
	LOAD_OVER = 1u << 1	/* all of it is to be replaced: a damaged cursor
				 * and the files' content do not matter */
};

/* Reads the cursor, finishes a redo list, checks and cuts every file. */
int files_load(struct files *f, unsigned flags, struct weir_sink_result *res);

/* Replaces the cursor file by what is in memory (with file ends). */
int files_write_cursor(struct files *f, struct weir_sink_result *res);

/* Refuses when the cursor on disk was written by a newer runner. */
int files_fence(struct files *f, uint64_t epoch, struct weir_sink_result *res);
int files_fail_epoch(const struct files *f, uint64_t seen, uint64_t epoch,
		     struct weir_sink_result *res);

/* Opens a file that the cursor lists, checks it and cuts it; one that
 * vanished (or, rotated, is empty) is marked as begun anew, its fd stays -1. */
int files_open_entry(struct files *f, struct file_entry *e, const char *path,
		     bool rotated, struct weir_sink_result *res);

int files_hash_head(struct files *f, struct file_entry *e, uint64_t len,
		    struct weir_sink_result *res);

/* Does and takes out the redo list. */
int files_redo(struct files *f, struct weir_sink_result *res);

void files_scratch_drop(struct files *f);
void files_close_all(struct files *f);

#endif
