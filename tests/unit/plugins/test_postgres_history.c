/* SPDX-License-Identifier: MIT */
/* The PostgreSQL sink's tables of versions; run as test_postgres_sink is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/pgtarget.h"

static void
test_history(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_set(f, "history", "true");
	fake_append(f, "person", "p-1", "born", "{\"name\":\"Ada\"}");
	fake_append(f, "person", "p-2", "born", "{\"name\":\"Bob\"}");
	fake_append(f, "person", "p-1", "aged", "{\"age\":1}");
	fake_append(f, "person", "p-1", "aged",
		    "{\"age\":2,\"sequence\":\"s\",\"field_sequence\":true}");
	fake_append(f, "person", "p-1", "aged", "{\"age\":\"old\"}");
	open_ok(f);
	assert_int_equal(f->capabilities & WEIR_SINK_COALESCE, 0);
	deliver_ok(f, 1, 3, 0);
	assert_string_equal(
		ask("SELECT id, version, event_type, sequence, name, age, "
		    "created_at = updated_at, created_by, updated_by, "
		    "committed_at > '2020-01-01' FROM person_history ORDER BY "
		    "sequence"),
		"p-1|1|born|1|Ada|~|t|ada|ada|t;p-2|1|born|2|Bob|~|t|ada|ada|t;"
		"p-1|2|aged|3|Ada|1|f|ada|ada|t");
	deliver_ok(f, 4, 5, 0);
	assert_string_equal(
		ask("SELECT version, event_type, sequence, field_sequence, "
		    "age, field_field_sequence FROM person_history WHERE id = "
		    "'p-1' ORDER BY version"),
		"1|born|1|~|~|~;2|aged|3|~|1|~;3|aged|4|s|2|t;"
		"4|aged|5|s|old|t");
	assert_string_equal(ask("SELECT id, version, age, sequence, "
				"field_field_sequence FROM person ORDER BY id"),
			    "p-1|4|old|s|t;p-2|1|~|~|~");
	assert_string_equal(
		ask("SELECT table_name, string_agg(data_type, ',' ORDER BY "
		    "column_name) FROM information_schema.columns WHERE "
		    "table_schema = current_schema() AND column_name IN "
		    "('name', 'age') GROUP BY table_name ORDER BY table_name"),
		"person|text,text;person_history|text,text;"
		"weir_columns|text");
	fake_free(f);
}

/* A record that comes again changes nothing, a replay writes it anew. */
static void
test_history_again(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_set(f, "history", "true");
	for (int i = 0; i < 4; i++)
		fake_append(f, "a", i % 2 ? "1" : "2", "e", "{\"n\":1}");
	open_ok(f);
	deliver_ok(f, 1, 4, 0);
	ask("UPDATE a_history SET n = 99; DELETE FROM a_history WHERE "
	    "sequence = 3");
	f->epoch++;
	assert_int_equal(fake_deliver(f, 1, 4, WEIR_BATCH_PARKED),
			 WEIR_SINK_OK);
	assert_string_equal(ask("SELECT sequence, n FROM a_history ORDER BY 1"),
			    "1|99;2|99;3|1;4|99");
	assert_int_equal(fake_rewind(f, 1), WEIR_SINK_OK);
	deliver_ok(f, 1, 2, WEIR_BATCH_REPLAY);
	deliver_ok(f, 3, 4, WEIR_BATCH_REPLAY);
	assert_string_equal(ask("SELECT sequence, n FROM a_history ORDER BY 1"),
			    "1|1;2|1;3|1;4|1");
	assert_string_equal(ask("SELECT id, version, n FROM a ORDER BY id"),
			    "1|2|1;2|2|1");
	fake_free(f);
}

static void
test_history_on_and_off(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_append(f, "a", "1", "e", "{\"n\":1,\"b\":true}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	fake_append(f, "a", "1", "e", "{\"n\":\"x\",\"new\":3}");
	fake_append(f, "a", "1", "e", "{\"n\":4}");
	open_ok(f);
	assert_int_not_equal(f->capabilities & WEIR_SINK_COALESCE, 0);
	deliver_ok(f, 1, 1, 0);
	assert_string_equal(ask("SELECT to_regclass('a_history')"), "~");
	fake_set(f, "history", "true");
	open_ok(f);
	deliver_ok(f, 2, 2, 0);
	/* Off: it stays, in the shape of its mirror. */
	fake_set(f, "history", "false");
	open_ok(f);
	deliver_ok(f, 3, 3, 0);
	fake_set(f, "history", "true");
	open_ok(f);
	deliver_ok(f, 4, 4, 0);
	assert_string_equal(
		ask("SELECT version, n, b, new FROM a_history ORDER BY 1"),
		"2|2|t|~;4|4|t|3");
	assert_string_equal(ask("SELECT pg_typeof(n), pg_typeof(new) FROM "
				"a_history WHERE version = 4"),
			    "text|numeric");
	/* Dropped by hand, it is made again. */
	ask("DROP TABLE a_history");
	fake_append(f, "a", "1", "e", "{\"n\":5}");
	if (fake_deliver(f, 5, 5, 0) != WEIR_SINK_OK)
		deliver_ok(f, 5, 5, 0);
	assert_string_equal(ask("SELECT version, n, b FROM a_history"),
			    "5|5|t");
	fake_free(f);
}

static void
test_history_names(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_set(f, "history", "true");
	fake_append(f, "a_history", "1", "e", "{\"n\":1}");
	fake_append(f, "a", "1", "e", "{\"n\":2}");
	fake_append(f, "b", "1", "e", "{\"n\":3}");
	fake_append(f, "b_history", "1", "e", "{\"n\":4}");
	fake_append(f, "B", "1", "e", "{\"n\":5}");
	open_ok(f);
	deliver_ok(f, 1, 3, 0);
	deliver_ok(f, 4, 5, 0);
	open_ok(f);
	assert_string_equal(
		ask("SELECT kind, aggregate_type, regexp_replace(name, "
		    "'_[0-9a-f]{8}$', '_#') FROM weir_columns WHERE kind <> "
		    "'column' ORDER BY entry"),
		"table|a_history|a_history;history|a_history|a_history_history;"
		"table|a|a;history|a|a_history_#;table|b|b;history|b|b_history;"
		"table|b_history|b_history_#;history|b_history|"
		"b_history_history;table|B|b_#;history|B|b_history_#");
	assert_string_equal(ask("SELECT n FROM a_history"), "1");
	assert_string_equal(ask("SELECT n, sequence FROM b_history"), "3|3");
	fake_free(f);
}

static void
test_history_mapped(void **state)
{
	struct fake *f = start();

	(void)state;
	fake_set(f, "history", "true");
	fake_map(f, "o", "qty", "integer", WEIR_TYPE_MAPPED);
	fake_append(f, "o", "1", "e", "{\"qty\":1,\"sequence\":\"7\"}");
	fake_append(f, "o", "1", "e", "{\"qty\":\"abc\"}");
	fake_append(f, "o", "1", "e", "{\"qty\":3}");
	open_ok(f);
	/* A value that no longer stands is one of a version all the same. */
	assert_int_equal(fake_deliver(f, 1, 3, 0), WEIR_SINK_REJECT);
	assert_int_equal(f->res.bad_sequence, 2);
	deliver_ok(f, 1, 1, 0);
	assert_int_equal(fake_plan(f, "o", "qty", "text", true), WEIR_SINK_OK);
	deliver_ok(f, 2, 3, 0);
	assert_string_equal(
		ask("SELECT version, qty FROM o_history ORDER BY 1"),
		"1|1;2|abc;3|3");
	/* The mirror could, the history cannot. */
	assert_int_equal(fake_plan(f, "o", "qty", "integer", true),
			 WEIR_SINK_REJECT);
	assert_non_null(strstr(f->res.message, "o_history"));
	assert_non_null(
		strstr(f->res.message, "1 version 2 has the value abc"));
	assert_string_equal(ask("SELECT pg_typeof(qty) FROM o"), "text");
	ask("UPDATE o_history SET qty = '2' WHERE version = 2");
	assert_int_equal(fake_plan(f, "o", "qty", "integer", true),
			 WEIR_SINK_OK);
	assert_int_equal(fake_plan(f, "o", "sequence", "bigint", true),
			 WEIR_SINK_OK);
	assert_string_equal(
		ask("SELECT DISTINCT pg_typeof(h.qty), pg_typeof(o.qty), "
		    "pg_typeof(h.field_sequence), pg_typeof(o.sequence) FROM "
		    "o_history h, o"),
		"integer|integer|bigint|bigint");
	fake_append(f, "o", "1", "e", "{\"qty\":4}");
	deliver_ok(f, 4, 4, 0);
	assert_string_equal(ask("SELECT version, qty, field_sequence FROM "
				"o_history ORDER BY 1"),
			    "1|1|7;2|2|7;3|3|7;4|4|7");
	fake_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_history_again),
		cmocka_unit_test(test_history_on_and_off),
		cmocka_unit_test(test_history_names),
		cmocka_unit_test(test_history_mapped),
	};

	if (!pg_begin())
		return getenv("WEIR_TEST_PG") == NULL ? 77 : 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pg_end();
	return failed;
}
