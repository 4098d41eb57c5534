/* SPDX-License-Identifier: MIT */
#ifndef MODEL_HASH_H
#define MODEL_HASH_H

/*
 * A seeded hash for tables in memory. The seed is drawn once per process, so
 * that input made to collide does not; never stored anywhere.
 */

#include <weir/types.h>

uint64_t hash_bytes(uint64_t start, struct weir_str s);

#endif
