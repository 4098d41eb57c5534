/* SPDX-License-Identifier: MIT */
/*
 * A connection. Nothing is taken from it while something that it was sent
 * waits for the kernel: so what is kept for a client that does not read is
 * bounded by what one line, or one record, brings forth.
 *
 * It ends in this order: no more lines (ending), answers and writes are out,
 * our side is shut, the client shuts its side (or CLOSE_US passed), the handle
 * is closed, and its memory goes when no publish of it is with the committer.
 */
#include "server/text_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/must.h"
#include "base/os.h"

#define CLOSE_US    2000000
#define DRAIN_US    500000 /* the same of a server that stops */
#define KEEPALIVE_S 60
#define INPUT_FIRST 256u
#define INPUT_MAX   (2 * TEXT_LINE_MAX + 16)

/* ---- addresses
 * ----------------------------------------------------------------- */

bool
text_is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* Addresses that a limit is for; a peer's network of 64 bits in IPv6. */
static void
key_of(struct address *out, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	memset(out, 0, sizeof(*out));
	if (text_is_loopback(a))
		return;
	if (a->ss_family == AF_INET) {
		out->len = 4;
		memcpy(out->bytes, &v4->sin_addr, 4);
	} else if (a->ss_family == AF_INET6) {
		out->len = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8;
		memcpy(out->bytes, &v6->sin6_addr, out->len);
	}
}

/* Counts a connection: 0, WEIR_EUNREACH (too many), or WEIR_ENOMEM. */
static int
count_address(struct text_conn *c)
{
	struct sockaddr_storage peer;
	int len = sizeof(peer);
	struct address key, *a;
	unsigned h = 0;

	memset(&peer, 0, sizeof(peer));
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &len) != 0)
		return WEIR_EUNREACH;
	key_of(&key, &peer);
	if (key.len == 0)
		return 0;
	for (size_t i = 0; i < key.len; i++)
		h = h * 31 + key.bytes[i];
	struct address **at = &c->t->addresses[h % TEXT_ADDRESSES];
	for (a = *at; a != NULL; a = a->next)
		if (a->len == key.len &&
		    memcmp(a->bytes, key.bytes, key.len) == 0)
			break;
	if (a != NULL && a->connections >= c->t->set.per_address)
		return WEIR_EUNREACH;
	if (a == NULL) {
		a = mem_new(sizeof(*a));
		if (a == NULL)
			return WEIR_ENOMEM;
		*a = key;
		a->next = *at;
		*at = a;
	}
	a->connections++;
	c->address = a;
	return 0;
}

/* Addresses that nobody uses any more. */
static void
sweep(struct address **at)
{
	while (*at != NULL) {
		struct address *a = *at;

		if (a->connections > 0) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		mem_free(a);
	}
}

static void
discount_address(struct text_conn *c)
{
	struct address *a = c->address;
	unsigned h = 0;

	if (a == NULL)
		return;
	c->address = NULL;
	if (--a->connections > 0)
		return;
	for (size_t i = 0; i < a->len; i++)
		h = h * 31 + a->bytes[i];
	sweep(&c->t->addresses[h % TEXT_ADDRESSES]);
}

/* ---- its end
 * ---------------------------------------------------------------------- */

static void
drop_input(struct text_conn *c)
{
	c->t->in_bytes -= c->in_cap;
	mem_free(c->in);
	c->in = NULL;
	c->in_len = c->in_cap = c->in_seen = 0;
}

void
text_left_conn(struct text_conn *c)
{
	struct text *t = c->t;

	if (!c->closed || c->pending > 0 || c->is_answered)
		return;
	mem_free(c->name);
	mem_free(c);
	t->objects--;
	text_left(t);
}

static void
on_closed(uv_handle_t *h)
{
	struct text_conn *c = (struct text_conn *)h;

	if (c->before != NULL)
		c->before->next = c->next;
	else
		c->t->conns = c->next;
	if (c->next != NULL)
		c->next->before = c->before;
	atomic_fetch_sub_explicit(&c->t->n_conns, 1, memory_order_relaxed);
	c->closed = true;
	text_left_conn(c);
}

void
text_cut(struct text_conn *c)
{
	if (c->gone)
		return;
	c->gone = true;
	text_unsubscribe(c);
	text_drop_answers(c);
	drop_input(c);
	discount_address(c);
	c->t->nstalled -= c->stalled;
	c->t->waiting -= c->writing > 0 || c->ending;
	c->stalled = false;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void
on_shut(uv_shutdown_t *r, int status)
{
	struct text_conn *c = r->data;

	mem_free(r);
	if (!c->gone && (status != 0 || c->eof))
		text_cut(c);
}

/* All is out: our side is shut, and the client's end is waited for, since a
 * socket that is closed with bytes to read would take our last line along. */
static void
shut(struct text_conn *c)
{
	uv_shutdown_t *r = mem_new(sizeof(*r));

	int64_t soon =
		clock_monotonic() + (c->t->draining ? DRAIN_US : CLOSE_US);

	c->shut = true;
	c->cut_at = c->cut_at < soon ? c->cut_at : soon;
	if (r != NULL)
		r->data = c;
	if (r == NULL || uv_shutdown(r, (uv_stream_t *)&c->tcp, on_shut) != 0) {
		mem_free(r);
		text_cut(c);
	}
}

void
text_end(struct text_conn *c)
{
	if (c->ending || c->gone)
		return;
	c->t->waiting += c->writing == 0;
	c->ending = true;
	c->cut_at = clock_monotonic() + c->t->set.slow_us + CLOSE_US;
	text_unsubscribe(c);
	drop_input(c);
	c->t->nstalled -= c->stalled;
	c->stalled = false;
	text_tick(c->t);
	text_go_on(c);
}

/* ---- bytes out
 * ----------------------------------------------------------------------- */

struct blocked {
	uv_write_t req;
	struct text_conn *c;
	char *own;
	char copy[];
};

static void
on_written(uv_write_t *req, int status)
{
	struct blocked *b = (struct blocked *)req;
	struct text_conn *c = b->c;

	mem_free(b->own);
	mem_free(b);
	if (c->gone)
		return;
	if (status != 0) {
		text_cut(c);
		return;
	}
	must(c->writing > 0);
	if (--c->writing > 0)
		return;
	c->t->waiting -= !c->ending;
	text_go_on(c);
}

static void
send_rest(struct text_conn *c, const char *p, size_t n, struct weir_str tail,
	  char *own)
{
	static char line_end[] = "\n";
	struct blocked *b = mem_resize(NULL, sizeof(*b) + n);
	uv_buf_t bufs[3];
	unsigned k = 0;

	if (b == NULL) {
		mem_free(own);
		text_cut(c);
		return;
	}
	b->c = c;
	b->own = own;
	if (n > 0) {
		memcpy(b->copy, p, n);
		bufs[k++] = uv_buf_init(b->copy, (unsigned)n);
	}
	if (tail.data != NULL) {
		if (tail.len > 0)
			bufs[k++] = uv_buf_init((char *)(uintptr_t)tail.data,
						(unsigned)tail.len);
		bufs[k++] = uv_buf_init(line_end, 1);
	}
	if (uv_write(&b->req, (uv_stream_t *)&c->tcp, bufs, k, on_written) !=
	    0) {
		mem_free(own);
		mem_free(b);
		text_cut(c);
		return;
	}
	if (c->writing++ > 0)
		return;
	c->t->waiting += !c->ending;
	c->moved_at = clock_monotonic();
	c->left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
	text_tick(c->t);
}

void
text_send(struct text_conn *c, const char *p, size_t n)
{
	uv_buf_t all = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
	int rc = 0;

	if (c->gone || c->shut || n == 0)
		return;
	if (c->writing == 0)
		rc = uv_try_write((uv_stream_t *)&c->tcp, &all, 1);
	if (rc < 0 && rc != UV_EAGAIN) {
		text_cut(c);
		return;
	}
	size_t sent = rc > 0 ? (size_t)rc : 0;
	if (sent < n)
		send_rest(c, p + sent, n - sent, (struct weir_str){NULL, 0},
			  NULL);
}

void
text_send_with(struct text_conn *c, const char *p, size_t n,
	       struct weir_str tail, char *own)
{
	uv_buf_t bufs[] = {
		uv_buf_init((char *)(uintptr_t)p, (unsigned)n),
		uv_buf_init((char *)(uintptr_t)tail.data, (unsigned)tail.len),
		uv_buf_init((char[]){'\n'}, 1)};
	int rc = 0;

	if (c->gone || c->shut) {
		mem_free(own);
		return;
	}
	if (c->writing == 0)
		rc = uv_try_write((uv_stream_t *)&c->tcp, bufs, 3);
	if (rc < 0 && rc != UV_EAGAIN) {
		mem_free(own);
		text_cut(c);
		return;
	}
	size_t sent = rc > 0 ? (size_t)rc : 0, of_tail;
	if (sent == n + tail.len + 1) {
		mem_free(own);
		return;
	}
	of_tail = sent > n ? sent - n : 0;
	tail.data += of_tail;
	tail.len -= of_tail;
	sent = sent < n ? sent : n;
	send_rest(c, p + sent, n - sent, tail, own);
}

void
text_say(struct text_conn *c, const char *fmt, ...)
{
	char line[1600];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	must(n > 0 && (size_t)n < sizeof(line));
	text_send(c, line, (size_t)n);
}

void
text_error(struct text_conn *c, const char *fmt, ...)
{
	char line[1600] = "Error\t";
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + 6, sizeof(line) - 7, fmt, ap);
	va_end(ap);
	must(n > 0 && (size_t)n < sizeof(line) - 7);
	line[6 + n] = '\n';
	text_count(&c->t->n_errors);
	text_send(c, line, (size_t)n + 7);
}

/* ---- bytes in
 * ------------------------------------------------------------------------ */

static void
too_long(struct text_conn *c)
{
	c->dropping = true;
	text_error(c,
		   "ParseError\tParseError\tthe line is longer than %u bytes; "
		   "the rest of it was dropped",
		   TEXT_LINE_MAX);
}

/* May it be given lines? */
static bool
is_open(const struct text_conn *c)
{
	return !c->gone && !c->ending && c->writing == 0 && !c->held &&
	       !c->stalled;
}

/* Takes whole lines: how many bytes are done with. seen: no line ends before
 * it; in_seen says the same of what is left. */
static size_t
take_lines(struct text_conn *c, const char *p, size_t n, size_t seen)
{
	size_t at = 0;

	c->in_seen = 0;
	while (is_open(c) && at < n) {
		size_t from = seen > at ? seen : at;
		const char *end = memchr(p + from, '\n', n - from);
		struct weir_str line = {p + at, 0};

		if (end == NULL) {
			if (c->dropping)
				return n;
			/* One more may be the CR of its end. */
			if (n - at > TEXT_LINE_MAX + 1) {
				too_long(c);
				return n;
			}
			c->in_seen = n - at;
			return at;
		}
		line.len = (size_t)(end - line.data);
		size_t all = line.len + 1;
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		if (c->dropping)
			c->dropping = false;
		else if (line.len > TEXT_LINE_MAX) {
			too_long(c);
			c->dropping = false;
		} else if (!text_line(c, line))
			return at;
		at += all;
	}
	return c->gone || c->ending ? n : at;
}

/* Keeps input that waits; p may not be in c->in. */
static bool
keep(struct text_conn *c, const char *p, size_t n)
{
	size_t want = c->in_len + n, cap = c->in_cap;

	must(want <= INPUT_MAX);
	if (want > cap) {
		char *in;

		cap = cap > 0 ? cap : INPUT_FIRST;
		while (cap < want)
			cap *= 2;
		if (c->t->in_bytes - c->in_cap + cap > TEXT_INPUT_MAX)
			return false;
		in = mem_resize(c->in, cap);
		if (in == NULL)
			return false;
		c->t->in_bytes += cap - c->in_cap;
		c->in = in;
		c->in_cap = cap;
	}
	memcpy(c->in + c->in_len, p, n);
	c->in_len = want;
	return true;
}

static void
take_kept(struct text_conn *c)
{
	size_t done;

	if (c->in == NULL)
		return;
	done = take_lines(c, c->in, c->in_len, c->in_seen);
	if (c->in == NULL)
		return;
	c->in_len -= done;
	memmove(c->in, c->in + done, c->in_len);
	if (c->in_len == 0)
		drop_input(c);
}

static void
on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct text_conn *c = (struct text_conn *)h;

	(void)hint;
	*out = uv_buf_init(c->t->input, TEXT_SCRATCH);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Reads, or does not: lines that may not be taken fill no memory. */
static void
set_reading(struct text_conn *c)
{
	bool want = !c->gone && !c->eof &&
		    (c->ending ||
		     (c->writing == 0 && c->in_len <= TEXT_LINE_MAX &&
		      !c->held && !c->stalled &&
		      (c->sub == NULL || c->sub->live || c->in_len == 0)));

	if (want == c->reading || c->gone)
		return;
	c->reading = want;
	if (!want)
		uv_read_stop((uv_stream_t *)&c->tcp);
	else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
		text_cut(c);
}

void
text_go_on(struct text_conn *c)
{
	if (c->busy || c->gone)
		return;
	c->busy = true;
	if (c->writing == 0)
		text_send_answers(c);
	if (c->held && c->pending == 0)
		c->held = false;
	if (is_open(c))
		take_kept(c);
	if (!c->gone && c->sub != NULL && c->writing == 0)
		text_stream_ready(c);
	bool quiet = !c->gone && c->writing == 0 && c->pending == 0 &&
		     c->sub == NULL;
	if (quiet && c->eof && !c->ending && (c->in == NULL || is_open(c)))
		text_end(c);
	if (quiet && c->ending && !c->shut)
		shut(c);
	c->busy = false;
	set_reading(c);
}

static void
take_bytes(struct text_conn *c, const char *p, size_t n)
{
	size_t done = 0;

	text_count(&c->t->n_reads);
	c->busy = true;
	if (c->in == NULL)
		done = take_lines(c, p, n, 0);
	/* Piece by piece, so that what is kept stays bounded. */
	while (!c->gone && !c->ending && done < n) {
		size_t k = n - done, room = INPUT_MAX - c->in_len;

		k = k < room ? k : room;
		if (k == 0 || !keep(c, p + done, k)) {
			text_error(c, "ConnectionError");
			text_end(c);
			break;
		}
		done += k;
		take_kept(c);
	}
	c->busy = false;
	text_go_on(c);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct text_conn *c = (struct text_conn *)stream;

	if (c->gone || n == 0)
		return;
	if (n == UV_EOF) {
		c->eof = true;
		text_stop_following(c);
		if (c->shut)
			text_cut(c);
		else
			text_go_on(c);
	} else if (n < 0)
		text_cut(c);
	else if (!c->ending)
		take_bytes(c, buf->base, (size_t)n);
}

/* ---- its beginning
 * ------------------------------------------------------------------- */

void
text_accept(struct text *t)
{
	struct text_conn *c = mem_new(sizeof(*c));
	uint64_t already =
		atomic_load_explicit(&t->n_conns, memory_order_relaxed);

	/* Without memory the kernel keeps it until there is some. */
	t->deferred = c == NULL || uv_tcp_init(t->loop, &c->tcp) != 0;
	if (t->deferred) {
		mem_free(c);
		text_tick(t);
		return;
	}
	c->t = t;
	c->done_end = &c->done;
	c->next = t->conns;
	if (c->next != NULL)
		c->next->before = c;
	t->conns = c;
	t->objects++;
	text_count(&t->n_conns);
	text_count(&t->n_accepted);
	if (uv_accept((uv_stream_t *)&t->listener, (uv_stream_t *)&c->tcp) !=
	    0) {
		text_cut(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
	set_reading(c);
	if (!c->gone &&
	    (already >= t->set.connections || count_address(c) != 0)) {
		text_count(&t->n_refused);
		text_error(c, "ConnectionError");
		text_end(c);
	}
}

/* ---- who takes nothing
 * ------------------------------------------------------------------ */

/* A slow one is told, behind what it has not taken; when it does not take that
 * either, it is cut off. */
static void
give_up(struct text_conn *c)
{
	text_count(&c->t->n_slow);
	if (c->sub != NULL)
		text_error(c, "EventStreamError\tClosed");
	else
		text_error(c, "IoError\tTimedOut\tanswers were not taken");
	text_end(c);
}

void
text_retry(struct text *t)
{
	for (struct text_conn *c = t->conns; c != NULL && t->nstalled > 0;
	     c = c->next)
		if (c->stalled) {
			c->stalled = false;
			t->nstalled--;
			text_go_on(c);
			if (c->stalled)
				return;
		}
}

void
text_watch(struct text *t, int64_t now)
{

	for (struct text_conn *c = t->conns; c != NULL; c = c->next) {
		if (c->gone)
			continue;
		size_t left =
			uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
		if (left != c->left) {
			c->left = left;
			c->moved_at = now;
		}
		if (c->ending && now >= c->cut_at)
			text_cut(c);
		else if (c->writing > 0 && !c->ending &&
			 now - c->moved_at >= t->set.slow_us)
			give_up(c);
	}
}

void
text_free_addresses(struct text *t)
{
	for (size_t i = 0; i < TEXT_ADDRESSES; i++) {
		for (struct address *a = t->addresses[i]; a; a = a->next)
			must(a->connections == 0);
		sweep(&t->addresses[i]);
	}
}
