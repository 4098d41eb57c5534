/* SPDX-License-Identifier: MIT */
/*
 * Reading the whole journal again, with pread, up to what was committed when
 * the check began: everything the walk checks, and every hash, tree node and
 * frontier besides, against heads of its own.
 */
#include <string.h>
#include "base/err.h"
#include "base/os.h"
#include "store/impl.h"

struct check {
	struct store *s;
	struct check_report report;
	struct heads *heads;
	struct tail tail;
	struct frontier tree; /* of all records; the walk's is taken from
				 headers */
	uint64_t limit, all;
	struct reader *reader;
	void (*progress)(void *cookie, uint64_t done, uint64_t all);
	void *cookie;
};

static int
older_node(struct check *c, uint8_t node[MERKLE_DIGEST], uint64_t *below,
	   uint64_t position, struct weir_err *err)
{
	struct record_view v;
	int rc = reader_at(c->reader, &v, position, err);

	if (rc != 0)
		return rc;
	memcpy(node, v.has_node ? v.node : v.hash, MERKLE_DIGEST);
	*below = v.skip;
	return 0;
}

/* Does an even version's node follow from the ones before? */
static int
check_node(struct check *c, const struct record_view *v, struct weir_err *err)
{
	const struct aggregate *a
		= heads_find(c->heads,
			     heads_hash(v->aggregate_type, v->aggregate_id),
			     v->aggregate_type, v->aggregate_id);
	uint8_t node[MERKLE_DIGEST], left[MERKLE_DIGEST];
	unsigned n = a != NULL ? a->top.npeaks : 0;
	uint64_t below = a != NULL ? a->top.below : 0;

	memcpy(node, v->hash, MERKLE_DIGEST);
	for (uint64_t w = v->version; w % 2 == 0; w /= 2) {
		if (n > 0) {
			memcpy(left, a->top.peak[--n].node, MERKLE_DIGEST);
		} else {
			int rc = older_node(c, left, &below, below, err);
			if (rc != 0)
				return rc;
		}
		merkle_inner(node, left, node);
	}
	if (v->has_node && memcmp(node, v->node, MERKLE_DIGEST) != 0)
		return journal_damage(&c->s->journal, err, v->position,
				      "the stored subtree node does not agree");
	if (n == 0 && v->skip != below)
		return journal_damage(
			&c->s->journal, err, v->position,
			"skip does not lead to the version it should");
	return 0;
}

static int
check_record(struct check *c, struct tail *t, const struct record_view *v,
	     const char **why, struct weir_err *err)
{
	uint8_t hash[RECORD_DIGEST];
	int rc;

	if (tail_record(t, v, why) != 0)
		return WEIR_EDAMAGE;
	*why = "payload hash does not agree";
	record_payload_hash(hash, v);
	if (memcmp(hash, v->payload_hash, RECORD_DIGEST) != 0)
		return WEIR_EDAMAGE;
	*why = "record hash does not agree";
	record_hash(hash, v);
	if (memcmp(hash, v->hash, RECORD_DIGEST) != 0)
		return WEIR_EDAMAGE;
	*why = NULL;
	rc = check_node(c, v, err);
	if (rc == 0)
		rc = heads_apply(c->heads, v, why);
	frontier_add(&c->tree, v->hash);
	return rc;
}

/* The segment's header carries the frontier of all records before it. */
static int
check_frontier(struct check *c, const struct tail *t, struct weir_err *err)
{
	const struct segment *seg = NULL;
	int rc = journal_used(&c->s->journal, &seg, t->segment, err);

	if (rc != 0)
		return rc;
	if (memcmp(seg->header.frontier.node, c->tree.node,
		   frontier_nodes(&c->tree) * sizeof(c->tree.node[0]))
	    != 0)
		return journal_damage(&c->s->journal, err,
				      position_of(t->segment, SEGMENT_FRONTIER),
				      "the frontier does not agree with the "
				      "records before");
	c->report.segments = t->segment;
	return 0;
}

static int
check_group(void *cookie, struct tail *t, const struct group *g,
	    struct weir_err *err)
{
	struct check *c = cookie;
	struct group_iter it = {0};
	struct record_view v;
	const char *why = NULL;
	uint64_t at;
	int rc = 0, more;

	if (c->report.segments != t->segment)
		rc = check_frontier(c, t, err);
	while (rc == 0 && (more = group_next(&it, &v, &c->s->journal, g, &why))) {
		at = more > 0 ? v.position : g->position + it.at;
		rc = more > 0 ? check_record(c, t, &v, &why, err)
			      : WEIR_EDAMAGE;
		if (rc == WEIR_EDAMAGE && why != NULL)
			journal_damage(&c->s->journal, err, at, why);
		if (rc == WEIR_ENOMEM)
			err_nomem(err);
		if (rc != 0 && err != NULL && more > 0)
			err->sequence = v.sequence;
	}
	c->report.groups++;
	c->report.records += g->head.records;
	c->report.bytes += g->head.extent;
	if (c->progress != NULL && rc == 0)
		c->progress(c->cookie, c->report.bytes, c->all);
	return rc;
}

/* Bytes of segments up to the limit, for progress. */
static int
measure(struct check *c, struct weir_err *err)
{
	const struct segment *seg = NULL;
	int rc = 0;

	c->all = position_offset(c->limit);
	for (uint64_t n = 1; rc == 0 && n < position_segment(c->limit); n++) {
		rc = journal_used(&c->s->journal, &seg, n, err);
		if (rc == 0)
			c->all += seg->header.size;
	}
	return rc;
}

static int
run(struct check *c, struct buf *window, struct weir_err *err)
{
	struct stopped stop = {0};
	int rc;

	rc = journal_walk(&c->s->journal, &c->tail, &stop, c->limit, window,
			  check_group, c, err);
	if (rc == 0 && stop.stop != STOP_LIMIT)
		rc = journal_damage(&c->s->journal, err,
				    tail_position(&c->tail),
				    stop.why != NULL ? stop.why
						     : "the journal ends early");
	if (rc != 0)
		return rc;
	c->report.aggregates = heads_count(c->heads);
	frontier_root(c->report.store_root, &c->tree);
	if (c->progress != NULL)
		c->progress(c->cookie, c->all, c->all);
	return 0;
}

int
store_check(struct store *s, struct check_report *out,
	    void (*progress)(void *cookie, uint64_t done, uint64_t all),
	    void *cookie, struct weir_err *err)
{
	struct check c = {.s = s, .progress = progress, .cookie = cookie};
	struct buf window;
	int rc;

	buf_init(&window, GROUP_EXTENT_MAX + (2u << 20));
	pthread_mutex_lock(&s->mu);
	c.limit = s->end;
	pthread_mutex_unlock(&s->mu);
	tail_init(&c.tail);
	c.heads = heads_new();
	c.reader = reader_new(s);
	rc = c.heads != NULL && c.reader != NULL ? 0 : err_nomem(err);
	if (rc == 0 && c.limit != 0)
		rc = measure(&c, err);
	if (rc == 0 && c.limit != 0)
		rc = run(&c, &window, err);
	if (rc == 0)
		*out = c.report;
	reader_free(c.reader);
	heads_free(c.heads);
	buf_fini(&window);
	return rc;
}
