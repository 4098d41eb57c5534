/* SPDX-License-Identifier: MIT */
/* Trees, versions and checks against the plainest way to compute them. */
#include "store_test.h"

#include "base/digest.h"
#include "store/body.h"
#include "store/format.h"

#define VERSIONS 300

static struct weir_err err;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	folder_drop(dir);
	return 0;
}

/* RFC 9162, section 2.1.1, as it is written there. */
static void
naive_root(uint8_t out[RECORD_DIGEST], const uint8_t (*leaf)[RECORD_DIGEST],
	   size_t n)
{
	uint8_t both[1 + 2 * RECORD_DIGEST] = {0x01};
	struct digest_part part = {both, sizeof(both)};
	size_t k = 1;

	if (n == 0) {
		part.n = 0;
	} else if (n == 1) {
		memcpy(out, leaf[0], RECORD_DIGEST);
		return;
	} else {
		while (2 * k < n)
			k *= 2;
		naive_root(both + 1, leaf, k);
		naive_root(both + 1 + RECORD_DIGEST, leaf + k, n - k);
	}
	digest_sha256(out, &part, 1);
}

static void
test_frontier(void **state)
{
	uint8_t leaf[VERSIONS][RECORD_DIGEST], root[RECORD_DIGEST],
		want[RECORD_DIGEST];
	struct frontier f = {0};

	(void)state;
	for (size_t i = 0; i < VERSIONS; i++)
		memset(leaf[i], (int)(i * 7 + i / 5), RECORD_DIGEST);
	for (size_t n = 0; n < VERSIONS; n++) {
		frontier_root(root, &f);
		naive_root(want, leaf, n);
		assert_memory_equal(root, want, RECORD_DIGEST);
		frontier_add(&f, leaf[n]);
		size_t low = (size_t)lowbit(n + 1);
		naive_root(want, leaf + (n + 1 - low), low);
		assert_memory_equal(frontier_last(&f), want, RECORD_DIGEST);
	}
}

/* ---- aggregates --------------------------------------------------------- */

struct grown {
	uint8_t leaf[VERSIONS][RECORD_DIGEST];
	uint64_t position[VERSIONS];
	size_t n;
};

static struct grown grown[3];
static uint8_t all[3 * VERSIONS][RECORD_DIGEST];
static size_t nall;
static const char *const ids[3] = {"one", "two", "three"};

/* Commits of 1 to 9 records over three aggregates at random until each has 300
 * versions; reopened now and then. */
static void
grow(void)
{
	struct store *s = must_write(dir);
	struct record_draft d[9];
	struct receipt got[9];
	unsigned which[9];
	uint64_t x = 42;

	memset(grown, 0, sizeof(grown));
	nall = 0;
	while (nall < 3 * VERSIONS) {
		size_t planned[3] = {grown[0].n, grown[1].n, grown[2].n};
		unsigned n = 0, want;
		x = x * 6364136223846793005u + 1442695040888963407u;
		want = 1 + (unsigned)(x >> 60) % 9;
		for (unsigned i = 0; n < want && i < 3 * want; i++) {
			unsigned k = (unsigned)(x >> (20 + 2 * i)) % 3;
			if (planned[k] == VERSIONS)
				k = (k + 1) % 3;
			if (planned[k] == VERSIONS)
				k = (k + 1) % 3;
			if (planned[k]++ == VERSIONS)
				break;
			d[n] = draft_of("tree", ids[k], "grown", "{\"x\":1}");
			which[n++] = k;
		}
		assert_ok(store_commit(s, got, d, n, &err), err);
		for (unsigned i = 0; i < n; i++) {
			struct grown *g = &grown[which[i]];
			memcpy(g->leaf[g->n], got[i].hash, RECORD_DIGEST);
			g->position[g->n++] = got[i].position;
			assert_int_equal(got[i].version, g->n);
			memcpy(all[nall++], got[i].hash, RECORD_DIGEST);
		}
		if (x >> 58 == 3) {
			store_close(s);
			s = must_write(dir);
		}
	}
	store_close(s);
}

static void
check_versions(struct store *s, unsigned k)
{
	uint8_t root[RECORD_DIGEST], want[RECORD_DIGEST];
	struct reader *r = reader_new(s);
	const struct grown *g = &grown[k];
	struct record_view v;

	assert_non_null(r);
	for (uint64_t n = 1; n <= VERSIONS; n++) {
		assert_ok(reader_version(r, &v, STR("tree"), str_of(ids[k]), n,
					 &err),
			  err);
		assert_int_equal(v.version, n);
		assert_int_equal(v.position, g->position[n - 1]);
		assert_memory_equal(v.hash, g->leaf[n - 1], RECORD_DIGEST);
		assert_int_equal(v.prev, n > 1 ? g->position[n - 2] : 0);
		uint64_t below = n - lowbit(n);
		assert_int_equal(v.skip, below ? g->position[below - 1] : 0);
		naive_root(want, g->leaf, (size_t)n);
		uint64_t at = v.position;
		assert_ok(reader_root(r, root, at, &err), err);
		assert_memory_equal(root, want, RECORD_DIGEST);
		if (n > 20 && n % 13 != 0 && n != VERSIONS)
			continue;
		assert_ok(reader_verify(r, root, at, &err), err);
		assert_memory_equal(root, want, RECORD_DIGEST);
	}
	assert_int_equal(reader_version(r, &v, STR("tree"), str_of(ids[k]),
					VERSIONS + 1, &err),
			 WEIR_ENOTFOUND);
	assert_int_equal(
		reader_version(r, &v, STR("tree"), str_of(ids[k]), 0, &err),
		WEIR_ENOTFOUND);
	reader_free(r);
}

static void
test_versions(void **state)
{
	struct check_report report;
	uint8_t want[RECORD_DIGEST];
	uint64_t chain[VERSIONS];

	(void)state;
	grow();
	struct store *s = must_read(dir);
	for (unsigned k = 0; k < 3; k++)
		check_versions(s, k);
	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	naive_root(want, all, nall);
	assert_memory_equal(report.store_root, want, RECORD_DIGEST);
	assert_int_equal(report.records, nall);
	assert_int_equal(report.aggregates, 3);
	assert_true(report.segments >= 2);
	struct reader *r = reader_new(s);
	uint64_t head = grown[1].position[VERSIONS - 1];
	assert_ok(reader_chain(r, chain, head, 7, VERSIONS, &err), err);
	for (unsigned i = 7; i <= VERSIONS; i++)
		assert_int_equal(chain[i - 7], grown[1].position[i - 1]);
	assert_int_equal(reader_chain(r, chain, head, 0, 1, &err), WEIR_EUSAGE);
	assert_int_equal(reader_chain(r, chain, head, 5, 4, &err), WEIR_EUSAGE);
	reader_free(r);
	store_close(s);
}

/* ---- wrong bytes under right CRCs --------------------------------------- */

/* Changes a byte of the last record's frame and makes every CRC right again,
 * as one would who wants it unseen. */
static void
forge(uint64_t frame, size_t at)
{
	const char *path = in(dir, "journal/00000001.seg");
	uint64_t group = frame - GROUP_HEADER;
	struct group_header h;
	size_t n;
	uint8_t *p = file_read(&n, path), *f = p + position_offset(frame);
	struct store *s = must_read(dir);
	uint8_t *g = p + position_offset(group);

	size_t length = frame_length(f);
	f[at] ^= 1;
	put_u32(f + 4, crc32c(format_seed(store_id(s), frame), f + 8,
			      length - 8));
	assert_int_equal(group_header_decode(&h, g, store_id(s), group), 0);
	h.body_crc = format_body_crc(store_id(s), group, h.epoch,
				     g + GROUP_HEADER, h.extent - GROUP_HEADER);
	group_header_encode(g, &h, store_id(s), group);
	file_write(path, p, n);
	store_close(s);
	free(p);
}

/* Four versions of one aggregate; the last one's position. The mark at the end,
 * whose chain value would tell, is taken away. */
static uint64_t
four_versions(void)
{
	struct receipt got;
	size_t n;

	folder_empty(dir);
	struct store *s = must_write(dir);
	for (unsigned k = 0; k < 4; k++)
		commit_one(s, &got, draft_of("tree", "x", "grown", "111"));
	assert_ok(store_end_writing(s, &err), err);
	store_close(s);
	uint8_t *p = file_read(&n, in(dir, "journal/00000001.seg"));
	while (p[n - 1] == 0)
		n--;
	memset(p + n - 49, 0, 49);
	file_put(in(dir, "journal/00000001.seg"), n - 49, p + n - 49, 49);
	free(p);
	return got.position;
}

/* Every byte of a frame: what names the record names it, what does not is
 * named by its place. */
static void
test_forged_anywhere(void **state)
{
	char path[600];
	struct check_report report;
	struct store *s = NULL;
	uint64_t at = four_versions();
	uint8_t root[RECORD_DIGEST];
	unsigned opened = 0, named = 0;
	size_t n;

	(void)state;
	snprintf(path, sizeof(path), "%s",
		 in(dir, "journal/00000001.seg"));
	uint8_t *good = file_read(&n, path);
	size_t length = frame_length(good + position_offset(at));
	for (size_t i = 8; i < length; i++) {
		/* Whose the event id and created_at were is not hashed. */
		if (i == 96 + 4)
			continue;
		file_write(path, good, n);
		forge(at, i);
		memset(&err, 0, sizeof(err));
		int rc = open_reader(&s, dir, &err);
		if (rc == 0) {
			struct reader *r = reader_new(s);
			opened++;
			rc = store_check(s, &report, NULL, NULL, &err);
			named += err.sequence == 4;
			/* not always: what leads elsewhere is not hashed */
			(void)reader_verify(r, root, at, NULL);
			reader_free(r);
			store_close(s);
		}
		if (rc != WEIR_EDAMAGE ||
		    strstr(err.msg, "00000001.seg is damaged at byte") == NULL)
			fail_msg("byte %zu of the frame: %d, %s", i, rc,
				 err.msg);
	}
	print_message("%zu bytes, %u opened, %u named\n", length, opened,
		      named);
	assert_true(opened > 128);
	assert_int_equal(named, opened);
	free(good);
}

static void
test_forged(void **state)
{
	/* Of an even version: hash, node, created_at, token, payload_hash, the
	 * event's name, payload. */
	static const size_t places[] = {
		32, 64, 96 + 24, 96 + 56, 96 + 64, 96 + 128 + 5, 96 + 128 + 10};
	uint8_t root[RECORD_DIGEST];
	struct check_report report;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t at = four_versions();

		forge(at, places[i]);
		struct store *s = must_read(dir);
		assert_int_equal(store_check(s, &report, NULL, NULL, &err),
				 WEIR_EDAMAGE);
		assert_says(err, "00000001.seg is damaged at byte");
		assert_int_equal(err.sequence, 4);
		struct reader *r = reader_new(s);
		memset(&err, 0, sizeof(err));
		assert_int_equal(reader_verify(r, root, at, &err),
				 WEIR_EDAMAGE);
		assert_int_equal(err.sequence, 4);
		reader_free(r);
		store_close(s);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_frontier),
		TEST(test_versions),
		TEST(test_forged),
		TEST(test_forged_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
