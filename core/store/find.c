/* SPDX-License-Identifier: MIT */
/*
 * 1. Memory holds every aggregate whose last record, and every id and place
 *    whose record, stands behind store->indexed; what is at or before it may be
 *    forgotten, because a look at the index after that finds it.
 * 2. The index of another process's writer may be ahead of what this handle has
 *    taken in: then the aggregate's chain is followed back to the newest record
 *    that has been. What the index names is synced and published, so it may be
 *    read.
 * 3. The finder's mu guards its buffer. It is taken after work and the store's
 *    mu, if at all.
 */
#include "store/find.h"

#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/impl.h"
#include "store/indexer.h"

#define NEAR (4u << 10)
#define FAR  (16u << 20)

struct finder {
	pthread_mutex_t mu;
	struct buf bytes;
};

struct finder *
finder_new(void)
{
	struct finder *f = mem_new(sizeof(*f));

	if (f == NULL)
		return NULL;
	pthread_mutex_init(&f->mu, NULL);
	buf_init(&f->bytes, FAR);
	return f;
}

void
finder_free(struct finder *f)
{
	if (f == NULL)
		return;
	buf_fini(&f->bytes);
	pthread_mutex_destroy(&f->mu);
	mem_free(f);
}

bool
find_partial(const struct store *s)
{
	return s->indexed > 0;
}

/* ---- a record ------------------------------------------------------------ */

/* At least n bytes at a position into the buffer. The finder's mu is held. */
static int
fetch(struct store *s, uint64_t position, size_t n, struct weir_err *err)
{
	const struct segment *seg = NULL;
	struct buf *b = &s->finder->bytes;
	size_t want = n > NEAR ? n : NEAR;
	char path[SEGMENT_PATH];
	int64_t got;
	int rc;

	rc = journal_used(&s->journal, &seg, position_segment(position), err);
	if (rc != 0)
		return rc;
	buf_clear(b);
	if (buf_reserve(b, want) != 0)
		return err_nomem(err);
	segment_path(path, s->folder, seg->number);
	got = os_pread_upto(seg->fd, path, b->data, want,
			    position_offset(position), err);
	if (got < 0)
		return (int)got;
	b->len = (size_t)got;
	return b->len >= n ? 0
			   : journal_damage(&s->journal, err, position,
					    "the file ends here");
}

/* The record at a position, good until the next call. */
static int
peek(struct store *s, struct record_view *v, uint64_t position,
     struct weir_err *err)
{
	const struct buf *b = &s->finder->bytes;
	const char *why = "no frame begins here";
	size_t n;
	int rc;

	if (position_segment(position) == 0 ||
	    position_offset(position) < SEGMENT_HEADER + GROUP_HEADER ||
	    position % 8 != 0)
		return journal_damage(&s->journal, err, position, why);
	rc = fetch(s, position, FRAME_LOCAL, err);
	if (rc != 0)
		return rc;
	n = frame_length((const uint8_t *)b->data);
	if (n > b->len)
		rc = fetch(s, position, n, err);
	if (rc == 0 && (n == 0 || frame_decode(v, (const uint8_t *)b->data, n,
					       s->id, position, &why) != 0))
		rc = journal_damage(&s->journal, err, position, why);
	return rc;
}

static int
archived_at(struct store *s, bool *out, struct record_view *v,
	    struct weir_err *err)
{
	while (v->op == WEIR_OP_SHREDDED && v->version > 1) {
		int rc = peek(s, v, v->prev, err);
		if (rc != 0)
			return rc;
	}
	*out = v->op == WEIR_OP_ARCHIVED;
	return 0;
}

int
find_archived(struct store *s, bool *out, uint64_t position,
	      struct weir_err *err)
{
	struct record_view v;
	int rc;

	pthread_mutex_lock(&s->finder->mu);
	rc = peek(s, &v, position, err);
	if (rc == 0)
		rc = archived_at(s, out, &v, err);
	pthread_mutex_unlock(&s->finder->mu);
	return rc;
}

/* ---- what the index says ------------------------------------------------- */

/* Follows a chain back to a record with at most that sequence: 1, or 0 when
 * there is none. */
static int
step_back(struct store *s, struct record_view *v, uint64_t sequence,
	  struct weir_err *err)
{
	while (v->sequence > sequence) {
		uint64_t prev = v->prev, skip = v->skip;
		bool far = skip != 0 && skip != prev;
		int rc = 0;
		if (v->version == 1)
			return 0;
		if (far)
			rc = peek(s, v, skip, err);
		if (rc == 0 && (!far || v->sequence <= sequence))
			rc = peek(s, v, prev, err);
		if (rc != 0)
			return rc;
	}
	return 1;
}

static void
summit_of(struct summit *t, const struct record_view *v)
{
	memset(t, 0, sizeof(*t));
	t->position = t->peak[0].position = v->position;
	t->version = v->version;
	t->sequence = v->sequence;
	t->below = v->skip;
	t->npeaks = 1;
	memcpy(t->peak[0].node, v->has_node ? v->node : v->hash, MERKLE_DIGEST);
}

/* 1, 0, or a code; *lost: the index is at fault. */
static int
look_head(struct store *s, struct summit *out, bool *lost, uint64_t sequence,
	  struct weir_str type, struct weir_str id, struct weir_err *err)
{
	struct index_head h;
	struct record_view v;
	int rc = index_head(s->index, &h, type, id, err);

	*lost = rc < 0;
	if (rc <= 0)
		return rc;
	pthread_mutex_lock(&s->finder->mu);
	rc = peek(s, &v, h.position, err);
	if (rc == 0 &&
	    (v.version != h.version || v.sequence != h.sequence ||
	     !str_eq(v.aggregate_type, type) || !str_eq(v.aggregate_id, id))) {
		*lost = true;
		rc = err_set(err, WEIR_EDAMAGE,
			     "the index names another aggregate's record");
	}
	if (rc == 0)
		rc = step_back(s, &v, sequence, err);
	if (rc > 0) {
		summit_of(out, &v);
		out->archived = h.archived;
		if (v.sequence != h.sequence &&
		    archived_at(s, &out->archived, &v, err) != 0)
			rc = WEIR_EDAMAGE;
	}
	pthread_mutex_unlock(&s->finder->mu);
	return rc;
}

/* ---- giving the index up ------------------------------------------------- */

/* Takes the whole journal into memory. work is held. */
static int
lose(struct store *s, const struct weir_err *why, struct weir_err *err)
{
	struct heads *heads = heads_new(0);
	struct ids *ids = ids_new();
	struct stopped stop;
	struct tail t;
	int rc = 0;

	diag(DIAG_WARN, "index",
	     "%s; the journal is read without it, and `weir reindex` builds it "
	     "again",
	     why->msg);
	if (heads == NULL || ids == NULL) {
		heads_free(heads);
		ids_free(ids);
		return err_nomem(err);
	}
	indexer_free(s->indexer);
	s->indexer = NULL;
	tail_init(&t);
	t.frontier_from = UINT64_MAX;
	pthread_mutex_lock(&s->mu);
	index_drop(s->index, s->writing);
	uint64_t end = s->end;
	heads_free(s->heads);
	ids_free(s->ids);
	s->heads = heads;
	s->ids = ids;
	writes_zero(s->writes);
	s->nplaces = 0;
	s->applied = s->indexed = s->aggregates = s->reserved = 0;
	rc = journal_walk(&s->journal, &t, &stop, end, &s->window,
			  commit_apply_held, s, err);
	if (rc == 0 && stop.stop != STOP_LIMIT)
		rc = journal_damage(&s->journal, err, tail_position(&t),
				    stop.why);
	s->end = end;
	pthread_mutex_unlock(&s->mu);
	if (rc != 0) {
		s->failed = true;
		snprintf(s->failure, sizeof(s->failure), "%.199s",
			 err != NULL ? err->msg : "the journal is damaged");
	}
	return rc;
}

int
find_give_up(struct store *s)
{
	struct weir_err why = {.msg = "the index can't be read"};
	int rc;

	pthread_mutex_lock(&s->work);
	rc = find_partial(s) ? lose(s, &why, NULL) : 0;
	pthread_mutex_unlock(&s->work);
	return rc;
}

int
find_summit(struct store *s, struct summit *out, uint64_t hash,
	    struct weir_str type, struct weir_str id, struct weir_err *err)
{
	struct weir_err mine = {0};
	bool lost = false;
	int rc;

	if (!find_partial(s))
		return 0;
	rc = look_head(s, out, &lost, UINT64_MAX, type, id, &mine);
	if (rc < 0 && !lost && err != NULL)
		*err = mine;
	if (!lost)
		return rc;
	rc = lose(s, &mine, err);
	if (rc != 0)
		return rc;
	const struct aggregate *a = heads_find(s->heads, hash, type, id);
	if (a != NULL)
		*out = a->top;
	return a != NULL;
}

static int
look_id(struct store *s, uint64_t *position, bool *lost, const uint8_t id[16],
	struct weir_err *err)
{
	struct record_view v;
	int rc = index_id(s->index, position, id, err);

	*lost = rc < 0;
	if (rc <= 0)
		return rc;
	pthread_mutex_lock(&s->finder->mu);
	rc = peek(s, &v, *position, err);
	if (rc == 0 &&
	    (!v.client_event_id || memcmp(v.event_id, id, 16) != 0)) {
		*lost = true;
		rc = err_set(err, WEIR_EDAMAGE,
			     "the index names a record with another event_id");
	}
	pthread_mutex_unlock(&s->finder->mu);
	return rc == 0 ? 1 : rc;
}

int
find_id(struct store *s, uint64_t *position, const uint8_t id[16],
	struct weir_err *err)
{
	struct weir_err mine = {0};
	bool lost = false;
	int rc;

	if (!find_partial(s))
		return 0;
	rc = look_id(s, position, &lost, id, &mine);
	if (rc < 0 && !lost && err != NULL)
		*err = mine;
	if (!lost)
		return rc;
	rc = lose(s, &mine, err);
	if (rc != 0)
		return rc;
	*position = ids_find(s->ids, id);
	return *position != 0;
}

/* ---- sequences ----------------------------------------------------------- */

int
find_place(struct store *s, struct place *out, uint64_t sequence,
	   struct weir_err *err)
{
	uint64_t low = 1, high;
	int rc = index_place(s->index, out, sequence, NULL);

	if (rc > 0)
		return 0;
	/* Without it: from the beginning of the segment. */
	pthread_mutex_lock(&s->mu);
	high = position_segment(s->end);
	pthread_mutex_unlock(&s->mu);
	while (low < high) {
		uint64_t mid = low + (high - low + 1) / 2;
		const struct segment *seg = NULL;
		rc = journal_used(&s->journal, &seg, mid, err);
		if (rc != 0)
			return rc;
		if (seg->header.first_sequence <= sequence)
			low = mid;
		else
			high = mid - 1;
	}
	*out = (struct place){.group = position_of(low, SEGMENT_HEADER)};
	return 0;
}

/* ---- opening ------------------------------------------------------------- */

bool
find_fits(struct store *s, const struct index_meta *m)
{
	const struct tail *t = &m->tail;
	enum segment_state state = SEGMENT_MISSING;
	const struct segment *seg = NULL;
	uint8_t p[GROUP_HEADER];
	struct group_header h;
	char path[SEGMENT_PATH];
	const char *why;
	unsigned at;

	if (t->segment == 0 || t->segment > SEGMENT_LAST ||
	    journal_segment(&s->journal, &seg, &state, &why, &at, t->segment,
			    NULL) != 0 ||
	    state != SEGMENT_USED || seg->size != t->size ||
	    t->offset > t->size)
		return false;
	if (m->group == 0)
		return t->offset == SEGMENT_HEADER &&
		       seg->header.chain == t->chain &&
		       seg->header.first_sequence == t->next_sequence;
	segment_path(path, s->folder, t->segment);
	return position_segment(m->group) == t->segment &&
	       os_pread_upto(seg->fd, path, p, sizeof(p),
			     position_offset(m->group),
			     NULL) == (int64_t)sizeof(p) &&
	       group_header_decode(&h, p, s->id, m->group) == 0 &&
	       h.head_crc == t->chain &&
	       position_offset(m->group) + h.extent == t->offset &&
	       h.first_sequence + h.records == t->next_sequence;
}

void
find_trim(struct store *s)
{
	uint64_t indexed;
	size_t n = 0;

	pthread_mutex_lock(&s->mu);
	indexed = s->indexed;
	if (indexed > 0) {
		ids_span(s->ids, s->applied);
		heads_trim(s->heads, indexed);
	}
	if (indexed > s->trimmed) {
		s->trimmed = indexed;
		ids_forget(s->ids, indexed);
		while (n + 1 < s->nplaces &&
		       s->places[n + 1].sequence <= indexed)
			n++;
		if (n > 0)
			memmove(s->places, s->places + n,
				(s->nplaces - n) * sizeof(*s->places));
		s->nplaces -= n;
	}
	pthread_mutex_unlock(&s->mu);
}

/* ---- heads --------------------------------------------------------------- */

static void
head_of(struct head *out, const struct summit *t)
{
	out->position = t->position;
	out->version = t->version;
	out->sequence = t->sequence;
	out->archived = t->archived;
}

/* Memory's: true when it is there; *view: up to where memory has all, or 0
 * when it has all there is. */
static bool
in_memory(struct store *s, struct summit *out, uint64_t *view,
	  struct weir_str type, struct weir_str id)
{
	const struct aggregate *a;

	pthread_mutex_lock(&s->mu);
	a = heads_find(s->heads, heads_hash(type, id), type, id);
	if (a != NULL)
		*out = a->top;
	*view = find_partial(s) ? s->last : 0;
	pthread_mutex_unlock(&s->mu);
	return a != NULL;
}

int
store_head(struct store *s, struct head *out, struct weir_str type,
	   struct weir_str id, struct weir_err *err)
{
	struct weir_err mine = {0};
	struct summit top;
	bool lost = false;
	uint64_t view;
	int rc = in_memory(s, &top, &view, type, id);

	if (rc == 0 && view > 0) {
		rc = look_head(s, &top, &lost, view, type, id, &mine);
		/* Another thread may just have given the index up. */
		if (rc == 0)
			rc = in_memory(s, &top, &view, type, id);
	}
	if (lost) {
		pthread_mutex_lock(&s->work);
		rc = find_partial(s) ? lose(s, &mine, &mine) : 0;
		pthread_mutex_unlock(&s->work);
		if (rc == 0)
			rc = in_memory(s, &top, &view, type, id);
	}
	if (rc > 0) {
		head_of(out, &top);
		return 0;
	}
	if (rc == 0)
		return err_set(err, WEIR_ENOTFOUND, "aggregate not found");
	if (err != NULL)
		*err = mine;
	return rc;
}

uint64_t
store_aggregates(struct store *s, bool reserved)
{
	uint64_t n;

	pthread_mutex_lock(&s->mu);
	n = s->aggregates - (reserved ? 0 : s->reserved);
	pthread_mutex_unlock(&s->mu);
	return n;
}
