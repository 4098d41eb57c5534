/* SPDX-License-Identifier: MIT */
/*
 * One request. libmicrohttpd calls begin with the request's line, go with its
 * head, go with each piece of its body, go at its end, and end when the answer
 * was sent or the client is gone.
 *
 * 1. Between a begin and its end c->open holds, and c->call is freed by end.
 * 2. While the API has the call (api_run gave false) the connection is
 *    suspended, and no callback runs before `ready` resumed it; or, under load,
 *    it is looked at again and again (wait_for_api). Then it may end before
 *    `ready`, which frees the call in its place.
 * 3. A body whose framing libmicrohttpd reads laxly (chunked) is the last thing
 *    read from its connection, so nothing behind it is ever taken for a
 *    request.
 */
#include "server/http_int.h"

#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "server/api_int.h"

#define TARGET_KEPT  256	 /* of a target's memory, between requests */
#define DISCARD_MOST (64u << 10) /* of a refused body, to keep the line */
#define REFUSAL_MAX  2048
#define NO_ROUTE     "none"
#define LOOKS_MOST   400 /* at a call that the API has */

/* ---- waiting ------------------------------------------------------------- */

void
http_conn_step(struct http_conn *c, enum http_step step)
{
	atomic_store(&c->since, clock_coarse());
	atomic_store(&c->step, step);
}

/* What it was waiting as. The connection may be gone then, and without `waking`
 * the HTTP server, too. */
static int
wake(struct http_conn *c)
{
	struct http *h = c->http;
	int was;

	atomic_fetch_add(&h->waking, 1);
	was = atomic_exchange(&c->wait, HTTP_READY);
	if (was == HTTP_SUSPENDED)
		http_engine_resume(c);
	/* for those before it, even when it was not suspended itself */
	http_engine_wake(h);
	atomic_fetch_sub(&h->waking, 1);
	return was;
}

void
http_conn_wake(struct http_conn *c)
{
	wake(c);
}

void
http_conn_suspend(struct http_conn *c)
{
	int armed = HTTP_ARMED;

	MHD_suspend_connection(c->mhd);
	/* answered already; by way of the list, which a worker looks at before
	 * it sleeps */
	if (!atomic_compare_exchange_strong(&c->wait, &armed, HTTP_SUSPENDED))
		http_engine_resume(c);
}

/* What an ended request has left. */
static void
end_left(struct http *h, struct api_call *call)
{
	api_end(call);
	pthread_mutex_lock(&h->lock);
	h->left--;
	pthread_cond_broadcast(&h->gone);
	pthread_mutex_unlock(&h->lock);
}

static void
on_ready(void *cookie)
{
	struct http_conn *c = cookie;
	struct api_call *call = c->call;
	struct http *h = c->http;
	int was = wake(c);

	if (was == HTTP_CLOSED)
		http_conn_free(c);
	if (was == HTTP_CLOSED || was == HTTP_LEFT)
		end_left(h, call);
}

void
http_conn_end(struct http_conn *c)
{
	int left = HTTP_LEFT;

	if (!atomic_compare_exchange_strong(&c->wait, &left, HTTP_CLOSED))
		http_conn_free(c);
}

/* To suspend a connection and to resume it costs libmicrohttpd two calls of
 * epoll_ctl and a recv in vain. While there is more to do, the answer of the
 * group commit is there before the worker would sleep. */
static enum MHD_Result
wait_for_api(struct http_conn *c)
{
	if (c->worker->credit > 0 && c->looks > 0)
		c->looks--;
	else
		http_conn_suspend(c);
	return MHD_YES;
}

/* ---- answers ------------------------------------------------------------- */

static void
add(struct MHD_Response *r, const char *name, const char *value)
{
	MHD_add_response_header(r, name, value);
}

void
http_request_fields(struct http_conn *c, struct MHD_Response *r,
		    const struct api_answer *a)
{
	if (a->type != NULL)
		add(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	for (size_t i = 0; i < a->nfields; i++)
		add(r, a->field[i].name, a->field[i].value);
	c->status = a->status;
	if (a->close || c->ending || c->engine->retired ||
	    atomic_load(&c->http->draining))
		add(r, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result
send_body(struct http_conn *c, const struct api_answer *a)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		a->body.len, (void *)(uintptr_t)a->body.data,
		MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok;

	if (r == NULL)
		return MHD_NO;
	http_request_fields(c, r, a);
	atomic_fetch_add(&c->http->counts.sent, a->body.len);
	http_conn_step(c, HTTP_ANSWER);
	ok = MHD_queue_response(c->mhd, (unsigned)a->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result
send_answer(struct http_conn *c)
{
	const struct api_answer *a = api_answer(c->call);

	if (a->feed != NULL)
		return http_stream_start(c, a);
	return send_body(c, a);
}

/* What is said before the API has seen anything; the connection ends. */
static enum MHD_Result
refuse(struct http_conn *c, int status, const char *message)
{
	struct api_answer a = {.status = status,
			       .type = "application/problem+json",
			       .close = true};

	buf_init(&c->refusal, REFUSAL_MAX);
	api_problem_text(&c->refusal, status, err_word(WEIR_EINPUT), message,
			 NULL);
	a.body = buf_str(&c->refusal);
	diag(DIAG_DEBUG, "http", "%s: refused with %d: %s", c->address, status,
	     message);
	return send_body(c, &a);
}

/* ---- the head ------------------------------------------------------------ */

void *
http_request_begin(void *cls, const char *uri, struct MHD_Connection *m)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(m, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http_conn *c = info != NULL ? info->socket_context : NULL;
	char *target;
	size_t n;

	(void)cls;
	if (c == NULL)
		return NULL;
	http_conn_step(c, HTTP_HEAD);
	atomic_fetch_add(&c->requests, 1);
	c->began = clock_monotonic();
	c->nfields = 0;
	c->open = true;
	c->ending = false;
	c->status = 0;
	c->route = NO_ROUTE;
	c->method = "other";
	n = strlen(uri);
	target = mem_resize(c->target, n + 1);
	c->no_room = target == NULL;
	c->target_len = 0;
	if (target != NULL) {
		memcpy(target, uri, n + 1);
		c->target = target;
		c->target_len = n;
	}
	return c;
}

struct looking {
	struct http_conn *c;
	struct http_head *head;
};

static enum MHD_Result
take_field(void *cls, enum MHD_ValueKind kind, const char *name,
	   size_t name_len, const char *value, size_t value_len)
{
	struct looking *l = cls;
	struct http_conn *c = l->c;

	(void)kind;
	http_head_field(
		l->head, (struct weir_str){name, name_len},
		(struct weir_str){value != NULL ? value : "", value_len});
	if (c->nfields++ < HTTP_FIELDS)
		c->field[c->nfields - 1] =
			(struct http_field){name, value, name_len};
	return MHD_YES;
}

static struct http_fault
look_at_head(struct http_conn *c, struct http_head *head, struct weir_str *path,
	     const char *method, const char *version)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct looking looking = {c, head};
	struct http *h = c->http;
	struct http_fault f;
	bool writes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;

	if (c->no_room)
		return (struct http_fault){503, "not enough memory"};
	if (info == NULL ||
	    !http_head_lines(head, method, version, info->header_size))
		return (struct http_fault){
			400, "each line of the head must be a header as RFC "
			     "9112 has it, and end in CR LF"};
	MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, take_field,
				    &looking);
	f = http_head_check(head, path, method,
			    (struct weir_str){c->target, c->target_len},
			    version);
	if (f.status != 0 || c->local)
		return f;
	if (head->origin.data != NULL && writes &&
	    !http_head_origin_is_ours(head->origin, head->host))
		return (struct http_fault){
			403, "a page of another origin may not write here"};
	if (h->loopback && head->host.data != NULL) {
		bool ours;

		pthread_mutex_lock(&h->lock);
		ours = http_head_host_is_ours(head->host, h->names);
		pthread_mutex_unlock(&h->lock);
		if (!ours)
			return (struct http_fault){
				421, "this server does not go by the name in "
				     "Host; see server_name in weir.conf(5)"};
	}
	return f;
}

static const char *
header_of(void *cookie, const char *name)
{
	struct http_conn *c = cookie;
	size_t n = strlen(name);

	for (unsigned i = 0; i < c->nfields && i < HTTP_FIELDS; i++)
		if (c->field[i].name_len == n &&
		    strcasecmp(c->field[i].name, name) == 0)
			return c->field[i].value;
	if (c->nfields <= HTTP_FIELDS)
		return NULL;
	return MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

static enum MHD_Result
begin_call(struct http_conn *c, const char *method, struct weir_str path)
{
	struct api_request r = {.method = method,
				.target = path,
				.header = header_of,
				.cookie = c,
				.caller = {.local = c->local,
					   .user = str_of(c->user),
					   .group = str_of(c->group),
					   .address = str_of(c->address)}};

	if (api_begin(&c->call, c->http->api, &r) != 0)
		return refuse(c, 503, "not enough memory");
	if (c->call->route != NULL) {
		c->route = c->call->route->pattern;
		c->method = c->call->route->method;
	}
	return MHD_YES;
}

static enum MHD_Result
take_head(struct http_conn *c, const char *method, const char *version)
{
	struct http_head head = {0};
	struct weir_str path;
	struct http_fault f = look_at_head(c, &head, &path, method, version);
	enum MHD_Result ok;

	if (f.status != 0)
		return refuse(c, f.status, f.message);
	c->ending = head.chunked;
	ok = begin_call(c, method, path);
	if (ok != MHD_YES || c->call == NULL)
		return ok;
	if (api_answered(c->call) &&
	    (head.chunked || head.length > DISCARD_MOST)) {
		c->ending = true;
		return send_answer(c);
	}
	atomic_store(&c->count, 0);
	http_conn_step(c, HTTP_BODY);
	return MHD_YES;
}

/* ---- the rest ------------------------------------------------------------ */

static enum MHD_Result
take_body(struct http_conn *c, const char *data, size_t n)
{
	uint64_t had = atomic_fetch_add(&c->count, n);

	atomic_fetch_add(&c->http->counts.received, n);
	api_body(c->call, data, n);
	/* libmicrohttpd takes no answer in the middle of a body */
	if (api_answered(c->call) && c->ending &&
	    had + n > c->call->body_max + API_BODY_MAX)
		return MHD_NO;
	return MHD_YES;
}

static enum MHD_Result
run(struct http_conn *c)
{
	http_conn_step(c, HTTP_RUN);
	atomic_store(&c->wait, HTTP_ARMED);
	if (!api_run(c->call, on_ready, c)) {
		c->looks = api_submitted(c->call) ? LOOKS_MOST : 0;
		return wait_for_api(c);
	}
	atomic_store(&c->wait, HTTP_GOES);
	return send_answer(c);
}

enum MHD_Result
http_request_go(void *cls, struct MHD_Connection *m, const char *url,
		const char *method, const char *version, const char *data,
		size_t *n, void **cookie)
{
	struct http_conn *c = *cookie;

	(void)cls;
	(void)m;
	(void)url;
	if (c == NULL)
		return MHD_NO; /* there was no memory for it */
	if (atomic_load(&c->wait) == HTTP_ARMED)
		return wait_for_api(c);
	c->worker->busy = true;
	switch (atomic_load(&c->step)) {
	case HTTP_HEAD:
		return take_head(c, method, version);
	case HTTP_BODY:
		if (*n == 0)
			return run(c);
		if (take_body(c, data, *n) != MHD_YES)
			return MHD_NO;
		*n = 0;
		return MHD_YES;
	case HTTP_RUN:
		must(atomic_load(&c->wait) == HTTP_READY);
		atomic_store(&c->wait, HTTP_GOES);
		api_finish(c->call);
		return send_answer(c);
	default:
		return MHD_NO;
	}
}

/* True: the API has the call, and its `ready` will end it. */
static bool
leave_call(struct http_conn *c)
{
	struct http *h = c->http;
	int armed = HTTP_ARMED;
	bool left;

	if (atomic_load(&c->wait) != HTTP_ARMED)
		return false;
	api_leave(c->call);
	pthread_mutex_lock(&h->lock);
	left = atomic_compare_exchange_strong(&c->wait, &armed, HTTP_LEFT);
	h->left += left;
	pthread_mutex_unlock(&h->lock);
	return left;
}

void
http_request_end(void *cls, struct MHD_Connection *m, void **cookie,
		 enum MHD_RequestTerminationCode why)
{
	struct http_conn *c = *cookie;
	bool stream;

	(void)cls;
	(void)m;
	(void)why;
	if (c == NULL || !c->open)
		return;
	stream = atomic_load(&c->step) == HTTP_STREAM;
	if (stream) {
		hub_forget(c->http->hub, &c->waiter);
		atomic_fetch_sub(&c->http->counts.streams, 1);
	}
	if (c->status != 0)
		http_count_answer(&c->http->counts, c->method, c->route,
				  c->status,
				  stream ? -1 : clock_monotonic() - c->began);
	if (stream || !leave_call(c)) {
		api_end(c->call); /* which still tells of its target */
		c->call = NULL;
		atomic_store(&c->wait, HTTP_GOES);
	}
	buf_fini(&c->refusal);
	if (c->target_len > TARGET_KEPT) {
		mem_free(c->target);
		c->target = NULL;
	}
	c->open = false;
	http_conn_step(c, HTTP_IDLE);
}
