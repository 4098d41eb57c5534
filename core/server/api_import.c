/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/import: each line of the body a commit of its own, a group of them
 * with one sync, and one line of the answer for each. It takes as long as it
 * takes, so it has a thread of its own; a few may be at it at once.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "model/draft.h"
#include "model/intake.h"

#define LINES	    1000u      /* of a group */
#define GROUP_BYTES (4u << 20) /* a group is closed behind it */
#define IMPORTS	    4

struct import {
	struct api_call *c;
	struct intake *in;
	uint64_t number; /* of the line that comes next */
	struct weir_err err;
	int rc; /* why the rest is not done */
};

static void
import_free(void *own)
{
	struct import *im = own;

	intake_free(im->in);
	mem_free(im);
}

/* ---- who ----------------------------------------------------------------- */

/* Only an administrator may say in another's name, and do what is no event. */
static int
admit(void *cookie, struct draft *d, struct weir_err *err)
{
	struct api_call *c = ((struct import *)cookie)->c;
	struct record_draft *r = draft_record(d);
	struct weir_str group = r->group, user = r->user;
	bool admin = api_has_scope(c, POLICY_ADMIN);
	char shown[400];

	if (!api_sees(c, POLICY_APPEND, r->aggregate_type, r->aggregate_id) &&
	    !admin)
		return err_set(
			err, WEIR_EDENIED, "this token may not append to %s",
			str_show(shown, sizeof(shown), r->aggregate_type));
	if (r->op != WEIR_OP_EVENT && !admin)
		return err_set(err, WEIR_EDENIED,
			       "a record that is no event needs the scope "
			       "admin");
	api_actor(c, r);
	if (admin && draft_has_actor(d)) {
		r->group = group;
		r->user = user;
	}
	return 0;
}

/* ---- answers ------------------------------------------------------------- */

static void
put_fault(struct buf *out, const struct weir_err *e)
{
	buf_printf(out, ",\"error\":{\"code\":\"%s\",\"message\":",
		   err_word(e->code));
	json_put_string(out, str_of(e->msg));
	if (e->code == WEIR_ECONFLICT)
		buf_printf(out, ",\"version\":%" PRIu64, e->version);
	buf_puts(out, "}}\n");
}

static void
put_answers(struct import *im)
{
	struct buf *out = &im->c->out;

	for (size_t i = 0; i < intake_count(im->in); i++) {
		const struct weir_err *fault;
		const struct receipt *r;
		uint64_t number;

		r = intake_answer(im->in, i, &number, &fault);
		buf_printf(out, "{\"line\":%" PRIu64, number);
		api_count(im->c->api,
			  r != NULL	  ? 0
			  : fault != NULL ? fault->code
					  : im->err.code,
			  r, 1);
		if (r == NULL)
			put_fault(out, fault != NULL ? fault : &im->err);
		else
			buf_printf(out,
				   ",\"sequence\":%" PRIu64
				   ",\"version\":%" PRIu64 "%s}\n",
				   r->sequence, r->version,
				   r->duplicate ? ",\"duplicate\":true" : "");
	}
	intake_clear(im->in);
}

/* ---- the body ------------------------------------------------------------ */

/* The next line that is not blank, without its line break. */
static bool
next_line(struct import *im, struct weir_str *out, struct weir_str *rest)
{
	while (rest->len > 0) {
		const char *end = memchr(rest->data, '\n', rest->len);
		size_t n = end != NULL ? (size_t)(end - rest->data) : rest->len;
		size_t taken = end != NULL ? n + 1 : n, blank = 0;

		*out = (struct weir_str){rest->data, n};
		rest->data += taken;
		rest->len -= taken;
		im->number++;
		if (n > 0 && out->data[n - 1] == '\r')
			out->len--;
		while (blank < out->len &&
		       (out->data[blank] == ' ' || out->data[blank] == '\t'))
			blank++;
		if (blank < out->len)
			return true;
	}
	return false;
}

static void
add_line(struct import *im, struct weir_str line)
{
	struct weir_err fault;

	if (line.len <= INTAKE_LINE_MAX) {
		intake_add(im->in, im->number, line, line);
		return;
	}
	err_set(&fault, WEIR_EINPUT, "longer than %u bytes", INTAKE_LINE_MAX);
	intake_add_refused(im->in, im->number, &fault);
}

static void
import_lines(struct import *im)
{
	struct weir_str rest = buf_str(&im->c->body), line;
	bool more = true, first = true;

	while (more) {
		size_t bytes = 0;

		while (intake_count(im->in) < LINES && bytes < GROUP_BYTES &&
		       (more = next_line(im, &line, &rest))) {
			add_line(im, line);
			bytes += line.len;
		}
		if (im->rc == 0)
			im->rc = intake_commit(im->in, &im->err);
		if (im->rc != 0 && first)
			return;
		first = false;
		put_answers(im);
	}
}

static void
finish_import(struct api_call *c)
{
	struct import *im = c->own;

	atomic_fetch_sub(&c->api->imports, 1);
	if (im->rc != 0 && c->out.len == 0)
		api_fail_as(c, im->rc == WEIR_EIO ? 503 : 0, &im->err);
	else
		api_reply_as(c, 200, API_TYPE_NDJSON);
}

static void *
thread_main(void *cookie)
{
	struct import *im = cookie;
	void (*ready)(void *) = im->c->ready;
	void *ready_cookie = im->c->ready_cookie;

	import_lines(im);
	ready(ready_cookie);
	return NULL;
}

static int
begin(struct api_call *c, struct import *im)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (atomic_fetch_add(&c->api->imports, 1) >= IMPORTS) {
		atomic_fetch_sub(&c->api->imports, 1);
		return api_refuse(c, 503, WEIR_EUNREACH,
				  "%d imports are under way; send it again "
				  "later",
				  IMPORTS);
	}
	rc = c->ready != NULL ? pthread_attr_init(&attr) : 0;
	if (c->ready != NULL && rc == 0) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		rc = pthread_create(&thread, &attr, thread_main, im);
		pthread_attr_destroy(&attr);
		if (rc == 0)
			return API_LATER;
	}
	import_lines(im); /* in this thread, also when there is no other */
	finish_import(c);
	return 0;
}

static int
run_import(struct api_call *c)
{
	static const char *const params[] = {"source", "line", NULL};
	struct intake_options o = {
		.store = c->api->store, .lines = LINES, .admit = admit};
	struct weir_err err = {0};
	struct import *im;
	uint64_t line = 1;

	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &line, "line") < 0)
		return 0;
	if (line == 0)
		return api_refuse(c, 400, WEIR_EINPUT, "lines start at 1");
	api_query(c, &o.source, "source");
	im = mem_new(sizeof(*im));
	if (im == NULL)
		return api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	c->own = im;
	c->own_free = import_free;
	im->c = c;
	im->number = line - 1;
	o.cookie = im;
	if (intake_new(&im->in, &o, &err) != 0)
		return api_fail(c, &err);
	return begin(c, im);
}

const struct api_route api_import_routes[] = {
	{"POST", "/v1/import", API_APPEND | API_NDJSON, run_import,
	 finish_import},
	{NULL, NULL, 0, NULL, NULL},
};
