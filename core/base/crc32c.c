/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C: polynomial 0x1edc6f41, bits reflected (RFC 3720, appendix B.4).
 *
 * With SSE4.2 the instruction takes 8 bytes but answers only after three
 * cycles, so the input runs as three lanes side by side. The lanes join by
 * linearity: the register after a run of bytes A then B is the register of A
 * moved on over as many zero bytes as B has, XORed with the register of B
 * begun at zero. A table for each of the register's four bytes holds that move
 * over the length of a lane: long lanes for groups, short ones for frames.
 *
 * Elsewhere: eight tables, eight bytes a step. Both are chosen once.
 */
#include "base/digest.h"

#include <pthread.h>
#include <string.h>

#define POLY 0x82f63b78u
#define LONG  512u /* bytes of a lane, multiples of 8 */
#define SHORT 80u

static uint32_t step[8][256]; /* step[k][b]: byte b, then k zero bytes */
static uint32_t over_long[4][256], over_short[4][256];
static uint32_t (*run)(uint32_t reg, const unsigned char *p, size_t n);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t
bytes(uint32_t reg, const unsigned char *p, size_t n)
{
	while (n-- > 0)
		reg = step[0][(reg ^ *p++) & 0xff] ^ reg >> 8;
	return reg;
}

static uint32_t
little(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static uint32_t
run_tables(uint32_t reg, const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t a = reg ^ little(p);
		uint32_t b = little(p + 4);
		reg = step[7][a & 0xff] ^ step[6][a >> 8 & 0xff] ^
		      step[5][a >> 16 & 0xff] ^ step[4][a >> 24] ^
		      step[3][b & 0xff] ^ step[2][b >> 8 & 0xff] ^
		      step[1][b >> 16 & 0xff] ^ step[0][b >> 24];
	}
	return bytes(reg, p, n);
}

#if defined(__x86_64__) && defined(__GNUC__)

static uint32_t
move_over(const uint32_t over[4][256], uint32_t reg)
{
	return over[0][reg & 0xff] ^ over[1][reg >> 8 & 0xff] ^
	       over[2][reg >> 16 & 0xff] ^ over[3][reg >> 24];
}

static uint64_t
word(const unsigned char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof w);
	return w;
}

/* Three lanes of `lane` bytes. */
__attribute__((target("sse4.2"), always_inline)) static inline uint64_t
three(uint64_t a, const unsigned char *p, size_t lane,
      const uint32_t over[4][256])
{
	uint64_t b = 0, c = 0;

	for (size_t i = 0; i < lane; i += 8) {
		a = __builtin_ia32_crc32di(a, word(p + i));
		b = __builtin_ia32_crc32di(b, word(p + lane + i));
		c = __builtin_ia32_crc32di(c, word(p + 2 * lane + i));
	}
	a = move_over(over, (uint32_t)a) ^ b;
	return move_over(over, (uint32_t)a) ^ c;
}

__attribute__((target("sse4.2"))) static uint32_t
run_sse42(uint32_t reg, const unsigned char *p, size_t n)
{
	uint64_t a = reg;

	for (; n >= 3 * LONG; n -= 3 * LONG, p += 3 * LONG)
		a = three(a, p, LONG, over_long);
	for (; n >= 3 * SHORT; n -= 3 * SHORT, p += 3 * SHORT)
		a = three(a, p, SHORT, over_short);
	for (; n >= 8; n -= 8, p += 8)
		a = __builtin_ia32_crc32di(a, word(p));
	reg = (uint32_t)a;
	while (n-- > 0)
		reg = __builtin_ia32_crc32qi(reg, *p++);
	return reg;
}

static int
have_sse42(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("sse4.2");
}

#endif

/* The move over `lane` zero bytes. */
static void
make_over(uint32_t over[4][256], size_t lane)
{
	for (size_t k = 0; k < 4; k++) {
		/* Linear: single bits first, then their sums. */
		for (size_t bit = 1; bit < 256; bit *= 2) {
			uint32_t reg = (uint32_t)bit << (8 * k);
			for (size_t i = 0; i < lane; i++)
				reg = step[0][reg & 0xff] ^ reg >> 8;
			for (size_t low = 0; low < bit; low++)
				over[k][bit + low] = reg ^ over[k][low];
		}
	}
}

static void
make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t reg = i;
		for (int bit = 0; bit < 8; bit++)
			reg = reg & 1 ? reg >> 1 ^ POLY : reg >> 1;
		step[0][i] = reg;
	}
	for (size_t k = 1; k < 8; k++)
		for (size_t i = 0; i < 256; i++)
			step[k][i] = step[0][step[k - 1][i] & 0xff] ^
				     step[k - 1][i] >> 8;
	make_over(over_long, LONG);
	make_over(over_short, SHORT);
}

static void
choose(void)
{
	make_tables();
	run = run_tables;
#if defined(__x86_64__) && defined(__GNUC__)
	if (have_sse42())
		run = run_sse42;
#endif
}

uint32_t
crc32c(uint32_t seed, const void *p, size_t n)
{
	pthread_once(&once, choose);
	return ~run(~seed, p, n);
}

uint32_t
crc32c_tables(uint32_t seed, const void *p, size_t n)
{
	pthread_once(&once, choose);
	return ~run_tables(~seed, p, n);
}
