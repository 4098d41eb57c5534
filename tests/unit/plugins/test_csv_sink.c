/* SPDX-License-Identifier: MIT */
/* The CSV sink: its cells, its columns, and that no fault loses or doubles a
 * row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/filedrive.h"

#define BASE "id,version,created_at,created_by,updated_at,updated_by"
#define T(n) "2026-01-01T00:00:0" #n ".000000Z"

static void
file_is(struct fake *f, const char *name, const char *want, const char *when)
{
	char *is = filedrive_read(fake_path(f, name), NULL);

	if (strcmp(want, is) != 0)
		fail_msg("%s: %s: want:\n%s\nis:\n%s", when, name, want, is);
	free(is);
}

static struct fake *
begin(void)
{
	struct fake *f = fake_new();

	fake_set(f, "output-dir", fake_path(f, "out"));
	return f;
}

static void
deliver_all(struct fake *f, uint64_t from)
{
	assert_int_equal(fake_open(f, fake_plugin("csv")), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, from, fake_last(f), 0), WEIR_SINK_OK);
	fake_close(f);
}

static void
test_cells(void **state)
{
	struct fake *f = begin();

	(void)state;
	(void)fake_append(f, "Person", "p,1", "born",
			  "{\"a\":12345678901234567890123,\"b\":0.10,"
			  "\"c\":1e400,\"d\":9007199254740993}");
	(void)fake_append(f, "Person", "p,1", "changed",
			  "{\"id\":\"x\\\"y\",\"t\":true,\"e\":\"\","
			  "\"n\":null,\"o\":{\"k\":[1, \"z\"]},"
			  "\"l\":\"one\\r\\ntwo\"}");
	(void)fake_append(f, "Person", "p,1", "changed",
			  "{\"b\":null,\"n\":\"=1\",\"t\":\"no\"}");
	deliver_all(f, 1);
	file_is(f, "out/person.csv",
		BASE
		",a,b,c,d,field_id,t,e,o,l,n\r\n"
		"\"p,1\",1," T(1) ",ada," T(
			1) ",ada,"
			   "12345678901234567890123,0.10,1e400,"
			   "9007199254740993,"
			   ",,,,,\r\n"
			   "\"p,1\",2," T(1) ",ada," T(
				   2) ",ada,"
				      "12345678901234567890123,0.10,1e400,"
				      "9007199254740993,"
				      "\"x\"\"y\",true,\"\",\"{\"\"k\"\":[1, "
				      "\"\"z\"\"]}\","
				      "\"one\r\ntwo\",\r\n"
				      "\"p,1\",3," T(1) ",ada," T(
					      3) ",ada,"
						 "12345678901234567890123,,"
						 "1e400,9007199254740993,"
						 "\"x\"\"y\",no,\"\",\"{"
						 "\"\"k\"\":[1, \"\"z\"\"]}\","
						 "\"one\r\ntwo\",=1\r\n",
		"cells");
	fake_free(f);
}

static void
test_guard_and_null(void **state)
{
	struct fake *f = begin();

	(void)state;
	fake_set(f, "guard", "true");
	fake_set(f, "null", "NULL");
	(void)fake_append(f, "t", "-1", "e",
			  "{\"n\":-5,\"s\":\"-5\",\"z\":\"NULL\","
			  "\"q\":\"=a,b\",\"tab\":\"\\tx\"}");
	(void)fake_append(f, "t", "-1", "e", "{\"n\":null}");
	(void)fake_append(f, "t", "2", "e", "{}");
	deliver_all(f, 1);
	file_is(f, "out/t.csv",
		BASE
		",n,s,z,q,tab\r\n"
		"'-1,1," T(1) ",ada," T(
			1) ",ada,-5,'-5,\"NULL\","
			   "\"'=a,b\",'\tx\r\n"
			   "'-1,2," T(1) ",ada," T(
				   2) ",ada,NULL,'-5,\"NULL\","
				      "\"'=a,b\",'\tx\r\n"
				      "2,1," T(3) ",ada," T(3) ",ada,,,,,\r\n",
		"guard");
	fake_free(f);
}

static void
test_collisions(void **state)
{
	struct fake *f = begin();
	char *cursor;

	(void)state;
	(void)fake_append(f, "a-b", "1", "e", "{\"x y\":1,\"x_y\":2}");
	deliver_all(f, 1);
	(void)fake_append(f, "a_b", "2", "e", "{\"x_y\":3,\"x y\":4}");
	(void)fake_append(f, "a-b", "1", "e", "{\"z\":5}");
	deliver_all(f, 2);
	cursor = filedrive_read(fake_path(f, "out/.weir-cursor"), NULL);
	assert_non_null(strstr(cursor, "note table a-b a_b\n"));
	assert_non_null(strstr(cursor, "note column a-b x%20y x_y\n"));
	assert_non_null(strstr(cursor, "note column a-b x_y x_y_"));
	assert_non_null(strstr(cursor, "note table a_b a_b_"));
	assert_non_null(strstr(cursor, "note column a-b z z\n"));
	free(cursor);
	fake_free(f);
}

static void
test_mapped(void **state)
{
	struct fake *f = begin();

	(void)state;
	fake_map(f, "t", "n", "integer", WEIR_TYPE_MAPPED);
	(void)fake_append(f, "t", "1", "e", "{\"n\":\"41\",\"s\":\"a\"}");
	(void)fake_append(f, "t", "2", "e", "{\"n\":\"forty\",\"new\":1}");
	(void)fake_append(f, "t", "3", "e", "{\"s\":\"x\\u0000y\"}");
	assert_int_equal(fake_open(f, fake_plugin("csv")), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 2, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	assert_string_equal(f->res.column, "n");
	assert_non_null(strstr(f->res.message, "forty"));
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	file_is(f, "out/t.csv",
		BASE ",n,s\r\n1,1," T(1) ",ada," T(1) ",ada,41,a\r\n",
		"mapped");
	assert_int_equal(fake_deliver(f, 3, 3, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 3);
	assert_string_equal(f->res.column, "s");
	fake_close(f);
	fake_set(f, "on-conflict-type", "variant");
	fake_set(f, "nul", "replace");
	assert_int_equal(fake_open(f, fake_plugin("csv")), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 1);
	assert_int_equal(fake_deliver(f, 2, 3, 0), WEIR_SINK_OK);
	file_is(f, "out/t.csv",
		BASE ",n,s,n_variant,new\r\n1,1," T(1) ",ada," T(
			1) ",ada,41,a,,\r\n"
			   "2,1," T(2) ",ada," T(
				   2) ",ada,,,forty,1\r\n"
				      "3,1," T(3) ",ada," T(
					      3) ",ada,,x\xef\xbf\xbdy,,\r\n",
		"variant");
	fake_free(f);
}

/* ---- faults -------------------------------------------------------------- */

static void
setup(struct fake *f)
{
	fake_set(f, "output-dir", fake_path(f, "out"));
	(void)fake_append(f, "a", "1", "e", "{\"x\":1,\"y\":\"p\\\"\\nq\"}");
	(void)fake_append(f, "b", "2", "e", "{\"x\":2}");
	(void)fake_append(f, "a", "3", "e", "{\"z\":3}");
	(void)fake_append(f, "b", "2", "e", "{\"new\":4}");
	(void)fake_append(f, "c", "5", "e", "{}");
	(void)fake_append(f, "a", "6", "e", "{\"w\":6,\"x\":true}");
	(void)fake_append(f, "b", "7", "e", "{\"other\":[7]}");
}

#define A_HEAD BASE ",x,y,z,w\r\n"
#define A_1    "1,1," T(1) ",ada," T(1) ",ada,1,\"p\"\"\nq\",,\r\n"
#define A_3    "3,1," T(3) ",ada," T(3) ",ada,,,3,\r\n"
#define A_6    "6,1," T(6) ",ada," T(6) ",ada,true,,,6\r\n"
#define B_HEAD BASE ",x,new,other\r\n"
#define B_2    "2,1," T(2) ",ada," T(2) ",ada,2,,\r\n"
#define B_4    "2,2," T(2) ",ada," T(4) ",ada,2,4,\r\n"
#define B_7    "7,1," T(7) ",ada," T(7) ",ada,,,[7]\r\n"

static void
check(struct fake *f, const char *when)
{
	file_is(f, "out/a.csv", A_HEAD A_1 A_3 A_6, when);
	file_is(f, "out/b.csv", B_HEAD B_2 B_4 B_7, when);
	file_is(f, "out/c.csv", BASE "\r\n5,1," T(5) ",ada," T(5) ",ada\r\n",
		when);
	assert_int_equal(access(fake_path(f, "out/a.csv.weir-new"), F_OK), -1);
}

static void
test_faults(void **state)
{
	const struct filedrive d = {"csv", setup, check, 2, false, 0};

	(void)state;
	filedrive_order(&d);
	filedrive_all(&d);
}

static void
check_parked(struct fake *f, const char *when)
{
	file_is(f, "out/a.csv", A_HEAD A_1 A_3 A_6, when);
	file_is(f, "out/b.csv", B_HEAD B_4 B_7 B_2, when);
}

static void
test_faults_parked(void **state)
{
	const struct filedrive d = {"csv", setup, check_parked, 3, false, 2};

	(void)state;
	filedrive_order(&d);
	filedrive_all(&d);
}

/* A file of an older sink; its row goes when all is written anew. */
static void
setup_before(struct fake *f)
{
	const struct fake_record r = {
		.type = "d", .id = "8", .event = "e", .payload = {"{}", 2}};

	setup(f);
	(void)fake_append_record(f, &r);
	(void)f->files.make_folder(f, fake_path(f, "out"), 0777);
	filedrive_write(fake_path(f, "out/d.csv"), BASE "\r\n0,1,,,,");
}

#define D_8 "8,1," T(8) ",," T(8) ",\r\n"

static void
check_before(struct fake *f, const char *when)
{
	check(f, when);
	file_is(f, "out/d.csv", BASE "\r\n0,1,,,,\r\n" D_8, when);
}

static void
test_faults_before(void **state)
{
	const struct filedrive d = {"csv", setup_before, check_before,
				    3,	   false,	 0};

	(void)state;
	filedrive_order(&d);
	filedrive_all(&d);
}

static void
check_replayed(struct fake *f, const char *when)
{
	check(f, when);
	file_is(f, "out/d.csv", BASE "\r\n" D_8, when);
}

static void
test_faults_replay(void **state)
{
	const struct filedrive d = {"csv", setup_before, check_replayed,
				    4,	   true,	 0};

	(void)state;
	filedrive_order(&d);
	filedrive_all(&d);
}

/* ---- what is refused ------------------------------------------------------
 */

static void
test_other_header(void **state)
{
	struct fake *f = begin();

	(void)state;
	(void)fake_append(f, "a", "1", "e", "{\"x\":1}");
	(void)f->files.make_folder(f, fake_path(f, "out"), 0777);
	filedrive_write(fake_path(f, "out/a.csv"), BASE ",y\r\n");
	assert_int_equal(fake_open(f, fake_plugin("csv")), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_BLOCKED);
	assert_non_null(strstr(f->res.message, "another header"));
	file_is(f, "out/a.csv", BASE ",y\r\n", "refused");
	assert_int_equal(unlink(fake_path(f, "out/a.csv")), 0);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	fake_free(f);
}

static void
test_rotation(void **state)
{
	struct fake *f = begin();

	(void)state;
	(void)fake_append(f, "a", "1", "e", "{\"x\":1}");
	(void)fake_append(f, "a", "2", "e", "{\"y\":2}");
	assert_int_equal(fake_open(f, fake_plugin("csv")), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_OK);
	assert_int_equal(
		rename(fake_path(f, "out/a.csv"), fake_path(f, "out/a.csv.1")),
		0);
	assert_int_equal(f->plugin->reload(f->sink, NULL, &f->res),
			 WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_OK);
	file_is(f, "out/a.csv.1",
		BASE ",x\r\n1,1," T(1) ",ada," T(1) ",ada,1\r\n", "rotated");
	file_is(f, "out/a.csv",
		BASE ",x,y\r\n2,1," T(2) ",ada," T(2) ",ada,,2\r\n", "new");
	fake_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_guard_and_null),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_faults_parked),
		cmocka_unit_test(test_faults_before),
		cmocka_unit_test(test_faults_replay),
		cmocka_unit_test(test_other_header),
		cmocka_unit_test(test_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
