/* SPDX-License-Identifier: MIT */
/*
 * Open segments, and the walk over groups.
 *
 * 1. seg[i]->number is i + 1; an entry never changes once it is there but for
 *    its map, so a borrowed segment is good until journal_fini.
 * 2. The walk looks at a group only whole and in memory: header CRC, body CRC,
 *    chain value, first sequence and synced_before, before anybody takes it.
 */
#include "store/journal.h"

#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"

#define FIRST_BYTES (1u << 20)
#define MAX_BYTES   (256u << 20)
#define READ_BYTES  (1u << 20)
/* A segment is a quarter of what stands before it, or less: its zeros cost disk
 * and time while the one before fills. */
#define TIMES 8

int
journal_init(struct journal *j, const char *folder, const uint8_t store[16])
{
	memset(j, 0, sizeof(*j));
	j->folder = folder;
	j->store = store;
	j->first_bytes = FIRST_BYTES;
	j->max_bytes = MAX_BYTES;
	j->times = TIMES;
	return pthread_mutex_init(&j->mu, NULL) == 0 ? 0 : WEIR_ENOMEM;
}

void
journal_fini(struct journal *j)
{
	for (size_t i = 0; i < j->nseg; i++) {
		if (j->seg[i] == NULL)
			continue;
		segment_close(j->seg[i]);
		mem_free(j->seg[i]);
	}
	mem_free(j->seg);
	pthread_mutex_destroy(&j->mu);
}

uint64_t
journal_size(const struct journal *j, uint64_t number)
{
	uint64_t size = j->first_bytes, before = 0;

	for (uint64_t i = 1; i < number && size < j->max_bytes; i++) {
		before += size;
		if (before >= j->times * size)
			size *= 2;
	}
	return size < j->max_bytes ? size : j->max_bytes;
}

uint64_t
journal_bytes(struct journal *j, uint64_t position)
{
	uint64_t n = position_offset(position);
	const struct segment *seg = NULL;

	for (uint64_t i = 1; i < position_segment(position); i++)
		if (journal_used(j, &seg, i, NULL) == 0)
			n += seg->size;
	return n;
}

int
journal_damage(const struct journal *j, struct weir_err *err,
	       uint64_t position, const char *why)
{
	char path[SEGMENT_PATH];

	segment_path(path, j->folder, position_segment(position));
	err_set(err, WEIR_EDAMAGE,
		"%s is damaged at byte %" PRIu64
		": %s; nothing was changed: restore this file from a copy",
		path, position_offset(position), why);
	if (err != NULL)
		err->offset = position_offset(position);
	return WEIR_EDAMAGE;
}

static int
open_segment(struct journal *j, struct segment **out,
	     enum segment_state *state, const char **why, unsigned *at,
	     uint64_t number, struct weir_err *err)
{
	struct segment s;
	int rc;

	rc = segment_open(&s, state, why, at, j->folder, number, j->writing,
			  j->store, err);
	if (rc != 0)
		return rc;
	if (*state != SEGMENT_USED) {
		*out = NULL;
		segment_close(&s);
		return 0;
	}
	*out = mem_resize(NULL, sizeof(**out));
	if (*out == NULL) {
		segment_close(&s);
		return err_nomem(err);
	}
	**out = s;
	return 0;
}

int
journal_segment(struct journal *j, const struct segment **out,
		enum segment_state *state, const char **why, unsigned *at,
		uint64_t number, struct weir_err *err)
{
	struct segment *s = NULL;
	int rc = 0;

	must(number > 0);
	pthread_mutex_lock(&j->mu);
	if (number > j->nseg) {
		size_t n = (size_t)number + 15;
		struct segment **seg = mem_resize(j->seg, n * sizeof(*seg));
		if (seg == NULL) {
			rc = err_nomem(err);
			goto out;
		}
		memset(seg + j->nseg, 0, (n - j->nseg) * sizeof(*seg));
		j->seg = seg;
		j->nseg = n;
	}
	s = j->seg[number - 1];
	*state = SEGMENT_USED;
	if (s == NULL)
		rc = open_segment(j, &s, state, why, at, number, err);
	if (rc == 0 && s != NULL) {
		j->seg[number - 1] = s;
		*out = s;
	}
out:
	pthread_mutex_unlock(&j->mu);
	return rc;
}

int
journal_used(struct journal *j, const struct segment **out, uint64_t number,
	     struct weir_err *err)
{
	enum segment_state state = SEGMENT_MISSING;
	const char *why = "it is missing or empty";
	unsigned at = 0;
	int rc;

	rc = journal_segment(j, out, &state, &why, &at, number, err);
	if (rc == 0 && state != SEGMENT_USED)
		rc = journal_damage(j, err, position_of(number, at), why);
	return rc;
}

int
journal_map(struct journal *j, const uint8_t **p, uint64_t *n, uint64_t number,
	    struct weir_err *err)
{
	const struct segment *seg = NULL;
	int rc = journal_used(j, &seg, number, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&j->mu);
	struct segment *s = j->seg[number - 1];
	if (s->map == NULL)
		rc = segment_map(s, j->folder, err);
	if (rc == 0) {
		*p = s->map;
		*n = s->mapped;
	}
	pthread_mutex_unlock(&j->mu);
	return rc;
}

/* ---- tail --------------------------------------------------------------- */

void
tail_init(struct tail *t)
{
	memset(t, 0, sizeof(*t));
	t->sealed = true;
	t->next_sequence = 1;
}

uint64_t
tail_position(const struct tail *t)
{
	return position_of(t->segment, t->offset);
}

void
tail_group(struct tail *t, const struct group *g)
{
	t->offset = position_offset(g->position) + g->head.extent;
	t->chain = g->head.head_crc;
	if (g->head.epoch > t->epoch)
		t->epoch = g->head.epoch;
	if (g->head.synced_before > t->synced_before)
		t->synced_before = g->head.synced_before;
	if (g->head.records > 0)
		t->data_end = tail_position(t);
	if (g->head.flags == GROUP_SEAL) {
		t->sealed = true;
		t->next_size = g->head.next_size;
	}
}

int
tail_record(struct tail *t, const struct record_view *v, const char **why)
{
	*why = "sequence does not follow the one before";
	if (v->sequence != t->next_sequence)
		return -1;
	*why = "committed_at falls";
	if (v->committed_at < t->committed_at)
		return -1;
	t->next_sequence++;
	t->committed_at = v->committed_at;
	if (t->frontier_from <= t->segment)
		frontier_add(&t->frontier, v->hash);
	return 0;
}

int
group_next(struct group_iter *it, struct record_view *v,
	   const struct journal *j, const struct group *g, const char **why)
{
	uint64_t end = g->head.extent - GROUP_TRAILER;
	size_t n;

	if (it->at == 0)
		it->at = GROUP_HEADER;
	if (it->at == end) {
		*why = "group does not hold what its header says";
		return it->seen == g->head.records
				&& it->commits == g->head.commits
			? 0
			: -1;
	}
	*why = "frame does not fit in its group";
	if (end - it->at < FRAME_LOCAL)
		return -1;
	const uint8_t *p = g->bytes + it->at;
	n = frame_length(p);
	if (n == 0 || n > end - it->at)
		return -1;
	int rc = g->ours ? frame_parse(v, p, n, g->position + it->at, why)
			 : frame_decode(v, p, n, j->store,
					g->position + it->at, why);
	if (rc != 0)
		return -1;
	it->at += n;
	it->seen++;
	it->commits += v->end_of_commit;
	*why = "last commit of a group has no end";
	return it->at < end || v->end_of_commit ? 1 : -1;
}

/* ---- walk --------------------------------------------------------------- */

struct walk {
	struct journal *j;
	struct tail *t;
	struct buf *window;
	uint64_t limit; /* nothing from there on is read, or 0 */
	uint64_t window_segment, window_at;
	const struct segment *seg;
};

/* n bytes at an offset of the current segment, or fewer at the file's end. */
static int
look(struct walk *w, const uint8_t **p, size_t *have, uint64_t at, size_t n,
     struct weir_err *err)
{
	struct buf *b = w->window;
	char path[SEGMENT_PATH];

	if (w->window_segment != w->t->segment || at < w->window_at
	    || at + n > w->window_at + b->len) {
		size_t want = n > READ_BYTES ? n : READ_BYTES;
		uint64_t most = w->t->size - at;
		if (position_segment(w->limit) == w->t->segment
		    && position_offset(w->limit) - at < most)
			most = position_offset(w->limit) - at;
		if (want > most)
			want = (size_t)most;
		if (want < n)
			want = n;
		buf_clear(b);
		if (buf_reserve(b, want) != 0)
			return err_nomem(err);
		segment_path(path, w->j->folder, w->t->segment);
		int64_t got = os_pread_upto(w->seg->fd, path, b->data, want, at,
					    err);
		if (got < 0)
			return (int)got;
		b->len = (size_t)got;
		w->window_segment = w->t->segment;
		w->window_at = at;
	}
	uint64_t left = w->window_at + b->len - at;
	*p = (const uint8_t *)b->data + (at - w->window_at);
	*have = left < n ? (size_t)left : n;
	return 0;
}

/* Enters the next segment: 1, 0 with *s, or a code. */
static int
enter(struct walk *w, struct stopped *s, struct weir_err *err)
{
	enum segment_state state = SEGMENT_MISSING;
	uint64_t number = w->t->segment + 1;
	const struct segment_header *h;
	int rc;

	rc = journal_segment(w->j, &w->seg, &state, &s->why, &s->at, number,
			     err);
	if (rc != 0)
		return rc;
	switch (state) {
	case SEGMENT_MISSING:
		s->stop = STOP_NEXT_MISSING;
		s->why = "it is missing";
		return 0;
	case SEGMENT_UNUSED:
		s->stop = STOP_NEXT_UNUSED;
		s->why = "its header is gone";
		return 0;
	case SEGMENT_BAD:
		s->stop = STOP_NEXT_BAD;
		return 0;
	case SEGMENT_USED:
		break;
	}
	h = &w->seg->header;
	if (h->chain != w->t->chain || h->first_sequence != w->t->next_sequence
	    || h->committed_at != w->t->committed_at
	    || (w->t->next_size != 0 && h->size != w->t->next_size))
		return journal_damage(
			w->j, err, position_of(number, 0),
			"its header does not follow the segment before");
	w->t->segment = number;
	w->t->offset = SEGMENT_HEADER;
	w->t->size = h->size;
	w->t->length = w->seg->length;
	w->t->sealed = false;
	w->t->frontier = h->frontier;
	return 1;
}

/* Looks at the group at the tail: 1 and it is whole, 0 with *s, or a code. */
static int
whole_group(struct walk *w, struct group *g, struct stopped *s,
	    struct weir_err *err)
{
	uint64_t at = w->t->offset;
	const uint8_t *p = NULL;
	size_t have = 0;
	int rc;

	s->stop = STOP_HEADER;
	s->why = "no group begins here";
	if (at + GROUP_HEADER > w->t->size)
		return 0;
	rc = look(w, &p, &have, at, GROUP_HEADER, err);
	if (rc != 0)
		return rc;
	g->position = tail_position(w->t);
	if (format_all_zero(p, have)) {
		s->stop = STOP_ZERO;
		s->why = "no group stands here";
		return 0;
	}
	if (have < GROUP_HEADER
	    || group_header_decode(&g->head, p, w->j->store, g->position) != 0)
		return 0;
	s->stop = STOP_BODY;
	s->why = "the group's bytes do not agree with its CRC";
	s->extent = g->head.extent;
	if (g->head.extent > w->t->size - at)
		return 0;
	rc = look(w, &p, &have, at, g->head.extent, err);
	if (rc != 0)
		return rc;
	if (have < g->head.extent
	    || g->head.body_crc
		    != format_body_crc(w->j->store, g->position, g->head.epoch,
				       p + GROUP_HEADER,
				       g->head.extent - GROUP_HEADER))
		return 0;
	g->bytes = p;
	return 1;
}

/* What a whole group must say about what stands before it. */
static int
check_links(const struct walk *w, const struct group *g, struct weir_err *err)
{
	const char *why = NULL;

	if (g->head.prev_chain != w->t->chain)
		why = "the group is not chained to the one before";
	else if (g->head.first_sequence != w->t->next_sequence)
		why = "the group's first sequence does not follow";
	else if (g->head.synced_before > g->position)
		why = "the group's synced_before lies behind it";
	else if (g->head.epoch < w->t->epoch)
		why = "the group's epoch falls";
	return why != NULL ? journal_damage(w->j, err, g->position, why) : 0;
}

int
journal_walk(struct journal *j, struct tail *t, struct stopped *s,
	     uint64_t limit, struct buf *window, journal_fn *fn, void *cookie,
	     struct weir_err *err)
{
	struct walk w = {.j = j, .t = t, .window = window, .limit = limit};
	struct group g = {0};
	int rc;

	if (t->segment > 0) {
		rc = journal_used(j, &w.seg, t->segment, err);
		if (rc != 0)
			return rc;
	}
	for (;;) {
		if (limit != 0 && tail_position(t) >= limit) {
			s->stop = STOP_LIMIT;
			return 0;
		}
		if (t->sealed) {
			rc = enter(&w, s, err);
			if (rc <= 0)
				return rc;
			continue;
		}
		rc = whole_group(&w, &g, s, err);
		if (rc <= 0)
			return rc;
		rc = check_links(&w, &g, err);
		if (rc == 0 && g.head.records > 0)
			rc = fn(cookie, t, &g, err);
		if (rc != 0)
			return rc;
		tail_group(t, &g);
	}
}
