/* SPDX-License-Identifier: MIT */
/*
 * What can be done for a draft in its caller's thread, without a lock: the
 * rules, its event_id, its time, its payload and body hashes.
 */
#include "store/batch.h"

#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/uuid.h"
#include "store/impl.h"

#define AHEAD 4

static int
admit_draft(struct item *it, struct record_draft *d, int64_t now,
	    struct weir_err *err)
{
	int rc = record_check(d, err);

	if (rc != 0)
		return rc;
	it->draft = d;
	it->hash = heads_hash(d->aggregate_type, d->aggregate_id);
	it->ready.created_at = d->has_created_at ? d->created_at : now;
	if (d->has_event_id)
		memcpy(it->ready.event_id, d->event_id, 16);
	else if ((rc = uuid_v7_at(it->ready.event_id, now, err)) != 0)
		return rc;
	ready_fill(&it->ready, d);
	return 0;
}

/* Asks whoever makes the rules. */
static int
ask(struct store *s, struct item *item, const struct record_draft *draft,
    size_t n, struct weir_err *err)
{
	const struct store_admission *a = &s->admission;
	int rc;

	item->rules = 0;
	if (a->admit == NULL || (item->system && draft->token == 0))
		return 0;
	rc = a->admit(a->cookie, &item->rules, draft, n, err);
	if (rc == 0 || !draft[0].has_event_id)
		return rc;
	/* It may be there already: then it is no append. */
	item->rules = 0;
	return 0;
}

int
admit_commit(struct store *s, struct item *item, size_t *bytes,
	     struct record_draft *draft, size_t n, struct weir_err *err)
{
	int64_t now = clock_now();
	size_t sum = 0;

	if (n == 0)
		return err_set(err, WEIR_EINPUT,
			       "a commit needs at least one record");
	if (n > WEIR_COMMIT_RECORDS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "the commit has %zu records; at most %u are "
			       "taken",
			       n, WEIR_COMMIT_RECORDS_MAX);
	for (size_t i = 0; i < n; i++) {
		/* The ids of many aggregates may lie anywhere. */
		if (i + AHEAD < n)
			__builtin_prefetch(draft[i + AHEAD].aggregate_id.data);
		int rc = admit_draft(&item[i], &draft[i], now, err);
		item->system = (i > 0 && item->system) || draft[i].system;
		if (rc != 0) {
			if (err != NULL)
				err->sequence = i + 1;
			return rc;
		}
		sum += frame_size_max(item[i].ready.body);
		if (sum <= WEIR_COMMIT_BYTES_MAX)
			continue;
		err_set(err, WEIR_EINPUT,
			"the commit has more than %u bytes; make several of "
			"it",
			WEIR_COMMIT_BYTES_MAX);
		if (err != NULL)
			err->sequence = i + 1;
		return WEIR_EINPUT;
	}
	*bytes = sum;
	return ask(s, item, draft, n, err);
}
