/* SPDX-License-Identifier: MIT */
#include "sinks_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const row_fields[ROW_FIELDS] = {"name",  "city",  "mail",  "note",
					    "grade", "price", "count", "ratio",
					    "rank",  "active"};

void
bench_die(const char *what, const char *why)
{
	fprintf(stderr, "sinks: %s: %s\n", what, why);
	exit(1);
}

double
bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
rows_init(struct rows *r, uint64_t aggregates)
{
	memset(r, 0, sizeof(*r));
	r->aggregates = aggregates;
	r->random = 1;
	r->versions = calloc(aggregates, sizeof(*r->versions));
	if (r->versions == NULL)
		bench_die("memory", "none");
}

void
rows_fini(struct rows *r)
{
	free(r->versions);
}

static void
put_fields(struct row *out, uint64_t x)
{
	unsigned a = (unsigned)(x & 0xffff), b = (unsigned)(x >> 16 & 0xffff);
	size_t size = sizeof(out->fields[0]);

	snprintf(out->fields[0], size, "Person %05u of %05u", a, b);
	snprintf(out->fields[1], size, "Town %04u", b % 5000);
	snprintf(out->fields[2], size, "p%05u.%05u@example.org", a, b);
	snprintf(out->fields[3], size,
		 "a remark of the usual length, number %05u, which goes on for "
		 "%05u words",
		 b, a);
	snprintf(out->fields[4], size, "%c%u", 'A' + (int)(a % 6), b % 10);
	snprintf(out->fields[5], size, "%u.%02u", a, b % 100);
	snprintf(out->fields[6], size, "%u", b);
	snprintf(out->fields[7], size, "0.%05u", a % 100000 | 1);
	snprintf(out->fields[8], size, "%u", a % 1000);
	snprintf(out->fields[9], size, "%s", b % 2 != 0 ? "true" : "false");
}

static void
put_payload(struct row *out)
{
	size_t n = 0, cap = sizeof(out->payload);
	char *p = out->payload;

	for (unsigned i = 0; i < ROW_FIELDS; i++) {
		const char *quote = i < 5 ? "\"" : "";

		n += (size_t)snprintf(p + n, cap - n, "%c\"%s\":%s%s%s",
				      i == 0 ? '{' : ',', row_fields[i], quote,
				      out->fields[i], quote);
	}
	p[n++] = '}';
	out->payload_len = n;
}

void
rows_next(struct rows *r, struct row *out)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	out->aggregate = (uint32_t)((r->random >> 33) % r->aggregates);
	out->version = ++r->versions[out->aggregate];
	snprintf(out->id, sizeof(out->id), "id-%06u", out->aggregate);
	snprintf(out->created, sizeof(out->created),
		 "2026-11-21T10:11:%02u.%06uZ", out->aggregate % 60,
		 out->aggregate);
	snprintf(out->updated, sizeof(out->updated),
		 "2026-11-21T12:13:%02u.%06uZ", (unsigned)(r->next % 60),
		 (unsigned)(r->next % 1000000));
	put_fields(out, r->random >> 20);
	put_payload(out);
	r->next++;
}

size_t
rows_batch(struct rows *r, struct row *out, size_t n, size_t *taken,
	   uint64_t until)
{
	size_t kept = 0;
	int64_t *at = malloc(r->aggregates * sizeof(*at));

	if (at == NULL)
		bench_die("memory", "none");
	memset(at, 0xff, r->aggregates * sizeof(*at));
	for (*taken = 0; *taken < n && r->next < until; ++*taken) {
		struct row next;

		rows_next(r, &next);
		if (at[next.aggregate] < 0)
			at[next.aggregate] = (int64_t)kept++;
		out[at[next.aggregate]] = next;
	}
	free(at);
	return kept;
}
