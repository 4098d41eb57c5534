/* SPDX-License-Identifier: MIT */
/*
 * The life of a call.
 *
 * 1. A call is answered once: by what refuses it, by its route's run, or by
 *    finish. Nothing of the answer changes after that.
 * 2. Between a false api_run and `ready` the call belongs to the store's
 *    thread, which writes rc, err and receipts and nothing else.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"
#include "server/attempts.h"
#include "server/feed.h"
#include "store/reader.h"

#define RESERVE_MOST (64u << 10) /* of a body, on the word of its sender */
#define SPARES	     100u	 /* calls that are kept for the next ones */
#define SPARE_BYTES  4096u	 /* the most that each of their buffers keeps */
#define SPARE_TARGET 64u	 /* room for a longer target */

/* ---- memory -------------------------------------------------------------- */

static struct api_call *
take_spare(struct api *a)
{
	struct api_call *c;

	pthread_mutex_lock(&a->lock);
	c = a->spare;
	if (c != NULL) {
		a->spare = c->next_job;
		a->nspare--;
	}
	pthread_mutex_unlock(&a->lock);
	return c;
}

static void
call_free(struct api_call *c)
{
	api_drafts_free(c);
	buf_fini(&c->body);
	buf_fini(&c->out);
	buf_fini(&c->fields);
	mem_free(c->memory);
	mem_free(c);
}

/* NULL: no memory. */
static struct api_call *
call_new(struct api *a, size_t target)
{
	struct api_call *c = take_spare(a);

	if (c == NULL)
		c = mem_new(sizeof(*c));
	if (c == NULL)
		return NULL;
	if (c->memory_cap <= target) {
		mem_free(c->memory);
		c->memory_cap = target + SPARE_TARGET;
		c->memory = mem_resize(NULL, c->memory_cap);
	}
	if (c->memory == NULL) {
		c->memory_cap = 0;
		call_free(c);
		return NULL;
	}
	memset(c, 0, offsetof(struct api_call, params));
	c->out.max = API_OUT_MAX;
	c->fields.max = 1 << 16;
	return c;
}

static void
keep_small(struct buf *b)
{
	buf_clear(b);
	if (b->cap > SPARE_BYTES)
		buf_fini(b);
}

static void
call_done(struct api *a, struct api_call *c)
{
	api_drafts_keep(c);
	keep_small(&c->body);
	keep_small(&c->out);
	keep_small(&c->fields);
	pthread_mutex_lock(&a->lock);
	if (a->nspare < SPARES && c->memory_cap <= SPARE_BYTES) {
		c->next_job = a->spare;
		a->spare = c;
		a->nspare++;
		c = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	if (c != NULL)
		call_free(c);
}

/* ---- all calls ----------------------------------------------------------- */

int
api_new(struct api **out, const struct api_options *o, struct weir_err *err)
{
	struct api *a = mem_new(sizeof(*a));
	uint8_t boot[4];

	if (a == NULL)
		return err_nomem(err);
	if (os()->random(boot, sizeof(boot)) != 0) {
		mem_free(a);
		return err_sys(err, "no random bytes");
	}
	str_hex(a->boot, boot, sizeof(boot));
	a->store = o->store;
	a->policy = o->policy;
	a->host = o->host;
	a->host_cookie = o->host_cookie;
	a->started = clock_monotonic();
	atomic_init(&a->config, o->config);
	a->folds = fold_cache_new(config_u64(o->config, "memory_threshold"));
	a->attempts = attempts_new();
	a->work = api_work_new();
	if (a->folds == NULL || a->attempts == NULL || a->work == NULL) {
		api_work_free(a->work);
		fold_cache_free(a->folds);
		attempts_free(a->attempts);
		mem_free(a);
		return err_nomem(err);
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->folding, NULL);
	*out = a;
	return 0;
}

void
api_free(struct api *a)
{
	struct api_call *c;

	if (a == NULL)
		return;
	api_work_free(a->work);
	while ((c = take_spare(a)) != NULL)
		call_free(c);
	while (a->nreaders > 0)
		reader_free(a->readers[--a->nreaders]);
	fold_cache_free(a->folds);
	attempts_free(a->attempts);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->folding);
	mem_free(a);
}

void
api_configure(struct api *a, const struct config *config)
{
	atomic_store(&a->config, config);
}

const struct config *
api_config(struct api_call *c)
{
	return atomic_load(&c->api->config);
}

/* ---- begin --------------------------------------------------------------- */

/* An id that may stand in diag lines, headers and file names. */
static bool
is_sane(const char *id)
{
	size_t n = strlen(id);

	if (n == 0 || n >= sizeof(((struct api_call *)0)->id))
		return false;
	for (; *id != '\0'; id++) {
		char ch = *id;

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		      (ch >= '0' && ch <= '9') || strchr("-_.:", ch) != NULL))
			return false;
	}
	return true;
}

/* What made ids begin with, and a number. */
static void
make_id(struct api_call *c, uint64_t n)
{
	size_t len = strlen(c->api->boot);

	memcpy(c->id, c->api->boot, len);
	c->id[len++] = '-';
	c->id[len + str_decimal(c->id + len, n)] = '\0';
}

static void
take_id(struct api_call *c)
{
	const char *id = c->request.id;

	if (id == NULL)
		id = api_header(c, "X-Request-Id");
	if (id != NULL && is_sane(id))
		snprintf(c->id, sizeof(c->id), "%s", id);
	else
		make_id(c, atomic_fetch_add(&c->api->calls, 1) + 1);
}

/* Is the content type this one, with no parameter but charset=utf-8? */
static bool
is_type(const char *given, const char *type)
{
	size_t n = strlen(type);
	char rest[64] = "";
	size_t k = 0;

	if (given == NULL || strncasecmp(given, type, n) != 0)
		return false;
	for (given += n; *given != '\0' && k + 1 < sizeof(rest); given++)
		if (*given != ' ' && *given != '\t' && *given != '"')
			rest[k++] = *given;
	rest[k] = '\0';
	return k == 0 || strcasecmp(rest, ";charset=utf-8") == 0;
}

static void
check_type(struct api_call *c)
{
	const char *given = api_header(c, "Content-Type");
	const char *coding = api_header(c, "Content-Encoding");
	bool json = (c->route->flags & API_JSON) != 0;
	const char *type = json ? "application/json" : "application/x-ndjson";
	const char *other = !json ? "application/ndjson"
			    : strcmp(c->route->method, "PATCH") == 0
				    ? "application/merge-patch+json"
				    : NULL;

	if (c->request.header == NULL ||
	    (given == NULL && (c->route->flags & API_BODY_OPTIONAL) != 0))
		return;
	if (!is_type(given, type) && (other == NULL || !is_type(given, other)))
		api_refuse(c, 415, WEIR_EINPUT,
			   "the body must be sent with Content-Type: %s "
			   "(charset utf-8)",
			   type);
	else if (coding != NULL && strcasecmp(coding, "identity") != 0)
		api_refuse(c, 415, WEIR_EINPUT,
			   "a body with a Content-Encoding is not taken");
}

static void
too_long(struct api_call *c)
{
	if (c->body_max == 0)
		api_refuse(c, 400, WEIR_EINPUT, "no body is taken here");
	else
		api_refuse(c, 413, WEIR_EINPUT,
			   "the body is longer than %zu bytes, the most that "
			   "is taken here",
			   c->body_max);
	c->answer.close = true;
}

static void
too_much(struct api_call *c)
{
	api_refuse(c, 503, WEIR_EUNREACH,
		   "too much is under way; send it again later");
}

bool
api_hold(struct api_call *c, size_t n)
{
	c->held += n;
	if (atomic_fetch_add(&c->api->held, n) + n <= API_HELD_MAX)
		return true;
	too_much(c);
	return false;
}

/* Its limit, and room for what its sender says it has. */
static void
expect_body(struct api_call *c)
{
	const char *length = api_header(c, "Content-Length");
	uint64_t n = 0;

	c->body_max = (c->route->flags & API_NDJSON) != 0 ? API_IMPORT_MAX
		      : (c->route->flags & API_JSON) != 0 ? API_BODY_MAX
							  : 0;
	c->body.max = c->body_max;
	if (length != NULL && str_u64(&n, str_of(length)) == 0 &&
	    n > c->body_max)
		too_long(c);
	else if (n > 0)
		buf_reserve(&c->body, n < RESERVE_MOST ? n : RESERVE_MOST);
	api_hold(c, c->body.cap);
}

int
api_begin(struct api_call **out, struct api *a, const struct api_request *r)
{
	struct api_call *c = call_new(a, r->target.len);

	if (c == NULL)
		return WEIR_ENOMEM;
	c->api = a;
	c->request = *r;
	c->caller = r->caller;
	take_id(c);
	diag_request(c->id);
	api_route_find(c);
	if (!c->answered)
		api_auth(c);
	if (!c->answered)
		expect_body(c);
	if (!c->answered && (c->route->flags & (API_JSON | API_NDJSON)) != 0)
		check_type(c);
	diag_request(NULL);
	*out = c;
	return 0;
}

bool
api_answered(const struct api_call *c)
{
	return c->answered;
}

/* ---- body and run -------------------------------------------------------- */

void
api_body(struct api_call *c, const void *data, size_t n)
{
	size_t cap = c->body.cap;

	if (c->answered)
		return;
	if (n > c->body_max - c->body.len) {
		too_long(c);
		return;
	}
	if (buf_add(&c->body, data, n) != 0)
		api_refuse(c, 503, WEIR_ENOMEM, "not enough memory");
	else
		api_hold(c, c->body.cap - cap);
}

/* An answer waits until its client takes it. What says what was changed is
 * said in any case. */
static void
hold_answer(struct api_call *c)
{
	size_t n = c->out.cap;
	size_t all = atomic_fetch_add(&c->api->held, n) + n;

	c->held += n;
	if (all <= API_HELD_MAX || (c->route->flags & API_READ) == 0 ||
	    c->answer.feed != NULL)
		return;
	buf_fini(&c->out);
	too_much(c);
}

static bool
run(struct api_call *c)
{
	struct weir_err err = {0};
	int rc;

	rc = store_refresh(c->api->store, &err);
	if (rc != 0) {
		api_fail(c, &err);
		return true;
	}
	rc = c->route->run(c);
	if (rc == API_LATER)
		return false;
	must(c->answered);
	hold_answer(c);
	return true;
}

bool
api_run(struct api_call *c, void (*ready)(void *cookie), void *cookie)
{
	bool done;

	if (c->answered)
		return true;
	c->ready = ready;
	c->ready_cookie = cookie;
	diag_request(c->id);
	done = run(c);
	diag_request(NULL);
	return done;
}

void
api_finish(struct api_call *c)
{
	diag_request(c->id);
	api_append_finish(c);
	diag_request(NULL);
	must(c->answered);
	hold_answer(c);
}

/* ---- answer and end ------------------------------------------------------ */

const struct api_answer *
api_answer(struct api_call *c)
{
	for (size_t i = 0; i < c->answer.nfields; i++)
		c->answer.field[i].value = c->fields.data + c->field_at[i];
	return &c->answer;
}

const char *
api_id(const struct api_call *c)
{
	return c->id;
}

const char *
api_header(struct api_call *c, const char *name)
{
	return c->request.header != NULL
		       ? c->request.header(c->request.cookie, name)
		       : NULL;
}

bool
api_submitted(const struct api_call *c)
{
	return c->submitted;
}

void
api_leave(struct api_call *c)
{
	c->request = (struct api_request){
		.method = c->route->method,
		.target = str_of(c->route->pattern),
	};
}

void
api_end(struct api_call *c)
{
	if (c == NULL)
		return;
	diag_request(c->id);
	diag(DIAG_DEBUG, "api", "%s %.*s: %d", c->request.method,
	     (int)c->request.target.len, c->request.target.data,
	     c->answer.status);
	diag_request(NULL);
	atomic_fetch_sub(&c->api->held, c->held);
	feed_free(c->answer.feed);
	if (c->own_free != NULL)
		c->own_free(c->own);
	else
		mem_free(c->own);
	policy_grant_free(c->grant);
	call_done(c->api, c);
}
