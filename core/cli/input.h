/* SPDX-License-Identifier: MIT */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

/*
 * Lines of a file or of standard input, each bounded: what is longer is passed
 * over without being held. A last line without line break is a line.
 */

#include <stdbool.h>
#include <weir/types.h>

struct input;

struct input_options {
	const char *path; /* "-": standard input */
	size_t max_line;  /* bytes without the line break */
	bool quoted;	  /* CSV: a line break in double quotes ends no line */
	int stop_fd;	  /* readable: input_next gives WEIR_ESTOPPED; or -1 */
};

struct input_line {
	struct weir_str text; /* without line break; until the next call */
	uint64_t number;      /* from 1, of its first line break */
	bool too_long;	      /* text is only its beginning */
	bool open_quote;      /* quoted: the input ended inside of quotes */
};

int input_open(struct input **out, const struct input_options *o,
	       struct weir_err *err);
void input_close(struct input *in);

/* 1 a line, 0 the end, or a code. A byte order mark before the first line is
 * left out. */
int input_next(struct input *in, struct input_line *out, struct weir_err *err);

/* True when the next line is not there yet and reading it would wait. */
bool input_would_wait(const struct input *in);

uint64_t input_done(const struct input *in); /* bytes given out */
uint64_t input_size(const struct input *in); /* of a regular file, else 0 */
bool input_is_file(const struct input *in, const char *path); /* the same */

#endif
