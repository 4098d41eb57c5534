/* SPDX-License-Identifier: MIT */
/* Peers that do as little as can be done, and the bare curl multi loop. One
 * thread each, so that a machine of two cores keeps one for the other side. */
#include "sinks_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS 256
#define PIECE (256u << 10)

struct peer {
	int fd;
	size_t have; /* of the head, in text */
	size_t body; /* bytes of the body still to come */
	char text[8192];
};

static int
listen_here(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 ||
	    listen(fd, 128) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0)
		bench_die("listen", strerror(errno));
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static int
drain(struct peer *p, char *piece)
{
	return read(p->fd, piece, PIECE) > 0;
}

/* Takes requests out of what came in and answers each; 0: the end. */
static int
answer(struct peer *p, char *piece)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	ssize_t got = read(p->fd, piece, PIECE);
	size_t at = 0, n;

	if (got <= 0)
		return 0;
	n = (size_t)got;
	while (at < n) {
		if (p->body == 0) {
			char *end, *length;

			if (p->have + 1 == sizeof(p->text))
				return 0;
			p->text[p->have++] = piece[at++];
			p->text[p->have] = '\0';
			end = p->have >= 4 ? p->text + p->have - 4 : NULL;
			if (end == NULL || memcmp(end, "\r\n\r\n", 4) != 0)
				continue;
			length = strcasestr(p->text, "\ncontent-length:");
			p->body = length != NULL
					  ? strtoul(length + 16, NULL, 10)
					  : 0;
			p->have = 0;
		} else {
			size_t part = n - at < p->body ? n - at : p->body;

			p->body -= part;
			at += part;
		}
		if (p->body == 0 && p->have == 0 &&
		    write(p->fd, ok, sizeof(ok) - 1) < 0)
			return 0;
	}
	return 1;
}

static void
serve(int (*take)(struct peer *p, char *piece))
{
	int listener = listen_here(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct peer *peers = calloc(PEERS, sizeof(*peers));
	struct epoll_event e = {.events = EPOLLIN}, list[PEERS];
	char *piece = malloc(PIECE);
	size_t n = 0;

	if (peers == NULL || piece == NULL || ep < 0)
		bench_die("peer", "no memory");
	e.data.ptr = NULL;
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	e.data.ptr = piece;
	epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &e);
	for (;;) {
		int k = epoll_wait(ep, list, PEERS, -1);

		for (int i = 0; i < k; i++) {
			struct peer *p = list[i].data.ptr;

			if ((void *)p == piece)
				exit(0);
			if (p != NULL) {
				if (!take(p, piece))
					close(p->fd);
				continue;
			}
			if (n == PEERS)
				bench_die("peer", "too many connections");
			p = &peers[n++];
			p->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
				   sizeof(int));
			e.data.ptr = p;
			epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &e);
		}
	}
}

void
peer_drain(void)
{
	serve(drain);
}

void
peer_http(void)
{
	serve(answer);
}

#ifdef HAVE_CURL
#include <curl/curl.h>

static CURL *
post_new(const char *url, const char *body, size_t bytes,
	 struct curl_slist *headers)
{
	CURL *c = curl_easy_init();

	if (c == NULL)
		bench_die("curl", "no handle");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	return c;
}

double
bare_post(const char *port, uint64_t n, size_t bytes, unsigned parallel)
{
	CURLM *m = curl_multi_init();
	struct curl_slist *headers =
		curl_slist_append(NULL, "Content-Type: application/json");
	char *body = malloc(bytes + 1), url[64];
	uint64_t begun = 0, done = 0;
	int running = 0, left;
	CURLMsg *msg;

	if (m == NULL || headers == NULL || body == NULL)
		bench_die("curl", "no memory");
	memset(body, 'x', bytes);
	snprintf(url, sizeof(url), "http://127.0.0.1:%s/", port);
	double from = bench_now();
	for (; begun < parallel && begun < n; begun++)
		curl_multi_add_handle(m, post_new(url, body, bytes, headers));
	while (done < n) {
		curl_multi_perform(m, &running);
		while ((msg = curl_multi_info_read(m, &left)) != NULL) {
			CURL *c = msg->easy_handle;

			if (msg->data.result != CURLE_OK)
				bench_die("post",
					  curl_easy_strerror(msg->data.result));
			done++;
			curl_multi_remove_handle(m, c);
			if (begun < n) {
				begun++;
				curl_multi_add_handle(m, c);
			} else {
				curl_easy_cleanup(c);
			}
		}
		if (done < n)
			curl_multi_poll(m, NULL, 0, 1000, NULL);
	}
	double took = bench_now() - from;
	curl_multi_cleanup(m);
	curl_slist_free_all(headers);
	free(body);
	return (double)n / took;
}
#else
double
bare_post(const char *port, uint64_t n, size_t bytes, unsigned parallel)
{
	(void)n, (void)bytes, (void)parallel;
	bench_die(port, "built without curl");
}
#endif
