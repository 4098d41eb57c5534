/* SPDX-License-Identifier: MIT */
#ifndef MODEL_FOLD_H
#define MODEL_FOLD_H

/*
 * State: a shallow merge of the payloads' top-level members in first-seen
 * order. A later value replaces the whole earlier one; null is stored; nothing
 * vanishes. A payload that is no JSON object sits under "_value" (text as a
 * JSON string, bytes as {"$base64": ...}). Values stay the bytes they came as.
 */

#include <stdbool.h>
#include <weir/types.h>
#include <weir/sink.h>

struct buf;
struct reader;
struct record_view;
struct fold;

struct fold *fold_new(void); /* NULL: no memory */
void fold_free(struct fold *f);
size_t fold_bytes(const struct fold *f); /* memory it holds, about */

/* Applies the next version (fold_version + 1); WEIR_ENOMEM, or WEIR_EDAMAGE
 * when the version is another. ARCHIVED and RESTORED records with a comment
 * payload change no member. */
int fold_apply(struct fold *f, const struct record_view *v,
	       struct weir_err *err);

uint64_t fold_version(const struct fold *f);
int64_t fold_first_at(const struct fold *f);
struct weir_str fold_first_user(const struct fold *f);

/* The members, borrowed until the next fold_apply or fold_free; NULL and none
 * without memory. */
const struct weir_sink_member *fold_members(struct fold *f, size_t *n);

/* A copy of the state: fold_size bytes at `to`, into which fold_count members
 * point. Returns the JSON object among them; its len is 0 when fold_json has
 * to make it, as a value holds a line break. */
size_t fold_count(const struct fold *f);
size_t fold_size(const struct fold *f);
struct weir_str fold_copy(const struct fold *f, char *to,
			  struct weir_sink_member *members);

/* One JSON object, compact between members; values as they came but for line
 * breaks between tokens. */
int fold_json(struct buf *out, const struct fold *f);

/* Brings f (new, or at any lower version of the same aggregate) to the version
 * of the record at position, reading what is missing. */
int fold_load(struct fold *f, struct reader *r, uint64_t position,
	      struct weir_err *err);

/* AggregateState: {aggregate_type, aggregate_id, version, state, merkle_root,
 * archived}. */
int fold_aggregate_json(struct buf *out, const struct fold *f,
			struct weir_str type, struct weir_str id,
			const uint8_t root[32], bool archived);

/* ---- a bounded cache of folds; the longest unused out, about ------------ */

struct fold_cache;
struct fold_cache *fold_cache_new(size_t max_bytes);
void fold_cache_free(struct fold_cache *c);

/* The fold of the aggregate at the version of v (which has just been read):
 * from the cache by one step, else loaded through r (a reader of its own, not
 * the one v was read with). Borrowed until the next call on the cache. A
 * version older than the cached one gives a fold loaded anew. */
int fold_cache_at(struct fold_cache *c, struct fold **out, struct reader *r,
		  const struct record_view *v, struct weir_err *err);

/* The same when of v only names, version and position are known. */
int fold_cache_get(struct fold_cache *c, struct fold **out, struct reader *r,
		   const struct record_view *v, struct weir_err *err);

/* Takes v in when the cache is at the version before (or v is the first);
 * else nothing is done. Reads nothing. */
int fold_cache_advance(struct fold_cache *c, const struct record_view *v,
		       struct weir_err *err);

#endif
