/* SPDX-License-Identifier: MIT */
/*
 * The n-th call of a kind fails, for every kind and every n of a run through
 * weir.h. Whatever fails says so with a sentence, leaves outputs alone and
 * leaks nothing; what was acknowledged is there afterwards.
 */
#include "embed_test.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "disk.h"

#define EACH 5 /* records of each way to append, at most */

static uint64_t acknowledged; /* the highest sequence, all of which count */
static struct weir_err why;

/* Looks at what a call gave. */
static bool
fine(int rc)
{
	if (rc >= 0)
		return true;
	assert_int_equal(why.code, rc);
	assert_true(strlen(why.msg) > 8);
	assert_true(why.msg[0] == '/' || islower((unsigned char)why.msg[0]));
	memset(&why, 0, sizeof(why));
	return false;
}

static void
counted(const struct weir_receipt *receipts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (receipts[i].sequence > acknowledged)
			acknowledged = receipts[i].sequence;
}

/* The disk serves one thread at a time, so what is submitted is waited for. */
static struct {
	pthread_mutex_t mu;
	pthread_cond_t more;
	unsigned n;
} answered = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void
done(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
     const struct weir_err *reason)
{
	(void)cookie;
	(void)reason;
	pthread_mutex_lock(&answered.mu);
	answered.n++;
	if (code == 0)
		counted(receipts, n);
	pthread_cond_signal(&answered.more);
	pthread_mutex_unlock(&answered.mu);
}

static void
wait_for_answers(unsigned n)
{
	pthread_mutex_lock(&answered.mu);
	while (answered.n < n)
		pthread_cond_wait(&answered.more, &answered.mu);
	pthread_mutex_unlock(&answered.mu);
}

static void
append_all(struct weir *w)
{
	struct weir_event ev[3] = {event("a", "{\"x\":1}"),
				   event("b", "{\"x\":2}"),
				   event("a", "{\"x\":3}")};
	struct weir_part parts[3] = {{.events = ev, .n = 1},
				     {.events = ev, .n = 3},
				     {.events = ev, .n = 1}};
	struct weir_stream_event run[2] = {
		{1, "abcd", 4, WEIR_ANY_VERSION},
		{2, "efgh", 4, WEIR_ANY_VERSION},
	};
	struct weir_receipt got[EACH] = {{.sequence = 0}};
	struct weir_stream *s = NULL;

	if (fine(weir_append(w, got, ev, &why)))
		counted(got, 1);
	if (fine(weir_commit(w, got, ev, 3, &why)))
		counted(got, 3);
	memset(got, 0, sizeof(got));
	for (unsigned i = 0; i < 3; i++)
		parts[i].receipts = &got[i == 2 ? 4 : i];
	fine(weir_commit_group(w, parts, 3, &why));
	for (unsigned i = 0; i < 3; i++)
		if (parts[i].code == 0)
			counted(parts[i].receipts, parts[i].n);
	if (!fine(weir_stream_open(&s, w, "run", NULL, &why))) {
		assert_null(s);
		return;
	}
	memset(got, 0, sizeof(got));
	if (fine(weir_stream_append(s, got, run, 2, &why)))
		counted(got, 2);
	else
		assert_int_equal(got[0].sequence, 0);
	answered.n = 0;
	wait_for_answers(fine(weir_submit(w, ev, 3, 0, done, NULL, &why)) ? 1
									  : 0);
	answered.n = 0;
	wait_for_answers(fine(weir_submit(w, ev, 1, 0, done, NULL, &why)) ? 1
									  : 0);
	answered.n = 0;
	wait_for_answers(
		fine(weir_stream_submit(s, run, 2, 0, done, NULL, &why)) ? 1
									 : 0);
	weir_stream_close(s);
}

static int
nothing(void *cookie, struct weir_str type, struct weir_str id,
	const struct weir_head *head)
{
	(void)type;
	(void)id;
	(void)head;
	return cookie != NULL;
}

static void
read_all(struct weir *w)
{
	struct weir_reader *r = NULL, *c = NULL;
	struct weir_record rec;
	struct weir_check check;
	struct weir_head head;
	uint8_t root[32];
	char *json = NULL;
	size_t len;

	if (!fine(weir_reader_open(&r, w, &why))) {
		assert_null(r);
		return;
	}
	while (weir_next(r, &rec, NULL) == 1)
		;
	if (fine(weir_reader_clone(&c, r, &why))) {
		fine(weir_seek_version(c, S("account"), S("a"), 1, &why));
		while (weir_next(c, &rec, NULL) == 1)
			;
	}
	weir_reader_close(c);
	fine(weir_read(r, &rec, 1, &why));
	fine(weir_head(w, &head, S("account"), S("a"), &why));
	fine(weir_each(w, nothing, NULL, &why));
	fine(weir_root(r, root, S("account"), S("a"), 1, &why));
	fine(weir_verify(r, root, S("account"), S("a"), &why));
	if (!fine(weir_state(r, &json, &len, S("account"), S("a"), 0, &why)))
		assert_null(json);
	weir_free(json);
	fine(weir_verify_all(w, &check, NULL, NULL, &why));
	weir_reader_close(r);
}

static void
others(struct weir *w)
{
	static const char *const lists[] = {"x", "y*", NULL};
	const struct weir_setting path = {"path", "out.json"};
	struct weir_sink_config c = {.plugin = "json",
				     .settings = &path,
				     .nsettings = 1,
				     .aggregates = lists,
				     .events = lists,
				     .tags = lists};
	struct weir_sink_status st;
	struct weir_watch *h = NULL;

	if (fine(weir_watch_open(&h, w, &why)))
		fine(weir_watch_arm(h, weir_last(w) + 1, &why));
	else
		assert_null(h);
	weir_watch_close(h);
	fine(weir_sink_configure(w, "out", &c, &why));
	fine(weir_sink_status(w, "out", &st, &why));
	fine(weir_sink_start(w, "none", &why));
}

static void
once(const struct weir_options *reading)
{
	struct weir *w = NULL, *ro = NULL;

	acknowledged = 0;
	if (!fine(weir_open(&w, folder, NULL, &why))) {
		assert_null(w);
		return;
	}
	append_all(w);
	read_all(w);
	if (fine(weir_open(&ro, folder, reading, &why)))
		read_all(ro);
	weir_close(ro);
	others(w);
	weir_close(w);
}

/* What was acknowledged is there, and all of it whole. */
static void
look(void)
{
	struct weir *w = open_store(NULL);
	struct weir_check check;

	assert_true(weir_last(w) >= acknowledged);
	ok(weir_verify_all(w, &check, NULL, NULL, &err));
	assert_int_equal(check.records, weir_last(w));
	append_events(w, "after", 1);
	weir_close(w);
}

static void
fail_each(enum call call, int error, bool unmapped)
{
	const struct weir_options reading = {.read_only = true,
					     .unmapped = unmapped};
	bool came = true;

	for (uint64_t n = 1; came; n++) {
		assert_int_equal(setup(NULL), 0);
		disk_begin(folder);
		disk_fail(call, n, error, false, false);
		once(&reading);
		came = disk_failed();
		disk_mend();
		look();
		disk_end();
		assert_int_equal(teardown(NULL), 0);
	}
}

static void
no_memory(void **state)
{
	(void)state;
	fail_each(CALL_REALLOC, ENOMEM, false);
}

static void
no_file(void **state)
{
	(void)state;
	fail_each(CALL_OPEN, EMFILE, false);
	fail_each(CALL_FSTAT, EIO, false);
	fail_each(CALL_MMAP, ENOMEM, false);
	fail_each(CALL_RANDOM, EIO, false);
}

static void
bad_reads(void **state)
{
	(void)state;
	fail_each(CALL_PREAD, EIO, true);
	fail_each(CALL_PREAD, EIO, false);
}

static void
bad_writes(void **state)
{
	(void)state;
	fail_each(CALL_PWRITE, EIO, false);
	fail_each(CALL_PWRITE, ENOSPC, false);
	fail_each(CALL_FDATASYNC, EIO, false);
}

/* A failed sync ends the writer until it is opened again; a full disk does
 * not. */
static void
ends_the_writer(void **state)
{
	struct weir *w;
	struct weir_event ev = event("a", "1");

	(void)state;
	disk_begin(folder);
	w = open_store(NULL);
	append_events(w, "a", 1);
	disk_fail(CALL_FDATASYNC, 1, EIO, false, false);
	assert_int_equal(weir_append(w, NULL, &ev, &why), WEIR_EIO);
	assert_int_equal(why.sys_errno, EIO);
	disk_mend();
	assert_int_equal(weir_append(w, NULL, &ev, &why), WEIR_EFAILED);
	assert_non_null(strstr(why.msg, "open it again"));
	assert_int_equal(weir_last(w), 1);
	weir_close(w);
	w = open_store(NULL);
	append_events(w, "a", 1);
	weir_close(w);
	disk_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory),
		cmocka_unit_test(no_file),
		cmocka_unit_test(bad_reads),
		cmocka_unit_test(bad_writes),
		cmocka_unit_test_setup_teardown(ends_the_writer, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
