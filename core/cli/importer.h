/* SPDX-License-Identifier: MIT */
#ifndef CLI_IMPORTER_H
#define CLI_IMPORTER_H

/*
 * Appending the lines of an input, each line a commit of its own, many to a
 * group. A line that is refused takes no other with it.
 */

#include <stdbool.h>
#include <weir/types.h>
#include "model/intake.h"

struct store;
struct input;
struct outfile;
struct progress;
struct csvread_options;

#define IMPORTER_LINE_MAX INTAKE_LINE_MAX
#define IMPORTER_BATCH	  1000u

/* A line that has its number in the input. */
struct importer_line {
	uint64_t number;
	struct weir_str text; /* as it came */
	struct weir_str body; /* the same, but for CSV: made JSON */
};

/* What became of it: refused when the fault has a code. */
struct importer_answer {
	struct weir_err fault;
	uint64_t sequence;
	bool duplicate;
};

struct importer_options {
	struct store *store; /* or NULL: they are sent */
	/* Sends those that have no fault yet to a server, and fills in the
	 * answers. A code: what ended it. */
	int (*send)(void *cookie, struct importer_answer *answers,
		    const struct importer_line *lines, size_t n,
		    struct weir_err *err);
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
