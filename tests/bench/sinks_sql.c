/* SPDX-License-Identifier: MIT */
/* The rows written by the shortest code there is for it: what a mirror is
 * compared with. Only the database's work is in the clock. */
#include "sinks_rows.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 5000u
#define NBASE 6u
#define NCOLS (NBASE + ROW_FIELDS)

static const char *const base[NBASE] = {"id",	      "version",
					"created_at", "created_by",
					"updated_at", "updated_by"};
static const char *const pg_types[NCOLS] = {
	"text",	       "bigint",  "timestamptz", "text",
	"timestamptz", "text",	  "text",	 "text",
	"text",	       "text",	  "text",	 "numeric",
	"numeric",     "numeric", "numeric",	 "boolean",
};

static const char *
column(size_t i)
{
	return i < NBASE ? base[i] : row_fields[i - NBASE];
}

/* NULL for the two that these records leave out. */
static const char *
value(const struct row *r, size_t i, char version[24])
{
	switch (i) {
	case 0:
		return r->id;
	case 1:
		snprintf(version, 24, "%llu", (unsigned long long)r->version);
		return version;
	case 2:
		return r->created;
	case 4:
		return r->updated;
	case 3:
	case 5:
		return NULL;
	default:
		return r->fields[i - NBASE];
	}
}

#ifdef HAVE_SQLITE
#include <sqlite3.h>

static void
sq(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		bench_die(sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *
sq_prepare(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	char sql[4096];
	size_t n = 0;

	n += (size_t)snprintf(sql + n, sizeof(sql) - n,
			      "CREATE TABLE account(");
	for (size_t i = 0; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s\"%s\" %s",
				      i > 0 ? "," : "", column(i),
				      i == 0	? "TEXT PRIMARY KEY"
				      : i == 1	? "INTEGER"
				      : i == 15 ? "INTEGER"
				      : i > 10	? ""
						: "TEXT");
	snprintf(sql + n, sizeof(sql) - n, ")");
	sq(db, sql);
	n = (size_t)snprintf(sql, sizeof(sql), "INSERT INTO account VALUES(");
	for (size_t i = 0; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s?",
				      i > 0 ? "," : "");
	n += (size_t)snprintf(sql + n, sizeof(sql) - n,
			      ") ON CONFLICT(id) DO UPDATE SET ");
	for (size_t i = 1; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n,
				      "%s\"%s\"=excluded.\"%s\"",
				      i > 1 ? "," : "", column(i), column(i));
	snprintf(sql + n, sizeof(sql) - n,
		 " WHERE excluded.version > account.version");
	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st,
			       NULL) != SQLITE_OK)
		bench_die(sql, sqlite3_errmsg(db));
	return st;
}

static void
sq_write(sqlite3 *db, sqlite3_stmt *st, const struct row *r)
{
	char version[24];

	for (size_t i = 0; i < NCOLS; i++) {
		const char *v = value(r, i, version);

		if (v == NULL)
			sqlite3_bind_null(st, (int)i + 1);
		else if (i == 1)
			sqlite3_bind_int64(st, 2, (sqlite3_int64)r->version);
		else if (i == 15)
			sqlite3_bind_int64(st, 16, v[0] == 't');
		else
			sqlite3_bind_text(st, (int)i + 1, v, -1, SQLITE_STATIC);
	}
	if (sqlite3_step(st) != SQLITE_DONE)
		bench_die("upsert", sqlite3_errmsg(db));
	sqlite3_reset(st);
}

double
bare_sqlite(const char *path, struct rows *r, uint64_t n, int each)
{
	struct row *rows = malloc(BATCH * sizeof(*rows));
	double spent = 0;
	sqlite3 *db = NULL;
	size_t taken;

	if (rows == NULL || sqlite3_open(path, &db) != SQLITE_OK)
		bench_die(path, "can't be opened");
	sq(db, "PRAGMA journal_mode=WAL");
	sq(db, "PRAGMA synchronous=FULL");
	sqlite3_stmt *st = sq_prepare(db);
	while (r->next < n) {
		size_t k = rows_batch(r, rows, each ? 1 : BATCH, &taken, n);
		double from = bench_now();

		if (!each)
			sq(db, "BEGIN IMMEDIATE");
		for (size_t i = 0; i < k; i++)
			sq_write(db, st, &rows[i]);
		if (!each)
			sq(db, "COMMIT");
		spent += bench_now() - from;
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	free(rows);
	return (double)n / spent;
}
#else
double
bare_sqlite(const char *path, struct rows *r, uint64_t n, int each)
{
	(void)r, (void)n, (void)each;
	bench_die(path, "built without SQLite");
}
#endif

#ifdef HAVE_POSTGRES
#include <libpq-fe.h>

struct array {
	char *data;
	size_t len, cap;
};

static void
put(struct array *a, const void *p, size_t n)
{
	if (a->len + n > a->cap) {
		a->cap = (a->cap + n) * 2;
		a->data = realloc(a->data, a->cap);
		if (a->data == NULL)
			bench_die("memory", "none");
	}
	memcpy(a->data + a->len, p, n);
	a->len += n;
}

static void
put32(struct array *a, uint32_t v)
{
	v = htonl(v);
	put(a, &v, 4);
}

static void
pg(PGconn *c, const char *sql)
{
	PGresult *r = PQexec(c, sql);
	ExecStatusType st = PQresultStatus(r);

	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK)
		bench_die(sql, PQerrorMessage(c));
	PQclear(r);
}

/* The statement of each: plain parameters; else one array for each column. */
static void
pg_prepare(PGconn *c, int each)
{
	char sql[8192];
	size_t n = 0;

	n += (size_t)snprintf(sql + n, sizeof(sql) - n,
			      "CREATE TABLE account(");
	for (size_t i = 0; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s\"%s\" %s%s",
				      i > 0 ? "," : "", column(i), pg_types[i],
				      i == 0 ? " PRIMARY KEY" : "");
	snprintf(sql + n, sizeof(sql) - n, ")");
	pg(c, sql);
	n = (size_t)snprintf(sql, sizeof(sql),
			     "INSERT INTO account AS t SELECT ");
	for (size_t i = 0; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n,
				      each ? "%s$%zu::text::%s" : "%sc%zu::%s",
				      i > 0 ? "," : "", i + 1, pg_types[i]);
	if (!each) {
		n += (size_t)snprintf(sql + n, sizeof(sql) - n,
				      " FROM unnest(");
		for (size_t i = 0; i < NCOLS; i++)
			n += (size_t)snprintf(sql + n, sizeof(sql) - n,
					      "%s$%zu::text[]",
					      i > 0 ? "," : "", i + 1);
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, ") AS u(");
		for (size_t i = 0; i < NCOLS; i++)
			n += (size_t)snprintf(sql + n, sizeof(sql) - n,
					      "%sc%zu", i > 0 ? "," : "",
					      i + 1);
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, ")");
	}
	n += (size_t)snprintf(sql + n, sizeof(sql) - n,
			      " ON CONFLICT(id) DO UPDATE SET ");
	for (size_t i = 1; i < NCOLS; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n,
				      "%s\"%s\"=excluded.\"%s\"",
				      i > 1 ? "," : "", column(i), column(i));
	snprintf(sql + n, sizeof(sql) - n,
		 " WHERE t.version < excluded.version");
	PGresult *r = PQprepare(c, "u", sql, 0, NULL);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		bench_die(sql, PQerrorMessage(c));
	PQclear(r);
}

static void
pg_arrays(struct array *arrays, const struct row *rows, size_t n)
{
	char version[24];

	for (size_t c = 0; c < NCOLS; c++) {
		arrays[c].len = 0;
		put32(&arrays[c], 1);
		put32(&arrays[c], 1);
		put32(&arrays[c], 25);
		put32(&arrays[c], (uint32_t)n);
		put32(&arrays[c], 1);
		for (size_t i = 0; i < n; i++) {
			const char *v = value(&rows[i], c, version);
			size_t len = v != NULL ? strlen(v) : 0;

			put32(&arrays[c], v != NULL ? (uint32_t)len : ~0u);
			if (v != NULL)
				put(&arrays[c], v, len);
		}
	}
}

static void
pg_write(PGconn *c, struct array *arrays, const struct row *rows, size_t n,
	 int each)
{
	const char *values[NCOLS];
	int lengths[NCOLS], formats[NCOLS];
	char version[24];

	for (size_t i = 0; i < NCOLS; i++) {
		values[i] = each ? value(rows, i, version) : arrays[i].data;
		lengths[i] = each ? 0 : (int)arrays[i].len;
		formats[i] = !each;
	}
	(void)n;
	PGresult *r =
		PQexecPrepared(c, "u", (int)NCOLS, values, lengths, formats, 0);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		bench_die("upsert", PQerrorMessage(c));
	PQclear(r);
}

double
bare_postgres(const char *uri, struct rows *r, uint64_t n, int each)
{
	struct row *rows = malloc(BATCH * sizeof(*rows));
	struct array arrays[NCOLS] = {0};
	PGconn *c = PQconnectdb(uri);
	double spent = 0;
	size_t taken;

	if (rows == NULL || PQstatus(c) != CONNECTION_OK)
		bench_die(uri, PQerrorMessage(c));
	pg(c, "SET TimeZone='UTC'");
	pg_prepare(c, each);
	while (r->next < n) {
		size_t k = rows_batch(r, rows, each ? 1 : BATCH, &taken, n);
		double from = bench_now();

		if (!each)
			pg_arrays(arrays, rows, k);
		pg_write(c, arrays, rows, k, each);
		spent += bench_now() - from;
	}
	PQfinish(c);
	for (size_t i = 0; i < NCOLS; i++)
		free(arrays[i].data);
	free(rows);
	return (double)n / spent;
}
#else
double
bare_postgres(const char *uri, struct rows *r, uint64_t n, int each)
{
	(void)r, (void)n, (void)each;
	bench_die(uri, "built without PostgreSQL");
}
#endif
