/* SPDX-License-Identifier: MIT */
/*
 * The fold of an aggregate's payloads: see fold.h for what state is.
 *
 * Each member has two pieces of memory: its key (the first raw spelling with
 * its quotes, then the decoded name when that differs) and its value, kept
 * with some room so that a later value of like size is written over it. The
 * members stand in one array in first-seen order; once there are more than
 * INDEX_FROM of them, an open-addressed table of slot numbers finds a name.
 *
 * 1. members[i] and slots[i] belong together for every i < n.
 * 2. index, when there, holds i + 1 for every i < n, and is never more than
 *    half full.
 * 3. version moves only after all members of a payload are in. Applying the
 *    same record again after a failure gives what one application gives.
 */
#include "model/fold.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "model/hash.h"
#include "store/reader.h"
#include "store/record.h"

#define INDEX_FROM 12u	 /* members from which an index pays */
#define CHAIN_STEP 4096u /* positions fetched at a time by fold_load */
#define VALUE_MAX  (WEIR_PAYLOAD_MAX * 6 + 64) /* a text payload, escaped */

struct slot {
	char *key;     /* raw spelling, then the decoded name */
	size_t rawlen; /* bytes of the raw spelling */
	size_t keycap; /* bytes at key */
	char *value;
	size_t cap; /* bytes at value */
	uint64_t hash;
};

struct fold {
	uint64_t version;
	int64_t first_at;
	char *user;
	size_t userlen;
	struct weir_sink_member *members;
	struct slot *slots;
	size_t n, cap;
	uint32_t *index;
	size_t mask; /* entries of index - 1 */
	size_t bytes;
};

struct fold *
fold_new(void)
{
	struct fold *f = mem_new(sizeof(*f));

	if (f == NULL)
		return NULL;
	f->bytes = sizeof(*f);
	return f;
}

void
fold_free(struct fold *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++) {
		mem_free(f->slots[i].key);
		mem_free(f->slots[i].value);
	}
	mem_free(f->members);
	mem_free(f->slots);
	mem_free(f->index);
	mem_free(f->user);
	mem_free(f);
}

size_t
fold_bytes(const struct fold *f)
{
	return f->bytes;
}

uint64_t
fold_version(const struct fold *f)
{
	return f->version;
}

int64_t
fold_first_at(const struct fold *f)
{
	return f->first_at;
}

struct weir_str
fold_first_user(const struct fold *f)
{
	return (struct weir_str){f->user, f->user != NULL ? f->userlen : 0};
}

const struct weir_sink_member *
fold_members(const struct fold *f, size_t *n)
{
	*n = f->n;
	return f->members;
}

static void
index_put(struct fold *f, size_t i)
{
	size_t at = (size_t)f->slots[i].hash & f->mask;

	while (f->index[at] != 0)
		at = (at + 1) & f->mask;
	f->index[at] = (uint32_t)i + 1;
}

/* Makes room in the index for one more member. */
static int
index_grow(struct fold *f)
{
	size_t entries;
	uint32_t *fresh;

	if (f->n < INDEX_FROM)
		return 0;
	if (f->index != NULL && (f->n + 1) * 2 <= f->mask + 1)
		return 0;
	entries = f->index != NULL ? (f->mask + 1) * 2 : INDEX_FROM * 4;
	while ((entries & (entries - 1)) != 0)
		entries += entries & (~entries + 1);
	fresh = mem_new(entries * sizeof(*fresh));
	if (fresh == NULL)
		return WEIR_ENOMEM;
	f->bytes += entries * sizeof(*fresh);
	if (f->index != NULL)
		f->bytes -= (f->mask + 1) * sizeof(*fresh);
	mem_free(f->index);
	f->index = fresh;
	f->mask = entries - 1;
	for (size_t i = 0; i < f->n; i++)
		index_put(f, i);
	return 0;
}

static int
member_find(const struct fold *f, size_t *out, struct weir_str name,
	    uint64_t hash)
{
	if (f->index == NULL) {
		for (size_t i = 0; i < f->n; i++)
			if (f->slots[i].hash == hash &&
			    str_eq(f->members[i].name, name)) {
				*out = i;
				return 1;
			}
		return 0;
	}
	for (size_t at = (size_t)hash & f->mask; f->index[at] != 0;
	     at = (at + 1) & f->mask) {
		size_t i = f->index[at] - 1;

		if (f->slots[i].hash == hash &&
		    str_eq(f->members[i].name, name)) {
			*out = i;
			return 1;
		}
	}
	return 0;
}

/* Writes a value over the one a slot has, in place when it fits. */
static int
value_set(struct fold *f, size_t i, struct weir_str raw)
{
	struct slot *s = &f->slots[i];

	if (raw.len > s->cap || s->cap > 2 * raw.len + 256) {
		size_t cap = raw.len + raw.len / 8 + 16;
		char *p = mem_new(cap);

		if (p == NULL)
			return WEIR_ENOMEM;
		f->bytes = f->bytes - s->cap + cap;
		mem_free(s->value);
		s->value = p;
		s->cap = cap;
	}
	memcpy(s->value, raw.data, raw.len);
	f->members[i].raw = (struct weir_str){s->value, raw.len};
	f->members[i].kind = (uint32_t)json_kind(f->members[i].raw);
	return 0;
}

static int
arrays_grow(struct fold *f)
{
	size_t cap = f->cap == 0 ? 8 : f->cap * 2;
	void *p;

	if (f->n < f->cap)
		return 0;
	p = mem_resize(f->members, cap * sizeof(*f->members));
	if (p == NULL)
		return WEIR_ENOMEM;
	f->members = p;
	p = mem_resize(f->slots, cap * sizeof(*f->slots));
	if (p == NULL)
		return WEIR_ENOMEM;
	f->slots = p;
	f->bytes += (cap - f->cap) * (sizeof(*f->members) + sizeof(*f->slots));
	f->cap = cap;
	return 0;
}

/* rawkey has its quotes; name is it decoded. */
static int
member_add(struct fold *f, struct weir_str rawkey, struct weir_str name,
	   uint64_t hash, struct weir_str raw)
{
	bool plain = name.len == rawkey.len - 2;
	struct slot s = {.rawlen = rawkey.len, .hash = hash};

	if (arrays_grow(f) != 0 || index_grow(f) != 0)
		return WEIR_ENOMEM;
	s.keycap = rawkey.len + (plain ? 0 : name.len);
	s.key = mem_new(s.keycap);
	if (s.key == NULL)
		return WEIR_ENOMEM;
	memcpy(s.key, rawkey.data, rawkey.len);
	if (!plain)
		memcpy(s.key + rawkey.len, name.data, name.len);
	f->slots[f->n] = s;
	f->members[f->n] = (struct weir_sink_member){
		.name = {s.key + (plain ? 1 : rawkey.len), name.len}};
	if (value_set(f, f->n, raw) != 0) {
		mem_free(s.key);
		return WEIR_ENOMEM;
	}
	f->bytes += s.keycap;
	f->n++;
	if (f->index != NULL)
		index_put(f, f->n - 1);
	return 0;
}

static int
member_set(struct fold *f, struct weir_str rawkey, struct weir_str raw)
{
	struct weir_str name = {rawkey.data + 1, rawkey.len - 2};
	char *decoded = NULL;
	uint64_t hash;
	size_t i;
	int rc;

	if (name.len > 0 && memchr(name.data, '\\', name.len) != NULL) {
		decoded = mem_new(name.len);
		if (decoded == NULL)
			return WEIR_ENOMEM;
		name.len = json_decode(decoded, rawkey);
		name.data = decoded;
	}
	hash = hash_bytes(0, name);
	if (member_find(f, &i, name, hash))
		rc = value_set(f, i, raw);
	else
		rc = member_add(f, rawkey, name, hash, raw);
	mem_free(decoded);
	return rc;
}

/* Text and bytes as the JSON values they are shown as. */
static int
put_payload(struct buf *b, const struct record_view *v)
{
	size_t n = str_base64_len(v->payload.len);

	if (v->content == WEIR_CONTENT_TEXT)
		return json_put_string(b, v->payload);
	if (buf_puts(b, "{\"$base64\":\"") != 0 || buf_reserve(b, n) != 0)
		return WEIR_ENOMEM;
	str_base64(b->data + b->len, v->payload.data, v->payload.len);
	b->len += n;
	return buf_puts(b, "\"}");
}

/* A payload that is no JSON object. */
static int
set_value(struct fold *f, const struct record_view *v)
{
	struct weir_str raw = v->payload;
	struct buf b;
	int rc = 0;

	buf_init(&b, VALUE_MAX);
	if (v->content != WEIR_CONTENT_JSON) {
		rc = put_payload(&b, v);
		raw = buf_str(&b);
	}
	if (rc == 0)
		rc = member_set(f, STR("\"_value\""), raw);
	buf_fini(&b);
	return rc;
}

static int
merge(struct fold *f, const struct record_view *v)
{
	struct json_iter it;
	struct weir_str key, value;

	if (v->content != WEIR_CONTENT_JSON ||
	    json_kind(v->payload) != WEIR_OBJECT)
		return set_value(f, v);
	json_iter_init(&it, v->payload);
	while (json_iter_next(&it, &key, &value))
		if (member_set(f, key, value) != 0)
			return WEIR_ENOMEM;
	return 0;
}

int
fold_apply(struct fold *f, const struct record_view *v, struct weir_err *err)
{
	if (v->version != f->version + 1)
		return err_set(
			err, WEIR_EDAMAGE,
			"state is at version %llu, so version %llu can't "
			"be applied (sequence %llu)",
			(unsigned long long)f->version,
			(unsigned long long)v->version,
			(unsigned long long)v->sequence);
	if (v->version == 1 && v->user.data != NULL && f->user == NULL) {
		f->user = mem_dup(v->user.data, v->user.len);
		if (f->user == NULL)
			return err_nomem(err);
		f->userlen = v->user.len;
		f->bytes += v->user.len + 1;
	}
	if (v->op == WEIR_OP_EVENT && merge(f, v) != 0)
		return err_nomem(err);
	if (v->version == 1)
		f->first_at = v->created_at;
	f->version = v->version;
	return 0;
}

/* Appends a value; line breaks can only stand between its tokens. */
static int
put_value(struct buf *out, struct weir_str raw)
{
	size_t from = out->len;

	if (buf_add_str(out, raw) != 0)
		return WEIR_ENOMEM;
	for (size_t i = from; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	return 0;
}

int
fold_json(struct buf *out, const struct fold *f)
{
	buf_putc(out, '{');
	for (size_t i = 0; i < f->n; i++) {
		const struct slot *s = &f->slots[i];

		if (i > 0)
			buf_putc(out, ',');
		buf_add(out, s->key, s->rawlen);
		buf_putc(out, ':');
		if (put_value(out, f->members[i].raw) != 0)
			return WEIR_ENOMEM;
	}
	return buf_putc(out, '}');
}

int
fold_aggregate_json(struct buf *out, const struct fold *f, struct weir_str type,
		    struct weir_str id, const uint8_t root[32], bool archived)
{
	char hex[2 * RECORD_DIGEST + 1];

	str_hex(hex, root, RECORD_DIGEST);
	buf_puts(out, "{\"aggregate_type\":");
	json_put_string(out, type);
	buf_puts(out, ",\"aggregate_id\":");
	json_put_string(out, id);
	buf_printf(out, ",\"version\":%llu,\"state\":",
		   (unsigned long long)f->version);
	if (fold_json(out, f) != 0)
		return WEIR_ENOMEM;
	return buf_printf(out, ",\"merkle_root\":\"%s\",\"archived\":%s}", hex,
			  archived ? "true" : "false");
}

/* ---- reading what is missing -------------------------------------------- */

/* Applies versions from..to, whose last one is at position `at`. */
static int
load_run(struct fold *f, struct reader *r, uint64_t *positions, uint64_t at,
	 uint64_t to, struct weir_err *err)
{
	uint64_t from = f->version + 1;
	struct record_view v;
	int rc;

	rc = reader_chain(r, positions, at, from, to, err);
	for (uint64_t i = 0; rc == 0 && i <= to - from; i++) {
		rc = reader_at(r, &v, positions[i], err);
		if (rc == 0)
			rc = fold_apply(f, &v, err);
	}
	return rc;
}

int
fold_load(struct fold *f, struct reader *r, uint64_t position,
	  struct weir_err *err)
{
	struct record_view v, step;
	struct weir_str type = {0}, id = {0};
	uint64_t *positions = NULL;
	uint64_t to, n;
	int rc;

	rc = reader_at(r, &v, position, err);
	if (rc != 0)
		return rc;
	to = v.version;
	if (to < f->version)
		return err_set(err, WEIR_EDAMAGE,
			       "state is at version %llu, past version %llu",
			       (unsigned long long)f->version,
			       (unsigned long long)to);
	if (to == f->version)
		return 0;
	if (to == f->version + 1)
		return fold_apply(f, &v, err);
	n = to - f->version < CHAIN_STEP ? to - f->version : CHAIN_STEP;
	positions = mem_new((size_t)n * sizeof(*positions));
	type.data = mem_dup(v.aggregate_type.data, v.aggregate_type.len);
	type.len = v.aggregate_type.len;
	id.data = mem_dup(v.aggregate_id.data, v.aggregate_id.len);
	id.len = v.aggregate_id.len;
	if (positions == NULL || type.data == NULL || id.data == NULL)
		rc = err_nomem(err);
	while (rc == 0 && to - f->version > CHAIN_STEP) {
		uint64_t end = f->version + CHAIN_STEP;

		rc = reader_version(r, &step, type, id, end, err);
		if (rc == 0)
			rc = load_run(f, r, positions, step.position, end, err);
	}
	if (rc == 0)
		rc = load_run(f, r, positions, position, to, err);
	mem_free(positions);
	mem_free((char *)type.data);
	mem_free((char *)id.data);
	return rc;
}
