/* SPDX-License-Identifier: MIT */
#ifndef CLI_REMOTE_SINK_H
#define CLI_REMOTE_SINK_H

/* What the commands on sinks do with --server. */

#include "bus/deadletter.h"
#include "bus/runner.h"
#include "cli/cli.h"

struct sinkconf;

/* A sink as it is shown. */
struct sink_row {
	struct sinkconf *conf;
	struct runner_status st;
};
void sink_rows_free(struct sink_row *rows, size_t n);

/* The settings of all: with --json they are printed, and there are no rows. */
int remote_sink_settings(struct cli *c, struct sink_row **rows, size_t *n,
			 struct weir_err *err);
/* The status of all, or of the operands SINK. Free rows in each case. */
int remote_sink_status(struct cli *c, struct sink_row **rows, size_t *n,
		       struct weir_err *err);

/* METHOD /v1/sinks/NAME, MORE behind it, with a body or NULL; appends the
 * answer's JSON to out (may be NULL). */
int remote_sink_do(struct cli *c, struct buf *out, const char *method,
		   const char *name, const char *more, const char *body,
		   struct weir_err *err);

/* From its JSON; the names are raw JSON strings. */
void remote_dead_letter(struct dead_letter *e, struct weir_str object);

/* As cli_await, and for one sink; nothing is asked unless --sink-wait or
 * --require-sinks is given, or one is named: a token that appends need not see
 * the sinks. */
int remote_await(struct cli *c, const char *only);

#endif
