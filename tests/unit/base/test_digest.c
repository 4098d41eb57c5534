/* SPDX-License-Identifier: MIT */
#include "base/digest.h"

#include "base_test.h"

#include <pthread.h>

static void
hash_is(const char *text, const char *want)
{
	struct digest_part part = {text, strlen(text)};
	uint8_t raw[DIGEST_LEN];
	char hex[2 * DIGEST_LEN + 1];

	digest_sha256(raw, &part, 1);
	str_hex(hex, raw, sizeof raw);
	assert_string_equal(hex, want);
}

/* FIPS 180-4 examples. */
static void
test_sha256(void **state)
{
	(void)state;
	hash_is("", "e3b0c44298fc1c149afbf4c8996fb924"
		    "27ae41e4649b934ca495991b7852b855");
	hash_is("abc", "ba7816bf8f01cfea414140de5dae2223"
		       "b00361a396177a9cb410ff61f20015ad");
	hash_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		"248d6a61d20638b8e5c026930c3e6039"
		"a33ce45964ff2167f6ecedd419db06c1");
}

static void
test_parts(void **state)
{
	struct digest_part parts[] = {
		{"a", 1}, {NULL, 0}, {"b", 1}, {"", 0}, {"c", 1}};
	struct digest_part whole = {"abc", 3};
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];

	(void)state;
	digest_sha256(a, parts, 5);
	digest_sha256(b, &whole, 1);
	assert_memory_equal(a, b, DIGEST_LEN);
	digest_sha256(a, NULL, 0);
	whole.n = 0;
	digest_sha256(b, &whole, 1);
	assert_memory_equal(a, b, DIGEST_LEN);
}

static void
test_running(void **state)
{
	struct digest *d = digest_new();
	struct digest_part whole = {"abc", 3};
	uint8_t a[DIGEST_LEN], b[DIGEST_LEN];

	(void)state;
	assert_non_null(d);
	digest_sha256(b, &whole, 1);
	for (int round = 0; round < 2; round++) {
		digest_add(d, "a", 1);
		digest_add(d, NULL, 0);
		/* another hash of the thread does not disturb it */
		digest_sha256(a, &whole, 1);
		digest_add(d, "bc", 2);
		digest_end(d, a);
		assert_memory_equal(a, b, DIGEST_LEN);
	}
	digest_free(d);
	digest_free(NULL);
}

static void *
hash_often(void *cookie)
{
	struct digest_part part = {"abc", 3};

	for (int i = 0; i < 1000; i++)
		digest_sha256(cookie, &part, 1);
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[4];
	uint8_t got[4][DIGEST_LEN], want[DIGEST_LEN];
	struct digest_part part = {"abc", 3};

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hash_often, got[i]),
			0);
	digest_sha256(want, &part, 1);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_memory_equal(got[i], want, DIGEST_LEN);
	}
}

/* RFC 3720, appendix B.4. */
static void
test_crc_vectors(void **state)
{
	uint8_t raw[32];

	(void)state;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(raw, 0, sizeof raw);
	assert_int_equal(crc32c(0, raw, 32), 0x8a9136aa);
	memset(raw, 0xff, sizeof raw);
	assert_int_equal(crc32c(0, raw, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		raw[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, raw, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		raw[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, raw, 32), 0x113fdb5c);
}

/* Bit by bit, from the polynomial alone. */
static uint32_t
crc_by_bits(uint32_t seed, const uint8_t *p, size_t n)
{
	uint32_t reg = ~seed;

	for (size_t i = 0; i < n; i++) {
		reg ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			reg = reg & 1 ? reg >> 1 ^ 0x82f63b78 : reg >> 1;
	}
	return ~reg;
}

/* All ways agree at every length over the lanes and at every alignment. */
static void
test_crc_ways(void **state)
{
	uint8_t raw[8192];
	uint32_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof raw; i++) {
		seed = seed * 1664525 + 1013904223;
		raw[i] = (uint8_t)(seed >> 24);
	}
	for (size_t n = 0; n < sizeof raw - 8; n += n < 40 ? 1 : 37) {
		const uint8_t *p = raw + n % 8;
		uint32_t want = crc_by_bits(seed, p, n);
		assert_int_equal(crc32c(seed, p, n), want);
		assert_int_equal(crc32c_tables(seed, p, n), want);
		size_t half = n / 3;
		assert_int_equal(
			crc32c(crc32c(seed, p, half), p + half, n - half),
			want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_crc_vectors),
		cmocka_unit_test(test_crc_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
