/* SPDX-License-Identifier: MIT */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

/* What the files of the JSON scanner share. Not for others. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Decodes the character or escape at *at of a checked string into out (1 to 4
 * bytes; a plain character byte by byte) and moves *at behind it. */
size_t json_unit(char out[4], const char **at);

/* Of a checked string whose first byte behind the quote is at: the closing
 * quote. */
const char *json_closing(const char *at, const char *end);

/* The four hex digits at p, or -1. */
int json_hex4(const char *p);

static inline bool
json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *
json_skip_space(const char *at, const char *end)
{
	while (at < end && json_is_space(*at))
		at++;
	return at;
}

#define JSON_ONES 0x0101010101010101u
#define JSON_TOPS 0x8080808080808080u

/* Non-zero when a byte of word is c (c below 0x80). Bytes of 0x80 and above
 * may add false hits, never hide one. */
static inline uint64_t
json_has(uint64_t word, unsigned char c)
{
	uint64_t diff = word ^ (JSON_ONES * c);

	return (diff - JSON_ONES) & ~diff & JSON_TOPS;
}

static inline uint64_t
json_word(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

#endif
