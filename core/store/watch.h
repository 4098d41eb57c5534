/* SPDX-License-Identifier: MIT */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

/*
 * Waiting for a sequence by a descriptor, for any event loop. One thread of
 * the store serves all its watches; it is made with the first of them and
 * sleeps on the `live` page, so nothing is polled.
 *
 * The descriptor is for poll and the like only: watch_arm alone may read it.
 * It becomes readable, and stays so until the next watch_arm, once the armed
 * sequence is committed (by whatever process: store_refresh or reader_next
 * after it then finds the record), or when the store is closed. A writer that
 * dies changes nothing: the next one's commits are seen.
 *
 * Any thread may call these, one call at a time for each watch. watch_free may
 * come before or after store_close. A process that forks must not use them in
 * the child.
 */

#include <stdint.h>

struct store;
struct watch;
struct weir_err;

/* A watch that is not armed. WEIR_ENOMEM, WEIR_EIO (no descriptor or thread
 * is left). */
int watch_new(struct watch **out, struct store *s, struct weir_err *err);
void watch_free(struct watch *w);

int watch_fd(const struct watch *w); /* closed by watch_free */

/* Makes the descriptor unreadable until `sequence` is committed; one that is
 * makes it readable at once. Arming again replaces the sequence. WEIR_EUSAGE
 * when the store is closed. */
int watch_arm(struct watch *w, uint64_t sequence, struct weir_err *err);

#endif
