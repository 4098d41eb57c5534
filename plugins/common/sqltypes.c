/* SPDX-License-Identifier: MIT */
/*
 * Reading datatypes. The canonical name is put together from known words and
 * numbers only, so that it can stand in a statement.
 */
#include "common/sqltypes.h"

#include <stdio.h>
#include <string.h>

const struct sqltype sqltype_text = {
	.family = SQL_TEXT, .n = -1, .m = -1, .name = "text"};

struct type_word {
	const char *word;
	const char *canonical;
	enum sqltype_family family;
	int arguments; /* how many may stand in parentheses */
};

static const struct type_word words[] = {
	{"text", "text", SQL_TEXT, 0},
	{"string", "text", SQL_TEXT, 0},
	{"varchar", "varchar", SQL_VARCHAR, 1},
	{"character varying", "varchar", SQL_VARCHAR, 1},
	{"char", "char", SQL_VARCHAR, 1},
	{"character", "char", SQL_VARCHAR, 1},
	{"boolean", "boolean", SQL_BOOLEAN, 0},
	{"bool", "boolean", SQL_BOOLEAN, 0},
	{"smallint", "smallint", SQL_SMALLINT, 0},
	{"int2", "smallint", SQL_SMALLINT, 0},
	{"integer", "integer", SQL_INTEGER, 0},
	{"int", "integer", SQL_INTEGER, 0},
	{"int4", "integer", SQL_INTEGER, 0},
	{"bigint", "bigint", SQL_BIGINT, 0},
	{"int8", "bigint", SQL_BIGINT, 0},
	{"numeric", "numeric", SQL_NUMERIC, 2},
	{"decimal", "numeric", SQL_NUMERIC, 2},
	{"number", "numeric", SQL_NUMERIC, 2},
	{"real", "real", SQL_REAL, 0},
	{"float4", "real", SQL_REAL, 0},
	{"double precision", "double precision", SQL_DOUBLE, 0},
	{"double", "double precision", SQL_DOUBLE, 0},
	{"float8", "double precision", SQL_DOUBLE, 0},
	{"float", "double precision", SQL_DOUBLE, 0},
	{"date", "date", SQL_DATE, 0},
	{"timestamp", "timestamp", SQL_TIMESTAMP, 1},
	{"timestamp without time zone", "timestamp", SQL_TIMESTAMP, 0},
	{"timestamptz", "timestamptz", SQL_TIMESTAMPTZ, 1},
	{"timestamp with time zone", "timestamptz", SQL_TIMESTAMPTZ, 0},
	{"uuid", "uuid", SQL_UUID, 0},
	{"json", "json", SQL_JSON, 0},
	{"jsonb", "jsonb", SQL_JSONB, 0},
	{"object", "jsonb", SQL_JSONB, 0},
	{"array", "jsonb", SQL_JSONB, 0},
	{"time without time zone", "time", SQL_OTHER, 0},
	{"time with time zone", "timetz", SQL_OTHER, 0},
	{"bit varying", "varbit", SQL_OTHER, 1},
};

static bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Words in lower case joined by one blank. Returns where it stopped. */
static const char *
read_words(char out[64], const char *s)
{
	size_t n = 0;

	while (*s == ' ')
		s++;
	for (; *s != '\0'; s++) {
		char c = *s;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == ' ' && n > 0 && out[n - 1] == ' ')
			continue;
		if (c != ' ' && !is_word_char(c))
			break;
		if (n >= 48)
			return NULL;
		out[n++] = c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return n > 0 && !(out[0] >= '0' && out[0] <= '9') ? s : NULL;
}

/* A number of at most five digits. */
static const char *
read_number(int *out, const char *s)
{
	int v = 0, digits = 0;

	while (*s == ' ')
		s++;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (++digits > 5)
			return NULL;
		v = v * 10 + (*s - '0');
	}
	while (*s == ' ')
		s++;
	if (digits == 0)
		return NULL;
	*out = v;
	return s;
}

/* "(n)" or "(n,m)" if it is there. */
static const char *
read_arguments(struct sqltype *t, const char *s)
{
	if (*s != '(')
		return s;
	s = read_number(&t->n, s + 1);
	if (s != NULL && *s == ',')
		s = read_number(&t->m, s + 1);
	return s != NULL && *s == ')' ? s + 1 : NULL;
}

static bool
arguments_hold(const struct sqltype *t, const struct type_word *w)
{
	int given = t->n < 0 ? 0 : t->m < 0 ? 1 : 2;

	if (w == NULL)
		return true;
	if (given > w->arguments)
		return false;
	if (t->family == SQL_VARCHAR)
		return t->n != 0;
	if (t->family == SQL_TIMESTAMP || t->family == SQL_TIMESTAMPTZ)
		return t->n <= 6;
	if (t->family == SQL_NUMERIC && given > 0)
		return t->n >= 1 && t->n <= 1000 && t->m <= t->n;
	return true;
}

static void
write_name(struct sqltype *t, const char *word)
{
	char args[24] = "";

	if (t->m >= 0)
		snprintf(args, sizeof args, "(%d,%d)", t->n, t->m);
	else if (t->n >= 0)
		snprintf(args, sizeof args, "(%d)", t->n);
	snprintf(t->name, sizeof t->name, "%.36s%s%s", word, args,
		 t->array ? "[]" : "");
}

int
sqltype_parse(struct sqltype *out, const char *datatype)
{
	struct sqltype t = {.family = SQL_OTHER, .n = -1, .m = -1};
	const struct type_word *w = NULL;
	char word[64];

	const char *s = read_words(word, datatype);
	if (s != NULL)
		s = read_arguments(&t, s);
	if (s == NULL)
		return -1;
	while (*s == ' ')
		s++;
	if (strncmp(s, "[]", 2) == 0) {
		t.array = true;
		s += 2;
	}
	while (*s == ' ')
		s++;
	if (*s != '\0')
		return -1;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(words[i].word, word) == 0)
			w = &words[i];
	}
	if (w == NULL && strchr(word, ' ') != NULL)
		return -1;
	if (w == NULL && strlen(word) > 36)
		return -1;
	if (w != NULL)
		t.family = w->family;
	if (!arguments_hold(&t, w))
		return -1;
	if (w != NULL && t.n < 0 && strcmp(w->canonical, "char") == 0)
		t.n = 1; /* what SQL takes it for */
	write_name(&t, w != NULL ? w->canonical : word);
	*out = t;
	return 0;
}

void
sqltype_infer(struct sqltype *out, enum weir_kind kind)
{
	const char *name = "text";

	if (kind == WEIR_BOOL)
		name = "boolean";
	else if (kind == WEIR_NUMBER)
		name = "numeric";
	else if (kind == WEIR_ARRAY || kind == WEIR_OBJECT)
		name = "jsonb";
	*out = sqltype_text;
	(void)sqltype_parse(out, name);
}
