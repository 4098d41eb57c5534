/* SPDX-License-Identifier: MIT */
/*
 * Frame = local part || body || zero padding to a multiple of 8.
 *
 * Local part                         Body
 *   0  frame length u32                0  body version u16
 *   4  frame CRC u32 (bytes 8..)       2  content u8, 3 op u8
 *   8  body length u32                 4  flags u32
 *  12  flags u16                       8  sequence u64, 16 version u64
 *  14  local length u16               24  created at i64, 32 committed at i64
 *  16  prev u64                       40  event id (16)
 *  24  skip u64                       56  token u64
 *  32  hash (32)                      64  payload hash (32)
 *  64  node (32), even versions       96  lengths u16: type, id, event, group,
 *                                         user, correlation, causation,
 *                                         traceparent
 *                                    112  tag count u16, 114 tag bytes u16,
 *                                         116 salt length u16, 118 zero u16
 *                                    120  payload length u32, 124 zero u32
 *                                    128  the bytes, in that order
 *
 * The canonical form that body_hash covers is built from the fields, not from
 * these bytes: it has no sequence, version, committed_at and no flags.
 */
#include "store/body.h"

#include <string.h>
#include "base/digest.h"
#include "base/must.h"
#include "base/str.h"
#include "store/format.h"

#define NAMES	  8u
#define NAMED	  3u /* so many of them every record has */
#define OPTIONAL                                                               \
	(BODY_GROUP | BODY_USER | BODY_CORRELATION | BODY_CAUSATION |          \
	 BODY_TRACEPARENT)
#define ABSENT	  UINT32_MAX
#define TAGS_SIZE (WEIR_TAGS_MAX * (2 + WEIR_NAME_MAX))
/* Fixed fields, then eight names, the tags and their count. */
#define CANONICAL_MAX                                                          \
	(96 + NAMES * 4 + 3 * WEIR_NAME_MAX + 5 * WEIR_ID_MAX + 4 +            \
	 WEIR_TAGS_MAX * (4 + WEIR_NAME_MAX))

static const uint32_t name_flag[NAMES] = {
	0,
	0,
	0,
	BODY_GROUP,
	BODY_USER,
	BODY_CORRELATION,
	BODY_CAUSATION,
	BODY_TRACEPARENT,
};
static const size_t name_max[NAMES] = {
	WEIR_NAME_MAX,	      WEIR_ID_MAX,	    WEIR_NAME_MAX,
	WEIR_ACTOR_MAX,	      WEIR_ACTOR_MAX,	    WEIR_CORRELATION_MAX,
	WEIR_CORRELATION_MAX, WEIR_TRACEPARENT_MAX,
};

/* The fields that drafts and views share. */
struct fields {
	struct weir_str name[NAMES];
	const struct weir_str *tags;
	size_t ntags;
	size_t salt_len;
	unsigned op, content;
	int64_t created_at;
	const uint8_t *event_id;
	uint64_t token;
	const uint8_t *payload_hash;
};

static void
fields_of_draft(struct fields *f, const struct record_draft *d,
		const struct ready *r)
{
	*f = (struct fields){
		.name = {d->aggregate_type, d->aggregate_id, d->event_type,
			 d->group, d->user, d->correlation_id, d->causation_id,
			 d->traceparent},
		.tags = d->tags,
		.ntags = d->ntags,
		.op = d->op,
		.content = d->content,
		.created_at = r->created_at,
		.event_id = r->event_id,
		.token = d->token,
		.payload_hash = r->payload_hash,
	};
}

static void
fields_of_view(struct fields *f, const struct record_view *v,
	       const uint8_t *payload_hash)
{
	*f = (struct fields){
		.name = {v->aggregate_type, v->aggregate_id, v->event_type,
			 v->group, v->user, v->correlation_id, v->causation_id,
			 v->traceparent},
		.tags = v->tags,
		.ntags = v->ntags,
		.salt_len = v->salt.data != NULL ? v->salt.len : 0,
		.op = v->op,
		.content = v->content,
		.created_at = v->created_at,
		.event_id = v->event_id,
		.token = v->token,
		.payload_hash = payload_hash,
	};
}

static uint8_t *
put_bytes(uint8_t *p, const void *from, size_t n)
{
	if (n > 0)
		memcpy(p, from, n);
	return p + n;
}

static uint8_t *
put_prefixed(uint8_t *p, struct weir_str s)
{
	put_u32(p, s.data == NULL ? ABSENT : (uint32_t)s.len);
	return put_bytes(p + 4, s.data, s.data == NULL ? 0 : s.len);
}

static void
body_hash(uint8_t out[RECORD_DIGEST], const struct fields *f)
{
	uint8_t canonical[CANONICAL_MAX];
	uint8_t *p = canonical;

	*p++ = 0x02;
	put_u16(p, BODY_VERSION);
	p[2] = (uint8_t)f->content;
	p[3] = (uint8_t)f->op;
	put_u64(p + 4, (uint64_t)f->created_at);
	memcpy(p + 12, f->event_id, 16);
	put_u64(p + 28, f->token);
	put_u32(p + 36, (uint32_t)f->salt_len);
	p = put_bytes(p + 40, f->payload_hash, RECORD_DIGEST);
	for (unsigned i = 0; i < NAMES; i++) {
		must(f->name[i].data == NULL || f->name[i].len <= name_max[i]);
		p = put_prefixed(p, f->name[i]);
	}
	must(f->ntags <= WEIR_TAGS_MAX);
	put_u32(p, (uint32_t)f->ntags);
	p += 4;
	for (size_t i = 0; i < f->ntags; i++) {
		must(f->tags[i].len <= WEIR_NAME_MAX);
		p = put_prefixed(p, f->tags[i]);
	}
	struct digest_part part = {canonical, (size_t)(p - canonical)};
	digest_sha256(out, &part, 1);
}

static void
payload_hash(uint8_t out[RECORD_DIGEST], struct weir_str salt,
	     struct weir_str payload)
{
	static const uint8_t kind = 0x03;
	struct digest_part parts[3] = {
		{&kind, 1},
		{salt.data != NULL ? salt.data : "",
		 salt.data != NULL ? salt.len : 0},
		{payload.data != NULL ? payload.data : "",
		 payload.data != NULL ? payload.len : 0},
	};

	digest_sha256(out, parts, 3);
}

void
record_payload_hash(uint8_t out[RECORD_DIGEST], const struct record_view *v)
{
	payload_hash(out, v->salt, v->payload);
}

void
record_leaf(uint8_t out[RECORD_DIGEST], const uint8_t body[RECORD_DIGEST],
	    uint64_t sequence, uint64_t version, int64_t committed_at)
{
	uint8_t p[1 + RECORD_DIGEST + 24];
	struct digest_part part = {p, sizeof(p)};

	p[0] = 0x00;
	memcpy(p + 1, body, RECORD_DIGEST);
	put_u64(p + 33, sequence);
	put_u64(p + 41, version);
	put_u64(p + 49, (uint64_t)committed_at);
	digest_sha256(out, &part, 1);
}

void
record_hash(uint8_t out[RECORD_DIGEST], const struct record_view *v)
{
	uint8_t payload[RECORD_DIGEST], body[RECORD_DIGEST];
	struct fields f;

	record_payload_hash(payload, v);
	fields_of_view(&f, v, payload);
	body_hash(body, &f);
	record_leaf(out, body, v->sequence, v->version, v->committed_at);
}

void
ready_fill(struct ready *r, const struct record_draft *d)
{
	struct fields f;
	size_t n = FRAME_BODY + d->payload.len;

	payload_hash(r->payload_hash, (struct weir_str){NULL, 0}, d->payload);
	fields_of_draft(&f, d, r);
	body_hash(r->body_hash, &f);
	for (unsigned i = 0; i < NAMES; i++)
		n += f.name[i].data != NULL ? f.name[i].len : 0;
	for (size_t i = 0; i < d->ntags; i++)
		n += 2 + d->tags[i].len;
	r->body = n;
}

size_t
frame_size_max(size_t body)
{
	return (size_t)align8(FRAME_LOCAL + RECORD_DIGEST + body);
}

/* ---- encoding ----------------------------------------------------------- */

static uint8_t *
encode_fixed(uint8_t *b, const struct record_draft *d, const struct ready *r,
	     const struct frame_place *at, const struct fields *f)
{
	uint32_t flags = 0;

	if (d->has_event_id)
		flags |= BODY_CLIENT_EVENT_ID;
	if (d->has_created_at)
		flags |= BODY_CLIENT_CREATED_AT;
	for (unsigned i = 0; i < NAMES; i++)
		if (f->name[i].data != NULL)
			flags |= name_flag[i];
	put_u16(b, BODY_VERSION);
	b[2] = (uint8_t)d->content;
	b[3] = (uint8_t)d->op;
	put_u32(b + 4, flags);
	put_u64(b + 8, at->sequence);
	put_u64(b + 16, at->version);
	put_u64(b + 24, (uint64_t)r->created_at);
	put_u64(b + 32, (uint64_t)at->committed_at);
	memcpy(b + 40, r->event_id, 16);
	put_u64(b + 56, d->token);
	memcpy(b + 64, r->payload_hash, RECORD_DIGEST);
	return b + 96;
}

static uint8_t *
encode_bytes(uint8_t *b, const struct record_draft *d, const struct fields *f)
{
	uint8_t *lengths = b;
	uint8_t *p = b + 32;

	for (unsigned i = 0; i < NAMES; i++) {
		size_t n = f->name[i].data != NULL ? f->name[i].len : 0;
		put_u16(lengths + 2 * i, (uint16_t)n);
		p = put_bytes(p, f->name[i].data, n);
	}
	uint8_t *tags = p;
	for (size_t i = 0; i < d->ntags; i++) {
		put_u16(p, (uint16_t)d->tags[i].len);
		p = put_bytes(p + 2, d->tags[i].data, d->tags[i].len);
	}
	put_u16(lengths + 16, (uint16_t)d->ntags);
	put_u16(lengths + 18, (uint16_t)(p - tags));
	put_u32(lengths + 20, 0);
	put_u32(lengths + 24, (uint32_t)d->payload.len);
	put_u32(lengths + 28, 0);
	return put_bytes(p, d->payload.data, d->payload.len);
}

size_t
frame_encode(uint8_t *out, const struct record_draft *d, const struct ready *r,
	     const struct frame_place *at)
{
	size_t local = FRAME_LOCAL + (at->node != NULL ? RECORD_DIGEST : 0);
	size_t length = (size_t)align8(local + r->body);
	struct fields f;

	fields_of_draft(&f, d, r);
	put_u32(out, (uint32_t)length);
	put_u32(out + 8, (uint32_t)r->body);
	put_u16(out + 12, (uint16_t)((at->end_of_commit ? FRAME_END : 0) |
				     (at->node != NULL ? FRAME_NODE : 0)));
	put_u16(out + 14, (uint16_t)local);
	put_u64(out + 16, at->prev);
	put_u64(out + 24, at->skip);
	memcpy(out + 32, at->hash, RECORD_DIGEST);
	if (at->node != NULL)
		memcpy(out + 64, at->node, RECORD_DIGEST);
	uint8_t *p = encode_fixed(out + local, d, r, at, &f);
	p = encode_bytes(p, d, &f);
	must((size_t)(p - out) == local + r->body);
	memset(p, 0, length - (size_t)(p - out));
	put_u32(out + 4, crc32c(format_seed(at->store, at->position), out + 8,
				length - 8));
	return length;
}

/* ---- decoding ----------------------------------------------------------- */

size_t
frame_length(const uint8_t *p)
{
	uint64_t length = get_u32(p), body = get_u32(p + 8);
	uint64_t local = get_u16(p + 14);

	if (local != FRAME_LOCAL && local != FRAME_LOCAL + RECORD_DIGEST)
		return 0;
	if (body < FRAME_BODY || length != align8(local + body) ||
	    length > GROUP_EXTENT_MAX)
		return 0;
	return (size_t)length;
}

static int
decode_optional(struct record_view *v, const uint8_t *b, uint32_t flags,
		const uint8_t **at, const uint8_t *end)
{
	struct weir_str *name[NAMES] = {
		[3] = &v->group,	&v->user,	 &v->correlation_id,
		&v->causation_id, &v->traceparent,
	};
	const uint8_t *p = *at;

	for (unsigned i = NAMED; i < NAMES; i++) {
		size_t n = get_u16(b + 96 + 2 * i);
		bool there = (flags & name_flag[i]) != 0;
		if (n > name_max[i] || n > (size_t)(end - p) ||
		    (!there && n > 0))
			return -1;
		*name[i] = there ? (struct weir_str){(const char *)p, n}
				 : (struct weir_str){NULL, 0};
		p += n;
	}
	*at = p;
	return 0;
}

/* The three that every record has; mostly there are no others. */
static int
decode_names(struct record_view *v, const uint8_t *b, uint32_t flags,
	     const uint8_t **at, const uint8_t *end)
{
	static const struct weir_str none;
	size_t type = get_u16(b + 96), id = get_u16(b + 98);
	size_t event = get_u16(b + 100);
	const char *p = (const char *)*at;

	if (type == 0 || type > WEIR_NAME_MAX || id == 0 || id > WEIR_ID_MAX ||
	    event == 0 || event > WEIR_NAME_MAX ||
	    type + id + event > (size_t)(end - *at))
		return -1;
	v->aggregate_type = (struct weir_str){p, type};
	v->aggregate_id = (struct weir_str){p + type, id};
	v->event_type = (struct weir_str){p + type + id, event};
	*at += type + id + event;
	if ((flags & OPTIONAL) != 0 || get_u16(b + 102) != 0 ||
	    get_u64(b + 104) != 0)
		return decode_optional(v, b, flags, at, end);
	v->group = v->user = none;
	v->correlation_id = v->causation_id = v->traceparent = none;
	return 0;
}

static int
decode_tags(struct record_view *v, const uint8_t *b, const uint8_t **at,
	    const uint8_t *end)
{
	size_t count = get_u16(b + 112), bytes = get_u16(b + 114);
	const uint8_t *p = *at;

	if (count > WEIR_TAGS_MAX || bytes > (size_t)(end - p))
		return -1;
	const uint8_t *stop = p + bytes;
	for (size_t i = 0; i < count; i++) {
		if (stop - p < 2)
			return -1;
		size_t n = get_u16(p);
		p += 2;
		if (n > WEIR_NAME_MAX || n > (size_t)(stop - p))
			return -1;
		v->tags[i] = (struct weir_str){(const char *)p, n};
		p += n;
	}
	v->ntags = count;
	*at = stop;
	return p == stop ? 0 : -1;
}

static int
decode_body(struct record_view *v, const uint8_t *b, size_t n)
{
	const uint8_t *p = b + FRAME_BODY, *end = b + n;
	uint32_t flags = get_u32(b + 4);
	size_t salt = get_u16(b + 116), payload = get_u32(b + 120);

	if (get_u16(b) != BODY_VERSION || b[2] > WEIR_CONTENT_BYTES ||
	    b[3] > WEIR_OP_SHREDDED)
		return -1;
	/* no hash covers these: a later format may give them a meaning */
	if ((flags & ~(uint32_t)BODY_FLAGS) != 0 || get_u16(b + 118) != 0 ||
	    get_u32(b + 124) != 0)
		return -1;
	v->content = (enum weir_content)b[2];
	v->op = (enum weir_op)b[3];
	v->client_event_id = (flags & BODY_CLIENT_EVENT_ID) != 0;
	v->client_created_at = (flags & BODY_CLIENT_CREATED_AT) != 0;
	v->sequence = get_u64(b + 8);
	v->version = get_u64(b + 16);
	v->created_at = (int64_t)get_u64(b + 24);
	v->committed_at = (int64_t)get_u64(b + 32);
	memcpy(v->event_id, b + 40, 16);
	v->token = get_u64(b + 56);
	memcpy(v->payload_hash, b + 64, RECORD_DIGEST);
	if (decode_names(v, b, flags, &p, end) != 0 ||
	    decode_tags(v, b, &p, end) != 0 ||
	    (uint64_t)(end - p) != (uint64_t)salt + payload)
		return -1;
	v->salt = (flags & BODY_SALT) != 0
			  ? (struct weir_str){(const char *)p, salt}
			  : (struct weir_str){NULL, 0};
	if ((v->salt.data == NULL) != (salt == 0))
		return -1;
	v->payload = (struct weir_str){(const char *)p + salt, payload};
	return v->sequence > 0 && v->version > 0 ? 0 : -1;
}

/* Is one of the last `pad` bytes (at most 7) not zero? */
static bool
padding_set(const uint8_t *p, size_t n, size_t pad)
{
	return pad > 0 && get_u64(p + n - 8) >> (64 - 8 * pad) != 0;
}

int
frame_decode(struct record_view *v, const uint8_t *p, size_t n,
	     const uint8_t store[16], uint64_t position, const char **why)
{
	*why = "frame has an impossible length";
	if (n < FRAME_LOCAL || frame_length(p) != n)
		return -1;
	*why = "frame CRC does not agree";
	if (get_u32(p + 4) !=
	    crc32c(format_seed(store, position), p + 8, n - 8))
		return -1;
	return frame_parse(v, p, n, position, why);
}

int
frame_parse(struct record_view *v, const uint8_t *p, size_t n,
	    uint64_t position, const char **why)
{
	unsigned flags;
	size_t local;

	*why = "frame has an impossible length";
	if (n < FRAME_LOCAL || frame_length(p) != n)
		return -1;
	*why = "frame contradicts itself";
	flags = get_u16(p + 12);
	local = get_u16(p + 14);
	if ((flags & ~(unsigned)(FRAME_END | FRAME_NODE)) != 0 ||
	    ((flags & FRAME_NODE) != 0) != (local > FRAME_LOCAL))
		return -1;
	v->position = position;
	v->prev = get_u64(p + 16);
	v->skip = get_u64(p + 24);
	v->end_of_commit = (flags & FRAME_END) != 0;
	v->has_node = (flags & FRAME_NODE) != 0;
	memcpy(v->hash, p + 32, RECORD_DIGEST);
	if (v->has_node)
		memcpy(v->node, p + 64, RECORD_DIGEST);
	if (padding_set(p, n, n - local - get_u32(p + 8)) ||
	    decode_body(v, p + local, get_u32(p + 8)) != 0 ||
	    v->has_node != (v->version % 2 == 0))
		return -1;
	return 0;
}

/* ---- idempotency -------------------------------------------------------- */

static bool
same(struct weir_str a, struct weir_str b)
{
	return (a.data == NULL) == (b.data == NULL) &&
	       (a.data == NULL || str_eq(a, b));
}

void
record_of_draft(struct record_view *v, const struct record_draft *d,
		const struct ready *r)
{
	memset(v, 0, sizeof(*v));
	v->op = d->op;
	v->content = d->content;
	v->aggregate_type = d->aggregate_type;
	v->aggregate_id = d->aggregate_id;
	v->event_type = d->event_type;
	v->payload = d->payload;
	v->ntags = d->ntags;
	for (size_t i = 0; i < d->ntags; i++)
		v->tags[i] = d->tags[i];
	v->correlation_id = d->correlation_id;
	v->causation_id = d->causation_id;
	v->traceparent = d->traceparent;
	v->created_at = r->created_at;
}

bool
record_same_content(const struct record_view *v, const struct record_draft *d)
{
	if (!same(v->aggregate_type, d->aggregate_type) ||
	    !same(v->aggregate_id, d->aggregate_id) ||
	    !same(v->event_type, d->event_type) || v->op != d->op ||
	    v->content != d->content || !same(v->payload, d->payload) ||
	    !same(v->correlation_id, d->correlation_id) ||
	    !same(v->causation_id, d->causation_id) ||
	    !same(v->traceparent, d->traceparent) || v->ntags != d->ntags)
		return false;
	for (size_t i = 0; i < v->ntags; i++)
		if (!str_eq(v->tags[i], d->tags[i]))
			return false;
	return !d->has_created_at || v->created_at == d->created_at;
}
