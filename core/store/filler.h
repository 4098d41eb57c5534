/* SPDX-License-Identifier: MIT */
#ifndef STORE_FILLER_H
#define STORE_FILLER_H

/*
 * A thread that fills the next segment's file with zeros in the measure in
 * which the present one is used, so that the switch has nothing to wait for.
 * What it can't do is left to be done, and to fail, when the segment is needed.
 */

#include <stdbool.h>
#include <stdint.h>

struct filler;

/* folder is borrowed. NULL: no memory or no thread. */
struct filler *filler_new(const char *folder);
void filler_free(struct filler *f); /* ends the thread; NULL is legal */

/* The next segment's number and size, and how much of it should be filled by
 * now. Cheap; never waits. */
void filler_pace(struct filler *f, uint64_t number, uint64_t size,
		 uint64_t goal);

/* While a caller waits for one append the thread does nothing that can be put
 * off. */
void filler_hold(struct filler *f, bool yes);

/* Takes the file over: how many bytes from its beginning on are zeros and
 * synced, 0 when nothing is known of it. *whole: all of its size, and the
 * folder, are. Waits for the step under way. */
uint64_t filler_take(struct filler *f, bool *whole, uint64_t number);

#endif
