/* SPDX-License-Identifier: MIT */
/*
 * Schemas as rules: read from records, shown, changed. A change is made on a
 * copy of the present one and committed at its version; when others were
 * faster it is made again.
 */
#include "model/schema_int.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "store/reader.h"
#include "store/store.h"

#define TRIES	 100
#define JSON_MAX (4u << 20)

/* ---- the rule ------------------------------------------------------------ */

static int
schema_read(struct rule **out, const struct record_view *v,
	    struct weir_err *err)
{
	struct schema *s = schema_doc_new();
	struct weir_str value;
	uint64_t version;
	int rc = 0;

	if (s == NULL)
		return err_nomem(err);
	if (json_kind(v->payload) == WEIR_OBJECT &&
	    json_get(v->payload, "deleted", &value))
		s->deleted = true;
	else
		rc = schema_doc_merge(s, &version, v->payload, v->aggregate_id,
				      err);
	if (rc != 0) {
		schema_doc_free(s);
		return rc;
	}
	*out = &s->rule;
	return 0;
}

static void
schema_free(struct rule *r)
{
	schema_doc_free((struct schema *)(void *)r);
}

const struct rule_class schema_class = {
	.type = "$schema", .read = schema_read, .free = schema_free};

/* NULL when it is not declared. */
static const struct schema *
find(const struct rules *r, struct weir_str aggregate)
{
	const struct schema *s =
		(const struct schema *)rules_find(r, RULE_SCHEMA, aggregate);

	return s != NULL && !s->deleted ? s : NULL;
}

static int
code_of(const struct weir_err *err)
{
	return err != NULL ? err->code : WEIR_EIO;
}

/* ---- showing ------------------------------------------------------------- */

static int
put_time(struct buf *out, const char *name, int64_t at)
{
	char text[28];

	clock_text(text, at);
	return buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static int
put(struct buf *out, struct reader *reader, const struct schema *s,
    struct weir_err *err)
{
	struct record_view first;
	int rc = reader_version(reader, &first, str_of(schema_class.type),
				s->rule.id, 1, err);

	if (rc != 0)
		return rc;
	buf_puts(out, "{\"aggregate\":");
	json_put_string(out, s->rule.id);
	buf_putc(out, ',');
	schema_doc_put(out, s);
	buf_printf(out, ",\"version\":%llu",
		   (unsigned long long)s->rule.version);
	put_time(out, "created_at", first.committed_at);
	put_time(out, "updated_at", s->rule.committed_at);
	buf_putc(out, '}');
	return out->failed ? err_nomem(err) : 0;
}

static int
put_all(struct buf *out, struct reader *reader, const struct rule_set *set,
	struct weir_err *err)
{
	bool any = false;
	int rc = 0;

	buf_putc(out, '[');
	for (size_t i = 0; rc == 0 && i < set->n; i++) {
		const struct schema *s =
			(const struct schema *)(void *)set->rule[i];
		if (s->deleted)
			continue;
		if (any)
			buf_putc(out, ',');
		any = true;
		rc = put(out, reader, s, err);
	}
	buf_putc(out, ']');
	return rc == 0 && out->failed ? err_nomem(err) : rc;
}

int
schema_json(struct buf *out, uint64_t *version, struct policy *p,
	    struct weir_str aggregate, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct schema *s;
	struct reader *reader;
	int rc;

	if (r == NULL)
		return code_of(err);
	s = find(r, aggregate);
	reader = reader_new(policy_store(p));
	if (s == NULL)
		rc = err_set(err, WEIR_ENOTFOUND, "schema not found");
	else
		rc = reader != NULL ? put(out, reader, s, err) : err_nomem(err);
	if (rc == 0 && version != NULL)
		*version = s->rule.version;
	reader_free(reader);
	policy_put(p, r);
	return rc;
}

int
schema_list_json(struct buf *out, struct policy *p, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	struct reader *reader;
	int rc;

	if (r == NULL)
		return code_of(err);
	reader = reader_new(policy_store(p));
	rc = reader != NULL ? put_all(out, reader, &r->set[RULE_SCHEMA], err)
			    : err_nomem(err);
	reader_free(reader);
	policy_put(p, r);
	return rc;
}

bool
schema_field_type(struct policy *p, char out[64], struct weir_str aggregate,
		  struct weir_str field)
{
	const struct rules *r = policy_hold(p, NULL);
	const struct schema *s;
	bool found = false;

	if (r == NULL)
		return false;
	s = find(r, aggregate);
	for (size_t i = 0; s != NULL && !found && i < s->n; i++) {
		const struct schema_field *f =
			schema_doc_field(&s->event[i], field);
		found = f != NULL && f->type[0] != '\0';
		if (found)
			memcpy(out, f->type, sizeof(f->type));
	}
	policy_put(p, r);
	return found;
}

/* ---- changing ------------------------------------------------------------ */

enum how {
	HOW_CREATE,
	HOW_REPLACE,
	HOW_CHANGE,
	HOW_REMOVE_EVENT,
	HOW_DELETE
};

struct change {
	enum how how;
	struct weir_str aggregate;
	struct weir_str json; /* checked */
	struct weir_str event;
	const struct policy_actor *by;
	bool created;
};

static int
remove_event(struct schema *s, const struct change *c, struct weir_err *err)
{
	struct schema_event *e = schema_doc_event(s, c->event);
	char event[160], name[160];

	str_show(event, sizeof(event), c->event);
	str_show(name, sizeof(name), c->aggregate);
	if (e == NULL)
		return err_set(err, WEIR_ENOTFOUND,
			       "event %s is not defined for aggregate %s",
			       event, name);
	if (s->n == 1)
		return err_set(err, WEIR_EINPUT,
			       "event %s is the last one of aggregate %s and "
			       "can't be removed",
			       event, name);
	schema_doc_remove(s, e);
	return 0;
}

static int
check_version(uint64_t given, uint64_t now, struct weir_err *err)
{
	if (given == 0 || given == now)
		return 0;
	err_set(err, WEIR_ECONFLICT,
		"the schema is at version %llu where %llu was expected; read "
		"it again and decide anew",
		(unsigned long long)now, (unsigned long long)given);
	if (err != NULL)
		err->version = now;
	return WEIR_ECONFLICT;
}

/* What it was, as a record says it: empty when it is not declared. */
static int
put_present(struct buf *out, const struct schema *now)
{
	if (now == NULL)
		return 0;
	buf_putc(out, '{');
	schema_doc_put(out, now);
	return buf_putc(out, '}');
}

/* The whole new schema into `to`. */
static int
make(struct buf *to, const struct schema *now, uint64_t at,
     struct weir_str present, const struct change *c, struct weir_err *err)
{
	struct schema *s = schema_doc_new();
	uint64_t given = 0;
	int rc = s == NULL ? err_nomem(err) : 0;

	if (rc == 0 && now != NULL && c->how != HOW_REPLACE)
		rc = schema_doc_merge(s, &given, present, c->aggregate, err);
	if (rc == 0 && c->how == HOW_REMOVE_EVENT)
		rc = remove_event(s, c, err);
	else if (rc == 0)
		rc = schema_doc_merge(s, &given, c->json, c->aggregate, err);
	if (rc == 0)
		rc = check_version(given, now != NULL ? at : 0, err);
	if (rc == 0)
		rc = schema_doc_check(s, err);
	if (rc == 0) {
		buf_putc(to, '{');
		schema_doc_put(to, s);
		if (buf_putc(to, '}') != 0)
			rc = err_nomem(err);
	}
	schema_doc_free(s);
	return rc;
}

static int
may_change(const struct schema *now, const struct change *c,
	   struct weir_err *err)
{
	if (now != NULL && c->how == HOW_CREATE)
		return err_set(err, WEIR_ECONFLICT, "schema already exists");
	if (now == NULL && c->how != HOW_CREATE && c->how != HOW_REPLACE)
		return err_set(err, WEIR_ENOTFOUND, "schema not found");
	return str_check_name(c->aggregate, "aggregate type", WEIR_NAME_MAX,
			      true, err);
}

/* One try: WEIR_ECONFLICT and *again when others were faster. */
static int
try_change(struct policy *p, struct change *c, bool *again, struct buf *present,
	   struct buf *to, struct weir_err *err)
{
	const struct rules *r = policy_hold(p, err);
	const struct rule *rule;
	const struct schema *now;
	uint64_t at;
	int rc;

	*again = false;
	if (r == NULL)
		return code_of(err);
	rule = rules_find(r, RULE_SCHEMA, c->aggregate);
	at = rule != NULL ? rule->version : 0;
	now = find(r, c->aggregate);
	c->created = now == NULL;
	rc = may_change(now, c, err);
	if (rc == 0 && c->by != NULL)
		rc = check_version(c->by->expected, now != NULL ? at : 0, err);
	if (rc == 0 && put_present(present, now) != 0)
		rc = err_nomem(err);
	if (rc == 0 && c->how != HOW_DELETE)
		rc = make(to, now, at, buf_str(present), c, err);
	else if (rc == 0)
		rc = buf_puts(to, "{\"deleted\":true}");
	policy_put(p, r);
	if (rc != 0 || str_eq(buf_str(present), buf_str(to)))
		return rc;
	rc = policy_append(p, RULE_SCHEMA, c->aggregate, at,
			   c->created		  ? "created"
			   : c->how == HOW_DELETE ? "deleted"
						  : "changed",
			   buf_str(to), c->by, err);
	*again = rc == WEIR_ECONFLICT;
	return rc;
}

static int
change(struct policy *p, struct change *c, struct weir_err *err)
{
	struct weir_err mine;
	struct buf present, to;
	bool again = true;
	int rc = 0;

	err = err != NULL ? err : &mine;
	if (c->json.data != NULL)
		rc = json_check(c->json, &c->json, "schema", err);
	if (rc != 0)
		return rc;
	buf_init(&present, JSON_MAX);
	buf_init(&to, JSON_MAX);
	for (int i = 0; again && i < TRIES; i++) {
		buf_clear(&present);
		buf_clear(&to);
		rc = try_change(p, c, &again, &present, &to, err);
	}
	buf_fini(&present);
	buf_fini(&to);
	return rc;
}

int
schema_create(struct policy *p, struct weir_str aggregate, struct weir_str json,
	      const struct policy_actor *by, struct weir_err *err)
{
	struct change c = {HOW_CREATE, aggregate, json, {NULL, 0}, by, false};

	return change(p, &c, err);
}

int
schema_replace(struct policy *p, struct weir_str aggregate,
	       struct weir_str json, bool *created,
	       const struct policy_actor *by, struct weir_err *err)
{
	struct change c = {HOW_REPLACE, aggregate, json, {NULL, 0}, by, false};
	int rc = change(p, &c, err);

	if (rc == 0 && created != NULL)
		*created = c.created;
	return rc;
}

int
schema_change(struct policy *p, struct weir_str aggregate, struct weir_str json,
	      const struct policy_actor *by, struct weir_err *err)
{
	struct change c = {HOW_CHANGE, aggregate, json, {NULL, 0}, by, false};

	return change(p, &c, err);
}

int
schema_remove_event(struct policy *p, struct weir_str aggregate,
		    struct weir_str event, const struct policy_actor *by,
		    struct weir_err *err)
{
	struct change c = {
		HOW_REMOVE_EVENT, aggregate, {NULL, 0}, event, by, false};

	return change(p, &c, err);
}

int
schema_delete(struct policy *p, struct weir_str aggregate,
	      const struct policy_actor *by, struct weir_err *err)
{
	struct change c = {HOW_DELETE, aggregate, {NULL, 0},
			   {NULL, 0},  by,	  false};

	return change(p, &c, err);
}
