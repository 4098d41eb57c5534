/* SPDX-License-Identifier: MIT */
#ifndef SERVER_TEXT_INT_H
#define SERVER_TEXT_INT_H

/*
 * What the files of the text protocol share. All of it belongs to the loop's
 * thread, but for `answered` (answers of the committer) and the counters.
 *
 *   text.c          its life, settings, the listening socket, metrics
 *   text_conn.c     a connection: bytes in, bytes out, its end
 *   text_line.c     a line: what it says and what is done
 *   text_publish.c  publishes on their way through the committer
 *   text_stream.c   subscriptions: catching up and following
 *   text_event.c    a record as a line
 *
 * A connection may be ended by any call that sends (text_send and what calls
 * it); `gone` tells, and its memory stays until the handle's close callback has
 * come and no publish of it is pending.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include <weir/types.h>
#include "server/text.h"
#include "store/reader.h"
#include "store/store.h"
#include "store/watch.h"

#define TEXT_TYPE      "collection" /* aggregate type of all collections */
#define TEXT_EVENT     "published"
#define TEXT_LINE_MAX  65536u	   /* bytes of a line without its end */
#define TEXT_INPUT_MAX (64u << 20) /* kept of all connections */
#define TEXT_PENDING   1024u	   /* publishes of one connection */
#define TEXT_SCRATCH   65536u
#define TEXT_CHUNK     512u   /* records of one turn of a subscription */
#define TEXT_SERVED    16u    /* subscriptions of one turn of the loop */
#define TEXT_SCAN      4096u  /* records of one turn of following */
#define TEXT_COPY_MAX  16384u /* of a payload that goes through scratch */
#define TEXT_SECRET    32

struct text_conn;
struct channel;
struct publish;

struct address {
	struct address *next;
	size_t connections;
	size_t len; /* 0: counts for nobody */
	uint8_t bytes[16];
};
#define TEXT_ADDRESSES 256

/* A subscription. */
struct sub {
	struct text_conn *conn;
	struct channel *channel;   /* live: else NULL */
	struct sub *next, *before; /* in ready, or in the channel's idle */
	enum sub_where {
		SUB_NOWHERE, /* being served, or its connection is blocked */
		SUB_READY,
		SUB_IDLE
	} where;
	bool live;
	uint64_t version; /* all up to it was sent or left out */
	uint64_t end;	  /* not live: the last one */
	uint64_t given, limit;
	struct weir_str tag; /* stands behind this struct; absent: all */
};

struct sub_list {
	struct sub *first, *last;
};

/* A collection with live subscribers. */
struct channel {
	struct channel *next;	 /* of the hash's bucket */
	struct channel *touched; /* list; see is_touched */
	bool is_touched;
	bool is_lost; /* no memory for fresh */
	size_t subs;
	struct sub_list idle; /* have all there is */
	uint64_t first;	      /* version of fresh[0] */
	uint64_t *fresh;      /* positions of what just came */
	size_t nfresh, fresh_cap;
	size_t len;
	char name[];
};
#define TEXT_CHANNELS 1024

struct text_conn {
	uv_tcp_t tcp; /* first */
	struct text *t;
	struct text_conn *next, *before;
	struct address *address;
	unsigned failed; /* logins */
	char *name;	 /* of the collection; NULL: not connected yet */
	size_t name_len;
	struct sub *sub; /* NULL: no stream */

	char *in;			/* input that waits, or NULL */
	size_t in_len, in_cap, in_seen; /* no line ends before in_seen */
	bool dropping; /* up to the end of a line that is too long */
	bool reading, eof;
	bool busy; /* lines are being taken */

	unsigned pending;		  /* publishes without an answer */
	struct publish *done, **done_end; /* answered, not sent */
	struct text_conn *answered; /* list, while answers are given out */
	bool is_answered;
	bool held;    /* its next line waits for pending to be 0 */
	bool stalled; /* its next line waits for room in the queue */

	unsigned writing; /* writes that the kernel has not taken */
	int64_t moved_at; /* monotonic: when it last took something */
	size_t left;	  /* bytes it had not taken then */
	bool ending;	  /* no more lines; ends when all is sent */
	bool shut;	  /* our side is closed */
	bool gone;	  /* the handle is closing */
	bool closed;	  /* and is closed */
	int64_t cut_at;	  /* ending: cut off then */
};

/* A publish; the committer's until it is in `answered`. */
struct publish {
	struct publish *next;
	struct text_conn *conn;
	int rc;
	uint64_t version;
	char *why; /* rc is a code: what the error line says, or NULL */
};

struct text_settings {
	bool asks; /* for credentials */
	uint8_t username[TEXT_SECRET], password[TEXT_SECRET]; /* hashed */
	char *user; /* issued_by's; NULL: none */
	uint64_t connections, per_address;
	int64_t slow_us;
};

struct text {
	uv_loop_t *loop;
	struct store *store;
	struct text_settings set;
	uv_tcp_t listener;
	uv_async_t answers;
	uv_poll_t news;
	uv_idle_t turn;	      /* runs while something is ready */
	uv_timer_t tick;      /* runs while somebody is blocked or ending */
	unsigned handles;     /* of these that are not closed */
	unsigned has_answers; /* 1: that one is among them */
	bool has_socket;
	struct watch *watch;
	bool armed;

	struct text_conn *conns;
	struct address *addresses[TEXT_ADDRESSES];
	size_t in_bytes; /* kept by all connections */
	size_t waiting;	 /* connections that are blocked or ending */
	size_t nstalled;
	size_t objects;	  /* connections whose memory is there */
	bool deferred;	  /* one could not be accepted */
	size_t publishes; /* with the committer */

	struct reader *reader;
	struct reader_spot spot; /* following has looked at all before it */
	bool behind;		 /* following has more to look at */
	size_t live;		 /* subscriptions that are live */
	struct sub_list ready;
	struct channel *channels[TEXT_CHANNELS];
	struct channel *touched;
	uint64_t chain[TEXT_CHUNK];

	char input[TEXT_SCRATCH], scratch[TEXT_SCRATCH];

	bool draining, closing;
	void (*closed)(void *cookie);
	void *closed_cookie;

	pthread_mutex_t mu;
	struct publish *answered, **answered_end; /* guarded by mu */

	_Atomic uint64_t n_conns, n_accepted, n_refused, n_reads, n_errors,
		n_published, n_subs, n_events, n_slow, n_logins_failed;
};

static inline void
text_count(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* ---- text.c -------------------------------------------------------------- */

/* Waits for what following has not looked at. */
void text_arm(struct text *t);
/* Makes the timer run: a connection is blocked or ending. */
void text_tick(struct text *t);
/* Makes the next turn come at once: something is ready. */
void text_turn(struct text *t);
/* A handle or a connection is gone; the last one ends text_close. */
void text_left(struct text *t);

/* ---- text_conn.c --------------------------------------------------------- */

bool text_is_loopback(const struct sockaddr_storage *a);

void text_accept(struct text *t);
/* Sends bytes; what the kernel does not take now is copied. */
void text_send(struct text_conn *c, const char *p, size_t n);
/* The same with a tail and a line end behind them. The tail must stay while
 * the store is open, or stand in own, which is freed when it is sent. */
void text_send_with(struct text_conn *c, const char *p, size_t n,
		    struct weir_str tail, char *own);
void text_say(struct text_conn *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "Error", a tab, the text and a line end. */
void text_error(struct text_conn *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Goes on with what may go on now: answers, the stream, further lines, the
 * end. */
void text_go_on(struct text_conn *c);
/* No more lines are taken; it ends when everything is answered and sent. */
void text_end(struct text_conn *c);
/* Ends at once. */
void text_cut(struct text_conn *c);
/* One that is gone: frees it once nothing needs it. */
void text_left_conn(struct text_conn *c);
/* Gives those their lines again that found no room in the queue. */
void text_retry(struct text *t);
/* The tick: cuts those who take nothing. */
void text_watch(struct text *t, int64_t now);
void text_free_addresses(struct text *t);

/* ---- text_line.c --------------------------------------------------------- */

/* Does what a line says: true, or false when it must wait (held, stalled or a
 * stream in between) and is to be given again. */
bool text_line(struct text_conn *c, struct weir_str line);
/* What stands before an error's description: "ValidationError" for what the
 * client can mend, else "IoError", a tab and a kind. */
const char *text_error_kind(const struct weir_err *err);
void text_error_of(struct text_conn *c, const struct weir_err *err);

/* ---- text_publish.c ------------------------------------------------------ */

struct record_draft;
/* Submits: 0 on its way, WEIR_EUNREACH no room now, or a code. */
int text_publish(struct text_conn *c, const struct record_draft *d,
		 struct weir_err *err);
/* Sends the answers that are there, as far as the client takes them. */
void text_send_answers(struct text_conn *c);
/* The loop's side of uv_async. */
void text_take_answers(struct text *t);
void text_drop_answers(struct text_conn *c);

/* ---- text_stream.c ------------------------------------------------------- */

struct text_query {
	bool live;
	uint64_t offset, limit; /* limit 0: none */
	struct weir_str tag;
};
void text_subscribe(struct text_conn *c, const struct text_query *q);
/* Ends the stream without a word. */
void text_unsubscribe(struct text_conn *c);
/* The same with EndOfEventStream, or an error line; what waits goes on. */
void text_end_stream(struct text_conn *c);
void text_stream_failed(struct text_conn *c, const struct weir_err *err);
/* A live stream is to end with what is there now. */
void text_stop_following(struct text_conn *c);
/* Its connection takes bytes again. */
void text_stream_ready(struct text_conn *c);
/* The turn: serves those who are ready; true while there are more. */
bool text_serve_ready(struct text *t);
/* Looks at what was committed; true while there is more. */
bool text_follow(struct text *t);

/* ---- text_event.c -------------------------------------------------------- */

/* The line of a record without its end: its head is written to out (at least
 * TEXT_EVENT_HEAD bytes) and *n is how long it is; *tail is the data, in the
 * map or, when it must be changed, in *own (mem_free it). 0 or WEIR_ENOMEM. */
#define TEXT_EVENT_HEAD 4400u
int text_event(char *out, size_t *n, struct weir_str *tail, char **own,
	       const struct record_view *v);

#endif
