/* SPDX-License-Identifier: MIT */
/*
 * The cursor in the file. It is read and written in the batch's transaction:
 * a runner with a lower epoch, or a file that went back (a restored copy, a
 * new file at the path), is noticed before anything is written.
 */
#include "sqlite/target.h"

#include <stdio.h>
#include <string.h>

/* A table that an older version made has no column for the hash. */
static int
add_hash(struct target *t, struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	bool there = false;
	int rc;
	int class = target_prepare(t, &st, "PRAGMA table_info(weir_cursors)",
				   res);

	if (class != WEIR_SINK_OK)
		return class;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		there |= strcmp((const char *)sqlite3_column_text(st, 1),
				"hash") == 0;
	if (rc != SQLITE_DONE)
		class = target_error(t, rc, "look at weir's own tables", res);
	sqlite3_finalize(st);
	if (class != WEIR_SINK_OK || there)
		return class;
	return target_exec(t, "ALTER TABLE weir_cursors ADD COLUMN hash BLOB",
			   "add a column to weir's own tables", res);
}

int
target_make_tables(struct target *t, struct weir_sink_result *res)
{
	if (t->find_cursor != NULL)
		return WEIR_SINK_OK;
	int class = target_exec(
		t,
		"CREATE TABLE IF NOT EXISTS weir_cursors("
		"sink TEXT NOT NULL, lane INTEGER NOT NULL, "
		"store_id TEXT NOT NULL, sequence INTEGER NOT NULL, "
		"epoch INTEGER NOT NULL, parked INTEGER NOT NULL, "
		"hash BLOB, PRIMARY KEY(sink, lane)) WITHOUT ROWID;"
		"CREATE TABLE IF NOT EXISTS weir_columns("
		"kind TEXT NOT NULL, aggregate_type TEXT NOT NULL, "
		"field TEXT NOT NULL, name TEXT NOT NULL, "
		"datatype TEXT NOT NULL, source TEXT NOT NULL, "
		"PRIMARY KEY(kind, aggregate_type, field))",
		"make weir's own tables", res);
	if (class == WEIR_SINK_OK)
		class = add_hash(t, res);
	if (class == WEIR_SINK_OK)
		class = target_prepare(t, &t->data_version,
				       "PRAGMA data_version", res);
	if (class == WEIR_SINK_OK)
		class = target_prepare(
			t, &t->put_cursor,
			"INSERT INTO weir_cursors(sink, lane, store_id, "
			"sequence, epoch, parked, hash) VALUES(?1, ?2, ?3, ?4, "
			"?5, ?6, ?7) ON CONFLICT(sink, lane) DO UPDATE SET "
			"sequence = excluded.sequence, epoch = excluded.epoch, "
			"parked = excluded.parked, hash = excluded.hash",
			res);
	if (class == WEIR_SINK_OK)
		class = target_prepare(
			t, &t->find_cursor,
			"SELECT store_id, sequence, epoch, parked, sink, hash "
			"FROM weir_cursors WHERE (sink = ?1 AND lane = ?2) OR "
			"store_id <> ?3 ORDER BY sink = ?1 AND lane = ?2 DESC "
			"LIMIT 1",
			res);
	return class;
}

int
target_read_cursor(struct target *t, uint32_t lane,
		   struct weir_sink_cursor *out, struct weir_sink_result *res)
{
	sqlite3_stmt *st = t->find_cursor;
	int class = WEIR_SINK_OK;

	sqlite3_bind_text(st, 1, t->sink, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, lane);
	sqlite3_bind_text(st, 3, t->store_uuid, -1, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	out->found = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW) {
		mirror_read_uuid(out->store_id,
				 (const char *)sqlite3_column_text(st, 0));
		out->lane = lane;
		out->sequence = (uint64_t)sqlite3_column_int64(st, 1);
		out->epoch = (uint64_t)sqlite3_column_int64(st, 2);
		out->parked = (uint64_t)sqlite3_column_int64(st, 3);
		snprintf(out->sink, sizeof out->sink, "%s",
			 (const char *)sqlite3_column_text(st, 4));
		if (sqlite3_column_bytes(st, 5) == sizeof out->hash)
			memcpy(out->hash, sqlite3_column_blob(st, 5),
			       sizeof out->hash);
	} else if (rc != SQLITE_DONE) {
		class = target_error(t, rc, "read the cursor", res);
	}
	sqlite3_reset(st);
	return class;
}

int
target_check_cursor(struct target *t, const struct weir_sink_batch *b,
		    struct weir_sink_cursor *store,
		    struct weir_sink_result *res)
{
	struct weir_sink_cursor c = {.struct_size = sizeof c};
	struct mirror_stand stand = {
		.where = t->path,
		.apart = "give each store a file of its own",
		.store_id = t->store_id,
		.known = t->known,
		.sequence = t->sequence,
	};
	int class = target_read_cursor(t, b->lane, &c, res);

	if (class != WEIR_SINK_OK)
		return class;
	return mirror_check_cursor(&stand, &c, b, store, res);
}

int
target_write_cursor(struct target *t, const struct weir_sink_batch *b,
		    const struct weir_sink_cursor *at,
		    struct weir_sink_result *res)
{
	sqlite3_stmt *st = t->put_cursor;

	sqlite3_bind_text(st, 1, t->sink, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, b->lane);
	sqlite3_bind_text(st, 3, t->store_uuid, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)at->sequence);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)b->epoch);
	sqlite3_bind_int64(st, 6, (sqlite3_int64)b->parked);
	sqlite3_bind_blob(st, 7, at->hash, sizeof at->hash, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? WEIR_SINK_OK
				 : target_error(t, rc, "write the cursor", res);
}
