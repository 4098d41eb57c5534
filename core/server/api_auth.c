/* SPDX-License-Identifier: MIT */
/*
 * Who asks, and what for. A caller on this machine that is local (api.h) is an
 * administrator; everybody else shows a token.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "server/attempts.h"

#define RECHECK_US 1000000

static unsigned
wanted_scope(const struct api_route *r)
{
	return ((r->flags & API_READ) != 0 ? POLICY_READ : 0u) |
	       ((r->flags & API_APPEND) != 0 ? POLICY_APPEND : 0u) |
	       ((r->flags & API_ADMIN) != 0 ? POLICY_ADMIN : 0u);
}

/* The secret of "Bearer SECRET"; absent when it is none. */
static struct weir_str
bearer(const char *value)
{
	struct weir_str s = {NULL, 0};

	if (value == NULL || strncasecmp(value, "Bearer", 6) != 0 ||
	    (value[6] != ' ' && value[6] != '\t'))
		return s;
	value += 6;
	value += strspn(value, " \t");
	s = str_of(value);
	while (s.len > 0 &&
	       (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static void
refuse_token(struct api_call *c, const struct weir_err *err)
{
	int64_t wait = 0;

	if (err->code == WEIR_EDENIED)
		wait = attempts_failed(c->api->attempts, c->caller.address,
				       clock_monotonic());
	if (wait == 0) {
		api_fail_as(c, err->code == WEIR_EDENIED ? 401 : 0, err);
		return;
	}
	api_refuse(c, 429, WEIR_EUNREACH,
		   "too many tokens from your address were refused; try again "
		   "later");
	buf_number(api_field_begin(c, "Retry-After"),
		   (uint64_t)(wait + 999999) / 1000000);
	api_field_end(c);
}

void
api_auth(struct api_call *c)
{
	unsigned scope = wanted_scope(c->route);
	struct weir_err err = {0};
	struct weir_str secret;

	if (c->caller.local || (c->route->flags & API_OPEN) != 0)
		return;
	secret = bearer(api_header(c, "Authorization"));
	if (secret.len == 0) {
		api_refuse(c, 401, WEIR_EDENIED,
			   "a token is needed: send Authorization: Bearer "
			   "TOKEN");
		return;
	}
	c->granted = policy_revision(c->api->policy);
	if (policy_grant(c->api->policy, &c->grant, secret, &err) != 0) {
		refuse_token(c, &err);
		return;
	}
	if (!api_has_scope(c, scope))
		api_refuse(c, 403, WEIR_EDENIED,
			   "this needs a token with the scope %s",
			   scope == POLICY_READ	    ? "read"
			   : scope == POLICY_APPEND ? "append"
						    : "admin");
}

int
api_still(struct api_call *c, int64_t *checked, struct weir_err *err)
{
	int64_t now = clock_monotonic();
	struct policy_grant *fresh = NULL;
	int rc;

	if (c->grant == NULL ||
	    (now - *checked < RECHECK_US &&
	     policy_revision(c->api->policy) == c->granted))
		return 0;
	*checked = now;
	c->granted = policy_revision(c->api->policy);
	rc = policy_grant(c->api->policy, &fresh,
			  bearer(api_header(c, "Authorization")), err);
	if (rc == 0)
		policy_grant_free(fresh);
	return rc;
}

bool
api_has_scope(const struct api_call *c, unsigned scope)
{
	if (c->caller.local)
		return true;
	return c->grant != NULL &&
	       (c->grant->scopes & (scope | POLICY_ADMIN)) != 0;
}

static bool
is_reserved(struct weir_str type)
{
	return type.len > 0 && type.data[0] == '$';
}

bool
api_sees(const struct api_call *c, unsigned scope, struct weir_str type,
	 struct weir_str id)
{
	if (is_reserved(type) && !api_has_scope(c, POLICY_ADMIN))
		return false;
	return c->caller.local ||
	       (c->grant != NULL && policy_may(c->grant, scope, type, id));
}

int
api_may(struct api_call *c, unsigned scope, struct weir_str type,
	struct weir_str id)
{
	char a[200], b[400];

	if (api_sees(c, scope, type, id))
		return 0;
	if (is_reserved(type) && scope == POLICY_READ)
		api_refuse(c, 404, WEIR_ENOTFOUND, "aggregate not found");
	else
		api_refuse(c, 403, WEIR_EDENIED, "this token may not %s %s/%s",
			   scope == POLICY_READ ? "read" : "append to",
			   str_show(a, sizeof(a), type),
			   str_show(b, sizeof(b), id));
	return -1;
}

struct policy_actor
api_by(const struct api_call *c)
{
	const struct policy_grant *g = c->grant;

	if (g == NULL)
		return (struct policy_actor){.group = c->caller.group,
					     .user = c->caller.user};
	return (struct policy_actor){.group = g->group,
				     .user = g->user,
				     .token = g->token,
				     .limit = g->limit};
}

void
api_actor(const struct api_call *c, struct record_draft *d)
{
	struct policy_actor by = api_by(c);

	d->group = by.group;
	d->user = by.user;
	d->token = by.token;
	d->token_limit = by.limit;
}
