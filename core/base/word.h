/* SPDX-License-Identifier: MIT */
#ifndef BASE_WORD_H
#define BASE_WORD_H

/*
 * Looking at eight bytes of a text at once. What says that some byte is so
 * never misses one, but may say it of a byte that stands above such a one in
 * the word: what is found is looked at again, byte by byte.
 */

#include <stdint.h>
#include <string.h>

#define WORD_ONES 0x0101010101010101u
#define WORD_TOPS 0x8080808080808080u

static inline uint64_t
word_load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* Not 0 when a byte is below n (at most 0x80). */
static inline uint64_t
word_below(uint64_t word, unsigned n)
{
	return (word - WORD_ONES * n) & ~word & WORD_TOPS;
}

/* Not 0 when a byte is c. */
static inline uint64_t
word_has(uint64_t word, unsigned char c)
{
	return word_below(word ^ WORD_ONES * c, 1);
}

#endif
