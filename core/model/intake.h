/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_H
#define MODEL_INTAKE_H

/*
 * Appending lines, each a JSON object that draft_parse takes and a commit of
 * its own, many to a group. A line that is refused takes no other with it. What
 * import does with its input, and POST /v1/import with its body.
 */

#include <stdbool.h>
#include <weir/types.h>

struct draft;
struct intake;
struct receipt;
struct store;

/* Longest line: a payload of 1 MiB that is text of escapes only, and names. */
#define INTAKE_LINE_MAX (8u << 20)

struct intake_options {
	struct store *store;
	size_t lines; /* of one group, at most */
	/* What derived event ids begin from; absent: none are derived. The same
	 * line of the same source then finds its own record again. */
	struct weir_str source;
	/* Sets who issued it, and looks whether he may; a code refuses the
	 * line. The draft's token is 0 before, for a token of another store
	 * says nothing in this one. */
	int (*admit)(void *cookie, struct draft *d, struct weir_err *err);
	void *cookie;
};

/* o is copied, with what it points to borrowed. */
int intake_new(struct intake **out, const struct intake_options *o,
	       struct weir_err *err);
void intake_free(struct intake *in);

/* Takes a line for the next group: text is what ids are derived from, body what
 * is read. Both are borrowed until intake_commit returns. At most o->lines. */
void intake_add(struct intake *in, uint64_t number, struct weir_str text,
		struct weir_str body);
/* The same for a line that is refused already. */
void intake_add_refused(struct intake *in, uint64_t number,
			const struct weir_err *fault);
size_t intake_count(const struct intake *in);

/* Commits them. 0: each line has its answer; a code: what refused the whole
 * group, and then lines have no answers but those that were at fault
 * themselves. */
int intake_commit(struct intake *in, struct weir_err *err);

/* What became of the i-th line, until intake_clear. Its receipt, or NULL with
 * *fault; both NULL: none, for the group was refused. */
const struct receipt *intake_answer(const struct intake *in, size_t i,
				    uint64_t *number,
				    const struct weir_err **fault);
void intake_clear(struct intake *in); /* begins the next group */

/* The event id of a line that has none. */
void intake_derive(uint8_t out[16], struct weir_str source, uint64_t number,
		   struct weir_str text);

#endif
