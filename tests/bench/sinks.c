/* SPDX-License-Identifier: MIT */
/*
 * The parts of the sink benchmarks that have to be fast: see sinks.py, which
 * runs them.
 *
 *   sinks fill STORE N [AGGREGATES]   append N records
 *   sinks make - N [AGGREGATES]       make N records, append none
 *   sinks sqlite FILE N [each]        the bare upserts of the same rows
 *   sinks postgres URI N [each]
 *   sinks write FILE N BYTES          bare writes, synced every 5,000
 *   sinks send PORT N BYTES           bare lines to a TCP peer
 *   sinks post PORT N BYTES PARALLEL  a bare curl multi loop
 *   sinks drain | http                peers
 *
 * The bare ones print records per second.
 */
#include "sinks_rows.h"

#include "store/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGGREGATES 100000u
#define COMMIT	   100u
#define BATCH	   5000u

static void
fill(const char *dir, uint64_t n, uint64_t aggregates)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct record_draft *d = calloc(COMMIT, sizeof(*d));
	struct receipt *got = calloc(COMMIT, sizeof(*got));
	struct row *row = calloc(COMMIT, sizeof(*row));
	struct weir_err err;
	struct store *s;
	struct rows r;

	rows_init(&r, aggregates);
	if (d == NULL || got == NULL || row == NULL)
		bench_die("memory", "none");
	if (store_open(&s, dir, &o, &err) != 0)
		bench_die("open", err.msg);
	while (r.next < n) {
		size_t k = 0;

		for (; k < COMMIT && r.next < n; k++) {
			rows_next(&r, &row[k]);
			memset(&d[k], 0, sizeof(d[k]));
			d[k].aggregate_type = (struct weir_str){"account", 7};
			d[k].aggregate_id =
				(struct weir_str){row[k].id, strlen(row[k].id)};
			d[k].event_type = (struct weir_str){"changed", 7};
			d[k].payload = (struct weir_str){row[k].payload,
							 row[k].payload_len};
			d[k].expected = EXPECT_ANY;
		}
		if (store_commit(s, got, d, k, &err) != 0)
			bench_die("commit", err.msg);
	}
	store_close(s);
	rows_fini(&r);
	free(row);
	free(got);
	free(d);
}

static void
make(uint64_t n, uint64_t aggregates)
{
	struct rows r;
	struct row row;

	for (rows_init(&r, aggregates); r.next < n;)
		rows_next(&r, &row);
	rows_fini(&r);
}

static char *
block_of(size_t bytes)
{
	char *p = malloc(BATCH * bytes);

	if (p == NULL || bytes == 0)
		bench_die("memory", "none");
	memset(p, 'x', BATCH * bytes);
	return p;
}

static double
bare_write(const char *path, uint64_t n, size_t bytes)
{
	char *block = block_of(bytes);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	double from = bench_now();

	for (uint64_t done = 0; done < n; done += BATCH) {
		uint64_t left = n - done < BATCH ? n - done : BATCH;
		size_t want = (size_t)left * bytes;

		if (fd < 0 || write(fd, block, want) != (ssize_t)want ||
		    fdatasync(fd) != 0)
			bench_die(path, strerror(errno));
	}
	double took = bench_now() - from;
	close(fd);
	free(block);
	return (double)n / took;
}

static double
bare_send(const char *port, uint64_t n, size_t bytes)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *block = block_of(bytes);

	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		bench_die("connect", strerror(errno));
	double from = bench_now();
	for (uint64_t done = 0; done < n; done += BATCH) {
		uint64_t left = n - done < BATCH ? n - done : BATCH;
		size_t want = (size_t)left * bytes;

		for (size_t at = 0; at < want;) {
			ssize_t k =
				send(fd, block + at, want - at, MSG_NOSIGNAL);

			if (k <= 0)
				bench_die("send", strerror(errno));
			at += (size_t)k;
		}
	}
	double took = bench_now() - from;
	close(fd);
	free(block);
	return (double)n / took;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t more = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	int each = argc > 4 && strcmp(argv[4], "each") == 0;
	struct rows r;
	double rate = 0;

	rows_init(&r, AGGREGATES);
	if (strcmp(what, "drain") == 0)
		peer_drain();
	else if (strcmp(what, "http") == 0)
		peer_http();
	else if (argc < 4)
		bench_die("usage", "see the top of sinks.c");
	else if (strcmp(what, "fill") == 0)
		fill(argv[2], n, more != 0 ? more : AGGREGATES);
	else if (strcmp(what, "make") == 0)
		make(n, more != 0 ? more : AGGREGATES);
	else if (strcmp(what, "sqlite") == 0)
		rate = bare_sqlite(argv[2], &r, n, each);
	else if (strcmp(what, "postgres") == 0)
		rate = bare_postgres(argv[2], &r, n, each);
	else if (strcmp(what, "write") == 0)
		rate = bare_write(argv[2], n, (size_t)more);
	else if (strcmp(what, "send") == 0)
		rate = bare_send(argv[2], n, (size_t)more);
	else if (strcmp(what, "post") == 0 && argc > 5)
		rate = bare_post(argv[2], n, (size_t)more,
				 (unsigned)strtoul(argv[5], NULL, 10));
	else
		bench_die(what, "there is no such part");
	rows_fini(&r);
	if (rate > 0)
		printf("%.0f\n", rate);
	return 0;
}
