/* SPDX-License-Identifier: MIT */
/*
 * Schemas from JSON and to JSON. What is given is merged into what is there
 * (RFC 7386: a member that is null goes), so one reader serves records, which
 * say all, and changes, which say little.
 */
#include "model/schema_int.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"

#define KEY_MAX (6 * WEIR_NAME_MAX + 2)

struct schema *
schema_doc_new(void)
{
	return mem_new(sizeof(struct schema));
}

static void
clear_fields(struct schema_event *e)
{
	for (size_t i = 0; i < e->n; i++)
		mem_free(e->field[i].name);
	e->n = 0;
}

static void
clear_locks(struct schema *s)
{
	for (size_t i = 0; i < s->nlocks; i++)
		mem_free(s->lock[i]);
	s->nlocks = 0;
}

static void
event_fini(struct schema_event *e)
{
	clear_fields(e);
	mem_free(e->field);
	mem_free(e->name);
}

void
schema_doc_free(struct schema *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		event_fini(&s->event[i]);
	clear_locks(s);
	mem_free(s->event);
	mem_free(s->lock);
	mem_free(s);
}

/* ---- finding and adding -------------------------------------------------- */

struct schema_event *
schema_doc_event(const struct schema *s, struct weir_str name)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->event[i].len == name.len &&
		    memcmp(s->event[i].name, name.data, name.len) == 0)
			return &s->event[i];
	return NULL;
}

struct schema_field *
schema_doc_field(const struct schema_event *e, struct weir_str name)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->field[i].len == name.len &&
		    memcmp(e->field[i].name, name.data, name.len) == 0)
			return &e->field[i];
	return NULL;
}

/* Room for one more of n things of a size; false: no memory. */
static bool
have_room(void **all, size_t *cap, size_t n, size_t size)
{
	size_t more = *cap == 0 ? 4 : 2 * *cap;
	void *p;

	if (n < *cap)
		return true;
	p = mem_resize(*all, more * size);
	if (p == NULL)
		return false;
	*all = p;
	*cap = more;
	return true;
}

static int
add_event(struct schema *s, struct schema_event **out, struct weir_str name,
	  struct weir_err *err)
{
	void *all = s->event;
	int rc = str_check_name(name, "event type", WEIR_NAME_MAX, true, err);

	*out = schema_doc_event(s, name);
	if (rc != 0 || *out != NULL)
		return rc;
	if (s->n == SCHEMA_EVENTS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "a schema has at most %u events",
			       SCHEMA_EVENTS_MAX);
	if (!have_room(&all, &s->cap, s->n, sizeof(*s->event)))
		return err_nomem(err);
	s->event = all;
	struct schema_event e = {.name = mem_dup(name.data, name.len),
				 .len = name.len};
	if (e.name == NULL)
		return err_nomem(err);
	s->event[s->n] = e;
	*out = &s->event[s->n++];
	return 0;
}

static int
add_field(struct schema_event *e, struct schema_field **out,
	  struct weir_str name, struct weir_err *err)
{
	void *all = e->field;
	int rc = str_check_name(name, "field", WEIR_NAME_MAX, false, err);

	*out = schema_doc_field(e, name);
	if (rc != 0 || *out != NULL)
		return rc;
	if (e->n == SCHEMA_FIELDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "an event has at most %u declared fields",
			       SCHEMA_FIELDS_MAX);
	if (!have_room(&all, &e->cap, e->n, sizeof(*e->field)))
		return err_nomem(err);
	e->field = all;
	struct schema_field f = {.name = mem_dup(name.data, name.len),
				 .len = name.len};
	if (f.name == NULL)
		return err_nomem(err);
	e->field[e->n] = f;
	*out = &e->field[e->n++];
	return 0;
}

void
schema_doc_remove(struct schema *s, struct schema_event *e)
{
	size_t at = (size_t)(e - s->event);

	event_fini(e);
	s->n--;
	memmove(e, e + 1, (s->n - at) * sizeof(*e));
}

static void
remove_field(struct schema_event *e, struct schema_field *f)
{
	size_t at = (size_t)(f - e->field);

	mem_free(f->name);
	e->n--;
	memmove(f, f + 1, (e->n - at) * sizeof(*f));
}

/* ---- reading ------------------------------------------------------------- */

/* A name out of its raw form into room for it. */
static int
read_name(char room[KEY_MAX], struct weir_str *out, struct weir_str raw,
	  const char *what, struct weir_err *err)
{
	if (json_kind(raw) != WEIR_STRING)
		return err_set(err, WEIR_EINPUT, "%s must be a string", what);
	if (raw.len > KEY_MAX)
		return err_set(err, WEIR_EINPUT, "%s has more than %u bytes",
			       what, WEIR_NAME_MAX);
	out->data = room;
	out->len = json_decode(room, raw);
	return 0;
}

static int
unknown(struct weir_str key, const char *of, struct weir_err *err)
{
	char shown[80];

	return err_set(err, WEIR_EINPUT, "unknown member %s of %s",
		       str_show(shown, sizeof(shown), key), of);
}

static int
read_bool(bool *out, struct weir_str value, const char *what,
	  struct weir_err *err)
{
	if (json_kind(value) != WEIR_BOOL)
		return err_set(err, WEIR_EINPUT, "%s must be true or false",
			       what);
	*out = value.data[0] == 't';
	return 0;
}

static int
read_type(struct schema_field *f, struct weir_str value, struct weir_err *err)
{
	char room[KEY_MAX + 1], shown[80];
	struct weir_str name;
	int rc;

	if (json_kind(value) == WEIR_NULL) {
		f->type[0] = '\0';
		f->read = schema_type_of(f->type);
		return 0;
	}
	rc = read_name(room, &name, value, "a field's type", err);
	if (rc != 0)
		return rc;
	if (memchr(room, '\0', name.len) != NULL)
		name.len = 0;
	room[name.len] = '\0';
	rc = mapping_type(f->type, room, true, err);
	if (rc == 0)
		f->read = schema_type_of(f->type);
	else
		err_prefix(err, "field %s",
			   str_show(shown, sizeof(shown),
				    (struct weir_str){f->name, f->len}));
	return rc;
}

static int
read_field(struct schema_field *f, struct weir_str value, struct weir_err *err)
{
	struct json_iter it;
	struct weir_str key, v;
	bool required;
	int rc = 0;

	if (json_kind(value) == WEIR_STRING)
		return read_type(f, value, err);
	if (json_kind(value) != WEIR_OBJECT)
		return err_set(err, WEIR_EINPUT,
			       "a field is declared by its type or by an "
			       "object");
	json_iter_init(&it, value);
	while (rc == 0 && json_iter_next(&it, &key, &v)) {
		if (json_string_is(key, "type")) {
			rc = read_type(f, v, err);
		} else if (json_string_is(key, "required")) {
			required = true;
			if (json_kind(v) != WEIR_NULL)
				rc = read_bool(&required, v, "required", err);
			f->optional = !required;
		} else if (!json_string_is(key, "name")) {
			rc = unknown(key, "a field", err);
		}
	}
	return rc;
}

/* One of an array: a name, or an object with a name. */
static int
read_listed_field(struct schema_event *e, struct weir_str value,
		  struct weir_err *err)
{
	struct weir_str raw = value, name;
	struct schema_field *f;
	char room[KEY_MAX];
	bool object = json_kind(value) == WEIR_OBJECT;
	int rc;

	if (object && !json_get(value, "name", &raw))
		return err_set(err, WEIR_EINPUT,
			       "a field in an array needs a name");
	rc = read_name(room, &name, raw, "a field's name", err);
	if (rc == 0)
		rc = add_field(e, &f, name, err);
	return rc == 0 && object ? read_field(f, value, err) : rc;
}

static int
read_fields(struct schema_event *e, struct weir_str value, struct weir_err *err)
{
	enum weir_kind kind = json_kind(value);
	struct weir_str key, v, name;
	struct schema_field *f;
	char room[KEY_MAX];
	struct json_iter it;
	int rc = 0;

	if (kind != WEIR_OBJECT)
		clear_fields(e);
	if (kind == WEIR_NULL)
		return 0;
	if (kind != WEIR_OBJECT && kind != WEIR_ARRAY)
		return err_set(err, WEIR_EINPUT,
			       "fields must be an object or an array");
	json_iter_init(&it, value);
	while (rc == 0 && json_iter_next(&it, &key, &v)) {
		if (kind == WEIR_ARRAY) {
			rc = read_listed_field(e, v, err);
			continue;
		}
		rc = read_name(room, &name, key, "a field's name", err);
		if (rc == 0 && json_kind(v) == WEIR_NULL) {
			f = schema_doc_field(e, name);
			if (f != NULL)
				remove_field(e, f);
			continue;
		}
		if (rc == 0)
			rc = add_field(e, &f, name, err);
		if (rc == 0)
			rc = read_field(f, v, err);
	}
	return rc;
}

static int
read_event(struct schema_event *e, struct weir_str value, struct weir_err *err)
{
	struct weir_str key, v;
	struct json_iter it;
	char shown[80];
	int rc = 0;

	if (json_kind(value) != WEIR_OBJECT)
		return err_set(err, WEIR_EINPUT,
			       "an event is declared by an object");
	json_iter_init(&it, value);
	while (rc == 0 && json_iter_next(&it, &key, &v))
		rc = json_string_is(key, "fields")
			     ? read_fields(e, v, err)
			     : unknown(key, "an event", err);
	if (rc != 0)
		err_prefix(err, "event %s",
			   str_show(shown, sizeof(shown),
				    (struct weir_str){e->name, e->len}));
	return rc;
}

static int
read_events(struct schema *s, struct weir_str value, struct weir_err *err)
{
	enum weir_kind kind = json_kind(value);
	struct weir_str key, v, name;
	struct schema_event *e;
	char room[KEY_MAX];
	struct json_iter it;
	int rc = 0;

	if (kind != WEIR_OBJECT && kind != WEIR_ARRAY)
		return err_set(err, WEIR_EINPUT,
			       "events must be an object or an array of names");
	json_iter_init(&it, value);
	while (rc == 0 && json_iter_next(&it, &key, &v)) {
		rc = read_name(room, &name, kind == WEIR_ARRAY ? v : key,
			       "an event's name", err);
		if (rc == 0 && kind == WEIR_OBJECT &&
		    json_kind(v) == WEIR_NULL) {
			e = schema_doc_event(s, name);
			if (e != NULL)
				schema_doc_remove(s, e);
			continue;
		}
		if (rc == 0)
			rc = add_event(s, &e, name, err);
		if (rc == 0 && kind == WEIR_OBJECT)
			rc = read_event(e, v, err);
	}
	return rc;
}

static int
add_lock(struct schema *s, struct weir_str raw, struct weir_err *err)
{
	char room[KEY_MAX];
	struct weir_str name;
	void *all = s->lock;
	int rc = read_name(room, &name, raw, "a locked field's name", err);

	if (rc == 0)
		rc = str_check_name(name, "field", WEIR_NAME_MAX, false, err);
	for (size_t i = 0; rc == 0 && i < s->nlocks; i++)
		if (str_is(name, s->lock[i]))
			return 0;
	if (rc != 0)
		return rc;
	if (s->nlocks == SCHEMA_LOCKS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "a schema locks at most %u fields",
			       SCHEMA_LOCKS_MAX);
	if (!have_room(&all, &s->locks_cap, s->nlocks, sizeof(*s->lock)))
		return err_nomem(err);
	s->lock = all;
	s->lock[s->nlocks] = mem_dup(name.data, name.len);
	if (s->lock[s->nlocks] == NULL)
		return err_nomem(err);
	s->nlocks++;
	return 0;
}

static int
read_locks(struct schema *s, struct weir_str value, struct weir_err *err)
{
	struct weir_str key, v;
	struct json_iter it;
	int rc = 0;

	clear_locks(s);
	if (json_kind(value) == WEIR_NULL)
		return 0;
	if (json_kind(value) != WEIR_ARRAY)
		return err_set(err, WEIR_EINPUT,
			       "field_locks must be an array of names");
	json_iter_init(&it, value);
	while (rc == 0 && json_iter_next(&it, &key, &v))
		rc = add_lock(s, v, err);
	return rc;
}

static int
read_number(uint64_t *out, struct weir_str value, const char *what,
	    struct weir_err *err)
{
	uint64_t n = 0;

	if (json_kind(value) != WEIR_NULL && json_u64(&n, value) != 0)
		return err_set(err, WEIR_EINPUT, "%s must be a whole number",
			       what);
	*out = n;
	return 0;
}

static int
read_aggregate(struct weir_str value, struct weir_str aggregate,
	       struct weir_err *err)
{
	char room[KEY_MAX], shown[160];
	struct weir_str name;
	int rc = read_name(room, &name, value, "aggregate", err);

	if (rc == 0 && !str_eq(name, aggregate))
		rc = err_set(err, WEIR_EINPUT,
			     "aggregate must be %s, as the schema is named",
			     str_show(shown, sizeof(shown), aggregate));
	return rc;
}

int
schema_doc_merge(struct schema *s, uint64_t *version, struct weir_str json,
		 struct weir_str aggregate, struct weir_err *err)
{
	struct weir_str key, v;
	struct json_iter it;
	int rc = 0;

	*version = 0;
	if (json_kind(json) != WEIR_OBJECT)
		return err_set(err, WEIR_EINPUT,
			       "a schema must be a JSON object");
	json_iter_init(&it, json);
	while (rc == 0 && json_iter_next(&it, &key, &v)) {
		if (json_string_is(key, "events"))
			rc = read_events(s, v, err);
		else if (json_string_is(key, "snapshot_threshold"))
			rc = read_number(&s->threshold, v, "snapshot_threshold",
					 err);
		else if (json_string_is(key, "locked"))
			rc = read_bool(&s->locked, v, "locked", err);
		else if (json_string_is(key, "field_locks"))
			rc = read_locks(s, v, err);
		else if (json_string_is(key, "aggregate"))
			rc = read_aggregate(v, aggregate, err);
		else if (json_string_is(key, "version"))
			rc = read_number(version, v, "version", err);
		else if (!json_string_is(key, "created_at") &&
			 !json_string_is(key, "updated_at"))
			rc = unknown(key, "a schema", err);
	}
	return rc;
}

/* A column is one for all events. */
static int
check_types(const struct schema *s, const struct schema_event *e,
	    const struct schema_field *f, struct weir_err *err)
{
	struct weir_str name = {f->name, f->len};

	for (size_t i = 0; f->type[0] != '\0' && &s->event[i] != e; i++) {
		const struct schema_event *o = &s->event[i];
		const struct schema_field *g = schema_doc_field(o, name);

		if (g != NULL && g->type[0] != '\0' &&
		    strcmp(g->type, f->type) != 0)
			return err_set(err, WEIR_EINPUT,
				       "field %s is %s in event %s and %s in "
				       "event %s; a field has one type in all "
				       "events",
				       f->name, g->type, o->name, f->type,
				       e->name);
	}
	return 0;
}

int
schema_doc_check(const struct schema *s, struct weir_err *err)
{
	int rc = 0;

	if (s->n == 0)
		return err_set(err, WEIR_EINPUT,
			       "a schema needs at least one event");
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		for (size_t j = 0; rc == 0 && j < s->event[i].n; j++)
			rc = check_types(s, &s->event[i], &s->event[i].field[j],
					 err);
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

static void
put_field(struct buf *out, const struct schema_field *f)
{
	json_put_string(out, (struct weir_str){f->name, f->len});
	buf_puts(out, ":{\"type\":");
	if (f->type[0] != '\0')
		json_put_string(out, str_of(f->type));
	else
		buf_puts(out, "null");
	buf_printf(out, ",\"required\":%s}", f->optional ? "false" : "true");
}

static void
put_event(struct buf *out, const struct schema_event *e)
{
	json_put_string(out, (struct weir_str){e->name, e->len});
	buf_puts(out, ":{\"fields\":{");
	for (size_t i = 0; i < e->n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_field(out, &e->field[i]);
	}
	buf_puts(out, "}}");
}

int
schema_doc_put(struct buf *out, const struct schema *s)
{
	buf_puts(out, "\"events\":{");
	for (size_t i = 0; i < s->n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		put_event(out, &s->event[i]);
	}
	buf_puts(out, "},\"snapshot_threshold\":");
	if (s->threshold != 0)
		buf_printf(out, "%llu", (unsigned long long)s->threshold);
	else
		buf_puts(out, "null");
	buf_printf(out, ",\"locked\":%s,\"field_locks\":[",
		   s->locked ? "true" : "false");
	for (size_t i = 0; i < s->nlocks; i++) {
		if (i > 0)
			buf_putc(out, ',');
		json_put_string(out, str_of(s->lock[i]));
	}
	buf_putc(out, ']');
	return out->failed ? WEIR_ENOMEM : 0;
}
