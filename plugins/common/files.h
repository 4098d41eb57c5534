/* SPDX-License-Identifier: MIT */
#ifndef COMMON_FILES_H
#define COMMON_FILES_H

/*
 * Files that a sink appends to, and the cursor file that lies beside them and
 * says how long each is. A batch is: files_begin, files_want for each file,
 * files_prepare, files_append, files_commit. When any of them (or the plugin)
 * fails, files_abort, and nothing has changed. All functions return enum
 * weir_sink_class and fill res when it is not OK.
 *
 * The order within a batch: new files are created, their folder is synced and
 * the cursor lists them; data is appended and synced; the cursor is replaced
 * (temporary file, sync, rename, folder sync). So what a crash leaves beyond
 * a recorded length is surplus, and resume cuts it.
 *
 * Replacing files (a new column, a replay) is a redo list: the new files are
 * written and synced beside the old, the cursor is replaced by one that is
 * true of the new files and lists the renames, they are done, the folder is
 * synced, the list is taken out. Whoever finds a list does the rest of it.
 */

#include "common/filecursor.h"
#include "common/result.h"

struct files;

struct files_options {
	const char *folder;
	const char *cursor; /* the cursor file's name in it */
	const char *suffix; /* added to all names on disk; NULL is none */
	bool make_folder;   /* make the folder (not its parents) when needed */
	bool fresh;	    /* what is there without a cursor is cut away */
};

/* files_free(NULL) is legal. */
int files_new(struct files **out, const struct weir_sink_open *o,
	      const struct files_options *how, struct weir_sink_result *res);
void files_free(struct files *f);

/* The cursor as it stands in the target. Finishes a redo list and cuts every
 * file to its length first, but touches nothing of another store. Files that
 * are not as they were written are left for files_begin to refuse. */
int files_resume(struct files *f, struct weir_sink_cursor *out,
		 struct weir_sink_result *res);

/* Undoes what a failed batch left, reads the cursor again when that is due,
 * and refuses a batch of an older runner or for another store's files. */
int files_begin(struct files *f, const struct weir_sink_batch *batch,
		struct weir_sink_result *res);

/* The same when all files are about to be replaced by files_adopt: what is in
 * them does not matter, nor does a damaged cursor. */
int files_begin_over(struct files *f, const struct weir_sink_batch *batch,
		     struct weir_sink_result *res);

/* The file of that name, opened, created when it isn't there; *index is good
 * until the next files_begin. */
int files_want(struct files *f, size_t *index, const char *name,
	       struct weir_sink_result *res);

/* Refuses a file that another set's cursor file in the same folder lists. */
int files_refuse_listed(struct files *f, const char *cursor, const char *name,
			struct weir_sink_result *res);

/* Is this record of the batch in the files already? */
bool files_applied(const struct files *f, const struct weir_sink_batch *batch,
		   const struct weir_sink_record *r);

/* Before the first append of a batch that holds records. */
int files_prepare(struct files *f, const struct weir_sink_batch *batch,
		  struct weir_sink_result *res);
int files_append(struct files *f, size_t index, const void *p, size_t n,
		 struct weir_sink_result *res);
int files_commit(struct files *f, const struct weir_sink_batch *batch,
		 struct weir_sink_result *res);
void files_abort(struct files *f);

/* In place of files_abort before the first append: notes and scratch files of
 * the batch are forgotten. */
void files_reread(struct files *f);

/* The cursor in memory; entries and notes are borrowed. loads counts how
 * often it was read anew (then what was made of the notes is stale). */
const struct file_cursor *files_cursor(const struct files *f);
bool files_found(const struct files *f); /* the target has a cursor */
uint64_t files_loads(const struct files *f);
bool files_note(struct files *f, const char *words);

/* Reads n bytes of a file at an offset; fewer are an error. */
int files_read(struct files *f, size_t index, void *out, size_t n, uint64_t at,
	       struct weir_sink_result *res);

/* A file beside file index, to take its place. scratch_end syncs it and swaps
 * it in; between them files_append and files_commit are not to be called. */
int files_scratch_begin(struct files *f, size_t index,
			struct weir_sink_result *res);
int files_scratch_put(struct files *f, const void *p, size_t n,
		      struct weir_sink_result *res);
int files_scratch_end(struct files *f, struct weir_sink_result *res);

/* Takes over all files, notes and the position of from (another set in the
 * same folder, committed), in place of its own. May be called again after a
 * failure; from is to be freed then. */
int files_adopt(struct files *f, struct files *from,
		struct weir_sink_result *res);

/* Takes the set's cursor file away, so that it begins anew. */
int files_forget(struct files *f, struct weir_sink_result *res);

/* Files were rotated: they are opened again at the next files_begin. */
void files_rotated(struct files *f);

/* Can a file be written in the folder? Leaves nothing behind. */
int files_probe(struct files *f, struct weir_sink_result *res);

/* Fills res for errno after a call on path; the class goes by errno. */
int files_fail_errno(struct weir_sink_result *res, const char *what,
		     const char *path);

#endif
