/* SPDX-License-Identifier: MIT */
#ifndef CLI_IMPORTER_H
#define CLI_IMPORTER_H

/*
 * Appending the lines of an input, each line a commit of its own, many to a
 * group. A line that is refused takes no other with it.
 */

#include <stdbool.h>
#include <weir/types.h>

struct store;
struct input;
struct outfile;
struct progress;
struct csvread_options;

/* Longest line: a payload of 1 MiB that is text of escapes only, and names. */
#define IMPORTER_LINE_MAX (8u << 20)
#define IMPORTER_BATCH	  1000u

struct importer_options {
	struct store *store;
	struct input *input;
	const char *source; /* what derived event ids begin from */
	bool fresh_ids;	    /* none are derived */
	size_t batch;	    /* lines of a group; 0: IMPORTER_BATCH */
	const struct csvread_options *csv; /* NULL: NDJSON */
	struct outfile *rejects;	   /* or NULL */
	struct progress *progress;	   /* or NULL */
	int (*stopped)(void);		   /* true ends it after the batch */
	/* called for each refused line, in order; may be NULL */
	void (*refused)(void *cookie, uint64_t line, const char *reason);
	void *cookie;
};

struct importer_counts {
	uint64_t read, appended, already, refused;
	uint64_t line;		/* the last one that was settled */
	uint64_t last_sequence; /* of what was appended, or 0 */
	int64_t elapsed_us;
};

/* 0 at the end of the input; WEIR_ESTOPPED; or what ended it. counts are true
 * in each case. */
int importer_run(const struct importer_options *o,
		 struct importer_counts *counts, struct weir_err *err);

#endif
