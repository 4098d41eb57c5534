/* SPDX-License-Identifier: MIT */
/*
 * A program that keeps its own mirror: it submits orders without waiting for
 * the disk, is told when each is durable, and a sink in a thread leads every
 * record to a file that others read.
 *
 *   cc mirror.c $(pkg-config --cflags --libs weir) -pthread -o mirror
 *   ./mirror FOLDER json orders.ndjson 1000
 *   ./mirror FOLDER sqlite orders.db 1000
 */
#include <weir/weir.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(lit)	  ((struct weir_str){(lit), sizeof(lit) - 1})
#define CUSTOMERS 10
#define A_MINUTE  (60 * 1000000)

/* What the answers add up to. They come in a thread of the library, one at a
 * time; this one reads it meanwhile. */
struct answers {
	_Atomic uint64_t durable, refused, last;
};

static void
answered(void *cookie, int code, const struct weir_receipt *receipts, size_t n,
	 const struct weir_err *err)
{
	struct answers *a = cookie;

	(void)err;
	if (code != 0) {
		atomic_fetch_add(&a->refused, 1);
		return;
	}
	atomic_fetch_add(&a->durable, 1);
	atomic_store(&a->last, receipts[n - 1].sequence);
}

static int
place_orders(struct weir *w, struct answers *a, uint64_t n,
	     struct weir_err *err)
{
	char id[24], payload[100];
	int rc = 0;

	for (uint64_t i = 0; i < n && rc == 0; i++) {
		struct weir_event event = {
			.aggregate_type = S("order"),
			.aggregate_id = {id, 0},
			.event_type = S("placed"),
			.payload = {payload, 0},
			.expected_version = WEIR_ANY_VERSION,
		};

		event.aggregate_id.len = (size_t)snprintf(
			id, sizeof(id), "%llu", (unsigned long long)i + 1);
		event.payload.len = (size_t)snprintf(
			payload, sizeof(payload),
			"{\"customer\":%llu,\"total\":%llu.50}",
			(unsigned long long)i % CUSTOMERS,
			(unsigned long long)i % 97);
		/* id and payload are used again at once: they were copied. */
		rc = weir_submit(w, &event, 1, 0, answered, a, err);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	struct answers a = {0, 0, 0};
	struct weir_err err = {0};
	struct weir *w = NULL;
	uint64_t n, before = 0;
	int rc;

	if (argc != 5) {
		fprintf(stderr, "usage: mirror FOLDER PLUGIN FILE COUNT\n");
		return 2;
	}
	const struct weir_setting path = {"path", argv[3]};
	const struct weir_sink_config sink = {
		.plugin = argv[2], .settings = &path, .nsettings = 1};
	n = strtoull(argv[4], NULL, 10);
	rc = weir_open(&w, argv[1], NULL, &err);
	if (rc == 0)
		rc = weir_sink_configure(w, "mirror", &sink, &err);
	if (rc == 0)
		rc = weir_sink_start(w, "mirror", &err);
	if (rc == 0) {
		before = weir_last(w);
		rc = place_orders(w, &a, n, &err);
	}
	/* All orders are the only records here, so the last has this number. */
	if (rc == 0)
		rc = weir_wait(w, before + n, A_MINUTE, &err);
	if (rc == 0)
		rc = weir_sink_wait(w, "mirror", before + n, A_MINUTE, &err);
	weir_close(w); /* every answer has come when this returns */
	if (rc != 0) {
		fprintf(stderr, "mirror: %s\n", err.msg);
		return 1;
	}
	printf("%llu durable, %llu refused, the last is %llu\n",
	       (unsigned long long)atomic_load(&a.durable),
	       (unsigned long long)atomic_load(&a.refused),
	       (unsigned long long)atomic_load(&a.last));
	return 0;
}
