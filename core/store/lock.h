/* SPDX-License-Identifier: MIT */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

/* The writer's lock: a flock on DIR/LOCK, whose text names the holder. */

#include <stdbool.h>
#include <stdint.h>

struct weir_err;

#define LOCK_WAIT_US 5000000

/* The descriptor that holds the lock (os_close gives it up), or a code;
 * WEIR_EUNREACH after wait_us (0 or less: no waiting) names the holder. */
int lock_take(const char *path, int64_t wait_us, struct weir_err *err);

/* Does a writer hold it? */
bool lock_held(const char *path);

/* Refuses file systems whose locks and shared maps don't reach all who see
 * them: network and FUSE ones. 0 or WEIR_EINPUT. */
int lock_check_folder(const char *dir, struct weir_err *err);

#endif
