/* SPDX-License-Identifier: MIT */
#include "pretty.h"

#include <string.h>

static void
newline(struct text *b, unsigned level)
{
	text_putc(b, '\n');
	for (unsigned i = 0; i < level; i++)
		text_add(b, "  ", 2);
}

/* One past the string that begins at p. */
static const char *
string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : end;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0')
		p++;
	return p;
}

/* An opening bracket; an empty container stays on one line. */
static const char *
put_open(struct text *b, const char *p, const char *end, unsigned *level)
{
	const char *next = skip_space(p + 1, end);

	text_putc(b, *p);
	if (next < end && (*next == '}' || *next == ']')) {
		text_putc(b, *next);
		return next + 1;
	}
	newline(b, ++*level);
	return next;
}

void
pretty_put(struct text *b, struct weir_str value)
{
	const char *p = value.data, *end = p + value.len, *next;
	unsigned level = 0;

	for (p = skip_space(p, end); p < end; p = skip_space(p, end)) {
		switch (*p) {
		case '{':
		case '[':
			p = put_open(b, p, end, &level);
			break;
		case '}':
		case ']':
			newline(b, --level);
			text_putc(b, *p++);
			break;
		case ',':
			text_putc(b, *p++);
			newline(b, level);
			break;
		case ':':
			text_add(b, ": ", 2);
			p++;
			break;
		case '"':
			next = string_end(p, end);
			text_add(b, p, (size_t)(next - p));
			p = next;
			break;
		default:
			text_putc(b, *p++);
			break;
		}
	}
}
