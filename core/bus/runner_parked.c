/* SPDX-License-Identifier: MIT */
/*
 * Parked aggregates: trying, retrying, discarding.
 *
 * Coalescing sinks: the newest state of a parked aggregate is tried when it has
 * new records, and on demand; success closes the dead letter.
 *
 * Per-record sinks: on demand the aggregate's versions are handed over in order
 * from the journal, up to the cursor, in batches that carry the sink's present
 * cursor and an epoch of their own. A line in the dead letters (synced) says
 * what is handed over under which epoch; after a crash the target's epoch tells
 * whether it was applied, so nothing is written twice. When all is done the
 * entry is closed and the aggregate joins the flow.
 */
#include "bus/runner_int.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define TRIED_US 60000000 /* a failed try is written down at most so often */

/* The aggregate's newest record at or below the cursor; WEIR_ENOTFOUND. */
static int
newest_below(struct runner *r, struct record_view *v,
	     const struct dead_letter *d, struct weir_err *err)
{
	struct head head;
	uint64_t at;
	int rc = store_head(r->store, &head, d->aggregate_type, d->aggregate_id,
			    err);

	if (rc != 0)
		return rc;
	at = head.position;
	do {
		rc = reader_at(batch_reader(r->batch), v, at, err);
		if (rc != 0)
			return rc;
		at = v->prev;
	} while (v->sequence > r->cursor && at != 0);
	if (v->sequence > r->cursor)
		return err_set(err, WEIR_ENOTFOUND,
			       "sequence %llu is not delivered yet",
			       (unsigned long long)d->sequence);
	return 0;
}

/* Hands over what the batch holds, out of the flow. */
static enum weir_sink_class
hand_parked(struct runner *r, uint64_t dead, bool closes,
	    struct weir_sink_result *res)
{
	struct weir_sink_batch b = {
		.flags = WEIR_BATCH_PARKED,
		.through_sequence = r->cursor,
		.nrecords = (uint32_t)batch_count(r->batch),
		.records = batch_records(r->batch),
	};
	struct retry_mark mark = {
		.kind = RETRY_PARKED,
		.first = r->cursor,
		.through = r->cursor,
		.records = batch_count(r->batch),
		.single = dead,
		.epoch = r->epoch,
	};

	memcpy(b.through_hash, r->cursor_hash, sizeof(b.through_hash));
	if (dead == r->crash_parked)
		mark.crashes = r->crashes_parked;
	if (b.nrecords == 1)
		b.flags |= WEIR_BATCH_PROBE;
	b.parked = deadletters_count(r->dead) - (closes ? 1 : 0);
	return runner_hand_over(r, &b, &mark, res);
}

/* Closed: the cursor of the target is to say one parked less; a file cursor is
 * written here. */
static int
close_entry(struct runner *r, uint64_t sequence, const char *as,
	    struct weir_err *err)
{
	int rc = deadletters_close(r->dead, sequence, as, err);

	if (rc != 0)
		return rc;
	r->mark_dead = sinkfile_mark(r->path_dead);
	diag(DIAG_INFO, r->name,
	     "the dead letter at sequence %llu is closed: %s",
	     (unsigned long long)sequence, as);
	return runner_holds(r) ? 0 : runner_save_cursor(r, err);
}

static int
tried(struct runner *r, const struct dead_letter *d, const char *reason,
      const struct weir_sink_result *res, struct weir_err *err)
{
	struct dead_letter why = {.attempts = d->attempts + 1};
	int rc;

	runner_why(&why, reason, res);
	rc = deadletters_tried(r->dead, d->sequence, &why, err);
	r->mark_dead = sinkfile_mark(r->path_dead);
	return rc;
}

/* ---- coalescing sinks -------------------------------------------------------
 */

/* Tries the record at a position as the aggregate's newest state. */
static int
try_newest(struct runner *r, const struct dead_letter *d, uint64_t position,
	   bool asked, struct weir_err *err)
{
	const struct weir_sink_record *rec;
	struct weir_sink_result res;
	enum weir_sink_class cls;
	int rc;

	batch_clear(r->batch, r->cursor);
	rc = batch_add(r->batch, position, r->needs, err);
	if (rc != 0)
		return rc;
	rec = batch_records(r->batch)[0];
	r->epoch++;
	cls = hand_parked(r, d->sequence, true, &res);
	if (cls == WEIR_SINK_OK)
		return close_entry(r, d->sequence,
				   rec->version == d->version ? "delivered"
							      : "superseded",
				   err);
	if (cls == WEIR_SINK_NOT_CONNECTED || cls == WEIR_SINK_BLOCKED ||
	    cls == WEIR_SINK_GONE)
		return runner_fail(r, cls, &res, err);
	if (!asked && clock_now() - d->last_at < TRIED_US)
		return STEP_MORE;
	return tried(r, d, cls == WEIR_SINK_REJECT ? "reject" : "attempts",
		     &res, err);
}

static const struct dead_letter *
letter_at(const struct runner *r, uint64_t sequence)
{
	for (size_t i = 0; i < deadletters_count(r->dead); i++) {
		const struct dead_letter *d = deadletters_at(r->dead, i);

		if (d->sequence == sequence)
			return d;
	}
	return NULL;
}

int
runner_parked_try(struct runner *r, const struct batch_parked *list, size_t n,
		  struct weir_err *err)
{
	/* the list lives in the batch that the tries are built in */
	struct batch_parked *some = mem_new(n * sizeof(*some));
	int rc = STEP_MORE;

	if (some == NULL)
		return err_nomem(err);
	memcpy(some, list, n * sizeof(*some));
	for (size_t i = 0; i < n && rc == STEP_MORE; i++) {
		const struct dead_letter *d = letter_at(r, some[i].sequence);

		if (d == NULL || strcmp(d->reason, "crash") == 0)
			continue;
		if (runner_stopping(r))
			break;
		if (!r->resumed)
			rc = runner_ready(r, err);
		if (rc == STEP_MORE)
			rc = try_newest(r, d, some[i].position, false, err);
	}
	mem_free(some);
	return rc;
}

/* ---- per-record sinks -------------------------------------------------------
 */

/* Fills the batch with versions from..to (fewer when they are large or many);
 * *last is the last version looked at. */
static int
load_versions(struct runner *r, const struct dead_letter *d, uint64_t *last,
	      uint64_t from, uint64_t to, struct weir_err *err)
{
	struct record_view v;
	int rc = 0;

	batch_clear(r->batch, r->cursor);
	for (uint64_t n = from; n <= to && rc == 0; n++) {
		rc = reader_version(batch_reader(r->batch), &v,
				    d->aggregate_type, d->aggregate_id, n, err);
		if (rc == 0)
			rc = batch_wants(r->batch, v.position, r->conf, err);
		if (rc > 0)
			rc = batch_add(r->batch, v.position, r->needs,
				       err);
		if (rc < 0)
			return rc;
		*last = n;
		if (batch_count(r->batch) >= runner_batch_records(r) ||
		    batch_bytes(r->batch) >= r->o.batch_bytes)
			break;
	}
	return rc;
}

static const struct weir_sink_record *
named(const struct runner *r, uint64_t sequence)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);

	for (size_t i = 0; i < batch_count(r->batch); i++) {
		if (recs[i]->sequence == sequence)
			return recs[i];
	}
	return NULL;
}

/* The first record that could not be delivered again is parked anew: with the
 * same entry, or with one of its own when the old one got through. */
static int
park_again(struct runner *r, const struct dead_letter *d,
	   const struct weir_sink_record *bad, const char *reason,
	   const struct weir_sink_result *res, struct weir_err *err)
{
	if (bad->sequence == d->sequence)
		return tried(r, d, reason, res, err);
	return runner_park(r, bad, reason, res, err);
}

/* One batch of a retry was refused: end before the named record, or halve. The
 * new last version, 0 when a record was parked again, or a code. */
static int64_t
narrow_retry(struct runner *r, const struct dead_letter *d,
	     enum weir_sink_class cls, const struct weir_sink_result *res,
	     struct weir_err *err)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);
	const struct weir_sink_record *bad = named(r, res->bad_sequence);
	size_t n = batch_count(r->batch);

	if (bad == NULL && n == 1)
		bad = recs[0];
	if (bad == NULL)
		return (int64_t)recs[n / 2 - 1]->version;
	if (bad != recs[0])
		return (int64_t)bad->version - 1;
	return park_again(r, d, bad,
			  cls == WEIR_SINK_REJECT ? "reject" : "attempts", res,
			  err);
}

/* The retry goes on from `next`, or is at its end. */
static int
go_on(struct runner *r, const struct dead_letter *d, uint64_t next,
      uint64_t newest, struct weir_err *err)
{
	if (next > newest)
		return close_entry(r, d->sequence,
				   d->status == DEAD_DISCARD ? "discarded"
							     : "delivered",
				   err);
	return deadletters_next(r->dead, d->sequence, next, err);
}

/* One batch of versions of the aggregate. */
static int
retry_versions(struct runner *r, const struct dead_letter *d,
	       struct weir_err *err)
{
	struct weir_sink_result res;
	struct record_view v;
	enum weir_sink_class cls;
	uint64_t from, last = 0, newest, to;
	int64_t narrowed;
	int rc = newest_below(r, &v, d, err);

	if (rc != 0)
		return rc;
	newest = v.version;
	from = d->next_version != 0
		       ? d->next_version
		       : d->version + (d->status == DEAD_DISCARD ? 1 : 0);
	for (to = newest; from <= newest; to = (uint64_t)narrowed) {
		rc = load_versions(r, d, &last, from, to, err);
		if (rc != 0)
			return rc;
		if (batch_count(r->batch) == 0)
			return go_on(r, d, last + 1, newest, err);
		r->epoch++;
		rc = deadletters_trying(r->dead, d->sequence, last, r->epoch,
					err);
		if (rc != 0)
			return rc;
		cls = hand_parked(r, d->sequence, last == newest, &res);
		if (cls == WEIR_SINK_OK)
			return go_on(r, d, last + 1, newest, err);
		if (cls != WEIR_SINK_REJECT && cls != WEIR_SINK_RETRY)
			return runner_fail(r, cls, &res, err);
		narrowed = narrow_retry(r, d, cls, &res, err);
		if (narrowed <= 0)
			return (int)narrowed;
		rc = runner_holds(r) ? runner_ready(r, err) : STEP_MORE;
		if (rc != STEP_MORE)
			return rc;
	}
	return go_on(r, d, newest + 1, newest, err);
}

/* ---- what was asked for -----------------------------------------------------
 */

static int
do_asked(struct runner *r, const struct dead_letter *d, struct weir_err *err)
{
	struct record_view v;
	int rc;

	if (!runner_coalesces(r))
		return retry_versions(r, d, err);
	if (d->status == DEAD_DISCARD)
		return close_entry(r, d->sequence, "discarded", err);
	rc = newest_below(r, &v, d, err);
	return rc != 0 ? rc : try_newest(r, d, v.position, true, err);
}

/* Is this one to be tried now? */
static bool
wanted(struct runner *r, const struct dead_letter *d)
{
	if (d->sequence > r->cursor)
		return false; /* the cursor is yet to pass it */
	if (d->status == DEAD_RETRY || d->status == DEAD_DISCARD ||
	    d->next_version != 0) /* begun */
		return true;
	if (!r->retry_all || d->sequence <= r->retried ||
	    strcmp(d->reason, "crash") == 0)
		return false;
	r->retried = d->sequence;
	return true;
}

int
runner_parked_asked(struct runner *r, struct weir_err *err)
{
	for (size_t i = 0; i < deadletters_count(r->dead); i++) {
		const struct dead_letter *d = deadletters_at(r->dead, i);

		if (wanted(r, d))
			return do_asked(r, d, err);
	}
	r->retry_all = false;
	return STEP_IDLE;
}
