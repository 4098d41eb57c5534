/* SPDX-License-Identifier: MIT */
/*
 * An answer that goes on: the feed's text as far as the client takes it. With
 * nothing to say the connection is suspended until the hub wakes it.
 */
#include "server/http_int.h"

#include <stddef.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/diag.h"
#include "base/os.h"
#include "server/api.h"

#define PIECE	    1024 /* libmicrohttpd wants a size; it uses its own */
#define SEND_BUFFER (128 << 10) /* of the kernel, for each stream */

static void
on_records(struct hub_waiter *w)
{
	http_conn_wake(
		(struct http_conn *)((char *)w -
				     offsetof(struct http_conn, waiter)));
}

static ssize_t
wait_for_more(struct http_conn *c, struct feed *f)
{
	struct http *h = c->http;

	c->waiter.wake = on_records;
	c->waiter.sequence = feed_next(f, &c->waiter.at);
	atomic_store(&c->wait, HTTP_ARMED);
	if (atomic_load(&h->draining))
		return MHD_CONTENT_READER_END_OF_STREAM;
	hub_wait(h->hub, &c->waiter);
	http_conn_suspend(c);
	return 0;
}

static ssize_t
read_feed(void *cls, uint64_t at, char *out, size_t max)
{
	struct http_conn *c = cls;
	struct feed *f = api_answer(c->call)->feed;
	struct weir_err err;
	int64_t n;

	(void)at;
	atomic_store(&c->wait, HTTP_GOES);
	if (atomic_load(&c->http->draining))
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = feed_read(f, out, max, &err);
	if (n == FEED_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n < 0) {
		diag(DIAG_WARN, "http", "stream %s: %s", api_id(c->call),
		     err.msg);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (n == 0)
		return wait_for_more(c, f);
	atomic_fetch_add(&c->count, 1);
	atomic_store(&c->since, clock_coarse());
	atomic_fetch_add(&c->http->counts.sent, (uint64_t)n);
	return (ssize_t)n;
}

enum MHD_Result
http_stream_start(struct http_conn *c, const struct api_answer *a)
{
	struct MHD_Response *r = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, PIECE, read_feed, c, NULL);
	enum MHD_Result ok;
	int size = SEND_BUFFER;

	if (r == NULL)
		return MHD_NO;
	/* What a client does not take waits in the journal, not here. */
	os()->setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	http_request_fields(c, r, a);
	atomic_fetch_add(&c->http->counts.streams, 1);
	http_conn_step(c, HTTP_STREAM);
	ok = MHD_queue_response(c->mhd, (unsigned)a->status, r);
	MHD_destroy_response(r);
	return ok;
}
