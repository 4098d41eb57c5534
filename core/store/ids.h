/* SPDX-License-Identifier: MIT */
#ifndef STORE_IDS_H
#define STORE_IDS_H

/* Where the record of a client's event_id stands: a table in memory of all of
 * them or, over an index, of those behind its watermark. It is made of spans of
 * the journal, so that what is indexed can be forgotten. The caller locks. */

#include <stddef.h>
#include <stdint.h>

struct ids;
struct ids *ids_new(void); /* NULL: no memory */
void ids_free(struct ids *t);
int ids_reserve(struct ids *t, size_t n); /* 0 or WEIR_ENOMEM */
/* The value of an id, or 0. */
uint64_t ids_find(const struct ids *t, const uint8_t id[16]);
/* value is not 0; the first value stays. 0, or WEIR_ENOMEM (not after
 * ids_reserve). */
int ids_add(struct ids *t, const uint8_t id[16], uint64_t value);

/* Ends the present span when it is large: all that was added so far stands at or
 * before that sequence. */
void ids_span(struct ids *t, uint64_t sequence);
/* Forgets spans that end at or before a sequence. */
void ids_forget(struct ids *t, uint64_t sequence);
size_t ids_count(const struct ids *t);

#endif
