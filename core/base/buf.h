/* SPDX-License-Identifier: MIT */
#ifndef BASE_BUF_H
#define BASE_BUF_H

/*
 * A growable run of bytes with a maximum it is born with. Appends return 0 or
 * WEIR_ENOMEM (no memory, or the maximum would be passed); after a failure the
 * buffer is unchanged and `failed` stays set until buf_clear, so that a chain
 * of appends may be checked once at its end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <weir/types.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
int buf_reserve(struct buf *b, size_t extra);
int buf_add_str(struct buf *b, struct weir_str s);
int buf_number(struct buf *b, uint64_t n); /* decimal */
int buf_zero(struct buf *b, size_t n);	   /* n zero bytes */
int buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
struct weir_str buf_str(const struct buf *b);
const char *buf_cstr(struct buf *b); /* NUL-ended view, or "" after failure */

int buf_add_any(struct buf *b, const void *p, size_t n);

/* Mostly there is room; buf_add_any does the rest. */
static inline int
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || n > b->cap - b->len || n > b->max - b->len || b->failed)
		return buf_add_any(b, p, n);
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

static inline int
buf_puts(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

static inline int
buf_putc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

/* Little-endian integers. */
int buf_u16(struct buf *b, uint16_t v);
int buf_u32(struct buf *b, uint32_t v);
int buf_u64(struct buf *b, uint64_t v);

#endif
