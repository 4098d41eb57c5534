/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INIFILE_H
#define MODEL_INIFILE_H

/*
 * An INI text handled line by line, so that one value can be changed with
 * everything else left as it is: "[section]", "key = value" (or "key: value"),
 * lines that begin with ; or # are comments, and ; after white space begins one
 * behind a value.
 */

#include <weir/types.h>

struct buf;

enum ini_kind {
	INI_BLANK,
	INI_SECTION,
	INI_VALUE,
	INI_BAD
};

struct ini_line {
	enum ini_kind kind;   /* comments and empty lines are INI_BLANK */
	uint64_t number;      /* from 1 */
	struct weir_str text; /* the whole line with its line break */
	struct weir_str name; /* of the section, or the key */
	struct weir_str value;
};

struct ini_walk {
	struct weir_str text;
	size_t at;
	uint64_t number;
};

/* Start with {text, 0, 0}. 1 and the next line, or 0 at the end. */
int ini_next(struct ini_walk *w, struct ini_line *out);

/* Appends text to out with key of section (empty: the top) set to value, or
 * taken out when value is absent. The last line that sets it is changed in
 * place, others that set it are left out. 0 or WEIR_ENOMEM. */
int ini_edit(struct buf *out, struct weir_str text, struct weir_str section,
	     struct weir_str key, struct weir_str value);

#endif
