/* SPDX-License-Identifier: MIT */
#include "server/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os.h"
#include "base/str.h"

#define FIRST_FD    3
#define SOCKETS_MAX 16

static struct {
	struct sockaddr_un to;
	socklen_t to_len; /* 0: nobody listens */
	int fd;
	int64_t watchdog_us;
	struct {
		int fd; /* -1: taken */
		char name[64];
	} sockets[SOCKETS_MAX];
	size_t nsockets;
} state = {.fd = -1};

static bool
number_of(uint64_t *out, const char *name)
{
	const char *text = getenv(name);

	return text != NULL && str_u64(out, str_of(text)) == 0;
}

/* A path, or with @ first a name of the abstract namespace. */
static void
learn_address(const char *text)
{
	size_t n = text != NULL ? strlen(text) : 0;

	if (n < 2 || n >= sizeof(state.to.sun_path) ||
	    (text[0] != '/' && text[0] != '@'))
		return;
	state.to.sun_family = AF_UNIX;
	memcpy(state.to.sun_path, text, n + 1);
	if (text[0] == '@')
		state.to.sun_path[0] = '\0';
	state.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	state.fd = os()->socket(AF_UNIX, SOCK_DGRAM, 0);
}

static void
learn_watchdog(void)
{
	uint64_t us = 0, pid = 0;

	if (!number_of(&us, "WATCHDOG_USEC") || us > INT64_MAX)
		return;
	if (number_of(&pid, "WATCHDOG_PID") && pid != (uint64_t)getpid())
		return;
	state.watchdog_us = (int64_t)us / 2;
}

static void
learn_sockets(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint64_t n = 0, pid = 0;

	if (!number_of(&pid, "LISTEN_PID") || pid != (uint64_t)getpid() ||
	    !number_of(&n, "LISTEN_FDS"))
		return;
	for (size_t i = 0; i < n && i < SOCKETS_MAX; i++) {
		size_t len = names != NULL ? strcspn(names, ":") : 0;
		int fd = FIRST_FD + (int)i;

		state.sockets[i].fd = fd;
		snprintf(state.sockets[i].name, sizeof(state.sockets[i].name),
			 "%.*s", (int)(len < 63 ? len : 63),
			 names != NULL ? names : "");
		if (names != NULL)
			names += len + (names[len] == ':');
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		state.nsockets = i + 1;
	}
}

void
notify_init(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
					    "WATCHDOG_PID",  "LISTEN_PID",
					    "LISTEN_FDS",    "LISTEN_FDNAMES"};

	learn_address(getenv("NOTIFY_SOCKET"));
	learn_watchdog();
	learn_sockets();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unsetenv(names[i]);
}

void
notify_send(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	if (state.to_len == 0 || state.fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n <= 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	while (os()->sendto(state.fd, text, (size_t)n,
			    (const struct sockaddr *)&state.to,
			    state.to_len) < 0 &&
	       errno == EINTR)
		continue;
}

int64_t
notify_watchdog(void)
{
	return state.watchdog_us;
}

int
notify_socket(const char *name)
{
	for (size_t i = 0; i < state.nsockets; i++) {
		bool only = state.nsockets == 1 && strcmp(name, "http") == 0 &&
			    strcmp(state.sockets[i].name, "text") != 0;
		int fd = state.sockets[i].fd;

		if (fd < 0 ||
		    (!only && strcmp(state.sockets[i].name, name) != 0))
			continue;
		state.sockets[i].fd = -1;
		return fd;
	}
	return -1;
}
