/* SPDX-License-Identifier: MIT */
#ifndef MODEL_TOKEN_INT_H
#define MODEL_TOKEN_INT_H

/* A token in memory; for token*.c. */

#include "base/digest.h"
#include "model/policy_int.h"
#include "model/token.h"

#define TOKEN_PREFIX	   "weir_"
#define TOKEN_PATTERNS_MAX 64u
#define TOKEN_SECONDS_MAX  3155760000u /* 100 years */
#define TOKEN_US	   1000000     /* in a second */

/* What a JSON text may and did say. */
enum token_member {
	TOKEN_GROUP = 1 << 0,
	TOKEN_USER = 1 << 1,
	TOKEN_SCOPES = 1 << 2,
	TOKEN_AGGREGATES = 1 << 3,
	TOKEN_EXPIRATION = 1 << 4,
	TOKEN_KEEP_ALIVE = 1 << 5,
	TOKEN_LIMIT = 1 << 6,
	/* in records alone: */
	TOKEN_LIMIT_FROM = 1 << 7,
	TOKEN_HASH = 1 << 8,
	TOKEN_CREATED_AT = 1 << 9,
	TOKEN_EXPIRES_AT = 1 << 10,
	TOKEN_REVOKED = 1 << 11,
	TOKEN_SEQUENCE = 1 << 12
};
#define TOKEN_GIVEN                                                            \
	(TOKEN_GROUP | TOKEN_USER | TOKEN_SCOPES | TOKEN_AGGREGATES |          \
	 TOKEN_EXPIRATION | TOKEN_KEEP_ALIVE | TOKEN_LIMIT)
#define TOKEN_NEWS   (TOKEN_EXPIRATION | TOKEN_KEEP_ALIVE | TOKEN_LIMIT)
#define TOKEN_RECORD ((TOKEN_SEQUENCE << 1) - 1)

struct token {
	struct rule rule;  /* must be first */
	uint64_t sequence; /* of its first record; 0: this is it */
	uint8_t hash[DIGEST_LEN];
	struct weir_str group, user;
	unsigned scopes;
	char **patterns; /* NULL-ended, or NULL: all */
	bool keep_alive, revoked;
	int64_t created_at;
	int64_t expires_at;  /* 0: never */
	uint64_t expiration; /* seconds; 0: none */
	uint64_t limit;	     /* writes; 0: any number */
	uint64_t limit_from; /* what it had written when that began */
	char *memory;	     /* of texts */
	unsigned given;	     /* enum token_member */
};

/* ---- token_doc.c: tokens and JSON ---------------------------------------- */

/* From a JSON object that may have the `allowed` members and no others; what
 * (such as "token") names it in errors. */
int token_doc_read(struct token **out, struct weir_str json, unsigned allowed,
		   const char *what, struct weir_err *err);
void token_doc_free(struct token *t);
/* Appends it as a record holds it. */
int token_doc_put(struct buf *out, const struct token *t);
/* Appends it for people: writes is how much it wrote. */
int token_doc_show(struct buf *out, const struct token *t, uint64_t writes,
		   int64_t now);

/* ---- token.c ------------------------------------------------------------- */

/* The hash and ID of a secret: false when it is none. */
bool token_hash(uint8_t hash[DIGEST_LEN], char id[TOKEN_ID],
		struct weir_str secret);
/* To be changed; texts are borrowed, and so is its id. */
struct token token_copy(const struct token *t);
/* NULL, or why it can't be used now. */
const char *token_fault(const struct token *t, int64_t now);

#endif
