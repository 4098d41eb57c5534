/* SPDX-License-Identifier: MIT */
#ifndef BUS_ROOTS_H
#define BUS_ROOTS_H

/*
 * The Merkle root of an aggregate at the version of a record that was just
 * read, without reading back what went past before: a bounded memory of the
 * subtree nodes that later versions of the same aggregates need. What is not
 * in it is read. One thread.
 */

#include <stddef.h>
#include <stdint.h>
#include <weir/types.h>

struct reader;
struct record_view;
struct roots;

struct roots *roots_new(size_t max_bytes); /* NULL: no memory */
void roots_free(struct roots *r);

/* rd is not the reader that v was read with. */
int roots_of(struct roots *r, uint8_t out[32], struct reader *rd,
	     const struct record_view *v, struct weir_err *err);

#endif
