/* SPDX-License-Identifier: MIT */
#ifndef SERVER_HTTP_HEAD_H
#define SERVER_HTTP_HEAD_H

/*
 * What a request's head must be before anything is done for it. libmicrohttpd
 * 0.9.75 takes much that RFC 9112 forbids or leaves to chance: lines that end
 * in a bare LF, folded lines, white space before the colon, control characters,
 * several Content-Lengths, a Content-Length beside a Transfer-Encoding, codings
 * it does not know. A proxy may read such a head in another way than we do, so
 * none of it is served.
 */

#include <stdbool.h>
#include <stddef.h>
#include <weir/types.h>

struct http_fault {
	int status;	     /* 0: none */
	const char *message; /* one sentence, static */
};

/* What the header fields say, gathered one by one. */
struct http_head {
	unsigned hosts, lengths, codings, authorizations;
	struct weir_str host, origin, expect;
	uint64_t length; /* of the body, when lengths is not 0 */
	bool chunked;
	bool seen;		 /* the bytes of all names and values */
	struct http_fault fault; /* the first one */
};

/*
 * The bytes of a head as the library leaves them: as they came, but for a NUL
 * in the place of each space of the request line, of each header's colon and of
 * each CR and LF that ended a line. method and version point into it; n counts
 * from method to the head's end. False: the lines are not what they should be.
 * Where method and version are not in one piece of n bytes nothing can be said:
 * true, and the fields are looked at one by one.
 */
bool http_head_lines(struct http_head *h, const char *method,
		     const char *version, size_t n);

void http_head_field(struct http_head *h, struct weir_str name,
		     struct weir_str value);

/* The whole of it. minor: of HTTP/1.x. target is what came in the request line;
 * *path gets it without scheme and authority. */
struct http_fault http_head_check(struct http_head *h, struct weir_str *path,
				  const char *method, struct weir_str target,
				  const char *version);

/* Does a request for this host (with or without a port) belong to a server on a
 * loopback address? names: further ones, split by commas, or NULL. */
bool http_head_host_is_ours(struct weir_str host, const char *names);

/* May a page of this origin write? Only one of the very host that is asked. */
bool http_head_origin_is_ours(struct weir_str origin, struct weir_str host);

#endif
