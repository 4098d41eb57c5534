/* SPDX-License-Identifier: MIT */
#ifndef STORE_IDS_H
#define STORE_IDS_H

/* Where the record of a client's event_id stands. In memory, rebuilt from the
 * journal. The caller locks. */

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

#endif
