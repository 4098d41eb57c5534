/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/buf.h"
#include "base/json_text.h"

#include <string.h>

#define INDENT 2u

/* What was begun and failed leaves nothing behind. */
static int
end_of(struct buf *b, size_t was)
{
	if (!b->failed)
		return 0;
	b->len = was;
	return WEIR_ENOMEM;
}

static int
put_escape(struct buf *b, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	const char *shorter = c != 0 ? strchr(from, c) : NULL;
	char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

	if (shorter == NULL)
		return buf_add(b, text, 6);
	text[1] = to[shorter - from];
	return buf_add(b, text, 2);
}

/* Up to the first byte that has to be escaped. */
static size_t
plain_run(const char *p, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t w = word_load(p + i);

		if (word_below(w, 0x20) != 0 || word_has(w, '"') ||
		    word_has(w, '\\'))
			break;
	}
	for (; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x20 || c == '"' || c == '\\')
			break;
	}
	return i;
}

int
json_put_string(struct buf *b, struct weir_str s)
{
	size_t was = b->len;

	if (buf_reserve(b, s.len + 2) != 0)
		return WEIR_ENOMEM;
	buf_putc(b, '"');
	for (size_t i = 0; i < s.len;) {
		size_t n = plain_run(s.data + i, s.len - i);

		buf_add(b, s.data + i, n);
		i += n;
		if (i < s.len)
			put_escape(b, (unsigned char)s.data[i++]);
	}
	buf_putc(b, '"');
	return end_of(b, was);
}

int
json_put_compact(struct buf *b, struct weir_str value)
{
	const char *at = value.data;
	const char *end = at + value.len;
	const char *run = at;
	size_t was = b->len;

	while (at < end) {
		if (*at == '"') {
			at = json_closing(at + 1, end) + 1;
		} else if (json_is_space(*at)) {
			buf_add(b, run, (size_t)(at - run));
			at = run = json_skip_space(at, end);
		} else {
			at++;
		}
	}
	buf_add(b, run, (size_t)(at - run));
	return end_of(b, was);
}

static void
new_line(struct buf *b, unsigned level)
{
	buf_putc(b, '\n');
	for (unsigned i = 0; i < level * INDENT; i++)
		buf_putc(b, ' ');
}

/* Recursion ends at WEIR_DEPTH_MAX: the value was checked. */
static void
put_indented(struct buf *b, struct weir_str value, unsigned level)
{
	struct json_iter it;
	struct weir_str key, member;
	bool first = true;

	if (json_kind(value) < WEIR_ARRAY) {
		buf_add_str(b, value);
		return;
	}
	json_iter_init(&it, value);
	buf_putc(b, value.data[0]);
	while (json_iter_next(&it, &key, &member)) {
		if (!first)
			buf_putc(b, ',');
		first = false;
		new_line(b, level + 1);
		if (key.data != NULL) {
			buf_add_str(b, key);
			buf_puts(b, ": ");
		}
		put_indented(b, member, level + 1);
	}
	if (!first)
		new_line(b, level);
	buf_putc(b, value.data[value.len - 1]);
}

int
json_put_pretty(struct buf *b, struct weir_str value, unsigned level)
{
	size_t was = b->len;

	put_indented(b, value, level);
	return end_of(b, was);
}
