/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SINKS_ROWS_H
#define BENCH_SINKS_ROWS_H

/*
 * The records of the sink benchmarks, and the same as rows: made from a
 * number alone, so that a store and a baseline hold the same. Aggregates are
 * drawn at random; every record sets the ten fields of its aggregate.
 */

#include <stddef.h>
#include <stdint.h>

#define ROW_FIELDS 10u

struct rows {
	uint32_t *versions; /* of each aggregate */
	uint64_t random;
	uint64_t aggregates, next;
};

struct row {
	uint32_t aggregate;
	uint64_t version;
	char id[16];
	char created[32], updated[32];
	char payload[512];
	size_t payload_len;
	/* as the mirrors bind them: text without quotes */
	char fields[ROW_FIELDS][96];
};

extern const char *const row_fields[ROW_FIELDS];

void rows_init(struct rows *r, uint64_t aggregates);
void rows_fini(struct rows *r);
void rows_next(struct rows *r, struct row *out);

/* Fills out with the next batch, at most n, and leaves out what a later one
 * of the same aggregate replaces. *taken: how many were drawn. */
size_t rows_batch(struct rows *r, struct row *out, size_t n, size_t *taken,
		  uint64_t until);

double bench_now(void);
void bench_die(const char *what, const char *why) __attribute__((noreturn));

/* Records per second; each: one autocommitted upsert per record. */
double bare_sqlite(const char *path, struct rows *r, uint64_t n, int each);
double bare_postgres(const char *uri, struct rows *r, uint64_t n, int each);
double bare_post(const char *port, uint64_t n, size_t bytes, unsigned parallel);

/* Peers: print their port, and serve until stdin ends. */
void peer_drain(void);
void peer_http(void);

#endif
