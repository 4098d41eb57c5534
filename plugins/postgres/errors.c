/* SPDX-License-Identifier: MIT */
/* From SQLSTATE to class and hint. No message holds the password. */
#include "postgres/target.h"

#include <stdio.h>
#include <string.h>

static const struct state_row {
	const char *prefix; /* of the SQLSTATE; the first that fits counts */
	enum weir_sink_class class;
	const char *hint;
} states[] = {
	{"40001", WEIR_SINK_RETRY, NULL},
	{"40P01", WEIR_SINK_RETRY, NULL},
	{"55P03", WEIR_SINK_RETRY, "another session keeps the table locked"},
	{"57014", WEIR_SINK_RETRY,
	 "the statement took longer than statement-timeout"},
	{"42701", WEIR_SINK_RETRY, NULL},
	{"42P07", WEIR_SINK_RETRY, NULL},
	{"42P06", WEIR_SINK_RETRY, NULL},
	{"42P01", WEIR_SINK_RETRY, NULL},
	{"42703", WEIR_SINK_RETRY, NULL},
	{"26000", WEIR_SINK_RETRY, NULL},
	{"08", WEIR_SINK_NOT_CONNECTED, NULL},
	{"57P", WEIR_SINK_NOT_CONNECTED, NULL},
	{"25P0", WEIR_SINK_NOT_CONNECTED, NULL},
	{"53300", WEIR_SINK_NOT_CONNECTED,
	 "raise max_connections, or close other connections"},
	{"28", WEIR_SINK_BLOCKED,
	 "check user and password of the connection, and pg_hba.conf"},
	{"3D000", WEIR_SINK_BLOCKED, "create the database (createdb)"},
	{"3F000", WEIR_SINK_BLOCKED, "create the schema"},
	{"42501", WEIR_SINK_BLOCKED,
	 "grant the role CREATE on the schema (and, when the schema is "
	 "missing, on the database), or name a schema it owns with --schema"},
	{"25006", WEIR_SINK_BLOCKED,
	 "connect to the primary: this server takes no writes"},
	{"53100", WEIR_SINK_BLOCKED, "make room on the server's disk"},
	{"53", WEIR_SINK_RETRY, NULL},
	{"42601", WEIR_SINK_BLOCKED,
	 "map the field to a datatype that the database has"},
	{"42704", WEIR_SINK_BLOCKED,
	 "map the field to a datatype that the database has"},
	{"0A000", WEIR_SINK_BLOCKED,
	 "drop the view or rule that uses the column; it can be created "
	 "again afterwards"},
	{"42", WEIR_SINK_BLOCKED,
	 "a table of the mirror was changed by hand: undo that, or drop it "
	 "and replay the sink"},
	{"22", WEIR_SINK_REJECT,
	 "mend the value with a later event, or map the field to a datatype "
	 "that takes it (weir plugin map)"},
	{"23", WEIR_SINK_REJECT,
	 "mend the value, or drop the constraint that someone added"},
	{"54", WEIR_SINK_REJECT,
	 "give the records fewer or smaller top-level fields"},
};

/* Puts *** where the password stands. */
static void
mask(const struct target *t, char *message)
{
	size_t n = t->password != NULL ? strlen(t->password) : 0;

	if (n == 0)
		return;
	for (char *at = message; (at = strstr(at, t->password)) != NULL;) {
		size_t rest = strlen(at + n);
		size_t stars = n < 3 ? n : 3;
		memset(at, '*', stars);
		memmove(at + stars, at + n, rest + 1);
		at += stars;
	}
}

static int
fill(struct target *t, const char *state, const char *doing, const char *text,
     struct weir_sink_result *res)
{
	enum weir_sink_class class = WEIR_SINK_RETRY;
	const char *hint = NULL;
	char line[800];

	snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		const struct state_row *s = &states[i];
		if (strncmp(state, s->prefix, strlen(s->prefix)) != 0)
			continue;
		class = s->class;
		hint = s->hint;
		break;
	}
	mask(t, line);
	return result_set(res, class, state, hint, "%s: %s", doing, line);
}

int
error_of_result(struct target *t, const PGresult *r, const char *doing,
		struct weir_sink_result *res)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *column = PQresultErrorField(r, PG_DIAG_COLUMN_NAME);
	const char *table = PQresultErrorField(r, PG_DIAG_TABLE_NAME);

	if (state == NULL || text == NULL)
		return link_lost(t, res);
	/* Two sessions make the same table: the catalog's own index says so. */
	if (strcmp(state, "23505") == 0 && table != NULL &&
	    strncmp(table, "pg_", 3) == 0)
		state = "40001";
	if (column != NULL)
		snprintf(res->column, sizeof res->column, "%s", column);
	return fill(t, state, doing, text, res);
}

/* The SQLSTATE in a verbose message: two blanks, five characters, a colon. */
static bool
find_state(char out[6], const char *message)
{
	for (const char *at = message; (at = strstr(at, "  ")) != NULL; at++) {
		size_t n = strspn(at + 2, "0123456789"
					  "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (n != 5 || at[7] != ':')
			continue;
		memcpy(out, at + 2, 5);
		out[5] = '\0';
		return true;
	}
	return false;
}

int
error_of_connect(struct target *t, struct weir_sink_result *res)
{
	const char *message = PQerrorMessage(t->conn);
	char state[6];

	if (find_state(state, message)) {
		const char *text = strstr(message, state) + 7;
		return fill(t, state, "connect", text, res);
	}
	if (strstr(message, "no password supplied") != NULL)
		return fill(t, "28P01", "connect", message, res);
	return fill(t, "08001", "connect", message, res);
}
