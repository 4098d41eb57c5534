/* SPDX-License-Identifier: MIT */
/*
 * Building batches.
 *
 * 1. `rd` reads forward, `at` looks up single records, `aux` serves roots and
 *    folds; a view of one is never touched through another.
 * 2. All that a record points to lies in the arena, so views may go.
 * 3. With coalescing the forward pass keeps the newest record of each
 *    aggregate, in the place of the one before where it fits, and takes the
 *    others only into the cached states. State is copied for the newest alone.
 */
#include "bus/batch.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/arena.h"
#include "bus/deadletter.h"
#include "bus/roots.h"
#include "bus/sinkconf.h"
#include "model/fold.h"
#include "model/hash.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_MAX   65536u /* records looked at for one batch, about */
#define HARD_TIMES 16u	  /* memory of one batch at most, in max_bytes */
#define KEPT_TIMES 4u	  /* the same of the records of a coalesced one */
#define JSON_MAX   (256u << 20)

/* Newest record of an aggregate within a coalesced batch. */
struct newest {
	uint64_t hash, position, sequence, dead;
	struct weir_str type, id;
	struct weir_sink_record *record; /* NULL: not kept, read it again */
	char *text;			 /* of record */
	size_t cap;
};

struct batch {
	struct reader *rd, *at, *aux;
	struct fold_cache *cache;
	struct roots *roots;
	struct arena arena;
	struct record_view known; /* for fold_cache_get */
	struct buf text;
	const struct weir_sink_record **records;
	size_t n, cap;
	uint64_t *ends; /* sequences that end a commit */
	size_t nends, ends_cap;
	struct newest *newest;
	size_t nnewest, newest_cap;
	uint32_t *table; /* of newest, index + 1 */
	size_t table_size;
	struct batch_parked *parked;
	size_t nparked, parked_cap;
	uint64_t next; /* what rd reads next */
	uint64_t from, through, scanned;
	uint8_t through_hash[32];
	bool at_end;
};

struct batch *
batch_new(struct store *s, size_t cache_bytes)
{
	struct batch *b = mem_new(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->rd = reader_new(s);
	b->at = reader_new(s);
	b->aux = reader_new(s);
	b->cache = fold_cache_new(cache_bytes);
	b->roots = roots_new(cache_bytes / 4);
	buf_init(&b->text, JSON_MAX);
	if (b->rd == NULL || b->at == NULL || b->aux == NULL ||
	    b->cache == NULL || b->roots == NULL) {
		batch_free(b);
		return NULL;
	}
	return b;
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	reader_free(b->rd);
	reader_free(b->at);
	reader_free(b->aux);
	fold_cache_free(b->cache);
	roots_free(b->roots);
	buf_fini(&b->text);
	arena_fini(&b->arena);
	mem_free(b->records);
	mem_free(b->ends);
	mem_free(b->newest);
	mem_free(b->table);
	mem_free(b->parked);
	mem_free(b);
}

void
batch_clear(struct batch *b, uint64_t through)
{
	arena_clear(&b->arena);
	b->n = b->nends = b->nnewest = b->nparked = 0;
	b->scanned = 0;
	b->at_end = false;
	b->from = through;
	b->through = through;
	if (b->table != NULL)
		memset(b->table, 0, b->table_size * sizeof(*b->table));
}

/* Room for one more in an array. */
static int
grow(void *array, size_t *cap, size_t n, size_t size, struct weir_err *err)
{
	void **v = array;
	size_t more = *cap != 0 ? *cap * 2 : 256;
	void *p;

	if (n < *cap)
		return 0;
	p = mem_resize(*v, more * size);
	if (p == NULL)
		return err_nomem(err);
	*v = p;
	*cap = more;
	return 0;
}

/* ---- one record ------------------------------------------------------------
 */

/* Bytes that fill_names takes. */
static size_t
names_size(const struct record_view *v)
{
	size_t n = v->ntags * sizeof(struct weir_str) + v->aggregate_type.len +
		   v->aggregate_id.len + v->event_type.len + v->group.len +
		   v->user.len + v->payload.len + v->correlation_id.len +
		   v->causation_id.len + v->traceparent.len + 9;

	for (size_t i = 0; i < v->ntags; i++)
		n += v->tags[i].len + 1;
	return n;
}

static struct weir_str
put_str(char **to, struct weir_str s)
{
	char *p = *to;

	if (s.data == NULL)
		return s;
	memcpy(p, s.data, s.len);
	p[s.len] = '\0';
	*to = p + s.len + 1;
	return (struct weir_str){p, s.len};
}

/* Copies what the view points to to `to`, which is aligned. */
static void
fill_names(struct weir_sink_record *r, char *to, const struct record_view *v)
{
	struct weir_str *tags = (struct weir_str *)(void *)to;

	memset(r, 0, sizeof(*r));
	to += v->ntags * sizeof(*tags);
	r->op = (uint32_t)v->op;
	r->flags = v->end_of_commit ? WEIR_RECORD_END_OF_COMMIT : 0;
	r->sequence = v->sequence;
	r->version = v->version;
	r->aggregate_type = put_str(&to, v->aggregate_type);
	r->aggregate_id = put_str(&to, v->aggregate_id);
	r->event_type = put_str(&to, v->event_type);
	memcpy(r->event_id, v->event_id, sizeof(r->event_id));
	r->created_at = v->created_at;
	r->committed_at = v->committed_at;
	r->group = put_str(&to, v->group);
	r->user = put_str(&to, v->user);
	for (size_t i = 0; i < v->ntags; i++)
		tags[i] = put_str(&to, v->tags[i]);
	r->tags = v->ntags != 0 ? tags : NULL;
	r->ntags = v->ntags;
	r->content = (uint32_t)v->content;
	r->payload = put_str(&to, v->payload);
	r->correlation_id = put_str(&to, v->correlation_id);
	r->causation_id = put_str(&to, v->causation_id);
	r->traceparent = put_str(&to, v->traceparent);
	memcpy(r->hash, v->hash, sizeof(r->hash));
}

static int
fill_json(struct batch *b, struct weir_sink_record *r,
	  const struct record_view *v, struct weir_err *err)
{
	int ok = 1, rc = roots_of(b->roots, r->merkle_root, b->aux, v, err);

	if (rc != 0)
		return rc;
	buf_clear(&b->text);
	rc = record_json(&b->text, v, r->merkle_root);
	if (rc != 0)
		return err_nomem(err);
	r->json = arena_str(&b->arena, buf_str(&b->text), &ok);
	return ok ? 0 : err_nomem(err);
}

static int
fill_state(struct batch *b, struct weir_sink_record *r, const struct fold *f,
	   struct weir_err *err)
{
	struct weir_sink_member *members;
	char *text;
	int ok = 1;

	r->first_at = fold_first_at(f);
	r->first_user = arena_str(&b->arena, fold_first_user(f), &ok);
	r->nstate = fold_count(f);
	members = arena_get(&b->arena, (r->nstate + 1) * sizeof(*members));
	text = arena_get(&b->arena, fold_size(f));
	if (members == NULL || text == NULL)
		return err_nomem(err);
	r->state_json = fold_copy(f, text, members);
	r->state = members;
	if (r->state_json.len != 0)
		return ok ? 0 : err_nomem(err);
	buf_clear(&b->text);
	if (fold_json(&b->text, f) != 0)
		return err_nomem(err);
	r->state_json = arena_str(&b->arena, buf_str(&b->text), &ok);
	return ok ? 0 : err_nomem(err);
}

/* Copies what a view shows, which was read through rd or at. */
static int
take(struct batch *b, const struct record_view *v, uint32_t needs,
     struct weir_err *err)
{
	struct weir_sink_record *r = arena_get(&b->arena, sizeof(*r));
	char *text = arena_get(&b->arena, names_size(v));
	struct fold *f = NULL;
	int rc = grow(&b->records, &b->cap, b->n, sizeof(*b->records), err);

	if (rc != 0)
		return rc;
	if (r == NULL || text == NULL)
		return err_nomem(err);
	fill_names(r, text, v);
	if ((needs & WEIR_SINK_NEED_JSON) != 0)
		rc = fill_json(b, r, v, err);
	if (rc == 0 && (needs & WEIR_SINK_NEED_STATE) != 0) {
		rc = fold_cache_at(b->cache, &f, b->aux, v, err);
		if (rc == 0)
			rc = fill_state(b, r, f, err);
	}
	if (rc == 0)
		b->records[b->n++] = r;
	return rc;
}

int
batch_add(struct batch *b, uint64_t position, uint32_t needs,
	  struct weir_err *err)
{
	struct record_view v;
	int rc = reader_at(b->at, &v, position, err);

	return rc != 0 ? rc : take(b, &v, needs, err);
}

/* ---- filters ---------------------------------------------------------------
 */

static bool
any_match(char *const *patterns, struct weir_str s)
{
	if (patterns == NULL || patterns[0] == NULL)
		return true;
	for (size_t i = 0; patterns[i] != NULL; i++) {
		if (str_match(str_of(patterns[i]), s))
			return true;
	}
	return false;
}

static bool
wants(const struct sinkconf *c, const struct record_view *v)
{
	if (v->aggregate_type.len != 0 && v->aggregate_type.data[0] == '$')
		return false;
	if (!any_match(c->aggregates, v->aggregate_type) ||
	    !any_match(c->events, v->event_type))
		return false;
	if (c->tags == NULL || c->tags[0] == NULL)
		return true;
	for (size_t i = 0; i < v->ntags; i++) {
		if (any_match(c->tags, v->tags[i]))
			return true;
	}
	return false;
}

int
batch_wants(struct batch *b, uint64_t position, const struct sinkconf *c,
	    struct weir_err *err)
{
	struct record_view v;
	int rc = reader_at(b->at, &v, position, err);

	return rc != 0 ? rc : wants(c, &v);
}

/* ---- coalescing ------------------------------------------------------------
 */

static uint64_t
hash_of(const struct record_view *v)
{
	return hash_bytes(hash_bytes(0, v->aggregate_type), v->aggregate_id);
}

static int
table_grow(struct batch *b, struct weir_err *err)
{
	size_t size = b->table_size != 0 ? b->table_size * 2 : 1024;
	uint32_t *t = mem_new(size * sizeof(*t));

	if (t == NULL)
		return err_nomem(err);
	for (size_t i = 0; i < b->nnewest; i++) {
		size_t k = b->newest[i].hash & (size - 1);

		while (t[k] != 0)
			k = (k + 1) & (size - 1);
		t[k] = (uint32_t)i + 1;
	}
	mem_free(b->table);
	b->table = t;
	b->table_size = size;
	return 0;
}

/* The entry of the view's aggregate, made when it is not there. */
static int
newest_of(struct batch *b, struct newest **out, const struct record_view *v,
	  struct weir_err *err)
{
	uint64_t hash = hash_of(v);
	struct newest *e;
	size_t k;
	int ok = 1, rc = 0;

	if (b->nnewest * 2 >= b->table_size)
		rc = table_grow(b, err);
	if (rc == 0)
		rc = grow(&b->newest, &b->newest_cap, b->nnewest,
			  sizeof(*b->newest), err);
	if (rc != 0)
		return rc;
	for (k = hash & (b->table_size - 1); b->table[k] != 0;
	     k = (k + 1) & (b->table_size - 1)) {
		e = &b->newest[b->table[k] - 1];
		if (e->hash == hash && str_eq(e->type, v->aggregate_type) &&
		    str_eq(e->id, v->aggregate_id)) {
			*out = e;
			return 0;
		}
	}
	e = &b->newest[b->nnewest];
	memset(e, 0, sizeof(*e));
	e->hash = hash;
	e->type = arena_str(&b->arena, v->aggregate_type, &ok);
	e->id = arena_str(&b->arena, v->aggregate_id, &ok);
	if (!ok)
		return err_nomem(err);
	b->table[k] = (uint32_t)++b->nnewest;
	*out = e;
	return 0;
}

static int
newest_cmp(const void *a, const void *b)
{
	const struct newest *x = a, *y = b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Keeps the record as its aggregate's newest. */
static int
keep(struct batch *b, struct newest *e, const struct record_view *v,
     struct weir_err *err)
{
	size_t n = names_size(v);

	if (e->record == NULL)
		e->record = arena_get(&b->arena, sizeof(*e->record));
	if (e->cap < n) {
		size_t cap = e->cap != 0 ? n + n / 4 : n;

		e->text = arena_get(&b->arena, cap);
		e->cap = e->text != NULL ? cap : 0;
	}
	if (e->record == NULL || e->text == NULL)
		return err_nomem(err);
	fill_names(e->record, e->text, v);
	return 0;
}

/* What was kept becomes a record of the batch. */
static int
take_kept(struct batch *b, const struct newest *e, uint32_t needs,
	  struct weir_err *err)
{
	struct fold *f = NULL;
	int rc = grow(&b->records, &b->cap, b->n, sizeof(*b->records), err);

	if (rc != 0)
		return rc;
	if ((needs & WEIR_SINK_NEED_STATE) != 0) {
		b->known.aggregate_type = e->type;
		b->known.aggregate_id = e->id;
		b->known.version = e->record->version;
		b->known.position = e->position;
		rc = fold_cache_get(b->cache, &f, b->aux, &b->known, err);
		if (rc == 0)
			rc = fill_state(b, e->record, f, err);
		if (rc != 0)
			return rc;
	}
	b->records[b->n++] = e->record;
	return 0;
}

/* Makes the records of a coalesced batch. 1: too much memory, the batch has to
 * be built anew with fewer aggregates. */
static int
take_newest(struct batch *b, const struct batch_options *o,
	    struct weir_err *err)
{
	if (b->nnewest != 0)
		qsort(b->newest, b->nnewest, sizeof(*b->newest), newest_cmp);
	for (size_t i = 0; i < b->nnewest; i++) {
		const struct newest *e = &b->newest[i];
		int rc = 0;

		if (e->dead != 0) {
			rc = grow(&b->parked, &b->parked_cap, b->nparked,
				  sizeof(*b->parked), err);
			if (rc == 0)
				b->parked[b->nparked++] = (struct batch_parked){
					e->dead, e->position};
		} else if (b->n != 0 &&
			   b->arena.bytes > HARD_TIMES * o->max_bytes) {
			return 1;
		} else if (e->record != NULL) {
			rc = take_kept(b, e, o->needs, err);
		} else {
			rc = batch_add(b, e->position, o->needs, err);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- the forward pass ------------------------------------------------------
 */

/* Takes one record of the flow, or leaves it out. */
static int
look_at(struct batch *b, const struct record_view *v,
	const struct batch_options *o, struct weir_err *err)
{
	const struct dead_letter *dead = NULL;
	struct newest *e = NULL;
	int rc;

	if (!wants(o->conf, v))
		return 0;
	if (o->parked != NULL)
		dead = deadletters_of(o->parked, v->aggregate_type,
				      v->aggregate_id);
	if (!o->coalesce)
		return dead != NULL && v->version >= dead->version
			       ? 0
			       : take(b, v, o->needs, err);
	/* below the refused version the aggregate still flows */
	if (dead != NULL && v->version < dead->version)
		dead = NULL;
	if (dead != NULL && v->sequence == dead->sequence)
		return 0; /* refused just now: an older state may stand */
	rc = newest_of(b, &e, v, err);
	if (rc != 0)
		return rc;
	e->position = v->position;
	e->sequence = v->sequence;
	e->dead = dead != NULL ? dead->sequence : 0;
	if (e->dead != 0 || (o->needs & WEIR_SINK_NEED_JSON) != 0)
		return 0;
	rc = keep(b, e, v, err);
	if (rc == 0 && (o->needs & WEIR_SINK_NEED_STATE) != 0)
		rc = fold_cache_advance(b->cache, v, err);
	return rc;
}

/* Is there enough for one batch, at the end of a commit? */
static bool
enough(const struct batch *b, const struct batch_options *o, size_t limit)
{
	size_t have = o->coalesce ? b->nnewest : b->n;
	size_t most = o->coalesce ? KEPT_TIMES * o->max_bytes : o->max_bytes;

	if (have >= limit || b->arena.bytes >= most)
		return true;
	return have != 0 ? b->scanned >= SCAN_MAX : b->scanned >= 16 * SCAN_MAX;
}

static int
scan(struct batch *b, uint64_t from, const struct batch_options *o,
     size_t limit, struct weir_err *err)
{
	struct record_view v;
	int rc;

	batch_clear(b, from - 1);
	b->from = from;
	if (b->next != from)
		reader_seek(b->rd, from);
	b->next = from;
	for (;;) {
		if (o->until != 0 && b->through >= o->until)
			return 0;
		rc = reader_next(b->rd, &v, err);
		if (rc <= 0) {
			b->at_end = rc == 0;
			if (rc < 0)
				b->next = 0;
			return rc;
		}
		b->next = v.sequence + 1;
		b->scanned++;
		rc = look_at(b, &v, o, err);
		if (rc != 0) {
			b->next = 0;
			return rc;
		}
		b->through = v.sequence;
		memcpy(b->through_hash, v.hash, sizeof(b->through_hash));
		if (!v.end_of_commit) {
			if (!o->coalesce &&
			    b->arena.bytes > HARD_TIMES * o->max_bytes)
				return 0;
			continue;
		}
		rc = grow(&b->ends, &b->ends_cap, b->nends, sizeof(*b->ends),
			  err);
		if (rc != 0)
			return rc;
		b->ends[b->nends++] = v.sequence;
		if (enough(b, o, limit))
			return 0;
	}
}

int
batch_build(struct batch *b, uint64_t from, const struct batch_options *o,
	    struct weir_err *err)
{
	struct batch_options narrow = *o;
	size_t limit = o->max_records;

	for (;;) {
		int rc = scan(b, from, &narrow, limit, err);

		if (rc == 0 && o->coalesce)
			rc = take_newest(b, &narrow, err);
		if (rc <= 0)
			return rc;
		/* the states of these aggregates are too large together: end
		 * earlier, inside a commit when there is no other way */
		limit = b->nnewest / 2;
		if (b->nends < 2 || limit == 0)
			narrow.until = b->records[b->n - 1]->sequence;
	}
}

uint64_t
batch_through(const struct batch *b)
{
	return b->through;
}

const uint8_t *
batch_through_hash(const struct batch *b)
{
	return b->through_hash;
}

bool
batch_at_end(const struct batch *b)
{
	return b->at_end;
}

size_t
batch_bytes(const struct batch *b)
{
	return b->arena.bytes;
}

size_t
batch_count(const struct batch *b)
{
	return b->n;
}

const struct weir_sink_record *const *
batch_records(const struct batch *b)
{
	return b->records;
}

const struct batch_parked *
batch_parked(const struct batch *b, size_t *n)
{
	*n = b->nparked;
	return b->parked;
}

uint64_t
batch_middle(const struct batch *b)
{
	uint64_t first, last, middle, best = 0;

	if (b->n < 2)
		return 0;
	first = b->records[0]->sequence;
	last = b->records[b->n - 1]->sequence;
	middle = b->records[b->n / 2 - 1]->sequence;
	for (size_t i = 0; i < b->nends; i++) {
		uint64_t end = b->ends[i];

		if (end < first || end >= last)
			continue;
		if (end <= middle || best == 0)
			best = end;
	}
	return best != 0 ? best : middle;
}

struct reader *
batch_reader(struct batch *b)
{
	return b->at;
}
