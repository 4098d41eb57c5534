/* SPDX-License-Identifier: MIT */
/*
 * A batch as one transaction: the lock that keeps the tables' shapes still,
 * the cursor, the changes of shape when there are any, the rows, the cursor
 * anew. Rows and cursor travel through a pipeline; COMMIT is sent when every
 * answer was good. When the connection ends during COMMIT, the
 * cursor tells afterwards whether it took place.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <string.h>

#define DDL_MAX ((size_t)8 << 20)

struct attempt {
	struct target *t;
	const struct weir_sink_batch *b;
	struct rows *rows;
	bool changed;	/* the map plans what the database has not */
	bool stale;	/* another session changed the shapes: load and begin
			 * again */
	struct weir_sink_cursor store; /* sequence and hash to write */
};

/* The cursor's row against the batch, and the revision against the map. */
static int
judge(struct attempt *a, const PGresult *r, struct weir_sink_result *res)
{
	struct weir_sink_cursor c = {.struct_size = sizeof c};
	uint64_t revision = 0;

	cursor_from_row(r, &c, &revision);
	int class = target_check_cursor(a->t, &c, a->b, &a->store, res);
	if (class != WEIR_SINK_OK || revision == a->t->revision)
		return class;
	a->stale = true;
	return result_set(res, WEIR_SINK_RETRY, "40001", NULL,
			  "another session changed the tables");
}

struct cursor_params {
	char lane[16], sequence[24], epoch[24], parked[24], hash[65];
	const char *list[7];
};

static void
fill_params(struct cursor_params *p, const struct attempt *a)
{
	const struct weir_sink_batch *b = a->b;

	snprintf(p->lane, sizeof p->lane, "%u", b->lane);
	snprintf(p->sequence, sizeof p->sequence, "%llu",
		 (unsigned long long)a->store.sequence);
	snprintf(p->epoch, sizeof p->epoch, "%llu",
		 (unsigned long long)b->epoch);
	snprintf(p->parked, sizeof p->parked, "%llu",
		 (unsigned long long)b->parked);
	for (size_t i = 0; i < sizeof a->store.hash; i++)
		snprintf(p->hash + 2 * i, 3, "%02x", a->store.hash[i]);
	p->list[0] = a->t->sink;
	p->list[1] = p->lane;
	p->list[2] = a->t->store_uuid;
	p->list[3] = p->sequence;
	p->list[4] = p->epoch;
	p->list[5] = p->parked;
	p->list[6] = p->hash;
}

/* Begins, and brings the tables into shape; outside of the pipeline. */
static int
begin(struct attempt *a, struct weir_sink_result *res)
{
	struct target *t = a->t;
	struct cursor_params p;
	PGresult *r = NULL;
	struct text sql;

	text_init(&sql, t->host, DDL_MAX);
	text_fmt(&sql, "BEGIN; SELECT pg_advisory_xact_lock%s(%lld)",
		 a->changed ? "" : "_shared", (long long)t->lock_key);
	int class = link_script(t, text_cstr(&sql), res);
	fill_params(&p, a);
	if (class == WEIR_SINK_OK)
		class = link_query(t, &r, cursor_find_sql, 3, p.list, res);
	if (class == WEIR_SINK_OK)
		class = judge(a, r, res);
	PQclear(r);
	text_clear(&sql);
	if (class == WEIR_SINK_OK && a->changed) {
		map_forget_statements(t);
		text_puts(&sql, "DEALLOCATE ALL; ");
		map_put_ddl(t, &sql);
		class = sql.failed ? result_nomem(res)
				   : link_script(t, text_cstr(&sql), res);
	}
	text_fini(&sql);
	return class;
}

/* ---- the pipeline -----------------------------------------------------------
 */

/* Reads the answers to `sent` statements and the sync after them. The last
 * one is the cursor's. */
static int
read_answers(struct target *t, unsigned sent, struct weir_sink_result *res)
{
	int class = WEIR_SINK_OK;
	PGresult *r = NULL;
	unsigned done = 0;

	for (;;) {
		int got = link_next(t, &r, res);
		if (got != WEIR_SINK_OK)
			return got;
		if (r == NULL) {
			done++;
			continue;
		}
		ExecStatusType st = PQresultStatus(r);
		if (st == PGRES_PIPELINE_SYNC) {
			PQclear(r);
			return class;
		}
		if (class == WEIR_SINK_OK && st == PGRES_TUPLES_OK &&
		    done == sent - 1 && PQntuples(r) == 0)
			class = result_set(res, WEIR_SINK_BLOCKED, "EPOCH",
					   "only one runner may deliver to a "
					   "sink",
					   "schema %s: a newer runner has "
					   "written it",
					   t->schema);
		if (class == WEIR_SINK_OK && st == PGRES_FATAL_ERROR)
			class = error_of_result(t, r, "write the rows", res);
		PQclear(r);
		if (t->conn == NULL)
			return class;
	}
}

static int
send_all(struct attempt *a, unsigned *sent, struct weir_sink_result *res)
{
	struct target *t = a->t;
	struct cursor_params p;
	bool replay = (a->b->flags & WEIR_BATCH_REPLAY) != 0;
	int class = rows_send(a->rows, sent, replay, res);

	if (class != WEIR_SINK_OK)
		return class;
	fill_params(&p, a);
	if (!PQsendQueryParams(t->conn, cursor_put_sql, 7, NULL, p.list, NULL,
			       NULL, 0))
		return link_lost(t, res);
	++*sent;
	return WEIR_SINK_OK;
}

static int
pipeline(struct attempt *a, struct weir_sink_result *res)
{
	struct target *t = a->t;
	unsigned sent = 0;

	if (!PQenterPipelineMode(t->conn))
		return link_lost(t, res);
	int class = send_all(a, &sent, res);
	if (t->conn == NULL)
		return class;
	if (!PQpipelineSync(t->conn))
		return link_lost(t, res);
	struct weir_sink_result other = {.struct_size = sizeof other};
	int read = read_answers(t, sent, class == WEIR_SINK_OK ? res : &other);
	if (class == WEIR_SINK_OK)
		class = read;
	if (t->conn != NULL && !PQexitPipelineMode(t->conn))
		return link_lost(t, res);
	return class;
}

static int
commit(struct attempt *a, struct weir_sink_result *res)
{
	struct target *t = a->t;
	int class = link_script(t, "COMMIT", res);

	if (class == WEIR_SINK_OK)
		return class;
	if (t->conn == NULL) {
		t->unsure = true;
		t->unsure_sequence = a->store.sequence;
	}
	return class;
}

/* ---- deliver ----------------------------------------------------------------
 */

/* A value that only the server could judge: of one record alone, the column
 * is found by casting one by one. */
static void
find_column(struct attempt *a, struct weir_sink_result *res)
{
	struct weir_sink_result other = {.struct_size = sizeof other};
	const struct weir_sink_record *rec = a->b->records[0];
	struct target *t = a->t;
	struct table *table =
		columns_find_table(t->mirror.map, rec->aggregate_type);
	struct text sql;

	res->bad_sequence = rec->sequence;
	text_init(&sql, t->host, DDL_MAX);
	for (size_t i = 0; table != NULL && i < rec->nstate; i++) {
		const struct weir_sink_member *mem = &rec->state[i];
		struct column *col = columns_find_field(table, mem->name, i);
		if (col == NULL || mem->kind == WEIR_NULL ||
		    col->source == COLUMN_INFERRED)
			continue;
		struct weir_str v = mem->raw;
		if (col->type.array && mem->kind == WEIR_ARRAY)
			v = sqltype_array_literal(&t->mirror.arena, mem->raw);
		else if (mem->kind == WEIR_STRING)
			v = text_decode(&t->mirror.arena, mem->raw);
		text_clear(&sql);
		text_puts(&sql, "SELECT ");
		text_literal(&sql, v);
		text_fmt(&sql, "::text::%s", col->type.name);
		other.message[0] = '\0';
		if (v.data == NULL || sql.failed ||
		    link_script(t, text_cstr(&sql), &other) != WEIR_SINK_REJECT)
			continue;
		char state[32];
		memcpy(state, res->code, sizeof state);
		result_bad_value(res, rec, mem->name, col->name, col->type.name,
				 v, "is refused by the server");
		memcpy(res->code, state, sizeof state);
		break;
	}
	text_fini(&sql);
}

static int
attempt(struct attempt *a, struct weir_sink_result *res)
{
	struct target *t = a->t;
	int class = target_load_map(t, res);

	if (class == WEIR_SINK_OK)
		class = rows_new(&a->rows, t, a->b, &a->changed, res);
	if (class == WEIR_SINK_OK)
		class = begin(a, res);
	if (class == WEIR_SINK_OK)
		class = pipeline(a, res);
	if (class == WEIR_SINK_OK)
		class = commit(a, res);
	rows_free(a->rows);
	a->rows = NULL;
	if (class == WEIR_SINK_OK) {
		if (a->changed) {
			columns_keep(t->mirror.map);
			t->revision++;
		}
		return class;
	}
	struct weir_sink_result other = {.struct_size = sizeof other};
	if (t->conn != NULL && PQtransactionStatus(t->conn) != PQTRANS_IDLE &&
	    link_script(t, "ROLLBACK", &other) != WEIR_SINK_OK)
		link_close(t);
	if (class == WEIR_SINK_REJECT && res->bad_sequence == 0 &&
	    a->b->nrecords == 1 && t->conn != NULL)
		find_column(a, res);
	target_drop_map(t);
	/* Someone may have dropped weir's own tables, too. */
	if (class != WEIR_SINK_REJECT)
		t->ready = false;
	return class;
}

int
target_deliver(void *sink, const struct weir_sink_batch *b,
	       struct weir_sink_result *res)
{
	struct target *t = sink;

	t->stop_fd = b->stop_fd;
	t->deadline_us = b->deadline_us;
	int class = target_ready(t, res);
	for (int tries = 0; class == WEIR_SINK_OK; tries++) {
		struct attempt a = {.t = t, .b = b};
		class = attempt(&a, res);
		if (class == WEIR_SINK_OK) {
			t->known = true;
			t->sequence = a.store.sequence;
			break;
		}
		if (!a.stale || tries > 0 || t->conn == NULL)
			return class;
		class = WEIR_SINK_OK;
	}
	if (class == WEIR_SINK_OK)
		res->durable_sequence = b->through_sequence;
	return class;
}
