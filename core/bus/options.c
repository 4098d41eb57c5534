/* SPDX-License-Identifier: MIT */
/*
 * Option tables of plugins. A table comes from a foreign shared object, so
 * nothing in it is taken for granted but that its strings end.
 */
#include "bus/options.h"

#include "base/err.h"
#include "base/str.h"

#include <string.h>

#define OPTIONS_MAX  256u /* rows of a table */
#define NAME_MAX_LEN 63u

static bool
name_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > NAME_MAX_LEN || s[0] < 'a' || s[0] > 'z')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	}
	return s[n - 1] != '-';
}

const char *
options_fault(const struct weir_sink_option *table)
{
	if (table == NULL)
		return NULL;
	for (size_t i = 0; table[i].name != NULL; i++) {
		const struct weir_sink_option *o = &table[i];

		if (i == OPTIONS_MAX)
			return "the option table does not end";
		if (!name_ok(o->name))
			return "an option's name is not lower-case words "
			       "joined by '-'";
		for (size_t k = 0; k < i; k++) {
			if (strcmp(table[k].name, o->name) == 0)
				return "an option stands in the table twice";
		}
		if (o->type > WEIR_OPT_LIST)
			return "an option has an unknown type";
		if (o->type == WEIR_OPT_ENUM &&
		    (o->arg == NULL || o->arg[0] == '\0'))
			return "an option of type enum has no words in arg";
		if (o->help == NULL || o->help[0] == '\0')
			return "an option has no help";
		if (o->dflt != NULL && o->type != WEIR_OPT_LIST &&
		    options_check(o, o->dflt, NULL) != 0)
			return "an option's default does not fit its type";
	}
	return NULL;
}

const struct weir_sink_option *
options_find(const struct weir_sink_option *table, const char *name)
{
	if (table == NULL)
		return NULL;
	for (size_t i = 0; table[i].name != NULL; i++) {
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

const char *
options_nearest(const struct weir_sink_option *table, const char *name)
{
	const char *words[OPTIONS_MAX + 1];
	size_t n = 0;

	if (table == NULL)
		return NULL;
	while (n < OPTIONS_MAX && table[n].name != NULL) {
		words[n] = table[n].name;
		n++;
	}
	words[n] = NULL;
	return str_nearest(name, words);
}

int64_t
options_duration(const char *value)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {
		{"us", 1},     {"ms", 1000},	{"s", 1000000},
		{"", 1000000}, {"m", 60000000}, {"h", 3600000000},
	};
	size_t digits = strspn(value, "0123456789");
	uint64_t n;

	if (str_u64(&n, (struct weir_str){value, digits}) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(value + digits, units[i].unit) != 0)
			continue;
		if (n > (uint64_t)(INT64_MAX / units[i].us))
			return -1;
		return (int64_t)n * units[i].us;
	}
	return -1;
}

/* Is value one of the words of "a|b|c"? */
static bool
word_of(const char *words, const char *value)
{
	size_t n = strlen(value);

	if (n == 0 || strchr(value, '|') != NULL)
		return false;
	for (const char *p = words;; p++) {
		size_t len = strcspn(p, "|");

		if (len == n && memcmp(p, value, n) == 0)
			return true;
		p += len;
		if (*p == '\0')
			return false;
	}
}

int
options_check(const struct weir_sink_option *o, const char *value,
	      struct weir_err *err)
{
	uint64_t u;

	switch ((enum weir_sink_option_type)o->type) {
	case WEIR_OPT_STRING:
	case WEIR_OPT_LIST:
		return 0;
	case WEIR_OPT_PATH:
		if (value[0] == '\0')
			return err_set(err, WEIR_EINPUT,
				       "option %s: the path is empty", o->name);
		return 0;
	case WEIR_OPT_UINT:
		if (str_u64(&u, str_of(value)) != 0 || u > INT64_MAX)
			return err_set(
				err, WEIR_EINPUT,
				"option %s takes a whole number, not \"%s\"",
				o->name, value);
		return 0;
	case WEIR_OPT_BOOL:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return err_set(
				err, WEIR_EINPUT,
				"option %s takes true or false, not \"%s\"",
				o->name, value);
		return 0;
	case WEIR_OPT_ENUM:
		if (!word_of(o->arg, value))
			return err_set(err, WEIR_EINPUT,
				       "option %s takes one of %s, not \"%s\"",
				       o->name, o->arg, value);
		return 0;
	case WEIR_OPT_DURATION:
		if (options_duration(value) < 0)
			return err_set(
				err, WEIR_EINPUT,
				"option %s takes a number with us, ms, s, m or "
				"h, not \"%s\"",
				o->name, value);
		return 0;
	}
	return err_set(err, WEIR_EINPUT, "option %s has an unknown type",
		       o->name);
}

const char *
options_arg(const struct weir_sink_option *o)
{
	if (o->arg != NULL && o->arg[0] != '\0')
		return o->arg;
	switch ((enum weir_sink_option_type)o->type) {
	case WEIR_OPT_PATH:
		return "PATH";
	case WEIR_OPT_UINT:
		return "N";
	case WEIR_OPT_BOOL:
		return "true|false";
	case WEIR_OPT_DURATION:
		return "TIME";
	default:
		return "TEXT";
	}
}
