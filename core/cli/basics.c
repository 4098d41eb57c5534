/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/help.h"
#include "cli/table.h"
#include "store/store.h"

#include <weir/sink.h>
#include <stdio.h>
#include <string.h>

static int
run_version(struct cli *c, struct weir_err *err)
{
	(void)err;
	if (c->json)
		buf_printf(&c->out,
			   "{\"version\":\"%s\",\"sink_abi\":\"%u.%u\"}\n",
			   PACKAGE_VERSION, WEIR_SINK_ABI_MAJOR,
			   WEIR_SINK_ABI_MINOR);
	else
		buf_printf(&c->out, "weir %s (plugin ABI %u.%u)\n",
			   PACKAGE_VERSION, WEIR_SINK_ABI_MAJOR,
			   WEIR_SINK_ABI_MINOR);
	return 0;
}

static int
run_help(struct cli *c, struct weir_err *err)
{
	const struct cli_command *cmd;
	const char *first, *second, *near;
	size_t at = 0;
	int rc = 0;

	first = cli_next(c, "COMMAND", &at);
	second = first != NULL ? cli_next(c, "COMMAND", &at) : NULL;
	if (first == NULL) {
		if (c->json)
			help_table_json(c);
		else
			help_overview(c);
		return 0;
	}
	cmd = table_find(first, second);
	if (cmd == NULL && second != NULL && strcmp(first, "plugin") == 0) {
		rc = plugin_command(&cmd, second, err);
		if (rc != 0)
			return rc;
	}
	if (cmd != NULL) {
		help_command(c, cmd);
		return 0;
	}
	if (table_family(first) != NULL && second == NULL) {
		help_family(c, first);
		return 0;
	}
	near = table_nearest(first, table_family(first) ? second : NULL);
	return err_set(err, WEIR_EUSAGE, "no help for \"%s%s%s\"%s%s%s", first,
		       second ? " " : "", second ? second : "",
		       near ? "; did you mean \"" : "", near ? near : "",
		       near ? "\"?" : "");
}

static const struct cli_operand help_operands[] = {
	{"COMMAND", NULL, CLI_MANY},
	{NULL, NULL, 0},
};

const struct cli_command basics_commands[] = {
	{"help", "show the commands, or one of them",
	 "With --json and no COMMAND, the whole table of commands and options "
	 "as one JSON object.",
	 NULL, help_operands, CLI_LOCAL, run_help},
	{"version", "show weir's version and its plugin ABI", NULL, NULL, NULL,
	 CLI_LOCAL, run_version},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
