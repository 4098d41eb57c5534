/* SPDX-License-Identifier: MIT */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

/* What the files of the JSON scanner share. Not for others. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include "base/word.h"

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

/*
 * Skips bytes of a string in large steps: the first that is a quote or a
 * backslash or, for json_plain, below 0x20 or above 0x7f; or one that stands
 * shortly before it or before the end, from where one goes on byte by byte.
 */
static inline const char *
json_quote(const char *at, const char *end)
{
#ifdef __SSE2__
	for (; end - at >= 16; at += 16) {
		__m128i v = _mm_loadu_si128((const void *)at);
		__m128i hit = _mm_or_si128(
			_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
			_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
		int mask = _mm_movemask_epi8(hit);
		if (mask != 0)
			return at + __builtin_ctz((unsigned)mask);
	}
#endif
	for (; end - at >= 8; at += 8) {
		uint64_t w = word_load(at);
		if (word_has(w, '"') || word_has(w, '\\'))
			break;
	}
	return at;
}

static inline const char *
json_plain(const char *at, const char *end)
{
#ifdef __SSE2__
	for (; end - at >= 16; at += 16) {
		__m128i v = _mm_loadu_si128((const void *)at);
		/* As signed bytes those above 0x7f are below 0x20, too. */
		__m128i hit = _mm_or_si128(
			_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
			_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
				     _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		int mask = _mm_movemask_epi8(hit);
		if (mask != 0)
			return at + __builtin_ctz((unsigned)mask);
	}
#endif
	for (; end - at >= 8; at += 8) {
		uint64_t w = word_load(at);
		if ((w & WORD_TOPS) != 0 || word_below(w, 0x20) != 0 ||
		    word_has(w, '"') || word_has(w, '\\'))
			break;
	}
	return at;
}

#endif
