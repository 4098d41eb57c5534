/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/events against a bare libmicrohttpd.
 *
 *   http load HOST PORT CONNECTIONS SECONDS [TOKEN]   prints requests/s and
 *                                                     times of an answer
 *   http bare THREADS ANSWER                          serves, prints its port
 *
 * load keeps CONNECTIONS open, one request on each at a time, all from one
 * thread. bare takes a body, answers what the file ANSWER holds (an answer of
 * weir's, head and body), and stores nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TIMES_MOST  (4u << 20)
#define FIELDS_MOST 16

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- bare ---------------------------------------------------------------- */

static char answer[16384], *body;
static size_t body_len;
static struct {
	const char *name, *value;
} field[FIELDS_MOST];
static size_t nfields;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* The library adds Date and Content-Length. */
static void
take_answer(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line, *end, *colon;
	size_t n;

	if (f == NULL)
		die(path);
	n = fread(answer, 1, sizeof(answer) - 1, f);
	fclose(f);
	body = strstr(answer, "\r\n\r\n");
	if (body == NULL)
		die("no head");
	body += 4;
	body_len = n - (size_t)(body - answer);
	line = strstr(answer, "\r\n") + 2;
	for (; line < body - 2; line = end + 2) {
		end = strstr(line, "\r\n");
		*end = '\0';
		colon = strchr(line, ':');
		*colon = '\0';
		if (strcmp(line, "Date") == 0 ||
		    strcmp(line, "Content-Length") == 0)
			continue;
		if (nfields == FIELDS_MOST)
			die("too many fields");
		field[nfields].name = line;
		field[nfields++].value = colon + 2;
	}
}

static enum MHD_Result
go(void *cls, struct MHD_Connection *m, const char *url, const char *method,
   const char *version, const char *data, size_t *n, void **cookie)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	(void)cls;
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	if (*cookie == NULL) {
		*cookie = answer;
		return MHD_YES;
	}
	if (*n > 0) {
		*n = 0;
		return MHD_YES;
	}
	r = MHD_create_response_from_buffer(body_len, body,
					    MHD_RESPMEM_PERSISTENT);
	for (size_t i = 0; i < nfields; i++)
		MHD_add_response_header(r, field[i].name, field[i].value);
	ok = MHD_queue_response(m, 201, r);
	MHD_destroy_response(r);
	return ok;
}

static int
bare(unsigned threads)
{
	struct MHD_Daemon *d;

	d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, go,
			     NULL, MHD_OPTION_THREAD_POOL_SIZE, threads,
			     MHD_OPTION_CONNECTION_LIMIT, 16384u,
			     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
			     MHD_OPTION_END);
	if (d == NULL)
		return 1;
	printf("port %u\n",
	       (unsigned)MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)
		       ->port);
	fflush(stdout);
	while (getchar() != EOF)
		;
	MHD_stop_daemon(d);
	return 0;
}

/* ---- load ---------------------------------------------------------------- */

struct client {
	int fd;
	unsigned number;
	int64_t sent;
	size_t have; /* of the answer */
	char in[4096];
};

static uint32_t *times;
static size_t ntimes;
static uint64_t made;
static const char *token;

static void
ask(struct client *c)
{
	char event[512], text[1024];
	int n, k;

	n = snprintf(event, sizeof(event),
		     "{\"aggregate_type\":\"account\",\"aggregate_id\":"
		     "\"account-%u-%u\",\"event_type\":\"deposited\","
		     "\"payload\":{\"amount\":\"%llu.00\",\"currency\":"
		     "\"EUR\",\"note\":\"a note of some length, as they are "
		     "in the life of an account\"}}",
		     c->number, (unsigned)(made % 1000),
		     (unsigned long long)made);
	k = snprintf(text, sizeof(text),
		     "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
		     "Authorization: Bearer %s\r\n"
		     "Content-Type: application/json\r\n"
		     "Content-Length: %d\r\n\r\n%s",
		     token, n, event);
	made++;
	c->sent = now_us();
	c->have = 0;
	if (write(c->fd, text, (size_t)k) != k)
		die("write");
}

/* True when the answer is whole. */
static int
answered(struct client *c)
{
	ssize_t n = read(c->fd, c->in + c->have, sizeof(c->in) - c->have - 1);
	char *end, *length;

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return 0;
		fprintf(stderr, "the server closed a connection\n");
		exit(1);
	}
	c->have += (size_t)n;
	c->in[c->have] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	length = strstr(c->in, "Content-Length: ");
	if (length == NULL || length > end ||
	    strncmp(c->in, "HTTP/1.1 201", 12) != 0) {
		fprintf(stderr, "not the answer that was wanted:\n%s\n", c->in);
		exit(1);
	}
	return c->have - (size_t)(end + 4 - c->in) >= (size_t)atol(length + 16);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static struct client *
connect_all(int epoll, const char *host, int port, unsigned n)
{
	struct client *c = calloc(n, sizeof(*c));
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, host, &to.sin_addr);
	for (unsigned i = 0; i < n; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &c[i]};
		int one = 1;

		c[i].number = i;
		c[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (c[i].fd < 0 ||
		    connect(c[i].fd, (struct sockaddr *)&to, sizeof(to)) != 0)
			die("connect");
		setsockopt(c[i].fd, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
		fcntl(c[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(epoll, EPOLL_CTL_ADD, c[i].fd, &e);
		ask(&c[i]);
	}
	return c;
}

static int
load(const char *host, int port, unsigned n, double seconds)
{
	int epoll = epoll_create1(0);
	struct client *c = connect_all(epoll, host, port, n);
	struct epoll_event events[256];
	int64_t began = now_us(), end = began + (int64_t)(seconds * 1e6), t;

	times = malloc(TIMES_MOST * sizeof(*times));
	while ((t = now_us()) < end) {
		int k = epoll_wait(epoll, events, 256, 100);

		for (int i = 0; i < k; i++) {
			struct client *one = events[i].data.ptr;

			if (!answered(one))
				continue;
			if (ntimes < TIMES_MOST)
				times[ntimes++] =
					(uint32_t)(now_us() - one->sent);
			ask(one);
		}
	}
	if (ntimes == 0)
		return 1;
	qsort(times, ntimes, sizeof(*times), compare);
	printf("%.0f requests/s, median %u us, p99 %u us, most %u us\n",
	       (double)ntimes * 1e6 / (double)(t - began), times[ntimes / 2],
	       times[ntimes / 100 * 99], times[ntimes - 1]);
	free(c);
	free(times);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "bare") == 0) {
		take_answer(argv[3]);
		return bare((unsigned)atoi(argv[2]));
	}
	if (argc < 6 || strcmp(argv[1], "load") != 0)
		return 2;
	token = argc > 6 ? argv[6] : "none";
	return load(argv[2], atoi(argv[3]), (unsigned)atoi(argv[4]),
		    atof(argv[5]));
}
