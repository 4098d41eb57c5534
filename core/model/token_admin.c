/* SPDX-License-Identifier: MIT */
/*
 * What administrators do with tokens. A change is made on a copy of the present
 * token and committed at its version; when others were faster it is made again.
 */
#include "model/token_int.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "store/store.h"

#define TRIES	   100
#define RECORD_MAX (256u << 10)
#define RANDOM	   32u

static const struct token *
find(const struct rules *r, struct weir_str id)
{
	return (const struct token *)(const void *)rules_find(r, RULE_TOKEN,
							      id);
}

static int
code_of(const struct weir_err *err)
{
	return err != NULL ? err->code : WEIR_EIO;
}

/* ---- showing ------------------------------------------------------------- */

static void
show(struct buf *out, struct policy *p, const struct token *t)
{
	token_doc_show(out, t, store_token_writes(policy_store(p), t->sequence),
		       clock_now());
}

/* With its secret, when there is one. */
static int
put_one(struct buf *out, struct policy *p, struct weir_str id,
	const char *secret, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct token *t;

	if (r == NULL)
		return code_of(err);
	t = find(r, id);
	if (t != NULL) {
		buf_putc(out, '{');
		if (secret != NULL)
			buf_printf(out, "\"token\":\"%s\",", secret);
		show(out, p, t);
		buf_putc(out, '}');
	}
	policy_put(p, r);
	if (t == NULL)
		return err_set(err, WEIR_ENOTFOUND, "token not found");
	return out->failed ? err_nomem(err) : 0;
}

int
token_json(struct buf *out, struct policy *p, struct weir_str id,
	   struct weir_err *err)
{
	return put_one(out, p, id, NULL, err);
}

int
token_list_json(struct buf *out, struct policy *p, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);

	if (r == NULL)
		return code_of(err);
	buf_putc(out, '[');
	for (size_t i = 0; i < r->tokens.n; i++) {
		buf_puts(out, i > 0 ? ",{" : "{");
		show(out, p, r->tokens.token[i]);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
	policy_put(p, r);
	return out->failed ? err_nomem(err) : 0;
}

/* ---- generating ---------------------------------------------------------- */

static int
make_secret(char out[TOKEN_SECRET], struct weir_err *err)
{
	uint8_t random[RANDOM];
	size_t n = sizeof(TOKEN_PREFIX) - 1;
	char text[48]; /* 44 and nothing */

	if (os()->random(random, sizeof(random)) != 0)
		return err_sys(err, "no random bytes for a token");
	str_base64(text, random, sizeof(random));
	memcpy(out, TOKEN_PREFIX, n);
	for (size_t i = 0; n < TOKEN_SECRET - 1; i++, n++)
		out[n] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	out[n] = '\0';
	return 0;
}

/* What holds for new tokens and refreshed ones. */
static int
check_terms(const struct token *t, struct weir_err *err)
{
	if (t->keep_alive && t->expiration == 0)
		return err_set(err, WEIR_EINPUT,
			       "token: keep_alive needs an expiration that "
			       "each use moves on");
	if ((t->scopes & POLICY_ADMIN) != 0 && t->patterns != NULL)
		return err_set(err, WEIR_EINPUT,
			       "token: the scope admin reaches all aggregates "
			       "and can't be bound to some");
	return 0;
}

static int
append(struct policy *p, struct weir_str id, const struct token *t,
       const char *event, const struct policy_actor *by, struct weir_err *err)
{
	struct buf json;
	int rc;

	buf_init(&json, RECORD_MAX);
	rc = token_doc_put(&json, t) != 0
		     ? err_nomem(err)
		     : policy_append(p, RULE_TOKEN, id, t->rule.version, event,
				     buf_str(&json), by, err);
	buf_fini(&json);
	return rc;
}

static int
complete(struct token *t, struct weir_err *err)
{
	int rc = check_terms(t, err);

	if (rc != 0)
		return rc;
	if ((t->given & TOKEN_GROUP) == 0 || (t->given & TOKEN_USER) == 0)
		return err_set(err, WEIR_EINPUT,
			       "token: group and user are needed; what it "
			       "writes carries them");
	if (t->scopes == 0)
		t->scopes = POLICY_READ | POLICY_APPEND;
	t->created_at = clock_now();
	if (t->expiration != 0)
		t->expires_at =
			t->created_at + (int64_t)t->expiration * TOKEN_US;
	return 0;
}

int
token_generate(struct buf *out, struct policy *p, struct weir_str json,
	       const struct policy_actor *by, struct weir_err *err)
{
	char secret[TOKEN_SECRET], id[TOKEN_ID];
	struct token *t = NULL;
	int rc;

	rc = token_doc_read(&t, json, TOKEN_GIVEN, "token", err);
	if (rc == 0)
		rc = complete(t, err);
	if (rc == 0)
		rc = make_secret(secret, err);
	if (rc == 0 && !token_hash(t->hash, id, str_of(secret)))
		rc = err_set(err, WEIR_EIO, "no secret could be made");
	if (rc == 0)
		rc = append(p, str_of(id), t, "generated", by, err);
	if (rc == 0)
		rc = put_one(out, p, str_of(id), secret, err);
	token_doc_free(t);
	return rc;
}

/* ---- changing ------------------------------------------------------------ */

struct change {
	const struct token *news; /* NULL: it is revoked */
	const struct policy_actor *by;
};

static int
refresh(struct token *t, struct policy *p, const struct token *news,
	struct weir_err *err)
{
	if (t->revoked)
		return err_set(err, WEIR_EDENIED,
			       "token %.*s is revoked and stays so; generate "
			       "another",
			       (int)t->rule.id.len, t->rule.id.data);
	if ((news->given & TOKEN_EXPIRATION) != 0)
		t->expiration = news->expiration;
	if ((news->given & TOKEN_KEEP_ALIVE) != 0)
		t->keep_alive = news->keep_alive;
	else if (t->expiration == 0)
		t->keep_alive = false;
	if ((news->given & TOKEN_LIMIT) != 0) {
		t->limit = news->limit;
		t->limit_from =
			store_token_writes(policy_store(p), t->sequence);
	}
	t->expires_at =
		t->expiration == 0
			? 0
			: clock_now() + (int64_t)t->expiration * TOKEN_US;
	return check_terms(t, err);
}

static int
try_change(struct policy *p, struct weir_str id, const struct change *c,
	   struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct token *now;
	struct token next;
	int rc = 0;

	if (r == NULL)
		return code_of(err);
	now = find(r, id);
	if (now == NULL) {
		policy_put(p, r);
		return err_set(err, WEIR_ENOTFOUND, "token not found");
	}
	next = token_copy(now);
	if (c->news != NULL)
		rc = refresh(&next, p, c->news, err);
	else
		next.revoked = true;
	if (rc == 0 && (c->news != NULL || !now->revoked))
		rc = append(p, id, &next,
			    c->news != NULL ? "refreshed" : "revoked", c->by,
			    err);
	policy_put(p, r);
	return rc;
}

static int
change(struct buf *out, struct policy *p, struct weir_str id,
       const struct change *c, struct weir_err *err)
{
	int rc = WEIR_ECONFLICT;

	for (int i = 0; rc == WEIR_ECONFLICT && i < TRIES; i++)
		rc = try_change(p, id, c, err);
	return rc == 0 ? put_one(out, p, id, NULL, err) : rc;
}

int
token_refresh(struct buf *out, struct policy *p, struct weir_str id,
	      struct weir_str json, const struct policy_actor *by,
	      struct weir_err *err)
{
	struct change c = {.by = by};
	struct token *news = NULL;
	int rc;

	rc = token_doc_read(&news, json.data != NULL ? json : STR("{}"),
			    TOKEN_NEWS, "token", err);
	if (rc != 0)
		return rc;
	c.news = news;
	rc = change(out, p, id, &c, err);
	token_doc_free(news);
	return rc;
}

int
token_revoke(struct buf *out, struct policy *p, struct weir_str id,
	     const struct policy_actor *by, struct weir_err *err)
{
	const struct change c = {.by = by};

	return change(out, p, id, &c, err);
}
