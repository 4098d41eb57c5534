/* SPDX-License-Identifier: MIT */
#ifndef STORE_LIVE_H
#define STORE_LIVE_H

/*
 * DIR/live, one page that the writer rewrites in place and readers map
 * read-only: up to where the journal is synced. A lower bound, exact after the
 * writer was killed; worth nothing after a boot. weir-format(5) has the
 * layout.
 */

#include <stdbool.h>
#include <stdint.h>

struct weir_err;

struct live_state {
	uint64_t sequence; /* the last committed one */
	uint64_t end;	   /* position behind its group */
	uint64_t epoch;
	uint32_t chain; /* chain value of the last group before end */
};

struct live {
	uint8_t *page;	/* NULL: not mapped */
	char boot[36];	/* this boot's id, or zeros */
	uint64_t device, file; /* of the mapped one */
};

/* Maps the page if it is there and belongs to the store. A reader that finds
 * none gets 0 and live->page NULL. */
int live_open(struct live *l, const char *path, bool writing,
	      struct weir_err *err);
void live_close(struct live *l);

/* A reader's: when another file has come under that name, maps it in place of
 * the page (true), where every thread sees it. */
bool live_renew(struct live *l, const char *path);

/* Changes whenever something is published; never 0 once something was. */
uint64_t live_generation(const struct live *l);

/* What the page says: true when it is whole and of this store. *this_boot
 * tells whether it was written since the machine started. Any thread. */
bool live_read(const struct live *l, struct live_state *out, bool *this_boot,
	       const uint8_t store[16]);

/* The writer's: makes the page this store's and this boot's. */
void live_begin(struct live *l, const uint8_t store[16],
		const struct live_state *s);
/* Publishes and wakes. */
void live_publish(struct live *l, const struct live_state *s);

/* Waits until the page changes from what `seen` was, at most timeout_us. */
uint32_t live_word(const struct live *l);
void live_wait(const struct live *l, uint32_t seen, int64_t timeout_us);
/* Wakes who waits, in whatever process, though nothing was published. */
void live_wake(const struct live *l);

/* The writer's: wakes them even if they are only about to sleep. */
void live_rouse(struct live *l);

/* Sleeps; for a reader that has no page to wait on. */
void live_sleep(int64_t us);

#endif
