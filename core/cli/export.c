/* SPDX-License-Identifier: MIT */
/*
 * weir export: EventRecords in the order of their sequence, one a line. What
 * an EventRecord leaves out and its hash covers is added, so that an import
 * can check it: record_json_exact.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "store/reader.h"
#include "store/store.h"

struct filter {
	struct cli *c;
	uint64_t from, to, limit;
	int64_t after, before; /* committed_at: above after, below before */
	bool system;
};

static int
take_time(struct cli *c, int64_t *out, const char *option, int64_t dflt,
	  struct weir_err *err)
{
	const char *text = cli_get(c, option), *why;

	*out = dflt;
	if (text != NULL && clock_parse(out, str_of(text), &why) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--%s: %s in \"%s\"; write a time as "
			       "2026-01-31T12:00:00Z",
			       option, why, text);
	return 0;
}

static int
take_filter(struct filter *f, struct cli *c, struct weir_err *err)
{
	int rc = cli_u64(c, &f->from, "from", 1, err);

	f->c = c;
	f->system = cli_has(c, "system");
	if (rc == 0)
		rc = cli_u64(c, &f->to, "to", UINT64_MAX, err);
	if (rc == 0)
		rc = cli_u64(c, &f->limit, "limit", UINT64_MAX, err);
	if (rc == 0)
		rc = take_time(c, &f->after, "after-time", INT64_MIN, err);
	if (rc == 0)
		rc = take_time(c, &f->before, "before-time", INT64_MAX, err);
	if (rc == 0 && f->from == 0)
		f->from = 1;
	if (rc == 0 && f->from > f->to)
		rc = err_set(err, WEIR_EUSAGE,
			     "--from %" PRIu64 " is after --to %" PRIu64,
			     f->from, f->to);
	return rc;
}

/* True when no pattern was given for the option, or one matches s. */
static bool
matches(const struct filter *f, const char *option, struct weir_str s)
{
	const char *pattern;
	size_t at = 0;

	if (cli_count(f->c, option) == 0)
		return true;
	while ((pattern = cli_next(f->c, option, &at)) != NULL)
		if (str_match(str_of(pattern), s))
			return true;
	return false;
}

static bool
wanted(const struct filter *f, const struct record_view *v)
{
	bool tagged = cli_count(f->c, "tag") == 0;

	if (!f->system && v->aggregate_type.len > 0 &&
	    v->aggregate_type.data[0] == '$')
		return false;
	if (v->committed_at <= f->after || v->committed_at >= f->before)
		return false;
	for (size_t i = 0; !tagged && i < v->ntags; i++)
		tagged = matches(f, "tag", v->tags[i]);
	return tagged && matches(f, "aggregate", v->aggregate_type) &&
	       matches(f, "aggregate-id", v->aggregate_id) &&
	       matches(f, "event", v->event_type);
}

/* ---- the walk ------------------------------------------------------------ */

struct export
{
	struct cli *c;
	struct filter f;
	struct store *s;
	struct reader *r, *side;
	struct outfile *file; /* or NULL: standard output */
	struct progress progress;
	uint64_t done;
};

static struct buf *
buf_of(struct export *x)
{
	return x->file != NULL ? outfile_buf(x->file) : &x->c->out;
}

static int
end_line(struct export *x, struct buf *b, struct weir_err *err)
{
	x->done++;
	buf_putc(b, '\n');
	return x->file != NULL ? outfile_spill(x->file, err)
			       : out_spill(x->c, err);
}

static int
export_one(struct export *x, const struct record_view *v, struct weir_err *err)
{
	struct buf *b = buf_of(x);
	uint8_t root[RECORD_DIGEST];
	int rc = reader_root(x->side, root, v->position, err);

	if (rc == 0 && record_json_exact(b, v, root) != 0)
		rc = err_nomem(err);
	return rc != 0 ? rc : end_line(x, b, err);
}

static int
export_all(struct export *x, struct weir_err *err)
{
	uint64_t last = store_last(x->s);
	struct record_view v;
	int rc = 1;

	if (x->f.to < last)
		last = x->f.to;
	if (x->f.from > last || x->f.limit == 0)
		return 0;
	progress_init(&x->progress,
		      x->file != NULL && x->c->err_tty && !x->c->json,
		      "records", last - x->f.from + 1);
	reader_seek(x->r, x->f.from);
	while (x->done < x->f.limit && cli_stopped() == 0) {
		rc = reader_next(x->r, &v, err);
		if (rc <= 0 || v.committed_at >= x->f.before)
			break;
		if (wanted(&x->f, &v)) {
			rc = export_one(x, &v, err);
			if (rc != 0)
				break;
		}
		progress_update(&x->progress, v.sequence - x->f.from + 1,
				x->done);
		if (v.sequence == last)
			break;
	}
	progress_end(&x->progress);
	if (cli_stopped() != 0)
		return err_set(err, WEIR_ESTOPPED, "asked to stop");
	return rc < 0 ? rc : 0;
}

/* ---- of a server --------------------------------------------------------- */

static int
take_remote(void *cookie, const struct remote_record *r, struct weir_err *err)
{
	struct export *x = cookie;
	struct filter *f = &x->f;
	struct buf *b = buf_of(x);

	if (cli_stopped() != 0)
		return err_set(err, WEIR_ESTOPPED, "asked to stop");
	if (r->sequence > f->to || r->committed_at >= f->before)
		return 1;
	if (r->committed_at <= f->after || !remote_matches(x->c, r))
		return 0;
	buf_add_str(b, r->line);
	if (end_line(x, b, err) != 0)
		return err->code;
	progress_update(&x->progress, r->sequence - f->from + 1, x->done);
	return x->done >= f->limit;
}

static int
export_remote(struct export *x, struct weir_err *err)
{
	struct remote_walk w = {.after = x->f.from - 1,
				.system = x->f.system,
				.exact = true,
				.fn = take_remote,
				.cookie = x};
	uint64_t last = 0;
	int rc = remote_last(x->c, &last, err);

	if (x->f.to > last)
		x->f.to = last;
	if (rc != 0 || x->f.from > x->f.to || x->f.limit == 0)
		return rc;
	progress_init(&x->progress,
		      x->file != NULL && x->c->err_tty && !x->c->json,
		      "records", x->f.to - x->f.from + 1);
	rc = remote_each(x->c, &w, err);
	progress_end(&x->progress);
	return rc > 0 ? 0 : rc;
}

static int
run_export(struct cli *c, struct weir_err *err)
{
	const char *path = cli_get(c, "output");
	struct export x = {.c = c};
	int rc = take_filter(&x.f, c, err);

	if (rc == 0 && !call_network(c))
		rc = cli_open_read(c, &x.s, err);
	if (rc == 0 && x.s != NULL) {
		x.r = reader_new_mapped(x.s);
		x.side = reader_new_mapped(x.s);
		if (x.r == NULL || x.side == NULL)
			rc = err_nomem(err);
	}
	if (rc == 0 && path != NULL) {
		(void)cli_stop_fd();
		rc = outfile_open(&x.file, path, true, err);
	}
	if (rc == 0)
		rc = x.s != NULL ? export_all(&x, err) : export_remote(&x, err);
	if (rc == 0 && x.file != NULL)
		rc = outfile_finish(x.file, err);
	if (rc == 0 && x.file != NULL && c->json)
		buf_printf(&c->out, "{\"exported\":%" PRIu64 "}\n", x.done);
	else if (rc == 0 && x.file != NULL)
		cli_note(c, "%" PRIu64 " %s written to %s", x.done,
			 x.done == 1 ? "record" : "records", path);
	outfile_close(x.file);
	reader_free(x.r);
	reader_free(x.side);
	store_close(x.s);
	return rc;
}

static const struct cli_option export_options[] = {
	{"output", 'o', "FILE", 0,
	 "write to this file, which is there whole or not at all (standard "
	 "output)"},
	{"aggregate", 0, "PATTERN", CLI_MANY,
	 "only aggregate types that match (* and ?)"},
	{"aggregate-id", 0, "PATTERN", CLI_MANY, "only ids that match"},
	{"event", 0, "PATTERN", CLI_MANY, "only event types that match"},
	{"tag", 0, "PATTERN", CLI_MANY, "only records with a tag that matches"},
	{"from", 0, "SEQ", 0, "begin with this sequence (1)"},
	{"to", 0, "SEQ", 0, "end with this sequence (the last)"},
	{"after-time", 0, "WHEN", 0,
	 "only what was committed after this time, RFC 3339"},
	{"before-time", 0, "WHEN", 0,
	 "only what was committed before this time"},
	{"limit", 0, "N", 0, "at most N records"},
	{"system", 0, NULL, 0, "reserved aggregates ($...) too"},
	{NULL, 0, NULL, 0, NULL},
};

const struct cli_command export_commands[] = {
	{"export", "print EventRecords, one a line, in the order of sequence",
	 "Import takes what export prints: into an empty store it gives the "
	 "same records, with the same event ids, versions and times of "
	 "creation, and every hash is checked on the way.",
	 export_options, NULL, 0, run_export},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
