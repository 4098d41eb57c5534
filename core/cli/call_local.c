/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 over weir.sock. The peer is our own server, so this is the part of
 * RFC 9112 that it speaks: one request at a time on a connection that is kept,
 * a body of a known length, in chunks, or to the connection's end. libcurl, by
 * which the network is asked, takes 14 ms and more to be loaded.
 */
#include "cli/call_int.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define HEAD_MAX  (64u << 10)
#define CHUNK	  (64u << 10)
#define SILENT_US 60000000 /* without a byte from the server */
#define TO_END	  UINT64_MAX
#define BUSY	  -2

struct wire {
	int fd;
	struct exchange *x;
	int64_t silent_us; /* -1: for ever */
	struct buf in;
	size_t at; /* in `in`: what is before it was used */
	bool chunked, keep;
	uint64_t length; /* of the body, or TO_END */
};

/* The path of a socket has little room: it is reached through its folder. A
 * descriptor, -1, or BUSY: there is a server, and too many ask it. */
static int
connect_to(const char *dir)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int folder = os()->open(dir, O_PATH | O_DIRECTORY, 0), fd, rc;
	bool busy;

	if (folder < 0)
		return -1;
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/weir.sock",
		 folder);
	fd = os()->socket(AF_UNIX, SOCK_STREAM, 0);
	rc = fd < 0 ? -1
		    : os()->connect(fd, (struct sockaddr *)&to, sizeof(to));
	os_close(folder);
	if (rc == 0)
		return fd;
	busy = errno == EAGAIN;
	os_close(fd);
	return busy ? BUSY : -1;
}

bool
call_listens(const char *dir)
{
	int fd = connect_to(dir);

	os_close(fd);
	return fd != -1;
}

/* ---- sending ------------------------------------------------------------- */

static int
lost(struct weir_err *err)
{
	return err_set(
		err, WEIR_EUNREACH,
		"the server that holds the store went away before it "
		"answered; look whether it was done before trying again");
}

static int
put(struct wire *w, const char *p, size_t n)
{
	while (n > 0) {
		struct pollfd room = {.fd = w->fd, .events = POLLOUT};
		ssize_t k = os()->sendto(w->fd, p, n, NULL, 0);

		if (k < 0 && errno == EAGAIN)
			k = os()->poll(&room, 1, SILENT_US / 1000) - 1;
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		w->x->sent = true;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static int
put_request(struct wire *w, struct weir_err *err)
{
	const struct call_request *r = w->x->r;
	struct buf head;
	int rc;

	buf_init(&head, HEAD_MAX);
	buf_printf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r->method,
		   r->target);
	buf_printf(&head, "Accept: %s\r\n",
		   r->accept != NULL ? r->accept : "application/json");
	if (r->body.data != NULL)
		buf_printf(&head, "Content-Type: %s\r\n",
			   r->type != NULL ? r->type : "application/json");
	if (r->body.data != NULL || strcmp(r->method, "GET") != 0)
		buf_printf(&head, "Content-Length: %zu\r\n", r->body.len);
	buf_puts(&head, "\r\n");
	if (r->body.len <= CHUNK)
		buf_add_str(&head, r->body);
	rc = head.failed ? err_set(err, WEIR_EINPUT, "the request is too long")
			 : 0;
	/* What can't be sent was perhaps refused: the answer says why. */
	if (rc == 0 && put(w, head.data, head.len) == 0 && r->body.len > CHUNK)
		put(w, r->body.data, r->body.len);
	buf_fini(&head);
	return rc;
}

/* ---- receiving ----------------------------------------------------------- */

/* More bytes: how many, 0 at the connection's end, or a code. */
static int64_t
more(struct wire *w, struct weir_err *err)
{
	int64_t until =
		w->silent_us < 0 ? INT64_MAX : clock_monotonic() + w->silent_us;
	struct pollfd p[2] = {
		{.fd = w->fd, .events = POLLIN},
		{.fd = w->x->r->stream ? cli_stop_fd() : -1, .events = POLLIN}};
	ssize_t n;

	if (w->at == w->in.len) {
		buf_clear(&w->in);
		w->at = 0;
	}
	if (buf_reserve(&w->in, CHUNK) != 0)
		return err_nomem(err);
	for (;;) {
		int ready = os()->poll(p, 2, w->silent_us < 0 ? -1 : 1000);

		if (p[1].revents != 0 && ready > 0)
			return err_set(err, WEIR_ESTOPPED, "%s", "");
		if (ready > 0)
			break;
		if (ready < 0 && errno != EINTR)
			return err_sys(err, "waiting for the server");
		if (clock_monotonic() > until)
			return err_set(err, WEIR_EUNREACH,
				       "the server that holds the store was "
				       "silent for %d s",
				       SILENT_US / 1000000);
	}
	do
		n = os()->read(w->fd, w->in.data + w->in.len, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		w->in.len += (size_t)n;
	return n > 0 ? n : 0;
}

/* The next line, ended by CRLF, with a NUL in its place; or a code. */
static int
take_line(struct wire *w, char **line, struct weir_err *err)
{
	for (;;) {
		char *from = w->in.data + w->at;
		size_t n = w->in.len - w->at;
		char *end = n > 0 ? memchr(from, '\n', n) : NULL;
		int64_t got;

		if (end != NULL) {
			w->at += (size_t)(end - from) + 1;
			*end = '\0';
			if (end > from && end[-1] == '\r')
				end[-1] = '\0';
			*line = from;
			return 0;
		}
		if (n > HEAD_MAX)
			return err_set(err, WEIR_EUNREACH,
				       "weir.sock gave an answer that is no "
				       "HTTP");
		got = more(w, err);
		if (got <= 0)
			return got < 0 ? (int)got : lost(err);
	}
}

static void
take_header(struct wire *w, char *line)
{
	struct call_answer *out = w->x->out;
	char *value = strchr(line, ':');
	uint64_t n;

	if (value == NULL)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "content-length") == 0 &&
	    str_u64(&n, str_of(value)) == 0)
		w->length = n;
	else if (strcasecmp(line, "transfer-encoding") == 0)
		w->chunked = strcasecmp(value, "chunked") == 0;
	else if (strcasecmp(line, "connection") == 0)
		w->keep = strcasecmp(value, "close") != 0;
	else if (strcasecmp(line, "etag") == 0)
		snprintf(out->etag, sizeof(out->etag), "%s", value);
	else if (strcasecmp(line, "link") == 0)
		snprintf(out->link, sizeof(out->link), "%s", value);
	else if (strcasecmp(line, "content-type") == 0)
		snprintf(out->type, sizeof(out->type), "%.*s",
			 (int)strcspn(value, ";"), value);
}

/* The answer's head; those of 1xx are passed over. */
static int
take_head(struct wire *w, struct weir_err *err)
{
	uint64_t status;
	char *line;
	int rc;

	do {
		rc = take_line(w, &line, err);
		if (rc != 0)
			return rc;
		if (strncmp(line, "HTTP/1.1 ", 9) != 0 || strlen(line) < 12 ||
		    str_u64(&status, (struct weir_str){line + 9, 3}) != 0)
			return err_set(err, WEIR_EUNREACH,
				       "weir.sock gave an answer that is no "
				       "HTTP");
		w->length = TO_END;
		w->chunked = false;
		w->keep = true;
		while ((rc = take_line(w, &line, err)) == 0 && *line != '\0')
			take_header(w, line);
	} while (rc == 0 && status < 200);
	if (status == 204 || status == 304)
		w->length = 0;
	w->x->out->status = (int)status;
	return rc;
}

/* Hands on n bytes of the body; TO_END: all to the connection's end. */
static int
take_bytes(struct wire *w, uint64_t n, struct weir_err *err)
{
	int rc = 0;

	while (rc == 0 && n > 0) {
		size_t have = w->in.len - w->at;
		int64_t got;

		if (have > 0) {
			have = have < n ? have : (size_t)n;
			w->at += have;
			rc = exchange_body(w->x, w->in.data + w->at - have,
					   have, err);
			n = n == TO_END ? n : n - have;
			continue;
		}
		got = more(w, err);
		if (got == 0 && n == TO_END)
			break;
		if (got <= 0)
			rc = got < 0 ? (int)got : lost(err);
	}
	return rc;
}

static int
take_chunks(struct wire *w, struct weir_err *err)
{
	uint64_t n;
	char *line;
	int rc;

	do {
		rc = take_line(w, &line, err);
		if (rc != 0)
			return rc;
		n = 0;
		for (const char *p = line; *p != '\0' && *p != ';'; p++) {
			const char *digits = "0123456789abcdef";
			const char *d = strchr(digits, *p | 0x20);

			if (d == NULL || n >> 56 != 0)
				return err_set(err, WEIR_EUNREACH,
					       "weir.sock gave a chunk "
					       "without a length");
			n = n << 4 | (uint64_t)(d - digits);
		}
		rc = take_bytes(w, n, err);
		if (rc == 0)
			rc = take_line(w, &line, err);
	} while (rc == 0 && n > 0);
	return rc;
}

/* Has the server closed a connection that was kept? */
static bool
is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return os()->poll(&p, 1, 0) != 0;
}

int
call_local(int *fd, const char *dir, struct exchange *x, struct weir_err *err)
{
	struct wire w = {.x = x};
	int rc;

	w.silent_us = x->r->stream ? -1 : SILENT_US;
	if (*fd >= 0 && is_over(*fd)) {
		os_close(*fd);
		*fd = -1;
	}
	if (*fd < 0)
		*fd = connect_to(dir);
	if (*fd < 0)
		return *fd = -1,
		       err_set(err, WEIR_EUNREACH,
			       "no server answers at %s/weir.sock", dir);
	w.fd = *fd;
	buf_init(&w.in, 4 * HEAD_MAX + CHUNK);
	rc = put_request(&w, err);
	if (rc == 0)
		rc = take_head(&w, err);
	if (rc == 0)
		rc = w.chunked ? take_chunks(&w, err)
			       : take_bytes(&w, w.length, err);
	if (rc != 0 || !w.keep || (!w.chunked && w.length == TO_END)) {
		os_close(*fd);
		*fd = -1;
	}
	buf_fini(&w.in);
	return rc;
}
