/* SPDX-License-Identifier: MIT */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

/*
 * HTTP/1.1 for the API, over TCP (with TLS when there is a certificate) and
 * over the control socket, by libmicrohttpd with its own threads. Requests that
 * wait for a commit and streams that wait for records hold no thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct buf;
struct config;
struct http;
struct hub;
struct weir_err;

struct http_options {
	struct api *api;
	struct hub *hub;
	const struct config *config; /* limits, certificate; see weir.conf(5) */
	int tcp_fd;		     /* listening, or -1; taken over */
	int local_fd;		     /* the control socket, or -1; taken over */
};

int http_start(struct http **out, const struct http_options *o,
	       struct weir_err *err);
/* Certificate and limits again. A bad certificate leaves the old one and is an
 * error. */
int http_reload(struct http *h, const struct config *config,
		struct weir_err *err);
/* No new connections; idle ones end, streams are ended, requests under way are
 * answered. True once no connection is left, at most until the monotonic time
 * `until`. */
bool http_drain(struct http *h, int64_t until);
/* Ends what is left and frees. */
void http_free(struct http *h);

/* Counters in Prometheus' text format. */
void http_metrics(struct http *h, struct buf *out);
uint64_t http_connections(struct http *h);

#endif
