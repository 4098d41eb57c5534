/* SPDX-License-Identifier: MIT */
/*
 * Lines are cut, not copied: every span points into the text. An edit copies
 * the lines before, puts the new one, and copies the rest.
 */
#include "model/inifile.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' ||
	       c == '\f';
}

static struct weir_str
trim(struct weir_str s)
{
	while (s.len > 0 && blank(s.data[0])) {
		s.data++;
		s.len--;
	}
	while (s.len > 0 && blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

/* The part of a value before a comment behind it. */
static struct weir_str
before_comment(struct weir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] == ';' && i > 0 && blank(s.data[i - 1]))
			return trim((struct weir_str){s.data, i});
	return trim(s);
}

static void
read_line(struct ini_line *l, struct weir_str s)
{
	const char *end;

	l->kind = INI_BLANK;
	l->name = l->value = (struct weir_str){NULL, 0};
	if (s.len == 0 || s.data[0] == ';' || s.data[0] == '#')
		return;
	if (s.data[0] == '[') {
		end = memchr(s.data, ']', s.len);
		l->kind = end != NULL ? INI_SECTION : INI_BAD;
		if (end != NULL)
			l->name = (struct weir_str){s.data + 1,
						    (size_t)(end - s.data) - 1};
		return;
	}
	end = s.data;
	while (end < s.data + s.len && *end != '=' && *end != ':')
		end++;
	if (end == s.data + s.len) {
		l->kind = INI_BAD;
		return;
	}
	l->kind = INI_VALUE;
	l->name = trim((struct weir_str){s.data, (size_t)(end - s.data)});
	l->value = before_comment(
		(struct weir_str){end + 1, s.len - (size_t)(end - s.data) - 1});
}

int
ini_next(struct ini_walk *w, struct ini_line *out)
{
	const char *from = w->text.data + w->at;
	size_t left = w->text.len - w->at;
	const char *end;

	if (left == 0)
		return 0;
	end = memchr(from, '\n', left);
	out->text.data = from;
	out->text.len = end != NULL ? (size_t)(end - from) + 1 : left;
	out->number = ++w->number;
	w->at += out->text.len;
	read_line(out, trim(out->text));
	return 1;
}

/* Where the last line that sets the key begins, and where a new one would be
 * put: behind the last value (or the heading) of its section. */
struct place {
	const char *last;  /* or NULL */
	const char *after; /* or NULL: no such section */
};

static void
find_place(struct place *p, struct weir_str text, struct weir_str section,
	   struct weir_str key)
{
	struct ini_walk w = {text, 0, 0};
	struct ini_line l;
	bool inside = section.len == 0;

	p->last = NULL;
	p->after = inside ? text.data : NULL;
	while (ini_next(&w, &l)) {
		const char *end = l.text.data + l.text.len;

		if (l.kind == INI_SECTION)
			inside = str_eq(l.name, section);
		if (inside && l.kind == INI_SECTION)
			p->after = end;
		if (!inside || l.kind != INI_VALUE)
			continue;
		p->after = end;
		if (str_eq(l.name, key))
			p->last = l.text.data;
	}
}

static int
put_line(struct buf *out, struct weir_str key, struct weir_str value)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_putc(out, '\n');
	buf_add_str(out, key);
	buf_puts(out, " = ");
	buf_add_str(out, value);
	return buf_putc(out, '\n');
}

/* The line with another value: what stands around the value is kept. */
static int
put_changed(struct buf *out, const struct ini_line *l, struct weir_str value)
{
	const char *at = l->value.data;
	const char *end = l->text.data + l->text.len;

	if (l->value.len == 0)
		return put_line(out, l->name, value);
	buf_add(out, l->text.data, (size_t)(at - l->text.data));
	buf_add_str(out, value);
	at += l->value.len;
	return buf_add(out, at, (size_t)(end - at));
}

int
ini_edit(struct buf *out, struct weir_str text, struct weir_str section,
	 struct weir_str key, struct weir_str value)
{
	struct ini_walk w = {text, 0, 0};
	struct ini_line l;
	struct place p;
	bool inside = section.len == 0, add;

	if (text.data == NULL)
		text.data = "";
	w.text = text;
	find_place(&p, text, section, key);
	add = p.last == NULL && value.data != NULL;
	if (add && p.after != NULL && p.after == text.data)
		put_line(out, key, value);
	while (ini_next(&w, &l)) {
		bool same;

		if (l.kind == INI_SECTION)
			inside = str_eq(l.name, section);
		same = inside && l.kind == INI_VALUE && str_eq(l.name, key);
		if (!same)
			buf_add_str(out, l.text);
		else if (l.text.data == p.last && value.data != NULL)
			put_changed(out, &l, value);
		if (add && p.after == l.text.data + l.text.len)
			put_line(out, key, value);
	}
	if (add && p.after == NULL) {
		if (out->len > 0 && out->data[out->len - 1] != '\n')
			buf_putc(out, '\n');
		buf_putc(out, '[');
		buf_add_str(out, section);
		buf_puts(out, "]\n");
		put_line(out, key, value);
	}
	return out->failed ? WEIR_ENOMEM : 0;
}
