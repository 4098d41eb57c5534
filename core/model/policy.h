/* SPDX-License-Identifier: MIT */
#ifndef MODEL_POLICY_H
#define MODEL_POLICY_H

/*
 * What may be appended, and by whom: schemas, tokens and the restriction. They
 * are records of reserved aggregates ($schema NAME, $token ID, $store
 * restriction), so they are audited, verified and copied like the rest.
 *
 * policy_open makes the store ask the policy before it admits a draft, so no
 * way to write goes past it. The leader asks again when a reserved record was
 * committed between. Any thread may call what is here, but for policy_open and
 * policy_free.
 */

#include <stdbool.h>
#include <weir/types.h>

struct buf;
struct policy;
struct record_draft;
struct store;

/* Reads what the store says. Opened for writing, the store asks it from then
 * on. Free it before the store is closed, while no append is under way. */
int policy_open(struct policy **out, struct store *s, struct weir_err *err);
void policy_free(struct policy *p);
/* Takes in what was committed since; any thread. Every call below does it. */
int policy_refresh(struct policy *p, struct weir_err *err);
/* Another number as soon as a change of a rule is committed; costs nothing. */
uint64_t policy_revision(struct policy *p);

enum policy_restriction {
	POLICY_FREE,  /* false: nothing is checked */
	POLICY_TRUE,  /* declared aggregates are checked */
	POLICY_STRICT /* undeclared ones are refused */
};
enum policy_restriction policy_restriction(struct policy *p);
const char *policy_restriction_word(enum policy_restriction r);
int policy_restriction_parse(enum policy_restriction *out, struct weir_str word,
			     struct weir_err *err);

/* Who changes a rule: the record's issued_by, both or none, and token. */
struct policy_actor {
	struct weir_str group, user;
	uint64_t token;
	uint64_t limit; /* of the token: writes in all; 0: none */
	uint64_t expected; /* the version it must have by now; 0: any */
};
/* Sets it, if it is another; by may be NULL. WEIR_ECONFLICT: others were
 * faster. */
int policy_restrict(struct policy *p, enum policy_restriction value,
		    const struct policy_actor *by, struct weir_err *err);

/* ---- tokens: what the bearer of one may do ------------------------------- */

enum policy_scope {
	POLICY_READ = 1 << 0,
	POLICY_APPEND = 1 << 1,
	POLICY_ADMIN = 1 << 2
};

/* A token as it was when it was looked up; free it with policy_grant_free. */
struct policy_grant {
	uint64_t token; /* the sequence that records carry */
	unsigned scopes;
	struct weir_str id, group, user;
	char **patterns;    /* "type" or "type/id" with * and ?; NULL-ended, or
			     * NULL: all aggregates */
	int64_t expires_at; /* 0: never */
	uint64_t limit;	    /* writes in all; 0: no limit */
};

/* Finds the token of a secret, in constant time for what an attacker could
 * learn from: WEIR_EDENIED with `token not found or inactive` or `token has
 * expired`. One that is kept alive has its expiry moved. */
int policy_grant(struct policy *p, struct policy_grant **out,
		 struct weir_str secret, struct weir_err *err);
void policy_grant_free(struct policy_grant *g);
/* Is it still as good as then? For calls that last. The same errors. */
int policy_grant_check(struct policy *p, const struct policy_grant *g,
		       struct weir_err *err);
/* Reserved aggregates are for administrators. */
bool policy_may(const struct policy_grant *g, unsigned scope,
		struct weir_str type, struct weir_str id);

#endif
