/* SPDX-License-Identifier: MIT */
/*
 * weir import: options and what is said about an import; importer.c does it.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/csvread.h"
#include "cli/import_send.h"
#include "cli/importer.h"
#include "cli/input.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "store/store.h"

#define REASONS_SHOWN 10u /* refused lines told on standard error */
#define BATCH_MAX     10000u

struct import {
	struct cli *c;
	struct importer_options o;
	struct importer_counts counts;
	struct csvread_options csv;
	struct progress progress;
	const char **maps;
	uint64_t told;
	bool csv_wanted;
};

static bool
ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static int
take_options(struct import *im, const char *path, struct weir_err *err)
{
	struct cli *c = im->c;
	const char *format = cli_get(c, "format"), *slash = strrchr(path, '/');
	const char *map;
	uint64_t batch;
	size_t at = 0;
	int rc = cli_u64(c, &batch, "batch", IMPORTER_BATCH, err);

	if (rc != 0)
		return rc;
	if (batch < 1 || batch > BATCH_MAX)
		return err_set(err, WEIR_EUSAGE, "--batch takes 1 to %u",
			       BATCH_MAX);
	im->o.batch = (size_t)batch;
	im->o.fresh_ids = cli_has(c, "fresh-ids");
	im->o.source = cli_get(c, "source");
	if (im->o.source == NULL)
		im->o.source = slash != NULL ? slash + 1 : path;
	im->csv_wanted = format != NULL ? strcmp(format, "csv") == 0
					: ends_in(path, ".csv");
	if (!im->csv_wanted &&
	    (cli_count(c, "map") > 0 || cli_has(c, "typed") ||
	     cli_get(c, "payload-columns") != NULL))
		return err_set(err, WEIR_EUSAGE,
			       "--map, --payload-columns and --typed need "
			       "--format csv");
	im->maps = must_mem((cli_count(c, "map") + 1) * sizeof(*im->maps));
	while ((map = cli_next(c, "map", &at)) != NULL)
		im->maps[im->csv.nmaps++] = map;
	im->csv.maps = im->maps;
	im->csv.payload_columns = cli_get(c, "payload-columns");
	im->csv.typed = cli_has(c, "typed");
	im->o.csv = im->csv_wanted ? &im->csv : NULL;
	return 0;
}

static void
tell_refused(void *cookie, uint64_t line, const char *reason)
{
	struct import *im = cookie;

	if (im->o.rejects != NULL || im->told++ >= REASONS_SHOWN)
		return;
	progress_end(&im->progress);
	cli_warn(im->c, "line %" PRIu64 ": %s", line, reason);
}

static int
stopped(void)
{
	return cli_stopped();
}

static int
send_lines(void *cookie, struct importer_answer *answers,
	   const struct importer_line *lines, size_t n, struct weir_err *err)
{
	const struct import *im = cookie;
	const struct import_send s = {
		im->c, im->o.fresh_ids ? NULL : im->o.source};

	return import_send(&s, answers, lines, n, err);
}

static int
open_rejects(struct import *im, struct weir_err *err)
{
	const char *path = cli_get(im->c, "reject");

	if (path == NULL)
		return 0;
	if (input_is_file(im->o.input, path))
		return err_set(err, WEIR_EUSAGE,
			       "--reject %s is the input itself; name another "
			       "file",
			       path);
	return outfile_open(&im->o.rejects, path, false, err);
}

/* ---- what is said of it -------------------------------------------------- */

static double
seconds(const struct importer_counts *n)
{
	return n->elapsed_us > 0 ? (double)n->elapsed_us / 1e6 : 1e-6;
}

static void
summary_json(struct import *im, int rc)
{
	const struct importer_counts *n = &im->counts;
	struct buf *b = &im->c->out;

	buf_puts(b, "{\"source\":");
	json_put_string(b, str_of(im->o.source));
	buf_printf(b,
		   ",\"read\":%" PRIu64 ",\"appended\":%" PRIu64
		   ",\"already_there\":%" PRIu64 ",\"refused\":%" PRIu64
		   ",\"seconds\":%.6f,\"rate\":%.1f",
		   n->read, n->appended, n->already, n->refused, seconds(n),
		   (double)n->read / seconds(n));
	if (n->last_sequence != 0)
		buf_printf(b, ",\"last_sequence\":%" PRIu64, n->last_sequence);
	else
		buf_puts(b, ",\"last_sequence\":null");
	buf_printf(b, ",\"last_line\":%" PRIu64 ",\"complete\":%s}\n", n->line,
		   rc == 0 ? "true" : "false");
}

static void
summary_text(struct import *im)
{
	const struct importer_counts *n = &im->counts;

	cli_note(im->c,
		 "read %" PRIu64 " %s in %.2f s (%.0f/s): %" PRIu64
		 " appended, %" PRIu64 " already there, %" PRIu64 " refused",
		 n->read, n->read == 1 ? "line" : "lines", seconds(n),
		 (double)n->read / seconds(n), n->appended, n->already,
		 n->refused);
	if (im->o.rejects != NULL && n->refused > 0)
		cli_note(im->c, "the refused lines and why: %s",
			 cli_get(im->c, "reject"));
	else if (im->told > REASONS_SHOWN)
		cli_note(im->c,
			 "%" PRIu64 " more were refused; --reject FILE writes "
			 "down all of them",
			 im->told - REASONS_SHOWN);
}

/* How to go on after an import that did not come to its end. */
static void
tell_resume(struct import *im)
{
	uint64_t line = im->counts.line;

	if (im->o.fresh_ids)
		cli_note(im->c,
			 "ended after line %" PRIu64 "; with --fresh-ids the "
			 "lines up to there would be appended again, so give "
			 "only the lines after it",
			 line);
	else if (line > 0)
		cli_note(im->c,
			 "ended after line %" PRIu64 "; the same command goes "
			 "on from there",
			 line);
}

static void
tell(struct import *im, int rc)
{
	progress_end(&im->progress);
	if (im->c->json)
		summary_json(im, rc);
	else if (rc == 0 || im->counts.read > 0)
		summary_text(im);
	if (rc != 0)
		tell_resume(im);
}

static int
run_import(struct cli *c, struct weir_err *err)
{
	const char *path = cli_get(c, "FILE");
	struct import im = {.c = c, .o.stopped = stopped};
	struct input_options in = {.path = path, .max_line = IMPORTER_LINE_MAX};
	int rc = take_options(&im, path, err), behind = 0;
	enum call_way way = CALL_HERE;

	in.quoted = im.csv_wanted;
	in.stop_fd = cli_stop_fd();
	if (rc == 0)
		rc = input_open(&im.o.input, &in, err);
	if (rc == 0)
		rc = open_rejects(&im, err);
	if (rc == 0)
		rc = call_open_write(c, &im.o.store, &way, err);
	if (rc == 0) {
		if (way != CALL_HERE && im.o.batch > IMPORT_SEND_MAX)
			im.o.batch = IMPORT_SEND_MAX;
		im.o.send = send_lines;
		progress_init(&im.progress, c->err_tty && !c->json, "lines",
			      input_size(im.o.input));
		im.o.progress = &im.progress;
		im.o.refused = tell_refused;
		im.o.cookie = &im;
		rc = importer_run(&im.o, &im.counts, err);
		tell(&im, rc);
		if (rc != WEIR_ESTOPPED && im.counts.appended > 0)
			behind = way == CALL_HERE
					 ? cli_deliver(c, im.o.store, NULL)
					 : cli_await(c);
	}
	cli_close(c, im.o.store);
	outfile_close(im.o.rejects);
	input_close(im.o.input);
	mem_free(im.maps);
	if (rc == WEIR_ESTOPPED)
		return cli_exit_status(rc);
	if (rc == 0 && im.counts.refused > 0)
		return cli_exit_status(WEIR_EPARTIAL);
	return rc != 0 ? rc : behind;
}

static const struct cli_option import_options[] = {
	{"format", 0, "ndjson|csv", 0,
	 "what the input is (ndjson; csv when FILE ends in .csv)"},
	{"source", 0, "NAME", 0,
	 "what derived event ids begin from (the name of FILE, without its "
	 "folder)"},
	{"fresh-ids", 0, NULL, 0,
	 "derive no event ids: the same input again is appended again"},
	{"batch", 0, "N", 0, "lines written and synced together (1000)"},
	{"reject", 0, "FILE", 0,
	 "write refused lines here, each as {\"line\", \"reason\", "
	 "\"text\"}"},
	{"map", 0, "M=COLUMN", CLI_MANY,
	 "csv: take member M of the event from a column, or from a constant: "
	 "M==CONSTANT (default: the column called M)"},
	{"payload-columns", 0, "A,B", 0,
	 "csv: the columns of the payload (those that are not mapped)"},
	{"typed", 0, NULL, 0,
	 "csv: cells that are numbers, true or false keep their type and an "
	 "empty one is null; quoted ones stay strings"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_operand import_operands[] = {
	{"FILE", NULL, CLI_REQUIRED},
	{NULL, NULL, 0},
};

const struct cli_command import_commands[] = {
	{"import", "append the events of a file, or of standard input (-)",
	 "Each line is a JSON object in the shape of the body of POST "
	 "/v1/events, or an EventRecord as export prints it (then its version "
	 "is the expected version and its hash is checked), and is appended "
	 "on its own: one that is refused takes no other with it.\n\n"
	 "A line without event_id gets one derived from --source, the line's "
	 "number and its bytes. So the same command run again after any "
	 "interruption goes on where it ended, and nothing is appended "
	 "twice.\n\n"
	 "Exit status 8 says that lines were refused.",
	 import_options, import_operands, CLI_SINKS, run_import},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
