/* SPDX-License-Identifier: MIT */
/*
 * A batch goes through two steps: lines are gathered (fill), and appended as
 * one group (commit), here by model/intake.h or by a server, which does the
 * same; then each line is counted, and the refused ones are written to the
 * reject file, in order.
 *
 * The event id of a line that has none is derived from the source's name, the
 * line's number and its bytes. So the same input given again finds its own
 * records and goes on where it was ended, whatever ended it.
 */
#include "cli/importer.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/csvread.h"
#include "cli/input.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "model/draft.h"
#include "model/intake.h"
#include "store/store.h"

#define BATCH_BYTES (4u << 20) /* gathered before a batch is closed */

struct line {
	uint64_t number;
	size_t at, len;	    /* in text: as it came */
	size_t body, nbody; /* in bodies: CSV as JSON */
	bool cut;	    /* too long: only its beginning is there */
};

struct importer {
	const struct importer_options *o;
	struct importer_counts *counts;
	struct csvread *csv;
	struct intake *intake;
	struct buf text, bodies;
	size_t max, n; /* lines of a batch */
	bool ended;

	struct line *lines;
	struct importer_line *sent;
	struct importer_answer *answers; /* by line */
	struct draft *actor;		 /* holds issued_by of this process */
};

static void
importer_fini(struct importer *im)
{
	intake_free(im->intake);
	csvread_free(im->csv);
	draft_free(im->actor);
	buf_fini(&im->text);
	buf_fini(&im->bodies);
	mem_free(im->lines);
	mem_free(im->sent);
	mem_free(im->answers);
}

/* A line that does not say who issued it was by who runs this. */
static int
admit(void *cookie, struct draft *d, struct weir_err *err)
{
	struct importer *im = cookie;
	struct record_draft *r = draft_record(d);

	(void)err;
	if (!draft_has_actor(d)) {
		r->group = draft_record(im->actor)->group;
		r->user = draft_record(im->actor)->user;
	}
	return 0;
}

static int
importer_init(struct importer *im, struct weir_err *err)
{
	size_t n = im->o->batch != 0 ? im->o->batch : IMPORTER_BATCH;
	struct intake_options o = {.store = im->o->store,
				   .lines = n,
				   .admit = admit,
				   .cookie = im};
	int rc;

	if (!im->o->fresh_ids)
		o.source = str_of(im->o->source);
	im->max = n;
	buf_init(&im->text, BATCH_BYTES + 2 * IMPORTER_LINE_MAX);
	buf_init(&im->bodies, 8 * (BATCH_BYTES + 2 * IMPORTER_LINE_MAX));
	im->lines = mem_new(n * sizeof(*im->lines));
	im->sent = mem_new(n * sizeof(*im->sent));
	im->answers = mem_new(n * sizeof(*im->answers));
	im->actor = draft_new();
	if (im->lines == NULL || im->sent == NULL || im->answers == NULL ||
	    im->actor == NULL)
		return err_nomem(err);
	rc = draft_set_os_actor(im->actor, err);
	return rc != 0 ? rc : intake_new(&im->intake, &o, err);
}

/* ---- fill ---------------------------------------------------------------- */

static bool
is_blank(struct weir_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] != ' ' && s.data[i] != '\t' && s.data[i] != '\r')
			return false;
	return true;
}

static int
take_header(struct importer *im, const struct input_line *l,
	    struct weir_err *err)
{
	if (l->too_long)
		return err_set(err, WEIR_EINPUT,
			       "the header of the CSV input is longer than %u "
			       "bytes",
			       IMPORTER_LINE_MAX);
	return csvread_new(&im->csv, im->o->csv, l->text, err);
}

static int
take_line(struct importer *im, const struct input_line *l, struct weir_err *err)
{
	struct line *to = &im->lines[im->n];
	struct weir_err *fault = &im->answers[im->n].fault;
	int rc = 0;

	*to = (struct line){.number = l->number,
			    .at = im->text.len,
			    .len = l->text.len,
			    .body = im->bodies.len,
			    .cut = l->too_long};
	fault->code = 0;
	if (buf_add_str(&im->text, l->text) != 0)
		return err_nomem(err);
	if (l->too_long)
		err_set(fault, WEIR_EINPUT, "longer than %u bytes",
			IMPORTER_LINE_MAX);
	else if (l->open_quote)
		err_set(fault, WEIR_EINPUT,
			"a quoted cell that begins here is never closed");
	else if (im->csv != NULL)
		rc = csvread_body(im->csv, &im->bodies, l->text, fault);
	if (rc == WEIR_ENOMEM)
		return err_nomem(err);
	if (rc != 0)
		im->bodies.len = to->body;
	to->nbody = im->bodies.len - to->body;
	im->n++;
	return 0;
}

static int
fill(struct importer *im, struct weir_err *err)
{
	struct input_line l;
	int rc;

	im->n = 0;
	buf_clear(&im->text);
	buf_clear(&im->bodies);
	while (im->n < im->max && im->text.len + im->bodies.len < BATCH_BYTES) {
		if (im->n > 0 && (input_would_wait(im->o->input) ||
				  (im->o->stopped != NULL && im->o->stopped())))
			break;
		rc = input_next(im->o->input, &l, err);
		if (rc == 0) {
			im->ended = true;
			break;
		}
		if (rc == WEIR_ESTOPPED && im->n > 0)
			break;
		if (rc < 0)
			return rc;
		if (is_blank(l.text) && !l.too_long)
			continue;
		if (im->o->csv != NULL && im->csv == NULL)
			rc = take_header(im, &l, err);
		else
			rc = take_line(im, &l, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- commit -------------------------------------------------------------- */

static int
put_reject(struct importer *im, const struct line *l, const char *reason,
	   struct weir_err *err)
{
	struct buf *b = outfile_buf(im->o->rejects);
	struct weir_str text = {im->text.data + l->at, l->len};

	buf_printf(b,
		   "{\"line\":%llu,\"reason\":", (unsigned long long)l->number);
	json_put_string(b, str_of(reason));
	buf_puts(b, ",\"text\":");
	if (l->cut) {
		buf_puts(b, "null");
	} else if (str_utf8_valid(text) == text.len) {
		json_put_string(b, text);
	} else {
		size_t n = str_base64_len(text.len);

		buf_puts(b, "{\"$base64\":\"");
		if (buf_reserve(b, n) == 0) {
			str_base64(b->data + b->len, text.data, text.len);
			b->len += n;
		}
		buf_puts(b, "\"}");
	}
	buf_puts(b, "}\n");
	return outfile_spill(im->o->rejects, err);
}

static int
settle(struct importer *im, size_t i, struct weir_err *err)
{
	const struct importer_answer *a = &im->answers[i];
	struct importer_counts *n = im->counts;
	const struct line *l = &im->lines[i];

	n->read++;
	n->line = l->number;
	if (a->fault.code == 0 && a->duplicate) {
		n->already++;
		return 0;
	}
	if (a->fault.code == 0) {
		n->appended++;
		n->last_sequence = a->sequence;
		return 0;
	}
	n->refused++;
	if (im->o->refused != NULL)
		im->o->refused(im->o->cookie, l->number, a->fault.msg);
	return im->o->rejects != NULL ? put_reject(im, l, a->fault.msg, err)
				      : 0;
}

/* Appends the lines that have no fault yet, in this process. */
static int
append(struct importer *im, struct weir_err *err)
{
	const struct weir_err *fault;
	const struct receipt *r;
	uint64_t number;
	int rc;

	intake_clear(im->intake);
	for (size_t i = 0; i < im->n; i++) {
		const struct importer_line *l = &im->sent[i];

		if (im->answers[i].fault.code != 0)
			intake_add_refused(im->intake, l->number,
					   &im->answers[i].fault);
		else
			intake_add(im->intake, l->number, l->text, l->body);
	}
	rc = intake_commit(im->intake, err);
	for (size_t i = 0; rc == 0 && i < im->n; i++) {
		struct importer_answer *a = &im->answers[i];

		r = intake_answer(im->intake, i, &number, &fault);
		if (r != NULL) {
			a->sequence = r->sequence;
			a->duplicate = r->duplicate;
		} else if (fault != NULL) {
			a->fault = *fault;
		}
	}
	return rc;
}

static int
commit(struct importer *im, struct weir_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < im->n; i++) {
		const struct line *l = &im->lines[i];
		struct importer_line *to = &im->sent[i];

		to->number = l->number;
		to->text = (struct weir_str){im->text.data + l->at, l->len};
		to->body = to->text;
		if (im->csv != NULL)
			to->body = (struct weir_str){im->bodies.data + l->body,
						     l->nbody};
	}
	if (im->n > 0)
		rc = im->o->store != NULL
			     ? append(im, err)
			     : im->o->send(im->o->cookie, im->answers, im->sent,
					   im->n, err);
	for (size_t i = 0; rc == 0 && i < im->n; i++)
		rc = settle(im, i, err);
	if (rc == 0 && im->o->rejects != NULL)
		rc = outfile_flush(im->o->rejects, err);
	return rc;
}

int
importer_run(const struct importer_options *o, struct importer_counts *counts,
	     struct weir_err *err)
{
	struct importer im = {.o = o, .counts = counts};
	int64_t started = clock_monotonic();
	int rc;

	memset(counts, 0, sizeof(*counts));
	rc = importer_init(&im, err);
	while (rc == 0 && !im.ended) {
		if (o->stopped != NULL && o->stopped()) {
			rc = err_set(err, WEIR_ESTOPPED, "asked to stop");
			break;
		}
		rc = fill(&im, err);
		if (rc != 0)
			break;
		rc = commit(&im, err);
		if (o->progress != NULL)
			progress_update(o->progress, input_done(o->input),
					counts->read);
	}
	counts->elapsed_us = clock_monotonic() - started;
	importer_fini(&im);
	return rc;
}
