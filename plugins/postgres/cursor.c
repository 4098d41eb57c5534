/* SPDX-License-Identifier: MIT */
/*
 * The cursor in the database, read and written in the batch's transaction: a
 * runner with a lower epoch, or a database that went back (a restored copy),
 * is noticed before anything is committed.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row always: the map's revision, and the cursor where there is one, the
 * sink's own before another store's. */
const char cursor_find_sql[] =
	"SELECT (SELECT coalesce(max(revision), 0) FROM weir_columns), "
	"c.store_id, c.sequence, c.epoch, c.parked, c.sink, "
	"encode(c.hash, 'hex') "
	"FROM (VALUES (1)) AS one(x) LEFT JOIN LATERAL (SELECT * FROM "
	"weir_cursors WHERE (sink = $1 AND lane = $2::integer) OR "
	"store_id <> $3::uuid "
	"ORDER BY (sink = $1 AND lane = $2::integer) DESC LIMIT 1) AS c "
	"ON true";

const char cursor_put_sql[] =
	"INSERT INTO weir_cursors AS c (sink, lane, store_id, sequence, "
	"epoch, parked, hash) VALUES ($1, $2::integer, $3::uuid, $4::bigint, "
	"$5::bigint, $6::bigint, decode($7, 'hex')) "
	"ON CONFLICT (sink, lane) DO UPDATE SET "
	"sequence = EXCLUDED.sequence, epoch = EXCLUDED.epoch, "
	"parked = EXCLUDED.parked, hash = EXCLUDED.hash WHERE c.store_id = EXCLUDED.store_id AND "
	"c.epoch <= EXCLUDED.epoch RETURNING 1";

static const char make_tables_sql[] =
	"CREATE TABLE IF NOT EXISTS weir_cursors(sink text NOT NULL, "
	"lane integer NOT NULL, store_id uuid NOT NULL, "
	"sequence bigint NOT NULL, epoch bigint NOT NULL, "
	"parked bigint NOT NULL, hash bytea, PRIMARY KEY (sink, lane)); "
	/* made by an older version, it has no hash */
	"ALTER TABLE weir_cursors ADD COLUMN IF NOT EXISTS hash bytea; "
	"CREATE TABLE IF NOT EXISTS weir_columns(kind text NOT NULL, "
	"aggregate_type text NOT NULL, field text NOT NULL, "
	"name text NOT NULL, datatype text NOT NULL, source text NOT NULL, "
	"revision bigint NOT NULL, "
	"entry bigint GENERATED ALWAYS AS IDENTITY, "
	"PRIMARY KEY (kind, aggregate_type, field))";

/* Is the schema there, and how many of the two tables and the column that was
 * added to one of them? */
static const char look_sql[] =
	"SELECT n.oid IS NOT NULL, count(c.oid) + count(a.attname) FROM "
	"(VALUES (1)) AS one(x) LEFT JOIN pg_namespace n "
	"ON n.nspname = $1 LEFT JOIN pg_class c ON "
	"c.relnamespace = n.oid AND c.relname IN "
	"('weir_cursors', 'weir_columns') LEFT JOIN pg_attribute a ON "
	"a.attrelid = c.oid AND a.attname = 'hash' AND "
	"c.relname = 'weir_cursors' AND NOT a.attisdropped GROUP BY n.oid";

int
target_ready(struct target *t, struct weir_sink_result *res)
{
	const char *params[] = {t->schema};
	PGresult *r = NULL;
	struct text sql;

	int class = link_connect(t, res);
	if (class != WEIR_SINK_OK || t->ready)
		return class;
	class = link_query(t, &r, look_sql, 1, params, res);
	if (class != WEIR_SINK_OK)
		return class;
	bool schema = PQgetvalue(r, 0, 0)[0] == 't';
	bool tables = PQgetvalue(r, 0, 1)[0] == '3';
	PQclear(r);
	text_init(&sql, t->host, 4096);
	text_puts(&sql, "BEGIN; ");
	if (!schema) {
		text_puts(&sql, "CREATE SCHEMA IF NOT EXISTS ");
		text_ident(&sql, t->schema);
		text_puts(&sql, "; ");
	}
	text_puts(&sql, make_tables_sql);
	text_puts(&sql, "; COMMIT");
	if (!tables)
		class = sql.failed ? result_nomem(res)
				   : link_script(t, text_cstr(&sql), res);
	if (class != WEIR_SINK_OK && t->conn != NULL)
		link_close(t); /* ends the transaction */
	t->ready = class == WEIR_SINK_OK;
	text_fini(&sql);
	return class;
}

void
cursor_from_row(const PGresult *r, struct weir_sink_cursor *out,
		uint64_t *revision)
{
	*revision = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	out->found = !PQgetisnull(r, 0, 1);
	if (!out->found)
		return;
	mirror_read_uuid(out->store_id, PQgetvalue(r, 0, 1));
	out->sequence = strtoull(PQgetvalue(r, 0, 2), NULL, 10);
	out->epoch = strtoull(PQgetvalue(r, 0, 3), NULL, 10);
	out->parked = strtoull(PQgetvalue(r, 0, 4), NULL, 10);
	snprintf(out->sink, sizeof out->sink, "%s", PQgetvalue(r, 0, 5));
	mirror_read_hex(out->hash, sizeof out->hash, PQgetvalue(r, 0, 6));
}

int
target_read_cursor(struct target *t, uint32_t lane,
		   struct weir_sink_cursor *out, struct weir_sink_result *res)
{
	char lane_text[16];
	const char *params[] = {t->sink, lane_text, t->store_uuid};
	PGresult *r = NULL;
	uint64_t revision;

	snprintf(lane_text, sizeof lane_text, "%u", lane);
	int class = link_query(t, &r, cursor_find_sql, 3, params, res);
	if (class != WEIR_SINK_OK)
		return class;
	cursor_from_row(r, out, &revision);
	out->lane = lane;
	PQclear(r);
	return WEIR_SINK_OK;
}

int
target_check_cursor(struct target *t, const struct weir_sink_cursor *c,
		    const struct weir_sink_batch *b,
		    struct weir_sink_cursor *store,
		    struct weir_sink_result *res)
{
	char where[80];
	struct mirror_stand stand = {
		.where = where,
		.apart = "give each store a schema of its own (--schema)",
		.store_id = t->store_id,
		.known = t->known,
	};

	snprintf(where, sizeof where, "schema %s", t->schema);
	if (t->unsure && c->found && c->sequence == t->unsure_sequence)
		t->sequence = c->sequence; /* the commit had happened */
	t->unsure = false;
	stand.sequence = t->sequence;
	return mirror_check_cursor(&stand, c, b, store, res);
}
