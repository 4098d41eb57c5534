/* SPDX-License-Identifier: MIT */
/* SQLite as the store: write-ahead file, synchronous=FULL. */
#include "sides.h"

#include <sqlite3.h>
#include <stdio.h>
#include "bench.h"

static sqlite3 *db;

static void
ok(int rc)
{
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		bench_die("sqlite", sqlite3_errmsg(db));
}

static void
run(const char *sql)
{
	ok(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *
prepare(const char *sql)
{
	sqlite3_stmt *s;

	ok(sqlite3_prepare_v2(db, sql, -1, &s, NULL));
	return s;
}

static void
put_head(sqlite3_stmt *head, const struct weir_str *id, uint64_t sequence)
{
	ok(sqlite3_bind_text(head, 1, id->data, (int)id->len, SQLITE_STATIC));
	ok(sqlite3_bind_int64(head, 2, (sqlite3_int64)sequence));
	ok(sqlite3_step(head));
	ok(sqlite3_reset(head));
}

static void
put_one(sqlite3_stmt *record, sqlite3_stmt *head, const struct weir_event *e,
	uint64_t sequence)
{
	const struct weir_str *id = &e->aggregate_id;

	ok(sqlite3_bind_int64(record, 1, (sqlite3_int64)sequence));
	ok(sqlite3_bind_text(record, 2, id->data, (int)id->len, SQLITE_STATIC));
	ok(sqlite3_bind_blob(record, 3, e->payload.data, (int)e->payload.len,
			     SQLITE_STATIC));
	ok(sqlite3_step(record));
	ok(sqlite3_reset(record));
	put_head(head, id, sequence);
}

double
side_sqlite(struct job *job)
{
	char dir[BENCH_PATH], path[BENCH_PATH + 16];
	uint64_t sequence = 0;
	struct events e;

	bench_make_dir(dir);
	snprintf(path, sizeof(path), "%s/store.db", dir);
	ok(sqlite3_open(path, &db));
	run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	    "CREATE TABLE records (sequence INTEGER PRIMARY KEY, id TEXT, "
	    "payload BLOB);"
	    "CREATE TABLE heads (id TEXT PRIMARY KEY, version INTEGER, "
	    "sequence INTEGER) WITHOUT ROWID");
	sqlite3_stmt *record = prepare("INSERT INTO records VALUES (?, ?, ?)");
	sqlite3_stmt *head = prepare(
		"INSERT INTO heads VALUES (?1, 1, ?2) ON CONFLICT (id) DO "
		"UPDATE SET version = version + 1, sequence = ?2");
	run("BEGIN");
	for (unsigned i = 0; job->warm > 0 && i < job->aggregates; i++) {
		struct weir_str name = events_name(i);
		put_head(head, &name, 0);
	}
	run("COMMIT");
	events_init(&e, job->batch, job->payload, job->content, job->aggregates,
		    1);
	struct lap lap = lap_begin();
	for (uint64_t i = 0; i < job->batches && lap_goes_on(&lap); i++) {
		events_next(&e);
		run("BEGIN");
		for (unsigned k = 0; k < e.n; k++)
			put_one(record, head, &e.event[k], ++sequence);
		run("COMMIT");
	}
	double rate = lap_end(&lap, job, sequence);
	sqlite3_finalize(record);
	sqlite3_finalize(head);
	sqlite3_close(db);
	bench_drop(dir);
	events_fini(&e);
	return rate;
}
