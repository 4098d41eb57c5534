/* SPDX-License-Identifier: MIT */
#include "server/sinks.h"

#include <pthread.h>
#include <string.h>

#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "model/config.h"

#define SELF	"/proc/self/exe"
#define NAME_AT 3 /* of the words of a child */
#define STOP_US 10000000
#define STACK	(256u << 10)

struct sinks {
	struct supervisor *supervisor;
	struct supervisor_options o;
	pthread_t thread;
	int stop[2]; /* a pipe */
	void (*ended)(void *cookie);
	void *cookie;
};

void
sinks_how(struct sinks_how *out, const struct config *config, const char *dir,
	  const char *config_path, const char *plugin_dir)
{
	size_t n = 6;

	memset(out, 0, sizeof(*out));
	memcpy(out->words,
	       (const char *[]){"weir", "sink", "run", "", "--data-dir", dir},
	       6 * sizeof(out->words[0]));
	if (config_path != NULL) {
		out->words[n++] = "--config";
		out->words[n++] = config_path;
	}
	if (plugin_dir != NULL) {
		out->words[n++] = "--plugin-dir";
		out->words[n++] = plugin_dir;
	}
	out->o = (struct supervisor_options){
		.store_dir = dir,
		.program = SELF,
		.argv = out->words,
		.name_at = NAME_AT,
		.stop_fd = -1,
		.deliver_us = (int64_t)config_u64(config, "deliver_timeout"),
		.memory_max = config_u64(config, "runner_memory")};
	/* a plugin that is being called may take so long to see the signal */
	out->o.stop_us = 2 * out->o.deliver_us < STOP_US ? 2 * out->o.deliver_us
							 : STOP_US;
}

static void *
run(void *cookie)
{
	struct sinks *s = cookie;
	struct weir_err err = {0};

	if (supervisor_run(s->supervisor, &err) != 0)
		diag(DIAG_ERROR, "supervisor", "%s; no sink runs", err.msg);
	s->ended(s->cookie);
	return NULL;
}

static int
start_thread(struct sinks *s, struct weir_err *err)
{
	pthread_attr_t attr;
	int why;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	why = pthread_create(&s->thread, &attr, run, s);
	pthread_attr_destroy(&attr);
	if (why == 0)
		return 0;
	return err_set(err, WEIR_ENOMEM,
		       "cannot start the thread of the sinks: %s",
		       strerror(why));
}

int
sinks_start(struct sinks **out, const struct sinks_how *how,
	    void (*ended)(void *cookie), void *cookie, struct weir_err *err)
{
	struct sinks *s = mem_new(sizeof(*s));
	int rc;

	if (s == NULL)
		return err_nomem(err);
	s->o = how->o;
	s->ended = ended;
	s->cookie = cookie;
	if (os()->pipe(s->stop) != 0) {
		mem_free(s);
		return err_sys(err, "making a pipe for the sinks");
	}
	s->o.stop_fd = s->stop[0];
	rc = supervisor_new(&s->supervisor, &s->o, err);
	if (rc == 0)
		rc = start_thread(s, err);
	if (rc != 0) {
		supervisor_free(s->supervisor);
		os_close(s->stop[0]);
		os_close(s->stop[1]);
		mem_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void
sinks_reload(struct sinks *s)
{
	supervisor_reload(s->supervisor);
}

void
sinks_stop(struct sinks *s)
{
	(void)!os()->write(s->stop[1], "", 1);
}

void
sinks_free(struct sinks *s)
{
	if (s == NULL)
		return;
	sinks_stop(s);
	pthread_join(s->thread, NULL);
	supervisor_free(s->supervisor);
	os_close(s->stop[0]);
	os_close(s->stop[1]);
	mem_free(s);
}

static bool
is_behind(const char *dir, const char *name, uint64_t last)
{
	struct runner_status st;
	struct sinkconf *conf = NULL;
	bool runs;

	if (sinkconf_load(&conf, dir, name, NULL) != 0)
		return false;
	runs = conf->enabled && !conf->paused;
	sinkconf_free(conf);
	if (!runs || runner_status(&st, dir, name, NULL) != 0)
		return false;
	return st.pid != 0 && st.cursor < last &&
	       (st.state == RUNNER_IDLE || st.state == RUNNER_RUNNING);
}

bool
sinks_caught_up(const char *dir, uint64_t last)
{
	char **names = NULL;
	size_t n = 0;
	bool all = true;

	if (sinkconf_list(&names, &n, dir, NULL) != 0)
		return true;
	for (size_t i = 0; i < n && all; i++)
		all = !is_behind(dir, names[i], last);
	mem_free(names);
	return all;
}
