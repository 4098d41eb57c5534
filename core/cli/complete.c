/* SPDX-License-Identifier: MIT */
/*
 * weir __complete -- WORD...: the words that could stand for the last one, a
 * line each. Nothing printed leaves it to the shell, which offers files.
 */
#include "cli/commands.h"

#include "base/os.h"
#include "bus/loader.h"
#include "bus/sinkconf.h"
#include "cli/table.h"

#include <string.h>

static void
offer(struct cli *c, const char *word, const char *partial)
{
	if (strncmp(word, partial, strlen(partial)) == 0)
		buf_printf(&c->out, "%s\n", word);
}

static void
offer_sinks(struct cli *c, const char *partial)
{
	const char *dir;
	char **names = NULL;
	size_t n = 0;

	if (cli_data_dir(c, &dir, NULL) != 0 ||
	    sinkconf_list(&names, &n, dir, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		offer(c, names[i], partial);
	mem_free(names);
}

static void
offer_plugins(struct cli *c, const char *partial)
{
	struct plugin_entry *list = NULL;
	size_t n = 0;

	if (loader_list(&list, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (list[i].plugin != NULL)
			offer(c, list[i].name, partial);
	mem_free(list);
}

/* What a placeholder stands for. */
static void
offer_values(struct cli *c, const char *kind, const char *partial)
{
	char word[64];

	if (strcmp(kind, "SINK") == 0)
		offer_sinks(c, partial);
	else if (strcmp(kind, "PLUGIN") == 0)
		offer_plugins(c, partial);
	else if (strchr(kind, '|') == NULL)
		return;
	for (const char *p = kind; strchr(kind, '|') != NULL;) {
		size_t n = strcspn(p, "|");

		if (n < sizeof(word) && (p[0] < 'A' || p[0] > 'Z')) {
			memcpy(word, p, n);
			word[n] = '\0';
			offer(c, word, partial);
		}
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
}

/* First words, or second words of a family. */
static void
offer_commands(struct cli *c, const char *family, const char *partial)
{
	const struct table_family *f = table_families();
	size_t len = family != NULL ? strlen(family) : 0;
	const struct cli_command *cmd;
	struct table_iter it = {0, 0};

	for (; family == NULL && f->word != NULL; f++)
		offer(c, f->word, partial);
	while ((cmd = table_next(&it)) != NULL) {
		if (cmd->flags & CLI_HIDDEN)
			continue;
		if (family == NULL && strchr(cmd->words, ' ') == NULL)
			offer(c, cmd->words, partial);
		else if (family != NULL &&
			 strncmp(cmd->words, family, len) == 0 &&
			 cmd->words[len] == ' ')
			offer(c, cmd->words + len + 1, partial);
	}
	if (family != NULL && strcmp(family, "plugin") == 0)
		offer_plugins(c, partial);
}

static void
offer_options(struct cli *c, const struct cli_command *cmd, const char *partial)
{
	const struct cli_option *o;
	size_t at = 0, len = strlen(partial) - 2;

	while ((o = table_option(cmd, &at)) != NULL)
		if (strncmp(o->name, partial + 2, len) == 0)
			buf_printf(&c->out, "--%s\n", o->name);
}

/* The option that takes the next word as its value, or NULL. */
static const struct cli_option *
wants_value(const struct cli_command *cmd, const char *word)
{
	const struct cli_option *o;
	size_t at = 0;

	while (word[0] == '-' && (o = table_option(cmd, &at)) != NULL)
		if (o->arg != NULL && !(o->flags & CLI_MAYBE) &&
		    ((word[1] == '-' && strcmp(o->name, word + 2) == 0) ||
		     (o->letter != 0 && word[1] == o->letter &&
		      word[2] == '\0')))
			return o;
	return NULL;
}

struct so_far {
	const struct cli_command *command;
	const char *first;
	const struct cli_option *value_of;
	size_t operands;
};

static void
walk(struct so_far *w, const char *word)
{
	if (w->value_of != NULL) {
		w->value_of = NULL;
		return;
	}
	w->value_of = wants_value(w->command, word);
	if (word[0] == '-')
		return;
	if (w->command != NULL) {
		w->operands++;
	} else if (w->first == NULL) {
		w->first = word;
		w->command = table_find(word, NULL);
	} else {
		w->command = table_find(w->first, word);
		if (w->command == NULL && strcmp(w->first, "plugin") == 0)
			plugin_command(&w->command, word, NULL);
	}
}

static int
run_complete(struct cli *c, struct weir_err *err)
{
	const char *word, *partial = "";
	struct so_far w = {NULL, NULL, NULL, 0};
	const struct cli_operand *o;
	size_t at = 0, n = cli_count(c, "WORD");

	(void)err;
	for (size_t i = 0; (word = cli_next(c, "WORD", &at)) != NULL; i++) {
		if (i + 1 < n)
			walk(&w, word);
		else
			partial = word;
	}
	if (w.value_of != NULL) {
		offer_values(c, w.value_of->arg, partial);
	} else if (strncmp(partial, "--", 2) == 0) {
		offer_options(c, w.command, partial);
	} else if (w.command == NULL) {
		offer_commands(c, w.first, partial);
	} else if (strcmp(w.command->words, "help") == 0) {
		offer_commands(c, NULL, partial);
	} else {
		o = w.command->operands;
		for (; o != NULL && o->name != NULL && w.operands > 0;
		     w.operands--)
			o += !(o->flags & CLI_MANY);
		if (o != NULL && o->name != NULL)
			offer_values(c, o->name, partial);
	}
	return 0;
}

static const struct cli_operand complete_operands[] = {
	{"WORD", NULL, CLI_MANY},
	{NULL, NULL, 0},
};

const struct cli_command complete_commands[] = {
	{"__complete", "words that could stand for the last one", NULL, NULL,
	 complete_operands, CLI_HIDDEN | CLI_LOCAL, run_complete},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
