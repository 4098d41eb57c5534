/* SPDX-License-Identifier: MIT */
/*
 * The status file: what the runner knows, for those who look from outside. It
 * is replaced without a sync, once a second at most and when the state changes;
 * back-off and parked aggregates are read from their own files.
 */
#include "bus/runner_int.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define STATUS_US  1000000
#define STATUS_MAX 8192u

static const char *const state_words[] = {
	"idle", "running", "backoff", "blocked", "paused", "disabled", "gone"};

const char *
runner_class_word(enum weir_sink_class cls)
{
	static const char *const words[] = {
		"ok", "retry", "not_connected", "blocked", "reject", "gone"};

	return (size_t)cls < sizeof(words) / sizeof(words[0]) ? words[cls] : "";
}

/* ---- the file ---------------------------------------------------------------
 */

static int64_t
get_i64(struct weir_str obj, const char *name)
{
	struct weir_str v;
	int64_t i = 0;

	if (!json_get(obj, name, &v) || json_kind(v) != WEIR_NUMBER ||
	    json_i64(&i, v) != 0)
		return 0;
	return i;
}

static int
read_status(struct runner_status *s, const char *path, struct weir_err *err)
{
	struct weir_str obj, v;
	char *text = NULL;
	size_t n = 0;
	int rc;

	if (!os_exists(path))
		return 0;
	rc = os_read_file(&text, &n, path, STATUS_MAX, err);
	if (rc == WEIR_ENOTFOUND)
		return 0;
	if (rc != 0)
		return rc;
	if (json_check((struct weir_str){text, n}, &obj, path, NULL) == 0 &&
	    json_kind(obj) == WEIR_OBJECT) {
		for (int i = RUNNER_IDLE; i <= RUNNER_GONE; i++) {
			if (json_get(obj, "state", &v) &&
			    json_kind(v) == WEIR_STRING &&
			    json_string_is(v, state_words[i]))
				s->state = (enum runner_state)i;
		}
		s->cursor = (uint64_t)get_i64(obj, "cursor");
		s->committed = (uint64_t)get_i64(obj, "committed");
		s->cursor_at = get_i64(obj, "cursor_at");
		s->delivered = (uint64_t)get_i64(obj, "delivered");
		s->rate = (double)get_i64(obj, "rate");
		s->updated_at = get_i64(obj, "updated_at");
	}
	mem_free(text);
	return 0;
}

void
runner_status_write(struct runner *r, bool now)
{
	int64_t mono = clock_monotonic();
	struct runner_status old = {.cursor = r->cursor,
				    .cursor_at = r->cursor_at};
	struct weir_err err = {0};
	struct buf b;

	if (!now && r->status_at != 0 && r->state == r->status_state &&
	    mono - r->status_at < STATUS_US)
		return;
	if (!os_exists(r->path_conf))
		return;	   /* removed: leave nothing behind */
	if (r->epoch == 0) /* not resumed: what was known before stands */
		(void)read_status(&old, r->path_status, NULL);
	buf_init(&b, STATUS_MAX);
	buf_printf(&b,
		   "{\"state\":\"%s\",\"cursor\":%llu,"
		   "\"committed\":%llu,\"cursor_at\":%lld,\"delivered\":%llu,"
		   "\"rate\":%lld,\"updated_at\":%lld}\n",
		   state_words[r->state], (unsigned long long)old.cursor,
		   (unsigned long long)store_last(r->store),
		   (long long)old.cursor_at, (unsigned long long)r->delivered,
		   (long long)r->rate, (long long)clock_now());
	if (b.failed ||
	    sinkfile_replace(r->path_status, b.data, b.len, &err) != 0)
		diag(DIAG_DEBUG, r->name, "no status: %s", err.msg);
	buf_fini(&b);
	r->status_at = mono;
	r->status_state = r->state;
	r->status_cursor = r->cursor;
}

/* ---- reading ----------------------------------------------------------------
 */

/* The pid in the lock file when somebody holds it. */
static int
holder(const char *path)
{
	char pid[24] = "";
	uint64_t n = 0;
	int fd, found = 0;

	if (!os_exists(path))
		return 0;
	fd = os_open(path, O_RDONLY, 0, NULL);
	if (fd < 0)
		return 0;
	if (os()->flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
	    os_pread_upto(fd, path, pid, sizeof(pid) - 1, 0, NULL) > 0 &&
	    str_u64(&n, (struct weir_str){pid, strcspn(pid, " \n")}) == 0)
		found = (int)n;
	os_close(fd);
	return found;
}

/* What the supervisor keeps beside it. */
static int
read_restarts(struct runner_status *s, const char *path, struct weir_err *err)
{
	struct weir_str obj, v;
	char *text = NULL;
	size_t n = 0, len;
	int rc;

	if (!os_exists(path))
		return 0;
	rc = os_read_file(&text, &n, path, STATUS_MAX, err);
	if (rc != 0)
		return rc == WEIR_ENOTFOUND ? 0 : rc;
	if (json_check((struct weir_str){text, n}, &obj, path, NULL) == 0 &&
	    json_kind(obj) == WEIR_OBJECT) {
		s->restarts = (uint64_t)get_i64(obj, "restarts");
		s->ended_at = get_i64(obj, "ended_at");
		if (json_get(obj, "last_end", &v) &&
		    json_kind(v) == WEIR_STRING &&
		    v.len < sizeof(s->last_end)) {
			len = json_decode(s->last_end, v);
			s->last_end[len] = '\0';
		}
	}
	mem_free(text);
	return 0;
}

static void
merge_wait(struct runner_status *s, const struct retry_wait *w)
{
	if (w->message[0] == '\0')
		return;
	if (s->state != RUNNER_GONE)
		s->state = w->blocked ? RUNNER_BLOCKED : RUNNER_BACKOFF;
	s->attempts = w->tries;
	s->next_try_at = w->next_try;
	snprintf(s->last_class, sizeof(s->last_class), "%s", w->class_);
	snprintf(s->last_code, sizeof(s->last_code), "%s", w->code);
	snprintf(s->last_error, sizeof(s->last_error), "%s", w->message);
	snprintf(s->last_hint, sizeof(s->last_hint), "%s", w->hint);
}

static int
read_files(struct runner_status *s, const char *store_dir, const char *name,
	   struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	struct deadletters *dead = NULL;
	struct retry_wait w = {0};
	int rc = sinkfile_path(path, store_dir, name, "status", err);

	if (rc == 0)
		rc = read_status(s, path, err);
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "restarts", err);
	if (rc == 0)
		rc = read_restarts(s, path, err);
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "attempts", err);
	if (rc == 0)
		rc = retry_peek(&w, path, err);
	if (rc == 0)
		rc = deadletters_load(&dead, store_dir, name, err);
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "lock", err);
	if (rc == 0) {
		s->parked = deadletters_count(dead);
		s->pid = holder(path);
		merge_wait(s, &w);
	}
	deadletters_free(dead);
	return rc;
}

int
runner_status(struct runner_status *out, const char *store_dir,
	      const char *name, struct weir_err *err)
{
	struct runner_status s = {.state = RUNNER_IDLE};
	struct sinkconf *conf = NULL;
	int rc = sinkconf_load(&conf, store_dir, name, err);

	if (rc == 0)
		rc = read_files(&s, store_dir, name, err);
	if (rc == 0) {
		if (conf->paused)
			s.state = RUNNER_PAUSED;
		else if (!conf->enabled && s.state != RUNNER_GONE)
			s.state = RUNNER_DISABLED;
		else if (conf->enabled && s.state >= RUNNER_PAUSED)
			s.state = RUNNER_IDLE; /* it was changed since */
		*out = s;
	}
	sinkconf_free(conf);
	return rc;
}

int
runner_waits(const struct runner_status *st, const char *name,
	   struct weir_err *err)
{
	bool blocked = st->state == RUNNER_BLOCKED;
	char at[28];

	switch (st->state) {
	case RUNNER_PAUSED:
		return err_set(
			err, WEIR_EDENIED,
			"sink %s is paused; `weir sink resume %s` lets it go "
			"on",
			name, name);
	case RUNNER_DISABLED:
		return err_set(
			err, WEIR_EDENIED,
			"sink %s is disabled; configure it again without "
			"--disable",
			name);
	case RUNNER_GONE:
		return err_set(
			err, WEIR_EDENIED,
			"sink %s is disabled because its target is gone: %s",
			name, st->last_error);
	default:
		break;
	}
	clock_text(at, st->next_try_at);
	return err_set(
		err, blocked ? WEIR_EDENIED : WEIR_EUNREACH,
		"sink %s %s: %s%s%s; it is tried again at %s, or at once after "
		"`weir sink resume %s`",
		name, blocked ? "is blocked" : "waits to try again",
		st->last_error, st->last_hint[0] != '\0' ? "; " : "",
		st->last_hint, at, name);
}
