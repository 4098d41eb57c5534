/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL sink against a real server: the connection string is in
 * WEIR_TEST_PG (test_postgres_sink.py starts the server and runs this). Each
 * test has a schema of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/pgtarget.h"

static void
test_rows(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "person", "p-1", "born", "{\"name\":\"Ada\",\"age\":1}");
	fake_append(f, "person", "p-2", "born", "{\"name\":\"Bob\"}");
	fake_append(f, "person", "p-1", "aged",
		    "{\"age\":2,\"ok\":true,\"tags\":[1, {\"a\": null}]}");
	open_ok(f);
	assert_int_equal(f->cursor.found, 0);
	deliver_ok(f, 1, 2, 0);
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(
		ask("SELECT id, version, name, age, ok, tags, created_by, "
		    "created_at AT TIME ZONE 'UTC', updated_at = created_at "
		    "FROM person ORDER BY id"),
		"p-1|2|Ada|2|t|[1, {\"a\": null}]|ada|2026-01-01 00:00:01|f;"
		"p-2|1|Bob|~|~|~|ada|2026-01-01 00:00:02|t");
	assert_string_equal(
		ask("SELECT column_name, data_type FROM "
		    "information_schema.columns WHERE table_name = 'person' "
		    "AND table_schema = current_schema() AND "
		    "ordinal_position > 6 ORDER BY ordinal_position"),
		"name|text;age|numeric;ok|boolean;tags|jsonb");
	open_ok(f);
	assert_int_equal(f->cursor.found, 1);
	assert_int_equal(f->cursor.sequence, 3);
	assert_int_equal(f->cursor.epoch, 1);
	assert_memory_equal(f->cursor.store_id, f->store_id, 16);
	assert_string_equal(f->cursor.sink, "mirror");
	fake_free(f);
}

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
	assert_string_equal(ask("SELECT version, n FROM a"), "3|3");
	assert_string_equal(ask("SELECT sequence FROM weir_cursors"), "3");
	deliver_ok(f, 4, 3, 0);
	ask("UPDATE a SET n = 99");
	deliver_ok(f, 1, 3, 0);
	assert_string_equal(ask("SELECT n FROM a"), "99");
	assert_int_equal(fake_rewind(f, 1), WEIR_SINK_OK);
	assert_string_equal(ask("SELECT sequence FROM weir_cursors"), "0");
	deliver_ok(f, 1, 1, WEIR_BATCH_REPLAY);
	deliver_ok(f, 2, 3, WEIR_BATCH_REPLAY);
	assert_string_equal(ask("SELECT version, n FROM a"), "3|3");
	fake_free(f);
}

static void
test_exact_numbers(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(
		f, "n", "1", "e",
		"{\"a\":12345678901234567890123,\"b\":0.10,\"c\":1e400,"
		"\"d\":9007199254740993,\"e\":-0,\"f\":1.0,\"g\":\"0.10\"}");
	fake_append(f, "n", "2", "e", "{\"a\":1e2,\"b\":true}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(ask("SELECT a, b, c, d, e, f, g FROM n"),
			    "12345678901234567890123|0.10|1e400|"
			    "9007199254740993|-0|1.0|0.10");
	assert_string_equal(ask("SELECT pg_typeof(a), pg_typeof(c) FROM n"),
			    "numeric|text");
	deliver_ok(f, 2, 2, 0);
	assert_string_equal(ask("SELECT id, a, b FROM n ORDER BY id"),
			    "1|12345678901234567890123|0.10;2|1e2|true");
	fake_free(f);
}

static void
test_widening(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "w", "1", "e",
		    "{\"x\":true,\"y\":5,\"z\":null,\"j\":{\"a\":1}}");
	fake_append(f, "w", "2", "e", "{\"x\":\"0.10\",\"y\":\"a\",\"z\":1}");
	fake_append(f, "w", "3", "e", "{\"j\":[1e200000,\"\\u0000\"]}");
	fake_append(f, "w", "4", "e", "{\"j\":null}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	deliver_ok(f, 2, 2, 0);
	assert_string_equal(ask("SELECT id, x, y, z FROM w ORDER BY id"),
			    "1|true|5|~;2|0.10|a|1");
	deliver_ok(f, 4, 4, 0);
	assert_string_equal(ask("SELECT id, j FROM w ORDER BY id"),
			    "1|{\"a\": 1};2|~;4|null");
	/* JSON's null is NULL where a column is none of JSON. */
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask("SELECT id, j FROM w ORDER BY id"),
			    "1|{\"a\": 1};2|~;3|[1e200000,\"\\u0000\"];4|~");
	assert_string_equal(ask("SELECT name, datatype, source FROM "
				"weir_columns WHERE kind = 'column' "
				"ORDER BY entry"),
			    "x|text|inferred;y|text|inferred;"
			    "j|text|inferred;z|numeric|inferred");
	fake_free(f);
}

static void
test_names(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "Order", "1", "e",
		    "{\"id\":7,\"version\":8,\"select\":1,\"a-b\":2,\"a_b\":3,"
		    "\"xmin\":4,\"quote\\\"d'\":5,\"\":6}");
	fake_append(f, "order", "1", "e", "{\"x\":1}");
	fake_append(f, "order_pkey", "1", "e", "{\"x\":1}");
	fake_append(f, "weir_cursors", "1", "e", "{\"x\":1}");
	fake_append(f, "empty", "it's", "e", "{}");
	open_ok(f);
	deliver_ok(f, 1, 2, 0);
	deliver_ok(f, 3, 5, 0);
	assert_string_equal(ask("SELECT id, version, field_id, field_version, "
				"\"select\", a_b, field_xmin, quote_d_, _ "
				"FROM \"order\""),
			    "1|1|7|8|1|2|4|5|6");
	assert_string_equal(ask("SELECT id, version FROM empty"), "it's|1");
	ask("CREATE TABLE mine(x integer)");
	ask("ALTER TABLE \"order\" ADD COLUMN note text");
	fake_append(f, "mine", "1", "e", "{\"x\":1}");
	fake_append(f, "Order", "1", "e", "{\"a_b\":33,\"note\":1}");
	open_ok(f);
	deliver_ok(f, 6, 7, 0);
	assert_string_equal(ask("SELECT version, a_b, note FROM \"order\""),
			    "2|2|~");
	assert_string_equal(ask("SELECT count(*) FROM mine"), "0");
	fake_free(f);
}

static const char typed_json[] =
	"{\"i\":2147483647,\"b\":9223372036854775807,\"n\":0.10,"
	"\"t\":\"2024-02-29T12:30:00.5+02:00\",\"d\":\"2024-02-29\","
	"\"u\":\"0190A5B0-0000-7000-8000-00000000000A\","
	"\"j\":{\"k\": [1]},\"v\":\"abc\",\"f\":0.1,\"x\":5,\"o\":true,"
	"\"l\":[1,null,3],\"ip\":\"10.0.0.1\",\"js\":\"text\"}";

static void
test_mapped(void **state)
{
	static const char *const types[][2] = {
		{"i", "integer"},
		{"b", "bigint"},
		{"n", "numeric(10,2)"},
		{"t", "timestamptz"},
		{"d", "date"},
		{"u", "uuid"},
		{"j", "jsonb"},
		{"v", "varchar(3)"},
		{"f", "double precision"},
		{"x", "text"},
		{"o", "boolean"},
		{"l", "integer[]"},
		{"ip", "inet"},
		{"js", "jsonb"},
	};
	struct fake *f = start();

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		fake_map(f, "m", types[i][0], types[i][1], WEIR_TYPE_MAPPED);
	fake_append(f, "m", "1", "e", typed_json);
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(
		ask("SELECT i, b, n, t AT TIME ZONE 'UTC', d, u, j, v, f, x, "
		    "o, l, ip, js FROM m"),
		"2147483647|9223372036854775807|0.10|2024-02-29 10:30:00.5|"
		"2024-02-29|0190a5b0-0000-7000-8000-00000000000a|"
		"{\"k\": [1]}|abc|0.1|5|t|{1,NULL,3}|10.0.0.1|\"text\"");
	assert_string_equal(
		ask("SELECT string_agg(format_type(atttypid, atttypmod), ' ' "
		    "ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
		    "'m'::regclass AND attnum > 6"),
		"integer bigint numeric(10,2) timestamp with time zone date "
		"uuid jsonb character varying(3) double precision text "
		"boolean integer[] inet jsonb");
	fake_free(f);
}

static void
test_reject(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_map(f, "o", "qty", "integer", WEIR_TYPE_MAPPED);
	fake_map(f, "o", "ip", "inet", WEIR_TYPE_BASE);
	fake_append(f, "o", "1", "e", "{\"qty\":1}");
	fake_append(f, "o", "2", "e", "{\"qty\":\"abc\",\"new\":1}");
	fake_append(f, "o", "3", "e", "{\"qty\":\"3\",\"s\":\"a\"}");
	fake_append(f, "o", "4", "e", "{\"ip\":\"nowhere\",\"qty\":4}");
	fake_append(f, "o", "5", "e", "{\"s\":\"a\\u0000b\"}");
	open_ok(f);
	assert_int_equal(fake_deliver(f, 1, 3, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	assert_string_equal(f->res.column, "qty");
	assert_non_null(strstr(f->res.message, "abc"));
	assert_string_equal(ask("SELECT to_regclass('o')"), "~");
	deliver_ok(f, 1, 1, 0);
	deliver_ok(f, 3, 3, 0);
	/* One that only the server can judge. */
	assert_int_equal(fake_deliver(f, 3, 4, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 0);
	assert_int_equal(fake_deliver(f, 4, 4, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 4);
	assert_string_equal(f->res.column, "ip");
	assert_non_null(strstr(f->res.message, "nowhere"));
	assert_string_equal(f->res.code, "22P02");
	assert_int_equal(fake_deliver(f, 5, 5, 0), WEIR_SINK_REJECT);
	assert_string_equal(f->res.column, "s");
	/* Mending the mapping heals it. */
	assert_int_equal(fake_plan(f, "o", "qty", "text", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 3, 0);
	assert_string_equal(ask("SELECT id, qty FROM o ORDER BY id"),
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
	fake_append(f, "o", "2", "e",
		    "{\"qty\":2,\"s\":\"a\\u0000b\",\"j\":[\"\\u0000\"]}");
	open_ok(f);
	deliver_ok(f, 1, 2, 0);
	assert_string_equal(ask("SELECT id, qty, qty_variant, s, j FROM o "
				"ORDER BY id"),
			    "1|~|abc|~|~;2|2|~|a\xef\xbf\xbd"
			    "b|[\"\xef\xbf\xbd\"]");
	fake_set(f, "on-conflict-type", "null");
	fake_append(f, "o", "1", "e", "{\"qty\":2.5}");
	open_ok(f);
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask("SELECT qty, qty_variant FROM o WHERE id = "
				"'1'"),
			    "~|~");
	fake_free(f);
}

static void
test_plan(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "o", "1", "e",
		    "{\"a\":\"12\",\"b\":true,\"c\":1.50,"
		    "\"t\":\"2024-01-01T00:00:00Z\"}");
	fake_append(f, "o", "2", "e", "{\"a\":\"x\",\"c\":7}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_int_equal(fake_plan(f, "o", "a", "integer", false),
			 WEIR_SINK_OK);
	assert_string_equal(ask("SELECT pg_typeof(a) FROM o"), "text");
	assert_int_equal(fake_plan(f, "o", "a", "integer", true), WEIR_SINK_OK);
	assert_string_equal(ask("SELECT pg_typeof(a) FROM o"), "integer");
	assert_int_equal(fake_plan(f, "o", "a", "text", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 2, 0);
	assert_int_equal(fake_plan(f, "o", "a", "integer", true),
			 WEIR_SINK_REJECT);
	assert_non_null(strstr(f->res.message, "value x"));
	assert_string_equal(ask("SELECT a FROM o ORDER BY id"), "12;x");
	assert_int_equal(fake_plan(f, "o", "t", "timestamptz", true),
			 WEIR_SINK_OK);
	assert_int_equal(fake_plan(f, "o", "c", "numeric(5,2)", true),
			 WEIR_SINK_OK);
	assert_int_equal(fake_plan(f, "o", "c", "integer", true),
			 WEIR_SINK_REJECT);
	assert_int_equal(fake_plan(f, "o", "c", "money", true),
			 WEIR_SINK_REJECT);
	assert_string_equal(ask("SELECT c FROM o ORDER BY id"), "1.50;7.00");
	fake_append(f, "o", "3", "e", "{\"j\":{},\"k\":[\"1\"]}");
	fake_append(f, "o", "3", "e", "{\"j\":null,\"k\":null}");
	deliver_ok(f, 3, 3, 0);
	deliver_ok(f, 4, 4, 0);
	assert_int_equal(fake_plan(f, "o", "j", "json", true), WEIR_SINK_OK);
	assert_string_equal(ask("SELECT j FROM o WHERE id = '3'"), "null");
	assert_int_equal(fake_plan(f, "o", "j", "text", true), WEIR_SINK_OK);
	assert_int_equal(fake_plan(f, "o", "k", "integer", true), WEIR_SINK_OK);
	assert_string_equal(ask("SELECT j, k FROM o WHERE id = '3'"), "~|~");
	assert_int_equal(fake_plan(f, "o", "new", "date", true), WEIR_SINK_OK);
	assert_non_null(strstr(f->res.message, "will be date"));
	assert_int_equal(fake_plan(f, "o", "new", "nosuchtype", true),
			 WEIR_SINK_REJECT);
	assert_int_equal(fake_plan(f, "o", "a", "int; drop", true),
			 WEIR_SINK_REJECT);
	fake_free(f);
}

/* A plan by another process is seen by the next batch. */
static void
test_changed_by_another(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "o", "1", "e", "{\"n\":1}");
	fake_append(f, "o", "2", "e", "{\"n\":2.5}");
	fake_append(f, "o", "3", "e", "{\"n\":3}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	ask("BEGIN; ALTER TABLE o ALTER n TYPE integer; UPDATE weir_columns "
	    "SET datatype = 'integer', source = 'mapped', revision = "
	    "revision + 1 WHERE name = 'n'; COMMIT");
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_REJECT);
	assert_string_equal(f->res.column, "n");
	deliver_ok(f, 3, 3, 0);
	ask("DROP TABLE o");
	fake_append(f, "o", "3", "e", "{\"n\":4}");
	if (fake_deliver(f, 4, 4, 0) != WEIR_SINK_OK)
		deliver_ok(f, 4, 4, 0);
	assert_string_equal(ask("SELECT id, n FROM o"), "3|4");
	/* Without its own tables the sink begins again. */
	ask("DROP TABLE weir_cursors, weir_columns, o");
	assert_int_not_equal(fake_deliver(f, 4, 4, 0), WEIR_SINK_OK);
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_int_equal(f->cursor.found, 0);
	deliver_ok(f, 1, 4, 0);
	assert_string_equal(ask("SELECT id, n FROM o ORDER BY id"),
			    "1|1;2|2.5;3|4");
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
	assert_string_equal(ask("SELECT n FROM a"), "1");
	f->epoch = 5;
	deliver_ok(f, 2, 2, 0);
	ask("UPDATE weir_cursors SET sequence = 1");
	fake_append(f, "a", "1", "e", "{\"n\":3}");
	assert_int_equal(fake_deliver(f, 3, 3, 0), WEIR_SINK_NOT_CONNECTED);
	assert_string_equal(f->res.code, "CURSOR_MOVED");
	assert_int_equal(fake_resume(f), WEIR_SINK_OK);
	assert_int_equal(f->cursor.sequence, 1);
	deliver_ok(f, 2, 3, 0);
	f->store_id[0] ^= 0xff;
	snprintf(f->sink_name, sizeof f->sink_name, "other");
	open_ok(f);
	assert_int_equal(f->cursor.found, 1);
	assert_memory_not_equal(f->cursor.store_id, f->store_id, 16);
	assert_int_equal(fake_deliver(f, 3, 3, 0), WEIR_SINK_BLOCKED);
	fake_free(f);
}

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
	ask("ALTER TABLE weir_cursors DROP COLUMN hash");
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
test_lost_connection(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "2", "e", "{\"n\":2}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	    "application_name = 'weir' AND pid <> pg_backend_pid()");
	int class = fake_deliver(f, 2, 2, 0);
	if (class != WEIR_SINK_OK) {
		assert_int_equal(class, WEIR_SINK_NOT_CONNECTED);
		deliver_ok(f, 2, 2, 0);
	}
	assert_string_equal(ask("SELECT count(*) FROM a"), "2");
	fake_free(f);
}

/* The deadline passes while COMMIT runs: nobody knows; the cursor tells. */
static void
test_unsure_commit(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	fake_append(f, "a", "1", "e", "{\"n\":3}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	ask("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
	    "'BEGIN PERFORM pg_sleep(2.2); RETURN NULL; END'");
	ask("CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON a DEFERRABLE "
	    "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()");
	/* long enough to come as far as COMMIT on any machine */
	f->deadline_us = f->host.monotonic_us(f) + 1500000;
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_NOT_CONNECTED);
	assert_string_equal(f->res.code, "TIMEOUT");
	f->deadline_us = 0;
	/* The lock that the other session holds is waited for, then the batch
	 * is applied again or found to be there. */
	int class = WEIR_SINK_RETRY;
	for (int i = 0; class != WEIR_SINK_OK && i < 30; i++)
		class = fake_deliver(f, 2, 2, 0);
	assert_int_equal(class, WEIR_SINK_OK);
	assert_string_equal(ask("SELECT version, n FROM a"), "2|2");
	ask("DROP TRIGGER late ON a");
	deliver_ok(f, 3, 3, 0);
	assert_string_equal(ask("SELECT version, n FROM a"), "3|3");
	fake_free(f);
}

static void
test_stop(void **state)
{
	struct fake *f = start();
	int fd[2];

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1}");
	open_ok(f);
	ask("BEGIN; LOCK TABLE weir_cursors IN ACCESS EXCLUSIVE MODE");
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_RETRY);
	assert_string_equal(f->res.code, "55P03");
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	f->stop_fd = fd[0];
	assert_int_equal(fake_deliver(f, 1, 1, 0), WEIR_SINK_NOT_CONNECTED);
	assert_string_equal(f->res.code, "STOPPED");
	ask("ROLLBACK");
	f->stop_fd = -1;
	close(fd[0]);
	close(fd[1]);
	deliver_ok(f, 1, 1, 0);
	fake_free(f);
}

static void
test_bad_targets(void **state)
{
	struct fake *f = start();
	const struct weir_sink_plugin *p = fake_plugin("postgres");
	char text[512];

	(void)state;
	fake_set(f, "connection", "this is geheim42");
	assert_int_equal(fake_open(f, p), WEIR_SINK_REJECT);
	assert_null(strstr(f->res.message, "geheim42"));
	snprintf(text, sizeof text, "%s dbname=nosuch password=geheim42",
		 getenv("WEIR_TEST_PG"));
	fake_set(f, "connection", text);
	assert_int_equal(fake_open(f, p), WEIR_SINK_BLOCKED);
	assert_string_equal(f->res.code, "3D000");
	assert_non_null(strstr(f->res.message, "nosuch"));
	assert_null(strstr(f->res.message, "geheim42"));
	snprintf(text, sizeof text, "%s user=geheim42 password=geheim42",
		 getenv("WEIR_TEST_PG"));
	fake_set(f, "connection", text);
	assert_int_equal(fake_open(f, p), WEIR_SINK_BLOCKED);
	assert_string_equal(f->res.code, "28000");
	assert_null(strstr(f->res.message, "geheim42"));
	fake_set(f, "connection", "host=127.0.0.1 port=1 dbname=x");
	assert_int_equal(fake_open(f, p), WEIR_SINK_NOT_CONNECTED);
	fake_set(f, "connection", getenv("WEIR_TEST_PG"));
	fake_set(f, "schema", "pg_mine");
	assert_int_equal(fake_open(f, p), WEIR_SINK_REJECT);
	/* A role without rights. */
	ask("DROP ROLE IF EXISTS small; CREATE ROLE small LOGIN");
	snprintf(text, sizeof text, "%s user=small", getenv("WEIR_TEST_PG"));
	fake_set(f, "connection", text);
	fake_set(f, "schema", "s_small");
	assert_int_equal(fake_open(f, p), WEIR_SINK_BLOCKED);
	assert_string_equal(f->res.code, "42501");
	assert_true(strlen(f->res.hint) > 0);
	fake_free(f);
}

static void
test_no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 120; n += 3) {
		struct fake *f = start();
		bool history = n % 2 == 0;
		fake_set(f, "history", history ? "true" : "false");
		fake_append(f, "a", "1", "e",
			    "{\"n\":1,\"s\":\"x\\ny\",\"o\":{}}");
		fake_append(f, "b", "1", "e", "{\"n\":1}");
		f->fail_alloc_at = n;
		const struct weir_sink_plugin *p = fake_plugin("postgres");
		if (fake_open(f, p) != WEIR_SINK_OK)
			open_ok(f);
		int class = fake_deliver(f, 1, 2, 0);
		if (class != WEIR_SINK_OK) {
			assert_int_equal(class, WEIR_SINK_RETRY);
			deliver_ok(f, 1, 2, 0);
		}
		assert_string_equal(ask("SELECT n, s, o FROM a"), "1|x\ny|{}");
		assert_string_equal(ask("SELECT n FROM b"), "1");
		if (history)
			assert_string_equal(ask("SELECT n, s FROM a_history"),
					    "1|x\ny");
		fake_free(f);
	}
}

static void
test_many(void **state)
{
	static char json[64000];
	struct fake *f = start();
	char id[32];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1590; i++)
		n += (size_t)snprintf(json + n, sizeof json - n, "%s\"f%d\":%d",
				      i ? "," : "{", i, i % 10);
	snprintf(json + n, sizeof json - n, "}");
	fake_append(f, "wide", "1", "e", json);
	fake_append(f, "wide", "2", "e",
		    "{\"g1\":1,\"g2\":1,\"g3\":1,\"g4\":1,\"g5\":1}");
	open_ok(f);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(ask("SELECT f0, f1589 FROM wide"), "0|9");
	assert_int_equal(fake_deliver(f, 2, 2, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof id, "%d", i % 400);
		snprintf(json, sizeof json, "{\"i\":%d,\"t\":\"row %d\"}", i,
			 i);
		fake_append(f, "long", id, "e", json);
	}
	assert_int_equal(fake_deliver_all(f, 3, 1002, 0), WEIR_SINK_OK);
	assert_string_equal(ask("SELECT count(*), sum(i), sum(version) FROM "
				"long"),
			    "400|319800|1000");
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
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_conflict_options),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_changed_by_another),
		cmocka_unit_test(test_fencing),
		cmocka_unit_test(test_older_cursor),
		cmocka_unit_test(test_lost_connection),
		cmocka_unit_test(test_unsure_commit),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_bad_targets),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_many),
	};

	if (!pg_begin())
		return getenv("WEIR_TEST_PG") == NULL ? 77 : 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pg_end();
	return failed;
}
