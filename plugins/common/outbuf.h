/* SPDX-License-Identifier: MIT */
#ifndef COMMON_OUTBUF_H
#define COMMON_OUTBUF_H

/*
 * A growing run of bytes in the host's memory, with a maximum. A failed
 * allocation or a full buffer sets `failed`, drops what follows and is looked
 * at once, at the end.
 */

#include <stdbool.h>
#include <weir/sink.h>

struct outbuf {
	const struct weir_sink_host *host;
	char *data;
	size_t len, cap, max;
	bool failed;
};

void outbuf_init(struct outbuf *b, const struct weir_sink_host *host,
		 size_t max);
void outbuf_fini(struct outbuf *b);
void outbuf_clear(struct outbuf *b); /* keeps the memory; failed is unset */

/* Room for n more bytes at data + len; false and failed without it. */
bool outbuf_reserve(struct outbuf *b, size_t n);
void outbuf_put(struct outbuf *b, const void *p, size_t n);
void outbuf_puts(struct outbuf *b, const char *s);
void outbuf_putc(struct outbuf *b, char c);
void outbuf_put_u64(struct outbuf *b, uint64_t v);

#endif
