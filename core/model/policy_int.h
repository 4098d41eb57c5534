/* SPDX-License-Identifier: MIT */
#ifndef MODEL_POLICY_INT_H
#define MODEL_POLICY_INT_H

/*
 * What the policy is made of; for policy.c, schema*.c and token*.c.
 *
 * Each aggregate of a reserved type is one rule, and each of its records says
 * all of it, so the newest record alone is read. All rules as of a sequence
 * are a struct rules, which never changes: a refresh makes a new one that
 * shares what did not change.
 */

#include <stdatomic.h>
#include "model/policy.h"
#include "store/record.h"

enum rule_kind {
	RULE_SCHEMA, /* $schema NAME */
	RULE_STORE,  /* $store restriction */
	RULE_TOKEN,  /* $token ID */
	RULE_KINDS
};

/* The head of each kind of rule. All of it is filled
 * by policy.c. */
struct rule {
	_Atomic unsigned refs;
	struct weir_str id;
	uint64_t version, sequence;
	int64_t committed_at;
};

struct rule_set {
	struct rule **rule; /* sorted by id */
	size_t n;
};

struct token;

/* The tokens sorted by the sequence that records carry; borrowed. */
struct token_index {
	const struct token **token;
	size_t n, cap;
};

struct rules {
	unsigned refs;	   /* under the policy's mu */
	uint64_t revision; /* all records up to this sequence are in it */
	enum policy_restriction restriction;
	struct rule_set set[RULE_KINDS];
	struct token_index tokens;
};

/* What policy.c asks of each kind. */
struct rule_class {
	const char *type; /* of the aggregates */
	/* Makes a rule of its newest record: 0 and *out. */
	int (*read)(struct rule **out, const struct record_view *v,
		    struct weir_err *err);
	void (*free)(struct rule *r);
};
extern const struct rule_class schema_class, token_class;

/* The present rules, held until policy_put; NULL when what was committed can't
 * be taken in. */
const struct rules *policy_hold(struct policy *p, struct weir_err *err);
void policy_put(struct policy *p, const struct rules *r);
struct store *policy_store(struct policy *p);

const struct rule *rules_find(const struct rules *r, enum rule_kind kind,
			      struct weir_str id);

/* Appends the next record of a rule: version is the one that it must have now,
 * 0 for none. WEIR_ECONFLICT when others were faster. The payload is all of the
 * rule. */
int policy_append(struct policy *p, enum rule_kind kind, struct weir_str id,
		  uint64_t version, const char *event, struct weir_str payload,
		  const struct policy_actor *by, struct weir_err *err);

/* Asked for each draft. */
int schema_check_draft(const struct rules *r, const struct record_draft *d,
		       struct weir_err *err);
int token_check_draft(const struct rules *r, const struct record_draft *d,
		      struct weir_err *err);

/* Puts a token in, in place of what it was: 0 or WEIR_ENOMEM. */
int token_index_put(struct token_index *x, const struct rule *token);
int token_index_share(struct token_index *to, const struct token_index *from);
void token_index_fini(struct token_index *x);

#endif
