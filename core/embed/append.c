/* SPDX-License-Identifier: MIT */
/* The embedding API: appending. Events become drafts; nothing is copied. */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "store/store.h"

#include <string.h>

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

static int
check_writable(const struct weir *w, size_t n, struct weir_err *err)
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

EXPORT int
weir_commit(struct weir *w, struct weir_receipt *receipts,
	    const struct weir_event *events, size_t n, struct weir_err *err)
{
	struct record_draft one_draft, *drafts = &one_draft;
	struct receipt one_receipt, *got = &one_receipt;
	int rc = check_writable(w, n, err);

	if (rc != 0)
		return rc;
	if (n > 1) {
		drafts = mem_new(n * sizeof(*drafts));
		got = mem_new(n * sizeof(*got));
		if (!drafts || !got) {
			rc = err_nomem(err);
			goto out;
		}
	}
	for (size_t i = 0; i < n; i++)
		draft_of(&drafts[i], &events[i]);
	rc = store_commit(w->store, got, drafts, n, err);
	if (rc == 0 && receipts) {
		for (size_t i = 0; i < n; i++)
			receipt_out(&receipts[i], &got[i]);
	}
out:
	if (n > 1) {
		mem_free(drafts);
		mem_free(got);
	}
	return rc;
}

/* ---- submit -------------------------------------------------------------- */

/* Several events: their receipts must have a place when the time has come. */
struct several {
	weir_done *done;
	void *cookie;
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
	s->done(s->cookie, rc, rc == 0 ? s->receipts : NULL, n, err);
	mem_free(s);
}

static int
submit_several(struct weir *w, const struct weir_event *events, size_t n,
	       int flags, struct several *s, struct weir_err *err)
{
	struct store_answer answer = {.fn = several_done, .cookie = s};
	struct record_draft *drafts = mem_new(n * sizeof(*drafts));
	int rc;

	if (!drafts)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		draft_of(&drafts[i], &events[i]);
	rc = store_submit(w->store, drafts, n, flags, &answer, err);
	mem_free(drafts);
	return rc;
}

EXPORT int
weir_submit(struct weir *w, const struct weir_event *events, size_t n,
	    int flags, weir_done *done, void *cookie, struct weir_err *err)
{
	struct store_answer answer = {
		.fn = one_done, .cookie = cookie, .via = (void (*)(void))done};
	struct record_draft draft;
	struct several *s;
	int rc = check_writable(w, n, err);

	if (rc != 0)
		return rc;
	if (n == 1) {
		draft_of(&draft, events);
		return store_submit(w->store, &draft, 1, flags, &answer, err);
	}
	s = mem_resize(NULL, sizeof(*s) + n * sizeof(s->receipts[0]));
	if (!s)
		return err_nomem(err);
	s->done = done;
	s->cookie = cookie;
	rc = submit_several(w, events, n, flags, s, err);
	if (rc != 0)
		mem_free(s);
	return rc;
}

EXPORT int
weir_append(struct weir *w, struct weir_receipt *receipt,
	    const struct weir_event *event, struct weir_err *err)
{
	return weir_commit(w, receipt, event, 1, err);
}
