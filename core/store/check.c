/* SPDX-License-Identifier: MIT */
/*
 * Reading the whole journal again, with pread, up to what was committed when
 * the check began: everything the walk checks, and every hash, tree node and
 * frontier besides, against heads of its own.
 */
#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/os.h"
#include "store/impl.h"

struct check {
	struct store *s;
	struct check_report report;
	struct heads *heads;
	struct tail tail;
	struct frontier tree;	     /* of all records; the walk's is taken from
					headers */
	uint64_t limit, all, before; /* bytes; before: of whole segments */
	uint64_t segment_size;
	struct journal journal; /* opened anew, so that headers are read */
	struct reader *reader;
	/* What the index counted of tokens up to a sequence when the check
	 * began, and what the journal says of that. */
	struct writes *told, *writes;
	uint64_t counted;
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
	const struct aggregate *a = heads_find(
		c->heads, heads_hash(v->aggregate_type, v->aggregate_id),
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
		return journal_damage(&c->journal, err, v->position,
				      "the stored subtree node does not agree");
	if (n == 0 && v->skip != below)
		return journal_damage(
			&c->journal, err, v->position,
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
		rc = heads_apply(c->heads, v, false, why);
	frontier_add(&c->tree, v->hash);
	if (rc == 0 && v->token != 0 && v->sequence <= c->counted) {
		struct writes_entry *e = writes_at(c->writes, v->token);
		if (e == NULL)
			return WEIR_ENOMEM;
		e->count++;
	}
	return rc;
}

/* The segment's header carries the frontier of all records before it. */
static int
check_frontier(struct check *c, const struct tail *t, struct weir_err *err)
{
	const struct segment *seg = NULL;
	int rc = journal_used(&c->journal, &seg, t->segment, err);

	if (rc != 0)
		return rc;
	if (memcmp(seg->header.frontier.node, c->tree.node,
		   frontier_nodes(&c->tree) * sizeof(c->tree.node[0])) != 0)
		return journal_damage(&c->journal, err,
				      position_of(t->segment, SEGMENT_FRONTIER),
				      "the frontier does not agree with the "
				      "records before");
	c->report.segments = t->segment;
	c->before += c->segment_size;
	c->segment_size = t->size;
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
	while (rc == 0 && (more = group_next(&it, &v, &c->journal, g, &why))) {
		at = more > 0 ? v.position : g->position + it.at;
		rc = more > 0 ? check_record(c, t, &v, &why, err)
			      : WEIR_EDAMAGE;
		if (rc == WEIR_EDAMAGE && why != NULL)
			journal_damage(&c->journal, err, at, why);
		if (rc == WEIR_ENOMEM)
			err_nomem(err);
		if (rc != 0 && err != NULL && more > 0)
			err->sequence = v.sequence;
	}
	c->report.groups++;
	c->report.records += g->head.records;
	c->report.bytes += g->head.extent;
	if (c->progress != NULL && rc == 0)
		c->progress(c->cookie, c->before + position_offset(g->position),
			    c->all);
	return rc;
}

/* Is each count of `a` the same in `b`, or with `more` not above it? */
static int
same_counts(const struct writes *a, const struct writes *b, bool more,
	    struct weir_err *err)
{
	const struct writes_entry *e, *f;

	for (size_t i = 0; (e = writes_next(a, &i)) != NULL;) {
		f = writes_find(b, e->token);
		uint64_t n = f != NULL ? f->count : 0;
		if (e->count > n || (e->count < n && !more))
			return err_set(err, WEIR_EDAMAGE,
				       "the records of token %" PRIu64
				       " are not counted right",
				       e->token);
	}
	return 0;
}

/* A reader may have taken in less than the index holds. */
static int
check_writes(const struct check *c, struct weir_err *err)
{
	bool ahead = c->counted >= c->tail.next_sequence;
	int rc = same_counts(c->writes, c->told, ahead, err);

	return rc != 0 || ahead ? rc
				: same_counts(c->told, c->writes, false, err);
}

/* Does the index know of every aggregate that it should? */
static int
check_index(struct check *c, struct weir_err *err)
{
	struct index *index = c->s->index;
	uint64_t indexed = store_indexed(c->s, NULL);
	size_t n = (size_t)heads_count(c->heads);
	struct aggregate **all = NULL;
	struct weir_err why = {0};
	struct index_head h;
	int rc = 0;

	if (indexed == 0)
		return 0;
	rc = index_verify(index, &why);
	if (rc == 0)
		rc = check_writes(c, &why);
	all = mem_resize(NULL, (n + 1) * sizeof(*all));
	if (all == NULL)
		return err_nomem(err);
	heads_list(c->heads, all);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct summit *t = &all[i]->top;
		if (t->sequence > indexed)
			continue;
		rc = index_head(index, &h, all[i]->type, all[i]->id, &why);
		if (rc > 0)
			rc = h.version > t->version
					|| (h.version == t->version
					    && h.position == t->position)
				? 0
				: WEIR_EDAMAGE;
		else if (rc == 0 && index_is_open(index))
			rc = WEIR_EDAMAGE;
	}
	mem_free(all);
	if (rc == WEIR_EDAMAGE)
		return err_set(err, rc,
			       "the journal is whole, but the index does not "
			       "agree with it%s%s; `weir reindex` builds it "
			       "again",
			       why.msg[0] != '\0' ? ": " : "", why.msg);
	return 0;
}

/* Damage of it is told when the journal is known to be whole. */
static int
begin_writes(struct check *c, struct weir_err *err)
{
	struct index_meta *m = mem_new(sizeof(*m));
	int rc = m != NULL ? index_writes(c->s->index, m, c->told, NULL)
			   : WEIR_ENOMEM;

	if (rc > 0)
		c->counted = m->tail.next_sequence - 1;
	else
		writes_zero(c->told);
	mem_free(m);
	return rc == WEIR_ENOMEM ? err_nomem(err) : 0;
}

static int
run(struct check *c, uint64_t last, struct weir_err *err)
{
	struct stopped stop = {0};
	struct buf window;
	int rc;

	rc = begin_writes(c, err);
	if (rc != 0)
		return rc;
	buf_init(&window, GROUP_EXTENT_MAX + (2u << 20));
	rc = journal_walk(&c->journal, &c->tail, &stop, c->limit, &window,
			  check_group, c, err);
	buf_fini(&window);
	if (rc == 0 &&
	    (stop.stop != STOP_LIMIT || c->tail.next_sequence != last + 1))
		rc = journal_damage(
			&c->journal, err,
			c->tail.sealed
				? position_of(c->tail.segment + 1, stop.at)
				: tail_position(&c->tail),
			stop.stop != STOP_LIMIT ? stop.why
						: "records are missing");
	if (rc != 0)
		return rc;
	c->report.segments = c->tail.segment;
	c->report.aggregates = heads_count(c->heads);
	frontier_root(c->report.store_root, &c->tree);
	return check_index(c, err);
}

int
store_check(struct store *s, struct check_report *out,
	    void (*progress)(void *cookie, uint64_t done, uint64_t all),
	    void *cookie, struct weir_err *err)
{
	struct check *c = mem_new(sizeof(*c));
	uint64_t last;
	int rc;

	if (c == NULL)
		return err_nomem(err);
	c->s = s;
	c->progress = progress;
	c->cookie = cookie;
	pthread_mutex_lock(&s->mu);
	c->limit = s->end;
	last = s->last;
	pthread_mutex_unlock(&s->mu);
	c->all = journal_bytes(&s->journal, c->limit);
	tail_init(&c->tail);
	c->tail.frontier_from = UINT64_MAX;
	journal_init(&c->journal, s->folder, s->id);
	c->heads = heads_new(0);
	c->reader = reader_new(s);
	c->told = writes_new();
	c->writes = writes_new();
	rc = c->heads == NULL || c->reader == NULL || c->told == NULL ||
			     c->writes == NULL
		     ? err_nomem(err)
		     : run(c, last, err);
	if (rc == 0 && progress != NULL)
		progress(cookie, c->all, c->all);
	if (rc == 0)
		*out = c->report;
	heads_free(c->heads);
	reader_free(c->reader);
	writes_free(c->told);
	writes_free(c->writes);
	journal_fini(&c->journal);
	mem_free(c);
	return rc;
}
