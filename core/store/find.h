/* SPDX-License-Identifier: MIT */
#ifndef STORE_FIND_H
#define STORE_FIND_H

/*
 * Where an aggregate's head, an event id or a sequence stands: first in memory,
 * which has all that is behind the index's watermark, then in the index; what
 * that says is confirmed in the record. For the files of this room only.
 */

#include "store/heads.h"
#include "store/index.h"

struct finder;
struct store;
struct weir_err;

struct finder *finder_new(void); /* NULL: no memory */
void finder_free(struct finder *f);

/* The index may know more than memory does. */
bool find_partial(const struct store *s);

/*
 * What memory lacks. 1, 0: not there, or a code. work is held; an index that
 * turns out to be bad is given up, and all is in memory afterwards.
 */
int find_summit(struct store *s, struct summit *out, uint64_t hash,
		struct weir_str type, struct weir_str id, struct weir_err *err);
int find_id(struct store *s, uint64_t *position, const uint8_t id[16],
	    struct weir_err *err);

/* Gives up an index that can't be read: 0, and all is in memory, or a code.
 * Takes work. */
int find_give_up(struct store *s);

/* A place at or before a committed sequence that memory has none for; frame 0:
 * the first record of the next group with records. Never fails to find one. */
int find_place(struct store *s, struct place *out, uint64_t sequence,
	       struct weir_err *err);

/* Was the aggregate archived at the record at a position? */
int find_archived(struct store *s, bool *out, uint64_t position,
		  struct weir_err *err);

/* Does what the index says fit the journal? */
bool find_fits(struct store *s, const struct index_meta *m);

/* Forgets what the index has and memory need not hold. work is held. */
void find_trim(struct store *s);

#endif
