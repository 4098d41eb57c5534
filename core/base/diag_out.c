/* SPDX-License-Identifier: MIT */
/*
 * Handing a line to the kernel. The syslog daemon may come and go, so each
 * datagram names its address.
 */
#include "base/diag_int.h"

#include "base/os.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DATAGRAM_MAX 8192u

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
