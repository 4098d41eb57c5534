/* SPDX-License-Identifier: MIT */
/*
 * The flow: build a batch, hand it over, judge the answer.
 *
 * A batch in trouble. A record that is named by the plugin is parked and the
 * batch is built again without its aggregate. When none is named, `suspect`
 * keeps where the failed range ends and `limit` where its first half ends; a
 * half that succeeds moves the cursor and the rest is tried as a whole; a half
 * that fails is halved again, until one record is left. The dead letter is
 * synced before a batch is built that passes its record.
 *
 * A plugin without TXN may have done the first part of a batch that failed: the
 * cursor moves over that part before the answer is judged.
 */
#include "bus/runner_int.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define NEAR_US	 50000	 /* a plugin may end so much before the deadline */
#define EMPTY_US 1000000 /* a batch without records at most so often */

/* ---- back-off --------------------------------------------------------------
 */

int
runner_calm(struct runner *r, struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	uint64_t settings = w->settings;

	if (w->failures == 0 && w->tries == 0 && w->next_try == 0 &&
	    w->message[0] == '\0')
		return 0;
	memset(w, 0, sizeof(*w));
	w->settings = settings;
	return retry_save_wait(r->retry, err);
}

/* The sink is switched off for good; the reason stays to be seen. */
static int
gone(struct runner *r, struct weir_err *err)
{
	int rc;

	r->conf->enabled = false;
	rc = sinkconf_save(r->dir, r->conf, err);
	r->mark_conf = sinkfile_mark(r->path_conf);
	retry_wait(r->retry)->settings = r->mark_conf ^ (r->mark_map << 1);
	r->state = RUNNER_GONE;
	if (rc == 0)
		rc = retry_save_wait(r->retry, err);
	return rc != 0 ? rc : STEP_WAIT;
}

int
runner_fail(struct runner *r, enum weir_sink_class cls,
	    const struct weir_sink_result *res, struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	int64_t delay = RETRY_PROBE_US;
	int rc;

	must(cls != WEIR_SINK_OK);
	w->failures++;
	if (cls != WEIR_SINK_BLOCKED && cls != WEIR_SINK_GONE) {
		delay = retry_delay(w->failures);
		if (res->retry_after_us > delay)
			delay = res->retry_after_us < RETRY_MAX_US
					? res->retry_after_us
					: RETRY_MAX_US;
	}
	w->blocked = cls == WEIR_SINK_BLOCKED;
	w->next_try = clock_now() + delay;
	w->settings = r->mark_conf ^ (r->mark_map << 1);
	snprintf(w->class_, sizeof(w->class_), "%s", runner_class_word(cls));
	snprintf(w->code, sizeof(w->code), "%s", res->code);
	snprintf(w->message, sizeof(w->message), "%.590s", res->message);
	snprintf(w->hint, sizeof(w->hint), "%.390s", res->hint);
	diag(cls == WEIR_SINK_NOT_CONNECTED ? DIAG_INFO : DIAG_WARN, r->name,
	     "%s: %s%s%s", w->class_, w->message,
	     w->hint[0] != '\0' ? "; " : "", w->hint);
	r->state = w->blocked ? RUNNER_BLOCKED : RUNNER_BACKOFF;
	if (cls == WEIR_SINK_GONE)
		return gone(r, err);
	rc = retry_save_wait(r->retry, err);
	runner_status_write(r, true);
	return rc != 0 ? rc : STEP_WAIT;
}

/* ---- parking ---------------------------------------------------------------
 */

void
runner_why(struct dead_letter *d, const char *reason,
	   const struct weir_sink_result *res)
{
	snprintf(d->reason, sizeof(d->reason), "%s", reason);
	snprintf(d->code, sizeof(d->code), "%s", res->code);
	snprintf(d->column, sizeof(d->column), "%s", res->column);
	snprintf(d->message, sizeof(d->message), "%s", res->message);
	snprintf(d->hint, sizeof(d->hint), "%s", res->hint);
	d->last_at = clock_now();
}

int
runner_park(struct runner *r, const struct weir_sink_record *rec,
	    const char *reason, const struct weir_sink_result *res,
	    struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	struct dead_letter d = {
		.sequence = rec->sequence,
		.version = rec->version,
		.aggregate_type = rec->aggregate_type,
		.aggregate_id = rec->aggregate_id,
		.attempts = w->tries + 1,
	};
	int rc;

	runner_why(&d, reason, res);
	rc = deadletters_park(r->dead, &d, err);
	if (rc != 0)
		return rc;
	r->mark_dead = sinkfile_mark(r->path_dead);
	r->suspect = r->limit = 0;
	r->for_attempts = r->halve = false;
	r->crash_single = r->crashes = 0;
	diag(DIAG_WARN, r->name, "parked %.*s %.*s at sequence %llu (%s): %s",
	     (int)rec->aggregate_type.len, rec->aggregate_type.data,
	     (int)rec->aggregate_id.len, rec->aggregate_id.data,
	     (unsigned long long)rec->sequence, reason, res->message);
	return runner_calm(r, err);
}

/* ---- handing over -----------------------------------------------------------
 */

enum weir_sink_class
runner_hand_over(struct runner *r, struct weir_sink_batch *b,
		 const struct retry_mark *mark, struct weir_sink_result *res)
{
	struct retry_mark none = {0};
	struct weir_err err = {0};
	int64_t deadline = clock_monotonic() + r->o.deliver_us;
	int cls;

	if (r->run_deadline != 0 && r->run_deadline < deadline)
		deadline = r->run_deadline;
	b->struct_size = sizeof(*b);
	b->record_size = sizeof(struct weir_sink_record);
	b->epoch = r->epoch;
	b->deadline_us = deadline;
	b->stop_fd = r->o.stop_fd;
	memset(res, 0, sizeof(*res));
	res->struct_size = sizeof(*res);
	if (retry_put_mark(r->retry, mark, &err) != 0)
		diag(DIAG_WARN, r->name, "no crash marker: %s", err.msg);
	pulse_hold(r->o.pulse, b->nrecords);
	pulse_enter(r->o.pulse, deadline);
	cls = r->plugin->deliver(r->sink, b, res);
	host_flush(r->host);
	pulse_leave(r->o.pulse);
	pulse_hold(r->o.pulse, 0);
	(void)retry_put_mark(r->retry, &none, NULL);
	host_clean(r->host, res);
	if (cls < WEIR_SINK_OK || cls > WEIR_SINK_GONE) {
		snprintf(res->message, sizeof(res->message),
			 "the plugin %s gave the unknown answer %d",
			 r->plugin->name, cls);
		cls = WEIR_SINK_RETRY;
	}
	if (cls != WEIR_SINK_OK) {
		/* what is half done in the target is put right by resume */
		r->resumed = !runner_holds(r);
		if (res->message[0] == '\0')
			snprintf(res->message, sizeof(res->message),
				 "the plugin %s did not say why",
				 r->plugin->name);
	}
	return (enum weir_sink_class)cls;
}

/* ---- the answer -------------------------------------------------------------
 */

static uint64_t
until_of(const struct runner *r)
{
	uint64_t until = r->limit != 0 ? r->limit : r->suspect;

	if (r->replay.active && (until == 0 || until > r->replay.until))
		until = r->replay.until;
	return until;
}

static void
count_rate(struct runner *r, size_t n)
{
	int64_t now = clock_monotonic();
	int64_t spent = now - r->rate_at;

	r->delivered += n;
	if (spent < 1000000)
		return;
	r->rate = (double)(r->delivered - r->rate_from) * 1e6 / (double)spent;
	r->rate_at = now;
	r->rate_from = r->delivered;
}

/* How far the target is durable after an OK. */
static enum weir_sink_class
durable(struct runner *r, uint64_t *out, uint64_t through,
	struct weir_sink_result *res)
{
	int cls;

	*out = res->durable_sequence;
	if (*out < through && r->plugin->flush != NULL) {
		memset(res, 0, sizeof(*res));
		res->struct_size = sizeof(*res);
		pulse_enter(r->o.pulse, 0);
		cls = r->plugin->flush(
			r->sink, 0, clock_monotonic() + r->o.deliver_us, res);
		pulse_leave(r->o.pulse);
		host_clean(r->host, res);
		if (cls != WEIR_SINK_OK)
			return cls > WEIR_SINK_OK && cls <= WEIR_SINK_GONE
				       ? (enum weir_sink_class)cls
				       : WEIR_SINK_RETRY;
		*out = res->durable_sequence;
	}
	if (*out > through)
		*out = through;
	if (*out > r->cursor || through <= r->cursor)
		return WEIR_SINK_OK;
	snprintf(res->message, sizeof(res->message),
		 "the plugin %s said OK but made nothing durable",
		 r->plugin->name);
	return WEIR_SINK_RETRY;
}

/* The target holds all up to that sequence. */
static int
moved_on(struct runner *r, uint64_t sequence, struct weir_err *err)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);
	size_t n = batch_count(r->batch);
	uint64_t before = r->cursor;
	uint8_t hash[sizeof(r->cursor_hash)];
	int rc;

	memcpy(hash, r->cursor_hash, sizeof(hash));
	rc = runner_move(r, sequence,
			 sequence == batch_through(r->batch)
				 ? batch_through_hash(r->batch)
				 : NULL,
			 err);
	if (rc != 0)
		return rc;
	rc = runner_holds(r) ? 0 : runner_save_cursor(r, err);
	if (rc != 0) {
		r->cursor = before; /* delivered again: at least once */
		memcpy(r->cursor_hash, hash, sizeof(hash));
		return rc;
	}
	while (n > 0 && recs[n - 1]->sequence > sequence)
		n--;
	if (n > 0)
		r->cursor_at = recs[n - 1]->committed_at;
	count_rate(r, n);
	r->limit = 0;
	if (r->cursor >= r->suspect) {
		r->suspect = 0;
		r->for_attempts = false;
	}
	r->crash_single = r->crashes = 0;
	r->state = RUNNER_RUNNING;
	return runner_calm(r, err);
}

/* A failed batch of which the first part is in the target: moves over it. */
static int
keep_part(struct runner *r, const struct weir_sink_result *res,
	  struct weir_err *err)
{
	uint64_t done = res->durable_sequence;
	uint32_t whole = WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR;

	if ((r->plugin->capabilities & whole) != 0)
		return 0;
	if (res->bad_sequence != 0 && done >= res->bad_sequence)
		done = res->bad_sequence - 1;
	if (done > batch_through(r->batch))
		done = batch_through(r->batch);
	return done > r->cursor ? moved_on(r, done, err) : 0;
}

static const struct weir_sink_record *
record_of(const struct runner *r, uint64_t sequence)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);

	for (size_t i = 0; i < batch_count(r->batch); i++) {
		if (recs[i]->sequence == sequence)
			return recs[i];
	}
	return NULL;
}

/* One record of the batch is to blame: park it, or halve to find it. */
static int
blame(struct runner *r, const char *reason, const struct weir_sink_result *res,
      struct weir_err *err)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);
	const struct weir_sink_record *bad = record_of(r, res->bad_sequence);

	if (bad == NULL && recs[0]->sequence <= r->cursor)
		return STEP_MORE; /* a part was done: the rest is built anew */
	if (bad == NULL && batch_count(r->batch) == 1)
		bad = recs[0];
	if (bad != NULL)
		return runner_park(r, bad, reason, res, err);
	if (r->suspect == 0)
		r->suspect = batch_through(r->batch);
	r->limit = batch_middle(r->batch);
	return STEP_MORE;
}

static int
refused(struct runner *r, enum weir_sink_class cls,
	const struct weir_sink_result *res, struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	bool cut_short = runner_stopping(r) ||
			 (r->run_deadline != 0 &&
			  clock_monotonic() + NEAR_US >= r->run_deadline);

	if (cut_short &&
	    (cls == WEIR_SINK_RETRY || cls == WEIR_SINK_NOT_CONNECTED))
		return STEP_MORE; /* we asked it to end; the loop ends */
	if (cls == WEIR_SINK_REJECT && batch_count(r->batch) == 0)
		cls = WEIR_SINK_BLOCKED;
	if (cls == WEIR_SINK_REJECT)
		return blame(r, r->for_attempts ? "attempts" : "reject", res,
			     err);
	if (cls == WEIR_SINK_RETRY && batch_count(r->batch) != 0) {
		if (r->for_attempts || ++w->tries >= r->conf->attempts_max) {
			r->for_attempts = true;
			return blame(r, "attempts", res, err);
		}
	}
	return runner_fail(r, cls, res, err);
}

/* ---- the flow ---------------------------------------------------------------
 */

static int
build(struct runner *r, struct weir_err *err)
{
	struct batch_options o = {
		.conf = r->conf,
		.needs = r->needs,
		.coalesce = runner_coalesces(r),
		.max_records = runner_batch_records(r),
		.max_bytes = r->o.batch_bytes,
		.until = until_of(r),
		.parked = r->dead,
	};

	return batch_build(r->batch, r->cursor + 1, &o, err);
}

static struct retry_mark
mark_of(const struct runner *r)
{
	const struct weir_sink_record *const *recs = batch_records(r->batch);
	size_t n = batch_count(r->batch);
	struct retry_mark m = {
		.kind = n != 0 ? RETRY_BATCH : RETRY_NOTHING,
		.first = r->cursor + 1,
		.through = batch_through(r->batch),
		.records = n,
	};

	if (n == 1) {
		m.single = recs[0]->sequence;
		if (m.single == r->crash_single)
			m.crashes = r->crashes;
	}
	return m;
}

/* A record that has crashed the process too often is not handed over. */
static bool
park_crashed(struct runner *r, int *rc, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	const struct weir_sink_record *rec;

	if (r->crashes < CRASH_LIMIT || batch_count(r->batch) != 1)
		return false;
	rec = batch_records(r->batch)[0];
	if (rec->sequence != r->crash_single)
		return false;
	snprintf(
		res.message, sizeof(res.message),
		"the process ended again and again while this record was being "
		"handed over");
	snprintf(res.hint, sizeof(res.hint),
		 "mend the plugin %s, then retry the dead letter",
		 r->plugin->name);
	*rc = runner_park(r, rec, "crash", &res, err);
	return true;
}

/* Is a batch without records worth handing over now? */
static bool
wait_with_empty(struct runner *r)
{
	int64_t now = clock_monotonic();

	if (batch_count(r->batch) != 0 || !r->forever || r->replay.active ||
	    r->suspect != 0)
		return false;
	if (r->empty_at != 0 && now - r->empty_at < EMPTY_US &&
	    batch_at_end(r->batch))
		return true;
	r->empty_at = now;
	return false;
}

int
runner_flow(struct runner *r, struct weir_err *err)
{
	struct weir_sink_batch b = {0};
	struct weir_sink_result res;
	const struct batch_parked *parked;
	struct retry_mark mark;
	enum weir_sink_class cls;
	uint64_t sequence = 0, through;
	size_t nparked;
	int rc = build(r, err);

	if (rc != 0)
		return rc;
	through = batch_through(r->batch);
	if (through <= r->cursor) {
		r->suspect = r->limit = 0;
		return STEP_IDLE;
	}
	if (r->halve && batch_count(r->batch) > 1) {
		r->halve = false;
		r->limit = batch_middle(r->batch);
		return STEP_MORE;
	}
	r->halve = false;
	if (park_crashed(r, &rc, err))
		return rc;
	if (wait_with_empty(r))
		return STEP_IDLE;
	b.flags = r->suspect != 0 ? WEIR_BATCH_PROBE : 0;
	if (r->replay.active)
		b.flags |= WEIR_BATCH_REPLAY;
	if (r->replay.active && through >= r->replay.until)
		b.flags |= WEIR_BATCH_REPLAY_END;
	b.attempt = (uint32_t)retry_wait(r->retry)->tries;
	b.through_sequence = through;
	memcpy(b.through_hash, batch_through_hash(r->batch),
	       sizeof(b.through_hash));
	b.parked = deadletters_count(r->dead);
	b.nrecords = (uint32_t)batch_count(r->batch);
	b.records = batch_records(r->batch);
	mark = mark_of(r);
	cls = runner_hand_over(r, &b, &mark, &res);
	if (cls == WEIR_SINK_OK)
		cls = durable(r, &sequence, through, &res);
	if (cls != WEIR_SINK_OK) {
		rc = keep_part(r, &res, err);
		return rc != 0 ? rc : refused(r, cls, &res, err);
	}
	rc = moved_on(r, sequence, err);
	parked = batch_parked(r->batch, &nparked);
	if (rc == 0 && nparked != 0)
		rc = runner_parked_try(r, parked, nparked, err);
	return rc;
}
