/* SPDX-License-Identifier: MIT */
/* The embedding API: appending. Events become drafts; nothing is copied. */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "store/store.h"

#include <string.h>

/* So many commits and events at most go to the store in one call: the memory
 * for their answers is bounded. */
#define GROUP_PARTS  4096u
#define GROUP_EVENTS ((1u << 20) - 1)
#define UNANSWERED   1 /* no code: the call ended before it */

_Static_assert(WEIR_ANY_VERSION == EXPECT_ANY, "one meaning, two names");
_Static_assert(WEIR_EXISTS == EXPECT_EXISTS, "one meaning, two names");
_Static_assert((int)WEIR_SUBMIT_NOWAIT == (int)STORE_NOWAIT,
	       "one meaning, two names");

static void
draft_of(struct record_draft *d, const struct weir_event *e)
{
	memset(d, 0, sizeof(*d));
	d->op = WEIR_OP_EVENT;
	d->content = e->content;
	d->aggregate_type = e->aggregate_type;
	d->aggregate_id = e->aggregate_id;
	d->event_type = e->event_type;
	d->payload = e->payload;
	d->group = e->group;
	d->user = e->user;
	d->tags = e->tags;
	d->ntags = e->ntags;
	d->correlation_id = e->correlation_id;
	d->causation_id = e->causation_id;
	d->traceparent = e->traceparent;
	d->has_event_id = e->has_event_id;
	memcpy(d->event_id, e->event_id, sizeof(d->event_id));
	d->has_created_at = e->has_created_at;
	d->created_at = e->created_at;
	d->expected = e->expected_version;
}

static void
receipt_out(struct weir_receipt *out, const struct receipt *r)
{
	out->sequence = r->sequence;
	out->version = r->version;
	out->committed_at = r->committed_at;
	memcpy(out->event_id, r->event_id, sizeof(out->event_id));
	memcpy(out->hash, r->hash, sizeof(out->hash));
	out->duplicate = r->duplicate;
}

int
embed_check_append(const struct weir *w, size_t n, struct weir_err *err)
{
	if (!w->writable)
		return err_set(err, WEIR_EDENIED,
			       "the store %s was opened read-only; open it "
			       "without read_only to append",
			       store_dir(w->store));
	if (n == 0 || n > WEIR_COMMIT_RECORDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "a commit takes 1 to %u events, not %zu",
			       WEIR_COMMIT_RECORDS_MAX, n);
	return 0;
}

int
embed_commit(struct weir *w, struct weir_receipt *receipts,
	     struct record_draft *drafts, size_t n, struct weir_err *err)
{
	struct receipt near, *got = &near;
	int rc;

	if (n > 1)
		got = mem_resize(NULL, n * sizeof(*got));
	if (!got)
		return err_nomem(err);
	rc = store_commit(w->store, got, drafts, n, err);
	for (size_t i = 0; rc == 0 && receipts && i < n; i++)
		receipt_out(&receipts[i], &got[i]);
	if (got != &near)
		mem_free(got);
	return rc;
}

/* near when there is one event only; else the caller's to free, or NULL. */
static struct record_draft *
drafts_of(struct record_draft *near, const struct weir_event *events, size_t n)
{
	struct record_draft *drafts =
		n > 1 ? mem_resize(NULL, n * sizeof(*drafts)) : near;

	for (size_t i = 0; drafts && i < n; i++)
		draft_of(&drafts[i], &events[i]);
	return drafts;
}

EXPORT int
weir_commit(struct weir *w, struct weir_receipt *receipts,
	    const struct weir_event *events, size_t n, struct weir_err *err)
{
	struct record_draft near, *drafts;
	int rc = embed_check_append(w, n, err);

	if (rc != 0)
		return rc;
	drafts = drafts_of(&near, events, n);
	if (!drafts)
		return err_nomem(err);
	rc = embed_commit(w, receipts, drafts, n, err);
	if (drafts != &near)
		mem_free(drafts);
	return rc;
}

EXPORT int
weir_append(struct weir *w, struct weir_receipt *receipt,
	    const struct weir_event *event, struct weir_err *err)
{
	return weir_commit(w, receipt, event, 1, err);
}

/* ---- groups -------------------------------------------------------------- */

/* Memory for one call of store_commit_group. */
struct group {
	struct record_draft *drafts;
	struct receipt *receipts;
	struct weir_err *results;
	size_t *first;
};

static void
group_fini(struct group *g)
{
	mem_free(g->drafts);
	mem_free(g->receipts);
	mem_free(g->results);
	mem_free(g->first);
}

static int
group_init(struct group *g, const struct weir_part *parts, size_t n,
	   size_t events)
{
	g->drafts = mem_resize(NULL, (events + 1) * sizeof(*g->drafts));
	g->receipts = mem_resize(NULL, (events + 1) * sizeof(*g->receipts));
	g->results = mem_resize(NULL, n * sizeof(*g->results));
	g->first = mem_resize(NULL, (n + 1) * sizeof(*g->first));
	if (!g->drafts || !g->receipts || !g->results || !g->first)
		return WEIR_ENOMEM;
	g->first[0] = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < parts[i].n; k++)
			draft_of(&g->drafts[g->first[i] + k],
				 &parts[i].events[k]);
		g->first[i + 1] = g->first[i] + parts[i].n;
		g->results[i].code = UNANSWERED;
	}
	return 0;
}

static void
part_failed(struct weir_part *p, int code, const struct weir_err *err)
{
	p->code = code;
	if (p->err)
		*p->err = *err;
}

/* Answers the parts of one call, which gave rc. */
static void
group_out(struct weir_part *parts, size_t n, const struct group *g, int rc,
	  const struct weir_err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct weir_part *p = &parts[i];

		p->code = 0;
		if (g->results[i].code == UNANSWERED)
			part_failed(p, rc, err);
		else if (g->results[i].code != 0)
			part_failed(p, g->results[i].code, &g->results[i]);
		for (size_t k = 0; p->code == 0 && p->receipts && k < p->n; k++)
			receipt_out(&p->receipts[k],
				    &g->receipts[g->first[i] + k]);
	}
}

/* How many parts, with how many events, go in one call. */
static size_t
group_take(const struct weir_part *parts, size_t n, size_t *events)
{
	size_t i = 0;

	for (*events = 0; i < n && i < GROUP_PARTS; i++) {
		if (i > 0 && parts[i].n > GROUP_EVENTS - *events)
			break;
		*events += parts[i].n;
	}
	return i;
}

static int
group_commit(struct weir *w, struct weir_part *parts, size_t n, size_t events,
	     struct weir_err *err)
{
	struct group g = {0};
	int rc = group_init(&g, parts, n, events);

	if (rc == 0) {
		rc = store_commit_group(w->store, g.receipts, g.results,
					g.drafts, g.first, n, err);
		group_out(parts, n, &g, rc, err);
	} else {
		err_nomem(err);
		for (size_t i = 0; i < n; i++)
			part_failed(&parts[i], rc, err);
	}
	group_fini(&g);
	return rc;
}

EXPORT int
weir_commit_group(struct weir *w, struct weir_part *parts, size_t n,
		  struct weir_err *err)
{
	struct weir_err mine = {0};
	size_t events, at = 0;
	int rc = embed_check_append(w, 1, &mine);

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (parts[i].n > WEIR_COMMIT_RECORDS_MAX)
			rc = err_set(&mine, WEIR_EINPUT,
				     "commit %zu has %zu events; at most %u "
				     "are taken",
				     i + 1, parts[i].n,
				     WEIR_COMMIT_RECORDS_MAX);
	while (rc == 0 && at < n) {
		size_t k = group_take(parts + at, n - at, &events);

		rc = group_commit(w, parts + at, k, events, &mine);
		at += k;
	}
	for (; rc != 0 && at < n; at++)
		part_failed(&parts[at], rc, &mine);
	if (rc != 0 && err)
		*err = mine;
	return rc;
}

/* ---- submit -------------------------------------------------------------- */

/* Several events: their receipts must have a place when the time has come. */
struct several {
	struct embed_answer to;
	struct weir_receipt receipts[];
};

static void
one_done(const struct store_answer *a, int rc, const struct receipt *receipts,
	 size_t n, const struct weir_err *err)
{
	struct weir_receipt out;

	if (rc == 0)
		receipt_out(&out, receipts);
	((weir_done *)a->via)(a->cookie, rc, rc == 0 ? &out : NULL, n, err);
}

static void
several_done(const struct store_answer *a, int rc,
	     const struct receipt *receipts, size_t n,
	     const struct weir_err *err)
{
	struct several *s = a->cookie;

	for (size_t i = 0; rc == 0 && i < n; i++)
		receipt_out(&s->receipts[i], &receipts[i]);
	s->to.done(s->to.cookie, rc, rc == 0 ? s->receipts : NULL, n, err);
	mem_free(s);
}

int
embed_submit(struct weir *w, const struct record_draft *drafts, size_t n,
	     int flags, const struct embed_answer *to, struct weir_err *err)
{
	struct store_answer answer = {.fn = one_done,
				      .cookie = to->cookie,
				      .via = (void (*)(void))to->done};
	struct several *s;
	int rc;

	if (!to->done || (flags & ~WEIR_SUBMIT_NOWAIT) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "submitting needs a done to call, and knows no "
			       "flag but WEIR_SUBMIT_NOWAIT");
	if (n == 1)
		return store_submit(w->store, drafts, 1, flags, &answer, err);
	s = mem_resize(NULL, sizeof(*s) + n * sizeof(s->receipts[0]));
	if (!s)
		return err_nomem(err);
	s->to = *to;
	answer = (struct store_answer){.fn = several_done, .cookie = s};
	rc = store_submit(w->store, drafts, n, flags, &answer, err);
	if (rc != 0)
		mem_free(s);
	return rc;
}

EXPORT int
weir_submit(struct weir *w, const struct weir_event *events, size_t n,
	    int flags, weir_done *done, void *cookie, struct weir_err *err)
{
	struct embed_answer to = {done, cookie};
	struct record_draft near, *drafts;
	int rc = embed_check_append(w, n, err);

	if (rc != 0)
		return rc;
	drafts = drafts_of(&near, events, n);
	if (!drafts)
		return err_nomem(err);
	rc = embed_submit(w, drafts, n, flags, &to, err);
	if (drafts != &near)
		mem_free(drafts);
	return rc;
}
