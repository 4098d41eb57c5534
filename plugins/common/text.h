/* SPDX-License-Identifier: MIT */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

/*
 * Memory of a plugin, from the host's allocator: a growable text with a
 * maximum, and an arena whose pieces live until it is cleared.
 */

#include <stdbool.h>
#include <weir/sink.h>

/* After a failure (no memory, or the maximum would be passed) appends do
 * nothing and failed stays set until text_clear: check once at the end. The
 * bytes are always ended by NUL once something was appended. */
struct text {
	const struct weir_sink_host *host;
	char *data;
	size_t len, cap, max;
	bool failed;
};

void text_init(struct text *t, const struct weir_sink_host *host, size_t max);
void text_fini(struct text *t);
void text_clear(struct text *t);
/* Room for n more bytes and a NUL at data + len; false and failed without. */
bool text_reserve(struct text *t, size_t n);
void text_add(struct text *t, const void *p, size_t n);
void text_putc(struct text *t, char ch);
void text_puts(struct text *t, const char *s);
void text_str(struct text *t, struct weir_str s);
void text_fmt(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "name" with its quotes, for SQL. */
void text_ident(struct text *t, const char *name);
void text_u32be(struct text *t, uint32_t v);
void text_u64(struct text *t, uint64_t v); /* decimal */
void text_i64(struct text *t, int64_t v);
/* The decimal digits of v, in space. */
struct weir_str text_digits(char space[20], uint64_t v);
const char *text_cstr(const struct text *t);

struct arena_block;
struct arena {
	const struct weir_sink_host *host;
	struct arena_block *blocks;
	size_t used, max;
};

void arena_init(struct arena *a, const struct weir_sink_host *host, size_t max);
void arena_fini(struct arena *a);
void arena_clear(struct arena *a);	      /* keeps one block */
void *arena_alloc(struct arena *a, size_t n); /* NULL: no memory */

/* Zeroed memory of the host; NULL when there is none. */
void *sink_alloc(const struct weir_sink_host *host, size_t n);
void sink_free(const struct weir_sink_host *host, void *p);
/* A copy; data NULL when there is no memory (an absent s stays absent). */
struct weir_str sink_dup(const struct weir_sink_host *host, struct weir_str s);
struct weir_str text_of(const char *s);
bool text_same(struct weir_str a, struct weir_str b);

/* The decoded text of a raw JSON string: inside raw when it has no escapes,
 * else in the arena; data NULL when there is no memory. */
struct weir_str text_decode(struct arena *a, struct weir_str raw);

#endif
