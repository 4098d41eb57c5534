/* SPDX-License-Identifier: MIT */
/* Links: percent-encoding, and the address of the next page. */
#include "server/api_int.h"

#include <string.h>
#include "base/buf.h"
#include "base/str.h"

static bool
is_plain(unsigned char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
	       (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
	       ch == '_' || ch == '~';
}

void
api_put_encoded(struct buf *out, struct weir_str text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *p;

	if (buf_reserve(out, 3 * text.len) != 0)
		return;
	p = out->data + out->len;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = (unsigned char)text.data[i];

		if (is_plain(ch)) {
			*p++ = (char)ch;
			continue;
		}
		*p++ = '%';
		*p++ = hex[ch >> 4];
		*p++ = hex[ch & 15];
	}
	out->len = (size_t)(p - out->data);
}

/* The route's path with the parts in it. */
static void
put_path(struct buf *out, const struct api_call *c)
{
	const char *p = c->route->pattern;
	size_t part = 0;

	while (*p != '\0') {
		if (*p != '{') {
			buf_putc(out, *p++);
			continue;
		}
		api_put_encoded(out, c->part[part++]);
		p = strchr(p, '}') + 1;
	}
}

void
api_next(struct api_call *c, const char *name, struct weir_str value,
	 const char *drop)
{
	struct buf *b = api_field_begin(c, "Link");

	buf_putc(b, '<');
	put_path(b, c);
	buf_printf(b, "?%s=", name);
	api_put_encoded(b, value);
	for (size_t i = 0; i < c->nparams; i++) {
		const struct api_param *p = &c->params[i];

		if (str_is(p->name, name) ||
		    (drop != NULL && str_is(p->name, drop)))
			continue;
		buf_putc(b, '&');
		api_put_encoded(b, p->name);
		buf_putc(b, '=');
		api_put_encoded(b, p->value);
	}
	buf_puts(b, ">; rel=\"next\"");
	api_field_end(c);
}
