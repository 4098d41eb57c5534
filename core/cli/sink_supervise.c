/* SPDX-License-Identifier: MIT */
/*
 * weir sink run without a name, or with several: both ends of the supervision.
 */
#include "cli/sink.h"

#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/pulse.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/supervisor.h"
#include "model/config.h"
#include "server/sinks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct supervisor *_Atomic supervisor; /* for the signal handlers */
static struct runner *_Atomic runner;

static void
on_hangup(int sig)
{
	(void)sig;
	diag_reopen();
	if (supervisor != NULL)
		supervisor_reload(supervisor);
	if (runner != NULL)
		runner_reload(runner);
}

static void
take_hangups(void)
{
	struct sigaction hangup = {.sa_handler = on_hangup};

	sigaction(SIGHUP, &hangup, NULL);
}

/* ---- the supervisor -------------------------------------------------------
 */

/* The sinks named, NULL-ended; they must be there. */
static int
take_names(struct cli *c, const char *dir, const char **names,
	   struct weir_err *err)
{
	const char *name;
	size_t at = 0, n = 0;
	int rc = 0;

	while (rc == 0 && (name = cli_next(c, "SINK", &at)) != NULL) {
		struct sinkconf *conf = NULL;

		rc = sinkconf_load(&conf, dir, name, err);
		sinkconf_free(conf);
		names[n++] = name;
	}
	names[n] = NULL;
	return rc;
}

static void
say_hello(struct cli *c, const char *dir)
{
	char **names = NULL;
	size_t n = 0, enabled = 0;

	if (sinkconf_list(&names, &n, dir, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct sinkconf *conf = NULL;

		if (sinkconf_load(&conf, dir, names[i], NULL) == 0)
			enabled += conf->enabled;
		sinkconf_free(conf);
	}
	if (enabled == 0)
		cli_note(c, "no sink is enabled");
	else if (c->err_tty)
		cli_note(c, "delivering to sinks until interrupted");
	mem_free(names);
}

static int
supervise(const struct supervisor_options *o, struct weir_err *err)
{
	struct supervisor *s = NULL;
	int rc = supervisor_new(&s, o, err);

	if (rc != 0)
		return rc;
	supervisor = s;
	take_hangups();
	rc = supervisor_run(s, err);
	supervisor = NULL;
	supervisor_free(s);
	if (rc == 0 && cli_stopped() == SIGINT)
		rc = err_set(err, WEIR_ESTOPPED, "%s", "");
	return rc;
}

int
sink_supervise(struct cli *c, struct weir_err *err)
{
	const char *dir, **names;
	struct sinks_how how;
	int rc = cli_data_dir(c, &dir, err);

	if (rc != 0)
		return rc;
	if (cli_stop_fd() < 0)
		return err_sys(err, "making a pipe for signals");
	sinks_how(&how, c->config, dir, cli_get(c, "config"),
		  cli_get(c, "plugin-dir"));
	how.o.stop_fd = cli_stop_fd();
	names = must_mem((cli_count(c, "SINK") + 1) * sizeof(*names));
	rc = take_names(c, dir, names, err);
	how.o.names = cli_count(c, "SINK") > 0 ? names : NULL;
	if (rc == 0)
		say_hello(c, dir);
	if (rc == 0)
		rc = supervise(&how.o, err);
	mem_free(names);
	return rc;
}

/* ---- the child ------------------------------------------------------------
 */

static int
deliver(struct cli *c, struct pulse *p, struct weir_err *err)
{
	struct runner_options o = {
		.name = cli_get(c, "SINK"),
		.cache_bytes = config_u64(c->config, "memory_threshold"),
		.deliver_us = (int64_t)config_u64(c->config, "deliver_timeout"),
		.stop_fd = cli_stop_fd(),
		.pulse = p};
	struct runner *r = NULL;
	int rc = cli_data_dir(c, &o.store_dir, err);

	if (rc == 0 && o.stop_fd < 0)
		rc = err_sys(err, "making a pipe for signals");
	if (rc == 0)
		rc = runner_new(&r, &o, err);
	if (rc != 0)
		return rc;
	runner = r;
	take_hangups();
	pulse_ready(p);
	rc = runner_run(r, UINT64_MAX, 0, err);
	runner = NULL;
	runner_free(r);
	return rc;
}

bool
sink_supervised(struct cli *c, int *rc, struct weir_err *err)
{
	struct pulse *p = NULL;

	*rc = supervisor_child(&p, err);
	if (*rc == 0)
		return false;
	if (*rc > 0)
		*rc = deliver(c, p, err);
	else
		return true;
	if (*rc < 0 && *rc != WEIR_ESTOPPED)
		pulse_say(p, err);
	if (*rc < 0) /* the supervisor tells it */
		*rc = *rc == WEIR_ESTOPPED ? 0 : cli_exit_status(*rc);
	pulse_free(p);
	return true;
}
