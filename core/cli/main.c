/* SPDX-License-Identifier: MIT */
/*
 * The program: parse, run one command, print its error, choose the exit
 * status. Everything else is in the file of the command's family.
 */
#include "cli/cli.h"

#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "bus/runner.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/table.h"
#include "model/config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
look_around(struct cli *c)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	c->out_tty = isatty(STDOUT_FILENO);
	c->err_tty = isatty(STDERR_FILENO);
	c->in_tty = isatty(STDIN_FILENO);
	c->colour = c->out_tty && (no_colour == NULL || *no_colour == '\0') &&
		    term != NULL && strcmp(term, "dumb") != 0;
}

/* No command was named, or help or the version was asked for: what to show. */
static int
show_help(struct cli *c, struct weir_err *err)
{
	const char *first = parse_first_word(c);

	if (parse_wants_version(c))
		return table_find("version", NULL)->run(c, err);
	if (c->command != NULL) {
		help_command(c, c->command);
		return 0;
	}
	if (!parse_wants_help(c) && first == NULL)
		return err_set(
			err, WEIR_EUSAGE,
			"name a command, such as `weir aggregate apply`");
	if (!parse_wants_help(c))
		return err_set(err, WEIR_EUSAGE,
			       "`weir %s` needs a second word; `weir help "
			       "%s` lists them",
			       first, first);
	if (first != NULL)
		help_family(c, first);
	else
		help_overview(c);
	return 0;
}

/* --sink-wait is looked at before anything is written. */
static int
run(struct cli *c, struct weir_err *err)
{
	const char *wait = cli_get(c, "sink-wait");
	int64_t us;
	int rc = 0;

	if ((c->command->flags & CLI_SINKS) && wait != NULL)
		rc = cli_duration(&us, wait, "--sink-wait", err);
	return rc != 0 ? rc : c->command->run(c, err);
}

int
cli_main(int argc, char **argv)
{
	struct weir_err err = {0};
	struct cli c = {0};
	int rc;

	if (os_hold_standard() != 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	runner_watch_crashes();
	buf_init(&c.out, CLI_TEXT_MAX);
	look_around(&c);
	rc = parse_args(&c, argc, argv, &err);
	if (rc == 0 && (c.command == NULL || parse_wants_help(&c)))
		rc = show_help(&c, &err);
	else if (rc == 0)
		rc = run(&c, &err);
	if (rc >= 0) {
		int flushed = out_flush(&c, &err);

		rc = flushed != 0 ? flushed : rc;
	}
	if (rc < 0) {
		if (err.code == 0)
			err_set(&err, rc, "failed without a reason");
		rc = cli_fail(&c, &err);
	}
	diag_flush();
	if (c.abandon)
		_exit(rc);
	call_end(&c);
	config_free(c.config);
	mem_free(c.dir);
	parse_free(&c);
	buf_fini(&c.out);
	return rc;
}
