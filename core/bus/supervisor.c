/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's loop: look at the sinks, look at the children, wait.
 *
 * 1. A child is started only when none of the sink's runs, and reaped only
 * here, so a signal never meets a process that is not ours.
 * 2. Nothing in here waits for a child, a sink or a plugin; only the one poll
 *    waits, for TICK_US at most.
 * 3. A failure of our own (memory, descriptors) is told and tried again at the
 *    next look: other sinks go on.
 *
 * The back-off grows with each end in a row, but not while the crash marker
 * halves a batch (each child holds fewer records than the one before): that
 * comes to its end by itself, and until then the sink stands still.
 */
#include "bus/supervisor_int.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/retry.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_US	     100000  /* between looks at the children */
#define LOOK_US	     250000  /* between looks at the sinks' settings */
#define MEMORY_US    1000000 /* and at the memory of the children */
#define DELIVER_US   30000000
#define STOP_US	     10000000
#define GRACE_US     10000000 /* past a deadline, at most */
#define LAST_US	     5000000  /* from SIGTERM to SIGKILL, at most */
#define PAUSE_US     200000   /* the first back-off */
#define PAUSE_MAX    60000000
#define HELD_MAX     2000000  /* while another process delivers */
#define GOOD_US	     60000000 /* a life after which all is forgiven */
#define TELL_US	     60000000 /* before the same is told again */
#define RESTARTS_MAX 4096u

struct supervisor {
	struct supervisor_options o;
	struct child **children;
	struct pollfd *polled; /* room for all children and stop_fd */
	size_t n;
	atomic_bool reload;
	bool stopping;
	int64_t next_look, looked_at, weighed_at;
	char told[CHILD_WHY_MAX]; /* of our own failures */
};

int
supervisor_new(struct supervisor **out, const struct supervisor_options *o,
	       struct weir_err *err)
{
	struct supervisor *s = mem_new(sizeof(*s));

	if (s == NULL)
		return err_nomem(err);
	s->o = *o;
	if (s->o.deliver_us == 0)
		s->o.deliver_us = DELIVER_US;
	if (s->o.stop_us == 0)
		s->o.stop_us = STOP_US;
	s->polled = mem_new(sizeof(*s->polled));
	if (s->polled == NULL) {
		mem_free(s);
		return err_nomem(err);
	}
	*out = s;
	return 0;
}

void
supervisor_free(struct supervisor *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->children[i]);
	mem_free(s->children);
	mem_free(s->polled);
	mem_free(s);
}

void
supervisor_reload(struct supervisor *s)
{
	atomic_store(&s->reload, true);
}

/* ---- what is told ---------------------------------------------------------
 */

static void
tell(struct child *k, const char *text)
{
	int64_t now = clock_monotonic();

	if (strcmp(k->told, text) == 0 && now - k->told_at < TELL_US)
		return;
	snprintf(k->told, sizeof(k->told), "%s", text);
	k->told_at = now;
	diag(DIAG_WARN, k->name, "%s", text);
}

static void
tell_own(struct supervisor *s, const struct weir_err *err)
{
	if (strcmp(s->told, err->msg) == 0)
		return;
	snprintf(s->told, sizeof(s->told), "%.500s", err->msg);
	diag(DIAG_ERROR, "supervisor", "%s", err->msg);
}

static void
put_file(const struct supervisor *s, const struct child *k)
{
	char path[SINK_PATH_MAX];
	struct buf b;

	/* removed: leave nothing behind */
	if (sinkfile_path(path, s->o.store_dir, k->name, "sink.conf", NULL) !=
		    0 ||
	    !os_exists(path))
		return;
	buf_init(&b, RESTARTS_MAX);
	buf_printf(&b, "{\"restarts\":%" PRIu64 ",\"ended_at\":%" PRId64 ",",
		   k->restarts, k->ended_at);
	buf_puts(&b, "\"last_end\":");
	json_put_string(&b, str_of(k->last_end));
	buf_puts(&b, "}\n");
	if (!b.failed &&
	    sinkfile_path(path, s->o.store_dir, k->name, "restarts", NULL) == 0)
		(void)sinkfile_replace(path, b.data, b.len, NULL);
	buf_fini(&b);
}

/* ---- the end of a child ---------------------------------------------------
 */

static int64_t
pause_after(uint64_t failures, int64_t most)
{
	int64_t us = PAUSE_US;
	uint64_t random = 0;

	for (uint64_t i = 1; i < failures && us < most; i++)
		us *= 2;
	if (us > most)
		us = most;
	if (os()->random(&random, sizeof(random)) != 0)
		return us;
	return us / 2 + (int64_t)(random % (uint64_t)(us / 2 + 1));
}

static void
describe(char out[CHILD_WHY_MAX], const struct child *k,
	 const struct child_end *e)
{
	char in_hand[80] = "";

	if (e->held > 0)
		snprintf(in_hand, sizeof(in_hand),
			 " while %" PRIu64 " record%s being handed over",
			 e->held, e->held == 1 ? " was" : "s were");
	if (k->trouble[0] != '\0')
		snprintf(out, CHILD_WHY_MAX, "its runner was ended: %.400s",
			 k->trouble);
	else if (WIFSIGNALED(e->status))
		snprintf(out, CHILD_WHY_MAX,
			 "its runner ended by signal %d (%s)%s",
			 WTERMSIG(e->status), strsignal(WTERMSIG(e->status)),
			 in_hand);
	else if (e->code != 0)
		snprintf(out, CHILD_WHY_MAX, "%.500s", e->why);
	else
		snprintf(out, CHILD_WHY_MAX,
			 "its runner ended with exit status %d%s",
			 WEXITSTATUS(e->status), in_hand);
}

/* It ended and nobody had asked it to, or something was wrong with it. */
static void
failed(struct child *k, const struct child_end *e)
{
	int64_t now = clock_monotonic(), most = PAUSE_MAX;
	bool narrowed = e->held > 0 && e->held < k->held;

	if (now - k->started_at >= GOOD_US)
		k->failures = 0;
	if (!narrowed || k->failures == 0)
		k->failures++;
	k->held = e->held;
	if (e->code == WEIR_EUNREACH) /* another process delivers */
		most = HELD_MAX;
	k->next_start = now + pause_after(k->failures, most);
	describe(k->last_end, k, e);
	k->ended_at = clock_now();
	tell(k, k->last_end);
}

static void
reap(struct supervisor *s, struct child *k)
{
	char path[SINK_PATH_MAX];
	struct child_end e = {0};
	bool asked = k->phase != CHILD_RUNS && k->trouble[0] == '\0';

	if (!child_ended(k, &e))
		return;
	/* who hangs counts as one who crashes: the record is to be found */
	if (k->hangs && WIFSIGNALED(e.status) &&
	    sinkfile_path(path, s->o.store_dir, k->name, "attempts", NULL) == 0)
		retry_note(path);
	if (asked || (s->stopping && k->trouble[0] == '\0'))
		k->next_start = 0;
	else
		failed(k, &e);
	put_file(s, k);
}

/* ---- one child ------------------------------------------------------------
 */

static int64_t
at_most(int64_t us, int64_t most)
{
	return us < most ? us : most;
}

static void
look_for_hang(struct supervisor *s, struct child *k, int64_t now)
{
	int64_t due = pulse_due(k->pulse);
	char text[CHILD_WHY_MAX];

	if (due == 0 || now <= due + at_most(s->o.deliver_us, GRACE_US))
		return;
	snprintf(text, sizeof(text),
		 "its plugin hangs: a call did not come back in %.1f s",
		 (double)s->o.deliver_us / 1e6);
	k->hangs = true;
	child_ask(k, at_most(s->o.deliver_us, LAST_US), text);
}

static void
look_at_memory(struct supervisor *s, struct child *k)
{
	uint64_t bytes = child_memory(k);
	char text[CHILD_WHY_MAX];

	if (s->o.memory_max == 0 || bytes <= s->o.memory_max)
		return;
	snprintf(text, sizeof(text),
		 "it held %" PRIu64 " MiB of memory, more than the %" PRIu64
		 " MiB of runner_memory",
		 bytes >> 20, s->o.memory_max >> 20);
	child_ask(k, s->o.deliver_us, text);
}

static void
start(struct supervisor *s, struct child *k)
{
	struct weir_err err = {0};

	k->restarts += k->next_start != 0;
	if (child_start(k, &s->o, &err) != 0) {
		k->failures++;
		k->next_start =
			clock_monotonic() + pause_after(k->failures, PAUSE_MAX);
		snprintf(k->last_end, sizeof(k->last_end), "%.500s", err.msg);
		k->ended_at = clock_now();
		tell(k, k->last_end);
	}
	put_file(s, k);
}

static void
look_at_child(struct supervisor *s, struct child *k, int64_t now, bool weigh)
{
	bool wanted = k->wanted && !s->stopping;

	child_look(k, now);
	reap(s, k);
	switch (k->phase) {
	case CHILD_NONE:
		if (wanted && now >= k->next_start)
			start(s, k);
		break;
	case CHILD_RUNS:
		if (!wanted)
			child_ask(k, s->o.stop_us, "");
		else
			look_for_hang(s, k, now);
		if (k->phase == CHILD_RUNS && weigh)
			look_at_memory(s, k);
		break;
	case CHILD_ASKED:
		if (now - k->asked_at <= k->grace_us)
			break;
		if (!k->hangs)
			tell(k, "its runner did not stop in time and is "
				"killed");
		child_signal(k, SIGKILL);
		k->phase = CHILD_KILLED;
		break;
	case CHILD_KILLED:
		break;
	}
}

/* ---- the sinks ------------------------------------------------------------
 */

static struct child *
find(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->children[i]->name, name) == 0)
			return s->children[i];
	return NULL;
}

static int
add(struct supervisor *s, const char *name, struct weir_err *err)
{
	struct child *k, **more;
	struct pollfd *polled;

	more = mem_resize(s->children, (s->n + 1) * sizeof(*more));
	if (more == NULL)
		return err_nomem(err);
	s->children = more;
	polled = mem_resize(s->polled, (s->n + 2) * sizeof(*polled));
	if (polled == NULL)
		return err_nomem(err);
	s->polled = polled;
	k = mem_new(sizeof(*k));
	if (k == NULL)
		return err_nomem(err);
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->out_fd = -1;
	s->children[s->n++] = k;
	return 0;
}

/* A sink that is gone and its process too. */
static void
drop(struct supervisor *s, size_t i)
{
	struct child *k = s->children[i];
	char path[SINK_PATH_MAX];

	if (sinkfile_path(path, s->o.store_dir, k->name, "restarts", NULL) == 0)
		(void)sinkfile_remove(path, NULL);
	if (sinkfile_path(path, s->o.store_dir, k->name, NULL, NULL) == 0)
		(void)os()->rmdir(path); /* goes when nothing was kept */
	mem_free(k);
	s->children[i] = s->children[--s->n];
}

static bool
is_named(const struct supervisor *s, const char *name)
{
	const char *const *at = s->o.names;

	while (at != NULL && *at != NULL && strcmp(*at, name) != 0)
		at++;
	return at == NULL || *at != NULL;
}

/* Settings that can't be read are left to the child, which says so. */
static void
look_at_settings(struct supervisor *s, struct child *k)
{
	struct sinkconf *conf = NULL;
	char path[SINK_PATH_MAX];
	uint64_t mark = 0;
	int rc =
		sinkfile_path(path, s->o.store_dir, k->name, "sink.conf", NULL);

	if (rc == 0)
		mark = sinkfile_mark(path);
	if (mark == k->mark && mark != 0)
		return;
	k->mark = mark;
	rc = sinkconf_load(&conf, s->o.store_dir, k->name, NULL);
	k->wanted =
		rc == 0 ? conf->enabled && !conf->paused : rc != WEIR_ENOTFOUND;
	sinkconf_free(conf);
	k->failures = 0; /* mended, it may be */
	k->next_start = 0;
}

static int
look_at_sinks(struct supervisor *s, struct weir_err *err)
{
	char **names = NULL;
	size_t n = 0;
	int rc = sinkconf_list(&names, &n, s->o.store_dir, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < s->n; i++)
		s->children[i]->listed = false;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct child *k = find(s, names[i]);

		if (k == NULL && is_named(s, names[i])) {
			rc = add(s, names[i], err);
			k = rc == 0 ? s->children[s->n - 1] : NULL;
		}
		if (k != NULL) {
			k->listed = true;
			look_at_settings(s, k);
		}
	}
	for (size_t i = s->n; rc == 0 && i-- > 0;) {
		struct child *k = s->children[i];

		if (!k->listed)
			k->wanted = false;
		if (!k->listed && k->phase == CHILD_NONE)
			drop(s, i);
	}
	mem_free(names);
	return rc;
}

/* ---- the loop -------------------------------------------------------------
 */

static void
pass_on_reload(struct supervisor *s)
{
	if (!atomic_exchange(&s->reload, false))
		return;
	/* one that is not ready yet opens its files anew anyway, and would be
	 * ended by the signal */
	for (size_t i = 0; i < s->n; i++) {
		struct child *k = s->children[i];

		if (k->phase == CHILD_RUNS && pulse_is_ready(k->pulse))
			child_signal(k, SIGHUP);
	}
}

static void
look(struct supervisor *s, int64_t now)
{
	bool weigh = now - s->weighed_at >= MEMORY_US;
	struct weir_err err = {0};

	if (!s->stopping && now - s->looked_at >= LOOK_US) {
		s->looked_at = now;
		if (look_at_sinks(s, &err) != 0)
			tell_own(s, &err);
	}
	if (weigh)
		s->weighed_at = now;
	for (size_t i = 0; i < s->n; i++)
		look_at_child(s, s->children[i], now, weigh);
	pass_on_reload(s);
}

/* Until something is printed, or stop, or the next look. */
static void
wait_a_little(struct supervisor *s)
{
	int64_t left = s->next_look - clock_monotonic();
	size_t n = 0;

	if (!s->stopping && s->o.stop_fd >= 0)
		s->polled[n++] =
			(struct pollfd){.fd = s->o.stop_fd, .events = POLLIN};
	for (size_t i = 0; i < s->n; i++) {
		const struct child *k = s->children[i];

		/* who has printed his share waits for the next look */
		if (k->out_fd >= 0 && k->outlet.room > 0)
			s->polled[n++] = (struct pollfd){.fd = k->out_fd,
							 .events = POLLIN};
	}
	(void)os()->poll(s->polled, (nfds_t)n,
			 left > 0 ? (int)((left + 999) / 1000) : 0);
	for (size_t i = 0; i < s->n; i++)
		child_drain(s->children[i]);
}

static bool
asked_to_stop(const struct supervisor *s)
{
	struct pollfd p = {.fd = s->o.stop_fd, .events = POLLIN};

	return s->o.stop_fd >= 0 && os()->poll(&p, 1, 0) > 0;
}

static bool
all_ended(const struct supervisor *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->children[i]->phase != CHILD_NONE)
			return false;
	return true;
}

int
supervisor_run(struct supervisor *s, struct weir_err *err)
{
	int rc = look_at_sinks(s, err);

	if (rc != 0)
		return rc;
	s->looked_at = clock_monotonic();
	for (;;) {
		bool stops = !s->stopping && asked_to_stop(s);
		int64_t now = clock_monotonic();

		s->stopping = s->stopping || stops;
		if (stops || now >= s->next_look) {
			s->next_look = now + TICK_US;
			look(s, now);
		}
		if (s->stopping && all_ended(s))
			return 0;
		wait_a_little(s);
	}
}
