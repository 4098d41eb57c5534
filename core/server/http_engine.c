/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd's daemons. None of them listens: the front accepts and hands
 * on, so that a new certificate is a new daemon beside the old one, which ends
 * with its last connection.
 */
#include "server/http_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"

#define STACK_BYTES (1u << 20)
/* All that one connection may need for a request's head, and the room its body
 * is read in. A head beyond it is answered with 431 or 414. */
#define POOL_BYTES (16u << 10)
#define PEM_MOST   (1u << 20)
#define TLS_KINDS  "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Of the thread that starts a daemon. */
static _Thread_local char *said;
static _Thread_local size_t said_room;

static void
log_line(void *cls, const char *fmt, va_list ap)
{
	char line[256];
	size_t n;

	(void)cls;
	if (said == NULL && !diag_wants(DIAG_DEBUG))
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	n = strcspn(line, "\n");
	line[n] = '\0';
	if (said != NULL)
		snprintf(said, said_room, "%s", line);
	else
		diag(DIAG_DEBUG, "http", "%s", line);
}

static size_t
keep_as_it_is(void *cls, struct MHD_Connection *m, char *text)
{
	(void)cls;
	(void)m;
	return strlen(text);
}

static int
read_pem(char **out, const char *path, const char *what, struct weir_err *err)
{
	size_t n;
	int rc = os_read_file(out, &n, path, PEM_MOST, err);

	if (rc == 0 && strstr(*out, "-----BEGIN ") == NULL)
		rc = err_set(err, WEIR_EINPUT,
			     "%s is no PEM file; %s must name one", path, what);
	return rc;
}

static void
wipe(char *pem)
{
	if (pem != NULL)
		explicit_bzero(pem, strlen(pem));
	mem_free(pem);
}

static void
engine_free(struct http_engine *e)
{
	wipe(e->key);
	wipe(e->cert);
	mem_free(e);
}

/* The options that depend; ended. */
static void
fill_options(struct MHD_OptionItem *o, const struct http_engine *e)
{
	if (e->http->threads > 1)
		*o++ = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE,
					       (intptr_t)e->http->threads,
					       NULL};
	if (e->key != NULL) {
		*o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0,
					       e->key};
		*o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
					       e->cert};
		*o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
					       (void *)(uintptr_t)TLS_KINDS};
	}
#if MHD_VERSION >= 0x00097701
	*o++ = (struct MHD_OptionItem){MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
				       NULL};
#endif
	*o = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static struct MHD_Daemon *
start(struct http_engine *e)
{
	struct MHD_OptionItem some[6];
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC |
			 MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG;

	fill_options(some, e);
	if (e->key != NULL)
		flags |= MHD_USE_TLS;
	/* The limit is divided among the threads; the front keeps it. */
	return MHD_start_daemon(
		flags, 0, NULL, NULL, http_request_go, e,
		MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_ARRAY,
		some, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
		MHD_OPTION_CONNECTION_LIMIT, 1u << 24,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_URI_LOG_CALLBACK, http_request_begin, e,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_as_it_is, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, http_request_end, e,
		MHD_OPTION_NOTIFY_CONNECTION, http_front_notify, e,
		MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
}

int
http_engine_start(struct http_engine **out, struct http *h, bool tls,
		  struct weir_err *err)
{
	struct http_engine *e = mem_new(sizeof(*e));
	char why[200] = "";
	int rc = 0;

	if (e == NULL)
		return err_nomem(err);
	e->http = h;
	if (tls)
		rc = read_pem(&e->cert, h->cert_path, "tls_cert", err);
	if (rc == 0 && tls)
		rc = read_pem(&e->key, h->key_path, "tls_key", err);
	if (rc != 0) {
		engine_free(e);
		return rc;
	}
	said = why;
	said_room = sizeof(why);
	e->daemon = start(e);
	said = NULL;
	if (e->daemon == NULL) {
		engine_free(e);
		if (!tls)
			return err_set(err, WEIR_ENOMEM,
				       "the HTTP server's threads can't be "
				       "started: %s",
				       why[0] != '\0' ? why
						      : "no reason given");
		return err_set(err, WEIR_EINPUT,
			       "certificate %s with key %s can't be used: %s",
			       h->cert_path, h->key_path,
			       why[0] != '\0' ? why : "they don't fit");
	}
	pthread_mutex_lock(&h->lock);
	e->next = h->engines;
	h->engines = e;
	pthread_mutex_unlock(&h->lock);
	*out = e;
	return 0;
}

void
http_engine_stop(struct http_engine *e)
{
	struct http *h = e->http;
	struct http_engine **at;

	MHD_stop_daemon(e->daemon);
	pthread_mutex_lock(&h->lock);
	for (at = &h->engines; *at != e; at = &(*at)->next)
		;
	*at = e->next;
	pthread_mutex_unlock(&h->lock);
	engine_free(e);
}

bool
http_engine_add(struct http_engine *e, struct http_conn *c,
		const struct sockaddr *from, socklen_t n)
{
	return MHD_add_connection(e->daemon, c->fd, from, n) == MHD_YES;
}
