/* SPDX-License-Identifier: MIT */
#ifndef MODEL_TOKEN_H
#define MODEL_TOKEN_H

/*
 * Tokens: who may do what over the network. A token is the reserved aggregate
 * ($token, ID); each change is a record that says all of it, so who gave what
 * to whom can be read. What it writes carries the sequence of its first record,
 * and how much that was is counted from the journal (store_token_writes).
 *
 * Its secret is `weir_` and 43 letters, digits, - and _ (32 random bytes). It
 * is shown once; the store holds its SHA-256. (A slow hash is for passwords
 * that can be guessed; nobody guesses 256 random bits.) ID is the first 16 hex
 * digits of that hash and no secret: nobody gets from them to what was hashed.
 *
 * As JSON:
 *
 *   {"id": "93a1...", "group": "shop", "user": "till-3",
 *    "scopes": ["read", "append"],
 *    "aggregates": ["order", "stock/eu-*"] or null (all),
 *    "expiration": 3600 or null, "keep_alive": false,
 *    "limit": 1000 or null, "writes": 12, "remaining": 988 or null,
 *    "created_at": "...", "expires_at": "..." or null,
 *    "status": "active", "expired", "spent" or "revoked", "version": 1}
 *
 * scopes: read; append; admin, which holds both and schemas, tokens, sinks and
 * reserved aggregates besides. A pattern is a type, or a type and an id with a
 * slash between; * is any run of characters and ? any one. It is cut at its
 * first slash: in a type that has one, ? stands for it.
 *
 * keep_alive: each use moves the expiry to at least `expiration` seconds from
 * then. So that not every use writes a record, the record it takes says a tenth
 * more: a token lives for at least its expiration after its last use, and at
 * most a tenth of that longer, crash or no crash.
 *
 * Any thread. Errors: WEIR_ENOTFOUND `token not found`, WEIR_EINPUT,
 * WEIR_EDENIED (revoked), and those of an append.
 */

#include <weir/types.h>

struct buf;
struct policy;
struct policy_actor;

#define TOKEN_ID     17 /* with its NUL */
#define TOKEN_SECRET 49

/* What the bearer of a token is told that may not be used (WEIR_EDENIED). */
#define TOKEN_UNKNOWN "token not found or inactive"
#define TOKEN_EXPIRED "token has expired"
#define TOKEN_SPENT   "token write limit reached"

/* The ID that a secret or an ID names: 0, or -1 when it can be neither. Asks
 * no store, so that a secret need not travel. */
int token_id(char out[TOKEN_ID], struct weir_str text);

/* ---- reading ------------------------------------------------------------- */

/* Appends one, or all as an array in the order in which they were made. */
int token_json(struct buf *out, struct policy *p, struct weir_str id,
	       struct weir_err *err);
int token_list_json(struct buf *out, struct policy *p, struct weir_err *err);

/* ---- changing: by may be NULL; what it is then is appended to out -------- */

/* json: group and user, and if wanted expiration, limit, keep_alive, scopes
 * (read and append when absent), aggregates. The answer has "token": the
 * secret, before all others. */
int token_generate(struct buf *out, struct policy *p, struct weir_str json,
		   const struct policy_actor *by, struct weir_err *err);
/* json: expiration, limit, keep_alive; may be absent. Its time begins anew: it
 * expires its (new) expiration from now. With limit it may write so much more
 * from now on. */
int token_refresh(struct buf *out, struct policy *p, struct weir_str id,
		  struct weir_str json, const struct policy_actor *by,
		  struct weir_err *err);
/* For good. One that is revoked already is no error. */
int token_revoke(struct buf *out, struct policy *p, struct weir_str id,
		 const struct policy_actor *by, struct weir_err *err);

#endif
