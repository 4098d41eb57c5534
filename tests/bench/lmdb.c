/* SPDX-License-Identifier: MIT */
/* LMDB as the store: a synced transaction for each batch. */
#include "sides.h"

#include <lmdb.h>
#include <string.h>
#include "bench.h"

#define MAP_BYTES ((size_t)16 << 30)

struct head {
	uint64_t version, sequence;
};

static void
ok(int rc)
{
	if (rc != 0)
		bench_die("lmdb", mdb_strerror(rc));
}

static void
put_head(MDB_txn *txn, MDB_dbi db, const struct weir_str *name, unsigned flags,
	 struct head head)
{
	MDB_val id = {name->len, (void *)name->data};
	MDB_val value = {sizeof(head), &head};

	ok(mdb_put(txn, db, &id, &value, flags));
}

static void
put_one(MDB_txn *txn, const MDB_dbi db[2], const struct weir_event *e,
	uint64_t sequence)
{
	MDB_val id = {e->aggregate_id.len, (void *)e->aggregate_id.data};
	MDB_val key = {sizeof(sequence), &sequence};
	MDB_val value = {e->payload.len, (void *)e->payload.data}, old;
	struct head head = {0, 0};

	int rc = mdb_get(txn, db[1], &id, &old);
	if (rc == 0)
		memcpy(&head, old.mv_data, sizeof(head));
	else if (rc != MDB_NOTFOUND)
		ok(rc);
	head.version++;
	head.sequence = sequence;
	ok(mdb_put(txn, db[0], &key, &value, MDB_APPEND));
	put_head(txn, db[1], &e->aggregate_id, 0, head);
}

double
side_lmdb(struct job *job)
{
	char dir[BENCH_PATH];
	uint64_t sequence = 0;
	struct events e;
	MDB_dbi db[2];
	MDB_env *env;
	MDB_txn *txn;

	bench_make_dir(dir);
	ok(mdb_env_create(&env));
	ok(mdb_env_set_mapsize(env, MAP_BYTES));
	ok(mdb_env_set_maxdbs(env, 2));
	ok(mdb_env_open(env, dir, 0, 0600));
	ok(mdb_txn_begin(env, NULL, 0, &txn));
	ok(mdb_dbi_open(txn, "records", MDB_CREATE | MDB_INTEGERKEY, &db[0]));
	ok(mdb_dbi_open(txn, "heads", MDB_CREATE, &db[1]));
	for (unsigned i = 0; job->warm > 0 && i < job->aggregates; i++) {
		struct weir_str name = events_name(i);
		put_head(txn, db[1], &name, MDB_APPEND, (struct head){1, 0});
	}
	ok(mdb_txn_commit(txn));
	events_init(&e, job->batch, job->payload, job->content, job->aggregates,
		    1);
	struct lap lap = lap_begin();
	for (uint64_t i = 0; i < job->batches && lap_goes_on(&lap); i++) {
		events_next(&e);
		ok(mdb_txn_begin(env, NULL, 0, &txn));
		for (unsigned k = 0; k < e.n; k++)
			put_one(txn, db, &e.event[k], ++sequence);
		ok(mdb_txn_commit(txn));
	}
	double rate = lap_end(&lap, job, sequence);
	mdb_env_close(env);
	bench_drop(dir);
	events_fini(&e);
	return rate;
}
