/* SPDX-License-Identifier: MIT */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

/*
 * One line on a terminal that is drawn over itself, at most ten times a
 * second: how much is done, the rate, the time left.
 */

#include <stdbool.h>
#include <weir/types.h>

struct progress {
	bool shown;	  /* false: nothing is ever printed */
	const char *what; /* "lines" */
	uint64_t all;	  /* bytes in all, or 0: not known */
	int64_t started;  /* monotonic */
	int64_t drawn;	  /* monotonic, of the last time */
	bool on_screen;
};

void progress_init(struct progress *p, bool shown, const char *what,
		   uint64_t all);
/* done bytes of all, count of what. */
void progress_update(struct progress *p, uint64_t done, uint64_t count);
/* The same for one that counts MiB; cookie is the struct progress. */
void progress_bytes(void *cookie, uint64_t done, uint64_t all);
void progress_end(struct progress *p); /* takes the line away */

/* The line, without colour or control characters: for progress_update. */
void progress_text(char *out, size_t cap, const struct progress *p,
		   uint64_t done, uint64_t count, int64_t elapsed_us);

#endif
