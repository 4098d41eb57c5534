/* SPDX-License-Identifier: MIT */
#ifndef STORE_INDEX_INT_H
#define STORE_INDEX_INT_H

/* An opened index, for index.c and index_files.c only. */

#include <pthread.h>
#include "store/index.h"
#include "store/index_env.h"

struct index {
	char *folder;
	uint8_t store[16];
	pthread_mutex_t mu;    /* guards what follows but for write */
	struct index_env *env; /* NULL: not open */
	uint64_t number;
	char path[4200]; /* of its file */
	MDB_txn *read;	 /* NULL: none yet */
	MDB_txn *write;
};

#endif
