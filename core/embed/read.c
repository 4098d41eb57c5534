/* SPDX-License-Identifier: MIT */
/* The embedding API: reading records, states and roots. */
#include "embed/embed.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "model/fold.h"
#include "store/reader.h"
#include "store/store.h"

#include <string.h>

/* A state may be as large as every payload of its aggregate together. */
#define STATE_MAX ((size_t)1 << 30)

struct weir_reader {
	struct weir *w;
	struct reader *reader;
	struct record_view view; /* what the last record points into */
};

EXPORT int
weir_reader_open(struct weir_reader **out, struct weir *w, struct weir_err *err)
{
	struct weir_reader *r = mem_new(sizeof(*r));

	if (!r)
		return err_nomem(err);
	r->w = w;
	r->reader = reader_new(w->store);
	if (!r->reader) {
		mem_free(r);
		return err_nomem(err);
	}
	*out = r;
	return 0;
}

EXPORT void
weir_reader_close(struct weir_reader *r)
{
	if (!r)
		return;
	reader_free(r->reader);
	mem_free(r);
}

static void
record_out(struct weir_record *out, const struct record_view *v)
{
	out->sequence = v->sequence;
	out->version = v->version;
	out->op = v->op;
	out->content = v->content;
	out->aggregate_type = v->aggregate_type;
	out->aggregate_id = v->aggregate_id;
	out->event_type = v->event_type;
	out->payload = v->payload;
	out->group = v->group;
	out->user = v->user;
	out->tags = v->tags;
	out->ntags = v->ntags;
	out->correlation_id = v->correlation_id;
	out->causation_id = v->causation_id;
	out->traceparent = v->traceparent;
	memcpy(out->event_id, v->event_id, sizeof(out->event_id));
	out->created_at = v->created_at;
	out->committed_at = v->committed_at;
	memcpy(out->hash, v->hash, sizeof(out->hash));
	out->end_of_commit = v->end_of_commit;
}

EXPORT int
weir_read(struct weir_reader *r, struct weir_record *out, uint64_t sequence,
	  struct weir_err *err)
{
	int rc = embed_refresh(r->w, err);

	if (rc == 0)
		rc = reader_sequence(r->reader, &r->view, sequence, err);
	if (rc == 0)
		record_out(out, &r->view);
	return rc;
}

/* The record of a version of an aggregate; version 0 means the newest. */
static int
find_version(struct weir_reader *r, struct weir_str type, struct weir_str id,
	     uint64_t version, struct weir_err *err)
{
	struct head head;
	int rc = embed_refresh(r->w, err);

	if (rc == 0)
		rc = store_head(r->w->store, &head, type, id, err);
	if (rc)
		return rc;
	if (version == 0)
		return reader_at(r->reader, &r->view, head.position, err);
	return reader_version(r->reader, &r->view, type, id, version, err);
}

EXPORT int
weir_read_version(struct weir_reader *r, struct weir_record *out,
		  struct weir_str aggregate_type, struct weir_str aggregate_id,
		  uint64_t version, struct weir_err *err)
{
	int rc = find_version(r, aggregate_type, aggregate_id, version, err);

	if (rc == 0)
		record_out(out, &r->view);
	return rc;
}

EXPORT void
weir_seek(struct weir_reader *r, uint64_t sequence)
{
	reader_seek(r->reader, sequence);
}

EXPORT int
weir_next(struct weir_reader *r, struct weir_record *out, struct weir_err *err)
{
	int rc = reader_next(r->reader, &r->view, err);

	if (rc == 0) {
		rc = embed_refresh(r->w, err);
		if (rc == 0)
			rc = reader_next(r->reader, &r->view, err);
	}
	if (rc == 1)
		record_out(out, &r->view);
	return rc;
}

EXPORT int
weir_state(struct weir_reader *r, char **json, size_t *len,
	   struct weir_str aggregate_type, struct weir_str aggregate_id,
	   uint64_t version, struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	struct head head;
	struct fold *fold = NULL;
	struct buf text;
	uint64_t position;
	int rc;

	buf_init(&text, STATE_MAX);
	rc = find_version(r, aggregate_type, aggregate_id, version, err);
	if (rc)
		goto out;
	position = r->view.position;
	rc = store_head(r->w->store, &head, aggregate_type, aggregate_id, err);
	if (rc)
		goto out;
	rc = reader_root(r->reader, root, position, err);
	if (rc)
		goto out;
	fold = fold_new();
	rc = fold ? fold_load(fold, r->reader, position, err) : err_nomem(err);
	if (rc)
		goto out;
	if (fold_aggregate_json(&text, fold, aggregate_type, aggregate_id, root,
				head.archived) ||
	    buf_putc(&text, '\0')) {
		rc = err_nomem(err);
		goto out;
	}
	*len = text.len - 1;
	*json = mem_dup(text.data, text.len - 1);
	rc = *json ? 0 : err_nomem(err);
out:
	fold_free(fold);
	buf_fini(&text);
	return rc;
}

EXPORT int
weir_verify(struct weir_reader *r, uint8_t root[32],
	    struct weir_str aggregate_type, struct weir_str aggregate_id,
	    struct weir_err *err)
{
	int rc = find_version(r, aggregate_type, aggregate_id, 0, err);

	return rc ? rc : reader_verify(r->reader, root, r->view.position, err);
}
