/* SPDX-License-Identifier: MIT */
/* The embedding API: appending. Events become drafts; nothing is copied. */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "store/store.h"

#include <string.h>

_Static_assert(WEIR_ANY_VERSION == EXPECT_ANY, "one meaning, two names");
_Static_assert(WEIR_EXISTS == EXPECT_EXISTS, "one meaning, two names");

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

EXPORT int
weir_commit(struct weir *w, struct weir_receipt *receipts,
	    const struct weir_event *events, size_t n, struct weir_err *err)
{
	struct record_draft one_draft, *drafts = &one_draft;
	struct receipt one_receipt, *got = &one_receipt;
	int rc = 0;

	if (!w->writable)
		return err_set(err, WEIR_EDENIED,
			       "the store %s was opened read-only; open it "
			       "without read_only to append",
			       store_dir(w->store));
	if (n == 0 || n > WEIR_COMMIT_RECORDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "a commit takes 1 to %u events, not %zu",
			       WEIR_COMMIT_RECORDS_MAX, n);
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

EXPORT int
weir_append(struct weir *w, struct weir_receipt *receipt,
	    const struct weir_event *event, struct weir_err *err)
{
	return weir_commit(w, receipt, event, 1, err);
}
