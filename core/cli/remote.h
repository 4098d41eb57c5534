/* SPDX-License-Identifier: MIT */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

/* What the commands that read do with --server: the same, over REST. */

#include "cli/cli.h"

int remote_get(struct cli *c, struct weir_err *err);
int remote_replay(struct cli *c, struct weir_err *err);
int remote_verify(struct cli *c, struct weir_err *err);
int remote_tail(struct cli *c, uint64_t from, uint64_t lines,
		struct weir_err *err);

/* A record as it came. The names and tags are raw JSON strings. */
struct remote_record {
	struct weir_str line; /* the EventRecord, without an end of line */
	struct weir_str type, id, event;
	struct weir_str tags; /* an array */
	uint64_t sequence;
	int64_t committed_at;
};

/* Does it match the command's --aggregate, --aggregate-id, --event and --tag?
 */
bool remote_matches(struct cli *c, const struct remote_record *r);

/* Calls fn with the server's records behind a sequence, in order, those of the
 * command's patterns at least. system: reserved ones, too; exact: with what a
 * hash needs to be checked again, as export prints it. fn returns 0 to go on;
 * another value ends the walk and is returned. */
struct remote_walk {
	uint64_t after;
	bool system, exact;
	int (*fn)(void *cookie, const struct remote_record *r,
		  struct weir_err *err);
	void *cookie;
};
int remote_each(struct cli *c, const struct remote_walk *w,
		struct weir_err *err);

/* The committed sequence of the server's store. */
int remote_last(struct cli *c, uint64_t *out, struct weir_err *err);

/* Appends /v1/aggregates/TYPE/ID and what follows it. */
void remote_aggregate(struct buf *out, struct cli *c, const char *more);

#endif
