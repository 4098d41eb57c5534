/* SPDX-License-Identifier: MIT */
#include "common/outbuf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void
outbuf_init(struct outbuf *b, const struct weir_sink_host *host, size_t max)
{
	*b = (struct outbuf){.host = host, .max = max};
}

void
outbuf_fini(struct outbuf *b)
{
	if (b->data != NULL)
		b->host->release(b->host->cookie, b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

void
outbuf_clear(struct outbuf *b)
{
	b->len = 0;
	b->failed = false;
}

bool
outbuf_reserve(struct outbuf *b, size_t n)
{
	size_t cap = b->cap != 0 ? b->cap : 256;
	char *p;

	if (b->failed)
		return false;
	if (n <= b->cap - b->len)
		return true;
	if (n > b->max || b->len > b->max - n) {
		b->failed = true;
		return false;
	}
	while (cap - b->len < n)
		cap *= 2;
	p = b->host->resize(b->host->cookie, b->data, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	return true;
}

void
outbuf_put(struct outbuf *b, const void *p, size_t n)
{
	if (n == 0 || !outbuf_reserve(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

void
outbuf_puts(struct outbuf *b, const char *s)
{
	outbuf_put(b, s, strlen(s));
}

void
outbuf_putc(struct outbuf *b, char c)
{
	outbuf_put(b, &c, 1);
}

void
outbuf_put_u64(struct outbuf *b, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	outbuf_puts(b, text);
}
