/* SPDX-License-Identifier: MIT */
/*
 * A batch goes through three steps: lines are gathered (fill), read into
 * drafts (prepare), and committed as one group (commit); then each line is
 * counted, and the refused ones are written to the reject file, in order.
 *
 * The event id of a line that has none is derived from the source's name, the
 * line's number and its bytes. So the same input given again finds its own
 * records and goes on where it was ended, whatever ended it.
 */
#include "cli/importer.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"
#include "cli/csvread.h"
#include "cli/input.h"
#include "cli/outfile.h"
#include "cli/progress.h"
#include "model/draft.h"
#include "store/store.h"

#define BATCH_BYTES (4u << 20) /* gathered before a batch is closed */

struct line {
	uint64_t number;
	size_t at, len;	    /* in text: as it came */
	size_t body, nbody; /* in bodies: CSV as JSON */
	bool cut;	    /* too long: only its beginning is there */
	size_t ready;	    /* its place among the drafts */
};

struct importer {
	const struct importer_options *o;
	struct importer_counts *counts;
	struct csvread *csv;
	struct buf text, bodies;
	size_t max, n, nready; /* lines of a batch; drafts among them */
	bool ended;

	struct line *lines;
	struct weir_err *faults;      /* by line; code 0: none yet */
	struct draft **drafts;	      /* by line */
	struct record_draft *records; /* by ready */
	struct receipt *receipts;
	struct weir_err *results;
	size_t *first;
	struct draft *actor; /* holds issued_by of this process */
};

static void
importer_fini(struct importer *im)
{
	for (size_t i = 0; im->drafts != NULL && i < im->max; i++)
		draft_free(im->drafts[i]);
	csvread_free(im->csv);
	draft_free(im->actor);
	buf_fini(&im->text);
	buf_fini(&im->bodies);
	mem_free(im->lines);
	mem_free(im->faults);
	mem_free(im->drafts);
	mem_free(im->records);
	mem_free(im->receipts);
	mem_free(im->results);
	mem_free(im->first);
}

static int
importer_init(struct importer *im, struct weir_err *err)
{
	size_t n = im->o->batch != 0 ? im->o->batch : IMPORTER_BATCH;

	im->max = n;
	buf_init(&im->text, BATCH_BYTES + 2 * IMPORTER_LINE_MAX);
	buf_init(&im->bodies, 8 * (BATCH_BYTES + 2 * IMPORTER_LINE_MAX));
	im->lines = mem_new(n * sizeof(*im->lines));
	im->faults = mem_new(n * sizeof(*im->faults));
	im->drafts = mem_new(n * sizeof(struct draft *));
	im->records = mem_new(n * sizeof(*im->records));
	im->receipts = mem_new(n * sizeof(*im->receipts));
	im->results = mem_new(n * sizeof(*im->results));
	im->first = mem_new((n + 1) * sizeof(*im->first));
	im->actor = draft_new();
	if (im->lines == NULL || im->faults == NULL || im->drafts == NULL ||
	    im->records == NULL || im->receipts == NULL ||
	    im->results == NULL || im->first == NULL || im->actor == NULL)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		im->drafts[i] = draft_new();
		if (im->drafts[i] == NULL)
			return err_nomem(err);
	}
	return draft_set_os_actor(im->actor, err);
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
	struct weir_err *fault = &im->faults[im->n];
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

/* ---- prepare ------------------------------------------------------------- */

static void
derive_id(struct record_draft *r, const char *source, uint64_t number,
	  struct weir_str text)
{
	uint64_t lengths[2] = {strlen(source), number};
	uint8_t head[16], digest[DIGEST_LEN];
	struct digest_part parts[] = {{head, sizeof(head)},
				      {source, strlen(source)},
				      {text.data, text.len}};

	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)(lengths[i / 8] >> (8 * (i % 8)));
	digest_sha256(digest, parts, sizeof(parts) / sizeof(parts[0]));
	uuid_from_hash(r->event_id, digest);
	r->has_event_id = true;
}

static int
read_draft(struct importer *im, struct line *l, struct draft *d,
	   struct weir_err *fault)
{
	struct weir_str text = {im->text.data + l->at, l->len};
	struct weir_str body = text;
	struct record_draft *r = draft_record(d);
	int rc;

	if (im->csv != NULL)
		body = (struct weir_str){im->bodies.data + l->body, l->nbody};
	draft_clear(d);
	rc = draft_parse(d, body, fault);
	if (rc == 0)
		rc = draft_check_hash(d, fault);
	if (rc != 0)
		return rc;
	r->token = 0; /* a token of another store says nothing in this one */
	if (!draft_has_actor(d)) {
		r->group = draft_record(im->actor)->group;
		r->user = draft_record(im->actor)->user;
	}
	if (!r->has_event_id && !im->o->fresh_ids)
		derive_id(r, im->o->source, l->number, text);
	return 0;
}

static void
prepare(struct importer *im)
{
	im->nready = 0;
	for (size_t i = 0; i < im->n; i++) {
		struct line *l = &im->lines[i];

		if (im->faults[i].code != 0)
			continue;
		if (read_draft(im, l, im->drafts[i], &im->faults[i]) != 0)
			continue;
		l->ready = im->nready;
		im->records[im->nready] = *draft_record(im->drafts[i]);
		im->first[im->nready] = im->nready;
		im->nready++;
	}
	im->first[im->nready] = im->nready;
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
	struct importer_counts *n = im->counts;
	const struct line *l = &im->lines[i];
	struct weir_err *fault = &im->faults[i];

	if (fault->code == 0 && im->results[l->ready].code != 0)
		*fault = im->results[l->ready];
	n->read++;
	n->line = l->number;
	if (fault->code == 0) {
		const struct receipt *r = &im->receipts[l->ready];

		if (r->duplicate) {
			n->already++;
			return 0;
		}
		n->appended++;
		n->last_sequence = r->sequence;
		return 0;
	}
	n->refused++;
	if (im->o->refused != NULL)
		im->o->refused(im->o->cookie, l->number, fault->msg);
	return im->o->rejects != NULL ? put_reject(im, l, fault->msg, err) : 0;
}

static int
commit(struct importer *im, struct weir_err *err)
{
	int rc = 0;

	if (im->nready > 0) {
		memset(im->results, 0, im->nready * sizeof(*im->results));
		rc = store_commit_group(im->o->store, im->receipts, im->results,
					im->records, im->first, im->nready,
					err);
	}
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
		prepare(&im);
		rc = commit(&im, err);
		if (o->progress != NULL)
			progress_update(o->progress, input_done(o->input),
					counts->read);
	}
	counts->elapsed_us = clock_monotonic() - started;
	importer_fini(&im);
	return rc;
}
