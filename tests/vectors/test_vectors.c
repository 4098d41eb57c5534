/* SPDX-License-Identifier: MIT */
/*
 * Golden vectors of the byte format, in tests/vectors/golden:
 *
 *   STORE            as it is
 *   00000001.hex     a segment's file: OFFSET: 32 bytes; a row like the one
 *                    before is left out; at last the file's size
 *   records.ndjson   an EventRecord for each record, with its root
 *   roots            the store's root, then ROOT TYPE ID of each aggregate
 *
 * The same drafts, with fixed ids, times and random bytes, must give the same
 * bytes; and the golden bytes must read as they did. They never change: a
 * store that was written once is read for ever.
 *
 * test_vectors --write FOLDER writes them.
 */
#include "store/store_test.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"

#define ROW	 32u
#define SEGMENTS 2u
#define TEXT_MAX (4u << 20)

static struct weir_err err;
static char *dir;
static int64_t now_us = 1769860800000000; /* 2026-01-31T12:00:00Z */

static int
fixed_clock(clockid_t id, struct timespec *t)
{
	if (id != CLOCK_REALTIME)
		return os_real()->clock_gettime(id, t);
	t->tv_sec = now_us / 1000000;
	t->tv_nsec = now_us % 1000000 * 1000;
	return 0;
}

static int
fixed_random(void *p, size_t n)
{
	uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(0xa1 + 7 * i);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	os_set(NULL);
	folder_drop(dir);
	return 0;
}

static const char *
golden(const char *name)
{
	const char *src = getenv("WEIR_SRC");

	return in(in(src != NULL ? src : ".", "tests/vectors/golden"), name);
}

/* ---- the store ---------------------------------------------------------- */

static void
commit(struct store *s, struct record_draft *d, size_t n)
{
	struct receipt got[4];

	assert_true(n <= 4);
	now_us += 1000001;
	assert_ok(store_commit(s, got, d, n, &err), err);
}

/* All optional fields, each kind of content, each op. */
static void
write_kinds(struct store *s)
{
	struct weir_str tags[3] = {STR("red"), STR("gr\xc3\xbcn"), STR("x:1")};
	struct record_draft d = draft_of("order", "o-1", "placed",
					 " {\"a\":0.10, \"b\":[1e400,null]} ");

	commit(s, &d, 1);
	d = draft_with_id(draft_of("order", "o-1", "noted", "a\x01\t\"\\\x7f"),
			  2);
	d.content = WEIR_CONTENT_TEXT;
	d.group = STR("staff");
	d.user = STR("ann");
	d.tags = tags;
	d.ntags = 3;
	d.correlation_id = STR("c-1");
	d.causation_id = STR("c-0");
	d.traceparent = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b71"
			    "69203331-01");
	d.has_created_at = true;
	d.created_at = CLOCK_MIN_US;
	d.token = 1;
	commit(s, &d, 1);
	d = draft_of("order", "o-1", "scanned", "");
	d.content = WEIR_CONTENT_BYTES;
	d.payload = (struct weir_str){"\x00\x01\xfe\xff", 4};
	commit(s, &d, 1);
	d.payload = STR("");
	commit(s, &d, 1);
	d = draft_of("order", "o-1", "closed", "{}");
	d.op = WEIR_OP_ARCHIVED;
	commit(s, &d, 1);
	d.op = WEIR_OP_RESTORED;
	commit(s, &d, 1);
	d = draft_of("$schema", "order", "$created", "{\"events\":[]}");
	d.system = true;
	commit(s, &d, 1);
}

/* One group of two commits, the first over two aggregates. */
static void
write_group(struct store *s)
{
	size_t first[3] = {0, 3, 4};
	struct weir_err results[2];
	struct record_draft d[4];
	struct receipt got[4];

	d[0] = draft_of("account", "a", "debited", "{\"by\":12.50}");
	d[1] = draft_of("account", "b", "credited", "{\"by\":12.50}");
	d[2] = draft_of("account", "a", "settled", "true");
	d[3] = draft_of("account", "b", "settled", "null");
	now_us += 5;
	assert_ok(store_commit_group(s, got, results, d, first, 2, &err), err);
	assert_int_equal(results[0].code, 0);
	assert_int_equal(results[1].code, 0);
}

/* Versions of one aggregate over the end of a segment. */
static void
write_large(struct store *s, unsigned from, unsigned to)
{
	static char text[9000];
	struct record_draft d = draft_of("page", "p", "kept", "");

	memset(text, 'w', sizeof(text));
	d.content = WEIR_CONTENT_TEXT;
	for (unsigned v = from; v <= to; v++) {
		d.payload = (struct weir_str){text, sizeof(text) - v};
		d.expected = v - 1;
		commit(s, &d, 1);
	}
}

static void
write_store(const char *to)
{
	struct os table = *os_real();
	struct store *s;

	table.clock_gettime = fixed_clock;
	table.random = fixed_random;
	os_set(&table);
	s = must_write(to);
	write_kinds(s);
	write_group(s);
	write_large(s, 1, 3);
	store_close(s);
	s = must_write(to);
	write_large(s, 4, 9);
	store_close(s);
	os_set(NULL);
}

/* ---- as text ------------------------------------------------------------ */

static void
dump_segment(struct buf *out, const char *path)
{
	size_t n;
	uint8_t *p = file_read(&n, path);

	assert_int_equal(n % ROW, 0);
	for (size_t at = 0; at < n; at += ROW) {
		char hex[2 * ROW + 1];
		if (at > 0 && memcmp(p + at, p + at - ROW, ROW) == 0)
			continue;
		str_hex(hex, p + at, ROW);
		buf_printf(out, "%08zx: %s\n", at, hex);
	}
	buf_printf(out, "%08zx\n", n);
	free(p);
}

static void
undump_segment(const char *to, const char *from)
{
	uint8_t row[ROW] = {0}, *bytes = NULL;
	char hex[2 * ROW + 1];
	size_t n = 0, at;
	FILE *f = fopen(from, "r");
	int found;

	assert_non_null(f);
	while ((found = fscanf(f, "%zx: %64s", &at, hex)) >= 1) {
		bytes = realloc(bytes, at + ROW);
		assert_non_null(bytes);
		for (; n < at; n += ROW)
			memcpy(bytes + n, row, ROW);
		if (found == 1)
			break;
		assert_int_equal(
			str_unhex(row, (struct weir_str){hex, 2 * ROW}, ROW),
			0);
	}
	assert_int_equal(found, 1);
	fclose(f);
	file_write(to, bytes, n);
	free(bytes);
}

static void
dump_records(struct buf *out, struct store *s)
{
	uint8_t root[RECORD_DIGEST], again[RECORD_DIGEST];
	struct reader *r = reader_new(s), *side = reader_new(s);
	struct record_view v;
	int rc;

	while ((rc = reader_next(r, &v, &err)) > 0) {
		assert_ok(reader_root(side, root, v.position, &err), err);
		assert_ok(reader_verify(side, again, v.position, &err), err);
		assert_memory_equal(root, again, RECORD_DIGEST);
		assert_int_equal(record_json_exact(out, &v, root), 0);
		buf_putc(out, '\n');
	}
	assert_ok(rc, err);
	reader_free(side);
	reader_free(r);
}

struct roots {
	struct buf *out;
	struct reader *r;
};

static int
dump_root(void *cookie, struct weir_str type, struct weir_str id,
	  const struct head *head)
{
	struct roots *x = cookie;
	uint8_t root[RECORD_DIGEST];
	char hex[2 * RECORD_DIGEST + 1];

	assert_ok(reader_root(x->r, root, head->position, &err), err);
	str_hex(hex, root, RECORD_DIGEST);
	buf_printf(x->out, "%s %.*s %.*s\n", hex, (int)type.len, type.data,
		   (int)id.len, id.data);
	return 0;
}

static void
dump_roots(struct buf *out, struct store *s)
{
	struct roots x = {.out = out, .r = reader_new(s)};
	struct check_report report;
	char hex[2 * RECORD_DIGEST + 1];

	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	assert_int_equal(report.segments, SEGMENTS);
	str_hex(hex, report.store_root, RECORD_DIGEST);
	buf_printf(out, "%s\n", hex);
	assert_int_equal(store_each(s, true, dump_root, &x), 0);
	reader_free(x.r);
}

/* ---- tests -------------------------------------------------------------- */

static void
same(struct buf *b, const char *name)
{
	size_t n;
	uint8_t *p = file_read(&n, golden(name));

	assert_false(b->failed);
	if (b->len != n || memcmp(b->data, p, n) != 0)
		fail_msg("what was made is not golden/%s", name);
	buf_clear(b);
	free(p);
}

static void
name_segment(char name[32], unsigned i, const char *end)
{
	snprintf(name, 32, "%08u.%s", i, end);
}

static void
test_writes_the_same(void **state)
{
	char seg[32], hex[32];
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, TEXT_MAX);
	write_store(dir);
	for (unsigned i = 1; i <= SEGMENTS; i++) {
		name_segment(seg, i, "seg");
		name_segment(hex, i, "hex");
		dump_segment(&b, in(in(dir, "journal"), seg));
		same(&b, hex);
	}
	uint8_t *p = file_read(&n, in(dir, "STORE"));
	buf_add(&b, p, n);
	free(p);
	same(&b, "STORE");
	buf_fini(&b);
}

static void
unpack(void)
{
	char seg[32], hex[32];
	size_t n;
	uint8_t *p = file_read(&n, golden("STORE"));

	assert_int_equal(mkdir(in(dir, "journal"), 0700), 0);
	file_write(in(dir, "STORE"), p, n);
	free(p);
	for (unsigned i = 1; i <= SEGMENTS; i++) {
		name_segment(seg, i, "seg");
		name_segment(hex, i, "hex");
		undump_segment(in(in(dir, "journal"), seg), golden(hex));
	}
}

static void
test_reads_the_same(void **state)
{
	struct store *s;
	struct buf b;

	(void)state;
	buf_init(&b, TEXT_MAX);
	unpack();
	for (int writing = 0; writing < 2; writing++) {
		s = writing ? must_write(dir) : must_read(dir);
		assert_int_equal(store_cut_bytes(s, NULL), 0);
		dump_records(&b, s);
		same(&b, "records.ndjson");
		dump_roots(&b, s);
		same(&b, "roots");
		store_close(s);
	}
	buf_fini(&b);
}

/* ---- writing them ------------------------------------------------------- */

static void
put(const char *folder, const char *name, struct buf *b)
{
	file_write(in(folder, name), b->data, b->len);
	buf_clear(b);
}

static int
write_golden(const char *folder)
{
	char seg[32], hex[32];
	struct store *s;
	struct buf b;
	size_t n;

	dir = folder_make();
	buf_init(&b, TEXT_MAX);
	write_store(dir);
	for (unsigned i = 1; i <= SEGMENTS; i++) {
		name_segment(seg, i, "seg");
		name_segment(hex, i, "hex");
		dump_segment(&b, in(in(dir, "journal"), seg));
		put(folder, hex, &b);
	}
	uint8_t *p = file_read(&n, in(dir, "STORE"));
	file_write(in(folder, "STORE"), p, n);
	free(p);
	s = must_read(dir);
	dump_records(&b, s);
	put(folder, "records.ndjson", &b);
	dump_roots(&b, s);
	put(folder, "roots", &b);
	store_close(s);
	buf_fini(&b);
	folder_drop(dir);
	return 0;
}

int
main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_writes_the_same),
		TEST(test_reads_the_same),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return write_golden(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
