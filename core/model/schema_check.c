/* SPDX-License-Identifier: MIT */
/*
 * Does a draft keep to its schema? In this order: aggregate locked; a field of
 * the payload is locked; event not declared; a required field is missing; a
 * field is not permitted; a field's type. An event without declared fields
 * takes any payload. Only the payload's top-level keys are looked at, as spans.
 *
 * A payload that is no JSON object counts as one with the field "_value", as
 * in the state.
 */
#include "model/schema_int.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define KEY_MAX	  (6 * WEIR_NAME_MAX + 2)
#define NAME_SHOW 160

struct checking {
	const struct schema *s;
	const struct schema_event *e; /* NULL: not declared */
	const struct record_draft *d;
	uint64_t seen[SCHEMA_FIELDS_MAX / 64];
	size_t next;		 /* the field that comes next, as a guess */
	struct weir_str foreign; /* the first field not permitted, raw */
	const struct schema_field *unfit;
	struct weir_str value; /* of unfit */
};

static bool
name_is(const char *name, size_t len, struct weir_str key)
{
	return len == key.len && memcmp(name, key.data, len) == 0;
}

/* The index of a field, or n. */
static size_t
find_field(struct checking *c, struct weir_str key)
{
	const struct schema_event *e = c->e;
	size_t i = c->next;

	if (i < e->n && name_is(e->field[i].name, e->field[i].len, key)) {
		c->next = i + 1;
		return i;
	}
	for (i = 0; i < e->n; i++)
		if (name_is(e->field[i].name, e->field[i].len, key))
			break;
	c->next = i + 1;
	return i;
}

static bool
is_locked(const struct schema *s, struct weir_str key)
{
	for (size_t i = 0; i < s->nlocks; i++)
		if (str_is(key, s->lock[i]))
			return true;
	return false;
}

/* A text or bytes payload has no JSON value of its own. */
static bool
fits(const struct checking *c, const struct schema_field *f,
     struct weir_str value)
{
	if (c->d->content == WEIR_CONTENT_JSON)
		return schema_type_fits(&f->read, value);
	if (f->read.array)
		return false;
	if (f->read.family == SCHEMA_ANY)
		return true;
	return c->d->content == WEIR_CONTENT_TEXT
		       ? f->read.family == SCHEMA_TEXT && f->read.n == 0
		       : f->read.family == SCHEMA_BYTES;
}

/* One field of the payload; raw is for messages. */
static int
look_at_field(struct checking *c, struct weir_str key, struct weir_str raw,
	      struct weir_str value, struct weir_err *err)
{
	char field[NAME_SHOW], name[NAME_SHOW];
	size_t i;

	if (is_locked(c->s, key))
		return err_set(
			err, WEIR_EINPUT, "field %s is locked for aggregate %s",
			str_show(field, sizeof(field), key),
			str_show(name, sizeof(name), c->d->aggregate_type));
	if (c->e == NULL || c->e->n == 0)
		return 0;
	i = find_field(c, key);
	if (i == c->e->n) {
		if (c->foreign.data == NULL)
			c->foreign = raw;
		return 0;
	}
	c->seen[i / 64] |= (uint64_t)1 << (i % 64);
	if (c->unfit == NULL && !fits(c, &c->e->field[i], value)) {
		c->unfit = &c->e->field[i];
		c->value = value;
	}
	return 0;
}

static int
look_at_payload(struct checking *c, struct weir_err *err)
{
	struct weir_str key, value, name, payload = c->d->payload;
	char room[KEY_MAX];
	struct json_iter it;
	int rc = 0;

	if (c->s->nlocks == 0 && (c->e == NULL || c->e->n == 0))
		return 0;
	if (c->d->content != WEIR_CONTENT_JSON ||
	    json_kind(payload) != WEIR_OBJECT)
		return look_at_field(c, STR("_value"), STR("\"_value\""),
				     payload, err);
	json_iter_init(&it, payload);
	while (rc == 0 && json_iter_next(&it, &key, &value)) {
		/* What is longer is no declared name. */
		name = (struct weir_str){key.data + 1, key.len - 2};
		if (key.len <= sizeof(room) &&
		    memchr(name.data, '\\', name.len) != NULL) {
			name.len = json_decode(room, key);
			name.data = room;
		}
		rc = look_at_field(c, name, key, value, err);
	}
	return rc;
}

static int
missing(const struct checking *c, struct weir_err *err)
{
	char field[NAME_SHOW], event[NAME_SHOW];

	for (size_t i = 0; i < c->e->n; i++) {
		const struct schema_field *f = &c->e->field[i];
		bool seen = c->seen[i / 64] >> (i % 64) & 1;

		if (!seen && !f->optional)
			return err_set(
				err, WEIR_EINPUT,
				"missing required field %s for event %s",
				str_show(field, sizeof(field),
					 (struct weir_str){f->name, f->len}),
				str_show(event, sizeof(event),
					 c->d->event_type));
	}
	return 0;
}

static int
foreign(const struct checking *c, struct weir_err *err)
{
	char field[NAME_SHOW], event[NAME_SHOW], room[KEY_MAX];
	struct weir_str name = {c->foreign.data + 1, c->foreign.len - 2};

	if (c->foreign.len <= sizeof(room))
		name = (struct weir_str){room, json_decode(room, c->foreign)};
	return err_set(err, WEIR_EINPUT,
		       "field %s is not permitted for event %s",
		       str_show(field, sizeof(field), name),
		       str_show(event, sizeof(event), c->d->event_type));
}

static int
unfit(const struct checking *c, struct weir_err *err)
{
	char field[NAME_SHOW], event[NAME_SHOW], value[80];
	bool json = c->d->content == WEIR_CONTENT_JSON;

	return err_set(
		err, WEIR_EINPUT, "field %s of event %s must be %s, not %s",
		str_show(field, sizeof(field),
			 (struct weir_str){c->unfit->name, c->unfit->len}),
		str_show(event, sizeof(event), c->d->event_type),
		c->unfit->type,
		json ? str_show(value, sizeof(value), c->value)
		: c->d->content == WEIR_CONTENT_TEXT ? "text"
						     : "bytes");
}

static int
check(struct checking *c, struct weir_err *err)
{
	char name[NAME_SHOW], event[NAME_SHOW];
	int rc;

	if (c->s->locked)
		return err_set(
			err, WEIR_EINPUT, "aggregate %s is locked for updates",
			str_show(name, sizeof(name), c->d->aggregate_type));
	rc = look_at_payload(c, err);
	if (rc != 0)
		return rc;
	if (c->e == NULL)
		return err_set(
			err, WEIR_EINPUT,
			"event %s is not defined for aggregate %s",
			str_show(event, sizeof(event), c->d->event_type),
			str_show(name, sizeof(name), c->d->aggregate_type));
	rc = missing(c, err);
	if (rc == 0 && c->foreign.data != NULL)
		rc = foreign(c, err);
	if (rc == 0 && c->unfit != NULL)
		rc = unfit(c, err);
	return rc;
}

int
schema_check_draft(const struct rules *r, const struct record_draft *d,
		   struct weir_err *err)
{
	const struct schema *s;
	struct checking c;
	char name[NAME_SHOW];

	if (r->restriction == POLICY_FREE || d->op != WEIR_OP_EVENT)
		return 0;
	s = (const struct schema *)rules_find(r, RULE_SCHEMA,
					      d->aggregate_type);
	if ((s == NULL || s->deleted) && r->restriction != POLICY_STRICT)
		return 0;
	if (s == NULL || s->deleted)
		return err_set(err, WEIR_EINPUT,
			       "aggregate %s has no schema, and the "
			       "restriction is strict; declare it with `weir "
			       "schema create`",
			       str_show(name, sizeof(name), d->aggregate_type));
	memset(&c, 0, sizeof(c));
	c.s = s;
	c.d = d;
	c.e = schema_doc_event(s, d->event_type);
	return check(&c, err);
}
