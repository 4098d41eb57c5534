/* SPDX-License-Identifier: MIT */
/*
 * start, stop, restart and status: the life of a server from outside.
 *
 * `start` runs `weir start --foreground` as a process of its own session and
 * waits on a pipe for what became of it; the descriptor's number is in
 * WEIR_START_FD. What that process prints goes to DIR/weir.diag.
 */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkview.h"
#include "model/config.h"
#include "model/diagconf.h"
#include "model/policy.h"
#include "server/pidfile.h"
#include "server/server.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_ENV    CLI_START_ENV
#define START_FD     3
#define STOP_MORE_US 20000000 /* the sinks' processes, after drain_timeout */
#define WORDS_MAX    16
#define PATH_BYTES   4096

extern char **environ;

/* ---- options --------------------------------------------------------------
 */

struct how {
	struct server_options o;
	char *config_path, *plugin_dir; /* absolute, or NULL */
	char words[600];		/* for weir.pid */
};

/* A port of this run; 0 is any free one. */
static int
take_port(struct cli *c, int *out, const char *name, struct weir_err *err)
{
	uint64_t n;

	if (cli_get(c, name) == NULL)
		return 0;
	if (cli_u64(c, &n, name, 0, err) != 0 || n > 65535)
		return err_set(err, WEIR_EUSAGE,
			       "--%s takes a port from 1 to 65535, or 0 for "
			       "any free one",
			       name);
	*out = (int)n;
	return 0;
}

static void
keep_word(struct how *h, const char *name, int port)
{
	size_t n = strlen(h->words);

	if (port >= 0)
		snprintf(h->words + n, sizeof(h->words) - n, " --%s %d", name,
			 port);
}

static int
absolute(char **out, const char *path, struct weir_err *err)
{
	return path != NULL ? os_absolute(out, path, err) : 0;
}

static int
take_options(struct cli *c, struct how *h, struct weir_err *err)
{
	int rc;

	rc = cli_data_dir(c, &h->o.dir, err);
	if (rc == 0)
		rc = absolute(&h->config_path, cli_get(c, "config"), err);
	if (rc == 0)
		rc = absolute(&h->plugin_dir, cli_get(c, "plugin-dir"), err);
	if (rc == 0)
		rc = take_port(c, &h->o.port, "port", err);
	if (rc == 0)
		rc = take_port(c, &h->o.text_port, "text-port", err);
	if (rc != 0)
		return rc;
	h->o.config_path = h->config_path;
	h->o.plugin_dir = h->plugin_dir;
	h->o.restriction = cli_get(c, "restrict");
	h->o.no_sinks = h->o.no_sinks || cli_has(c, "no-sinks");
	keep_word(h, "port", h->o.port);
	keep_word(h, "text-port", h->o.text_port);
	if (h->o.no_sinks)
		strcat(h->words, " --no-sinks");
	h->o.words = h->words;
	return 0;
}

/* What the running server was started with counts unless it is given anew. */
static void
take_earlier(struct how *h, const struct pidfile_info *i)
{
	const char *at;

	at = strstr(i->options, " --port ");
	if (at != NULL)
		h->o.port = atoi(at + 8);
	at = strstr(i->options, " --text-port ");
	if (at != NULL)
		h->o.text_port = atoi(at + 13);
	h->o.no_sinks = strstr(i->options, " --no-sinks") != NULL;
}

static void
how_fini(struct how *h)
{
	mem_free(h->config_path);
	mem_free(h->plugin_dir);
}

/* ---- telling --------------------------------------------------------------
 */

static void
put_server(struct cli *c, const char *dir, const struct pidfile_info *i)
{
	struct buf *b = &c->out;

	if (c->json) {
		buf_puts(b, "{\"data_dir\":");
		json_put_string(b, str_of(dir));
		buf_printf(b, ",\"pid\":%d,\"http\":", i->pid);
		json_put_string(b, str_of(i->http));
		buf_puts(b, ",\"text\":");
		json_put_string(b, str_of(i->text));
		buf_puts(b, "}\n");
		return;
	}
	buf_printf(b, "weir serves %s: http %s, text %s, process %d\n", dir,
		   i->http, i->text, i->pid);
}

static void
on_ready(void *cookie, const char *http, const char *text)
{
	struct cli *c = cookie;
	struct pidfile_info i = {.pid = (int)getpid()};

	snprintf(i.http, sizeof(i.http), "%s", http);
	snprintf(i.text, sizeof(i.text), "%s", text);
	if (getenv(START_ENV) == NULL)
		put_server(c, c->dir, &i);
	(void)out_flush(c, NULL);
}

static void
on_reload(void *cookie, const struct config *config)
{
	struct weir_err err = {0};

	if (cli_diag(cookie, config, &err) != 0)
		diag(DIAG_ERROR, "server",
		     "messages go where they went before: %s", err.msg);
}

/* ---- in the foreground ----------------------------------------------------
 */

static int
serve(struct cli *c, struct how *h, struct weir_err *err)
{
	const char *fd = getenv(START_ENV);

	h->o.ready_fd = -1;
	if (fd != NULL) {
		h->o.ready_fd = START_FD;
		(void)fcntl(START_FD, F_SETFD, FD_CLOEXEC);
		(void)os()->setsid();
	}
	h->o.ready = on_ready;
	h->o.reload = on_reload;
	h->o.cookie = c;
	return server_run(&h->o, err);
}

/* ---- in the background ----------------------------------------------------
 */

static void
fill_words(const struct how *h, char *const ports[2], const char **argv)
{
	size_t n = 0;

	argv[n++] = "weir";
	argv[n++] = "start";
	argv[n++] = "--foreground";
	argv[n++] = "--data-dir";
	argv[n++] = h->o.dir;
	if (h->config_path != NULL) {
		argv[n++] = "--config";
		argv[n++] = h->config_path;
	}
	if (h->plugin_dir != NULL) {
		argv[n++] = "--plugin-dir";
		argv[n++] = h->plugin_dir;
	}
	if (h->o.port >= 0)
		argv[n++] = ports[0];
	if (h->o.text_port >= 0)
		argv[n++] = ports[1];
	if (h->o.no_sinks)
		argv[n++] = "--no-sinks";
	argv[n] = NULL;
}

static pid_t
spawn(const struct how *h, int null, int diag, int ready, struct weir_err *err)
{
	char port[32], text_port[32], restriction[32];
	char *const ports[2] = {port, text_port};
	const char *argv[WORDS_MAX];
	int fds[START_FD + 1] = {null, null, diag, ready};
	struct os_spawn how = {.path = "/proc/self/exe",
			       .argv = (char *const *)(uintptr_t)argv,
			       .envp = environ,
			       .fds = fds,
			       .nfds = START_FD + 1};
	size_t n = 0;
	pid_t pid;

	snprintf(port, sizeof(port), "--port=%d", h->o.port);
	snprintf(text_port, sizeof(text_port), "--text-port=%d",
		 h->o.text_port);
	fill_words(h, ports, argv);
	if (h->o.restriction != NULL) {
		snprintf(restriction, sizeof(restriction), "--restrict=%s",
			 h->o.restriction);
		while (argv[n] != NULL)
			n++;
		argv[n++] = restriction;
		argv[n] = NULL;
	}
	(void)setenv(START_ENV, "3", 1);
	how.envp = environ;
	pid = os()->spawn(&how);
	(void)unsetenv(START_ENV);
	if (pid < 0)
		err_sys(err, "cannot start /proc/self/exe");
	return pid;
}

/* "+..." it is ready, "-CODE MESSAGE" it is not, nothing: it ended. */
static int
wait_ready(int fd, const char *dir, struct weir_err *err)
{
	char text[1200] = "", *message;
	size_t n = 0;
	long code;

	while (n < sizeof(text) - 1 && text[0] != '+') {
		ssize_t got;

		(void)os_wait_readable(fd, -1);
		got = os()->read(fd, text + n, sizeof(text) - 1 - n);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	if (text[0] == '+')
		return 0;
	code = text[0] == '-' ? strtol(text + 1, &message, 10) : 0;
	if (code < 0 && *message == ' ')
		return err_set(err, (int)code, "%s", message + 1);
	return err_set(err, WEIR_EIO,
		       "the server ended before it was ready; %s/weir.diag may "
		       "say why",
		       dir);
}

static int
start_with(struct cli *c, const struct how *h, int null, int diag,
	   struct weir_err *err)
{
	struct pidfile_info i = {0};
	int ready[2], rc = 0;
	pid_t pid;

	if (os()->pipe(ready) != 0)
		return err_sys(err, "cannot make a pipe for the server");
	pid = spawn(h, null, diag, ready[1], err);
	os_close(ready[1]);
	if (pid < 0)
		rc = err->code;
	if (rc == 0)
		rc = wait_ready(ready[0], h->o.dir, err);
	os_close(ready[0]);
	if (rc == 0)
		rc = pidfile_read(&i, h->o.dir, err);
	if (rc == 0)
		put_server(c, h->o.dir, &i);
	else if (pid > 0)
		(void)os()->waitpid(pid, NULL, 0);
	return rc;
}

/* Can it tell what it has to say? It could not tell that, either. */
static int
try_diag(struct cli *c, struct weir_err *err)
{
	int rc = diagconf_apply(c->config, c->dir,
				DIAGCONF_LASTS | DIAGCONF_DETACHED, err);

	return rc != 0 ? rc : cli_diag(c, c->config, err);
}

static int
start_behind(struct cli *c, struct how *h, struct weir_err *err)
{
	char path[PATH_BYTES];
	int null, diag, rc = os_make_folders(h->o.dir, 0700, err);

	if (rc == 0)
		rc = try_diag(c, err);
	if (rc != 0)
		return rc;
	null = os_open("/dev/null", O_RDWR, 0, err);
	if (null < 0)
		return null;
	snprintf(path, sizeof(path), "%s/weir.diag", h->o.dir);
	diag = os_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600, err);
	rc = diag < 0 ? diag : start_with(c, h, null, diag, err);
	os_close(diag);
	os_close(null);
	return rc;
}

static int
start(struct cli *c, struct how *h, struct weir_err *err)
{
	return cli_has(c, "foreground") ? serve(c, h, err)
					: start_behind(c, h, err);
}

static int
run_start(struct cli *c, struct weir_err *err)
{
	struct how h = {.o = {.port = -1, .text_port = -1}};
	int rc = take_options(c, &h, err);

	if (rc == 0)
		rc = start(c, &h, err);
	how_fini(&h);
	return rc;
}

/* ---- stop -----------------------------------------------------------------
 */

/* Asks the server of the store to stop and waits until it is gone. i->pid is 0
 * when there was none. */
static int
stop(struct cli *c, const char *dir, struct pidfile_info *i,
     struct weir_err *err)
{
	int64_t wait =
		(int64_t)config_u64(c->config, "drain_timeout") + STOP_MORE_US;
	int fd, rc = pidfile_process(&fd, i, dir, err);

	if (rc != 0 || fd < 0)
		return rc;
	if (os()->pidfd_kill(fd, SIGTERM) != 0 && errno != ESRCH)
		rc = err_sys(err, "cannot ask process %d to stop", i->pid);
	else if (!os_wait_readable(fd, wait))
		rc = err_set(err, WEIR_EUNREACH,
			     "process %d still stops after %.0f s; `weir stop` "
			     "again ends it at once",
			     i->pid, (double)wait / 1e6);
	os_close(fd);
	return rc;
}

static int
run_stop(struct cli *c, struct weir_err *err)
{
	struct pidfile_info i = {0};
	const char *dir;
	int rc = cli_data_dir(c, &dir, err);

	if (rc == 0)
		rc = stop(c, dir, &i, err);
	if (rc != 0)
		return rc;
	if (c->json && i.pid != 0)
		buf_printf(&c->out, "{\"stopped\":true,\"pid\":%d}\n", i.pid);
	else if (c->json)
		buf_puts(&c->out, "{\"stopped\":false,\"pid\":null}\n");
	else if (i.pid != 0)
		buf_printf(&c->out, "weir stopped (process %d)\n", i.pid);
	else
		buf_printf(&c->out, "weir does not run on %s\n", dir);
	return 0;
}

static int
run_restart(struct cli *c, struct weir_err *err)
{
	struct how h = {.o = {.port = -1, .text_port = -1}};
	struct pidfile_info i = {0};
	const char *dir;
	int rc = cli_data_dir(c, &dir, err);

	if (rc == 0)
		rc = pidfile_read(&i, dir, err);
	take_earlier(&h, &i);
	if (rc == 0) /* before anything is stopped */
		rc = take_options(c, &h, err);
	if (rc == 0)
		rc = stop(c, dir, &i, err);
	if (rc == 0)
		rc = start(c, &h, err);
	how_fini(&h);
	return rc;
}

/* ---- status ---------------------------------------------------------------
 */

struct view {
	const char *dir;
	struct pidfile_info i;
	uint64_t last, aggregates;
	const char *restriction;
	size_t n;
	struct sinkconf **conf;
	struct runner_status *st;
};

static int
look_at_store(struct cli *c, struct view *v, struct weir_err *err)
{
	struct policy *p = NULL;
	struct store *s = NULL;
	int rc = cli_open_read(c, &s, err);

	if (rc == 0)
		rc = policy_open(&p, s, err);
	if (rc == 0) {
		v->last = store_last(s);
		v->aggregates = store_aggregates(s, false);
		v->restriction = policy_restriction_word(policy_restriction(p));
	}
	policy_free(p);
	store_close(s);
	return rc;
}

static int
look_at_sinks(struct view *v, struct weir_err *err)
{
	char **names = NULL;
	size_t n = 0;
	int rc = sinkconf_list(&names, &n, v->dir, err);

	v->conf = must_mem((n + 1) * sizeof(*v->conf));
	v->st = must_mem((n + 1) * sizeof(*v->st));
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct runner_status *st = &v->st[v->n];

		if (sinkconf_load(&v->conf[v->n], v->dir, names[i], NULL) != 0)
			continue;
		if (runner_status(st, v->dir, names[i], NULL) != 0) {
			sinkconf_free(v->conf[v->n]);
			continue;
		}
		if (st->committed < v->last)
			st->committed = v->last;
		v->n++;
	}
	mem_free(names);
	return rc;
}

static void
put_json(struct cli *c, const struct view *v)
{
	struct buf *b = &c->out;
	char since[28];

	buf_printf(b, "{\"running\":%s,\"data_dir\":",
		   v->i.pid != 0 ? "true" : "false");
	json_put_string(b, str_of(v->dir));
	if (v->i.pid != 0) {
		clock_text(since, v->i.since);
		buf_printf(b,
			   ",\"pid\":%d,\"state\":\"%s\",\"since\":\"%s\","
			   "\"uptime_seconds\":%" PRId64 ",\"http\":",
			   v->i.pid, v->i.state, since,
			   (clock_now() - v->i.since) / 1000000);
		json_put_string(b, str_of(v->i.http));
		buf_puts(b, ",\"text\":");
		json_put_string(b, str_of(v->i.text));
	}
	buf_printf(b,
		   ",\"restriction\":\"%s\",\"committed\":%" PRIu64
		   ",\"aggregates\":%" PRIu64 ",\"sinks\":[",
		   v->restriction, v->last, v->aggregates);
	for (size_t i = 0; i < v->n; i++) {
		buf_puts(b, i > 0 ? "," : "");
		sinkview_status_json(b, v->conf[i], &v->st[i]);
	}
	buf_puts(b, "]}\n");
}

static void
put_sinks(struct cli *c, const struct view *v)
{
	const char **cells = must_mem((v->n + 1) * 4 * sizeof(*cells));
	char(*lag)[24] = must_mem((v->n + 1) * sizeof(*lag));

	memcpy(cells, (const char *[]){"SINK", "PLUGIN", "STATE", "LAG"},
	       4 * sizeof(*cells));
	for (size_t i = 0; i < v->n; i++) {
		const struct runner_status *st = &v->st[i];
		const char **row = cells + 4 * (i + 1);

		snprintf(lag[i], 24, "%" PRIu64,
			 st->committed > st->cursor ? st->committed - st->cursor
						    : 0);
		row[0] = v->conf[i]->name;
		row[1] = v->conf[i]->plugin;
		row[2] = sinkview_state(st);
		row[3] = lag[i];
	}
	buf_putc(&c->out, '\n');
	out_table(c, cells, 4, v->n + 1, 1u << 3);
	mem_free(cells);
	mem_free(lag);
}

static void
put_text(struct cli *c, const struct view *v)
{
	struct buf *b = &c->out;
	char span[24];

	if (v->i.pid != 0) {
		buf_printf(b, "weir serves %s%s%s%s\n", v->dir,
			   strcmp(v->i.state, "ready") != 0 ? " (" : "",
			   strcmp(v->i.state, "ready") != 0 ? v->i.state : "",
			   strcmp(v->i.state, "ready") != 0 ? ")" : "");
		buf_printf(b,
			   "process      %d, up %s\n"
			   "http         %s\n"
			   "text         %s\n",
			   v->i.pid,
			   sinkview_span(span, clock_now() - v->i.since),
			   v->i.http, v->i.text);
	} else {
		buf_printf(b, "weir does not run on %s\n", v->dir);
	}
	buf_printf(b,
		   "restriction  %s\n"
		   "committed    %" PRIu64 "\n"
		   "aggregates   %" PRIu64 "\n",
		   v->restriction, v->last, v->aggregates);
	if (v->n > 0)
		put_sinks(c, v);
}

/* 3 without a server, as service managers have it. */
static int
run_status(struct cli *c, struct weir_err *err)
{
	struct view v = {0};
	int rc = cli_data_dir(c, &v.dir, err);

	if (rc == 0)
		rc = pidfile_read(&v.i, v.dir, err);
	if (rc == 0)
		rc = look_at_store(c, &v, err);
	if (rc == 0)
		rc = look_at_sinks(&v, err);
	if (rc == 0 && c->json)
		put_json(c, &v);
	else if (rc == 0)
		put_text(c, &v);
	for (size_t i = 0; i < v.n; i++)
		sinkconf_free(v.conf[i]);
	mem_free(v.conf);
	mem_free(v.st);
	return rc == 0 && v.i.pid == 0 ? 3 : rc;
}

/* ---- the table ------------------------------------------------------------
 */

#define START_OPTIONS                                                          \
	{"port", 0, "N", 0, "port of the HTTP server, for this run"},          \
		{"text-port", 0, "N", 0,                                       \
		 "port of the text protocol, for this run"},                   \
		{"restrict", 0, "true|strict|false", CLI_MAYBE,                \
		 "set what is checked of appends; kept in the store"},         \
		{"foreground", 0, NULL, 0, "stay in the foreground"},          \
		{"no-sinks", 0, NULL, 0, "don't run the sinks"},               \
	{                                                                      \
		NULL, 0, NULL, 0, NULL                                         \
	}

static const struct cli_option start_options[] = {START_OPTIONS};

const struct cli_command server_commands[] = {
	{"start", "start the server",
	 "Returns once the ports answer; messages then go to weir.diag in the "
	 "data folder. The store is made when it is missing. SIGTERM stops the "
	 "server, SIGHUP reads the settings again.",
	 start_options, NULL, CLI_LOCAL, run_start},
	{"stop", "stop the server and wait until it is gone",
	 "Requests under way are answered and sinks catch up, for at most "
	 "drain_timeout. Without a server that is no error.",
	 NULL, NULL, CLI_LOCAL, run_stop},
	{"status", "show the server, the store and its sinks",
	 "Works with and without a server; exits 3 without one.", NULL, NULL,
	 CLI_LOCAL, run_status},
	{"restart", "stop the server and start it again",
	 "Options of the running server's start that are not given count "
	 "again.",
	 start_options, NULL, CLI_LOCAL, run_restart},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
