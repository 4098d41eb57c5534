/* SPDX-License-Identifier: MIT */
#ifndef STORE_INDEX_ENV_H
#define STORE_INDEX_ENV_H

/*
 * The LMDB environments that this process has open, each one once whoever
 * asks: LMDB's locks belong to the process. A file DIR/index/NNNNNNNN.mdb is
 * one environment; a new index gets the next number, so that a file that
 * others still map is never written over.
 */

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_err;

struct index_env {
	struct index_env *next;
	MDB_env *env;
	MDB_dbi meta, heads, ids, places, writes;
	bool fixed; /* it can't be written */
	uint64_t dev, ino;
	unsigned users;
};

/* Opens the file, which exists, or with `create` makes it. WEIR_EDAMAGE when
 * it is no whole environment; other codes when it can't be opened. */
int index_env_get(struct index_env **out, const char *path, bool create,
		  struct weir_err *err);
void index_env_put(struct index_env *e); /* NULL is legal */

/* The code for what liblmdb says. */
int index_env_err(struct weir_err *err, int rc, const char *what,
		  const char *path);

#endif
