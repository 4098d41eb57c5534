/* SPDX-License-Identifier: MIT */
#include "common/ident.h"

#include <string.h>

/* Appends the code points of source by the rule; stops when out is full.
 * Returns the length it would have. */
static size_t
put_points(char *out, size_t at, size_t cap, struct weir_str source)
{
	for (size_t i = 0; i < source.len; i++) {
		unsigned char c = (unsigned char)source.data[i];
		if ((c & 0xc0) == 0x80)
			continue; /* the rest of a code point */
		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			c = '_';
		if (at < cap)
			out[at] = (char)c;
		at++;
	}
	return at;
}

static size_t
put_ascii(char *out, size_t at, size_t cap, const char *s)
{
	for (; *s; s++, at++) {
		if (at < cap)
			out[at] = *s;
	}
	return at;
}

void
ident_make(char out[IDENT_SIZE], const struct weir_sink_host *host,
	   struct weir_str source, const char *prefix, const char *suffix,
	   unsigned round)
{
	static const char hex[] = "0123456789abcdef";
	size_t digits = round == 0 ? 0 : (size_t)4 << round;
	size_t n = put_ascii(out, 0, IDENT_MAX, prefix);

	if (n == 0 && (source.len == 0 ||
		       (source.data[0] >= '0' && source.data[0] <= '9')))
		n = put_ascii(out, n, IDENT_MAX, "_");
	n = put_points(out, n, IDENT_MAX, source);
	n = put_ascii(out, n, IDENT_MAX, suffix);
	if (n > IDENT_MAX && digits == 0)
		digits = 8;
	if (digits > 0) {
		uint8_t sum[32];
		host->sha256(host->cookie, source.data ? source.data : "",
			     source.len, sum);
		if (n > IDENT_MAX - digits - 1)
			n = IDENT_MAX - digits - 1;
		out[n++] = '_';
		for (size_t i = 0; i < digits; i++) {
			unsigned v = sum[i / 2];
			out[n++] = hex[(i & 1) ? (v & 15) : (v >> 4)];
		}
	}
	out[n] = '\0';
}

bool
ident_listed(const char *name, const char *const *list)
{
	for (; list != NULL && *list != NULL; list++) {
		if (strcmp(name, *list) == 0)
			return true;
	}
	return false;
}
