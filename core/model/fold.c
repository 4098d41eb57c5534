/* SPDX-License-Identifier: MIT */
/*
 * The fold of an aggregate's payloads: see fold.h for what state is.
 *
 * The state is kept as the JSON object it is shown as, behind the places of its
 * members in first-seen order, all in one piece of memory: a delivery copies
 * one piece, and a cache holds many. A payload's members are collected
 * as edits first and then written at once. Once there are more than INDEX_FROM
 * members, an open-addressed table of member numbers finds a name.
 *
 * 1. text[0 .. len) is the object; members follow each other with nothing but
 *    one comma between. Behind it are the decoded names of the members whose
 *    key has an escape (ODD), in their order, each after its length.
 * 2. A key stays as it was first spelled; values stay as they came, breaks says
 *    that one may hold a line break.
 * 3. index, when there, holds i + 1 for every i < n, and is never more than
 *    half full.
 * 4. Nothing changes before all memory is there, and version moves last.
 */
#include "model/fold.h"

#include <stdlib.h>
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
#define TEXT_MAX   (1u << 30)
#define ODD	   (1u << 31)
#define EDITS_FEW  32u
#define TEXT_FEW   2048u /* a text so long is made on the stack */

/* Where a member's key and value begin in text. */
struct place {
	uint32_t key; /* ODD: with an escape */
	uint32_t value;
};

struct slot {
	uint32_t hash;
	uint32_t member; /* + 1; 0: free */
};

struct fold {
	uint64_t version;
	int64_t first_at;
	char *user;
	size_t userlen;
	struct place *places; /* n of them; what follows is text */
	char *text;
	size_t n;
	size_t len, tail; /* of the object, of the names behind it */
	size_t cap;	  /* bytes at places */
	struct slot *index;
	size_t mask;			  /* entries of index - 1 */
	struct weir_sink_member *members; /* what fold_members gave */
	size_t bytes;
	bool breaks;
};

/* A member of a payload; member is n or more for one that is new. */
struct edit {
	size_t member;
	struct weir_str key, raw; /* key with its quotes */
	struct weir_str name;	  /* decoded, of one that is new */
	char *decoded;		  /* memory of name, or NULL */
	uint32_t hash;
};

struct edits {
	struct edit *list;
	size_t n, cap;
	size_t known; /* the first ones change members that are there */
	struct edit few[EDITS_FEW];
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
	mem_free(f->places);
	mem_free(f->index);
	mem_free(f->members);
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

/* ---- looking ------------------------------------------------------------ */

static struct weir_str
member_key(const struct fold *f, size_t i)
{
	uint32_t from = f->places[i].key & ~ODD;

	return (struct weir_str){f->text + from, f->places[i].value - 1 - from};
}

static struct weir_str
member_value(const struct fold *f, size_t i)
{
	uint32_t from = f->places[i].value;
	size_t end =
		i + 1 < f->n ? (f->places[i + 1].key & ~ODD) - 1 : f->len - 1;

	return (struct weir_str){f->text + from, end - from};
}

size_t
fold_count(const struct fold *f)
{
	return f->n;
}

size_t
fold_size(const struct fold *f)
{
	return f->len != 0 ? f->len + f->tail : 2;
}

static uint32_t
tail_length(const char *tail)
{
	uint32_t n;

	memcpy(&n, tail, sizeof(n));
	return n;
}

struct weir_str
fold_copy(const struct fold *f, char *to, struct weir_sink_member *members)
{
	const char *tail = to + f->len;

	if (f->len == 0) {
		memcpy(to, "{}", 2);
		return (struct weir_str){to, 2};
	}
	if (to != f->text)
		memcpy(to, f->text, f->len + f->tail);
	for (size_t i = 0; i < f->n; i++) {
		struct weir_str key = member_key(f, i);
		struct weir_str raw = member_value(f, i);

		members[i].name = (struct weir_str){
			to + (f->places[i].key & ~ODD) + 1, key.len - 2};
		members[i].raw =
			(struct weir_str){to + f->places[i].value, raw.len};
		members[i].kind = (uint32_t)json_kind(raw);
		if ((f->places[i].key & ODD) == 0)
			continue;
		members[i].name = (struct weir_str){tail + sizeof(uint32_t),
						    tail_length(tail)};
		tail += sizeof(uint32_t) + members[i].name.len;
	}
	return (struct weir_str){to, f->breaks ? 0 : f->len};
}

const struct weir_sink_member *
fold_members(struct fold *f, size_t *n)
{
	struct weir_sink_member *m =
		mem_resize(f->members, (f->n + 1) * sizeof(*f->members));

	*n = 0;
	if (m == NULL)
		return NULL;
	f->members = m;
	if (f->n != 0)
		(void)fold_copy(f, f->text, m);
	*n = f->n;
	return m;
}

/* Is this the decoded name of member i? */
static int
name_is(const struct fold *f, size_t i, struct weir_str name)
{
	struct weir_str key = member_key(f, i);
	char *decoded;
	bool same;

	if ((f->places[i].key & ODD) == 0)
		return str_eq((struct weir_str){key.data + 1, key.len - 2},
			      name);
	decoded = mem_new(key.len);
	if (decoded == NULL)
		return WEIR_ENOMEM;
	key.len = json_decode(decoded, key);
	key.data = decoded;
	same = str_eq(key, name);
	mem_free(decoded);
	return same;
}

/* Sets e->member for a name. */
static int
member_find(const struct fold *f, struct edit *e)
{
	int is;

	e->member = SIZE_MAX;
	if (f->index == NULL) {
		for (size_t i = 0; i < f->n; i++) {
			is = name_is(f, i, e->name);
			if (is != 0) {
				e->member = i;
				return is < 0 ? is : 0;
			}
		}
		return 0;
	}
	for (size_t at = e->hash & f->mask; f->index[at].member != 0;
	     at = (at + 1) & f->mask) {
		if (f->index[at].hash != e->hash)
			continue;
		is = name_is(f, f->index[at].member - 1, e->name);
		if (is != 0) {
			e->member = f->index[at].member - 1;
			return is < 0 ? is : 0;
		}
	}
	return 0;
}

/* ---- collecting --------------------------------------------------------- */

static void
edits_init(struct edits *e)
{
	e->list = e->few;
	e->n = e->known = 0;
	e->cap = EDITS_FEW;
}

static void
edits_fini(struct edits *e)
{
	for (size_t i = 0; i < e->n; i++)
		mem_free(e->list[i].decoded);
	if (e->list != e->few)
		mem_free(e->list);
}

static struct edit *
edits_add(struct edits *e)
{
	struct edit *list;

	if (e->n < e->cap)
		return &e->list[e->n++];
	list = mem_resize(e->list != e->few ? e->list : NULL,
			  e->cap * 2 * sizeof(*list));
	if (list == NULL)
		return NULL;
	if (e->list == e->few)
		memcpy(list, e->few, sizeof(e->few));
	e->list = list;
	e->cap *= 2;
	return &e->list[e->n++];
}

/* rawkey has its quotes; hint is the member that is likely meant. */
static int
collect(const struct fold *f, struct edits *edits, size_t hint,
	struct weir_str rawkey, struct weir_str raw)
{
	struct edit *e = edits_add(edits);
	char *decoded = NULL;

	if (e == NULL)
		return WEIR_ENOMEM;
	*e = (struct edit){.member = hint, .key = rawkey, .raw = raw};
	if (hint < f->n && str_eq(member_key(f, hint), rawkey))
		return 0;
	e->name = (struct weir_str){rawkey.data + 1, rawkey.len - 2};
	if (e->name.len > 0 && memchr(e->name.data, '\\', e->name.len)) {
		decoded = mem_new(e->name.len);
		if (decoded == NULL)
			return WEIR_ENOMEM;
		e->decoded = decoded;
		e->name.len = json_decode(decoded, rawkey);
		e->name.data = decoded;
	}
	e->hash = (uint32_t)hash_bytes(0, e->name);
	return member_find(f, e);
}

static int
edit_cmp(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	if (x->member != y->member)
		return x->member < y->member ? -1 : 1;
	/* new ones stay in the payload's order */
	return (x->key.data > y->key.data) - (x->key.data < y->key.data);
}

static void
edits_sort(struct edits *e, size_t n)
{
	bool sorted = true;

	for (size_t i = 1; i < e->n; i++)
		sorted = sorted && e->list[i - 1].member <= e->list[i].member;
	if (!sorted)
		qsort(e->list, e->n, sizeof(*e->list), edit_cmp);
	while (e->known < e->n && e->list[e->known].member < n)
		e->known++;
}

/* ---- writing ------------------------------------------------------------ */

static void
index_put(struct fold *f, uint32_t hash, size_t member)
{
	size_t at = hash & f->mask;

	while (f->index[at].member != 0)
		at = (at + 1) & f->mask;
	f->index[at] = (struct slot){hash, (uint32_t)member + 1};
}

static int
index_all(struct fold *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct weir_str key = member_key(f, i);
		struct weir_str name = {key.data + 1, key.len - 2};
		char *decoded = NULL;

		if ((f->places[i].key & ODD) != 0) {
			decoded = mem_new(key.len);
			if (decoded == NULL)
				return WEIR_ENOMEM;
			name.len = json_decode(decoded, key);
			name.data = decoded;
		}
		index_put(f, (uint32_t)hash_bytes(0, name), i);
		mem_free(decoded);
	}
	return 0;
}

/* Room in the index for n members. */
static int
index_grow(struct fold *f, size_t n)
{
	struct slot *old = f->index;
	size_t entries = old != NULL ? f->mask + 1 : 0, before = entries;

	if (n <= INDEX_FROM || n * 2 <= entries)
		return 0;
	for (entries = entries != 0 ? entries : 32; entries < n * 2;)
		entries *= 2;
	struct slot *fresh = mem_new(entries * sizeof(*fresh));
	if (fresh == NULL)
		return WEIR_ENOMEM;
	f->index = fresh;
	f->mask = entries - 1;
	for (size_t i = 0; i < before; i++)
		if (old[i].member != 0)
			index_put(f, old[i].hash, old[i].member - 1);
	if (old == NULL && index_all(f) != 0) {
		mem_free(fresh);
		f->index = NULL;
		return WEIR_ENOMEM;
	}
	mem_free(old);
	f->bytes += (entries - before) * sizeof(*fresh);
	return 0;
}

/* The new lengths, at most about TEXT_MAX; false: it is too much. */
static bool
measure(const struct fold *f, size_t *len, size_t *tail, const struct edits *e)
{
	size_t n = f->len != 0 ? f->len : 2;

	*tail = f->tail;
	for (size_t i = 0; i < e->n && n <= TEXT_MAX; i++) {
		const struct edit *d = &e->list[i];

		n += d->raw.len;
		if (i < e->known) {
			n -= member_value(f, d->member).len;
			continue;
		}
		n += d->key.len + 1 + (f->n + i - e->known > 0);
		if (d->decoded != NULL)
			*tail += sizeof(uint32_t) + d->name.len;
	}
	*len = n;
	return n <= TEXT_MAX && *tail <= TEXT_MAX;
}

static char *
put(char *to, const void *p, size_t n)
{
	memcpy(to, p, n);
	return to + n;
}

/* Values that are as long as those they replace are written over them. */
static bool
overwrite(struct fold *f, const struct edits *e)
{
	if (e->known != e->n)
		return false;
	for (size_t i = 0; i < e->n; i++)
		if (member_value(f, e->list[i].member).len !=
		    e->list[i].raw.len)
			return false;
	for (size_t i = 0; i < e->n; i++)
		memcpy(f->text + f->places[e->list[i].member].value,
		       e->list[i].raw.data, e->list[i].raw.len);
	return true;
}

/* Copies the object with the known members' new values; returns its end, at
 * the closing brace. Moves the places. */
static char *
put_known(struct fold *f, char *to, const struct edits *e)
{
	const char *from = f->text;
	uint32_t shift = 0;
	size_t moved = 0;

	if (f->len == 0) {
		*to = '{';
		return to + 1;
	}
	for (size_t i = 0; i < e->known; i++) {
		const struct edit *d = &e->list[i];
		struct weir_str old = member_value(f, d->member);

		to = put(to, from, (size_t)(old.data - from));
		to = put(to, d->raw.data, d->raw.len);
		from = old.data + old.len;
		for (; moved <= d->member; moved++) {
			f->places[moved].key += shift;
			f->places[moved].value += shift;
		}
		shift += (uint32_t)d->raw.len - (uint32_t)old.len;
	}
	for (; moved < f->n; moved++) {
		f->places[moved].key += shift;
		f->places[moved].value += shift;
	}
	return put(to, from, (size_t)(f->text + f->len - 1 - from));
}

/* Appends what is new, then the names behind the old object. */
static void
put_new(struct fold *f, char *text, char *to, const char *names,
	const struct edits *e)
{
	for (size_t i = e->known; i < e->n; i++) {
		const struct edit *d = &e->list[i];
		struct place *p = &f->places[f->n];

		if (f->n > 0)
			*to++ = ',';
		p->key = (uint32_t)(to - text);
		to = put(to, d->key.data, d->key.len);
		*to++ = ':';
		p->value = (uint32_t)(to - text);
		to = put(to, d->raw.data, d->raw.len);
		if (d->decoded != NULL)
			p->key |= ODD;
		if (f->index != NULL)
			index_put(f, d->hash, f->n);
		f->n++;
	}
	*to++ = '}';
	if (f->tail > 0)
		to = put(to, names, f->tail);
	for (size_t i = e->known; i < e->n; i++) {
		uint32_t n = (uint32_t)e->list[i].name.len;

		if (e->list[i].decoded == NULL)
			continue;
		to = put(to, &n, sizeof(n));
		to = put(to, e->list[i].name.data, n);
	}
}

/* Writes all anew where it is: the members are those that are there. */
static void
write_in_place(struct fold *f, const struct edits *e, size_t len)
{
	char text[TEXT_FEW];

	put_new(f, text, put_known(f, text, e), f->text + f->len, e);
	memcpy(f->text, text, len + f->tail);
	f->len = len;
}

/* The same into a new piece of memory. */
static int
write_anew(struct fold *f, const struct edits *e, size_t len, size_t tail)
{
	size_t n = f->n + e->n - e->known;
	size_t need = n * sizeof(struct place) + len + tail;
	size_t cap = (need + need / 32 + 31) / 32 * 32;
	struct place *places;
	const char *names;
	char *text;

	if (index_grow(f, n) != 0)
		return WEIR_ENOMEM;
	places = mem_resize(NULL, cap);
	if (places == NULL)
		return WEIR_ENOMEM;
	text = (char *)(places + n);
	names = f->text != NULL ? f->text + f->len : NULL;
	char *to = put_known(f, text, e);
	if (f->n > 0)
		memcpy(places, f->places, f->n * sizeof(*places));
	struct place *old = f->places;
	f->places = places;
	put_new(f, text, to, names, e);
	mem_free(old);
	f->bytes = f->bytes - f->cap + cap;
	f->cap = cap;
	f->text = text;
	f->len = len;
	f->tail = tail;
	return 0;
}

static int
write_edits(struct fold *f, const struct edits *e)
{
	size_t len = 0, tail = 0;

	if (e->n == 0 || overwrite(f, e))
		return 0;
	if (!measure(f, &len, &tail, e))
		return WEIR_ENOMEM;
	if (e->known != e->n || len + tail > TEXT_FEW ||
	    f->n * sizeof(struct place) + len + tail > f->cap)
		return write_anew(f, e, len, tail);
	write_in_place(f, e, len);
	return 0;
}

static bool
has_breaks(struct weir_str s)
{
	return memchr(s.data, '\n', s.len) != NULL ||
	       memchr(s.data, '\r', s.len) != NULL;
}

/* ---- applying ----------------------------------------------------------- */

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
	struct edits edits;
	struct buf b;
	int rc = 0;

	edits_init(&edits);
	buf_init(&b, VALUE_MAX);
	if (v->content != WEIR_CONTENT_JSON) {
		rc = put_payload(&b, v);
		raw = buf_str(&b);
	}
	if (rc == 0)
		rc = collect(f, &edits, 0, STR("\"_value\""), raw);
	edits_sort(&edits, f->n);
	if (rc == 0)
		rc = write_edits(f, &edits);
	if (rc == 0 && has_breaks(raw))
		f->breaks = true;
	edits_fini(&edits);
	buf_fini(&b);
	return rc;
}

static int
merge(struct fold *f, const struct record_view *v)
{
	struct edits edits;
	struct json_iter it;
	struct weir_str key, value;
	size_t hint = 0;
	int rc = 0;

	if (v->content != WEIR_CONTENT_JSON ||
	    json_kind(v->payload) != WEIR_OBJECT)
		return set_value(f, v);
	edits_init(&edits);
	json_iter_init(&it, v->payload);
	while (rc == 0 && json_iter_next(&it, &key, &value)) {
		rc = collect(f, &edits, hint, key, value);
		hint = edits.list[edits.n - 1].member + 1;
	}
	edits_sort(&edits, f->n);
	if (rc == 0)
		rc = write_edits(f, &edits);
	if (rc == 0 && !f->breaks && has_breaks(v->payload))
		f->breaks = true;
	edits_fini(&edits);
	return rc;
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

int
fold_json(struct buf *out, const struct fold *f)
{
	size_t from = out->len;

	if (f->len == 0)
		return buf_puts(out, "{}");
	if (buf_add(out, f->text, f->len) != 0)
		return WEIR_ENOMEM;
	/* line breaks can only stand between a value's tokens */
	for (size_t i = from; f->breaks && i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	return 0;
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
