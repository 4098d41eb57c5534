/* SPDX-License-Identifier: MIT */
/*
 * Handing a line to the kernel. The syslog daemon may come and go, so each
 * datagram names its address. Whoever should read a pipe or a socket may hang:
 * a message waits for that a tenth of a second, and those of the next second
 * not at all.
 */
#include "base/diag_int.h"

#include "base/clock.h"
#include "base/os.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DATAGRAM_MAX 8192u
#define WAIT_MS	     100
#define DEAF_US	     1000000

static _Atomic int64_t deaf_until; /* monotonic */
static _Atomic uint64_t lost;

bool
diag_out_ready(const struct diag_way *way)
{
	struct pollfd p = {.fd = way->fd, .events = POLLOUT};
	int n;

	if (way->target == DIAG_SYSLOG || way->target == DIAG_FILE)
		return true;
	n = os()->poll(&p, 1, 0);
	if (n == 0 && clock_monotonic() >= atomic_load(&deaf_until)) {
		n = os()->poll(&p, 1, WAIT_MS);
		if (n == 0)
			atomic_store(&deaf_until, clock_monotonic() + DEAF_US);
	}
	if (n != 0)
		return true;
	atomic_fetch_add(&lost, 1);
	return false;
}

uint64_t
diag_out_lost(void)
{
	return atomic_load(&lost) != 0 ? atomic_exchange(&lost, 0) : 0;
}

static void
write_out(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = os()->write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		p += put;
		n -= (size_t)put;
	}
}

static void
send_out(const struct diag_way *way, const char *p, size_t n)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	ssize_t sent;

	memcpy(to.sun_path, way->socket, sizeof(to.sun_path));
	if (n > 0 && p[n - 1] == '\n')
		n--;
	if (n > DATAGRAM_MAX)
		n = DATAGRAM_MAX;
	do
		sent = os()->sendto(way->fd, p, n,
				    (const struct sockaddr *)(const void *)&to,
				    sizeof(to));
	while (sent < 0 && errno == EINTR);
}

void
diag_out(const struct diag_way *way, const char *p, size_t n)
{
	int keep = errno;

	if (way->target == DIAG_SYSLOG)
		send_out(way, p, n);
	else
		write_out(way->fd, p, n);
	errno = keep;
}
