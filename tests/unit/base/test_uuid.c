/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include "base/clock.h"
#include "base/os.h"
#include "base_test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_text(void **state)
{
	uint8_t id[16], back[16];
	char text[37];

	(void)state;
	for (int i = 0; i < 16; i++)
		id[i] = (uint8_t)(i * 17);
	uuid_text(text, id);
	assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
	assert_int_equal(uuid_parse(back, str_of(text)), 0);
	assert_memory_equal(back, id, 16);
	memset(back, 0, 16);
	assert_int_equal(
		uuid_parse(back, STR("00112233-4455-6677-8899-AABBCCDDEEFF")),
		0);
	assert_memory_equal(back, id, 16);
}

static void
test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"00112233445566778899aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff",
		"00112233-4455-6677-8899-aabbccddeefg",
		"001122334455-6677-8899-aabb-ccddeeff",
		"00112233-4455-6677-8899-aabbccddee-f",
		"{0112233-4455-6677-8899-aabbccddeef}",
	};
	uint8_t id[16] = {42};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(uuid_parse(id, str_of(rows[i])), -1);
	assert_int_equal(id[0], 42);
}

static void
bits_are(const uint8_t id[16], int version)
{
	assert_int_equal(id[6] >> 4, version);
	assert_int_equal(id[8] >> 6, 2);
}

static void
test_versions(void **state)
{
	uint8_t a[16], b[16], hash[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(uuid_v4(a, NULL), 0);
		assert_int_equal(uuid_v4(b, NULL), 0);
		bits_are(a, 4);
		assert_memory_not_equal(a, b, 16);
	}
	memset(hash, 0xff, sizeof hash);
	uuid_from_hash(a, hash);
	bits_are(a, 8);
	hash[16] = 0;
	uuid_from_hash(b, hash);
	assert_memory_equal(a, b, 16);
	hash[15] = 0;
	uuid_from_hash(b, hash);
	assert_memory_not_equal(a, b, 16);
}

static struct timespec given;

static int
given_clock(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = given;
	return 0;
}

static uint64_t
millis_of(const uint8_t id[16])
{
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id[i];
	return ms;
}

static void
test_rises(void **state)
{
	struct os table = *os_real();
	uint8_t before[16], id[16];

	(void)state;
	assert_int_equal(uuid_v7(before, NULL), 0);
	uint64_t real = (uint64_t)clock_now() / 1000;
	assert_in_range(millis_of(before), real - 1000, real);

	table.clock_gettime = given_clock;
	os_set(&table);
	given.tv_sec = (time_t)(real / 1000) + 100;
	for (int i = 0; i < 20000; i++) {
		/* stands, steps back, goes on; the counter runs over */
		if (i == 10000)
			given.tv_sec -= 50;
		if (i == 15000)
			given.tv_sec += 60;
		assert_int_equal(uuid_v7(id, NULL), 0);
		bits_are(id, 7);
		assert_true(memcmp(before, id, 16) < 0);
		memcpy(before, id, 16);
	}
	assert_int_equal(millis_of(id) / 1000, given.tv_sec);
	os_set(NULL);
}

#define EACH 5000

static void *
make_many(void *cookie)
{
	uint8_t(*ids)[16] = cookie;

	for (int i = 0; i < EACH; i++)
		uuid_v7(ids[i], NULL);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static void
test_threads(void **state)
{
	static uint8_t ids[4][EACH][16];
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, make_many, ids[i]),
			0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 1; k < EACH; k++)
			assert_true(compare(ids[i][k - 1], ids[i][k]) < 0);
	qsort(ids, 4 * EACH, 16, compare);
	for (size_t k = 1; k < 4 * EACH; k++)
		assert_memory_not_equal(ids[0][0] + 16 * (k - 1),
					ids[0][0] + 16 * k, 16);
}

/* Parent and child of a fork do not go on with the same random bytes. */
static void
test_fork(void **state)
{
	uint8_t mine[16], theirs[16];
	int ends[2];
	int status;

	(void)state;
	assert_int_equal(uuid_v4(mine, NULL), 0);
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uuid_v4(theirs, NULL);
		_exit(write(ends[1], theirs, 16) != 16);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], theirs, 16), 16);
	assert_int_equal(uuid_v4(mine, NULL), 0);
	assert_memory_not_equal(mine, theirs, 16);
	close(ends[0]);
	close(ends[1]);
}

static int
no_random(void *p, size_t n)
{
	(void)p;
	(void)n;
	errno = EIO;
	return -1;
}

static void
test_no_random(void **state)
{
	struct os table = *os_real();
	struct weir_err err = {0};
	uint8_t id[16] = {42};

	(void)state;
	table.random = no_random;
	os_set(&table);
	assert_int_equal(uuid_v4(id, &err), WEIR_EIO);
	assert_string_equal(err.msg,
			    "cannot get random bytes: Input/output error");
	assert_int_equal(uuid_v7(id, NULL), WEIR_EIO);
	assert_int_equal(id[0], 42);
	os_set(NULL);
	assert_int_equal(uuid_v4(id, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_rises),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_no_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
