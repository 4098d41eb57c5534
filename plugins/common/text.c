/* SPDX-License-Identifier: MIT */
#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	max_align_t data[];
};

#define ARENA_BLOCK ((size_t)16 << 10)

void
text_init(struct text *t, const struct weir_sink_host *host, size_t max)
{
	memset(t, 0, sizeof *t);
	t->host = host;
	t->max = max;
}

void
text_fini(struct text *t)
{
	if (t->data != NULL)
		t->host->release(t->host->cookie, t->data);
	t->data = NULL;
	t->len = t->cap = 0;
}

void
text_clear(struct text *t)
{
	t->len = 0;
	t->failed = false;
}

bool
text_reserve(struct text *t, size_t n)
{
	if (t->failed)
		return false;
	if (n >= t->max || t->len > t->max - n - 1) {
		t->failed = true;
		return false;
	}
	size_t need = t->len + n + 1;
	if (need <= t->cap)
		return true;
	size_t cap = t->cap < 256 ? 256 : t->cap;
	while (cap < need)
		cap *= 2;
	char *p = t->host->resize(t->host->cookie, t->data, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->data = p;
	t->cap = cap;
	return true;
}

void
text_add(struct text *t, const void *p, size_t n)
{
	if (!text_reserve(t, n))
		return;
	if (n > 0)
		memcpy(t->data + t->len, p, n);
	t->len += n;
	t->data[t->len] = '\0';
}

void
text_putc(struct text *t, char ch)
{
	text_add(t, &ch, 1);
}

void
text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_str(struct text *t, struct weir_str s)
{
	text_add(t, s.data, s.len);
}

void
text_fmt(struct text *t, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && text_reserve(t, (size_t)n)) {
		vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
		t->len += (size_t)n;
	}
	va_end(again);
}

void
text_ident(struct text *t, const char *name)
{
	text_puts(t, "\"");
	for (; *name; name++)
		text_add(t, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	text_puts(t, "\"");
}

void
text_u32be(struct text *t, uint32_t v)
{
	unsigned char b[4] = {(unsigned char)(v >> 24),
			      (unsigned char)(v >> 16), (unsigned char)(v >> 8),
			      (unsigned char)v};
	text_add(t, b, sizeof b);
}

struct weir_str
text_digits(char space[20], uint64_t v)
{
	size_t n = 20;

	do
		space[--n] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	return (struct weir_str){space + n, 20 - n};
}

void
text_u64(struct text *t, uint64_t v)
{
	char space[20];

	text_str(t, text_digits(space, v));
}

void
text_i64(struct text *t, int64_t v)
{
	if (v < 0)
		text_putc(t, '-');
	text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

const char *
text_cstr(const struct text *t)
{
	return t->failed || t->data == NULL ? "" : t->data;
}

void
arena_init(struct arena *a, const struct weir_sink_host *host, size_t max)
{
	memset(a, 0, sizeof *a);
	a->host = host;
	a->max = max;
}

void
arena_fini(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;
		sink_free(a->host, a->blocks);
		a->blocks = next;
	}
	a->used = 0;
}

void
arena_clear(struct arena *a)
{
	struct arena_block *first = a->blocks;

	if (first == NULL)
		return;
	if (first->cap > ARENA_BLOCK) {
		arena_fini(a);
		return;
	}
	a->blocks = first->next;
	arena_fini(a);
	first->next = NULL;
	first->used = 0;
	a->blocks = first;
	a->used = first->cap;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->blocks;

	if (n > a->max)
		return NULL;
	n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
	    sizeof(max_align_t);
	if (b == NULL || b->cap - b->used < n) {
		size_t cap = n > ARENA_BLOCK ? n : ARENA_BLOCK;
		if (a->used + cap > a->max)
			return NULL;
		b = a->host->resize(a->host->cookie, NULL, sizeof *b + cap);
		if (b == NULL)
			return NULL;
		b->used = 0;
		b->cap = cap;
		b->next = a->blocks;
		a->blocks = b;
		a->used += cap;
	}
	void *p = (char *)b->data + b->used;
	b->used += n;
	return p;
}

void *
sink_alloc(const struct weir_sink_host *host, size_t n)
{
	void *p = host->resize(host->cookie, NULL, n ? n : 1);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

void
sink_free(const struct weir_sink_host *host, void *p)
{
	if (p != NULL)
		host->release(host->cookie, p);
}

struct weir_str
sink_dup(const struct weir_sink_host *host, struct weir_str s)
{
	struct weir_str out = {NULL, 0};

	if (s.data == NULL)
		return out;
	char *p = host->resize(host->cookie, NULL, s.len + 1);
	if (p == NULL)
		return out;
	if (s.len > 0)
		memcpy(p, s.data, s.len);
	p[s.len] = '\0';
	out.data = p;
	out.len = s.len;
	return out;
}

struct weir_str
text_of(const char *s)
{
	struct weir_str out = {s, strlen(s)};
	return out;
}

bool
text_same(struct weir_str a, struct weir_str b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct weir_str
text_decode(struct arena *a, struct weir_str raw)
{
	struct weir_str out = {raw.data + 1, raw.len - 2};

	if (memchr(out.data, '\\', out.len) == NULL)
		return out;
	char *p = arena_alloc(a, raw.len);
	out.data = p;
	out.len = p ? a->host->json_string(a->host->cookie, raw, p) : 0;
	return out;
}
