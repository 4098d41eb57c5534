/* SPDX-License-Identifier: MIT */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* Help from the command table, appended to c->out. */

#include "cli/cli.h"

/* Appends text broken into lines for 80 columns, and a line's end. Every line
 * but the first is indented; column is where the first one starts. */
void help_wrap(struct buf *b, const char *text, size_t indent, size_t column);

void help_overview(struct cli *c);
void help_family(struct cli *c, const char *word);
void help_command(struct cli *c, const struct cli_command *cmd);
/* The whole table as one JSON value: for the manual's lint and other tools. */
void help_table_json(struct cli *c);

#endif
