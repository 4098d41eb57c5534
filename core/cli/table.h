/* SPDX-License-Identifier: MIT */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

/* The one table of commands, and the options that many commands share. */

#include "cli/cli.h"

struct table_family {
	const char *word; /* first word of its commands; NULL ends the list */
	const char *summary;
};

const struct table_family *table_families(void);
const struct table_family *table_family(const char *word); /* or NULL */

/* All commands one after the other: start with zeros; NULL at the end. */
struct table_iter {
	size_t family, command;
};
const struct cli_command *table_next(struct table_iter *it);

/* The command of one word (second NULL) or two; NULL when there is none. */
const struct cli_command *table_find(const char *first, const char *second);

/* All options of a command: its own, those of its flags, the common ones (or
 * the common ones alone for a NULL command). Start with *at = 0. */
const struct cli_option *table_option(const struct cli_command *command,
				      size_t *at);
/* How many of them come before the common ones. */
size_t table_own_options(const struct cli_command *command);

/* The nearest command, family or second word to a wrong one, or NULL. */
const char *table_nearest(const char *first, const char *second);

#endif
