/* SPDX-License-Identifier: MIT */
#ifndef SERVER_HTTP_INT_H
#define SERVER_HTTP_INT_H

/*
 * What the files of the HTTP server share.
 *
 * http.c          start, settings, drain, end
 * http_engine.c   libmicrohttpd's daemons: threads without a listening socket
 * http_front.c    a thread that accepts, hands on, and cuts off who is too slow
 * http_request.c  one request: from its head to its answer
 * http_stream.c   an answer that goes on
 * http_count.c    metrics
 *
 * A struct http_conn is one connection. Its engine's thread serves it; the
 * front looks at what is atomic in it. All of them are in lists under `lock`.
 */

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/types.h>
#include "base/buf.h"
#include "server/feed.h"
#include "server/http.h"
#include "server/http_head.h"
#include "server/mhd.h"

struct api_answer;
struct api_call;
struct http_conn;

#define HTTP_BUCKETS 1024 /* of addresses */
#define HTTP_ROUTES  512  /* pairs of route and status that are counted */
#define HTTP_SPANS   14	  /* of the histogram */
#define HTTP_FIELDS  16	  /* of a request, at hand; more are looked up */

/* ---- counting ------------------------------------------------------------ */

enum http_cut {
	HTTP_CUT_HEADER,
	HTTP_CUT_BODY,
	HTTP_CUT_ANSWER,
	HTTP_CUT_IDLE,
	HTTP_CUTS
};

struct http_count {
	_Atomic uint64_t accepted, refused, received, sent, streams;
	_Atomic uint64_t cut[HTTP_CUTS];
	_Atomic uint64_t span[HTTP_SPANS + 1]; /* the last: longer than all */
	_Atomic uint64_t total_us;
	struct http_route_count {
		const char *_Atomic method; /* NULL: free; then route is set */
		const char *_Atomic route;
		_Atomic int status;
		_Atomic uint64_t n;
	} route[HTTP_ROUTES];
	pthread_mutex_t lock; /* guards the making of a route's count */
};
/* method and route are static. us < 0: not in the histogram. */
void http_count_answer(struct http_count *c, const char *method,
		       const char *route, int status, int64_t us);

/* ---- engines ------------------------------------------------------------- */

/*
 * A thread with a daemon of libmicrohttpd of its own, which it runs by hand: so
 * the answers of one group commit cost one wake-up, not one each.
 */
struct http_worker {
	struct http_engine *engine;
	struct MHD_Daemon *daemon;
	pthread_t thread;
	bool runs;
	/* Its own thread's: */
	bool busy;	      /* the last look at its connections found work */
	unsigned credit;      /* so many more looks follow at once */
	int poll_fd, wake_fd; /* the daemon's epoll; an eventfd */
	/* Pushed by any thread, taken by its own. */
	_Atomic(struct http_conn *) woken, fresh;
	_Atomic bool asleep, stopping;
	_Atomic uint64_t connections;
};

/* Workers with one certificate, or with none. It stays, stopped, until the
 * server's end: those who wake workers go through all. */
struct http_engine {
	struct http_engine *next;
	struct http *http;
	char *cert, *key;     /* PEM, or NULL */
	_Atomic bool retired; /* takes no more connections */
	bool stopped;
	_Atomic uint64_t connections;
	size_t nworkers;
	struct http_worker worker[];
};
int http_engine_start(struct http_engine **out, struct http *h, bool tls,
		      struct weir_err *err);
/* 1 when its certificate and key are those of the files, else 0, or a code. */
int http_engine_is_current(const struct http_engine *e, struct weir_err *err);
/* No connection of it is suspended. */
void http_engine_stop(struct http_engine *e);
/* The worker with the fewest connections. */
struct http_worker *http_engine_choose(struct http_engine *e);
/* Its worker takes a listed connection over. */
void http_engine_add(struct http_conn *c);
/* Its worker resumes it, once it looks. */
void http_engine_resume(struct http_conn *c);
/* Wakes the workers that have some to resume; when further answers of a group
 * commit follow, the last of them does it for all. */
void http_engine_wake(struct http *h);
/* A connection that libmicrohttpd did not take: its descriptor is closed. */
void http_front_drop(struct http_conn *c);

/* ---- connections --------------------------------------------------------- */

enum http_step {
	HTTP_IDLE, /* no request, as far as its thread knows */
	HTTP_HEAD, /* the request line is there */
	HTTP_BODY,
	HTTP_RUN,    /* the API has it */
	HTTP_ANSWER, /* an answer is on its way */
	HTTP_STREAM  /* one that goes on */
};

enum http_wait {
	HTTP_GOES,
	HTTP_ARMED,
	HTTP_SUSPENDED,
	HTTP_READY,
	HTTP_LEFT,  /* ARMED, and its request has ended */
	HTTP_CLOSED /* LEFT, and its connection has */
};

struct http_conn {
	/* What each look at one that waits needs. */
	_Atomic int wait; /* enum http_wait */
	unsigned looks;	  /* its thread's: so many more at this call */
	struct http_worker *worker;

	struct http *http;
	struct http_engine *engine;
	struct http_conn *pushed;	 /* the next one of woken or fresh */
	struct http_conn *next, *before; /* all connections */
	struct http_conn *same;		 /* of the same bucket */
	int fd;
	bool local;
	bool adopted; /* libmicrohttpd told us that it has it */
	uint8_t from[16];
	char address[46], user[64], group[64];

	/* Its engine's thread's. */
	struct MHD_Connection *mhd;
	char *target;
	size_t target_len;
	struct http_field {
		const char *name, *value; /* libmicrohttpd's */
		size_t name_len;
	} field[HTTP_FIELDS];
	unsigned nfields; /* may be more than there is room for */
	struct api_call *call;
	struct buf refusal;
	const char *method, *route;
	int64_t began;
	int status;
	bool open;    /* between a request's begin and its end */
	bool no_room; /* for its target */
	bool ending;  /* the connection ends with this answer */
	struct hub_waiter waiter;

	/* Read by the front as well. */
	_Atomic int step;	/* enum http_step */
	_Atomic int64_t since;	/* of the step */
	_Atomic uint64_t count; /* bytes of the body, pieces of a stream */
	_Atomic uint64_t requests;

	/* The front's: what it saw. */
	uint64_t seen, seen_requests;
	int64_t seen_at;
	bool seen_set;
};

void http_conn_free(struct http_conn *c);
/* The connection has ended: frees it, or leaves that to the `ready` of a call
 * that the API still has. */
void http_conn_end(struct http_conn *c);
/* Wakes a connection that waits (HTTP_ARMED, HTTP_SUSPENDED). Any thread that
 * knows that it still waits, or holds lock. */
void http_conn_wake(struct http_conn *c);
/* Suspends it, unless it was woken since HTTP_ARMED. In its thread. */
void http_conn_suspend(struct http_conn *c);
void http_conn_step(struct http_conn *c, enum http_step step);

/* libmicrohttpd's callbacks. */
void *http_request_begin(void *cls, const char *uri, struct MHD_Connection *m);
enum MHD_Result http_request_go(void *cls, struct MHD_Connection *m,
				const char *url, const char *method,
				const char *version, const char *data,
				size_t *n, void **cookie);
void http_request_end(void *cls, struct MHD_Connection *m, void **cookie,
		      enum MHD_RequestTerminationCode why);
/* Queues the answer that goes on. */
enum MHD_Result http_stream_start(struct http_conn *c,
				  const struct api_answer *a);
/* What is common to answers: fields and the connection's end. */
void http_request_fields(struct http_conn *c, struct MHD_Response *r,
			 const struct api_answer *a);

/* ---- the front ----------------------------------------------------------- */

int http_front_start(struct http *h, struct weir_err *err);
void http_front_stop(struct http *h);
void http_front_wake(struct http *h);
/* libmicrohttpd has, or gives up, a connection. */
void http_front_notify(void *cls, struct MHD_Connection *m, void **cookie,
		       enum MHD_ConnectionNotificationCode what);

/* ---- all ----------------------------------------------------------------- */

struct http {
	struct api *api;
	struct hub *hub;
	struct http_count counts;

	/* Settings, read by all threads. */
	_Atomic int64_t header_us, body_us, idle_us, stream_us;
	_Atomic uint64_t most, most_per_address;
	char *names; /* further ones of this server; under lock while changed */
	unsigned threads;
	bool tls, loopback; /* of tcp_fd */
	char *cert_path, *key_path;

	int tcp_fd, local_fd, wake_fd;
	pthread_t front;
	bool front_runs;
	_Atomic bool draining, stopping;
	_Atomic(struct http_engine *) engines; /* all; only added to */
	_Atomic unsigned waking; /* threads that wake a connection */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t gone;  /* a connection ended */
	struct http_conn *conns, **by_fd, *bucket[HTTP_BUCKETS];
	size_t nfds;
	uint64_t nconns, left; /* left: calls without their request */
	struct http_engine *plain, *secure; /* for new connections */
};

#endif
