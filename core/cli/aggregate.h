/* SPDX-License-Identifier: MIT */
#ifndef CLI_AGGREGATE_H
#define CLI_AGGREGATE_H

/* What the commands on aggregates and records share. */

#include "cli/cli.h"

struct head;
struct reader;

/* Appends the AggregateState at a head (of which the version is not used). */
int aggregate_put_state(struct buf *out, struct reader *side,
			struct weir_str type, struct weir_str id,
			const struct head *head, struct weir_err *err);

int aggregate_list(struct cli *c, struct weir_err *err);
int apply_run(struct cli *c, struct weir_err *err);

#endif
