/* SPDX-License-Identifier: MIT */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* Help from the command table, appended to c->out. */

#include "cli/cli.h"

void help_overview(struct cli *c);
void help_family(struct cli *c, const char *word);
void help_command(struct cli *c, const struct cli_command *cmd);
/* The whole table as one JSON value: for the manual's lint and other tools. */
void help_table_json(struct cli *c);

#endif
