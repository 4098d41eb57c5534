/* SPDX-License-Identifier: MIT */
/*
 * Dead letters point into the journal, so the record and the value that was
 * refused are read from there.
 */
#include "bus/deadview.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "bus/deadletter.h"
#include "model/fold.h"
#include "store/reader.h"
#include "store/store.h"

#include <inttypes.h>
#include <string.h>

const char *
deadview_status(const struct dead_letter *e)
{
	switch (e->status) {
	case DEAD_PARKED:
		return "parked";
	case DEAD_RETRY:
		return "retry";
	case DEAD_DISCARD:
		return "discard";
	case DEAD_CLOSED:
		return e->closed_as;
	}
	return "";
}

static void
put_text(struct buf *b, const char *name, struct weir_str value)
{
	buf_printf(b, ",\"%s\":", name);
	if (value.len == 0)
		buf_puts(b, "null");
	else
		json_put_string(b, value);
}

static void
put_time(struct buf *b, const char *name, int64_t us)
{
	char text[28];

	clock_text(text, us);
	put_text(b, name, str_of(us != 0 ? text : ""));
}

void
deadview_entry(struct buf *b, const struct dead_letter *e)
{
	buf_printf(b, "{\"sequence\":%" PRIu64 ",\"version\":%" PRIu64,
		   e->sequence, e->version);
	put_text(b, "aggregate_type", e->aggregate_type);
	put_text(b, "aggregate_id", e->aggregate_id);
	put_text(b, "status", str_of(deadview_status(e)));
	put_text(b, "reason", str_of(e->reason));
	put_text(b, "code", str_of(e->code));
	put_text(b, "column", str_of(e->column));
	put_text(b, "message", str_of(e->message));
	put_text(b, "hint", str_of(e->hint));
	buf_printf(b, ",\"attempts\":%" PRIu64 ",\"waiting\":%" PRIu64,
		   e->attempts, e->waiting);
	put_time(b, "first_at", e->first_at);
	put_time(b, "last_at", e->last_at);
}

/* ---- the value that was refused ---------------------------------------------
 */

/* Do a member's name and a column's agree, as far as columns are named after
 * members: letters and digits lower-cased, everything else an underscore. */
static bool
names_agree(struct weir_str name, const char *column)
{
	size_t at = 0;

	if (strncmp(column, "field_", 6) == 0 && names_agree(name, column + 6))
		return true;
	if (str_is(name, column))
		return true;
	if (name.len > 0 && name.data[0] >= '0' && name.data[0] <= '9' &&
	    *column++ != '_')
		return false;
	while (at < name.len) {
		uint32_t cp = str_utf8_next(name, &at);

		if (cp >= 'A' && cp <= 'Z')
			cp += 'a' - 'A';
		else if (!(cp >= 'a' && cp <= 'z') && !(cp >= '0' && cp <= '9'))
			cp = '_';
		if ((unsigned char)*column++ != cp)
			return false;
	}
	return *column == '\0';
}

/* Appends the member that the column is named after, as it was at the version
 * of the record; null when there is none. */
static int
put_value(struct buf *b, struct reader *r, const struct dead_letter *e,
	  uint64_t position, struct weir_err *err)
{
	const struct weir_sink_member *m;
	struct fold *f = fold_new();
	size_t n = 0;
	int rc = f != NULL ? fold_load(f, r, position, err) : err_nomem(err);

	if (rc == 0) {
		m = fold_members(f, &n);
		while (n > 0 && !str_is(m->name, e->column))
			m++, n--;
		if (n == 0)
			m = fold_members(f, &n);
		while (n > 0 && !names_agree(m->name, e->column))
			m++, n--;
		buf_puts(b, ",\"value\":");
		if (n > 0 && e->column[0] != '\0')
			buf_add_str(b, m->raw);
		else
			buf_puts(b, "null");
	}
	fold_free(f);
	return rc;
}

static int
put_record(struct buf *b, struct reader *side, const struct record_view *v,
	   struct weir_err *err)
{
	buf_puts(b, ",\"record\":");
	return reader_json(side, b, v, err);
}

int
deadview_whole(struct buf *b, struct store *s, const struct dead_letter *e,
	       struct weir_err *err)
{
	struct reader *r = reader_new(s), *side = reader_new(s);
	struct record_view v;
	int rc = r != NULL && side != NULL ? 0 : err_nomem(err);

	deadview_entry(b, e);
	if (rc == 0)
		rc = reader_sequence(r, &v, e->sequence, err);
	if (rc == 0)
		rc = put_value(b, side, e, v.position, err);
	if (rc == 0)
		rc = put_record(b, side, &v, err);
	buf_putc(b, '}');
	if (rc == 0 && b->failed)
		rc = err_nomem(err);
	reader_free(r);
	reader_free(side);
	return rc;
}
