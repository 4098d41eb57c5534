/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/os.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP 128u

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_fini(struct buf *b)
{
	mem_free(b->data);
	*b = (struct buf){.max = b->max};
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

static int
fail(struct buf *b)
{
	b->failed = true;
	return WEIR_ENOMEM;
}

/* Makes the memory hold at least need bytes; limit is max, or max + 1 when a
 * NUL that does not count is to be added. */
static int
grow(struct buf *b, size_t need, size_t limit)
{
	size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;

	if (need > limit)
		return fail(b);
	while (cap < need)
		cap = cap > limit / 2 ? limit : cap * 2;
	if (cap > limit)
		cap = limit;
	char *p = mem_resize(b->data, cap);
	if (p == NULL)
		return fail(b);
	b->data = p;
	b->cap = cap;
	return 0;
}

int
buf_reserve(struct buf *b, size_t extra)
{
	if (b->failed)
		return WEIR_ENOMEM;
	if (extra > b->max || b->len > b->max - extra)
		return fail(b);
	if (b->cap - b->len >= extra && b->data != NULL)
		return 0;
	return grow(b, b->len + extra, b->max);
}

int
buf_add_any(struct buf *b, const void *p, size_t n)
{
	int rc = buf_reserve(b, n);

	if (rc != 0 || n == 0)
		return rc;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int
buf_add_str(struct buf *b, struct weir_str s)
{
	return buf_add(b, s.data, s.len);
}

int
buf_number(struct buf *b, uint64_t n)
{
	char digits[20];

	return buf_add(b, digits, str_decimal(digits, n));
}

int
buf_zero(struct buf *b, size_t n)
{
	int rc = buf_reserve(b, n);

	if (rc != 0)
		return rc;
	memset(b->data + b->len, 0, n);
	b->len += n;
	return 0;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int rc;

	if (b->failed)
		return WEIR_ENOMEM;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n > b->max || b->len > b->max - (size_t)n) {
		rc = fail(b);
		goto out;
	}
	/* vsnprintf writes a NUL behind the text. */
	if (b->cap - b->len <= (size_t)n) {
		rc = grow(b, b->len + (size_t)n + 1, b->max + 1);
		if (rc != 0)
			goto out;
	}
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
	b->len += (size_t)n;
	rc = 0;
out:
	va_end(again);
	return rc;
}

struct weir_str
buf_str(const struct buf *b)
{
	return (struct weir_str){b->data != NULL ? b->data : "", b->len};
}

const char *
buf_cstr(struct buf *b)
{
	if (b->failed)
		return "";
	if (b->cap <= b->len && grow(b, b->len + 1, b->max + 1) != 0)
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

static int
add_little(struct buf *b, uint64_t v, size_t n)
{
	unsigned char raw[8];

	for (size_t i = 0; i < n; i++)
		raw[i] = (unsigned char)(v >> (8 * i));
	return buf_add(b, raw, n);
}

int
buf_u16(struct buf *b, uint16_t v)
{
	return add_little(b, v, 2);
}

int
buf_u32(struct buf *b, uint32_t v)
{
	return add_little(b, v, 4);
}

int
buf_u64(struct buf *b, uint64_t v)
{
	return add_little(b, v, 8);
}
