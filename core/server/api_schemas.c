/* SPDX-License-Identifier: MIT */
/*
 * Schemas and the restriction, for administrators. The model does it all; here
 * are names, bodies and conditions. A change waits for its commit in this
 * thread: they are rare.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"
#include "model/schema.h"
#include "store/reader.h"

#define NAME_MAX_RAW (6 * WEIR_NAME_MAX + 2)

static const char *const no_params[] = {NULL};

/* Takes no parameters, and who changes it on which condition: 0 or -1 after an
 * answer. */
static int
begin_change(struct api_call *c, struct policy_actor *by, bool *conditional)
{
	uint64_t expected = EXPECT_ANY;
	int given;

	if (api_query_known(c, no_params) != 0)
		return -1;
	given = api_expected(c, &expected);
	if (given < 0)
		return -1;
	*by = api_by(c);
	if (expected < EXPECT_EXISTS)
		by->expected = expected;
	*conditional = given > 0;
	return 0;
}

/* A condition of the header fields that does not hold is a 412. */
static int
fail(struct api_call *c, bool conditional, const struct weir_err *err)
{
	bool unmet = conditional && err->code == WEIR_ECONFLICT;

	return api_fail_as(c, unmet ? 412 : 0, err);
}

/* The schema of the path as it is now. */
static int
answer(struct api_call *c, struct weir_str name, int status)
{
	struct weir_err err = {0};
	uint64_t version = 0;
	int rc = schema_json(&c->out, &version, c->api->policy, name, &err);

	if (rc != 0)
		return api_fail(c, &err);
	api_etag(c, version);
	if (status == 201) {
		struct buf *place = api_field_begin(c, "Location");

		buf_puts(place, "/v1/schemas/");
		api_put_encoded(place, name);
		api_field_end(c);
	}
	return api_reply(c, status);
}

/* ---- reading ------------------------------------------------------------- */

static int
run_list(struct api_call *c)
{
	struct weir_err err = {0};

	if (api_query_known(c, no_params) != 0)
		return 0;
	if (schema_list_json(&c->out, c->api->policy, &err) != 0)
		return api_fail(c, &err);
	return api_reply(c, 200);
}

static int
run_show(struct api_call *c)
{
	struct weir_err err = {0};
	uint64_t version = 0;

	if (api_query_known(c, no_params) != 0)
		return 0;
	if (schema_json(&c->out, &version, c->api->policy, c->part[0], &err) !=
	    0)
		return api_fail(c, &err);
	if (!api_unchanged(c, version))
		return api_reply(c, 200);
	buf_clear(&c->out);
	return api_reply_as(c, 304, NULL);
}

/* Versions from..to of the schema. */
static int
put_history(struct api_call *c, struct reader *r, uint64_t from, uint64_t to,
	    uint64_t *done, struct weir_err *err)
{
	struct record_view v;
	int rc = 0;

	buf_putc(&c->out, '[');
	for (uint64_t n = from; rc == 0 && n <= to; n++) {
		if (n > from)
			buf_putc(&c->out, ',');
		rc = reader_version(r, &v, STR("$schema"), c->part[0], n, err);
		if (rc == 0)
			rc = reader_json(r, &c->out, &v, err);
		*done = n;
		if (c->out.len > API_PAGE_BYTES)
			break;
	}
	buf_putc(&c->out, ']');
	return rc;
}

static int
run_history(struct api_call *c)
{
	static const char *const params[] = {"skip", "take", NULL};
	uint64_t skip = 0, most = config_u64(api_config(c), "page_limit");
	uint64_t take = most, done;
	struct weir_err err = {0};
	struct reader *r;
	struct head head;
	char text[24];
	int rc;

	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &skip, "skip") < 0 ||
	    api_query_u64(c, &take, "take") < 0)
		return 0;
	rc = store_head(c->api->store, &head, STR("$schema"), c->part[0], &err);
	if (rc == WEIR_ENOTFOUND)
		return api_refuse(c, 404, rc, "schema not found");
	if (rc != 0)
		return api_fail(c, &err);
	take = take < most ? take : most;
	skip = skip < head.version ? skip : head.version;
	take = take < head.version - skip ? take : head.version - skip;
	r = api_reader(c);
	if (r == NULL)
		return 0;
	done = skip;
	rc = put_history(c, r, skip + 1, skip + take, &done, &err);
	api_reader_back(c, r);
	if (rc != 0)
		return api_fail(c, &err);
	if (done > skip && done < head.version) {
		snprintf(text, sizeof(text), "%" PRIu64, done);
		api_next(c, "skip", str_of(text), NULL);
	}
	return api_reply(c, 200);
}

/* ---- changing ------------------------------------------------------------ */

/* The aggregate that the body names, decoded into room. */
static int
take_name(struct api_call *c, char room[NAME_MAX_RAW], struct weir_str *name)
{
	struct weir_str json, raw;
	struct weir_err err = {0};

	if (json_check(buf_str(&c->body), &json, "body", &err) != 0)
		return api_fail(c, &err);
	if (json_kind(json) != WEIR_OBJECT)
		return api_refuse(c, 400, WEIR_EINPUT,
				  "a schema must be a JSON object");
	if (!json_get(json, "aggregate", &raw) ||
	    json_kind(raw) != WEIR_STRING || raw.len > NAME_MAX_RAW)
		return api_refuse(c, 400, WEIR_EINPUT,
				  "aggregate must be the name of an aggregate "
				  "type");
	*name = (struct weir_str){room, json_decode(room, raw)};
	return 1;
}

static int
run_create(struct api_call *c)
{
	struct weir_err err = {0};
	struct policy_actor by;
	char room[NAME_MAX_RAW];
	struct weir_str name;
	bool conditional;

	if (begin_change(c, &by, &conditional) != 0 ||
	    take_name(c, room, &name) <= 0)
		return 0;
	by.expected = 0;
	if (schema_create(c->api->policy, name, buf_str(&c->body), &by, &err) !=
	    0)
		return fail(c, conditional, &err);
	return answer(c, name, 201);
}

/* If-None-Match: * makes it a creation, If-Match: * a change of one that is
 * there. */
static int
run_replace(struct api_call *c)
{
	struct policy *p = c->api->policy;
	struct weir_str body = buf_str(&c->body);
	struct weir_err err = {0};
	struct policy_actor by;
	bool conditional, created = true;
	uint64_t version;
	int rc = 0;

	if (begin_change(c, &by, &conditional) != 0)
		return 0;
	if (api_header(c, "If-None-Match") != NULL) {
		rc = schema_create(p, c->part[0], body, &by, &err);
	} else {
		if (conditional && by.expected == 0 &&
		    schema_json(&c->out, &version, p, c->part[0], &err) != 0)
			return api_fail_as(
				c, err.code == WEIR_ENOTFOUND ? 412 : 0, &err);
		buf_clear(&c->out);
		rc = schema_replace(p, c->part[0], body, &created, &by, &err);
	}
	if (rc != 0)
		return fail(c, conditional, &err);
	return answer(c, c->part[0], created ? 201 : 200);
}

static int
run_change(struct api_call *c)
{
	struct weir_err err = {0};
	struct policy_actor by;
	bool conditional;

	if (begin_change(c, &by, &conditional) != 0)
		return 0;
	if (schema_change(c->api->policy, c->part[0], buf_str(&c->body), &by,
			  &err) != 0)
		return fail(c, conditional, &err);
	return answer(c, c->part[0], 200);
}

static int
run_delete(struct api_call *c)
{
	struct weir_err err = {0};
	struct policy_actor by;
	bool conditional;

	if (begin_change(c, &by, &conditional) != 0)
		return 0;
	if (schema_delete(c->api->policy, c->part[0], &by, &err) != 0)
		return fail(c, conditional, &err);
	return api_reply_as(c, 204, NULL);
}

/* The value of the only member that the body may have, as `shape` shows it: 1,
 * or 0 after an answer. */
static int
take_member(struct api_call *c, struct weir_str *value, const char *name,
	    const char *shape)
{
	struct weir_str json, key, other;
	struct weir_err err = {0};
	struct json_iter it;
	char shown[80];

	if (json_check(buf_str(&c->body), &json, "body", &err) != 0)
		return api_fail(c, &err);
	if (json_kind(json) != WEIR_OBJECT || !json_get(json, name, value))
		return api_refuse(c, 400, WEIR_EINPUT, "the body must be %s",
				  shape);
	json_iter_init(&it, json);
	while (json_iter_next(&it, &key, &other))
		if (!json_string_is(key, name))
			return api_refuse(c, 400, WEIR_EINPUT,
					  "unknown member %s",
					  str_show(shown, sizeof(shown), key));
	return 1;
}

static int
run_add_events(struct api_call *c)
{
	struct weir_str events;

	if (take_member(c, &events, "events", "{\"events\": [...]}") == 0)
		return 0;
	return run_change(c);
}

static int
run_remove_event(struct api_call *c)
{
	struct weir_err err = {0};
	struct policy_actor by;
	bool conditional;

	if (begin_change(c, &by, &conditional) != 0)
		return 0;
	if (schema_remove_event(c->api->policy, c->part[0], c->part[1], &by,
				&err) != 0)
		return fail(c, conditional, &err);
	return answer(c, c->part[0], 200);
}

/* ---- the restriction ----------------------------------------------------- */

static int
run_restriction(struct api_call *c)
{
	if (api_query_known(c, no_params) != 0)
		return 0;
	buf_printf(&c->out, "{\"restriction\":\"%s\"}",
		   policy_restriction_word(policy_restriction(c->api->policy)));
	return api_reply(c, 200);
}

/* {"restriction": "true"|"strict"|"false"}, or true and false. */
static int
run_restrict(struct api_call *c)
{
	struct weir_str value;
	enum policy_restriction r;
	struct weir_err err = {0};
	struct policy_actor by;
	bool conditional;

	if (begin_change(c, &by, &conditional) != 0 ||
	    take_member(c, &value, "restriction", "{\"restriction\": ...}") ==
		    0)
		return 0;
	if (json_kind(value) == WEIR_STRING)
		value = (struct weir_str){value.data + 1, value.len - 2};
	if (policy_restriction_parse(&r, value, &err) != 0 ||
	    policy_restrict(c->api->policy, r, &by, &err) != 0)
		return api_fail(c, &err);
	return run_restriction(c);
}

const struct api_route api_schemas_routes[] = {
	{"GET", "/v1/schemas", API_ADMIN, run_list, NULL},
	{"POST", "/v1/schemas", API_ADMIN | API_JSON, run_create, NULL},
	{"GET", "/v1/schemas/{aggregate}", API_ADMIN, run_show, NULL},
	{"PUT", "/v1/schemas/{aggregate}", API_ADMIN | API_JSON, run_replace,
	 NULL},
	{"PATCH", "/v1/schemas/{aggregate}", API_ADMIN | API_JSON, run_change,
	 NULL},
	{"DELETE", "/v1/schemas/{aggregate}", API_ADMIN, run_delete, NULL},
	{"GET", "/v1/schemas/{aggregate}/history", API_ADMIN, run_history,
	 NULL},
	{"POST", "/v1/schemas/{aggregate}/events", API_ADMIN | API_JSON,
	 run_add_events, NULL},
	{"DELETE", "/v1/schemas/{aggregate}/events/{event}", API_ADMIN,
	 run_remove_event, NULL},
	{"GET", "/v1/restriction", API_ADMIN, run_restriction, NULL},
	{"PUT", "/v1/restriction", API_ADMIN | API_JSON, run_restrict, NULL},
	{NULL, NULL, 0, NULL, NULL},
};
