/* SPDX-License-Identifier: MIT */
/*
 * Five tables; integers are little-endian but for the keys of places and
 * writes, which sort. Every value ends in a CRC-32C over the store's id, the key and the
 * value, so that a changed byte is told from an entry.
 *
 *   meta    "watermark" -> struct index_meta, encoded below
 *   heads   type 00 id  -> position 8, version 8, sequence 8, flags 4, CRC
 *   ids     event_id    -> position 8, CRC
 *   places  sequence 8, big-endian -> frame 8, group 8, CRC
 *   writes  token 8, big-endian -> records 8, CRC
 *
 * LMDB itself has no checksums for its pages: see index_files.c.
 *
 * 1. mu guards env and read; the write transaction belongs to the one thread
 *    that writes.
 * 2. The read transaction holds a snapshot only while mu is held.
 */
#include "store/index.h"

#include <string.h>
#include "base/digest.h"
#include "base/err.h"
#include "base/must.h"
#include "store/index_int.h"
#include "store/writes.h"

#define LAYOUT	    2u
#define WATERMARK   "watermark"
#define META_FIXED  144u
#define META_MOST   (META_FIXED + 64u * MERKLE_DIGEST + 4u)
#define HEAD_VALUE  32u
#define ID_VALUE    12u
#define PLACE_VALUE 20u
#define WRITES_VALUE 12u
#define ARCHIVED    1u

static MDB_val
value(const void *p, size_t n)
{
	return (MDB_val){.mv_size = n, .mv_data = (void *)(uintptr_t)p};
}

static uint32_t
crc(const struct index *x, MDB_val key, const uint8_t *p, size_t n)
{
	uint32_t c = crc32c(0, x->store, 16);

	c = crc32c(c, key.mv_data, key.mv_size);
	return crc32c(c, p, n);
}

/* Is it an entry of that size? */
static bool
is_good(const struct index *x, MDB_val key, MDB_val v, size_t size)
{
	const uint8_t *p = v.mv_data;

	return v.mv_size == size &&
	       get_u32(p + size - 4) == crc(x, key, p, size - 4);
}

static int
bad(const struct index *x, const char *what, struct weir_err *err)
{
	return err_set(err, WEIR_EDAMAGE, "%s is damaged: %s", x->path, what);
}

static int
lmdb(const struct index *x, int rc, const char *what, struct weir_err *err)
{
	return rc == 0 ? 0 : index_env_err(err, rc, what, x->path);
}

size_t
index_key(char out[INDEX_KEY_MAX], struct weir_str type, struct weir_str id)
{
	if (type.len > WEIR_NAME_MAX || id.len > WEIR_ID_MAX)
		return 0;
	memcpy(out, type.data, type.len);
	out[type.len] = '\0';
	if (id.len > 0)
		memcpy(out + type.len + 1, id.data, id.len);
	return type.len + 1 + id.len;
}

/* ---- the watermark ------------------------------------------------------- */

static size_t
meta_encode(const struct index *x, uint8_t out[META_MOST],
	    const struct index_meta *m)
{
	const struct tail *t = &m->tail;
	const uint64_t all[] = {
		t->segment,
		t->offset,
		t->size,
		t->next_sequence,
		(uint64_t)t->committed_at,
		t->epoch,
		t->synced_before,
		t->data_end,
		m->group,
		m->aggregates,
		m->reserved,
		m->ids,
		t->sealed,
		t->next_size,
		t->frontier.leaves,
	};
	size_t n = frontier_nodes(&t->frontier) * (size_t)MERKLE_DIGEST, at;

	memset(out, 0, META_FIXED);
	put_u32(out, LAYOUT);
	memcpy(out + 4, x->store, 16);
	put_u32(out + 20, t->chain);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		put_u64(out + 24 + 8 * i, all[i]);
	memcpy(out + META_FIXED, t->frontier.node, n);
	at = META_FIXED + n;
	put_u32(out + at, crc(x, value(WATERMARK, sizeof(WATERMARK)), out, at));
	return at + 4;
}

static int
meta_decode(const struct index *x, struct index_meta *m, MDB_val v)
{
	const uint8_t *p = v.mv_data;
	struct tail *t = &m->tail;
	uint64_t committed_at, sealed;
	uint64_t *all[] = {
		&t->segment,	   &t->offset,	  &t->size,
		&t->next_sequence, &committed_at, &t->epoch,
		&t->synced_before, &t->data_end,  &m->group,
		&m->aggregates,	   &m->reserved,  &m->ids,
		&sealed,	   &t->next_size, &t->frontier.leaves,
	};
	size_t n;

	if (v.mv_size < META_FIXED + 4 || v.mv_size > META_MOST ||
	    get_u32(p) != LAYOUT || memcmp(p + 4, x->store, 16) != 0 ||
	    !is_good(x, value(WATERMARK, sizeof(WATERMARK)), v, v.mv_size))
		return -1;
	memset(m, 0, sizeof(*m));
	t->chain = get_u32(p + 20);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] = get_u64(p + 24 + 8 * i);
	t->committed_at = (int64_t)committed_at;
	t->sealed = sealed != 0;
	n = frontier_nodes(&t->frontier) * (size_t)MERKLE_DIGEST;
	if (v.mv_size != META_FIXED + n + 4)
		return -1;
	memcpy(t->frontier.node, p + META_FIXED, n);
	return 0;
}

/* ---- looking up ---------------------------------------------------------- */

/* Takes mu and a snapshot; 1 when there is an index. */
static int
look(struct index *x, struct weir_err *err)
{
	int rc;

	pthread_mutex_lock(&x->mu);
	if (x->env == NULL) {
		pthread_mutex_unlock(&x->mu);
		return 0;
	}
	rc = x->read == NULL
		     ? mdb_txn_begin(x->env->env, NULL, MDB_RDONLY, &x->read)
		     : mdb_txn_renew(x->read);
	if (rc == 0)
		return 1;
	pthread_mutex_unlock(&x->mu);
	return lmdb(x, rc, "cannot read", err);
}

static void
looked(struct index *x)
{
	mdb_txn_reset(x->read);
	pthread_mutex_unlock(&x->mu);
}

static int
get(struct index *x, MDB_dbi table, MDB_val *key, MDB_val *v,
    struct weir_err *err)
{
	int rc = mdb_get(x->read, table, key, v);

	if (rc == MDB_NOTFOUND)
		return 0;
	return rc == 0 ? 1 : lmdb(x, rc, "cannot read", err);
}

static int
take_head(const struct index *x, struct index_head *out, MDB_val key, MDB_val v,
	  struct weir_err *err)
{
	const uint8_t *p = v.mv_data;

	if (!is_good(x, key, v, HEAD_VALUE))
		return bad(x, "the entry of an aggregate", err);
	*out = (struct index_head){
		.position = get_u64(p),
		.version = get_u64(p + 8),
		.sequence = get_u64(p + 16),
		.archived = (get_u32(p + 24) & ARCHIVED) != 0,
	};
	return 1;
}

int
index_head(struct index *x, struct index_head *out, struct weir_str type,
	   struct weir_str id, struct weir_err *err)
{
	char name[INDEX_KEY_MAX];
	size_t n = index_key(name, type, id);
	MDB_val key = value(name, n), v;
	int rc = n > 0 ? look(x, err) : 0;

	if (rc <= 0)
		return rc;
	rc = get(x, x->env->heads, &key, &v, err);
	if (rc > 0)
		rc = take_head(x, out, key, v, err);
	looked(x);
	return rc;
}

int
index_id(struct index *x, uint64_t *position, const uint8_t id[16],
	 struct weir_err *err)
{
	MDB_val key = value(id, 16), v;
	int rc = look(x, err);

	if (rc <= 0)
		return rc;
	rc = get(x, x->env->ids, &key, &v, err);
	if (rc > 0 && !is_good(x, key, v, ID_VALUE))
		rc = bad(x, "the entry of an event_id", err);
	if (rc > 0)
		*position = get_u64(v.mv_data);
	looked(x);
	return rc;
}

static void
place_key(uint8_t out[8], uint64_t sequence)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(sequence >> (56 - 8 * i));
}

static int
take_place(const struct index *x, struct place *out, MDB_val key, MDB_val v,
	   struct weir_err *err)
{
	const uint8_t *k = key.mv_data, *p = v.mv_data;

	if (key.mv_size != 8 || !is_good(x, key, v, PLACE_VALUE))
		return bad(x, "the entry of a sequence", err);
	out->sequence = 0;
	for (int i = 0; i < 8; i++)
		out->sequence = out->sequence << 8 | k[i];
	out->frame = get_u64(p);
	out->group = get_u64(p + 8);
	return 1;
}

int
index_place(struct index *x, struct place *out, uint64_t sequence,
	    struct weir_err *err)
{
	uint8_t k[8];
	MDB_val key = value(k, 8), v;
	MDB_cursor *c = NULL;
	int rc = look(x, err);

	if (rc <= 0)
		return rc;
	place_key(k, sequence);
	rc = mdb_cursor_open(x->read, x->env->places, &c);
	if (rc == 0) {
		rc = mdb_cursor_get(c, &key, &v, MDB_SET_RANGE);
		if (rc == MDB_NOTFOUND)
			rc = mdb_cursor_get(c, &key, &v, MDB_LAST);
		else if (rc == 0 && memcmp(key.mv_data, k, 8) != 0)
			rc = mdb_cursor_get(c, &key, &v, MDB_PREV);
	}
	if (rc == 0)
		rc = take_place(x, out, key, v, err);
	else
		rc = rc == MDB_NOTFOUND ? 0 : lmdb(x, rc, "cannot read", err);
	mdb_cursor_close(c);
	looked(x);
	return rc;
}

int
index_watermark(struct index *x, struct index_meta *m, struct weir_err *err)
{
	MDB_val key = value(WATERMARK, sizeof(WATERMARK)), v;
	int rc = look(x, err);

	if (rc <= 0)
		return rc;
	rc = get(x, x->env->meta, &key, &v, err);
	if (rc > 0 && meta_decode(x, m, v) != 0)
		rc = bad(x, "it has no watermark of this store", err);
	looked(x);
	return rc;
}

/* One entry's count is added. */
static int
take_writes(const struct index *x, struct writes *out, MDB_val key, MDB_val v,
	    struct weir_err *err)
{
	const uint8_t *k = key.mv_data;
	struct writes_entry *e;
	uint64_t token = 0;

	for (int i = 0; i < 8 && key.mv_size == 8; i++)
		token = token << 8 | k[i];
	if (token == 0 || !is_good(x, key, v, WRITES_VALUE))
		return bad(x, "the entry of a token", err);
	e = writes_at(out, token);
	if (e == NULL)
		return err_nomem(err);
	e->count += get_u64(v.mv_data);
	return 1;
}

int
index_writes(struct index *x, struct index_meta *m, struct writes *out,
	     struct weir_err *err)
{
	MDB_val key = value(WATERMARK, sizeof(WATERMARK)), v;
	MDB_cursor *c = NULL;
	int rc = look(x, err), more;

	if (rc <= 0)
		return rc;
	rc = get(x, x->env->meta, &key, &v, err);
	if (rc > 0 && meta_decode(x, m, v) != 0)
		rc = bad(x, "it has no watermark of this store", err);
	if (rc > 0) {
		more = mdb_cursor_open(x->read, x->env->writes, &c);
		while (more == 0 && rc > 0 &&
		       (more = mdb_cursor_get(c, &key, &v, MDB_NEXT)) == 0)
			rc = take_writes(x, out, key, v, err);
		mdb_cursor_close(c);
		if (rc > 0 && more != MDB_NOTFOUND)
			rc = lmdb(x, more, "cannot read", err);
	}
	looked(x);
	return rc;
}

/* ---- all of a table ------------------------------------------------------ */

static int
take_name(const struct index *x, struct index_name *out, MDB_val key, MDB_val v,
	  struct weir_err *err)
{
	const char *zero = memchr(key.mv_data, '\0', key.mv_size);

	if (zero == NULL || key.mv_size > INDEX_KEY_MAX)
		return bad(x, "the name of an aggregate", err);
	memcpy(out->key, key.mv_data, key.mv_size);
	out->type_len = (size_t)(zero - (const char *)key.mv_data);
	out->len = key.mv_size;
	return take_head(x, &out->head, key, v, err);
}

int
index_names(struct index *x, struct index_name *out, size_t n,
	    const char *after, size_t len, struct weir_err *err)
{
	MDB_val key = value(after, len), v;
	MDB_cursor *c = NULL;
	size_t have = 0;
	int rc = look(x, err), good = 1;

	if (rc <= 0)
		return rc;
	rc = mdb_cursor_open(x->read, x->env->heads, &c);
	if (rc == 0)
		rc = mdb_cursor_get(c, &key, &v,
				    len > 0 ? MDB_SET_RANGE : MDB_FIRST);
	if (rc == 0 && len > 0 && key.mv_size == len &&
	    memcmp(key.mv_data, after, len) == 0)
		rc = mdb_cursor_get(c, &key, &v, MDB_NEXT);
	while (rc == 0 && good > 0 && have < n) {
		good = take_name(x, &out[have], key, v, err);
		have += good > 0;
		if (good > 0 && have < n)
			rc = mdb_cursor_get(c, &key, &v, MDB_NEXT);
	}
	mdb_cursor_close(c);
	looked(x);
	if (good < 0)
		return good;
	if (rc != 0 && rc != MDB_NOTFOUND)
		return lmdb(x, rc, "cannot read", err);
	return (int)have;
}

/* Are all entries of a table good, in order, and n of them? */
static int
verify_table(struct index *x, MDB_dbi table, size_t size, uint64_t n,
	     struct weir_err *err)
{
	MDB_cursor *c = NULL;
	MDB_val key, v;
	uint64_t seen = 0;
	int rc = mdb_cursor_open(x->read, table, &c);

	while (rc == 0 && (rc = mdb_cursor_get(c, &key, &v, MDB_NEXT)) == 0) {
		if (!is_good(x, key, v, size)) {
			mdb_cursor_close(c);
			return bad(x, "an entry's CRC does not agree", err);
		}
		seen++;
	}
	mdb_cursor_close(c);
	if (rc != MDB_NOTFOUND)
		return lmdb(x, rc, "cannot read", err);
	return seen >= n ? 0 : bad(x, "entries are missing", err);
}

int
index_verify(struct index *x, struct weir_err *err)
{
	struct index_meta m;
	int rc = index_watermark(x, &m, err);

	if (rc > 0)
		rc = look(x, err);
	if (rc <= 0)
		return rc;
	rc = verify_table(x, x->env->heads, HEAD_VALUE, m.aggregates, err);
	if (rc == 0)
		rc = verify_table(x, x->env->ids, ID_VALUE, m.ids, err);
	if (rc == 0)
		rc = verify_table(x, x->env->places, PLACE_VALUE, 0, err);
	if (rc == 0)
		rc = verify_table(x, x->env->writes, WRITES_VALUE, 0, err);
	looked(x);
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

int
index_begin(struct index *x, struct weir_err *err)
{
	must(x->write == NULL && x->env != NULL);
	if (x->env->fixed)
		return err_set(err, WEIR_EDENIED, "%s can't be written",
			       x->path);
	return lmdb(x, mdb_txn_begin(x->env->env, NULL, 0, &x->write),
		    "cannot write", err);
}

static int
put(struct index *x, MDB_dbi table, MDB_val key, uint8_t *p, size_t size,
    unsigned flags)
{
	MDB_val v = value(p, size);

	put_u32(p + size - 4, crc(x, key, p, size - 4));
	return mdb_put(x->write, table, &key, &v, flags);
}

int
index_put_head(struct index *x, const char *key, size_t len,
	       const struct index_head *h, bool keep, struct weir_err *err)
{
	uint8_t p[HEAD_VALUE];
	MDB_val k = value(key, len), old;
	bool archived = h->archived;

	if (keep && mdb_get(x->write, x->env->heads, &k, &old) == 0 &&
	    old.mv_size == HEAD_VALUE)
		archived =
			(get_u32((uint8_t *)old.mv_data + 24) & ARCHIVED) != 0;

	put_u64(p, h->position);
	put_u64(p + 8, h->version);
	put_u64(p + 16, h->sequence);
	put_u32(p + 24, archived ? ARCHIVED : 0);
	return lmdb(x, put(x, x->env->heads, k, p, sizeof(p), 0),
		    "cannot write", err);
}

int
index_put_id(struct index *x, const uint8_t id[16], uint64_t position,
	     struct weir_err *err)
{
	uint8_t p[ID_VALUE];
	int rc;

	put_u64(p, position);
	rc = put(x, x->env->ids, value(id, 16), p, sizeof(p), MDB_NOOVERWRITE);
	return rc == MDB_KEYEXIST ? 0 : lmdb(x, rc, "cannot write", err);
}

int
index_put_place(struct index *x, const struct place *at, struct weir_err *err)
{
	uint8_t k[8], p[PLACE_VALUE];

	place_key(k, at->sequence);
	put_u64(p, at->frame);
	put_u64(p + 8, at->group);
	return lmdb(x, put(x, x->env->places, value(k, 8), p, sizeof(p), 0),
		    "cannot write", err);
}

static int
add_writes(struct index *x, const struct writes_entry *e, struct weir_err *err)
{
	uint8_t k[8], p[WRITES_VALUE];
	MDB_val key = value(k, 8), old;
	uint64_t n = e->count;
	int rc;

	place_key(k, e->token);
	rc = mdb_get(x->write, x->env->writes, &key, &old);
	if (rc == 0 && !is_good(x, key, old, WRITES_VALUE))
		return bad(x, "the entry of a token", err);
	if (rc == 0)
		n += get_u64(old.mv_data);
	else if (rc != MDB_NOTFOUND)
		return lmdb(x, rc, "cannot read", err);
	put_u64(p, n);
	return lmdb(x, put(x, x->env->writes, key, p, sizeof(p), 0),
		    "cannot write", err);
}

int
index_add_writes(struct index *x, const struct writes *w, uint64_t from,
		 struct weir_err *err)
{
	MDB_val key = value(WATERMARK, sizeof(WATERMARK)), v;
	const struct writes_entry *e;
	struct index_meta m;
	size_t i = 0;
	int rc = mdb_get(x->write, x->env->meta, &key, &v);

	if (rc == MDB_NOTFOUND)
		m.tail.next_sequence = 1;
	else if (rc != 0)
		return lmdb(x, rc, "cannot read", err);
	else if (meta_decode(x, &m, v) != 0)
		return bad(x, "it has no watermark of this store", err);
	/* They were counted already, or others are missing. */
	if (m.tail.next_sequence != from)
		return bad(x, "its watermark is not where it was left", err);
	rc = 0;
	while (rc == 0 && (e = writes_next(w, &i)) != NULL)
		if (e->count > 0)
			rc = add_writes(x, e, err);
	return rc;
}

int
index_forget_heads(struct index *x, struct weir_err *err)
{
	return lmdb(x, mdb_drop(x->write, x->env->heads, 0), "cannot write",
		    err);
}

int
index_commit(struct index *x, const struct index_meta *m, struct weir_err *err)
{
	uint8_t p[META_MOST];
	MDB_val key = value(WATERMARK, sizeof(WATERMARK)), v;
	int rc = 0;

	if (m != NULL) {
		v = value(p, meta_encode(x, p, m));
		rc = mdb_put(x->write, x->env->meta, &key, &v, 0);
	}
	if (rc != 0) {
		index_abort(x);
		return lmdb(x, rc, "cannot write", err);
	}
	rc = mdb_txn_commit(x->write);
	x->write = NULL;
	return lmdb(x, rc, "cannot write", err);
}

void
index_abort(struct index *x)
{
	if (x->write != NULL)
		mdb_txn_abort(x->write);
	x->write = NULL;
}
