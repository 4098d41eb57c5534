/* SPDX-License-Identifier: MIT */
/*
 * The runner's life: lock, files, the loop.
 *
 * 1. Only who holds DIR/sinks/NAME/lock calls the plugin or writes cursor,
 *    attempts and status.
 * 2. A step either moves on, finds nothing to do, or says what it waits for;
 *    only the loop waits, always with a bound and with an eye on stop_fd.
 * 3. Files that others change (sink.conf, map.conf, dead-letters, replay) are
 *    looked at once a second at most.
 */
#include "bus/runner_int.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "model/config.h"
#include "model/policy.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NOTICE_US  1000000
#define DELIVER_US 30000000

/* ---- lock ------------------------------------------------------------------
 */

static int
lock_held(int fd, const char *name, struct weir_err *err)
{
	char pid[24] = "";
	int64_t n = os_pread_upto(fd, "lock", pid, sizeof(pid) - 1, 0, NULL);

	pid[n > 0 ? strcspn(pid, " \n") : 0] = '\0';
	return err_set(
		err, WEIR_EUNREACH,
		"process %s delivers for sink %s already; stop it or let it "
		"do the work",
		pid[0] != '\0' ? pid : "(unknown)", name);
}

static int
lock_take(struct runner *r, struct weir_err *err)
{
	char path[SINK_PATH_MAX], pid[24];
	int n, rc = sinkfile_path(path, r->dir, r->name, "lock", err);

	if (rc != 0)
		return rc;
	r->lock_fd = os_open(path, O_RDWR | O_CREAT, 0600, err);
	if (r->lock_fd < 0)
		return r->lock_fd;
	if (os()->flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			rc = lock_held(r->lock_fd, r->name, err);
		else
			rc = err_sys(err, "cannot lock %s", path);
		os_close(r->lock_fd);
		r->lock_fd = -1;
		return rc;
	}
	n = snprintf(pid, sizeof(pid), "%-10ld\n", (long)getpid());
	return os_pwrite_all(r->lock_fd, path, pid, (size_t)n, 0, err);
}

/* ---- life ------------------------------------------------------------------
 */

static int
paths_set(struct runner *r, struct weir_err *err)
{
	const struct {
		char *out;
		const char *name, *file;
	} all[] = {
		{r->folder, r->name, NULL},
		{r->path_conf, r->name, "sink.conf"},
		{r->path_map, NULL, "map.conf"},
		{r->path_dead, r->name, "dead-letters"},
		{r->path_cursor, r->name, "cursor"},
		{r->path_replay, r->name, "replay"},
		{r->path_status, r->name, "status"},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && rc == 0; i++)
		rc = sinkfile_path(all[i].out, r->dir, all[i].name, all[i].file,
				   err);
	return rc;
}

static int
parts_open(struct runner *r, struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	struct store_options so = {0};
	int rc = runner_settings_load(r, err);

	if (rc == 0)
		rc = lock_take(r, err);
	if (rc == 0)
		rc = store_open(&r->store, r->dir, &so, err);
	if (rc == 0)
		rc = policy_open(&r->policy, r->store, err);
	if (rc == 0)
		rc = sinkfile_path(path, r->dir, r->name, "attempts", err);
	if (rc == 0)
		rc = retry_open(&r->retry, path, err);
	if (rc == 0)
		rc = deadletters_load(&r->dead, r->dir, r->name, err);
	if (rc == 0)
		rc = replay_load(&r->replay, r->path_replay, err);
	if (rc == 0) {
		r->batch = batch_new(r->store, r->o.cache_bytes);
		rc = r->batch != NULL ? 0 : err_nomem(err);
	}
	return rc;
}

int
runner_new(struct runner **out, const struct runner_options *o,
	   struct weir_err *err)
{
	struct runner *r;
	int rc = sinkfile_check_name(o->name, err);

	if (rc != 0)
		return rc;
	r = mem_new(sizeof(*r));
	if (r == NULL)
		return err_nomem(err);
	r->lock_fd = -1;
	r->o = *o;
	if (r->o.batch_bytes == 0)
		r->o.batch_bytes = 4u << 20;
	if (r->o.cache_bytes == 0)
		r->o.cache_bytes = 64u << 20;
	if (r->o.deliver_us == 0)
		r->o.deliver_us = DELIVER_US;
	snprintf(r->name, sizeof(r->name), "%s", o->name);
	r->dir = mem_dup(o->store_dir, strlen(o->store_dir));
	rc = r->dir != NULL ? paths_set(r, err) : err_nomem(err);
	if (rc == 0)
		rc = parts_open(r, err);
	if (rc != 0) {
		runner_free(r);
		return rc;
	}
	r->state = RUNNER_RUNNING;
	r->status_state = RUNNER_GONE;
	r->rate_at = clock_monotonic();
	r->mark_dead = sinkfile_mark(r->path_dead);
	r->mark_replay = sinkfile_mark(r->path_replay);
	*out = r;
	return 0;
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	runner_shut(r);
	if (r->batch != NULL && r->lock_fd >= 0)
		runner_status_write(r, true);
	batch_free(r->batch);
	deadletters_free(r->dead);
	retry_close(r->retry);
	sinkconf_free(r->conf);
	mapping_free(r->mapping);
	policy_free(r->policy);
	if (r->store != NULL)
		store_close(r->store);
	os_close(r->lock_fd);
	mem_free(r->dir);
	mem_free(r);
}

void
runner_reload(struct runner *r)
{
	atomic_store(&r->reopen, true);
}

void
runner_watch_crashes(void)
{
	retry_watch();
}

bool
runner_stopping(const struct runner *r)
{
	struct pollfd p = {.fd = r->o.stop_fd, .events = POLLIN};

	return r->o.stop_fd >= 0 && os()->poll(&p, 1, 0) > 0;
}

/* ---- changes from outside ---------------------------------------------------
 */

/* Forgets a back-off that was for other settings. */
static int
forget_wait(struct runner *r, struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	uint64_t settings = r->mark_conf ^ (r->mark_map << 1);

	if (w->settings == settings)
		return 0;
	if (w->settings != 0) { /* mended, it may be */
		r->retry_all = true;
		r->retried = 0;
	}
	memset(w, 0, sizeof(*w));
	w->settings = settings;
	return retry_save_wait(r->retry, err);
}

static int
notice_settings(struct runner *r, struct weir_err *err)
{
	uint64_t conf = sinkfile_mark(r->path_conf);
	uint64_t map = sinkfile_mark(r->path_map);
	uint64_t revision = r->conf->revision;
	bool map_changed = map != r->mark_map;
	int rc;

	if (conf == r->mark_conf && !map_changed)
		return forget_wait(r, err);
	r->faulty = false;
	rc = runner_settings_load(r, err);
	if (rc != 0 && os_exists(r->path_conf) && r->forever) {
		r->faulty = true;
		r->mark_conf = conf;
		r->mark_map = map;
		rc = forget_wait(r, err);
		return rc;
	}
	if (rc != 0)
		return rc;
	if (r->conf->revision != revision || map_changed)
		runner_shut(r);
	return forget_wait(r, err);
}

/* Settings that could not be read block the sink until they change. */
static int
blocked_by_settings(struct runner *r, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_err why = {0};

	if (runner_settings_load(r, &why) == 0) {
		r->faulty = false;
		return STEP_MORE;
	}
	runner_shut(r);
	snprintf(res.message, sizeof(res.message), "%s", why.msg);
	snprintf(res.hint, sizeof(res.hint), "mend the sink's settings");
	return runner_fail(r, WEIR_SINK_BLOCKED, &res, err);
}

static int
notice(struct runner *r, struct weir_err *err)
{
	int64_t now = clock_monotonic();
	uint64_t mark;
	int rc;

	if (r->noticed_at != 0 && now - r->noticed_at < NOTICE_US)
		return 0;
	r->noticed_at = now;
	rc = policy_refresh(r->policy, err);
	if (rc == 0)
		rc = notice_settings(r, err);
	if (rc != 0)
		return rc;
	mark = sinkfile_mark(r->path_dead);
	if (mark != r->mark_dead) {
		r->mark_dead = mark;
		rc = deadletters_refresh(r->dead, err);
	}
	mark = sinkfile_mark(r->path_replay);
	if (rc == 0 && mark != r->mark_replay) {
		r->mark_replay = mark;
		rc = replay_load(&r->replay, r->path_replay, err);
	}
	return rc;
}

/* ---- the loop ---------------------------------------------------------------
 */

static int
step(struct runner *r, struct weir_err *err)
{
	struct retry_wait *w = retry_wait(r->retry);
	int64_t now = clock_now();
	int rc;

	if (!r->conf->enabled || r->conf->paused) {
		runner_shut(r);
		if (r->state != RUNNER_GONE)
			r->state = r->conf->paused ? RUNNER_PAUSED
						   : RUNNER_DISABLED;
		return STEP_WAIT;
	}
	if (w->next_try > now + RETRY_MAX_US)
		w->next_try = now + RETRY_MAX_US; /* the clock stepped back */
	if (w->next_try > now) {
		r->state = w->blocked ? RUNNER_BLOCKED : RUNNER_BACKOFF;
		return STEP_WAIT;
	}
	if (r->faulty)
		return blocked_by_settings(r, err);
	rc = runner_ready(r, err);
	if (rc == STEP_MORE)
		rc = r->replay.active ? STEP_IDLE : runner_parked_asked(r, err);
	if (rc == STEP_IDLE)
		rc = runner_flow(r, err);
	return rc;
}

/* What keeps a sink from being delivered to, as an error. */
static int
say_wait(const struct runner *r, struct weir_err *err)
{
	const struct retry_wait *w = retry_wait(r->retry);
	struct runner_status st = {.state = r->state,
				   .next_try_at = w->next_try};

	if (r->state != RUNNER_PAUSED && r->state != RUNNER_DISABLED &&
	    r->state != RUNNER_GONE)
		st.state = w->blocked ? RUNNER_BLOCKED : RUNNER_BACKOFF;
	snprintf(st.last_error, sizeof(st.last_error), "%s", w->message);
	snprintf(st.last_hint, sizeof(st.last_hint), "%s", w->hint);
	return runner_waits(&st, r->name, err);
}

/* Sleeps until a moment of the monotonic clock, a second at most. */
static void
nap(const struct runner *r, int64_t us)
{
	struct pollfd p = {.fd = r->o.stop_fd, .events = POLLIN};

	if (us > NOTICE_US)
		us = NOTICE_US;
	if (us > 0)
		(void)os()->poll(&p, 1, (int)((us + 999) / 1000));
}

/* 0: go on; else what runner_run returns. */
static int
wait_step(struct runner *r, struct weir_err *err)
{
	const struct retry_wait *w = retry_wait(r->retry);
	int64_t left = w->next_try - clock_now();
	bool person = r->state == RUNNER_PAUSED ||
		      r->state == RUNNER_DISABLED || r->state == RUNNER_GONE;

	runner_status_write(r, false);
	if (!r->forever) {
		if (person || r->state == RUNNER_BLOCKED || r->o.skip_backoff)
			return say_wait(r, err);
		if (r->run_deadline != 0 &&
		    clock_monotonic() + left >= r->run_deadline)
			return say_wait(r, err);
	}
	nap(r, person ? NOTICE_US : left);
	return 0;
}

/* 1: go on; else what runner_run returns. */
static int
idle_step(struct runner *r, uint64_t through, struct weir_err *err)
{
	int64_t timeout = NOTICE_US;
	struct weir_err e = {0};
	int rc;

	if (r->state != RUNNER_IDLE || r->status_cursor != r->cursor) {
		r->state = RUNNER_IDLE;
		runner_status_write(r, true);
	}
	if (!r->forever && r->cursor >= through)
		return 0;
	if (r->run_deadline != 0) {
		int64_t left = r->run_deadline - clock_monotonic();

		timeout = left < timeout ? left : timeout;
	}
	rc = timeout <= 0 ? 0
			  : store_wait(r->store, store_last(r->store) + 1,
				       timeout, r->o.stop_fd, &e);
	if (rc == 0 || rc == WEIR_EUNREACH || rc == WEIR_ESTOPPED)
		return 1;
	if (err != NULL)
		*err = e;
	return rc;
}

/* An own failure (store, cursor file, memory): waits like for a target that
 * cannot be reached. */
static int
own_failure(struct runner *r, int code, struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};

	if (!r->forever)
		return code;
	snprintf(res.message, sizeof(res.message), "%s",
		 err->msg[0] != '\0' ? err->msg : "unknown failure");
	diag(DIAG_ERROR, r->name, "%s", res.message);
	runner_shut(r);
	if (runner_fail(r, WEIR_SINK_NOT_CONNECTED, &res, NULL) < 0)
		nap(r, NOTICE_US);
	return 0;
}

static int
behind(const struct runner *r, uint64_t through, struct weir_err *err)
{
	const struct retry_wait *w = retry_wait(r->retry);
	unsigned long long left = through - r->cursor;

	return err_set(err, WEIR_EUNREACH,
		       "sink %s is %llu record%s behind%s%s", r->name, left,
		       left == 1 ? "" : "s", w->message[0] != '\0' ? ": " : "",
		       w->message);
}

int
runner_run(struct runner *r, uint64_t through, int64_t deadline_us,
	   struct weir_err *err)
{
	struct weir_err own = {0};
	int rc = store_refresh(r->store, err);

	if (rc != 0)
		return rc;
	r->forever = through == UINT64_MAX;
	r->run_deadline = deadline_us;
	r->noticed_at = 0;
	if (through == 0)
		through = store_last(r->store);
	for (;;) {
		if (runner_stopping(r))
			return err_set(err, WEIR_ESTOPPED,
				       "sink %s was asked to stop", r->name);
		if (deadline_us != 0 && clock_monotonic() >= deadline_us)
			return r->resumed && r->cursor >= through
				       ? 0
				       : behind(r, through, err);
		memset(&own, 0, sizeof(own));
		rc = notice(r, &own);
		if (rc == 0)
			rc = step(r, &own);
		if (rc == STEP_MORE) {
			runner_status_write(r, false);
			continue;
		}
		if (rc == STEP_IDLE) {
			rc = idle_step(r, through, &own);
			if (rc == 0)
				return 0;
			if (rc > 0)
				continue;
		} else if (rc == STEP_WAIT) {
			rc = wait_step(r, err);
			if (rc != 0)
				return rc;
			continue;
		}
		if (rc == WEIR_ENOTFOUND && !os_exists(r->path_conf)) {
			r->state = RUNNER_GONE;
			rc = err_set(err, WEIR_ENOTFOUND, "sink %s was removed",
				     r->name);
			return rc;
		}
		rc = own_failure(r, rc, &own);
		if (rc != 0) {
			if (err != NULL)
				*err = own;
			return rc;
		}
	}
}
