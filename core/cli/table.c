/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "base/str.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static const struct cli_command *const tables[] = {
	aggregate_commands, schema_commands,   plugin_commands,
	sink_commands,	    import_commands,   export_commands,
	tail_commands,	    check_commands,    reindex_commands,
	settings_commands,  server_commands,   destroy_commands,
	token_commands,	    basics_commands,   complete_commands,
};
#define NTABLES (sizeof(tables) / sizeof(tables[0]))

static const struct table_family families[] = {
	{"aggregate", "append to aggregates, read and verify them"},
	{"schema", "declare aggregate types, their events and fields"},
	{"plugin", "configure a sink from a plugin; map columns"},
	{"sink", "look after configured sinks"},
	{"token", "say who may do what over the network"},
	{NULL, NULL},
};

static const struct cli_option common_options[] = {
	{"config", 0, "PATH", 0,
	 "settings file (default: weir.conf in the data folder)"},
	{"data-dir", 0, "P", 0,
	 "data folder (default: WEIR_DATA_DIR, data_dir in --config, ./.weir)"},
	{"json", 0, NULL, 0, "answer in JSON, errors too"},
	{"plugin-dir", 0, "DIR", 0, "look for plugins in this folder first"},
	{"help", 'h', NULL, 0, "show this help"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option server_options[] = {
	{"server", 0, "URL", 0,
	 "ask the server there instead of a store of this machine "
	 "(WEIR_SERVER)"},
	{"token-file", 0, "FILE", 0,
	 "the file that holds the token for it (WEIR_TOKEN holds one itself)"},
	{"cacert", 0, "FILE", 0,
	 "trust the certificates in this file (WEIR_CACERT)"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option sinks_options[] = {
	{"sink-wait", 0, "TIME", 0,
	 "deliver to sinks for at most so long (2s); 0s leaves it to others"},
	{"require-sinks", 0, NULL, 0,
	 "exit 8 when a sink is behind after that time"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option asks_options[] = {
	{"yes", 'y', NULL, 0, "don't ask"},
	{"dry-run", 0, NULL, 0, "only say what would be done"},
	{NULL, 0, NULL, 0, NULL},
};

const struct table_family *
table_families(void)
{
	return families;
}

const struct table_family *
table_family(const char *word)
{
	for (const struct table_family *f = families; f->word != NULL; f++)
		if (strcmp(f->word, word) == 0)
			return f;
	return NULL;
}

const struct cli_command *
table_next(struct table_iter *it)
{
	for (; it->family < NTABLES; it->family++, it->command = 0)
		if (tables[it->family][it->command].words != NULL)
			return &tables[it->family][it->command++];
	return NULL;
}

const struct cli_command *
table_find(const char *first, const char *second)
{
	const struct cli_command *cmd;
	struct table_iter it = {0, 0};
	char words[128];

	snprintf(words, sizeof(words), "%s%s%s", first, second ? " " : "",
		 second ? second : "");
	while ((cmd = table_next(&it)) != NULL)
		if (strcmp(cmd->words, words) == 0)
			return cmd;
	return NULL;
}

/* The i-th option of a list, or NULL with *i lowered by its length. */
static const struct cli_option *
nth(const struct cli_option *list, size_t *i)
{
	if (list == NULL)
		return NULL;
	for (; list->name != NULL; list++, (*i)--)
		if (*i == 0)
			return list;
	return NULL;
}

const struct cli_option *
table_option(const struct cli_command *command, size_t *at)
{
	const struct cli_option *o = NULL;
	size_t i = (*at)++;

	if (command != NULL) {
		o = nth(command->options, &i);
		if (o == NULL && (command->flags & CLI_SINKS))
			o = nth(sinks_options, &i);
		if (o == NULL && (command->flags & CLI_ASKS))
			o = nth(asks_options, &i);
		if (o == NULL && !(command->flags & CLI_LOCAL))
			o = nth(server_options, &i);
	}
	return o != NULL ? o : nth(common_options, &i);
}

size_t
table_own_options(const struct cli_command *command)
{
	const struct cli_option *o;
	size_t at = 0;

	while ((o = table_option(command, &at)) != NULL && o != common_options)
		continue;
	return at - 1;
}

const char *
table_nearest(const char *first, const char *second)
{
	const char *words[128];
	const struct cli_command *cmd;
	struct table_iter it = {0, 0};
	size_t n = 0, len = strlen(first);

	if (second == NULL)
		for (const struct table_family *f = families; f->word; f++)
			words[n++] = f->word;
	while ((cmd = table_next(&it)) != NULL && n < 127) {
		if (cmd->flags & CLI_HIDDEN)
			continue;
		if (second == NULL) {
			if (strchr(cmd->words, ' ') == NULL)
				words[n++] = cmd->words;
		} else if (strncmp(cmd->words, first, len) == 0 &&
			   cmd->words[len] == ' ') {
			words[n++] = cmd->words + len + 1;
		}
	}
	words[n] = NULL;
	return str_nearest(second != NULL ? second : first, words);
}
