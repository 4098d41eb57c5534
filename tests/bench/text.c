/* SPDX-License-Identifier: MIT */
/*
 * The text protocol: publishes of one client that does not wait for answers,
 * of 64 that do, one event to a thousand subscribers, what a subscriber reads
 * from the beginning, and how soon an event is there. The server runs in a
 * thread of this process. Beside publishing: the same records given to
 * store_submit. Beside the thousand: bare send of the same bytes to as many
 * sockets.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"
#include "base/str.h"
#include "model/config.h"
#include "server/listen.h"
#include "server/text.h"
#include "store/store.h"

#define MANY	1000u
#define WAITERS 64u
#define DATA	200u

static unsigned publishes = 100000, fanned = 200, singles = 5000;

/* ---- the server ---------------------------------------------------------- */

static struct server {
	char dir[BENCH_PATH];
	struct store *store;
	struct config *config;
	struct text *text;
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	int port;
} srv;

static void
on_stopped(void *cookie)
{
	(void)cookie;
	uv_close((uv_handle_t *)&srv.stop, NULL);
}

static void
on_stop(uv_async_t *h)
{
	(void)h;
	text_close(srv.text, on_stopped, NULL);
}

static void *
serve(void *arg)
{
	(void)arg;
	uv_run(&srv.loop, UV_RUN_DEFAULT);
	return NULL;
}

static void
open_store(void)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct weir_err err;

	bench_make_dir(srv.dir);
	if (store_open(&srv.store, srv.dir, &o, &err) != 0)
		bench_die(srv.dir, err.msg);
}

static void
close_store(void)
{
	store_close(srv.store);
	bench_drop(srv.dir);
}

static void
start(void)
{
	struct text_options t = {.loop = &srv.loop};
	struct weir_err err;
	char name[64];

	open_store();
	if (config_load(&srv.config, NULL, srv.dir, &err) != 0)
		bench_die("settings", err.msg);
	uv_loop_init(&srv.loop);
	uv_async_init(&srv.loop, &srv.stop, on_stop);
	t.store = srv.store;
	t.config = srv.config;
	t.fd = listen_tcp("127.0.0.1", 0, "text-port", &err);
	if (t.fd < 0)
		bench_die("listen", err.msg);
	srv.port = atoi(strrchr(listen_name(name, t.fd), ':') + 1);
	if (text_start(&srv.text, &t, &err) != 0)
		bench_die("start", err.msg);
	pthread_create(&srv.thread, NULL, serve, NULL);
}

static void
stop(void)
{
	uv_async_send(&srv.stop);
	pthread_join(srv.thread, NULL);
	uv_loop_close(&srv.loop);
	config_free(srv.config);
	close_store();
}

/* ---- clients ----------------------------------------------------------------
 */

static char line[400]; /* a publish */
static size_t line_len;
static char sink[1 << 20];

static void
make_line(void)
{
	int n = snprintf(line, sizeof(line), "Publish\ttag one\t0\t");

	memset(line + n, 'x', DATA);
	line_len = (size_t)n + DATA;
	line[line_len++] = '\n';
}

static void
put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k <= 0)
			bench_die("send", strerror(errno));
		p += k;
		n -= (size_t)k;
	}
}

/* Reads; how many lines ended in it. */
static unsigned
take(int fd, int flags)
{
	ssize_t n = recv(fd, sink, sizeof(sink), flags);
	unsigned ends = 0;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		bench_die("recv", n < 0 ? strerror(errno) : "closed");
	for (char *p = sink; (p = memchr(p, '\n', (size_t)(sink + n - p))); p++)
		ends++;
	return ends;
}

static void
take_lines(int fd, unsigned n)
{
	while (n > 0)
		n -= take(fd, 0);
}

static int
join(const char *more)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)srv.port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const char *hello = "Connect\tbench\n";

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		bench_die("connect", strerror(errno));
	put(fd, hello, strlen(hello));
	take_lines(fd, 1);
	if (more != NULL) {
		put(fd, more, strlen(more));
		take_lines(fd, 1);
	}
	return fd;
}

/* ---- publishing
 * ---------------------------------------------------------------- */

static void *
pour(void *arg)
{
	int fd = *(int *)arg;
	char block[64 * sizeof(line)];
	size_t n = 0;

	for (unsigned i = 0; i < 64; i++, n += line_len)
		memcpy(block + n, line, line_len);
	for (unsigned i = 0; i < publishes / 64; i++)
		put(fd, block, n);
	return NULL;
}

static double
pipelined(int fd)
{
	double from = bench_now();
	pthread_t t;

	pthread_create(&t, NULL, pour, &fd);
	take_lines(fd, publishes / 64 * 64);
	pthread_join(t, NULL);
	return publishes / 64 * 64 / (bench_now() - from);
}

static sem_t answered;

static void
on_answer(const struct store_answer *a, int rc, const struct receipt *r,
	  size_t n, const struct weir_err *err)
{
	(void)a;
	(void)r;
	(void)n;
	if (rc != 0)
		bench_die("submit", err->msg);
	sem_post(&answered);
}

/* As many with the same content, without sockets. */
static double
submitted(void)
{
	struct weir_str tags[] = {STR("tag"), STR("one")};
	struct store_answer to = {.fn = on_answer};
	struct record_draft d = {
		.content = WEIR_CONTENT_TEXT,
		.aggregate_type = STR("collection"),
		.aggregate_id = STR("bench"),
		.event_type = STR("published"),
		.payload = {line + line_len - 1 - DATA, DATA},
		.tags = tags,
		.ntags = 2,
		.expected = EXPECT_ANY,
	};
	struct weir_err err;

	open_store();
	sem_init(&answered, 0, 0);
	double from = bench_now();
	for (unsigned i = 0; i < publishes; i++) {
		/* no more under way than one connection may have */
		if (i >= 1024)
			sem_wait(&answered);
		if (store_submit(srv.store, &d, 1, 0, &to, &err) != 0)
			bench_die("submit", err.msg);
	}
	for (unsigned i = 0; i < publishes && i < 1024; i++)
		sem_wait(&answered);
	double rate = publishes / (bench_now() - from);
	close_store();
	return rate;
}

/* Each waits for its answer before the next. */
static double
waiting(void)
{
	struct pollfd p[WAITERS];
	unsigned left = publishes / 4, done = 0;

	for (unsigned i = 0; i < WAITERS; i++) {
		p[i] = (struct pollfd){.fd = join(NULL), .events = POLLIN};
		put(p[i].fd, line, line_len);
	}
	double from = bench_now();
	while (done < left) {
		if (poll(p, WAITERS, -1) < 0)
			bench_die("poll", strerror(errno));
		for (unsigned i = 0; i < WAITERS; i++)
			if ((p[i].revents & POLLIN) && take(p[i].fd, 0) > 0) {
				done++;
				put(p[i].fd, line, line_len);
			}
	}
	double rate = left / (bench_now() - from);
	for (unsigned i = 0; i < WAITERS; i++) {
		take_lines(p[i].fd, 1);
		close(p[i].fd);
	}
	return rate;
}

/* ---- following
 * ------------------------------------------------------------------ */

static void
take_of_all(const int *fd, unsigned n)
{
	for (unsigned i = 0; i < MANY; i++)
		take_lines(fd[i], n);
}

/* One that follows from now on: all records are events of one collection. */
static int
join_now(void)
{
	char ask[80];

	snprintf(ask, sizeof(ask), "Subscribe\ttrue\t%llu\n",
		 (unsigned long long)store_last(srv.store));
	return join(ask);
}

/* Eight events at a time are on their way to all. */
static double
fan_out(void)
{
	static int fd[MANY];
	int writer = join(NULL);

	for (unsigned i = 0; i < MANY; i++)
		fd[i] = join_now();
	double from = bench_now();
	for (unsigned k = 0; k < fanned; k += 8) {
		for (unsigned i = 0; i < 8; i++)
			put(writer, line, line_len);
		take_lines(writer, 8);
		take_of_all(fd, 8);
	}
	double rate = fanned * (double)MANY / (bench_now() - from);
	for (unsigned i = 0; i < MANY; i++)
		close(fd[i]);
	close(writer);
	return rate;
}

static void *
send_bare(void *arg)
{
	const int *fd = arg;

	for (unsigned k = 0; k < fanned; k++)
		for (unsigned i = 0; i < MANY; i++)
			put(fd[2 * i], line, line_len);
	return NULL;
}

static void
pair(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	int ear = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(ear, (struct sockaddr *)&a, n) != 0 || listen(ear, 1) != 0 ||
	    getsockname(ear, (struct sockaddr *)&a, &n) != 0 ||
	    connect(fd[1], (struct sockaddr *)&a, n) != 0 ||
	    (fd[0] = accept(ear, NULL, NULL)) < 0)
		bench_die("a pair of sockets", strerror(errno));
	setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(ear);
}

static double
fan_out_bare(void)
{
	static int fd[2 * MANY];
	unsigned have[MANY] = {0};
	pthread_t t;

	for (unsigned i = 0; i < MANY; i++)
		pair(fd + 2 * i);
	double from = bench_now();
	pthread_create(&t, NULL, send_bare, fd);
	for (unsigned k = 0; k < fanned; k += 8)
		for (unsigned i = 0; i < MANY; i++)
			while (have[i] < k + 8)
				have[i] += take(fd[2 * i + 1], 0);
	pthread_join(t, NULL);
	double rate = fanned * (double)MANY / (bench_now() - from);
	for (unsigned i = 0; i < 2 * MANY; i++)
		close(fd[i]);
	return rate;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* us from a publish to its answer and to its event, p50. */
static void
single(double *answer, double *event)
{
	int writer = join(NULL), reader = join_now();
	static double us[2][5000];

	for (unsigned i = 0; i < singles; i++) {
		struct pollfd p[] = {{.fd = writer, .events = POLLIN},
				     {.fd = reader, .events = POLLIN}};
		double from = bench_now();
		unsigned left = 2;

		put(writer, line, line_len);
		while (left > 0) {
			poll(p, 2, -1);
			for (unsigned k = 0; k < 2; k++) {
				if (p[k].fd < 0 || !(p[k].revents & POLLIN))
					continue;
				take_lines(p[k].fd, 1);
				us[k][i] = (bench_now() - from) * 1e6;
				p[k].fd = -1;
				left--;
			}
		}
	}
	close(writer);
	close(reader);
	for (unsigned k = 0; k < 2; k++)
		qsort(us[k], singles, sizeof(us[k][0]), by_size);
	*answer = us[0][singles / 2];
	*event = us[1][singles / 2];
}

/* ---- reading from the beginning
 * -------------------------------------------------- */

static double
replay(const char *tag, unsigned lines)
{
	char ask[80];
	int fd = join(NULL);

	snprintf(ask, sizeof(ask), "Subscribe\tfalse\t0\t0%s%s\n",
		 tag != NULL ? "\t" : "", tag != NULL ? tag : "");
	double from = bench_now();
	put(fd, ask, strlen(ask));
	take_lines(fd, lines + 2);
	double rate = (double)store_last(srv.store) / (bench_now() - from);
	close(fd);
	return rate;
}

int
main(int argc, char **argv)
{
	struct row pipe = {.name = "publishes, one client ahead of answers",
			   .unit = "events/s",
			   .baseline_name = "store_submit"},
		   wait = {.name = "publishes, 64 clients that wait",
			   .unit = "events/s"},
		   fan = {.name = "events to 1000 subscribers",
			  .unit = "events/s",
			  .baseline_name = "bare send"},
		   late = {.name = "from a publish to its event, p50",
			   .unit = "us",
			   .baseline_name = "its answer"},
		   all = {.name = "a stream from the beginning",
			  .unit = "events/s"},
		   tag = {.name = "a stream by a tag that nothing has",
			  .unit = "records/s"};
	struct rlimit files;
	double answer, event;

	bench_start(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (bench.quick) {
		publishes = 30000;
		fanned = 80;
		singles = 1000;
	}
	make_line();
	for (unsigned i = 0; i < bench.rounds; i++) {
		sample_add(&pipe.baseline, submitted());
		start();
		int fd = join(NULL);
		sample_add(&pipe.value, pipelined(fd));
		close(fd);
		sample_add(&all.value,
			   replay(NULL, (unsigned)store_last(srv.store)));
		sample_add(&tag.value, replay("none", 0));
		sample_add(&wait.value, waiting());
		single(&answer, &event);
		sample_add(&late.value, event);
		sample_add(&late.baseline, answer);
		sample_add(&fan.value, fan_out());
		sample_add(&fan.baseline, fan_out_bare());
		stop();
	}
	bench_row(&pipe);
	bench_row(&wait);
	bench_row(&fan);
	bench_row(&late);
	bench_row(&all);
	bench_row(&tag);
	bench_end();
	return 0;
}
