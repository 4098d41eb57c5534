/* SPDX-License-Identifier: MIT */
/* Tokens, for administrators. A secret is in one answer, and nowhere else. */
#include "server/api_int.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "model/token.h"

static struct weir_str
body(const struct api_call *c)
{
	struct weir_str none = {NULL, 0};

	return c->body.len > 0 ? buf_str(&c->body) : none;
}

/* The answer stands in c->out; what was begun goes after a failure. */
static int
reply(struct api_call *c, int rc, const struct weir_err *err, int status)
{
	if (rc != 0)
		return api_fail(c, err);
	api_reply(c, status);
	api_field(c, "Cache-Control", "no-store");
	return 0;
}

static int
run_list(struct api_call *c)
{
	struct weir_err err = {0};
	int rc = token_list_json(&c->out, c->api->policy, &err);

	return reply(c, rc, &err, 200);
}

static int
run_show(struct api_call *c)
{
	struct weir_err err = {0};
	int rc = token_json(&c->out, c->api->policy, c->part[0], &err);

	return reply(c, rc, &err, 200);
}

static int
run_generate(struct api_call *c)
{
	struct policy_actor by = api_by(c);
	struct weir_err err = {0};
	struct weir_str id;
	int rc;

	rc = token_generate(&c->out, c->api->policy, body(c), &by, &err);
	reply(c, rc, &err, 201);
	if (rc == 0 && json_get(buf_str(&c->out), "id", &id)) {
		struct buf *place = api_field_begin(c, "Location");

		buf_puts(place, "/v1/tokens/");
		buf_add(place, id.data + 1, id.len - 2);
		api_field_end(c);
	}
	return 0;
}

static int
run_refresh(struct api_call *c)
{
	struct policy_actor by = api_by(c);
	struct weir_err err = {0};
	int rc;

	rc = token_refresh(&c->out, c->api->policy, c->part[0], body(c), &by,
			   &err);
	return reply(c, rc, &err, 200);
}

static int
run_revoke(struct api_call *c)
{
	struct policy_actor by = api_by(c);
	struct weir_err err = {0};
	int rc;

	rc = token_revoke(&c->out, c->api->policy, c->part[0], &by, &err);
	return reply(c, rc, &err, 200);
}

const struct api_route api_tokens_routes[] = {
	{"GET", "/v1/tokens", API_ADMIN, run_list, NULL},
	{"POST", "/v1/tokens", API_ADMIN | API_JSON, run_generate, NULL},
	{"GET", "/v1/tokens/{id}", API_ADMIN, run_show, NULL},
	{"DELETE", "/v1/tokens/{id}", API_ADMIN, run_revoke, NULL},
	{"POST", "/v1/tokens/{id}/refresh",
	 API_ADMIN | API_JSON | API_BODY_OPTIONAL, run_refresh, NULL},
	{"POST", "/v1/tokens/{id}/revoke", API_ADMIN, run_revoke, NULL},
	{NULL, NULL, 0, NULL, NULL},
};
