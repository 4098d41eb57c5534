/* SPDX-License-Identifier: MIT */
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/os.h"

#define BACKLOG	   4096 /* the kernel lowers it to its own bound */
#define PATH_BYTES 4096

/* ---- TCP ------------------------------------------------------------------
 */

static int
cannot_listen(const char *host, unsigned port, const char *what,
	      struct weir_err *err)
{
	switch (errno) {
	case EADDRINUSE:
		return err_sys(err,
			       "port %u on %s is taken by another program "
			       "(`ss -ltnp sport = :%u` shows it); choose "
			       "another one with --%s",
			       port, host, port, what);
	case EACCES:
	case EPERM:
		return err_sys(err,
			       "port %u on %s may not be used by this user; "
			       "choose one above 1023 with --%s",
			       port, host, what);
	case EADDRNOTAVAIL:
		return err_sys(err, "%s is no address of this machine", host);
	default:
		return err_sys(err, "cannot listen on port %u of %s", port,
			       host);
	}
}

static int
listen_on(const struct addrinfo *a)
{
	int on = 1, off = 0, why;
	int fd = os()->socket(a->ai_family, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	(void)os()->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		(void)os()->setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
				       sizeof(off));
	if (os()->bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
	    os()->listen(fd, BACKLOG) == 0)
		return fd;
	why = errno;
	os_close(fd);
	errno = why;
	return -1;
}

int
listen_tcp(const char *host, unsigned port, const char *what,
	   struct weir_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char service[8];
	int fd = -1, rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(err, WEIR_EINPUT,
			       "the host \"%s\" has no address: %s", host,
			       gai_strerror(rc));
	for (const struct addrinfo *a = list; a != NULL && fd < 0;
	     a = a->ai_next)
		fd = listen_on(a);
	rc = fd >= 0 ? fd : cannot_listen(host, port, what, err);
	freeaddrinfo(list);
	return rc;
}

const char *
listen_name(char out[64], int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "";

	out[0] = '\0';
	memset(&a, 0, sizeof(a));
	if (fd < 0 || os()->getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		return out;
	if (a.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&a;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(out, 64, "%s:%u", host, ntohs(in->sin_port));
	} else if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&a;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(out, 64, "[%s]:%u", host, ntohs(in->sin6_port));
	}
	return out;
}

/* ---- the control socket ---------------------------------------------------
 */

/* What stands in our place: nothing, or the socket of a server that is gone. */
static int
clear_place(const char *path, struct weir_err *err)
{
	struct stat st;

	if (os()->stat(path, &st) != 0 && errno == ENOENT)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, WEIR_EINPUT,
			       "%s is in the way of the control socket; "
			       "remove it",
			       path);
	if (os()->unlink(path) != 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s", path);
	return 0;
}

/* The address by way of the folder's descriptor: a path in sockaddr_un has
 * room for 107 bytes. The mode is set before anybody can see it. */
static int
bind_in(int folder, int fd)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/weir.sock",
		 folder);
	if (os()->chmod(fd, 0600) != 0)
		return -1;
	return os()->bind(fd, (const struct sockaddr *)&to, sizeof(to));
}

int
listen_local(const char *dir, struct weir_err *err)
{
	char path[PATH_BYTES];
	int rc, fd, folder;

	snprintf(path, sizeof(path), "%s/weir.sock", dir);
	rc = clear_place(path, err);
	if (rc != 0)
		return rc;
	folder = os_open(dir, O_PATH | O_DIRECTORY, 0, err);
	if (folder < 0)
		return folder;
	fd = os()->socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || bind_in(folder, fd) != 0 ||
	    os()->listen(fd, BACKLOG) != 0) {
		rc = err_sys(err, "cannot listen on %s", path);
		os_close(fd);
		fd = rc;
	}
	os_close(folder);
	return fd;
}

void
listen_remove_local(const char *dir)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/weir.sock", dir);
	(void)os()->unlink(path);
}
