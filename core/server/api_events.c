/* SPDX-License-Identifier: MIT */
/* Appending events, and reading records in global order. */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "model/draft.h"

/* ---- POST /v1/events ----------------------------------------------------- */

static bool
is_array(struct weir_str text)
{
	size_t i = 0;

	while (i < text.len && strchr(" \t\r\n", text.data[i]) != NULL &&
	       text.data[i] != '\0')
		i++;
	return i < text.len && text.data[i] == '[';
}

static size_t
count_items(struct weir_str array)
{
	struct weir_str key, value;
	struct json_iter it;
	size_t n = 0;

	json_iter_init(&it, array);
	while (json_iter_next(&it, &key, &value))
		n++;
	return n;
}

/* A problem with the i-th event of several. */
static int
fail_event(struct api_call *c, size_t i, struct weir_err *err)
{
	int code = err->code;

	if (c->ndrafts > 1) {
		err_prefix(err, "event %zu", i + 1);
		err->code = code;
		err->sequence = i + 1;
	}
	return api_fail(c, err);
}

/* What the body does not say of an event: who, and the header fields. */
static int
complete(struct api_call *c, struct draft *d)
{
	struct record_draft *r = draft_record(d);
	struct weir_err err;

	if (api_may(c, POLICY_APPEND, r->aggregate_type, r->aggregate_id) != 0)
		return -1;
	if (api_actor(c, r, &err) != 0) {
		api_fail(c, &err);
		return -1;
	}
	return 0;
}

static int
append_array(struct api_call *c)
{
	struct weir_str array, key, value;
	struct weir_err err = {0};
	struct json_iter it;
	size_t n, i = 0;

	if (json_check_depth(buf_str(&c->body), &array, WEIR_DEPTH_MAX + 2,
			     "body", &err) != 0)
		return api_fail(c, &err);
	n = count_items(array);
	if (n == 0 || n > WEIR_COMMIT_RECORDS_MAX)
		return api_refuse(c, 400, WEIR_EINPUT,
				  "a commit takes 1 to %u events, not %zu",
				  WEIR_COMMIT_RECORDS_MAX, n);
	if (api_drafts(c, n) != 0)
		return 0;
	json_iter_init(&it, array);
	for (; json_iter_next(&it, &key, &value); i++) {
		if (draft_parse_body(c->drafts[i], value, true, &err) != 0)
			return fail_event(c, i, &err);
		if (complete(c, c->drafts[i]) != 0)
			return 0;
	}
	return api_submit(c);
}

static int
run_append(struct api_call *c)
{
	struct weir_err err = {0};

	if (is_array(buf_str(&c->body)))
		return append_array(c);
	if (api_drafts(c, 1) != 0)
		return 0;
	if (draft_parse_body(c->drafts[0], buf_str(&c->body), false, &err) != 0)
		return api_fail(c, &err);
	if (complete(c, c->drafts[0]) != 0)
		return 0;
	return api_submit(c);
}

static void
finish_append(struct api_call *c)
{
	bool array = is_array(buf_str(&c->body));
	struct weir_err err = {0};
	int rc = 0;

	if (array)
		buf_putc(&c->out, '[');
	for (size_t i = 0; rc == 0 && i < c->ndrafts; i++) {
		if (i > 0)
			buf_putc(&c->out, ',');
		rc = api_put_record(c, &c->out, c->receipts[i].position, &err);
	}
	if (array)
		buf_putc(&c->out, ']');
	if (rc != 0)
		api_fail(c, &err);
	else
		api_reply(c, c->receipts[0].duplicate ? 200 : 201);
}

const struct api_route api_events_routes[] = {
	{"GET", "/v1/events", API_READ, api_records_run, NULL},
	{"POST", "/v1/events", API_APPEND | API_JSON, run_append,
	 finish_append},
	{NULL, NULL, 0, NULL, NULL},
};
