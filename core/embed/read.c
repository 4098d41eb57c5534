/* SPDX-License-Identifier: MIT */
/*
 * The embedding API: reading records, states and roots.
 *
 * weir_next goes through all records, or through one aggregate's. The links of
 * an aggregate lead backwards, so the positions of the next CHUNK versions are
 * collected from the last of them down, and read in order.
 */
#include "embed/embed.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/fold.h"
#include "store/reader.h"
#include "store/store.h"

#include <string.h>

/* A state may be as large as every payload of its aggregate together. */
#define STATE_MAX ((size_t)1 << 30)
#define CHUNK	  512u

/* One aggregate on its way through weir_next. */
struct walk {
	bool on;
	struct weir_str type, id; /* in names */
	uint64_t version;	  /* the next */
	uint64_t first, last;	  /* versions whose positions are in at */
	uint64_t at[CHUNK];
	char names[WEIR_NAME_MAX + WEIR_ID_MAX];
};

struct weir_reader {
	struct weir *w;
	struct reader *reader;
	uint64_t next;		 /* the lowest sequence that may come next */
	struct record_view view; /* what the last record points into */
	struct walk walk;
};

static void
walk_to(struct weir_reader *r, struct weir_str type, struct weir_str id,
	uint64_t version)
{
	struct walk *k = &r->walk;

	memcpy(k->names, type.data, type.len);
	memcpy(k->names + type.len, id.data, id.len);
	k->type = (struct weir_str){k->names, type.len};
	k->id = (struct weir_str){k->names + type.len, id.len};
	k->version = version;
	k->first = k->last = 0;
	k->on = true;
	r->next = 1;
}

EXPORT int
weir_reader_open(struct weir_reader **out, struct weir *w, struct weir_err *err)
{
	struct weir_reader *r = mem_new(sizeof(*r));

	if (!r)
		return err_nomem(err);
	r->w = w;
	r->reader = w->unmapped ? reader_new(w->store)
				: reader_new_mapped(w->store);
	if (!r->reader) {
		mem_free(r);
		return err_nomem(err);
	}
	r->next = 1;
	*out = r;
	return 0;
}

EXPORT int
weir_reader_clone(struct weir_reader **out, const struct weir_reader *r,
		  struct weir_err *err)
{
	struct weir_reader *c = NULL;
	int rc = weir_reader_open(&c, r->w, err);

	if (rc)
		return rc;
	if (r->walk.on)
		walk_to(c, r->walk.type, r->walk.id, r->walk.version);
	else
		weir_seek(c, r->next);
	c->next = r->next;
	*out = c;
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

/* ---- forward ------------------------------------------------------------- */

EXPORT void
weir_seek(struct weir_reader *r, uint64_t sequence)
{
	r->walk.on = false;
	r->next = sequence > 0 ? sequence : 1;
	reader_seek(r->reader, r->next);
}

EXPORT int
weir_seek_version(struct weir_reader *r, struct weir_str aggregate_type,
		  struct weir_str aggregate_id, uint64_t version,
		  struct weir_err *err)
{
	int rc = str_check_name(aggregate_type, "aggregate type", WEIR_NAME_MAX,
				false, err);

	if (rc == 0)
		rc = str_check_name(aggregate_id, "aggregate id", WEIR_ID_MAX,
				    false, err);
	if (rc == 0)
		walk_to(r, aggregate_type, aggregate_id,
			version > 0 ? version : 1);
	return rc;
}

EXPORT uint64_t
weir_tell(const struct weir_reader *r)
{
	return r->next;
}

/* Collects positions from the walk's version on: 1, 0 there is none yet, or a
 * code. */
static int
walk_collect(struct weir_reader *r, struct weir_err *err)
{
	struct walk *k = &r->walk;
	struct weir_err mine;
	struct head head;
	uint64_t last;
	int rc = embed_refresh(r->w, err);

	if (rc)
		return rc;
	/* Asked before the head: what comes between is above it. */
	last = store_last(r->w->store);
	rc = store_head(r->w->store, &head, k->type, k->id, &mine);
	if (rc == WEIR_ENOTFOUND || (rc == 0 && head.version < k->version)) {
		r->next = last + 1;
		return 0;
	}
	if (rc) {
		if (err)
			*err = mine;
		return rc;
	}
	last = head.version;
	if (last - k->version >= CHUNK) {
		last = k->version + CHUNK - 1;
		rc = reader_version(r->reader, &r->view, k->type, k->id, last,
				    err);
		head.position = r->view.position;
	}
	if (rc == 0)
		rc = reader_chain(r->reader, k->at, head.position, k->version,
				  last, err);
	if (rc)
		return rc;
	k->first = k->version;
	k->last = last;
	return 1;
}

static int
walk_next(struct weir_reader *r, struct weir_err *err)
{
	struct walk *k = &r->walk;
	int rc = 1;

	if (k->version > k->last)
		rc = walk_collect(r, err);
	if (rc != 1)
		return rc;
	rc = reader_at(r->reader, &r->view, k->at[k->version - k->first], err);
	if (rc)
		return rc;
	k->version++;
	return 1;
}

static int
plain_next(struct weir_reader *r, struct weir_err *err)
{
	int rc = reader_next(r->reader, &r->view, err);

	if (rc == 0) {
		rc = embed_refresh(r->w, err);
		if (rc == 0)
			rc = reader_next(r->reader, &r->view, err);
	}
	return rc;
}

EXPORT int
weir_next(struct weir_reader *r, struct weir_record *out, struct weir_err *err)
{
	int rc = r->walk.on ? walk_next(r, err) : plain_next(r, err);

	if (rc == 1) {
		record_out(out, &r->view);
		r->next = out->sequence + 1;
	}
	return rc;
}

/* ---- one aggregate ------------------------------------------------------- */

EXPORT int
weir_head(struct weir *w, struct weir_head *out, struct weir_str aggregate_type,
	  struct weir_str aggregate_id, struct weir_err *err)
{
	struct head head;
	int rc = embed_refresh(w, err);

	if (rc == 0)
		rc = store_head(w->store, &head, aggregate_type, aggregate_id,
				err);
	if (rc == 0)
		*out = (struct weir_head){head.version, head.sequence,
					  head.archived};
	return rc;
}

struct each {
	int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
		  const struct weir_head *head);
	void *cookie;
	bool ended; /* by fn */
};

static int
each_one(void *cookie, struct weir_str type, struct weir_str id,
	 const struct head *h)
{
	struct weir_head head = {h->version, h->sequence, h->archived};
	struct each *e = cookie;
	int rc = e->fn(e->cookie, type, id, &head);

	e->ended = rc != 0;
	return rc;
}

EXPORT int
weir_each(struct weir *w,
	  int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
		    const struct weir_head *head),
	  void *cookie, struct weir_err *err)
{
	struct each e = {.fn = fn, .cookie = cookie};
	int rc = embed_refresh(w, err);

	if (rc)
		return rc;
	rc = store_each(w->store, false, each_one, &e);
	if (rc && !e.ended)
		err_set(err, rc, "cannot list the aggregates of %s",
			store_dir(w->store));
	return rc;
}

EXPORT int
weir_root(struct weir_reader *r, uint8_t root[32],
	  struct weir_str aggregate_type, struct weir_str aggregate_id,
	  uint64_t version, struct weir_err *err)
{
	int rc = find_version(r, aggregate_type, aggregate_id, version, err);

	return rc ? rc : reader_root(r->reader, root, r->view.position, err);
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
	char *copy;
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
	copy = mem_dup(text.data, text.len - 1);
	if (!copy) {
		rc = err_nomem(err);
		goto out;
	}
	*json = copy;
	*len = text.len - 1;
out:
	fold_free(fold);
	buf_fini(&text);
	return rc;
}

/* Not through the map: a bad file is to be named, not to raise a signal. */
EXPORT int
weir_verify(struct weir_reader *r, uint8_t root[32],
	    struct weir_str aggregate_type, struct weir_str aggregate_id,
	    struct weir_err *err)
{
	struct reader *own;
	struct head head;
	int rc = embed_refresh(r->w, err);

	if (rc == 0)
		rc = store_head(r->w->store, &head, aggregate_type,
				aggregate_id, err);
	if (rc)
		return rc;
	own = reader_new(r->w->store);
	if (!own)
		return err_nomem(err);
	rc = reader_verify(own, root, head.position, err);
	reader_free(own);
	return rc;
}

EXPORT int
weir_verify_all(struct weir *w, struct weir_check *out,
		void (*progress)(void *cookie, uint64_t done, uint64_t all),
		void *cookie, struct weir_err *err)
{
	struct check_report report;
	int rc = embed_refresh(w, err);

	if (rc == 0)
		rc = store_check(w->store, &report, progress, cookie, err);
	if (rc)
		return rc;
	out->segments = report.segments;
	out->groups = report.groups;
	out->records = report.records;
	out->aggregates = report.aggregates;
	out->bytes = report.bytes;
	memcpy(out->store_root, report.store_root, sizeof(out->store_root));
	return 0;
}
