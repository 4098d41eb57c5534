/* SPDX-License-Identifier: MIT */
/*
 * Opening a sink: settings, plugin, resume, the crash marker, the start of a
 * replay.
 *
 * Resume. The cursor comes from the plugin (HOLDS_CURSOR) or from the cursor
 * file. It has to name this store, lie within it and carry the hash that the
 * journal's record of that sequence has (a copy of a store has the same name);
 * no cursor means to begin at the configured sequence. The epoch is one above the highest seen, so an
 * older runner that still hangs somewhere is fenced off.
 */
#include "bus/runner_int.h"

#include "base/digest.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"
#include "bus/loader.h"
#include "bus/options.h"
#include "model/config.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
runner_holds(const struct runner *r)
{
	return (r->capabilities & WEIR_SINK_HOLDS_CURSOR) != 0;
}

bool
runner_coalesces(const struct runner *r)
{
	return (r->capabilities & WEIR_SINK_COALESCE) != 0;
}

size_t
runner_batch_records(const struct runner *r)
{
	return r->o.batch_records != 0 ? r->o.batch_records
				       : (size_t)r->conf->batch;
}

int
runner_settings_load(struct runner *r, struct weir_err *err)
{
	const struct weir_sink_plugin *plugin = NULL;
	struct sinkconf *conf = NULL;
	struct mapping *mapping = NULL;
	uint64_t mark_conf = sinkfile_mark(r->path_conf);
	uint64_t mark_map = sinkfile_mark(r->path_map);
	int rc = sinkconf_load(&conf, r->dir, r->name, err);

	pulse_enter(r->o.pulse, 0); /* loading runs code of the plugin */
	if (rc == 0)
		rc = loader_find(&plugin, conf->plugin, err);
	pulse_leave(r->o.pulse);
	if (rc == 0)
		rc = mapping_load(&mapping, r->dir, err);
	if (rc != 0) {
		sinkconf_free(conf);
		return rc;
	}
	if (r->plugin != plugin || mark_map != r->mark_map)
		runner_shut(r);
	if (r->host != NULL) {
		/* the opened sink goes on with the mapping it was given */
		mapping_free(mapping);
	} else {
		mapping_free(r->mapping);
		r->mapping = mapping;
	}
	sinkconf_free(r->conf);
	r->conf = conf;
	r->plugin = plugin;
	r->mark_conf = mark_conf;
	r->mark_map = mark_map;
	return 0;
}

void
runner_shut(struct runner *r)
{
	pulse_enter(r->o.pulse, 0);
	if (r->sink != NULL)
		r->plugin->close(r->sink);
	pulse_leave(r->o.pulse);
	r->sink = NULL;
	r->resumed = false;
	r->suspect = r->limit = 0;
	r->for_attempts = r->halve = false;
	host_free(r->host);
	r->host = NULL;
	sinkconf_settings_free(r->settings, r->nsettings);
	r->settings = NULL;
	r->nsettings = 0;
}

/* A hash of the settings that say where the target is: paths and what has to
 * be given. A cursor file is for one target. */
static uint64_t
target_of(const struct runner *r)
{
	uint8_t out[DIGEST_LEN];
	struct digest *d = digest_new();
	uint64_t h;

	if (d == NULL)
		return 0;
	digest_add(d, r->plugin->name, strlen(r->plugin->name) + 1);
	for (size_t i = 0; i < r->conf->nvalues; i++) {
		const struct sinkconf_value *v = &r->conf->values[i];
		const struct weir_sink_option *o =
			options_find(r->plugin->options, v->name);

		if (o == NULL || (o->flags & WEIR_OPT_RELOADABLE) != 0)
			continue;
		if (o->type != WEIR_OPT_PATH &&
		    (o->flags & WEIR_OPT_REQUIRED) == 0)
			continue;
		digest_add(d, v->name, strlen(v->name) + 1);
		digest_add(d, v->value, strlen(v->value) + 1);
	}
	digest_end(d, out);
	digest_free(d);
	memcpy(&h, out, sizeof(h));
	return h;
}

/* A result made here, for what blocks a sink. */
static int block(struct runner *r, const char *hint, struct weir_err *err,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int
block(struct runner *r, const char *hint, struct weir_err *err, const char *fmt,
      ...)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(res.message, sizeof(res.message), fmt, ap);
	va_end(ap);
	snprintf(res.hint, sizeof(res.hint), "%s", hint);
	return runner_fail(r, WEIR_SINK_BLOCKED, &res, err);
}

/* What a class means outside of deliver: nothing can be parked there. */
static int
setup_failed(struct runner *r, int cls, struct weir_sink_result *res,
	     struct weir_err *err)
{
	host_clean(r->host, res);
	if (res->message[0] == '\0')
		snprintf(res->message, sizeof(res->message),
			 "the plugin %s could not open the sink and did not "
			 "say why",
			 r->plugin->name);
	if (cls == WEIR_SINK_REJECT)
		cls = WEIR_SINK_BLOCKED;
	if (cls < WEIR_SINK_OK || cls > WEIR_SINK_GONE)
		cls = WEIR_SINK_RETRY;
	return runner_fail(r, (enum weir_sink_class)cls, res, err);
}

/* What the sink can and needs, as configured. */
static int
take_shape(struct runner *r, const struct weir_sink_open *o,
	   struct weir_sink_result *res)
{
	const uint32_t kept = WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_REWRITES;
	const struct weir_sink_plugin *p = r->plugin;
	uint32_t can = p->capabilities, needs = p->needs;
	int cls = WEIR_SINK_OK;

	if (p->shape != NULL)
		cls = p->shape(o, &can, &needs, res);
	if (cls != WEIR_SINK_OK)
		return cls;
	if ((can & ~p->capabilities) != 0 || (needs & ~p->needs) != 0 ||
	    ((can ^ p->capabilities) & kept) != 0) {
		snprintf(res->message, sizeof(res->message),
			 "the plugin %s is faulty: its shape adds what its "
			 "descriptor has not, or drops what has to stay",
			 p->name);
		return WEIR_SINK_BLOCKED;
	}
	r->capabilities = can;
	r->needs = needs;
	return cls;
}

static int
open_sink(struct runner *r, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_open o = {.struct_size = sizeof(o)};
	struct weir_err why = {0};
	int cls, rc;

	r->host = host_new(r->name, r->plugin, r->mapping);
	if (r->host == NULL)
		return err_nomem(err);
	host_set_pulse(r->host, r->o.pulse);
	host_set_policy(r->host, r->policy);
	rc = sinkconf_check(r->conf, r->plugin, &why);
	if (rc == 0)
		rc = sinkconf_settings(&r->settings, &r->nsettings, r->conf,
				       r->plugin, &why);
	if (rc == WEIR_ENOMEM)
		return err_nomem(err);
	if (rc != 0) {
		runner_shut(r);
		return block(r, "mend the sink's settings", err, "%s", why.msg);
	}
	rc = host_keep_secrets(r->host, r->settings, r->nsettings, err);
	if (rc != 0)
		return rc;
	o.sink = r->name;
	memcpy(o.store_id, store_id(r->store), sizeof(o.store_id));
	uuid_text(o.store_uuid, o.store_id);
	o.settings = r->settings;
	o.nsettings = r->nsettings;
	o.host = host_table(r->host);
	cls = take_shape(r, &o, &res);
	if (cls == WEIR_SINK_OK)
		cls = r->plugin->open(&r->sink, &o, &res);
	if (cls == WEIR_SINK_OK) {
		r->target = target_of(r);
		return STEP_MORE;
	}
	r->sink = NULL;
	rc = setup_failed(r, cls, &res, err);
	runner_shut(r);
	return rc;
}

/* The cursor of the target or of the file, in one form. */
static int
find_cursor(struct runner *r, struct checkpoint *out, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_cursor c = {.struct_size = sizeof(c)};
	int cls, rc;

	if (!runner_holds(r)) {
		rc = checkpoint_load(out, r->path_cursor, err);
		if (rc == 0 && out->found && out->target != r->target)
			out->found = false;
		return rc;
	}
	cls = r->plugin->resume(r->sink, 0, &c, &res);
	if (cls != WEIR_SINK_OK)
		return setup_failed(r, cls, &res, err);
	*out = (struct checkpoint){
		.found = c.found != 0,
		.sequence = c.sequence,
		.epoch = c.epoch,
		.parked = c.parked,
	};
	memcpy(out->store_id, c.store_id, sizeof(out->store_id));
	memcpy(out->hash, c.hash, sizeof(out->hash));
	return STEP_MORE;
}

#define SHOWN_HASH 8 /* bytes of a hash in a message */

/* Did the target get its last record from this journal? A cursor of a version
 * that kept no hash is taken as it is. */
static int
check_hash(struct runner *r, const struct checkpoint *c, bool anew,
	   struct weir_err *err)
{
	static const uint8_t none[sizeof(c->hash)];
	char ours[2 * SHOWN_HASH + 1], theirs[2 * SHOWN_HASH + 1], store[37];
	uint8_t hash[sizeof(c->hash)];
	int rc = runner_hash_at(r, hash, c->sequence, err);

	if (rc != 0)
		return rc;
	if (memcmp(c->hash, none, sizeof(none)) == 0 ||
	    memcmp(c->hash, hash, sizeof(hash)) == 0)
		return STEP_MORE;
	str_hex(ours, hash, SHOWN_HASH);
	str_hex(theirs, c->hash, SHOWN_HASH);
	uuid_text(store, c->store_id);
	return block(r,
		     anew ? "this store and the one that filled the target are "
			    "copies that went apart: write the target anew "
			    "with `weir sink replay`, or give the sink another"
			  : "this store and the one that filled the target are "
			    "copies that went apart: empty the target, or give "
			    "the sink another",
		     err,
		     "the target's cursor is at sequence %llu of store %s with "
		     "hash %s, this store's record has hash %s",
		     (unsigned long long)c->sequence, store, theirs, ours);
}

static int
check_cursor(struct runner *r, const struct checkpoint *c, struct weir_err *err)
{
	char ours[37], theirs[37];
	uint64_t last;
	bool anew; /* a replay replaces all that the target has */
	int rc;

	if (memcmp(c->store_id, store_id(r->store), 16) != 0) {
		uuid_text(ours, store_id(r->store));
		uuid_text(theirs, c->store_id);
		return block(r,
			     "give the sink another target, or empty this one",
			     err,
			     "the target holds the cursor of store %s, this is "
			     "store %s",
			     theirs, ours);
	}
	rc = store_refresh(r->store, err);
	if (rc != 0)
		return rc;
	last = store_last(r->store);
	anew = !runner_holds(r) || (r->capabilities & WEIR_SINK_REWRITES) != 0;
	if (c->sequence > last && !(anew && r->replay.active))
		return block(
			r,
			anew ? "this store was put back to an older state, or "
			       "the target belongs to a copy of it: replay the "
			       "sink or give it another target"
			     : "this store was put back to an older state, or "
			       "the target belongs to a copy of it: empty the "
			       "target or give the sink another",
			err,
			"the target's cursor is at sequence %llu, the store "
			"ends at %llu",
			(unsigned long long)c->sequence,
			(unsigned long long)last);
	if (r->epoch != 0 && c->epoch > r->epoch)
		return block(
			r,
			"end the other one: one runner at a time may deliver "
			"to a target",
			err,
			"the target was written by another runner meanwhile "
			"(epoch %llu, ours is %llu)",
			(unsigned long long)c->epoch,
			(unsigned long long)r->epoch);
	return anew && r->replay.active ? STEP_MORE
					: check_hash(r, c, anew, err);
}

/* What the end of that process weighs: a kill less than a crash. */
static uint64_t
weight(const struct retry_mark *m)
{
	return m->watched && !m->signalled ? KILL_WEIGHT : CRASH_WEIGHT;
}

/* A try of a parked aggregate was under way when the process ended. */
static int
read_parked_marker(struct runner *r, const struct retry_mark *m,
		   const struct checkpoint *c, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct dead_letter why = {0};

	if (runner_holds(r) && c->found && c->epoch >= m->epoch)
		return runner_coalesces(r)
			       ? deadletters_close(r->dead, m->single,
						   "superseded", err)
			       : 0;
	r->crash_parked = m->single;
	r->crashes_parked = m->crashes + weight(m);
	if (r->crashes_parked < CRASH_LIMIT)
		return 0;
	snprintf(
		res.message, sizeof(res.message),
		"the process ended again and again while this record was tried "
		"again");
	snprintf(res.hint, sizeof(res.hint),
		 "mend the plugin %s, then retry the dead letter",
		 r->plugin->name);
	why.attempts = r->crashes_parked / CRASH_WEIGHT;
	runner_why(&why, "crash", &res);
	r->crash_parked = r->crashes_parked = 0;
	return deadletters_tried(r->dead, m->single, &why, err);
}

/* The process before crashed inside deliver: find the record. */
static int
read_marker(struct runner *r, const struct checkpoint *c, struct weir_err *err)
{
	const struct retry_mark *m = retry_found(r->retry);
	struct retry_mark none = {0};
	int rc = 0;

	if (r->marker_done)
		return STEP_MORE;
	r->marker_done = true;
	if (m->kind == RETRY_BATCH && m->through > r->cursor &&
	    m->records != 0) {
		diag(DIAG_WARN, r->name,
		     "the process before ended while sequences %llu to "
		     "%llu were being handed over",
		     (unsigned long long)m->first,
		     (unsigned long long)m->through);
		if (m->records == 1) {
			r->crash_single = m->single;
			r->crashes = m->crashes + weight(m);
		}
		r->suspect = m->through;
		r->halve = m->records > 1;
	}
	if (m->kind == RETRY_PARKED && m->single != 0)
		rc = read_parked_marker(r, m, c, err);
	return rc != 0 ? rc : retry_put_mark(r->retry, &none, err);
}

static uint64_t
highest_try(const struct deadletters *d)
{
	uint64_t most = 0;

	for (size_t i = 0; i < deadletters_count(d); i++) {
		uint64_t e = deadletters_at(d, i)->try_epoch;

		most = e > most ? e : most;
	}
	return most;
}

static int
resume(struct runner *r, struct weir_err *err)
{
	struct checkpoint c = {0};
	uint64_t most;
	int rc = find_cursor(r, &c, err);

	if (rc == STEP_MORE && c.found)
		rc = check_cursor(r, &c, err);
	if (rc != STEP_MORE)
		return rc;
	rc = runner_move(r, c.found ? c.sequence : r->conf->from - 1, NULL, err);
	if (rc != 0)
		return rc;
	if (!c.found)
		r->cursor_at = 0;
	if (!runner_holds(r))
		c.epoch = r->epoch != 0 ? r->epoch - 1 : c.epoch;
	most = highest_try(r->dead);
	if (r->epoch == 0)
		r->epoch = (c.epoch > most ? c.epoch : most) + 1;
	if (r->replay.active && r->replay.started && runner_holds(r) &&
	    (r->capabilities & WEIR_SINK_REWRITES) != 0)
		r->replay.started = c.found && c.epoch >= r->replay.epoch &&
				    c.sequence >= r->replay.until;
	for (size_t i = 0; i < deadletters_count(r->dead); i++) {
		const struct dead_letter *d = deadletters_at(r->dead, i);
		bool applied;

		if (d->try_epoch == 0)
			continue;
		applied = runner_holds(r) && c.found && c.epoch >= d->try_epoch;
		rc = deadletters_next(
			r->dead, d->sequence,
			applied ? d->try_last + 1 : d->next_version, err);
		if (rc != 0)
			return rc;
	}
	rc = read_marker(r, &c, err);
	if (rc == STEP_MORE)
		r->resumed = true;
	return rc;
}

static int
replay_end(struct runner *r, struct weir_err *err)
{
	int rc = sinkfile_remove(r->path_replay, err);

	if (rc == 0)
		rc = os_sync_folder(r->folder, err);
	if (rc != 0)
		return rc;
	r->mark_replay = 0;
	r->replay = (struct replay){0};
	diag(DIAG_INFO, r->name, "the replay has ended");
	return STEP_MORE;
}

/* A replay that is asked for is begun, one that has caught up ended. */
static int
replay_step(struct runner *r, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	bool rewrites = (r->capabilities & WEIR_SINK_REWRITES) != 0;
	uint64_t from = rewrites ? 1 : r->replay.from;
	int cls = WEIR_SINK_OK, rc;

	if (r->replay.started)
		return r->cursor >= r->replay.until ? replay_end(r, err)
						    : STEP_MORE;
	if (r->plugin->rewind != NULL)
		cls = r->plugin->rewind(r->sink, from, &res);
	if (cls != WEIR_SINK_OK)
		return setup_failed(r, cls, &res, err);
	rc = runner_move(r, from - 1, NULL, err);
	if (rc != 0)
		return rc;
	r->cursor_at = 0;
	r->epoch++;
	rc = runner_holds(r) ? 0 : runner_save_cursor(r, err);
	if (rc != 0)
		return rc;
	r->replay.started = true;
	r->replay.epoch = r->epoch;
	rc = replay_save(r->path_replay, &r->replay, err);
	if (rc != 0) {
		r->replay.started = false;
		return rc;
	}
	r->mark_replay = sinkfile_mark(r->path_replay);
	return STEP_MORE;
}

/* Files were rotated: the plugin opens them anew. */
static int
reopen(struct runner *r, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	int cls;

	if (!atomic_exchange(&r->reopen, false) || r->plugin->reload == NULL)
		return STEP_MORE;
	cls = r->plugin->reload(r->sink, NULL, &res);
	return cls == WEIR_SINK_OK ? STEP_MORE
				   : setup_failed(r, cls, &res, err);
}

/* A blocked sink is probed before it is given records again. */
static int
probe(struct runner *r, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	int cls;

	if (!retry_wait(r->retry)->blocked || r->plugin->probe == NULL)
		return STEP_MORE;
	cls = r->plugin->probe(r->sink, &res);
	return cls == WEIR_SINK_OK ? STEP_MORE
				   : setup_failed(r, cls, &res, err);
}

/* Each calls the plugin once, so each has the time of a call. */
int
runner_ready(struct runner *r, struct weir_err *err)
{
	int rc = STEP_MORE;

	pulse_enter(r->o.pulse, 0);
	if (r->sink == NULL)
		rc = open_sink(r, err);
	pulse_more(r->o.pulse);
	if (rc == STEP_MORE)
		rc = reopen(r, err);
	if (rc == STEP_MORE)
		rc = probe(r, err);
	pulse_more(r->o.pulse);
	if (rc == STEP_MORE && !r->resumed)
		rc = resume(r, err);
	pulse_more(r->o.pulse);
	if (rc == STEP_MORE && r->replay.active)
		rc = replay_step(r, err);
	pulse_leave(r->o.pulse);
	return rc;
}
