/* SPDX-License-Identifier: MIT */
/*
 * The text protocol when memory can't be had: each allocation of a conversation
 * fails in turn. Whatever the client gets is true, the next one gets all, and
 * nothing is left at the end. tests/system/test_text.py has the rest.
 */
#include "store_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/os.h"
#include "model/config.h"
#include "server/listen.h"
#include "server/text.h"

#define PATIENCE 60 /* s; how long a test that fails takes */

static struct os table;
static struct weir_err err;
static char *dir;
static struct store *store;
static struct config *config;
static struct text *text;
static uv_loop_t loop;
static uv_async_t stop;
static pthread_t thread;
static bool running;
static int port;

/* ---- scarce memory
 * -------------------------------------------------------------- */

static _Atomic unsigned until_none;
static _Atomic bool failed;

static void *
scarce(void *p, size_t n)
{
	unsigned left = until_none;

	while (left > 0 &&
	       !atomic_compare_exchange_weak(&until_none, &left, left - 1))
		continue;
	if (left == 1) {
		failed = true;
		return NULL;
	}
	return os_real()->realloc(p, n);
}

/* ---- the server ------------------------------------------------------------
 */

static void
on_closed(void *cookie)
{
	(void)cookie;
	uv_close((uv_handle_t *)&stop, NULL);
}

static void
on_stop(uv_async_t *h)
{
	(void)h;
	text_close(text, on_closed, NULL);
}

static void *
run_loop(void *arg)
{
	(void)arg;
	uv_run(&loop, UV_RUN_DEFAULT);
	return NULL;
}

static void
stop_thread(void)
{
	until_none = 0;
	uv_async_send(&stop);
	pthread_join(thread, NULL);
	running = false;
}

static int
listen_somewhere(void)
{
	char name[64];
	int fd = listen_tcp("127.0.0.1", 0, "text-port", &err);

	assert_true(fd >= 0);
	port = atoi(strrchr(listen_name(name, fd), ':') + 1);
	return fd;
}

static int
setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	table = *os_real();
	table.realloc = scarce;
	os_set(&table);
	dir = folder_make();
	store = must_write(dir);
	assert_ok(config_load(&config, NULL, dir, &err), err);
	assert_int_equal(uv_loop_init(&loop), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (running)
		stop_thread();
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	config_free(config);
	store_close(store);
	os_set(NULL);
	folder_drop(dir);
	return 0;
}

/* ---- a client
 * ---------------------------------------------------------------- */

static const char said[] = "Connect\tcol\n"
			   "Publish\ta b\t1000\tone\nPublish\tb\t1000\ttwo\n"
			   "Publish\t\t0\tno tag\n"
			   "Subscribe\tfalse\t0\n"
			   "Subscribe\tfalse\t0\t1\tb\n"
			   "Publish\ta\t1000\tthree\n"
			   "Subscribe\ttrue\t1\n";

/* Says all of it, half a line apart, and gives what came until the end. */
static char *
converse(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval patience = {PATIENCE, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char piece[4096], *all = NULL;
	size_t len = 0;
	ssize_t n;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	/* It may be cut off meanwhile. */
	(void)send(fd, said, 20, MSG_NOSIGNAL);
	(void)send(fd, said + 20, sizeof(said) - 21, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		all = realloc(all, len + (size_t)n + 1);
		memcpy(all + len, piece, (size_t)n);
		len += (size_t)n;
	}
	if (n < 0 && errno != ECONNRESET)
		fail_msg("no answer in time: %s", strerror(errno));
	close(fd);
	if (all == NULL)
		return calloc(1, 1);
	all[len] = '\0';
	return all;
}

static bool
begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* No line says what is not so: ids of events rise by one in a stream, and what
 * was published is there. */
static void
is_true(const char *answers)
{
	unsigned long long last = 0, id;
	struct head head = {0};

	(void)store_head(store, &head, STR("collection"), STR("col"), NULL);
	for (const char *at = answers; *at != '\0';) {
		const char *end = strchr(at, '\n');

		if (end == NULL)
			return; /* cut off */
		if (begins(at, "Subscribed"))
			last = 0;
		else if (sscanf(at, "Event\t%llu\t", &id) == 1) {
			if (last != 0 && id != last + 1)
				fail_msg("event %llu behind %llu", id, last);
			last = id;
		} else if (sscanf(at, "Published\t%llu\n", &id) == 1)
			assert_in_range(id, 1, head.version);
		else if (!begins(at, "Connected\n") && !begins(at, "Error\t") &&
			 !begins(at, "EndOfEventStream\n"))
			fail_msg("unknown: %.60s", at);
		at = end + 1;
	}
}

static unsigned
count(const char *s, const char *word)
{
	unsigned n = 0;

	for (; (s = strstr(s, word)) != NULL; s++)
		n++;
	return n;
}

/* ---- tests
 * ------------------------------------------------------------------------ */

static bool
is_whole(const char *answers)
{
	return count(answers, "Published\t") == 3 &&
	       count(answers, "Subscribed\n") == 3 &&
	       count(answers, "EndOfEventStream\n") == 3 &&
	       count(answers, "\nError\t") == 1;
}

static void
test_no_memory(void **state)
{
	struct text_options o = {
		.loop = &loop, .store = store, .config = config};

	(void)state;
	o.fd = listen_somewhere();
	assert_int_equal(uv_async_init(&loop, &stop, on_stop), 0);
	assert_ok(text_start(&text, &o, &err), err);
	assert_int_equal(pthread_create(&thread, NULL, run_loop, NULL), 0);
	running = true;
	for (unsigned nth = 1, calm = 0; calm < 3; nth++) {
		failed = false;
		until_none = nth;
		char *answers = converse();
		until_none = 0;
		is_true(answers);
		calm = failed ? 0 : calm + 1;
		free(answers);
		/* With memory all is well. */
		answers = converse();
		is_true(answers);
		if (!is_whole(answers))
			fail_msg("after call %u: %s", nth, answers);
		free(answers);
	}
	stop_thread();
}

static void
test_start_without_memory(void **state)
{
	struct text_options o = {
		.loop = &loop, .store = store, .config = config};
	int rc = -1;

	(void)state;
	for (unsigned nth = 1; rc != 0; nth++) {
		o.fd = listen_somewhere();
		until_none = nth;
		rc = text_start(&text, &o, &err);
		until_none = 0;
		if (rc != 0)
			assert_int_equal(rc, WEIR_ENOMEM);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	text_drain(text);
	text_close(text, NULL, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_start_without_memory,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
