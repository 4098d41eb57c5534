/* SPDX-License-Identifier: MIT */
#include "cli/importer.h"

#include <errno.h>

#include "cli/input.h"
#include "model/model_test.h"
#include "store/reader.h"
#include "store/store.h"

#define LINES 60u

struct fixture {
	char *dir;
	char in[300], store[300];
};

static void
write_lines(const struct fixture *x)
{
	FILE *f = fopen(x->in, "w");

	assert_non_null(f);
	for (unsigned i = 0; i < LINES; i++)
		fprintf(f,
			"{\"aggregate_type\":\"order\",\"aggregate_id\":\"%u\","
			"\"event_type\":\"placed\",\"payload\":{\"n\":%u}}\n",
			i % 7, i);
	assert_int_equal(fclose(f), 0);
}

static struct store *
open_store(const struct fixture *x, int flags)
{
	struct store_options o = {.flags = flags,
				  .first_segment_bytes = 1 << 16};
	struct weir_err err = {0};
	struct store *s;

	if (store_open(&s, x->store, &o, &err) != 0)
		fail_msg("%s", err.msg);
	return s;
}

static int
import(const struct fixture *x, struct store *s, struct importer_counts *n,
       struct weir_err *err)
{
	struct input_options in = {
		.path = x->in, .max_line = IMPORTER_LINE_MAX, .stop_fd = -1};
	struct importer_options o = {.store = s, .source = "a", .batch = 7};
	int rc = input_open(&o.input, &in, err);

	memset(n, 0, sizeof(*n));
	if (rc == 0)
		rc = importer_run(&o, n, err);
	input_close(o.input);
	return rc;
}

/* Each line is there once, in order; gives how many there are. */
static uint64_t
count_lines(const struct fixture *x)
{
	struct store *s = open_store(x, 0);
	struct reader *r = reader_new(s);
	struct weir_err err = {0};
	struct record_view v;
	uint64_t n = 0;
	char payload[32];

	reader_seek(r, 1);
	while (reader_next(r, &v, &err) == 1) {
		snprintf(payload, sizeof(payload), "{\"n\":%u}", (unsigned)n);
		assert_true(str_is(v.payload, payload));
		n++;
	}
	reader_free(r);
	store_close(s);
	return n;
}

static unsigned long calls_left;
static int fault;

static bool
fails_now(void)
{
	if (calls_left == 0 || --calls_left > 0)
		return false;
	errno = fault;
	return true;
}

static ssize_t
faulty_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return fails_now() ? -1 : os_real()->pwrite(fd, p, n, at);
}

static int
faulty_fdatasync(int fd)
{
	return fails_now() ? -1 : os_real()->fdatasync(fd);
}

static int
import_with_fault(const struct fixture *x, unsigned long nth,
		  struct importer_counts *n, struct weir_err *err)
{
	struct store *s = open_store(x, STORE_WRITE | STORE_CREATE);
	struct os table = *os_real();
	int rc;

	table.pwrite = faulty_pwrite;
	table.fdatasync = faulty_fdatasync;
	calls_left = nth;
	os_set(&table);
	rc = import(x, s, n, err);
	os_set(NULL);
	store_close(s);
	return rc;
}

/* The n-th write or sync fails, for every n of a whole import: what was
 * counted is there, and the same import again brings the rest, once. */
static void
sweep(int with)
{
	unsigned failed = 0;

	fault = with;
	for (unsigned long nth = 1;; nth++) {
		struct fixture x = {.dir = make_folder()};
		struct importer_counts n, again;
		struct weir_err err = {0};
		uint64_t there;
		int rc;

		snprintf(x.in, sizeof(x.in), "%s/in", x.dir);
		snprintf(x.store, sizeof(x.store), "%s/store", x.dir);
		write_lines(&x);
		rc = import_with_fault(&x, nth, &n, &err);
		there = count_lines(&x);
		assert_true(n.appended <= there);
		assert_int_equal(n.read, n.appended);
		if (rc != 0) {
			failed++;
			assert_int_not_equal(err.msg[0], '\0');
		} else {
			assert_int_equal(n.appended, LINES);
		}
		calls_left = 0;
		assert_int_equal(import_with_fault(&x, 0, &again, &err), 0);
		/* A group whose sync failed is no reader's yet, but may be kept
		 * by the next writer. */
		assert_true(again.already >= there);
		assert_int_equal(again.appended, LINES - again.already);
		assert_int_equal(count_lines(&x), LINES);
		drop_folder(x.dir);
		if (rc == 0)
			break;
	}
	assert_true(failed > 10);
}

static void
test_full_disk(void **state)
{
	(void)state;
	sweep(ENOSPC);
}

static void
test_failed_disk(void **state)
{
	(void)state;
	sweep(EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_failed_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
