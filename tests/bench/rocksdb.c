/* SPDX-License-Identifier: MIT */
/* RocksDB as the store, through its C interface: a synced write batch. */
#include "sides.h"

#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>
#include "bench.h"

struct head {
	uint64_t version, sequence;
};

struct rocks {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *reading;
	rocksdb_writeoptions_t *writing;
	rocksdb_writebatch_t *batch;
};

static void
ok(const char *why)
{
	if (why != NULL)
		bench_die("rocksdb", why);
}

static void
put_head(struct rocks *r, const struct weir_str *id, struct head head)
{
	char name[64] = "h";

	memcpy(name + 1, id->data, id->len);
	rocksdb_writebatch_put(r->batch, name, 1 + id->len, (char *)&head,
			       sizeof(head));
}

static void
write_batch(struct rocks *r)
{
	char *why = NULL;

	rocksdb_write(r->db, r->writing, r->batch, &why);
	ok(why);
	rocksdb_writebatch_clear(r->batch);
}

static void
put_one(struct rocks *r, const struct weir_event *e, uint64_t sequence)
{
	const struct weir_str *id = &e->aggregate_id;
	struct head head = {0, 0};
	char *why = NULL, key[9] = "s", name[64] = "h";
	size_t n;

	for (int i = 0; i < 8; i++)
		key[1 + i] = (char)(sequence >> (56 - 8 * i));
	memcpy(name + 1, id->data, id->len);
	rocksdb_pinnableslice_t *old =
		rocksdb_get_pinned(r->db, r->reading, name, 1 + id->len, &why);
	ok(why);
	if (old != NULL) {
		memcpy(&head, rocksdb_pinnableslice_value(old, &n),
		       sizeof(head));
		rocksdb_pinnableslice_destroy(old);
	}
	head.version++;
	head.sequence = sequence;
	rocksdb_writebatch_put(r->batch, key, sizeof(key), e->payload.data,
			       e->payload.len);
	put_head(r, id, head);
}

static void
open_rocks(struct rocks *r, const char *dir)
{
	char *why = NULL;

	r->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(r->options, 1);
	r->db = rocksdb_open(r->options, dir, &why);
	ok(why);
	r->reading = rocksdb_readoptions_create();
	r->writing = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(r->writing, 1);
	r->batch = rocksdb_writebatch_create();
}

static void
close_rocks(struct rocks *r)
{
	rocksdb_writebatch_destroy(r->batch);
	rocksdb_close(r->db);
	rocksdb_readoptions_destroy(r->reading);
	rocksdb_writeoptions_destroy(r->writing);
	rocksdb_options_destroy(r->options);
}

double
side_rocksdb(struct job *job)
{
	char dir[BENCH_PATH];
	uint64_t sequence = 0;
	struct events e;
	struct rocks r;

	bench_make_dir(dir);
	open_rocks(&r, dir);
	for (unsigned i = 0; job->warm > 0 && i < job->aggregates; i++) {
		struct weir_str name = events_name(i);
		put_head(&r, &name, (struct head){1, 0});
	}
	write_batch(&r);
	events_init(&e, job->batch, job->payload, job->content, job->aggregates,
		    1);
	struct lap lap = lap_begin();
	for (uint64_t i = 0; i < job->batches && lap_goes_on(&lap); i++) {
		events_next(&e);
		for (unsigned k = 0; k < e.n; k++)
			put_one(&r, &e.event[k], ++sequence);
		write_batch(&r);
	}
	double rate = lap_end(&lap, job, sequence);
	close_rocks(&r);
	bench_drop(dir);
	events_fini(&e);
	return rate;
}
