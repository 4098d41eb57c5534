/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/options.h"
#include "model/config.h"
#include "model/policy.h"
#include "model/diagconf.h"
#include "model/policy.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
cli_duration(int64_t *us, const char *text, const char *what,
	     struct weir_err *err)
{
	int64_t n = options_duration(text);

	if (n >= 0) {
		*us = n;
		return 0;
	}
	return err_set(err, WEIR_EUSAGE,
		       "%s takes a number with us, ms, s, m or h (such as "
		       "500ms), not \"%s\"",
		       what, text);
}

/* The data folder as text: --data-dir, WEIR_DATA_DIR, data_dir in --config. */
static int
choose_dir(struct cli *c, const char *path, struct weir_err *err)
{
	const char *dir = cli_get(c, "data-dir");
	struct config *config = NULL;
	int rc;

	if (dir == NULL)
		dir = getenv("WEIR_DATA_DIR");
	if ((dir == NULL || *dir == '\0') && path != NULL) {
		rc = config_load(&config, path, NULL, err);
		if (rc != 0)
			return rc;
		dir = config_get(config, "data_dir");
	}
	if (dir == NULL || *dir == '\0')
		dir = "./.weir";
	rc = os_absolute(&c->dir, dir, err);
	config_free(config);
	return rc;
}

/* The commands say themselves what matters of a sink; diag adds to that where
 * sinks are run for good. */
int
cli_diag(struct cli *c, const struct config *config, struct weir_err *err)
{
	const char *words = c->command->words;
	unsigned flags = 0;

	if (strcmp(words, "sink run") == 0 || cli_has(c, "foreground"))
		flags |= DIAGCONF_LASTS;
	/* it and its children have stderr in a file */
	if (getenv(CLI_START_ENV) != NULL)
		flags |= DIAGCONF_DETACHED;
	return diagconf_apply(config, c->dir, flags, err);
}

int
cli_config(struct cli *c, struct config **out, struct weir_err *err)
{
	const char *path = cli_get(c, "config");
	int rc = 0;

	if (c->dir == NULL)
		rc = choose_dir(c, path, err);
	if (rc == 0 && c->config == NULL) {
		rc = config_load(&c->config, path, c->dir, err);
		if (rc == 0)
			rc = cli_diag(c, c->config, err);
	}
	if (rc == 0)
		*out = c->config;
	return rc;
}

int
cli_data_dir(struct cli *c, const char **out, struct weir_err *err)
{
	struct config *config;
	int rc = cli_config(c, &config, err);

	if (rc == 0)
		*out = c->dir;
	return rc;
}

int
cli_open_read(struct cli *c, struct store **out, struct weir_err *err)
{
	struct store_options o = {0};
	const char *dir;
	int rc = cli_data_dir(c, &dir, err);

	return rc != 0 ? rc : store_open(out, dir, &o, err);
}

int
cli_open_write(struct cli *c, struct store **out, struct weir_err *err)
{
	return cli_try_write(c, out, true, 0, err);
}

int
cli_try_write(struct cli *c, struct store **out, bool create, int64_t wait_us,
	      struct weir_err *err)
{
	struct store_options o = {.flags = STORE_WRITE,
				  .lock_wait_us = wait_us};
	const char *dir, *kept;
	int rc = cli_data_dir(c, &dir, err);

	if (create)
		o.flags |= STORE_CREATE;
	if (rc == 0) {
		o.heads_bytes = config_u64(c->config, "heads_memory");
		o.index_after_bytes = config_u64(c->config, "index_after");
		rc = store_open(out, dir, &o, err);
	}
	if (rc == 0)
		rc = policy_open(&c->policy, *out, err);
	if (rc == 0 && store_cut_bytes(*out, &kept) > 0)
		cli_warn(c,
			 "%llu bytes of an unfinished append were cut off "
			 "the journal and kept in %s",
			 (unsigned long long)store_cut_bytes(*out, &kept),
			 kept);
	return rc;
}

int
cli_make_store(struct cli *c, const char **dir, uint64_t *last,
	       struct weir_err *err)
{
	struct store *s = NULL;
	int rc = cli_data_dir(c, dir, err);

	if (rc == 0)
		rc = cli_open_read(c, &s, err);
	if (rc == WEIR_ENOTFOUND)
		rc = cli_open_write(c, &s, err);
	if (rc == 0 && last != NULL)
		*last = store_last(s);
	cli_close(c, s);
	return rc;
}

void
cli_close(struct cli *c, struct store *s)
{
	policy_free(c->policy);
	c->policy = NULL;
	store_close(s);
}

int
cli_ask(struct cli *c, const char *fmt, ...)
{
	char text[1024], answer[16];
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (cli_has(c, "dry-run")) {
		if (c->json) {
			buf_puts(&c->out, "{\"dry_run\":true,\"would\":");
			json_put_string(&c->out, str_of(text));
			buf_puts(&c->out, "}\n");
		} else {
			buf_printf(&c->out, "would %s\n", text);
		}
		return 0;
	}
	if (cli_has(c, "yes") || !c->in_tty)
		return 1;
	out_flush(c, NULL);
	fprintf(stderr, "%s? [y/N] ", text);
	fflush(stderr);
	n = os()->read(STDIN_FILENO, answer, sizeof(answer));
	if (n > 0 && (answer[0] == 'y' || answer[0] == 'Y'))
		return 1;
	cli_note(c, "nothing was done");
	return 0;
}

/* ---- signals: a pipe that the handler writes to -------------------------- */

static int stop_pipe[2] = {-1, -1};
static volatile sig_atomic_t stop_signal;

static void
on_signal(int sig)
{
	int saved = errno;
	ssize_t n;

	stop_signal = sig;
	n = write(stop_pipe[1], "", 1);
	(void)n;
	errno = saved;
}

int
cli_stop_fd(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (stop_pipe[0] >= 0)
		return stop_pipe[0];
	if (os()->pipe(stop_pipe) != 0)
		return -1;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	return stop_pipe[0];
}

int
cli_stopped(void)
{
	return stop_signal;
}
