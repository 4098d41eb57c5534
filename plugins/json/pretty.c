/* SPDX-License-Identifier: MIT */
#include "pretty.h"

#include <string.h>

static void
newline(struct outbuf *b, unsigned level)
{
	outbuf_putc(b, '\n');
	for (unsigned i = 0; i < level; i++)
		outbuf_put(b, "  ", 2);
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
put_open(struct outbuf *b, const char *p, const char *end, unsigned *level)
{
	const char *next = skip_space(p + 1, end);

	outbuf_putc(b, *p);
	if (next < end && (*next == '}' || *next == ']')) {
		outbuf_putc(b, *next);
		return next + 1;
	}
	newline(b, ++*level);
	return next;
}

void
pretty_put(struct outbuf *b, struct weir_str value)
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
			outbuf_putc(b, *p++);
			break;
		case ',':
			outbuf_putc(b, *p++);
			newline(b, level);
			break;
		case ':':
			outbuf_put(b, ": ", 2);
			p++;
			break;
		case '"':
			next = string_end(p, end);
			outbuf_put(b, p, (size_t)(next - p));
			p = next;
			break;
		default:
			outbuf_putc(b, *p++);
			break;
		}
	}
}
