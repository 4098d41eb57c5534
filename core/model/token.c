/* SPDX-License-Identifier: MIT */
/*
 * Tokens as rules: found by a secret for who asks, by a sequence for each draft
 * that carries one.
 *
 * 1. `keeping` is held while a use is recorded, so that many who use a token at
 *    once write one record. No lock is held when it is taken.
 */
#include "model/token_int.h"

#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/store.h"

#define RECORD_MAX (256u << 10)

static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;

/* ---- the rule ------------------------------------------------------------ */

static int
token_read(struct rule **out, const struct record_view *v, struct weir_err *err)
{
	const unsigned needed = TOKEN_RECORD & ~(unsigned)TOKEN_SEQUENCE;
	struct token *t = NULL;
	int rc;

	rc = token_doc_read(&t, v->payload, TOKEN_RECORD, "token", err);
	if (rc != 0)
		return rc;
	if ((t->given & needed) != needed) {
		token_doc_free(t);
		return err_set(err, WEIR_EDAMAGE, "it is no whole token");
	}
	if (t->sequence == 0)
		t->sequence = v->sequence;
	*out = &t->rule;
	return 0;
}

static void
token_free(struct rule *r)
{
	token_doc_free((struct token *)(void *)r);
}

const struct rule_class token_class = {
	.type = "$token", .read = token_read, .free = token_free};

const char *
token_fault(const struct token *t, int64_t now)
{
	if (t->revoked)
		return TOKEN_UNKNOWN;
	/* A clock that fails says 0. */
	if (t->expires_at != 0 && (now == 0 || now >= t->expires_at))
		return TOKEN_EXPIRED;
	return NULL;
}

/* Its count of holders changes beside this. */
struct token
token_copy(const struct token *t)
{
	struct token to = {.rule = {.id = t->rule.id,
				    .version = t->rule.version,
				    .sequence = t->rule.sequence,
				    .committed_at = t->rule.committed_at}};

	memcpy(&to.sequence, &t->sequence,
	       sizeof(to) - offsetof(struct token, sequence));
	return to;
}

/* ---- by sequence --------------------------------------------------------- */

static size_t
place(const struct token_index *x, uint64_t sequence)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (x->token[mid]->sequence < sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct token *
find(const struct token_index *x, uint64_t sequence)
{
	size_t at = place(x, sequence);

	return at < x->n && x->token[at]->sequence == sequence ? x->token[at]
							       : NULL;
}

int
token_index_put(struct token_index *x, const struct rule *r)
{
	const struct token *t = (const struct token *)(const void *)r;
	size_t at = place(x, t->sequence);

	if (at < x->n && x->token[at]->sequence == t->sequence) {
		x->token[at] = t;
		return 0;
	}
	if (x->n == x->cap) {
		size_t cap = x->cap == 0 ? 8 : 2 * x->cap;
		const struct token **p = mem_resize(
			x->token, cap * sizeof(const struct token *));
		if (p == NULL)
			return WEIR_ENOMEM;
		x->token = p;
		x->cap = cap;
	}
	memmove(x->token + at + 1, x->token + at,
		(x->n - at) * sizeof(const struct token *));
	x->token[at] = t;
	x->n++;
	return 0;
}

int
token_index_share(struct token_index *to, const struct token_index *from)
{
	if (from->n == 0)
		return 0;
	to->token = mem_resize(NULL, from->n * sizeof(const struct token *));
	if (to->token == NULL)
		return WEIR_ENOMEM;
	memcpy(to->token, from->token, from->n * sizeof(const struct token *));
	to->n = to->cap = from->n;
	return 0;
}

void
token_index_fini(struct token_index *x)
{
	mem_free(x->token);
}

int
token_check_draft(const struct rules *r, const struct record_draft *d,
		  struct weir_err *err)
{
	const struct token *t;
	const char *fault = TOKEN_UNKNOWN;

	if (d->token == 0)
		return 0;
	t = find(&r->tokens, d->token);
	if (t != NULL)
		fault = token_fault(t, clock_now());
	return fault == NULL ? 0 : err_set(err, WEIR_EDENIED, "%s", fault);
}

/* ---- secrets ------------------------------------------------------------- */

static bool
is_base64url(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool
token_hash(uint8_t hash[DIGEST_LEN], char id[TOKEN_ID], struct weir_str secret)
{
	struct digest_part part = {secret.data, secret.len};
	size_t n = sizeof(TOKEN_PREFIX) - 1;

	if (secret.len != TOKEN_SECRET - 1 ||
	    memcmp(secret.data, TOKEN_PREFIX, n) != 0)
		return false;
	for (; n < secret.len; n++)
		if (!is_base64url(secret.data[n]))
			return false;
	digest_sha256(hash, &part, 1);
	str_hex(id, hash, (TOKEN_ID - 1) / 2);
	return true;
}

int
token_id(char out[TOKEN_ID], struct weir_str text)
{
	uint8_t bytes[DIGEST_LEN];

	if (token_hash(bytes, out, text))
		return 0;
	if (text.len != TOKEN_ID - 1 ||
	    str_unhex(bytes, text, (TOKEN_ID - 1) / 2) != 0)
		return -1;
	str_hex(out, bytes, (TOKEN_ID - 1) / 2);
	return 0;
}

/* ---- keeping alive ------------------------------------------------------- */

static int64_t
span(const struct token *t)
{
	return (int64_t)t->expiration * TOKEN_US;
}

static bool
wants_record(const struct token *t, int64_t now)
{
	return t->keep_alive && t->expires_at != 0 &&
	       now + span(t) > t->expires_at;
}

/* Records a use: the expiry is set a tenth further than it must be, so the next
 * tenth of the span needs no record. */
static int
record_use(struct policy *p, struct weir_str id, int64_t now,
	   struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct token *t;
	struct policy_actor by;
	struct token next;
	struct buf json;
	int rc = 0;

	if (r == NULL)
		return err->code;
	buf_init(&json, RECORD_MAX);
	t = (const struct token *)(const void *)rules_find(r, RULE_TOKEN, id);
	if (t != NULL && token_fault(t, now) == NULL && wants_record(t, now)) {
		next = token_copy(t);
		next.expires_at = now + span(t) + span(t) / 10;
		by = (struct policy_actor){.group = t->group, .user = t->user};
		rc = token_doc_put(&json, &next);
		rc = rc != 0 ? err_nomem(err)
			     : policy_append(p, RULE_TOKEN, id, t->rule.version,
					     "used", buf_str(&json), &by, err);
	}
	policy_put(p, r);
	buf_fini(&json);
	return rc;
}

/* What can't be recorded now is tried again at the next use. */
static void
keep_alive(struct policy *p, struct weir_str id, int64_t now)
{
	struct weir_err err = {0};
	int rc;

	pthread_mutex_lock(&keeping);
	rc = record_use(p, id, now, &err);
	pthread_mutex_unlock(&keeping);
	/* Others changed it, or this is a store opened for reading. */
	if (rc != 0 && rc != WEIR_ECONFLICT && rc != WEIR_EUSAGE)
		diag(DIAG_WARN, "token",
		     "the expiry of token %.*s can't be moved on: %s",
		     (int)id.len, id.data, err.msg);
}

/* ---- grants -------------------------------------------------------------- */

static char *
keep_text(char **room, struct weir_str *to, struct weir_str from)
{
	char *at = *room;

	memcpy(at, from.data, from.len);
	at[from.len] = '\0';
	*to = (struct weir_str){at, from.len};
	*room += from.len + 1;
	return at;
}

/* One block holds all of it. */
static struct policy_grant *
grant_of(const struct token *t)
{
	size_t n = 0, bytes = t->rule.id.len + t->group.len + t->user.len + 3;
	struct weir_str ignored;
	struct policy_grant *g;
	char *room;

	for (; t->patterns != NULL && t->patterns[n] != NULL; n++)
		bytes += strlen(t->patterns[n]) + 1;
	g = mem_new(sizeof(*g) + (n + 1) * sizeof(char *) + bytes);
	if (g == NULL)
		return NULL;
	if (n > 0)
		g->patterns = (char **)(void *)(g + 1);
	room = (char *)((char **)(void *)(g + 1) + n + 1);
	keep_text(&room, &g->id, t->rule.id);
	keep_text(&room, &g->group, t->group);
	keep_text(&room, &g->user, t->user);
	for (size_t i = 0; i < n; i++)
		g->patterns[i] =
			keep_text(&room, &ignored, str_of(t->patterns[i]));
	g->token = t->sequence;
	g->scopes = t->scopes;
	g->expires_at = t->expires_at;
	g->limit = t->limit != 0 ? t->limit_from + t->limit : 0;
	return g;
}

int
policy_grant(struct policy *p, struct policy_grant **out,
	     struct weir_str secret, struct weir_err *err)
{
	uint8_t hash[DIGEST_LEN];
	char id[TOKEN_ID];
	const char *fault = TOKEN_UNKNOWN;
	struct policy_grant *g = NULL;
	const struct rules *r;
	const struct token *t;
	int64_t now = clock_now();
	bool used = false;

	if (!token_hash(hash, id, secret))
		return err_set(err, WEIR_EDENIED, "%s", fault);
	r = policy_hold(p, err);
	if (r == NULL)
		return err != NULL ? err->code : WEIR_EIO;
	t = (const struct token *)(const void *)rules_find(r, RULE_TOKEN,
							   str_of(id));
	if (t != NULL && digest_same(hash, t->hash, DIGEST_LEN))
		fault = token_fault(t, now);
	if (fault == NULL) {
		g = grant_of(t);
		used = wants_record(t, now);
	}
	policy_put(p, r);
	if (fault != NULL)
		return err_set(err, WEIR_EDENIED, "%s", fault);
	if (g == NULL)
		return err_nomem(err);
	if (used)
		keep_alive(p, g->id, now);
	*out = g;
	return 0;
}

int
policy_grant_check(struct policy *p, const struct policy_grant *g,
		   struct weir_err *err)
{
	struct record_draft d = {.token = g->token};
	const struct rules *r = policy_hold(p, err);
	int rc;

	if (r == NULL)
		return err != NULL ? err->code : WEIR_EIO;
	rc = token_check_draft(r, &d, err);
	policy_put(p, r);
	return rc;
}

void
policy_grant_free(struct policy_grant *g)
{
	mem_free(g);
}

static bool
matches(const char *pattern, struct weir_str type, struct weir_str id)
{
	const char *slash = strchr(pattern, '/');
	struct weir_str whole = str_of(pattern);

	if (slash == NULL)
		return str_match(whole, type);
	size_t n = (size_t)(slash - pattern);
	return str_match((struct weir_str){pattern, n}, type) &&
	       str_match((struct weir_str){slash + 1, whole.len - n - 1}, id);
}

bool
policy_may(const struct policy_grant *g, unsigned scope, struct weir_str type,
	   struct weir_str id)
{
	if ((g->scopes & POLICY_ADMIN) != 0)
		return true;
	if ((g->scopes & scope) != scope ||
	    (type.len > 0 && type.data[0] == '$'))
		return false;
	for (char **p = g->patterns; p != NULL && *p != NULL; p++)
		if (matches(*p, type, id))
			return true;
	return g->patterns == NULL;
}
