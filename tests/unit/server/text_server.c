/* SPDX-License-Identifier: MIT */
/*
 * Serves the text protocol of a store on a free port, of 127.0.0.1 unless
 * another address is given, for tests:
 *
 *   text_server DIR [ADDRESS]
 *
 * Prints the port, then obeys lines on stdin and answers each with one line:
 *
 *   append<T>id<T>content<T>payload   content: text, json, bytes, tagless,
 *                                     archive; \n, \r are line ends
 *   other<T>count                     records of another aggregate
 *   metrics                           all of them, spaces for line ends
 *   reload                            reads the settings again
 *   drain                             ... and answers when nobody is left
 *
 * At the end of stdin it closes what is left and exits 0.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"
#include "server/listen.h"
#include "server/text.h"
#include "store/store.h"

static uv_loop_t loop;
static uv_pipe_t in;
static uv_timer_t look;
static struct store *store;
static struct config *config;
static struct text *text;
static const char *dir;
static char line[1 << 16];
static size_t have;

/* A start that failed leaves handles to the loop. */
static int
not_started(const struct weir_err *err)
{
	fprintf(stderr, "text_server: %s\n", err->msg);
	uv_close((uv_handle_t *)&look, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	store_close(store);
	config_free(config);
	return uv_loop_close(&loop) == 0 ? 1 : 3;
}

static _Noreturn void
die(const struct weir_err *err)
{
	fprintf(stderr, "text_server: %s\n", err->msg);
	exit(1);
}

static void
answer(const char *s)
{
	printf("%s\n", s);
	fflush(stdout);
}

static size_t
unescape(char *s)
{
	char *to = s;

	for (const char *p = s; *p != '\0'; p++)
		if (p[0] == '\\' && (p[1] == 'n' || p[1] == 'r'))
			*to++ = *++p == 'n' ? '\n' : '\r';
		else
			*to++ = *p;
	*to = '\0';
	return (size_t)(to - s);
}

static void
append(char *id, const char *content, char *payload)
{
	struct weir_str tag = STR("made");
	struct record_draft d = {
		.aggregate_type = STR("collection"),
		.aggregate_id = str_of(id),
		.event_type = STR("made"),
		.tags = &tag,
		.ntags = 1,
		.content = WEIR_CONTENT_TEXT,
		.has_created_at = true,
		.created_at = -1,
		.expected = EXPECT_ANY,
	};
	struct receipt r;
	struct weir_err err;

	d.payload = (struct weir_str){payload, unescape(payload)};
	if (strcmp(content, "json") == 0)
		d.content = WEIR_CONTENT_JSON;
	else if (strcmp(content, "bytes") == 0)
		d.content = WEIR_CONTENT_BYTES;
	else if (strcmp(content, "tagless") == 0)
		d.ntags = 0;
	else if (strcmp(content, "archive") == 0) {
		d.op = WEIR_OP_ARCHIVED;
		d.content = WEIR_CONTENT_JSON;
	}
	if (store_commit(store, &r, &d, 1, &err) != 0)
		die(&err);
	answer("ok");
}

static void
others(unsigned n)
{
	struct record_draft d = {
		.aggregate_type = STR("order"),
		.aggregate_id = STR("1"),
		.event_type = STR("made"),
		.payload = STR("{}"),
		.expected = EXPECT_ANY,
	};
	struct receipt r;
	struct weir_err err;

	for (unsigned i = 0; i < n; i++)
		if (store_commit(store, &r, &d, 1, &err) != 0)
			die(&err);
	answer("ok");
}

static void
metrics(void)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	text_metrics(text, &b);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n')
			b.data[i] = ' ';
	answer(buf_cstr(&b));
	buf_fini(&b);
}

static void
on_look(uv_timer_t *h)
{
	if (text_connections(text) > 0)
		return;
	uv_timer_stop(h);
	answer("ok");
}

static void
read_settings(void)
{
	struct weir_err err;

	config_free(config);
	if (config_load(&config, NULL, dir, &err) != 0)
		die(&err);
}

static void
obey(char *s)
{
	char *word = strtok(s, "\t"), *a = strtok(NULL, "\t"),
	     *b = strtok(NULL, "\t"), *c = strtok(NULL, "");

	if (strcmp(word, "append") == 0)
		append(a, b, c != NULL ? c : (char[]){'\0'});
	else if (strcmp(word, "other") == 0)
		others((unsigned)atoi(a));
	else if (strcmp(word, "metrics") == 0)
		metrics();
	else if (strcmp(word, "reload") == 0) {
		read_settings();
		text_reload(text, config);
		answer("ok");
	} else if (strcmp(word, "drain") == 0) {
		text_drain(text);
		uv_timer_start(&look, on_look, 0, 5);
	}
}

static void
on_done(void *cookie)
{
	(void)cookie;
	uv_close((uv_handle_t *)&look, NULL);
}

static void
on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	(void)h;
	(void)hint;
	*out = uv_buf_init(line + have, (unsigned)(sizeof(line) - have));
}

static void
on_input(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
	char *end;

	(void)buf;
	if (n < 0) {
		uv_close((uv_handle_t *)h, NULL);
		text_close(text, on_done, NULL);
		return;
	}
	have += (size_t)n;
	while ((end = memchr(line, '\n', have)) != NULL) {
		size_t used = (size_t)(end - line) + 1;
		*end = '\0';
		obey(line);
		have -= used;
		memmove(line, line + used, have);
	}
}

int
main(int argc, char **argv)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct text_options t = {.loop = &loop};
	struct weir_err err;
	char name[64];

	if (argc != 2 && argc != 3)
		return 2;
	dir = argv[1];
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &look);
	if (store_open(&store, dir, &o, &err) != 0)
		die(&err);
	read_settings();
	t.store = store;
	t.config = config;
	t.fd = listen_tcp(argc == 3 ? argv[2] : "127.0.0.1", 0, "text-port",
			  &err);
	if (t.fd < 0)
		die(&err);
	listen_name(name, t.fd);
	if (text_start(&text, &t, &err) != 0)
		return not_started(&err);
	answer(strrchr(name, ':') + 1);
	uv_pipe_init(&loop, &in, 0);
	uv_pipe_open(&in, 0);
	uv_read_start((uv_stream_t *)&in, on_alloc, on_input);
	uv_run(&loop, UV_RUN_DEFAULT);
	store_close(store);
	config_free(config);
	return uv_loop_close(&loop) == 0 ? 0 : 3;
}
