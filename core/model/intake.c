/* SPDX-License-Identifier: MIT */
/*
 * Lines are read into drafts and committed as one group. Those that can't be
 * read have their fault, and the others stand without gaps in `records`.
 */
#include "model/intake.h"

#include <string.h>
#include "base/digest.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/uuid.h"
#include "model/draft.h"
#include "store/store.h"

struct line {
	uint64_t number;
	struct weir_str text, body;
	size_t ready; /* its place in records */
};

struct intake {
	struct intake_options o;
	size_t n, nready;
	bool committed;

	struct line *lines;
	struct weir_err *faults;      /* by line; code 0: none */
	struct draft **drafts;	      /* by line */
	struct record_draft *records; /* by ready; and what follows */
	struct receipt *receipts;
	struct weir_err *results;
	size_t *first;
};

int
intake_new(struct intake **out, const struct intake_options *o,
	   struct weir_err *err)
{
	struct intake *in = mem_new(sizeof(*in));
	size_t n = o->lines;

	if (in == NULL)
		return err_nomem(err);
	in->o = *o;
	in->lines = mem_new(n * sizeof(*in->lines));
	in->faults = mem_new(n * sizeof(*in->faults));
	in->drafts = mem_new(n * sizeof(struct draft *));
	in->records = mem_new(n * sizeof(*in->records));
	in->receipts = mem_new(n * sizeof(*in->receipts));
	in->results = mem_new(n * sizeof(*in->results));
	in->first = mem_new((n + 1) * sizeof(*in->first));
	if (in->lines == NULL || in->faults == NULL || in->drafts == NULL ||
	    in->records == NULL || in->receipts == NULL ||
	    in->results == NULL || in->first == NULL) {
		intake_free(in);
		return err_nomem(err);
	}
	*out = in;
	return 0;
}

void
intake_free(struct intake *in)
{
	if (in == NULL)
		return;
	for (size_t i = 0; in->drafts != NULL && i < in->o.lines; i++)
		draft_free(in->drafts[i]);
	mem_free(in->lines);
	mem_free(in->faults);
	mem_free(in->drafts);
	mem_free(in->records);
	mem_free(in->receipts);
	mem_free(in->results);
	mem_free(in->first);
	mem_free(in);
}

void
intake_clear(struct intake *in)
{
	in->n = in->nready = 0;
	in->committed = false;
}

size_t
intake_count(const struct intake *in)
{
	return in->n;
}

void
intake_add(struct intake *in, uint64_t number, struct weir_str text,
	   struct weir_str body)
{
	must(in->n < in->o.lines && !in->committed);
	in->lines[in->n] =
		(struct line){.number = number, .text = text, .body = body};
	in->faults[in->n++].code = 0;
}

void
intake_add_refused(struct intake *in, uint64_t number,
		   const struct weir_err *fault)
{
	must(in->n < in->o.lines && !in->committed);
	in->lines[in->n] = (struct line){.number = number};
	in->faults[in->n++] = *fault;
}

/* ---- reading ------------------------------------------------------------- */

void
intake_derive(uint8_t out[16], struct weir_str source, uint64_t number,
	      struct weir_str text)
{
	uint64_t lengths[2] = {source.len, number};
	uint8_t head[16], digest[DIGEST_LEN];
	struct digest_part parts[] = {{head, sizeof(head)},
				      {source.data, source.len},
				      {text.data, text.len}};

	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)(lengths[i / 8] >> (8 * (i % 8)));
	digest_sha256(digest, parts, sizeof(parts) / sizeof(parts[0]));
	uuid_from_hash(out, digest);
}

static int
read_line(struct intake *in, const struct line *l, struct draft *d,
	  struct weir_err *fault)
{
	struct record_draft *r = draft_record(d);
	int rc;

	draft_clear(d);
	rc = draft_parse(d, l->body, fault);
	if (rc == 0)
		rc = draft_check_hash(d, fault);
	if (rc != 0)
		return rc;
	r->token = 0;
	rc = in->o.admit(in->o.cookie, d, fault);
	if (rc == 0 && !r->has_event_id && in->o.source.data != NULL) {
		intake_derive(r->event_id, in->o.source, l->number, l->text);
		r->has_event_id = true;
	}
	return rc;
}

static int
read_lines(struct intake *in, struct weir_err *err)
{
	for (size_t i = 0; i < in->n; i++) {
		if (in->faults[i].code != 0)
			continue;
		if (in->drafts[i] == NULL)
			in->drafts[i] = draft_new();
		if (in->drafts[i] == NULL)
			return err_nomem(err);
		if (read_line(in, &in->lines[i], in->drafts[i],
			      &in->faults[i]) != 0)
			continue;
		in->lines[i].ready = in->nready;
		in->records[in->nready] = *draft_record(in->drafts[i]);
		in->first[in->nready] = in->nready;
		in->nready++;
	}
	in->first[in->nready] = in->nready;
	return 0;
}

/* ---- committing ---------------------------------------------------------- */

int
intake_commit(struct intake *in, struct weir_err *err)
{
	int rc = read_lines(in, err);

	if (rc != 0)
		return rc;
	if (in->nready > 0) {
		memset(in->results, 0, in->nready * sizeof(*in->results));
		rc = store_commit_group(in->o.store, in->receipts, in->results,
					in->records, in->first, in->nready,
					err);
	}
	in->committed = rc == 0;
	return rc;
}

const struct receipt *
intake_answer(const struct intake *in, size_t i, uint64_t *number,
	      const struct weir_err **fault)
{
	const struct line *l = &in->lines[i];

	*number = l->number;
	*fault = in->faults[i].code != 0 ? &in->faults[i] : NULL;
	if (*fault != NULL || !in->committed)
		return NULL;
	if (in->results[l->ready].code == 0)
		return &in->receipts[l->ready];
	*fault = &in->results[l->ready];
	return NULL;
}
