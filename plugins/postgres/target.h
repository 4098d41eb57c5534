/* SPDX-License-Identifier: MIT */
#ifndef POSTGRES_TARGET_H
#define POSTGRES_TARGET_H

/* The parts of the postgres plugin. */

#include <libpq-fe.h>

#include "common/mirror.h"
#include "common/result.h"

/* The prepared statements of a table; table->user. */
struct row_sql {
	unsigned id[2][2]; /* of w<id>: mirror or history, newer or replay */
	size_t ncolumns;   /* made for so many, of the types of that time */
};

struct target {
	const struct weir_sink_host *host;
	char *connection; /* as given; holds secrets */
	char *password;	  /* in it, or NULL; never shown */
	char *schema;
	char sink[64];
	char store_uuid[37];
	uint8_t store_id[16];
	int64_t connect_us, statement_us, lock_us;
	int64_t lock_key; /* advisory: shared to deliver, else to change */

	PGconn *conn;
	bool ready;	     /* weir's own tables are there */
	unsigned statements; /* prepared on this connection so far */
	uint64_t revision;   /* of weir_columns when the map was loaded */
	bool known;	     /* the cursor was read or written by us */
	uint64_t sequence;   /* it, when known */
	bool unsure;	     /* a commit may have happened, up to: */
	uint64_t unsure_sequence;
	struct mirror mirror;

	/* During a call. */
	int stop_fd;
	int64_t deadline_us;
};

/* ---- link.c: one connection, never waiting past stop or deadline ---- */
int link_connect(struct target *t, struct weir_sink_result *res);
void link_close(struct target *t);
/* One statement with text parameters; *out (may be NULL) is to be cleared. */
int link_query(struct target *t, PGresult **out, const char *sql, int nparams,
	       const char *const *params, struct weir_sink_result *res);
/* Several statements without parameters or rows. */
int link_script(struct target *t, const char *sql,
		struct weir_sink_result *res);
/* The next result; NULL in *out at the end of a statement's results. The
 * connection is closed on anything but OK. */
int link_next(struct target *t, PGresult **out, struct weir_sink_result *res);
int link_lost(struct target *t, struct weir_sink_result *res);

/* ---- errors.c ---- */
int error_of_result(struct target *t, const PGresult *r, const char *doing,
		    struct weir_sink_result *res);
int error_of_connect(struct target *t, struct weir_sink_result *res);

/* ---- cursor.c ---- */
int target_ready(struct target *t, struct weir_sink_result *res);
int target_read_cursor(struct target *t, uint32_t lane,
		       struct weir_sink_cursor *out,
		       struct weir_sink_result *res);
extern const char cursor_find_sql[]; /* $1 sink, $2 lane, $3 store */
void cursor_from_row(const PGresult *r, struct weir_sink_cursor *out,
		     uint64_t *revision);
extern const char cursor_put_sql[]; /* $1-$3, sequence, epoch, parked, hash */
/* Does a target with this cursor take the batch? store: the sequence and hash
 * to write. */
int target_check_cursor(struct target *t, const struct weir_sink_cursor *c,
			const struct weir_sink_batch *b,
			struct weir_sink_cursor *store,
			struct weir_sink_result *res);

/* ---- map.c ---- */
int target_load_map(struct target *t, struct weir_sink_result *res);
void target_drop_map(struct target *t);
void map_forget_statements(struct target *t);
/* The statements that make what the map plans, ended by ';' each. */
void map_put_ddl(struct target *t, struct text *sql);
void map_put_entry(struct target *t, struct text *sql,
		   const struct table *table, const struct column *col);
/* A table's name, or its history's, with the schema. */
void text_table(struct target *t, struct text *sql, const char *name);
/* A column's value as text; JSON's null, which other types do not have, is
 * NULL. */
void text_as_text(struct text *sql, const char *column,
		  enum sqltype_family family);
void text_literal(struct text *sql, struct weir_str s);

/* ---- rows.c ---- */
/* Sends the batch's newest records, and with history all of them, through the
 * pipeline; *sent counts the statements. */
struct rows;
int rows_new(struct rows **out, struct target *t,
	     const struct weir_sink_batch *b, bool *changed,
	     struct weir_sink_result *res);
void rows_free(struct rows *r);
int rows_send(struct rows *r, unsigned *sent, bool replay,
	      struct weir_sink_result *res);

/* ---- deliver.c ---- */
int target_deliver(void *sink, const struct weir_sink_batch *b,
		   struct weir_sink_result *res);

/* ---- plan.c ---- */
int target_plan(void *sink, const struct weir_sink_plan *plan,
		struct weir_sink_result *res);

#endif
