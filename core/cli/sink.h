/* SPDX-License-Identifier: MIT */
#ifndef CLI_SINK_H
#define CLI_SINK_H

/* What the commands on sinks share. */

#include "cli/cli.h"

struct sinkconf;

/* The data folder and the sink of the operand SINK. */
int sink_named(struct cli *c, const char **dir, struct sinkconf **out,
	       struct weir_err *err);

/* Delivers to one sink for up to --sink-wait: an exit status or a code. */
int sink_deliver(struct cli *c, const char *name, struct weir_err *err);

int sink_run(struct cli *c, struct weir_err *err);  /* sink_run.c */

/* sink_supervise.c: a process for each sink, or for those named. */
int sink_supervise(struct cli *c, struct weir_err *err);
/* This process when sink_supervise started it: *rc is as of sink_run. False
 * when it did not. */
bool sink_supervised(struct cli *c, int *rc, struct weir_err *err);
int sink_dead(struct cli *c, struct weir_err *err); /* sink_dead.c */

#endif
