/* SPDX-License-Identifier: MIT */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The command families, each exported by the file of its name. */

#include "cli/cli.h"

extern const struct cli_command aggregate_commands[];
extern const struct cli_command basics_commands[];
extern const struct cli_command check_commands[];
extern const struct cli_command complete_commands[];
extern const struct cli_command destroy_commands[];
extern const struct cli_command export_commands[];
extern const struct cli_command import_commands[];
extern const struct cli_command plugin_commands[];
extern const struct cli_command reindex_commands[];
extern const struct cli_command schema_commands[];
extern const struct cli_command server_commands[];
extern const struct cli_command settings_commands[];
extern const struct cli_command sink_commands[];
extern const struct cli_command tail_commands[];
extern const struct cli_command token_commands[];

/* The command `plugin NAME` made from a plugin's option table; kept for the
 * process's life. */
int plugin_command(const struct cli_command **out, const char *name,
		   struct weir_err *err);

#endif
