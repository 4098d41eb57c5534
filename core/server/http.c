/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server's life. Engines (libmicrohttpd) serve, the front accepts; see
 * http_int.h.
 */
#include "server/http_int.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "model/config.h"

#define THREADS_MOST 64
#define FDS_APART    256 /* descriptors for everything else */

/* ---- settings ------------------------------------------------------------ */

/* Raises the limit of open files as far as that is allowed, and takes from the
 * connections what is not. */
static uint64_t
fit_descriptors(uint64_t most)
{
	struct rlimit lim;
	uint64_t want = most * 2 + FDS_APART;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return most;
	if (lim.rlim_cur < want) {
		lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
		setrlimit(RLIMIT_NOFILE, &lim);
		getrlimit(RLIMIT_NOFILE, &lim);
	}
	if (lim.rlim_cur >= most + FDS_APART)
		return most;
	most = lim.rlim_cur > 2 * FDS_APART ? lim.rlim_cur - FDS_APART
					    : lim.rlim_cur / 2;
	diag(DIAG_WARN, "http",
	     "no more than %llu connections are taken: the limit of open "
	     "files (ulimit -n) allows no more",
	     (unsigned long long)most);
	return most;
}

static int
take_name(struct http *h, const struct config *config, struct weir_err *err)
{
	const char *names = config_get(config, "server_name");
	char *copy = names != NULL ? mem_dup(names, strlen(names)) : NULL;

	if (names != NULL && copy == NULL)
		return err_nomem(err);
	pthread_mutex_lock(&h->lock);
	mem_free(h->names);
	h->names = copy;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

static int
take_settings(struct http *h, const struct config *config, struct weir_err *err)
{
	uint64_t most = config_u64(config, "http_connections");
	uint64_t threads = config_u64(config, "http_threads");

	if (most == 0 || most > 1 << 20)
		return err_set(err, WEIR_EINPUT,
			       "http_connections must be from 1 to %u",
			       1u << 20);
	if (threads == 0 || threads > THREADS_MOST)
		return err_set(err, WEIR_EINPUT,
			       "http_threads must be from 1 to %d",
			       THREADS_MOST);
	if (h->threads == 0)
		h->threads = (unsigned)threads;
	h->most = fit_descriptors(most);
	h->most_per_address =
		config_u64(config, "http_connections_per_address");
	h->header_us = (int64_t)config_u64(config, "header_timeout");
	h->body_us = (int64_t)config_u64(config, "body_timeout");
	h->idle_us = (int64_t)config_u64(config, "idle_timeout");
	h->stream_us = (int64_t)config_u64(config, "stream_timeout");
	return take_name(h, config, err);
}

/* Where the certificate is; *tls says whether there is one. */
static int
take_paths(struct http *h, bool *tls, const struct config *config,
	   struct weir_err *err)
{
	const char *cert = config_get(config, "tls_cert");
	const char *key = config_get(config, "tls_key");
	char *cert_copy, *key_copy;

	if ((cert == NULL) != (key == NULL))
		return err_set(err, WEIR_EINPUT,
			       "tls_cert and tls_key go together: %s is not "
			       "set",
			       cert == NULL ? "tls_cert" : "tls_key");
	*tls = cert != NULL;
	if (!*tls)
		return 0;
	cert_copy = mem_dup(cert, strlen(cert));
	key_copy = mem_dup(key, strlen(key));
	if (cert_copy == NULL || key_copy == NULL) {
		mem_free(cert_copy);
		mem_free(key_copy);
		return err_nomem(err);
	}
	mem_free(h->cert_path);
	mem_free(h->key_path);
	h->cert_path = cert_copy;
	h->key_path = key_copy;
	return 0;
}

static bool
is_loopback(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a;
	socklen_t n = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (os()->getsockname(fd, &a.any, &n) != 0)
		return false;
	if (a.any.sa_family == AF_INET)
		return ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
	return a.any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
}

static int
check_network(struct http *h, const struct config *config, struct weir_err *err)
{
	const char *insecure = config_get(config, "insecure_network");

	h->loopback = h->tcp_fd >= 0 && is_loopback(h->tcp_fd);
	if (h->tcp_fd < 0 || h->loopback || h->tls ||
	    (insecure != NULL && strcmp(insecure, "yes") == 0))
		return 0;
	return err_set(err, WEIR_EDENIED,
		       "host %s is not a loopback address, and without TLS "
		       "everybody on the network could read tokens and "
		       "records: set tls_cert and tls_key, or "
		       "insecure_network = yes",
		       config_get(config, "host"));
}

/* ---- start --------------------------------------------------------------- */

static int
start_parts(struct http *h, struct weir_err *err)
{
	sigset_t all, before;
	int rc;

	/* signals are for the thread that called */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = http_engine_start(&h->plain, h, false, err);
	if (rc == 0 && h->tls)
		rc = http_engine_start(&h->secure, h, true, err);
	if (rc == 0)
		rc = http_front_start(h, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int
http_start(struct http **out, const struct http_options *o,
	   struct weir_err *err)
{
	struct http *h = mem_new(sizeof(*h));
	pthread_condattr_t attr;
	int rc;

	if (h == NULL) {
		os_close(o->tcp_fd);
		os_close(o->local_fd);
		return err_nomem(err);
	}
	h->api = o->api;
	h->hub = o->hub;
	h->tcp_fd = o->tcp_fd;
	h->local_fd = o->local_fd;
	h->wake_fd = -1;
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->counts.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->gone, &attr);
	pthread_condattr_destroy(&attr);
	rc = mhd_load(err);
	if (rc == 0)
		rc = take_settings(h, o->config, err);
	if (rc == 0)
		rc = take_paths(h, &h->tls, o->config, err);
	if (rc == 0)
		rc = check_network(h, o->config, err);
	if (rc == 0)
		rc = start_parts(h, err);
	if (rc != 0) {
		http_free(h);
		return rc;
	}
	*out = h;
	return 0;
}

/* ---- reload -------------------------------------------------------------- */

static int
renew_certificate(struct http *h, struct weir_err *err)
{
	struct http_engine *fresh;
	sigset_t all, before;
	int rc = http_engine_is_current(h->secure, err);

	if (rc > 0)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc == 0)
		rc = http_engine_start(&fresh, h, true, err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_prefix(err, "the old certificate stays in use");
	pthread_mutex_lock(&h->lock);
	h->secure->retired = true;
	h->secure = fresh;
	pthread_mutex_unlock(&h->lock);
	http_front_wake(h);
	return 0;
}

int
http_reload(struct http *h, const struct config *config, struct weir_err *err)
{
	bool tls;
	int rc = take_settings(h, config, err);

	if (rc == 0)
		rc = take_paths(h, &tls, config, err);
	if (rc == 0 && tls != h->tls)
		return err_set(err, WEIR_EINPUT,
			       "TLS can't be switched %s while the server "
			       "runs: restart it",
			       tls ? "on" : "off");
	if (rc == 0 && h->tls)
		rc = renew_certificate(h, err);
	return rc;
}

/* ---- the end ------------------------------------------------------------- */

/* Under lock. Streams end when they are asked for more. */
static void
wake_streams(struct http *h)
{
	struct http_conn *c = h->conns;

	if (c == NULL)
		return;
	do {
		if (atomic_load(&c->step) == HTTP_STREAM)
			http_conn_wake(c);
		c = c->next;
	} while (c != h->conns);
}

/* Under lock: until no connection is left or the monotonic time has come. */
static bool
wait_gone(struct http *h, int64_t until)
{
	struct timespec ts = {.tv_sec = (time_t)(until / 1000000),
			      .tv_nsec = (long)(until % 1000000) * 1000};
	int rc = 0;

	while (h->nconns > 0 && rc == 0)
		rc = pthread_cond_timedwait(&h->gone, &h->lock, &ts);
	return h->nconns == 0;
}

bool
http_drain(struct http *h, int64_t until)
{
	bool empty;

	atomic_store(&h->draining, true);
	http_front_wake(h);
	pthread_mutex_lock(&h->lock);
	wake_streams(h);
	empty = wait_gone(h, until);
	pthread_mutex_unlock(&h->lock);
	return empty;
}

/* Shuts what is left; what waits for a commit ends with it. */
static void
end_connections(struct http *h)
{
	struct http_conn *c;

	atomic_store(&h->draining, true);
	pthread_mutex_lock(&h->lock);
	c = h->conns;
	if (c != NULL)
		do {
			os()->shutdown(c->fd, SHUT_RDWR);
			c = c->next;
		} while (c != h->conns);
	wake_streams(h);
	while (h->nconns > 0 || h->left > 0)
		pthread_cond_wait(&h->gone, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

void
http_free(struct http *h)
{
	struct http_engine *e, *next;

	if (h == NULL)
		return;
	http_front_stop(h);
	end_connections(h);
	while (atomic_load(&h->waking) > 0)
		sched_yield();
	for (e = atomic_load(&h->engines); e != NULL; e = next) {
		next = e->next;
		http_engine_stop(e);
		mem_free(e);
	}
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->counts.lock);
	pthread_cond_destroy(&h->gone);
	mem_free(h->by_fd);
	mem_free(h->names);
	mem_free(h->cert_path);
	mem_free(h->key_path);
	mem_free(h);
}

uint64_t
http_connections(struct http *h)
{
	uint64_t n;

	pthread_mutex_lock(&h->lock);
	n = h->nconns;
	pthread_mutex_unlock(&h->lock);
	return n;
}
