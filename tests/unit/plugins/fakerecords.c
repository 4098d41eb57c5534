/* SPDX-License-Identifier: MIT */
/* The records of the fake host: numbered, folded and printed when appended. */
#include "plugins/fakeparts.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_owned {
	struct weir_sink_record r;
	struct weir_sink_member *state;
	char **pieces; /* memory that r points into */
	size_t npieces, cap;
};

bool
fake_same(struct weir_str a, struct weir_str b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void
fake_uuid_text(char out[37], const uint8_t id[16])
{
	size_t at = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		at += (size_t)snprintf(out + at, 37 - at, "%02x", id[i]);
	}
}

static char *
piece(struct fake_owned *o, size_t n)
{
	if (o->npieces == o->cap) {
		o->cap = o->cap ? o->cap * 2 : 32;
		o->pieces = realloc(o->pieces, o->cap * sizeof *o->pieces);
		if (o->pieces == NULL)
			fake_die("realloc", "no memory");
	}
	return o->pieces[o->npieces++] = fake_xalloc(n + 1);
}

static struct weir_str
keep(struct fake_owned *o, struct weir_str s)
{
	char *p = piece(o, s.len);

	if (s.len > 0)
		memcpy(p, s.data, s.len);
	return (struct weir_str){p, s.len};
}

static struct weir_str
keep_text(struct fake_owned *o, const char *s)
{
	return keep(o, (struct weir_str){s, strlen(s)});
}

void
fake_record_free(struct fake_owned *o)
{
	for (size_t i = 0; i < o->npieces; i++)
		free(o->pieces[i]);
	free(o->pieces);
	free(o->state);
	free(o);
}

uint64_t
fake_last(const struct fake *f)
{
	return f->parts->nrecords;
}

const struct weir_sink_record *
fake_at(const struct fake *f, uint64_t sequence)
{
	if (sequence < 1 || sequence > f->parts->nrecords)
		fake_die("fake_at", "no such sequence");
	return &f->parts->records[sequence - 1]->r;
}

/* One member of the payload into the state. */
static void
merge(struct fake_owned *o, struct weir_str name, struct weir_str raw)
{
	struct weir_sink_record *r = &o->r;
	size_t i = 0;

	while (i < r->nstate && !fake_same(o->state[i].name, name))
		i++;
	if (i == r->nstate) {
		o->state = realloc(o->state, (i + 1) * sizeof *o->state);
		if (o->state == NULL)
			fake_die("realloc", "no memory");
		o->state[i].name = keep(o, name);
		r->nstate++;
	}
	o->state[i].raw = keep(o, raw);
	o->state[i].kind = (uint32_t)json_kind(raw);
}

/* s as a JSON string, which has up to 6 times its bytes and 2. */
static size_t
quote(char *p, struct weir_str s)
{
	size_t n = 0;

	p[n++] = '"';
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c < 0x20 || c == '"' || c == '\\')
			n += (size_t)sprintf(p + n, "\\u%04x", c);
		else
			p[n++] = (char)c;
	}
	p[n++] = '"';
	return n;
}

static struct weir_str
quoted(struct fake_owned *o, struct weir_str s)
{
	char *p = piece(o, s.len * 6 + 3);
	size_t n = quote(p, s);

	p[n] = '\0';
	return (struct weir_str){p, n};
}

/* Text as a JSON string, bytes as a note of their length. */
static struct weir_str
other_value(struct fake_owned *o, const struct fake_record *from)
{
	char *p = piece(o, from->payload.len * 6 + 32);
	size_t n = 0;

	if (from->content == WEIR_CONTENT_BYTES) {
		n = (size_t)sprintf(p, "{\"$base64\":\"\"}");
		return (struct weir_str){p, n};
	}
	n = quote(p, from->payload);
	return (struct weir_str){p, n};
}

static void
fold(struct fake_owned *o, const struct fake_record *from)
{
	struct weir_str key, value = o->r.payload, checked;
	struct weir_err err = {0};
	struct json_iter it;

	if (from->content != WEIR_CONTENT_JSON)
		value = other_value(o, from);
	if (json_check(value, &checked, "payload", &err) != 0)
		fake_die("payload", err.msg);
	if (json_kind(checked) != WEIR_OBJECT) {
		merge(o, (struct weir_str){"_value", 6}, checked);
		return;
	}
	json_iter_init(&it, checked);
	while (json_iter_next(&it, &key, &value)) {
		char *name = piece(o, key.len);
		size_t n = json_decode(name, key);
		merge(o, (struct weir_str){name, n}, value);
	}
}

static void
print_state(struct fake_owned *o)
{
	size_t n = 2, at = 0;

	for (size_t i = 0; i < o->r.nstate; i++)
		n += o->state[i].name.len * 6 + o->state[i].raw.len + 4;
	char *p = piece(o, n);
	p[at++] = '{';
	for (size_t i = 0; i < o->r.nstate; i++) {
		const struct weir_sink_member *m = &o->state[i];
		if (i > 0)
			p[at++] = ',';
		at += quote(p + at, m->name);
		p[at++] = ':';
		memcpy(p + at, m->raw.data, m->raw.len);
		at += m->raw.len;
	}
	p[at++] = '}';
	o->r.state_json = (struct weir_str){p, at};
}

static void
print_record(struct fake *f, struct fake_owned *o)
{
	struct weir_sink_record *r = &o->r;
	struct weir_str body = r->state_json;
	char id[37], at[28];

	if (r->content == WEIR_CONTENT_JSON)
		body = r->payload;
	fake_uuid_text(id, r->event_id);
	f->host.time_text(f->host.cookie, r->created_at, at);
	size_t n = body.len + 1024 +
		   6 * (r->aggregate_type.len + r->aggregate_id.len +
			r->event_type.len);
	char *p = piece(o, n);
	int len = snprintf(p, n,
			   "{\"aggregate_type\":%s,\"aggregate_id\":%s,"
			   "\"event_type\":%s,\"payload\":%.*s,\"metadata\":"
			   "{\"event_id\":\"%s\",\"created_at\":\"%s\","
			   "\"issued_by\":null},\"version\":%llu,"
			   "\"sequence\":%llu}",
			   quoted(o, r->aggregate_type).data,
			   quoted(o, r->aggregate_id).data,
			   quoted(o, r->event_type).data, (int)body.len,
			   body.data, id, at, (unsigned long long)r->version,
			   (unsigned long long)r->sequence);
	r->json = (struct weir_str){p, (size_t)len};
}

/* Version, first time and actor, and the state so far. */
static void
follow(struct fake *f, struct fake_owned *o)
{
	struct weir_sink_record *r = &o->r;
	const struct fake_parts *p = f->parts;

	r->version = 1;
	r->first_at = r->created_at;
	r->first_user = r->user;
	for (size_t i = p->nrecords; i-- > 0;) {
		const struct weir_sink_record *b = &p->records[i]->r;
		if (!fake_same(b->aggregate_type, r->aggregate_type) ||
		    !fake_same(b->aggregate_id, r->aggregate_id))
			continue;
		r->version = b->version + 1;
		r->first_at = b->first_at;
		r->first_user = b->first_user;
		for (size_t k = 0; k < b->nstate; k++)
			merge(o, b->state[k].name, b->state[k].raw);
		return;
	}
}

const struct weir_sink_record *
fake_append_record(struct fake *f, const struct fake_record *from)
{
	struct fake_parts *p = f->parts;
	struct fake_owned *o = fake_xalloc(sizeof *o);
	struct weir_sink_record *r = &o->r;

	if (p->nrecords == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 64;
		p->records = realloc(p->records, p->cap * sizeof *p->records);
		if (p->records == NULL)
			fake_die("realloc", "no memory");
	}
	r->op = from->op;
	r->flags = from->inside_commit ? 0 : WEIR_RECORD_END_OF_COMMIT;
	r->sequence = p->nrecords + 1;
	r->aggregate_type = keep_text(o, from->type);
	r->aggregate_id = keep_text(o, from->id);
	r->event_type = keep_text(o, from->event);
	memcpy(r->event_id, &r->sequence, sizeof r->sequence);
	r->created_at =
		from->created_at != 0
			? from->created_at
			: 1767225600000000 + (int64_t)r->sequence * 1000000;
	r->committed_at = r->created_at;
	if (from->user != NULL)
		r->group = r->user = keep_text(o, from->user);
	r->content = from->content;
	r->payload = keep(o, from->payload);
	follow(f, o);
	fold(o, from);
	r->state = o->state;
	print_state(o);
	f->host.sha256(f->host.cookie, &r->sequence, sizeof r->sequence,
		       r->hash);
	print_record(f, o);
	p->records[p->nrecords++] = o;
	return r;
}

const struct weir_sink_record *
fake_append(struct fake *f, const char *type, const char *id, const char *event,
	    const char *json)
{
	struct fake_record r = {.type = type,
				.id = id,
				.event = event,
				.payload = {json, strlen(json)},
				.user = "ada"};

	return fake_append_record(f, &r);
}
