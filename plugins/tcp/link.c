/* SPDX-License-Identifier: MIT */
#include "link.h"

#include "common/result.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
link_close(struct link *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

void
link_finish(struct link *l)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 1};
	char piece[4096];

	if (l->fd < 0)
		return;
	/* what was not read makes close drop what was not sent */
	for (int i = 0; i < 256; i++)
		if (recv(l->fd, piece, sizeof(piece), MSG_DONTWAIT) <= 0)
			break;
	(void)setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	link_close(l);
}

static const char *
errno_word(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "ECONNREFUSED";
	case ECONNRESET:
		return "ECONNRESET";
	case EPIPE:
		return "EPIPE";
	case ETIMEDOUT:
		return "ETIMEDOUT";
	case EHOSTUNREACH:
		return "EHOSTUNREACH";
	case ENETUNREACH:
		return "ENETUNREACH";
	default:
		return "SOCKET";
	}
}

int
link_lost(struct link *l, int error, const char *doing,
	  struct weir_sink_result *res)
{
	char text[128];

	link_close(l);
	if (error == 0)
		return result_set(res, WEIR_SINK_NOT_CONNECTED, "CLOSED", NULL,
				  "%s port %s ended the connection", l->name,
				  l->port);
	return result_set(res, WEIR_SINK_NOT_CONNECTED, errno_word(error), NULL,
			  "%s port %s: cannot %s: %s", l->name, l->port, doing,
			  strerror_r(error, text, sizeof(text)));
}

static int64_t
now_us(const struct link *l)
{
	return l->host->monotonic_us(l->host->cookie);
}

unsigned
link_wait(const struct link *l, unsigned want, int stop_fd, int64_t until_us)
{
	struct pollfd p[2] = {{.fd = l->fd}, {.fd = stop_fd, .events = POLLIN}};
	int64_t ms = (until_us - now_us(l) + 999) / 1000;
	unsigned got = 0;
	int n;

	if ((want & LINK_IN) != 0)
		p[0].events |= POLLIN;
	if ((want & LINK_OUT) != 0)
		p[0].events |= POLLOUT;
	if (ms < 0)
		ms = 0;
	n = poll(p, 2, ms < 60000 ? (int)ms : 60000);
	if (n < 0)
		return 0; /* EINTR: the caller looks again */
	if (p[1].revents != 0)
		got |= LINK_STOP;
	if ((p[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0)
		got |= want & LINK_IN ? LINK_IN : LINK_OUT;
	if ((p[0].revents & POLLOUT) != 0)
		got |= LINK_OUT;
	if (n == 0 && now_us(l) >= until_us)
		got |= LINK_TIME;
	return got;
}

static void
set_options(const struct link *l)
{
	unsigned ms = (unsigned)(l->silence_us / 1000);
	int on = 1, idle = 60, every = 15, times = 4;

	(void)setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every,
			 sizeof(every));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_KEEPCNT, &times,
			 sizeof(times));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* One address: 0, or an errno; ECANCELED when asked to stop. */
static int
try_address(struct link *l, const struct addrinfo *a, int stop_fd,
	    int64_t until_us)
{
	int error = 0;
	socklen_t n = sizeof(error);

	l->fd = socket(a->ai_family,
		       a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       a->ai_protocol);
	if (l->fd < 0)
		return errno;
	set_options(l);
	if (connect(l->fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	for (;;) {
		unsigned got = link_wait(l, LINK_OUT, stop_fd, until_us);

		if ((got & LINK_STOP) != 0)
			return ECANCELED;
		if ((got & LINK_OUT) != 0)
			break;
		if ((got & LINK_TIME) != 0)
			return ETIMEDOUT;
	}
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		return errno;
	return error;
}

int
link_connect(struct link *l, int stop_fd, int64_t deadline_us,
	     struct weir_sink_result *res)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int64_t until = now_us(l) + l->connect_us;
	int error = ETIMEDOUT, rc, left = 0;

	rc = getaddrinfo(l->name, l->port, &hints, &list);
	if (rc != 0)
		return result_set(res, WEIR_SINK_NOT_CONNECTED, "RESOLVE",
				  "look at the sink's host and at the resolver",
				  "%s has no address: %s", l->name,
				  gai_strerror(rc));
	if (until > deadline_us)
		until = deadline_us;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		int64_t now = now_us(l);

		/* one that does not answer leaves time for the others */
		error = try_address(l, a, stop_fd,
				    now + (until - now) / left--);
		if (error == 0 || error == ECANCELED)
			break;
		link_close(l);
	}
	freeaddrinfo(list);
	if (error == 0)
		return WEIR_SINK_OK;
	if (error != ECANCELED)
		return link_lost(l, error, "connect", res);
	link_close(l);
	return result_set(res, WEIR_SINK_NOT_CONNECTED, "STOPPED", NULL,
			  "%s port %s is not connected: delivery was asked to "
			  "stop",
			  l->name, l->port);
}
