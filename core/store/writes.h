/* SPDX-License-Identifier: MIT */
#ifndef STORE_WRITES_H
#define STORE_WRITES_H

/*
 * How many records carry each token, by the sequence of the record that granted
 * it. The caller locks.
 */

#include <stddef.h>
#include <stdint.h>

struct writes;

struct writes_entry {
	uint64_t token;
	uint64_t count;	  /* of what is committed */
	uint64_t turn;	  /* the batch that pending is of */
	uint64_t pending; /* taken by that batch */
};

struct writes *writes_new(void); /* NULL: no memory */
void writes_free(struct writes *w);

/* All counts are 0 then; what is pending stays. */
void writes_zero(struct writes *w);

/* A token's entry, made when there is none; good until the next one is made.
 * NULL: no memory. token is not 0. */
struct writes_entry *writes_at(struct writes *w, uint64_t token);
/* The same, but NULL when there is none. */
struct writes_entry *writes_find(const struct writes *w, uint64_t token);

/* All entries in no order: NULL at the end. *i begins at 0. */
const struct writes_entry *writes_next(const struct writes *w, size_t *i);

#endif
