/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include "base/json.h"
#include "base/str.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 79

void
help_wrap(struct buf *b, const char *text, size_t indent, size_t column)
{
	while (*text != '\0') {
		size_t n = strcspn(text, " \n");

		if (column > indent && column + 1 + n > WIDTH) {
			buf_putc(b, '\n');
			for (column = 0; column < indent; column++)
				buf_putc(b, ' ');
		} else if (column > indent) {
			buf_putc(b, ' ');
			column++;
		}
		buf_add(b, text, n);
		column += n;
		text += n;
		if (*text == '\n') {
			buf_putc(b, '\n');
			for (column = 0; column < indent; column++)
				buf_putc(b, ' ');
			text++;
		}
		while (*text == ' ')
			text++;
	}
	buf_putc(b, '\n');
}

/* "  left      text", text wrapped at the given column. */
static void
row(struct buf *b, const char *left, size_t at, const char *text)
{
	size_t column = 2 + strlen(left);

	buf_printf(b, "  %s", left);
	if (column + 1 > at) {
		buf_putc(b, '\n');
		column = 0;
	}
	for (; column < at; column++)
		buf_putc(b, ' ');
	help_wrap(b, text, at, at);
}

static void
option_left(char out[96], const struct cli_option *o)
{
	char letter[8] = "";

	if (o->letter != 0)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	if (o->flags & CLI_MAYBE)
		snprintf(out, 96, "%s--%s[=%s]", letter, o->name, o->arg);
	else
		snprintf(out, 96, "%s--%s%s%s%s", letter, o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "",
			 o->flags & CLI_MANY ? "..." : "");
}

static void
put_options(struct buf *b, const struct cli_command *cmd, size_t from,
	    size_t to)
{
	const struct cli_option *o;
	char left[96];
	size_t at = 0, width = 0;

	while ((o = table_option(cmd, &at)) != NULL) {
		if (at <= from || at > to)
			continue;
		option_left(left, o);
		if (strlen(left) > width && strlen(left) <= 26)
			width = strlen(left);
	}
	at = 0;
	while ((o = table_option(cmd, &at)) != NULL) {
		if (at <= from || at > to)
			continue;
		option_left(left, o);
		row(b, left, width + 4, o->help);
	}
}

/* How an operand looks in a usage line. */
static void
put_operands(struct buf *b, const struct cli_command *cmd)
{
	const struct cli_operand *o = cmd->operands;

	for (; o != NULL && o->name != NULL; o++) {
		bool need = (o->flags & CLI_REQUIRED) || o->option != NULL;

		buf_printf(b, " %s%s%s%s", need ? "" : "[", o->name,
			   o->flags & CLI_MANY ? "..." : "", need ? "" : "]");
	}
}

static void
put_usage(struct buf *b, const struct cli_command *cmd)
{
	const struct cli_operand *o = cmd->operands;
	const char *more = table_own_options(cmd) > 0 ? " [options]" : "";
	const struct cli_option *option;
	bool stands_for = false, required = false;
	size_t at = 0;

	for (; o != NULL && o->name != NULL; o++)
		stands_for |= o->option != NULL;
	while ((option = table_option(cmd, &at)) != NULL)
		required |= (option->flags & CLI_REQUIRED) != 0;
	buf_puts(b, "usage: ");
	if (stands_for || required) {
		buf_printf(b, "weir %s", cmd->words);
		for (at = 0; (option = table_option(cmd, &at)) != NULL;)
			if (option->flags & CLI_REQUIRED)
				buf_printf(b, " --%s %s", option->name,
					   option->arg ? option->arg : "");
		buf_printf(b, "%s\n", more);
	}
	if (stands_for || !required) {
		buf_printf(b, "%sweir %s", stands_for ? "       " : "",
			   cmd->words);
		put_operands(b, cmd);
		buf_printf(b, "%s\n", more);
	}
}

void
help_command(struct cli *c, const struct cli_command *cmd)
{
	size_t own = table_own_options(cmd);
	struct buf *b = &c->out;

	buf_printf(b, "weir %s:", cmd->words);
	help_wrap(b, cmd->summary, 0, strlen(cmd->words) + 6);
	buf_putc(b, '\n');
	put_usage(b, cmd);
	if (cmd->about != NULL) {
		buf_putc(b, '\n');
		help_wrap(b, cmd->about, 0, 0);
	}
	if (own > 0) {
		buf_puts(b, "\noptions:\n");
		put_options(b, cmd, 0, own);
	}
	buf_puts(b, "\nevery command takes:\n");
	put_options(b, cmd, own, SIZE_MAX);
}

static void
put_commands(struct buf *b, const char *family)
{
	size_t len = family != NULL ? strlen(family) : 0;
	const struct cli_command *cmd;
	struct table_iter it = {0, 0};

	while ((cmd = table_next(&it)) != NULL) {
		const char *space = strchr(cmd->words, ' ');

		if (cmd->flags & CLI_HIDDEN)
			continue;
		if (family == NULL && space == NULL)
			row(b, cmd->words, 14, cmd->summary);
		else if (family != NULL && space == cmd->words + len &&
			 strncmp(cmd->words, family, len) == 0)
			row(b, cmd->words, 26, cmd->summary);
	}
}

void
help_overview(struct cli *c)
{
	struct buf *b = &c->out;

	buf_puts(b, "weir: an event store and event bus\n\n"
		    "usage: weir COMMAND ... [options]\n\ncommands:\n");
	for (const struct table_family *f = table_families(); f->word; f++)
		row(b, f->word, 14, f->summary);
	put_commands(b, NULL);
	buf_puts(b, "\nevery command takes:\n");
	put_options(b, NULL, 0, SIZE_MAX);
	buf_puts(b, "\n`weir help COMMAND` and `weir COMMAND --help` say "
		    "more; the manual is weir(1).\n");
}

void
help_family(struct cli *c, const char *word)
{
	struct buf *b = &c->out;

	buf_printf(b,
		   "weir %s: %s\n\nusage: weir %s COMMAND ... [options]\n\n"
		   "commands:\n",
		   word, table_family(word)->summary, word);
	put_commands(b, word);
	if (strcmp(word, "plugin") == 0)
		row(b, "plugin NAME", 26,
		    "configure a sink from the plugin of that name "
		    "(`weir plugin list` names them, "
		    "`weir plugin NAME --help` has its options)");
	buf_printf(b, "\n`weir %s COMMAND --help` says more.\n", word);
}

static void
json_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	if (value == NULL)
		buf_puts(b, "null");
	else
		json_put_string(b, str_of(value));
}

static void
json_option(struct buf *b, const struct cli_option *o)
{
	char letter[2] = {o->letter, '\0'};

	buf_puts(b, "{\"name\":");
	json_put_string(b, str_of(o->name));
	json_member(b, "letter", o->letter != 0 ? letter : NULL);
	json_member(b, "arg", o->arg);
	buf_printf(b, ",\"required\":%s,\"many\":%s",
		   o->flags & CLI_REQUIRED ? "true" : "false",
		   o->flags & CLI_MANY ? "true" : "false");
	json_member(b, "help", o->help);
	buf_putc(b, '}');
}

static void
json_command(struct buf *b, const struct cli_command *cmd)
{
	const struct cli_operand *p = cmd->operands;
	const struct cli_option *o;
	size_t at = 0, own = table_own_options(cmd);

	buf_puts(b, "{\"command\":");
	json_put_string(b, str_of(cmd->words));
	json_member(b, "summary", cmd->summary);
	buf_puts(b, ",\"operands\":[");
	for (; p != NULL && p->name != NULL; p++) {
		buf_puts(b, p == cmd->operands ? "{\"name\":" : ",{\"name\":");
		json_put_string(b, str_of(p->name));
		json_member(b, "option", p->option);
		buf_printf(b, ",\"required\":%s,\"many\":%s}",
			   p->flags & CLI_REQUIRED ? "true" : "false",
			   p->flags & CLI_MANY ? "true" : "false");
	}
	buf_puts(b, "],\"options\":[");
	while (at < own && (o = table_option(cmd, &at)) != NULL) {
		if (at > 1)
			buf_putc(b, ',');
		json_option(b, o);
	}
	buf_puts(b, "]}");
}

void
help_table_json(struct cli *c)
{
	const struct cli_command *cmd;
	struct table_iter it = {0, 0};
	const struct cli_option *o;
	struct buf *b = &c->out;
	size_t at = 0, n = 0;

	buf_puts(b, "{\"common_options\":[");
	while ((o = table_option(NULL, &at)) != NULL) {
		if (at > 1)
			buf_putc(b, ',');
		json_option(b, o);
	}
	buf_puts(b, "],\"commands\":[");
	while ((cmd = table_next(&it)) != NULL) {
		if (cmd->flags & CLI_HIDDEN)
			continue;
		if (n++ > 0)
			buf_putc(b, ',');
		json_command(b, cmd);
	}
	buf_puts(b, "]}\n");
}
