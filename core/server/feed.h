/* SPDX-License-Identifier: MIT */
#ifndef SERVER_FEED_H
#define SERVER_FEED_H

/*
 * A live stream of committed records in one of its forms (Server-Sent Events,
 * NDJSON, lines of the text protocol), made from the mapped journal as far as
 * the client takes it. A feed holds where it stands and at most one record's
 * text, so thousands of them cost little. One thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <weir/types.h>
#include "base/buf.h"

struct feed;
struct store;
struct record_view;
struct reader;

struct feed_options {
	struct store *store;
	uint64_t after;	      /* begins with the sequence behind it */
	uint64_t limit;	      /* records that match; 0: none */
	bool live;	      /* goes on at the journal's end */
	int64_t heartbeat_us; /* something is written at least so often; 0:
				 never */
	/* Only records that match (patterns, * and ?); absent: all. tag is
	 * exact. */
	struct weir_str type, id, event, tag;
	/* Is this record for this client? NULL: all but reserved ones. */
	bool (*wanted)(void *cookie, const struct record_view *v);
	/* Appends one record's text, and what is written when nothing else
	 * is. side reads other records; it may be moved. */
	int (*put)(void *cookie, struct buf *out, struct reader *side,
		   const struct record_view *v, struct weir_err *err);
	void (*beat)(void *cookie, struct buf *out);
	void *cookie;
};

/* Copies what o points to. Without live it ends where the journal ended now.
 * All feeds of a store are freed before it is closed. */
int feed_new(struct feed **out, const struct feed_options *o,
	     struct weir_err *err);
void feed_free(struct feed *f);

/* Up to n bytes: how many, 0 when there is nothing now (wait for
 * feed_next), FEED_END after the limit or, when it is not live, the journal's
 * end, or a code. */
#define FEED_END INT64_MAX
int64_t feed_read(struct feed *f, char *out, size_t n, struct weir_err *err);

/* The sequence whose commit wakes it, and by when (monotonic, 0: never) it has
 * something to say anyway. A sequence that is committed already is due at once:
 * feed_read looks at no more than so many records in one call. */
uint64_t feed_next(const struct feed *f, int64_t *at);

/* ---- waking -------------------------------------------------------------- */

/*
 * Those who wait for records. One hub serves all streams of a server; a thread
 * of its own sleeps on the store and calls them when the last sequence reaches
 * what they wait for, or their time has come (a tenth of a second late at
 * most). Any thread.
 *
 * A waiter is the caller's; zero but for wake is one that does not wait. It
 * may go once it was woken or forgotten, but not before wake has returned:
 * hub_forget waits for that.
 */
struct hub;
struct hub_waiter {
	struct hub_waiter *next, *before; /* the hub's */
	uint64_t sequence;
	int64_t at;   /* monotonic; 0: never */
	bool waiting; /* the hub's */
	/* Once for each hub_wait, in the hub's thread or in hub_wait: short;
	 * may not wait. It may call hub_wait and hub_forget. */
	void (*wake)(struct hub_waiter *w);
};
int hub_new(struct hub **out, struct store *s, struct weir_err *err);
/* Wakes nobody; before the store is closed. */
void hub_free(struct hub *h);
/* w->sequence and w->at are set, w does not wait yet; one that is due is woken
 * at once (perhaps before this returns). */
void hub_wait(struct hub *h, struct hub_waiter *w);
/* After it w->wake is not and will not be running (but for the caller itself
 * when it is called in wake). */
void hub_forget(struct hub *h, struct hub_waiter *w);
/* Wakes all that wait, in the hub's thread (the server stops). */
void hub_wake_all(struct hub *h);

#endif
