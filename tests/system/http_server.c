/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server over a store and nothing else, for tests and benchmarks:
 *
 *   http_server DIR
 *
 * takes DIR/weir.conf, listens on its host and a free port and on
 * DIR/weir.sock, prints "port N" and does what lines of standard input say
 * (reload, drain MS, metrics), each answered with a line; at their end it
 * stops.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/os.h"
#include "model/config.h"
#include "model/policy.h"
#include "server/api.h"
#include "server/feed.h"
#include "server/http.h"
#include "server/listen.h"
#include "store/store.h"

static struct store *store;
static struct policy *policy;
static struct api *api;
static struct hub *hub;
static struct http *http;
static struct config *config;
static const char *dir;

static int
start(struct weir_err *err)
{
	struct store_options so = {.flags = STORE_WRITE | STORE_CREATE};
	struct http_options ho = {0};
	struct api_options ao = {0};
	char name[64];
	int rc = config_load(&config, NULL, dir, err);

	if (rc != 0 || (rc = store_open(&store, dir, &so, err)) != 0 ||
	    (rc = policy_open(&policy, store, err)) != 0 ||
	    (rc = hub_new(&hub, store, err)) != 0)
		return rc;
	ao.store = store;
	ao.policy = policy;
	ao.config = config;
	rc = api_new(&api, &ao, err);
	if (rc != 0)
		return rc;
	ho.api = api;
	ho.hub = hub;
	ho.config = config;
	ho.tcp_fd = listen_tcp(config_get(config, "host"), 0, "port", err);
	if (ho.tcp_fd < 0)
		return ho.tcp_fd;
	listen_name(name, ho.tcp_fd);
	ho.local_fd = listen_local(dir, err);
	if (ho.local_fd < 0)
		return ho.local_fd;
	rc = http_start(&http, &ho, err);
	if (rc == 0)
		printf("port %s\n", strrchr(name, ':') + 1);
	return rc;
}

static void
reload(void)
{
	struct config *fresh;
	struct weir_err err;

	if (config_load(&fresh, NULL, dir, &err) == 0) {
		if (http_reload(http, fresh, &err) == 0)
			printf("ok\n");
		else
			printf("%s\n", err.msg);
		config_free(fresh);
	} else {
		printf("%s\n", err.msg);
	}
}

static void
metrics(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	http_metrics(http, &b);
	printf("%zu\n", b.len);
	fwrite(b.data, 1, b.len, stdout);
	buf_fini(&b);
}

static void
serve(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (strcmp(line, "reload\n") == 0)
			reload();
		else if (strncmp(line, "drain ", 6) == 0)
			printf("%s\n",
			       http_drain(http, clock_monotonic() +
							atol(line + 6) * 1000)
				       ? "empty"
				       : "not empty");
		else if (strcmp(line, "metrics\n") == 0)
			metrics();
		else
			printf("what?\n");
		fflush(stdout);
	}
}

int
main(int argc, char **argv)
{
	struct weir_err err;
	int rc;

	if (argc != 2)
		return 2;
	dir = argv[1];
	signal(SIGPIPE, SIG_IGN);
	memset(&err, 0, sizeof(err));
	rc = start(&err);
	if (rc != 0)
		printf("%s\n", err.msg);
	fflush(stdout);
	if (rc == 0)
		serve();
	http_free(http);
	hub_free(hub);
	api_free(api);
	policy_free(policy);
	if (store != NULL)
		store_close(store);
	config_free(config);
	return rc == 0 ? 0 : 1;
}
