/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd's daemons. None of them listens: the front accepts and hands
 * on, so that a new certificate is a new daemon beside the old one, which ends
 * with its last connection.
 */
#include "server/http_int.h"

#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "store/store.h"

#define STACK_BYTES (1u << 20)
/* All that one connection may need for a request's head, and the room its body
 * is read in. A head beyond it is answered with 431 or 414. */
#define POOL_BYTES (8u << 10)
#define LONG_MS	   60000
/* A look that finds work pays for so many that find none. */
#define CREDIT	    8
#define CREDIT_MOST 256
#define PEM_MOST    (1u << 20)
#define TLS_KINDS   "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

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

/* The options that depend; ended. */
static void
fill_options(struct MHD_OptionItem *o, const struct http_engine *e)
{
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
start_daemon(struct http_engine *e)
{
	struct MHD_OptionItem some[6];
	unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
			 MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	fill_options(some, e);
	if (e->key != NULL)
		flags |= MHD_USE_TLS;
	/* The front keeps the limits. */
	return MHD_start_daemon(
		flags, 0, NULL, NULL, http_request_go, e,
		MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_ARRAY,
		some, MHD_OPTION_CONNECTION_LIMIT, 1u << 24,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
		MHD_OPTION_URI_LOG_CALLBACK, http_request_begin, e,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_as_it_is, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, http_request_end, e,
		MHD_OPTION_NOTIFY_CONNECTION, http_front_notify, e,
		MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
}

/* ---- a worker's thread --------------------------------------------------- */

/* Harmless for one that was stopped: it is not asleep. */
static void
wake(struct http_worker *w)
{
	uint64_t one = 1;

	if (atomic_exchange(&w->asleep, false))
		(void)!os()->write(w->wake_fd, &one, sizeof(one));
}

static void
push(_Atomic(struct http_conn *) *list, struct http_conn *c)
{
	struct http_conn *first = atomic_load(list);

	do
		c->pushed = first;
	while (!atomic_compare_exchange_weak(list, &first, c));
}

void
http_engine_resume(struct http_conn *c)
{
	push(&c->worker->woken, c); /* and it may be gone */
}

void
http_engine_wake(struct http *h)
{
	struct http_engine *e = atomic_load(&h->engines);

	if (store_answers_follow())
		return;
	for (; e != NULL; e = e->next)
		for (size_t i = 0; i < e->nworkers; i++)
			if (atomic_load(&e->worker[i].woken) != NULL)
				wake(&e->worker[i]);
}

void
http_engine_add(struct http_conn *c)
{
	struct http_worker *w = c->worker;

	push(&w->fresh, c);
	wake(w);
}

struct http_worker *
http_engine_choose(struct http_engine *e)
{
	struct http_worker *best = &e->worker[0];

	for (size_t i = 1; i < e->nworkers; i++)
		if (atomic_load(&e->worker[i].connections) <
		    atomic_load(&best->connections))
			best = &e->worker[i];
	return best;
}

static void
take_pushed(struct http_worker *w)
{
	/* the front knows who it is */
	static const struct sockaddr_in nobody = {.sin_family = AF_INET};
	struct http_conn *c = atomic_exchange(&w->woken, NULL), *next;

	for (; c != NULL; c = next) {
		next = c->pushed;
		MHD_resume_connection(c->mhd);
	}
	c = atomic_exchange(&w->fresh, NULL);
	for (; c != NULL; c = next) {
		next = c->pushed;
		if (MHD_add_connection(w->daemon, c->fd,
				       (const struct sockaddr *)&nobody,
				       sizeof(nobody)) != MHD_YES)
			http_front_drop(c);
	}
}

static bool
nothing_pushed(struct http_worker *w)
{
	return atomic_load(&w->woken) == NULL &&
	       atomic_load(&w->fresh) == NULL && !atomic_load(&w->stopping);
}

static void
sleep_until_some(struct http_worker *w)
{
	struct pollfd fds[2] = {{.fd = w->poll_fd, .events = POLLIN},
				{.fd = w->wake_fd, .events = POLLIN}};
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t word;
	int timeout = -1;

	if (MHD_get_timeout(w->daemon, &ms) == MHD_YES)
		timeout = ms < LONG_MS ? (int)ms : LONG_MS;
	if (timeout == 0)
		return;
	atomic_store(&w->asleep, true);
	if (nothing_pushed(w))
		os()->poll(fds, 2, timeout);
	atomic_store(&w->asleep, false);
	if (fds[1].revents != 0)
		(void)!os()->read(w->wake_fd, &word, sizeof(word));
}

/* Where requests come one upon the other, looking again is cheaper than to
 * suspend those who wait and to fall asleep. Without credit a look leaves none
 * that waits and is not suspended. */
static void *
work(void *cookie)
{
	struct http_worker *w = cookie;

	os_short_turns();
	while (!atomic_load(&w->stopping)) {
		take_pushed(w);
		w->busy = false;
		MHD_run(w->daemon);
		if (w->busy) {
			w->credit += CREDIT;
			if (w->credit > CREDIT_MOST)
				w->credit = CREDIT_MOST;
		} else if (w->credit > 0) {
			/* Those who were answered need a processor to come
			 * again. */
			w->credit--;
			sched_yield();
		} else {
			sleep_until_some(w);
		}
	}
	return NULL;
}

/* ---- engines ------------------------------------------------------------- */

int
http_engine_is_current(const struct http_engine *e, struct weir_err *err)
{
	const struct http *h = e->http;
	char *cert = NULL, *key = NULL;
	int rc = read_pem(&cert, h->cert_path, "tls_cert", err);

	if (rc == 0)
		rc = read_pem(&key, h->key_path, "tls_key", err);
	if (rc == 0)
		rc = strcmp(cert, e->cert) == 0 && strcmp(key, e->key) == 0;
	wipe(key);
	wipe(cert);
	return rc;
}

static int
start_worker(struct http_worker *w, struct http_engine *e, struct weir_err *err)
{
	struct http *h = e->http;
	const union MHD_DaemonInfo *info;
	pthread_attr_t attr;
	char why[200] = "";
	int rc;

	w->engine = e;
	said = why;
	said_room = sizeof(why);
	w->daemon = start_daemon(e);
	said = NULL;
	if (w->daemon == NULL && e->key != NULL)
		return err_set(err, WEIR_EINPUT,
			       "certificate %s with key %s can't be used: %s",
			       h->cert_path, h->key_path,
			       why[0] != '\0' ? why : "they don't fit");
	if (w->daemon == NULL)
		return err_set(err, WEIR_EIO, "libmicrohttpd can't start: %s",
			       why[0] != '\0' ? why : "no reason given");
	info = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	w->poll_fd = info != NULL ? info->epoll_fd : -1;
	w->wake_fd = os()->eventfd();
	if (w->wake_fd < 0)
		return err_sys(err, "no eventfd");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&w->thread, &attr, work, w);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		return err_set(err, WEIR_ENOMEM, "no thread can be started");
	w->runs = true;
	return 0;
}

static void
stop_worker(struct http_worker *w)
{
	if (w->runs) {
		atomic_store(&w->stopping, true);
		wake(w);
		pthread_join(w->thread, NULL);
	}
	if (w->daemon != NULL)
		MHD_stop_daemon(w->daemon);
	os_close(w->wake_fd);
	w->runs = false;
	w->daemon = NULL;
	w->wake_fd = -1;
}

void
http_engine_stop(struct http_engine *e)
{
	for (size_t i = 0; i < e->nworkers; i++)
		stop_worker(&e->worker[i]);
	wipe(e->key);
	wipe(e->cert);
	e->key = e->cert = NULL;
	e->stopped = true;
}

int
http_engine_start(struct http_engine **out, struct http *h, bool tls,
		  struct weir_err *err)
{
	struct http_engine *e =
		mem_new(sizeof(*e) + h->threads * sizeof(e->worker[0]));
	int rc = 0;

	if (e == NULL)
		return err_nomem(err);
	e->http = h;
	e->nworkers = h->threads;
	for (size_t i = 0; i < e->nworkers; i++)
		e->worker[i].wake_fd = -1;
	if (tls)
		rc = read_pem(&e->cert, h->cert_path, "tls_cert", err);
	if (rc == 0 && tls)
		rc = read_pem(&e->key, h->key_path, "tls_key", err);
	for (size_t i = 0; rc == 0 && i < e->nworkers; i++)
		rc = start_worker(&e->worker[i], e, err);
	if (rc != 0) {
		http_engine_stop(e);
		mem_free(e);
		return rc;
	}
	e->next = atomic_load(&h->engines);
	atomic_store(&h->engines, e);
	*out = e;
	return 0;
}
