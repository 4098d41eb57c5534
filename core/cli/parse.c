/* SPDX-License-Identifier: MIT */
#include "cli/parse.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "cli/commands.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

/*
 * Words are taken from left to right. Common options may stand anywhere, also
 * before the command. The command is the first word, or the first two when
 * the first names a family. Words that are left go to the operands in order,
 * past those whose option was given.
 */

struct given {
	const char *name, *value;
};

struct cli_parsed {
	struct given *given;
	size_t n, cap;
	const char **words; /* operands, in order */
	size_t nwords;
	const char *first; /* the first word of the command line */
	bool help, version;
};

const char *
parse_first_word(const struct cli *c)
{
	return c->parsed->first;
}

bool
parse_wants_help(const struct cli *c)
{
	return c->parsed->help;
}

bool
parse_wants_version(const struct cli *c)
{
	return c->parsed->version;
}

static void
put(struct cli_parsed *p, const char *name, const char *value)
{
	if (p->n == p->cap) {
		struct given *more =
			must_mem((p->cap + 16) * 2 * sizeof(*more));

		if (p->n > 0)
			memcpy(more, p->given, p->n * sizeof(*more));
		mem_free(p->given);
		p->given = more;
		p->cap = (p->cap + 16) * 2;
	}
	p->given[p->n++] = (struct given){name, value};
}

/* True when arg is one of the words of list, which are split by |. */
static bool
word_in(const char *list, const char *arg)
{
	size_t n, len = strlen(arg);

	for (;; list += n + 1) {
		n = strcspn(list, "|");
		if (n == len && memcmp(list, arg, n) == 0)
			return true;
		if (list[n] == '\0')
			return false;
	}
}

/* Is arg a closed list of words, such as "json|text"? */
static bool
is_list(const char *arg)
{
	return strchr(arg, '|') != NULL &&
	       arg[strcspn(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static const struct cli_option *
find_long(const struct cli_command *cmd, const char *name, size_t len)
{
	const struct cli_option *o;
	size_t at = 0;

	while ((o = table_option(cmd, &at)) != NULL)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *
find_letter(const struct cli_command *cmd, char letter)
{
	const struct cli_option *o;
	size_t at = 0;

	while ((o = table_option(cmd, &at)) != NULL)
		if (o->letter == letter)
			return o;
	return NULL;
}

static int
unknown_option(const struct cli *c, const char *arg, size_t len,
	       struct weir_err *err)
{
	const char *names[128], *near;
	const struct cli_option *o;
	char name[128];
	size_t n = 0, at = 0;

	while (n < 127 && (o = table_option(c->command, &at)) != NULL)
		names[n++] = o->name;
	names[n] = NULL;
	snprintf(name, sizeof(name), "%.*s", (int)(len < 100 ? len : 100), arg);
	near = str_nearest(name, names);
	if (c->command == NULL)
		return err_set(err, WEIR_EUSAGE,
			       "unknown option --%s before a command%s%s%s",
			       name, near ? "; did you mean --" : "",
			       near ? near : "", near ? "?" : "");
	return err_set(err, WEIR_EUSAGE, "unknown option --%s for %s%s%s%s",
		       name, c->command->words, near ? "; did you mean --" : "",
		       near ? near : "", near ? "?" : "");
}

/* Keeps one option with its value (NULL for a flag without one). */
static int
keep(struct cli *c, const struct cli_option *o, const char *value,
     struct weir_err *err)
{
	if (o->arg == NULL && value == NULL)
		value = "true";
	else if (o->arg == NULL && !(o->flags & CLI_TRUTH))
		return err_set(err, WEIR_EUSAGE, "--%s takes no value",
			       o->name);
	else if (o->arg == NULL && strcmp(value, "true") != 0 &&
		 strcmp(value, "false") != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--%s takes true or false, not \"%s\"", o->name,
			       value);
	if (o->arg != NULL && is_list(o->arg) && !word_in(o->arg, value))
		return err_set(err, WEIR_EUSAGE,
			       "--%s takes one of %s, not \"%s\"", o->name,
			       o->arg, value);
	if (!(o->flags & CLI_MANY) && o->arg != NULL && cli_get(c, o->name))
		return err_set(err, WEIR_EUSAGE, "--%s was given twice",
			       o->name);
	put(c->parsed, o->name, value);
	if (strcmp(o->name, "help") == 0)
		c->parsed->help = true;
	return 0;
}

static int
take_long(struct cli *c, char **argv, int argc, int *i, struct weir_err *err)
{
	const char *arg = argv[*i] + 2, *value = NULL;
	const struct cli_option *o;
	size_t len = strcspn(arg, "=");

	if (c->command == NULL && strcmp(arg, "version") == 0) {
		c->parsed->version = true;
		return 0;
	}
	o = find_long(c->command, arg, len);
	if (o == NULL)
		return unknown_option(c, arg, len, err);
	if (arg[len] == '=')
		value = arg + len + 1;
	else if (o->flags & CLI_MAYBE)
		value = "true";
	else if (o->arg != NULL && *i + 1 < argc)
		value = argv[++*i];
	else if (o->arg != NULL)
		return err_set(err, WEIR_EUSAGE, "--%s needs a value: --%s %s",
			       o->name, o->name, o->arg);
	return keep(c, o, value, err);
}

static int
take_letters(struct cli *c, char **argv, int argc, int *i, struct weir_err *err)
{
	const struct cli_option *o;
	int rc;

	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		if (c->command == NULL && *p == 'V') {
			c->parsed->version = true;
			continue;
		}
		o = find_letter(c->command, *p);
		if (o == NULL)
			return err_set(err, WEIR_EUSAGE,
				       "unknown option -%c%s%s", *p,
				       c->command ? " for " : "",
				       c->command ? c->command->words : "");
		if (o->arg == NULL) {
			rc = keep(c, o, NULL, err);
			if (rc != 0)
				return rc;
			continue;
		}
		if (p[1] != '\0')
			return keep(c, o, p + 1, err);
		if (*i + 1 >= argc)
			return err_set(err, WEIR_EUSAGE,
				       "-%c needs a value: -%c %s", *p, *p,
				       o->arg);
		return keep(c, o, argv[++*i], err);
	}
	return 0;
}

static int
no_such_command(const char *first, const char *second, struct weir_err *err)
{
	const char *near = table_nearest(first, second);

	return err_set(err, WEIR_EUSAGE, "unknown command \"%s%s%s\"%s%s%s%s%s",
		       first, second ? " " : "", second ? second : "",
		       near ? "; did you mean \"" : "",
		       near && second ? first : "", near && second ? " " : "",
		       near ? near : "", near ? "\"?" : "");
}

/* A word before the command is known. */
static int
take_command(struct cli *c, const char *word, struct weir_err *err)
{
	const char *first = c->parsed->first;
	struct weir_err why = {0};
	int rc;

	if (first == NULL) {
		c->parsed->first = word;
		c->command = table_find(word, NULL);
		if (c->command == NULL && table_family(word) == NULL)
			return no_such_command(word, NULL, err);
		return 0;
	}
	c->command = table_find(first, word);
	if (c->command != NULL)
		return 0;
	if (strcmp(first, "plugin") != 0)
		return no_such_command(first, word, err);
	rc = plugin_command(&c->command, word, &why);
	if (rc == WEIR_ENOTFOUND && table_nearest(first, word) != NULL)
		return no_such_command(first, word, err);
	if (rc != 0 && err != NULL)
		*err = why;
	return rc;
}

/* Gives the words that are left to the operands. */
static int
place_words(struct cli *c, struct weir_err *err)
{
	static const struct cli_operand none = {NULL, NULL, 0};
	const struct cli_operand *o = c->command->operands;
	struct cli_parsed *p = c->parsed;
	size_t options = p->n; /* what stands behind came by words */

	o = o != NULL ? o : &none;
	for (size_t i = 0; i < p->nwords; i++) {
		while (o->name != NULL && o->option != NULL &&
		       !(o->flags & CLI_MANY)) {
			bool taken = false;

			for (size_t k = 0; k < options; k++)
				taken |= strcmp(p->given[k].name, o->option) ==
					 0;
			if (!taken)
				break;
			o++;
		}
		if (o->name == NULL)
			return err_set(err, WEIR_EUSAGE,
				       "one word too many for %s: \"%s\"",
				       c->command->words, p->words[i]);
		if (is_list(o->name) && !word_in(o->name, p->words[i]))
			return err_set(err, WEIR_EUSAGE,
				       "%s takes one of %s, not \"%s\"",
				       c->command->words, o->name, p->words[i]);
		put(p, o->option != NULL ? o->option : o->name, p->words[i]);
		if (!(o->flags & CLI_MANY))
			o++;
	}
	return 0;
}

static int
check_required(struct cli *c, struct weir_err *err)
{
	const struct cli_operand *p = c->command->operands;
	const struct cli_option *o;
	size_t at = 0;

	if (c->command->flags & CLI_CHECKS)
		return 0;
	while ((o = table_option(c->command, &at)) != NULL)
		if ((o->flags & CLI_REQUIRED) && !cli_get(c, o->name))
			return err_set(err, WEIR_EUSAGE, "%s needs --%s %s",
				       c->command->words, o->name,
				       o->arg ? o->arg : "");
	for (; p != NULL && p->name != NULL; p++)
		if ((p->flags & CLI_REQUIRED) &&
		    !cli_get(c, p->option ? p->option : p->name))
			return err_set(err, WEIR_EUSAGE, "%s needs %s",
				       c->command->words, p->name);
	return 0;
}

/* --json and --plugin-dir count from the first word on, wherever they stand:
 * errors and the options of a plugin depend on them. */
static void
look_ahead(struct cli *c, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else if (strcmp(argv[i], "--plugin-dir") == 0 && i + 1 < argc)
			loader_set_dir(argv[i + 1]);
		else if (strncmp(argv[i], "--plugin-dir=", 13) == 0)
			loader_set_dir(argv[i] + 13);
	}
}

int
parse_args(struct cli *c, int argc, char **argv, struct weir_err *err)
{
	struct cli_parsed *p = must_mem(sizeof(*p));
	bool plain = false; /* behind "--" */
	int rc = 0;

	c->parsed = p;
	p->words = must_mem((size_t)argc * sizeof(*p->words));
	look_ahead(c, argc, argv);
	for (int i = 1; i < argc && rc == 0; i++) {
		if (!plain && strcmp(argv[i], "--") == 0)
			plain = true;
		else if (!plain && strncmp(argv[i], "--", 2) == 0)
			rc = take_long(c, argv, argc, &i, err);
		else if (!plain && argv[i][0] == '-' && argv[i][1] != '\0')
			rc = take_letters(c, argv, argc, &i, err);
		else if (c->command == NULL)
			rc = take_command(c, argv[i], err);
		else
			p->words[p->nwords++] = argv[i];
	}
	if (rc != 0 || c->command == NULL || p->help)
		return rc;
	rc = place_words(c, err);
	return rc != 0 ? rc : check_required(c, err);
}

void
parse_free(struct cli *c)
{
	if (c->parsed == NULL)
		return;
	mem_free(c->parsed->given);
	mem_free(c->parsed->words);
	mem_free(c->parsed);
	c->parsed = NULL;
}

const char *
cli_get(const struct cli *c, const char *name)
{
	const struct cli_parsed *p = c->parsed;

	for (size_t i = p->n; i > 0; i--)
		if (strcmp(p->given[i - 1].name, name) == 0)
			return p->given[i - 1].value;
	return NULL;
}

bool
cli_has(const struct cli *c, const char *name)
{
	const char *value = cli_get(c, name);

	return value != NULL && strcmp(value, "false") != 0;
}

const char *
cli_next(const struct cli *c, const char *name, size_t *at)
{
	const struct cli_parsed *p = c->parsed;

	while (*at < p->n) {
		const struct given *g = &p->given[(*at)++];

		if (strcmp(g->name, name) == 0)
			return g->value;
	}
	return NULL;
}

size_t
cli_count(const struct cli *c, const char *name)
{
	size_t at = 0, n = 0;

	while (cli_next(c, name, &at) != NULL)
		n++;
	return n;
}

int
cli_u64(const struct cli *c, uint64_t *out, const char *name, uint64_t dflt,
	struct weir_err *err)
{
	const char *value = cli_get(c, name);

	if (value == NULL) {
		*out = dflt;
		return 0;
	}
	if (str_u64(out, str_of(value)) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--%s takes a whole number, not \"%s\"", name,
			       value);
	return 0;
}
