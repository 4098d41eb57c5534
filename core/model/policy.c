/* SPDX-License-Identifier: MIT */
/*
 * The rules of a store as a snapshot, and how it follows the journal.
 *
 * Opening walks the reserved aggregates and reads the newest record of each.
 * From then on the store notes where reserved records stand that it takes in,
 * and a refresh reads only those.
 *
 * 1. `refresh` is held by who makes new rules and guards the reader. The
 *    store's work lock may be held by then (its leader asks), so whoever holds
 *    `refresh` never takes work.
 * 2. `mu` guards `rules` and how often each is held; nothing waits under it.
 * 3. `word` is changed after `rules`: the first sequence not known, times two,
 *    plus one when no draft without a token can be refused.
 */
#include "model/policy.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "model/policy_int.h"
#include "store/reader.h"
#include "store/store.h"

#define PIECE 64u

struct policy {
	struct store *store;
	pthread_mutex_t refresh;
	struct reader *reader;
	pthread_mutex_t mu;
	struct rules *rules;
	_Atomic uint64_t word;
};

/* ---- the restriction ----------------------------------------------------- */

struct restriction {
	struct rule rule;
	enum policy_restriction value;
};

static const char *const restriction_words[] = {"false", "true", "strict"};

const char *
policy_restriction_word(enum policy_restriction r)
{
	return restriction_words[r];
}

int
policy_restriction_parse(enum policy_restriction *out, struct weir_str word,
			 struct weir_err *err)
{
	char shown[80];

	for (unsigned i = 0; i < 3; i++)
		if (str_is(word, restriction_words[i])) {
			*out = (enum policy_restriction)i;
			return 0;
		}
	return err_set(err, WEIR_EINPUT,
		       "restriction is true, strict or false, not \"%s\"",
		       str_show(shown, sizeof(shown), word));
}

static int
restriction_read(struct rule **out, const struct record_view *v,
		 struct weir_err *err)
{
	struct restriction *r = mem_new(sizeof(*r));
	struct weir_str value;
	char word[16];
	size_t n;

	if (r == NULL)
		return err_nomem(err);
	if (json_kind(v->payload) == WEIR_OBJECT &&
	    json_get(v->payload, "restriction", &value) &&
	    json_kind(value) == WEIR_STRING && value.len <= sizeof(word)) {
		n = json_decode(word, value);
		if (policy_restriction_parse(
			    &r->value, (struct weir_str){word, n}, NULL) == 0) {
			*out = &r->rule;
			return 0;
		}
	}
	mem_free(r);
	return err_set(err, WEIR_EDAMAGE, "it names no restriction");
}

static void
restriction_free(struct rule *r)
{
	mem_free(r);
}

static const struct rule_class store_class = {
	.type = "$store", .read = restriction_read, .free = restriction_free};

static const struct rule_class *const classes[RULE_KINDS] = {
	[RULE_SCHEMA] = &schema_class,
	[RULE_STORE] = &store_class,
	[RULE_TOKEN] = &token_class,
};

/* ---- sets ---------------------------------------------------------------- */

/* Where an id stands, or would. */
static size_t
set_place(const struct rule_set *s, struct weir_str id)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (str_cmp(s->rule[mid]->id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct rule *
rules_find(const struct rules *r, enum rule_kind kind, struct weir_str id)
{
	const struct rule_set *s = &r->set[kind];
	size_t at = set_place(s, id);

	return at < s->n && str_eq(s->rule[at]->id, id) ? s->rule[at] : NULL;
}

static void
rule_put(enum rule_kind kind, struct rule *r)
{
	if (r != NULL && atomic_fetch_sub(&r->refs, 1) == 1) {
		mem_free((void *)(uintptr_t)r->id.data);
		classes[kind]->free(r);
	}
}

/* Puts a rule into its place; its reference is the set's, also on failure. */
static int
set_put(struct rule_set *s, enum rule_kind kind, struct rule *r)
{
	size_t at = set_place(s, r->id);

	if (at < s->n && str_eq(s->rule[at]->id, r->id)) {
		rule_put(kind, s->rule[at]);
		s->rule[at] = r;
		return 0;
	}
	/* Room for a power of two. */
	if ((s->n & (s->n - 1)) == 0) {
		size_t cap = s->n == 0 ? 1 : 2 * s->n;
		struct rule **p =
			mem_resize(s->rule, cap * sizeof(struct rule *));
		if (p == NULL) {
			rule_put(kind, r);
			return WEIR_ENOMEM;
		}
		s->rule = p;
	}
	memmove(s->rule + at + 1, s->rule + at,
		(s->n - at) * sizeof(struct rule *));
	s->rule[at] = r;
	s->n++;
	return 0;
}

/* The same rules, shared. */
static int
set_share(struct rule_set *to, const struct rule_set *from)
{
	size_t cap = 1;

	if (from->n == 0)
		return 0;
	while (cap < from->n)
		cap *= 2;
	to->rule = mem_resize(NULL, cap * sizeof(struct rule *));
	if (to->rule == NULL)
		return WEIR_ENOMEM;
	to->n = from->n;
	for (size_t i = 0; i < to->n; i++) {
		to->rule[i] = from->rule[i];
		atomic_fetch_add(&to->rule[i]->refs, 1);
	}
	return 0;
}

static void
rules_free(struct rules *r)
{
	if (r == NULL)
		return;
	for (int k = 0; k < RULE_KINDS; k++) {
		for (size_t i = 0; i < r->set[k].n; i++)
			rule_put((enum rule_kind)k, r->set[k].rule[i]);
		mem_free(r->set[k].rule);
	}
	token_index_fini(&r->tokens);
	mem_free(r);
}

/* ---- taking records in --------------------------------------------------- */

/* What a record of a reserved aggregate says, put into the rules. */
static int
take(struct rules *to, const struct record_view *v, struct weir_err *err)
{
	struct rule *r = NULL;
	int k = 0, rc;

	while (k < RULE_KINDS && !str_is(v->aggregate_type, classes[k]->type))
		k++;
	if (k == RULE_KINDS)
		return 0;
	rc = classes[k]->read(&r, v, err);
	if (rc != 0)
		return err_prefix(err,
				  "the record with sequence %" PRIu64
				  " can't be read as a rule",
				  v->sequence);
	r->refs = 1;
	r->version = v->version;
	r->sequence = v->sequence;
	r->committed_at = v->committed_at;
	r->id.len = v->aggregate_id.len;
	r->id.data = mem_dup(v->aggregate_id.data, v->aggregate_id.len);
	if (r->id.data == NULL) {
		classes[k]->free(r);
		return err_nomem(err);
	}
	rc = set_put(&to->set[k], (enum rule_kind)k, r);
	if (rc == 0 && k == RULE_TOKEN)
		rc = token_index_put(&to->tokens, r);
	return rc == 0 ? 0 : err_nomem(err);
}

struct loading {
	struct policy *p;
	struct rules *to;
	struct weir_err *err;
};

static int
load_one(void *cookie, struct weir_str type, struct weir_str id,
	 const struct head *head)
{
	struct loading *l = cookie;
	struct record_view v;
	int rc = reader_at(l->p->reader, &v, head->position, l->err);

	(void)type;
	(void)id;
	return rc == 0 ? take(l->to, &v, l->err) : rc;
}

/* Makes them the present ones. */
static void
install(struct policy *p, struct rules *r)
{
	const struct rule *rule = rules_find(r, RULE_STORE, STR("restriction"));
	struct rules *old;
	bool quiet, last;

	r->restriction = POLICY_TRUE;
	if (rule != NULL)
		r->restriction = ((const struct restriction *)rule)->value;
	quiet = r->restriction == POLICY_FREE ||
		(r->restriction == POLICY_TRUE && r->set[RULE_SCHEMA].n == 0);
	r->refs = 1;
	pthread_mutex_lock(&p->mu);
	old = p->rules;
	p->rules = r;
	last = old != NULL && --old->refs == 0;
	pthread_mutex_unlock(&p->mu);
	if (last)
		rules_free(old);
	atomic_store(&p->word, (r->revision + 1) * 2 + quiet);
}

static int
load_all(struct policy *p, struct weir_err *err)
{
	struct weir_err mine = {.code = 0};
	struct loading l = {.p = p, .err = &mine};
	int rc;

	l.to = mem_new(sizeof(*l.to));
	if (l.to == NULL)
		return err_nomem(err);
	/* What is committed from here on is noted. */
	l.to->revision = store_last(p->store);
	rc = store_each_reserved(p->store, load_one, &l);
	if (rc == 0) {
		install(p, l.to);
		return 0;
	}
	rules_free(l.to);
	if (mine.code != rc)
		return err_set(err, rc,
			       "the schemas of the store can't be listed");
	if (err != NULL)
		*err = mine;
	return rc;
}

/* ---- following ----------------------------------------------------------- */

static bool
is_behind(struct policy *p)
{
	return store_rules(p->store) >= atomic_load(&p->word) / 2;
}

/* `refresh` is held. */
static int
follow(struct policy *p, struct weir_err *err)
{
	struct rules *to = mem_new(sizeof(*to));
	uint64_t position[PIECE];
	struct record_view v;
	size_t n;
	int rc = to == NULL ? WEIR_ENOMEM : 0;

	for (int k = 0; rc == 0 && k < RULE_KINDS; k++)
		rc = set_share(&to->set[k], &p->rules->set[k]);
	if (rc == 0)
		rc = token_index_share(&to->tokens, &p->rules->tokens);
	if (rc != 0) {
		rules_free(to);
		return err_nomem(err);
	}
	to->revision = p->rules->revision;
	do {
		n = store_rules_after(p->store, position, PIECE, to->revision);
		for (size_t i = 0; rc == 0 && i < n; i++) {
			rc = reader_at(p->reader, &v, position[i], err);
			if (rc == 0)
				rc = take(to, &v, err);
			if (rc == 0)
				to->revision = v.sequence;
		}
	} while (rc == 0 && n == PIECE);
	if (rc != 0) {
		rules_free(to);
		return rc;
	}
	store_rules_forget(p->store, to->revision);
	install(p, to);
	return 0;
}

uint64_t
policy_revision(struct policy *p)
{
	return store_rules(p->store);
}

static int
catch_up(struct policy *p, struct weir_err *err)
{
	int rc = 0;

	if (!is_behind(p))
		return 0;
	pthread_mutex_lock(&p->refresh);
	if (is_behind(p))
		rc = follow(p, err);
	pthread_mutex_unlock(&p->refresh);
	return rc;
}

int
policy_refresh(struct policy *p, struct weir_err *err)
{
	int rc = store_refresh(p->store, err);

	return rc == 0 ? catch_up(p, err) : rc;
}

static const struct rules *
hold(struct policy *p)
{
	struct rules *r;

	pthread_mutex_lock(&p->mu);
	r = p->rules;
	r->refs++;
	pthread_mutex_unlock(&p->mu);
	return r;
}

const struct rules *
policy_hold(struct policy *p, struct weir_err *err)
{
	return policy_refresh(p, err) == 0 ? hold(p) : NULL;
}

void
policy_put(struct policy *p, const struct rules *held)
{
	struct rules *r = (struct rules *)(uintptr_t)held;
	bool last;

	pthread_mutex_lock(&p->mu);
	last = --r->refs == 0;
	pthread_mutex_unlock(&p->mu);
	if (last)
		rules_free(r);
}

/* ---- asked by the store -------------------------------------------------- */

static bool
any_token(const struct record_draft *d, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (d[i].token != 0)
			return true;
	return false;
}

static int
admit(void *cookie, uint64_t *revision, const struct record_draft *d, size_t n,
      struct weir_err *err)
{
	struct policy *p = cookie;
	const struct rules *r;
	uint64_t word;
	int rc = catch_up(p, err);

	if (rc != 0)
		return rc;
	word = atomic_load(&p->word);
	if (word % 2 == 1 && !any_token(d, n)) {
		*revision = word / 2;
		return 0;
	}
	r = hold(p);
	*revision = r->revision + 1;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = token_check_draft(r, &d[i], err);
		if (rc == 0 && !d[i].system)
			rc = schema_check_draft(r, &d[i], err);
		if (rc != 0 && err != NULL)
			err->sequence = i + 1;
	}
	policy_put(p, r);
	return rc;
}

/* ---- changing ------------------------------------------------------------ */

struct store *
policy_store(struct policy *p)
{
	return p->store;
}

int
policy_append(struct policy *p, enum rule_kind kind, struct weir_str id,
	      uint64_t version, const char *event, struct weir_str payload,
	      const struct policy_actor *by, struct weir_err *err)
{
	struct record_draft d = {
		.aggregate_type = str_of(classes[kind]->type),
		.aggregate_id = id,
		.event_type = str_of(event),
		.payload = payload,
		.expected = version,
		.system = true,
	};
	struct receipt receipt;
	int rc;

	if (by != NULL) {
		d.group = by->group;
		d.user = by->user;
		d.token = by->token;
		d.token_limit = by->limit;
	}
	rc = store_commit(p->store, &receipt, &d, 1, err);
	/* It is committed, and whoever looks next will take it in. */
	if (rc == 0)
		(void)catch_up(p, NULL);
	return rc;
}

enum policy_restriction
policy_restriction(struct policy *p)
{
	enum policy_restriction value;
	const struct rules *r;

	(void)policy_refresh(p, NULL);
	r = hold(p);
	value = r->restriction;
	policy_put(p, r);
	return value;
}

int
policy_restrict(struct policy *p, enum policy_restriction value,
		const struct policy_actor *by, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct rule *old;
	char payload[64] = "{\"restriction\":\"";
	uint64_t version;
	bool same;

	if (r == NULL)
		return err != NULL ? err->code : WEIR_EIO;
	old = rules_find(r, RULE_STORE, STR("restriction"));
	version = old != NULL ? old->version : 0;
	same = r->restriction == value;
	policy_put(p, r);
	if (same)
		return 0;
	strcat(payload, policy_restriction_word(value));
	strcat(payload, "\"}");
	return policy_append(p, RULE_STORE, STR("restriction"), version, "set",
			     str_of(payload), by, err);
}

/* ---- begin and end ------------------------------------------------------- */

int
policy_open(struct policy **out, struct store *s, struct weir_err *err)
{
	struct policy *p = mem_new(sizeof(*p));
	struct store_admission a = {0};
	int rc;

	if (p == NULL)
		return err_nomem(err);
	p->store = s;
	pthread_mutex_init(&p->refresh, NULL);
	pthread_mutex_init(&p->mu, NULL);
	p->reader = reader_new(s);
	store_set_admission(s, &a);
	rc = p->reader != NULL ? load_all(p, err) : err_nomem(err);
	if (rc != 0) {
		policy_free(p);
		return rc;
	}
	a = (struct store_admission){.admit = admit, .cookie = p};
	store_set_admission(s, &a);
	*out = p;
	return 0;
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	store_set_admission(p->store, NULL);
	reader_free(p->reader);
	rules_free(p->rules);
	pthread_mutex_destroy(&p->refresh);
	pthread_mutex_destroy(&p->mu);
	mem_free(p);
}
