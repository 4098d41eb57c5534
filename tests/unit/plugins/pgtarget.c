/* SPDX-License-Identifier: MIT */
#include "plugins/pgtarget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

static char schema[32];
static PGconn *ours;

const char *
ask(const char *sql)
{
	static char out[8192];
	size_t n = 0;
	PGresult *r = PQexec(ours, sql);

	if (PQresultStatus(r) != PGRES_TUPLES_OK &&
	    PQresultStatus(r) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(ours));
	out[0] = '\0';
	for (int i = 0; i < PQntuples(r); i++) {
		n += (size_t)snprintf(out + n, sizeof out - n, "%s",
				      i ? ";" : "");
		for (int k = 0; k < PQnfields(r); k++)
			n += (size_t)snprintf(
				out + n, sizeof out - n, "%s%s", k ? "|" : "",
				PQgetisnull(r, i, k) ? "~"
						     : PQgetvalue(r, i, k));
	}
	PQclear(r);
	return out;
}

struct fake *
start(void)
{
	static int count;
	struct fake *f = fake_new();
	char sql[160];

	snprintf(schema, sizeof schema, "s%d", ++count);
	snprintf(sql, sizeof sql,
		 "SET search_path = %s; SET client_min_messages = error",
		 schema);
	ask(sql);
	fake_set(f, "connection", getenv("WEIR_TEST_PG"));
	fake_set(f, "schema", schema);
	fake_set(f, "connect-timeout", "5000000");
	fake_set(f, "statement-timeout", "5000000");
	fake_set(f, "lock-timeout", "200000");
	return f;
}

void
open_ok(struct fake *f)
{
	int class = fake_open(f, fake_plugin("postgres"));

	if (class != WEIR_SINK_OK)
		fail_msg("open: class %d: %s %s", class, f->res.code,
			 f->res.message);
}

void
deliver_ok(struct fake *f, uint64_t from, uint64_t to, uint32_t flags)
{
	int class = fake_deliver(f, from, to, flags);

	if (class != WEIR_SINK_OK)
		fail_msg("deliver: class %d: %s %s", class, f->res.code,
			 f->res.message);
	assert_int_equal(f->res.durable_sequence, to);
}

bool
pg_begin(void)
{
	const char *server = getenv("WEIR_TEST_PG");

	if (server == NULL) {
		fprintf(stderr, "WEIR_TEST_PG names no server\n");
		return false;
	}
	ours = PQconnectdb(server);
	if (PQstatus(ours) == CONNECTION_OK)
		return true;
	fprintf(stderr, "%s\n", PQerrorMessage(ours));
	return false;
}

void
pg_end(void)
{
	PQfinish(ours);
}
