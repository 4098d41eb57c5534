/* SPDX-License-Identifier: MIT */
/*
 * The committer over the local journal: numbers, times, hashes, nodes and
 * frames into one buffer, then one write and one sync (append.c). Nobody else
 * writes, so nothing is ever lost to others; a failed write or sync is unknown.
 */
#include "store/committer.h"

#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "store/batch.h"
#include "store/impl.h"
#include "store/pending.h"

/* The node of an older peak and where the next one stands. */
static int
older_peak(struct batch *b, struct peak *out, uint64_t *below, uint64_t group,
	   uint64_t position, struct weir_err *err)
{
	struct store *s = b->s;
	struct record_view v;
	const char *why = NULL;
	int rc = 0;

	if (position >= group) {
		const uint8_t *p =
			(const uint8_t *)s->out.data + (position - group);
		must(frame_decode(&v, p, frame_length(p), s->id, position,
				  &why) == 0);
	} else {
		rc = reader_at(s->own, &v, position, err);
	}
	if (rc != 0)
		return rc;
	out->position = position;
	memcpy(out->node, v.has_node ? v.node : v.hash, MERKLE_DIGEST);
	*below = v.skip;
	return 0;
}

/* skip and, for even versions, the node of the record after `t`. */
static int
place_in_tree(struct batch *b, uint8_t node[RECORD_DIGEST], uint64_t *skip,
	      const struct summit *t, uint64_t group, const uint8_t *hash,
	      struct weir_err *err)
{
	unsigned n = t->npeaks;
	uint64_t below = t->below;
	struct peak old;

	memcpy(node, hash, RECORD_DIGEST);
	for (uint64_t v = t->version + 1; v % 2 == 0; v /= 2) {
		const struct peak *left = &old;
		if (n > 0) {
			left = &t->peak[--n];
		} else {
			int rc = older_peak(b, &old, &below, group, below, err);
			if (rc != 0)
				return rc;
		}
		merkle_inner(node, left->node, node);
	}
	*skip = n > 0 ? t->peak[n - 1].position : below;
	return 0;
}

/* Who is answered wants the root, and may spare itself the older records. */
static void
note_left(struct receipt *r, const struct summit *top)
{
	_Static_assert(RECEIPT_LEFT == HEAD_PEAKS - 1,
		       "all but the record's own");

	r->lefts_known = top->below == 0;
	r->lefts = r->lefts_known ? top->npeaks - 1 : 0;
	for (unsigned i = 0; i < r->lefts; i++)
		memcpy(r->left[i], top->peak[r->lefts - 1 - i].node,
		       RECORD_DIGEST);
}

static int
encode_record(struct batch *b, struct item *it, uint64_t group, bool end,
	      int64_t committed_at, struct weir_err *err)
{
	struct store *s = b->s;
	struct summit *top = &s->pending->agg[it->aggregate].top;
	struct receipt *r = &it->receipt;
	uint8_t node[RECORD_DIGEST];
	struct frame_place at = {
		.store = s->id,
		.position = group + s->out.len,
		.prev = top->position,
		.sequence = r->sequence,
		.version = top->version + 1,
		.committed_at = committed_at,
		.hash = r->hash,
		.end_of_commit = end,
	};
	int rc;

	record_leaf(r->hash, it->ready.body_hash, at.sequence, at.version,
		    committed_at);
	rc = place_in_tree(b, node, &at.skip, top, group, r->hash, err);
	if (rc != 0)
		return rc;
	at.node = at.version % 2 == 0 ? node : NULL;
	s->out.len += frame_encode((uint8_t *)s->out.data + s->out.len,
				   it->draft, &it->ready, &at);
	summit_advance(top, at.position, at.sequence, at.skip, node);
	r->version = at.version;
	r->position = at.position;
	r->committed_at = committed_at;
	memcpy(r->event_id, it->ready.event_id, 16);
	note_left(r, top);
	r->duplicate = false;
	return 0;
}

static int
encode_request(struct batch *b, struct request *q, uint64_t group, int64_t now,
	       struct weir_err *err)
{
	for (size_t c = 0; c < q->n; c++) {
		struct item *it = q->item + q->first[c];
		struct item *end = q->item + q->first[c + 1];
		if (q->result[c].code != 0 || it->fate != FATE_NEW)
			continue;
		for (; it < end; it++) {
			int rc = encode_record(b, it, group, it + 1 == end, now,
					       err);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static int
encode(struct batch *b, struct weir_err *err)
{
	struct store *s = b->s;
	uint64_t group = tail_position(&s->tail);
	int64_t now = clock_now();
	int rc = 0;

	if (now < s->tail.committed_at)
		now = s->tail.committed_at;
	s->out.len = GROUP_HEADER;
	for (struct request *q = b->requests; rc == 0 && q != NULL; q = q->next)
		rc = encode_request(b, q, group, now, err);
	s->out.len += GROUP_TRAILER;
	return rc;
}

static int
propose(struct store *s, enum outcome *out, struct group *g, struct batch *b,
	struct weir_err *err)
{
	size_t extent = GROUP_HEADER + b->bytes + GROUP_TRAILER;
	int rc;

	must(b->base == s->tail.next_sequence);
	*out = OUTCOME_COMMITTED;
	buf_clear(&s->out);
	if (buf_reserve(&s->out, extent) != 0)
		return err_nomem(err);
	rc = append_room(s, extent, err);
	if (rc == 0)
		rc = encode(b, err);
	if (rc == 0)
		rc = append_group(s, g, b->records, b->commits, err);
	if (rc != 0 && s->failed)
		*out = OUTCOME_UNKNOWN;
	return rc;
}

const struct committer committer_journal = {.propose = propose};
