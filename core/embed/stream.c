/* SPDX-License-Identifier: MIT */
/*
 * The embedding API: streams. A stream is an aggregate whose id is a decimal
 * number; its events are content bytes, so nothing is scanned or encoded.
 */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ID_TEXT	   20u /* digits of UINT64_MAX */
#define EVENT_TYPE "appended"

struct weir_stream {
	struct weir *w;
	struct weir_str name, event_type; /* in text */
	size_t size, largest;
	char text[2 * WEIR_NAME_MAX];
};

/* The text of an id, in out. */
static struct weir_str
id_text(char out[ID_TEXT], uint64_t id)
{
	size_t at = ID_TEXT;

	do {
		out[--at] = (char)('0' + id % 10);
		id /= 10;
	} while (id > 0);
	return (struct weir_str){out + at, ID_TEXT - at};
}

static int
check_options(const struct weir_stream *s, struct weir_err *err)
{
	int rc = str_check_name(s->name, "a stream's name", WEIR_NAME_MAX, true,
				err);

	if (rc == 0)
		rc = str_check_name(s->event_type, "event type", WEIR_NAME_MAX,
				    true, err);
	if (rc == 0 && s->largest > WEIR_PAYLOAD_MAX)
		rc = err_set(err, WEIR_EINPUT,
			     "an event of %zu bytes is too large; %u is the "
			     "most",
			     s->largest, WEIR_PAYLOAD_MAX);
	if (rc == 0 && s->size > s->largest)
		rc = err_set(err, WEIR_EINPUT,
			     "events of %zu bytes can't be the size when the "
			     "largest has %zu",
			     s->size, s->largest);
	return rc;
}

EXPORT int
weir_stream_open(struct weir_stream **out, struct weir *w, const char *name,
		 const struct weir_stream_options *options,
		 struct weir_err *err)
{
	static const struct weir_stream_options defaults;
	const struct weir_stream_options *o = options ? options : &defaults;
	struct weir_stream *s = mem_new(sizeof(*s));
	int rc;

	if (!s)
		return err_nomem(err);
	s->w = w;
	s->size = o->size;
	s->largest = o->largest > 0 ? o->largest
		     : o->size > 0  ? o->size
				    : WEIR_PAYLOAD_MAX;
	s->name = str_of(name);
	s->event_type = str_of(o->event_type ? o->event_type : EVENT_TYPE);
	rc = check_options(s, err);
	if (rc) {
		mem_free(s);
		return rc;
	}
	memcpy(s->text, s->name.data, s->name.len);
	s->name.data = s->text;
	memcpy(s->text + s->name.len, s->event_type.data, s->event_type.len);
	s->event_type.data = s->text + s->name.len;
	*out = s;
	return 0;
}

EXPORT void
weir_stream_close(struct weir_stream *s)
{
	mem_free(s);
}

/* ---- append -------------------------------------------------------------- */

static int
check_event(const struct weir_stream *s, const struct weir_stream_event *e,
	    struct weir_err *err)
{
	int name = (int)s->name.len;

	if (!e->data && e->len > 0)
		return err_set(err, WEIR_EINPUT,
			       "an event of stream %.*s %" PRIu64
			       " has no data",
			       name, s->name.data, e->id);
	if (s->size > 0 && e->len != s->size)
		return err_set(err, WEIR_EINPUT,
			       "an event of stream %.*s %" PRIu64
			       " has %zu bytes; this stream takes events of "
			       "%zu",
			       name, s->name.data, e->id, e->len, s->size);
	if (e->len > s->largest)
		return err_set(err, WEIR_EINPUT,
			       "an event of stream %.*s %" PRIu64
			       " has %zu bytes; the largest that this stream "
			       "takes is %zu",
			       name, s->name.data, e->id, e->len, s->largest);
	return 0;
}

static void
draft_of(struct record_draft *d, char id[ID_TEXT], const struct weir_stream *s,
	 const struct weir_stream_event *e)
{
	memset(d, 0, sizeof(*d));
	d->content = WEIR_CONTENT_BYTES;
	d->aggregate_type = s->name;
	d->aggregate_id = id_text(id, e->id);
	d->event_type = s->event_type;
	d->payload = (struct weir_str){e->len > 0 ? e->data : "", e->len};
	d->expected = e->expected_version;
}

/* Drafts and the texts of their ids: one block, or near for a single one. */
struct drafts {
	struct record_draft *draft;
	struct record_draft near;
	char near_id[ID_TEXT];
};

static int
drafts_init(struct drafts *d, const struct weir_stream *s,
	    const struct weir_stream_event *events, size_t n,
	    struct weir_err *err)
{
	char *ids = d->near_id;
	int rc = embed_check_append(s->w, n, err);

	d->draft = &d->near;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = check_event(s, &events[i], err);
		if (rc != 0 && err)
			err->sequence = i + 1;
	}
	if (rc == 0 && n > 1) {
		d->draft = mem_resize(NULL, n * (sizeof(*d->draft) + ID_TEXT));
		if (!d->draft)
			return err_nomem(err);
		ids = (char *)(d->draft + n);
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		draft_of(&d->draft[i], ids + i * ID_TEXT, s, &events[i]);
	return rc;
}

static void
drafts_fini(struct drafts *d)
{
	if (d->draft != &d->near)
		mem_free(d->draft);
}

EXPORT int
weir_stream_append(struct weir_stream *s, struct weir_receipt *receipts,
		   const struct weir_stream_event *events, size_t n,
		   struct weir_err *err)
{
	struct drafts d;
	int rc = drafts_init(&d, s, events, n, err);

	if (rc == 0)
		rc = embed_commit(s->w, receipts, d.draft, n, err);
	drafts_fini(&d);
	return rc;
}

EXPORT int
weir_stream_submit(struct weir_stream *s,
		   const struct weir_stream_event *events, size_t n, int flags,
		   weir_done *done, void *cookie, struct weir_err *err)
{
	struct embed_answer to = {done, cookie};
	struct drafts d;
	int rc = drafts_init(&d, s, events, n, err);

	if (rc == 0)
		rc = embed_submit(s->w, d.draft, n, flags, &to, err);
	drafts_fini(&d);
	return rc;
}

/* ---- read ---------------------------------------------------------------- */

EXPORT int
weir_stream_read(const struct weir_stream *s, struct weir_reader *r,
		 struct weir_record *out, uint64_t id, uint64_t version,
		 struct weir_err *err)
{
	char text[ID_TEXT];

	return weir_read_version(r, out, s->name, id_text(text, id), version,
				 err);
}

EXPORT int
weir_stream_seek(const struct weir_stream *s, struct weir_reader *r,
		 uint64_t id, uint64_t version, struct weir_err *err)
{
	char text[ID_TEXT];

	return weir_seek_version(r, s->name, id_text(text, id), version, err);
}

EXPORT bool
weir_stream_has(const struct weir_stream *s, uint64_t *id,
		const struct weir_record *record)
{
	struct weir_str text = record->aggregate_id;
	uint64_t value;

	if (!str_eq(record->aggregate_type, s->name) ||
	    record->content != WEIR_CONTENT_BYTES ||
	    (text.len > 1 && text.data[0] == '0') || str_u64(&value, text) != 0)
		return false;
	*id = value;
	return true;
}
