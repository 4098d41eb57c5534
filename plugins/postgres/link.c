/* SPDX-License-Identifier: MIT */
/*
 * One connection, without blocking: every wait is a poll on the socket and on
 * stop_fd, and ends at the deadline. A call that is cut short closes the
 * connection, and the server ends the transaction.
 */
#include "postgres/target.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static void
on_notice(void *cookie, const char *message)
{
	struct target *t = cookie;
	char line[512];

	snprintf(line, sizeof line, "%.*s", (int)strcspn(message, "\n"),
		 message);
	t->host->diag(t->host->cookie, WEIR_DEBUG, line);
}

void
link_close(struct target *t)
{
	target_drop_map(t);
	PQfinish(t->conn);
	t->conn = NULL;
	t->ready = false;
	t->statements = 0;
}

int
link_lost(struct target *t, struct weir_sink_result *res)
{
	int class = error_of_connect(t, res);

	/* Whatever the words were, a session that ended is worth another. */
	if (class == WEIR_SINK_RETRY || class == WEIR_SINK_REJECT)
		class = WEIR_SINK_NOT_CONNECTED;
	link_close(t);
	return class;
}

/* Waits for the socket. OK, or stopped or late. */
static int
wait_socket(struct target *t, short events, int64_t until,
	    struct weir_sink_result *res)
{
	struct pollfd p[2] = {{.fd = PQsocket(t->conn), .events = events},
			      {.fd = t->stop_fd, .events = POLLIN}};
	int64_t left = until - t->host->monotonic_us(t->host->cookie);

	if (left > 0) {
		int rc = poll(p, 2, (int)(left / 1000 + 1));
		if (rc > 0 && p[1].revents != 0)
			return result_set(res, WEIR_SINK_NOT_CONNECTED,
					  "STOPPED", NULL,
					  "asked to stop; the batch was left");
		if (rc > 0 || (rc < 0 && errno == EINTR))
			return WEIR_SINK_OK;
		left = until - t->host->monotonic_us(t->host->cookie);
	}
	if (left > 0)
		return WEIR_SINK_OK;
	return result_set(res, WEIR_SINK_NOT_CONNECTED, "TIMEOUT",
			  "is the server there, and does it answer?",
			  "no answer within the time for this");
}

/* ---- connecting -------------------------------------------------------------
 */

static int
poll_connect(struct target *t, struct weir_sink_result *res)
{
	int64_t until = t->host->monotonic_us(t->host->cookie) + t->connect_us;
	PostgresPollingStatusType st = PGRES_POLLING_WRITING;

	if (until > t->deadline_us)
		until = t->deadline_us;
	while (st != PGRES_POLLING_OK) {
		if (st == PGRES_POLLING_FAILED)
			return error_of_connect(t, res);
		int class = wait_socket(
			t, st == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			until, res);
		if (class != WEIR_SINK_OK)
			return class;
		st = PQconnectPoll(t->conn);
	}
	return WEIR_SINK_OK;
}

static int
set_session(struct target *t, struct weir_sink_result *res)
{
	struct text sql;

	text_init(&sql, t->host, 4096);
	text_puts(&sql, "SET search_path = ");
	text_ident(&sql, t->schema);
	text_fmt(&sql,
		 ", public; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
		 "SET standard_conforming_strings = on; "
		 "SET client_min_messages = warning; "
		 "SET idle_in_transaction_session_timeout = 60000; "
		 "SET statement_timeout = %lld; SET lock_timeout = %lld; "
		 "SELECT set_config('synchronous_commit', 'on', false) WHERE "
		 "current_setting('synchronous_commit') = 'off'; "
		 /* A session that we left ends soon, with its locks. */
		 "SELECT set_config(name, '1000', false) FROM pg_settings "
		 "WHERE name = 'client_connection_check_interval'",
		 (long long)(t->statement_us / 1000),
		 (long long)(t->lock_us / 1000));
	int class = sql.failed ? result_nomem(res)
			       : link_script(t, text_cstr(&sql), res);
	text_fini(&sql);
	return class;
}

int
link_connect(struct target *t, struct weir_sink_result *res)
{
	/* Later words win: ours that may be overruled, the user's, ours. */
	const char *const names[] = {"fallback_application_name",
				     "tcp_user_timeout", "dbname",
				     "client_encoding", NULL};
	const char *const values[] = {"weir", "15000", t->connection, "UTF8",
				      NULL};

	if (t->conn != NULL && PQstatus(t->conn) == CONNECTION_OK)
		return WEIR_SINK_OK;
	link_close(t);
	t->conn = PQconnectStartParams(names, values, 1);
	if (t->conn == NULL)
		return result_nomem(res);
	PQsetErrorVerbosity(t->conn, PQERRORS_VERBOSE);
	PQsetNoticeProcessor(t->conn, on_notice, t);
	int class = WEIR_SINK_OK;
	if (PQstatus(t->conn) == CONNECTION_BAD)
		class = error_of_connect(t, res);
	if (class == WEIR_SINK_OK)
		class = poll_connect(t, res);
	if (class == WEIR_SINK_OK && PQsetnonblocking(t->conn, 1) != 0)
		class = error_of_connect(t, res);
	if (class == WEIR_SINK_OK)
		class = set_session(t, res);
	if (class != WEIR_SINK_OK)
		link_close(t);
	return class;
}

/* ---- statements -------------------------------------------------------------
 */

/* Sends what waits and reads until a result is there. */
static int
wait_result(struct target *t, struct weir_sink_result *res)
{
	for (;;) {
		int unsent = PQflush(t->conn);
		if (unsent < 0)
			return link_lost(t, res);
		if (!PQisBusy(t->conn))
			return WEIR_SINK_OK;
		int class =
			wait_socket(t, (short)(POLLIN | (unsent ? POLLOUT : 0)),
				    t->deadline_us, res);
		if (class != WEIR_SINK_OK) {
			link_close(t);
			return class;
		}
		if (!PQconsumeInput(t->conn))
			return link_lost(t, res);
	}
}

int
link_next(struct target *t, PGresult **out, struct weir_sink_result *res)
{
	int class = wait_result(t, res);

	if (class != WEIR_SINK_OK)
		return class;
	*out = PQgetResult(t->conn);
	if (*out == NULL && PQstatus(t->conn) == CONNECTION_BAD)
		return link_lost(t, res);
	return WEIR_SINK_OK;
}

/* Reads all results of one statement (or script); keeps the last good one. */
static int
read_results(struct target *t, PGresult **out, struct weir_sink_result *res)
{
	int class = WEIR_SINK_OK;
	PGresult *r = NULL, *last = NULL;

	for (;;) {
		int got = link_next(t, &r, res);
		if (got != WEIR_SINK_OK) {
			PQclear(last);
			return got;
		}
		if (r == NULL)
			break;
		ExecStatusType st = PQresultStatus(r);
		if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK &&
		    class == WEIR_SINK_OK)
			class = error_of_result(t, r, "the server says", res);
		PQclear(last);
		last = r;
		if (t->conn == NULL)
			break;
	}
	if (class != WEIR_SINK_OK || out == NULL) {
		PQclear(last);
		last = NULL;
	}
	if (out != NULL)
		*out = last;
	return class;
}

int
link_query(struct target *t, PGresult **out, const char *sql, int nparams,
	   const char *const *params, struct weir_sink_result *res)
{
	if (out != NULL)
		*out = NULL;
	if (!PQsendQueryParams(t->conn, sql, nparams, NULL, params, NULL, NULL,
			       0))
		return link_lost(t, res);
	return read_results(t, out, res);
}

int
link_script(struct target *t, const char *sql, struct weir_sink_result *res)
{
	if (!PQsendQuery(t->conn, sql))
		return link_lost(t, res);
	return read_results(t, NULL, res);
}
