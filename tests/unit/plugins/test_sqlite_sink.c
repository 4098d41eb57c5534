/* SPDX-License-Identifier: MIT */
/* The SQLite sink, looked at from outside with a connection of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/fakehost.h"

static struct fake *
start(void)
{
	struct fake *f = fake_new();

	fake_set(f, "path", fake_path(f, "mirror.db"));
	fake_set(f, "busy-timeout", "20000");
	return f;
}

static void
open_ok(struct fake *f)
{
	int class = fake_open(f, fake_plugin("sqlite"));

	if (class != WEIR_SINK_OK)
		fail_msg("open: class %d: %s", class, f->res.message);
}

static void
deliver_ok(struct fake *f, uint64_t from, uint64_t to, uint32_t flags)
{
	int class = fake_deliver(f, from, to, flags);

	if (class != WEIR_SINK_OK)
		fail_msg("deliver: class %d: %s", class, f->res.message);
	assert_int_equal(f->res.durable_sequence, to);
}

/* Runs SQL on the mirror; rows joined by ';', values by '|', NULL as '~'. */
static const char *
ask(struct fake *f, const char *sql)
{
	static char out[4096];
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	size_t n = 0;

	out[0] = '\0';
	assert_int_equal(sqlite3_open(fake_path(f, "mirror.db"), &db), 0);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(st) == SQLITE_ROW) {
		n += (size_t)snprintf(out + n, sizeof out - n, "%s",
				      n ? ";" : "");
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const char *v =
				(const char *)sqlite3_column_text(st, i);
			n += (size_t)snprintf(out + n, sizeof out - n, "%s%s",
					      i ? "|" : "", v ? v : "~");
		}
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return out;
}

static void
test_rows(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "person", "p-1", "born", "{\"name\":\"Ada\",\"age\":1}");
	fake_append(f, "person", "p-2", "born", "{\"name\":\"Bob\"}");
	fake_append(f, "person", "p-1", "aged", "{\"age\":2,\"ok\":true}");
	open_ok(f);
	assert_int_equal(f->cursor.found, 0);
	deliver_ok(f, 1, 2, 0);
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(
		ask(f, "SELECT id, version, name, age, ok, created_by, "
		       "created_at, updated_at FROM person ORDER BY id"),
		"p-1|2|Ada|2|1|ada|2026-01-01T00:00:01.000000Z|"
		"2026-01-01T00:00:03.000000Z;"
		"p-2|1|Bob|~|~|ada|2026-01-01T00:00:02.000000Z|"
		"2026-01-01T00:00:02.000000Z");
	fake_resume(f);
	assert_int_equal(f->cursor.found, 1);
	assert_int_equal(f->cursor.sequence, 3);
	assert_int_equal(f->cursor.epoch, 1);
	assert_memory_equal(f->cursor.store_id, f->store_id, 16);
	assert_string_equal(f->cursor.sink, "mirror");
	fake_free(f);
}

/* Delivering again, in another open, several records of one aggregate. */
static void
test_again(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	fake_append(f, "a", "1", "e", "{\"n\":3}");
	open_ok(f);
	assert_int_equal(fake_deliver_all(f, 1, 3, 0), WEIR_SINK_OK);
	open_ok(f);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask(f, "SELECT version, n FROM a"), "3|3");
	assert_string_equal(ask(f, "SELECT sequence FROM weir_cursors"), "3");
	deliver_ok(f, 4, 3, 0);
	/* A row changed by hand is mended by a replay, and only by one. */
	ask(f, "UPDATE a SET n = 99");
	open_ok(f);
	deliver_ok(f, 1, 3, 0);
	assert_string_equal(ask(f, "SELECT n FROM a"), "99");
	assert_int_equal(fake_rewind(f, 1), WEIR_SINK_OK);
	assert_string_equal(ask(f, "SELECT sequence FROM weir_cursors"), "0");
	deliver_ok(f, 1, 1, WEIR_BATCH_REPLAY);
	assert_string_equal(ask(f, "SELECT n FROM a"), "99");
	deliver_ok(f, 2, 3, WEIR_BATCH_REPLAY);
	assert_string_equal(ask(f, "SELECT version, n FROM a"), "3|3");
	fake_free(f);
}

static void
test_exact_numbers(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "n", "1", "e",
		    "{\"a\":12345678901234567890123,\"b\":0.10,\"c\":1e400,"
		    "\"d\":9007199254740993,\"e\":-0,\"f\":1.0,\"g\":\"0.10\","
		    "\"h\":{ \"x\" : [1.50] }}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(ask(f, "SELECT a, b, c, d, e, f, g, h FROM n"),
			    "12345678901234567890123|0.10|1e400|"
			    "9007199254740993|-0|1.0|0.10|{ \"x\" : [1.50] }");
	assert_string_equal(ask(f, "SELECT typeof(d), typeof(b) FROM n"),
			    "integer|text");
	fake_free(f);
}

static void
test_widening(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "w", "1", "e", "{\"x\":true,\"y\":5,\"z\":null}");
	fake_append(f, "w", "2", "e", "{\"x\":false}");
	fake_append(f, "w", "3", "e", "{\"x\":\"0.10\",\"y\":\"a\",\"z\":1}");
	open_ok(f);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask(f, "SELECT name FROM pragma_table_info('w') "
				   "WHERE name IN ('x', 'y', 'z')"),
			    "x;y");
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask(f, "SELECT id, x, y, z FROM w ORDER BY id"),
			    "1|true|5|~;2|false|~|~;3|0.10|a|1");
	assert_string_equal(ask(f, "SELECT name, datatype, source FROM "
				   "weir_columns WHERE kind = 'column'"),
			    "x|text|inferred;y|text|inferred;"
			    "z|numeric|inferred");
	fake_free(f);
}

static void
test_names(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "Order", "1", "e",
		    "{\"id\":7,\"version\":8,\"select\":1,\"a-b\":2,\"a_b\":3,"
		    "\"rowid\":4,\"quote\\\"d\":5,\"\":6}");
	fake_append(f, "order", "1", "e", "{\"x\":1}");
	fake_append(f, "sqlite_x", "1", "e", "{\"x\":1}");
	fake_append(f, "weir_cursors", "1", "e", "{\"x\":1}");
	open_ok(f);
	deliver_ok(f, 1, 4, 0);
	assert_string_equal(
		ask(f, "SELECT id, version, field_id, field_version, "
		       "\"select\", a_b, rowid, quote_d, _ FROM \"order\""),
		"1|1|7|8|1|2|4|5|6");
	assert_string_equal(ask(f, "SELECT count(*) FROM weir_columns WHERE "
				   "kind = 'table' AND name LIKE 'order_%'"),
			    "1");
	assert_string_equal(ask(f, "SELECT x FROM t_sqlite_x"), "1");
	/* A new open finds the same names, and foreign tables stay alone. */
	ask(f, "CREATE TABLE Mine(x)");
	fake_append(f, "mine", "1", "e", "{\"x\":1}");
	fake_append(f, "Order", "1", "e", "{\"a_b\":33}");
	open_ok(f);
	deliver_ok(f, 5, 6, 0);
	assert_string_equal(ask(f, "SELECT version, a_b FROM \"order\""),
			    "2|2");
	assert_string_equal(ask(f, "SELECT count(*) FROM mine"), "0");
	fake_free(f);
}

static void
test_reject(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_map(f, "o", "qty", "integer", WEIR_TYPE_MAPPED);
	fake_append(f, "o", "1", "e", "{\"qty\":1}");
	fake_append(f, "o", "2", "e", "{\"qty\":\"abc\",\"new\":1}");
	fake_append(f, "o", "3", "e", "{\"qty\":\"3\"}");
	open_ok(f);
	assert_int_equal(fake_deliver(f, 1, 3, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	assert_string_equal(f->res.column, "qty");
	assert_non_null(strstr(f->res.message, "abc"));
	assert_non_null(strstr(f->res.message, "record 2"));
	assert_string_equal(ask(f, "SELECT name FROM sqlite_master WHERE "
				   "name = 'o'"),
			    "");
	/* The rest flows; then the mapping is mended. */
	deliver_ok(f, 1, 1, 0);
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask(f, "SELECT id, qty, typeof(qty) FROM o"),
			    "1|1|integer;3|3|integer");
	assert_int_equal(fake_plan(f, "o", "qty", "text", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 3, 0);
	assert_string_equal(ask(f, "SELECT id, qty FROM o ORDER BY id"),
			    "1|1;2|abc;3|3");
	fake_free(f);
}

static void
test_conflict_options(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_map(f, "o", "qty", "integer", WEIR_TYPE_MAPPED);
	fake_set(f, "on-conflict-type", "variant");
	fake_set(f, "nul", "replace");
	fake_append(f, "o", "1", "e", "{\"qty\":\"abc\"}");
	fake_append(f, "o", "2", "e", "{\"qty\":2,\"s\":\"a\\u0000b\"}");
	open_ok(f);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask(f, "SELECT id, qty, qty_variant, s FROM o"),
			    "1|~|abc|~;2|2|~|a\xef\xbf\xbd"
			    "b");
	fake_set(f, "on-conflict-type", "null");
	fake_set(f, "nul", "park");
	fake_append(f, "o", "1", "e", "{\"qty\":2.5}");
	fake_append(f, "o", "3", "e", "{\"s\":\"a\\u0000b\"}");
	open_ok(f);
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask(f, "SELECT qty, qty_variant FROM o "
				   "WHERE id = '1'"),
			    "~|~");
	assert_int_equal(fake_deliver(f, 4, 4, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 4);
	assert_string_equal(f->res.column, "s");
	fake_free(f);
}

static void
test_plan(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "o", "1", "e", "{\"a\":\"12\",\"b\":true,\"c\":1.50}");
	fake_append(f, "o", "2", "e", "{\"a\":\"x\",\"c\":7}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_int_equal(fake_plan(f, "o", "a", "integer", false),
			 WEIR_SINK_OK);
	assert_string_equal(ask(f, "SELECT typeof(a) FROM o"), "text");
	assert_int_equal(fake_plan(f, "o", "a", "integer", true), WEIR_SINK_OK);
	assert_string_equal(ask(f, "SELECT a, typeof(a) FROM o"), "12|integer");
	assert_int_equal(fake_plan(f, "o", "a", "text", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 2, 0);
	assert_int_equal(fake_plan(f, "o", "a", "integer", true),
			 WEIR_SINK_REJECT);
	assert_non_null(strstr(f->res.message, "x"));
	assert_true(strlen(f->res.hint) > 0);
	assert_string_equal(ask(f, "SELECT a FROM o ORDER BY id"), "12;x");
	assert_int_equal(fake_plan(f, "o", "b", "text", true), WEIR_SINK_OK);
	assert_string_equal(ask(f, "SELECT b FROM o WHERE id = '1'"), "true");
	assert_int_equal(fake_plan(f, "o", "b", "boolean", true), WEIR_SINK_OK);
	assert_string_equal(ask(f, "SELECT b, typeof(b) FROM o WHERE id = '1'"),
			    "1|integer");
	assert_int_equal(fake_plan(f, "o", "c", "numeric(5,2)", true),
			 WEIR_SINK_OK);
	assert_int_equal(fake_plan(f, "o", "c", "integer", true),
			 WEIR_SINK_REJECT);
	assert_string_equal(ask(f, "SELECT c, typeof(c) FROM o ORDER BY id"),
			    "1.50|text;7|integer");
	assert_int_equal(fake_plan(f, "o", "new", "date", true), WEIR_SINK_OK);
	assert_non_null(strstr(f->res.message, "will be date"));
	assert_int_equal(fake_plan(f, "o", "a", "int; drop", true),
			 WEIR_SINK_REJECT);
	assert_string_equal(ask(f, "SELECT count(*) FROM o"), "2");
	fake_free(f);
}

/* A plan by another process is seen by the next batch. */
static void
test_changed_by_another(void **state)
{
	struct fake *f = start(), *g = fake_new();

	(void)state;
	fake_append(f, "o", "1", "e", "{\"n\":1}");
	fake_append(f, "o", "2", "e", "{\"n\":2.5}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	fake_set(g, "path", fake_path(f, "mirror.db"));
	open_ok(g);
	assert_int_equal(fake_plan(g, "o", "n", "integer", true), WEIR_SINK_OK);
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_REJECT);
	assert_string_equal(f->res.column, "n");
	assert_int_equal(fake_plan(g, "o", "n", "numeric", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 2, 0);
	assert_string_equal(ask(f, "SELECT n FROM o ORDER BY id"), "1;2.5");
	fake_free(g);
	fake_free(f);
}

static void
test_fencing(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	f->epoch = 5;
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	f->epoch = 4;
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_BLOCKED);
	assert_string_equal(ask(f, "SELECT n FROM a"), "1");
	f->epoch = 5;
	deliver_ok(f, 2, 2, 0);
	/* Another store, under the same name and under another. */
	f->store_id[0] ^= 0xff;
	open_ok(f);
	assert_int_equal(f->cursor.found, 1);
	assert_memory_not_equal(f->cursor.store_id, f->store_id, 16);
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_BLOCKED);
	snprintf(f->sink_name, sizeof f->sink_name, "other");
	open_ok(f);
	assert_int_equal(f->cursor.found, 1);
	assert_memory_not_equal(f->cursor.store_id, f->store_id, 16);
	fake_free(f);
}

/* The file is taken away under an open sink: noticed, not written into. */
/* A table of a version that kept no hash gets the column; the hash comes with
 * the next batch, and goes when the cursor is taken back. */
static void
test_older_cursor(void **state)
{
	struct fake *f = start();
	static const uint8_t none[32];

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_memory_equal(f->cursor.hash, fake_at(f, 1)->hash, 32);
	fake_close(f);
	ask(f, "ALTER TABLE weir_cursors DROP COLUMN hash");
	open_ok(f);
	assert_int_equal(f->cursor.sequence, 1);
	assert_memory_equal(f->cursor.hash, none, 32);
	deliver_ok(f, 2, 1, 0); /* the same cursor, now with its hash */
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_memory_equal(f->cursor.hash, fake_at(f, 1)->hash, 32);
	deliver_ok(f, 2, 2, 0);
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_memory_equal(f->cursor.hash, fake_at(f, 2)->hash, 32);
	assert_int_equal(fake_rewind(f, 2), WEIR_SINK_OK);
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 1);
	assert_memory_equal(f->cursor.hash, none, 32);
	fake_free(f);
}

static void
test_replaced_file(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "2", "e", "{\"n\":2}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	unlink(fake_path(f, "mirror.db"));
	unlink(fake_path(f, "mirror.db-wal"));
	unlink(fake_path(f, "mirror.db-shm"));
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_NOT_CONNECTED);
	assert_string_equal(f->res.code, "CURSOR_MOVED");
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_int_equal(f->cursor.found, 0);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask(f, "SELECT id FROM a ORDER BY id"), "1;2");
	fake_free(f);
}

static void
test_bad_targets(void **state)
{
	struct fake *f = start();
	const struct weir_sink_plugin *p = fake_plugin("sqlite");

	(void)state;
	fake_set(f, "path", fake_path(f, "missing/mirror.db"));
	assert_int_equal(fake_open(f, p), WEIR_SINK_BLOCKED);
	assert_non_null(strstr(f->res.message, "missing/mirror.db"));
	assert_true(strlen(f->res.hint) > 0);
	assert_int_equal(p->probe(f->sink, &f->res), WEIR_SINK_BLOCKED);
	FILE *file = fopen(fake_path(f, "text.db"), "w");
	for (int i = 0; i < 200; i++)
		fputs("this is no database\n", file);
	fclose(file);
	fake_set(f, "path", fake_path(f, "text.db"));
	assert_int_equal(fake_open(f, p), WEIR_SINK_BLOCKED);
	assert_string_equal(f->res.code, "SQLITE_NOTADB");
	fake_free(f);
}

static void
test_busy(void **state)
{
	struct fake *f = start();
	sqlite3 *db = NULL;

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	open_ok(f);
	sqlite3_open(fake_path(f, "mirror.db"), &db);
	sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_RETRY);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	deliver_ok(f, 1, 1, 0);
	/* A constraint that someone added names the record. */
	sqlite3_exec(db, "CREATE UNIQUE INDEX one ON a(n)", NULL, NULL, NULL);
	fake_append(f, "a", "2", "e", "{\"n\":1}");
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	sqlite3_exec(db, "DROP INDEX one", NULL, NULL, NULL);
	sqlite3_exec(db, "DROP TABLE a", NULL, NULL, NULL);
	deliver_ok(f, 2, 2, 0);
	assert_string_equal(ask(f, "SELECT id, n FROM a"), "2|1");
	/* Without its own tables the sink begins again. */
	sqlite3_exec(db, "DROP TABLE weir_cursors", NULL, NULL, NULL);
	sqlite3_close(db);
	assert_int_not_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_OK);
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_int_equal(f->cursor.found, 0);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask(f, "SELECT id FROM a ORDER BY id"), "1;2");
	fake_free(f);
}

/* Every allocation fails once; then the batch goes through whole. */
static void
test_no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 80; n++) {
		struct fake *f = start();
		fake_append(f, "a", "1", "e",
			    "{\"n\":1,\"s\":\"x\\ny\",\"o\":{}}");
		fake_append(f, "b", "1", "e", "{\"n\":1}");
		f->fail_alloc_at = n;
		const struct weir_sink_plugin *p = fake_plugin("sqlite");
		if (fake_open(f, p) != WEIR_SINK_OK)
			open_ok(f);
		int class = fake_deliver(f, 1, 2, 0);
		if (class != WEIR_SINK_OK) {
			assert_int_equal(class, WEIR_SINK_RETRY);
			deliver_ok(f, 1, 2, 0);
		}
		assert_string_equal(ask(f, "SELECT n, s, o FROM a"),
				    "1|x\ny|{}");
		assert_string_equal(ask(f, "SELECT n FROM b"), "1");
		fake_free(f);
	}
}

static void
test_many_columns(void **state)
{
	static char json[64000];
	struct fake *f = start();
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1990; i++)
		n += (size_t)snprintf(json + n, sizeof json - n, "%s\"f%d\":%d",
				      i ? "," : "{", i, i);
	snprintf(json + n, sizeof json - n, "}");
	fake_append(f, "wide", "1", "e", json);
	fake_append(f, "wide", "2", "e",
		    "{\"g1\":1,\"g2\":1,\"g3\":1,\"g4\":1,\"g5\":1}");
	fake_append(f, "wide", "3", "e", "{\"f5\":1}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(ask(f, "SELECT f0, f1989 FROM wide"), "0|1989");
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	deliver_ok(f, 3, 3, 0);
	fake_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_exact_numbers),
		cmocka_unit_test(test_widening),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_conflict_options),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_changed_by_another),
		cmocka_unit_test(test_fencing),
		cmocka_unit_test(test_older_cursor),
		cmocka_unit_test(test_replaced_file),
		cmocka_unit_test(test_bad_targets),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_many_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
