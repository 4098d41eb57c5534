/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/stream: records as they are committed, as Server-Sent Events or, by
 * Accept, as NDJSON. An event's id is the record's sequence, so a client that
 * comes back with Last-Event-ID goes on behind it.
 *
 * A token that is no longer good ends its streams: it is looked up again when
 * there is something to say, after a rule has changed, else at most once a
 * second.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"
#include "server/feed.h"
#include "store/reader.h"

#define RETRY "retry: 2000\n" /* when a client comes back, ms */

struct stream {
	struct api_call *c;
	struct api_filter filter;
	bool ndjson, named, told; /* told when to come back */
	int64_t checked; /* monotonic: when the token was looked up */
};

static bool
wanted(void *cookie, const struct record_view *v)
{
	struct stream *s = cookie;

	return api_wanted(s->c, &s->filter, v);
}

static void
tell_retry(struct stream *s, struct buf *out)
{
	if (!s->told)
		buf_puts(out, RETRY);
	s->told = true;
}

static int
put(void *cookie, struct buf *out, struct reader *side,
    const struct record_view *v, struct weir_err *err)
{
	struct stream *s = cookie;
	int rc = api_still(s->c, &s->checked, err);

	if (rc != 0)
		return rc;
	if (!s->ndjson) {
		tell_retry(s, out);
		if (s->named) {
			buf_puts(out, "event: ");
			buf_add_str(out, v->event_type);
			buf_putc(out, '\n');
		}
		buf_puts(out, "data: ");
	}
	rc = reader_json(side, out, v, err);
	if (s->ndjson)
		buf_putc(out, '\n');
	else /* last: some clients take it over before the event is whole */
		buf_printf(out, "\nid: %" PRIu64 "\n\n", v->sequence);
	return rc;
}

static void
beat(void *cookie, struct buf *out)
{
	struct stream *s = cookie;

	if (!s->ndjson)
		tell_retry(s, out);
	buf_puts(out, s->ndjson ? "\n" : ":\n\n");
}

/* Where it begins: Last-Event-ID goes over `after`, for a client that comes
 * back by itself still has that in its address. */
static int
take_after(struct api_call *c, uint64_t *after)
{
	const char *id = api_header(c, "Last-Event-ID");
	uint64_t last = store_last(c->api->store);
	struct weir_str text;

	*after = 0;
	if (id != NULL && id[0] != '\0') {
		if (str_u64(after, str_of(id)) != 0) {
			api_refuse(c, 400, WEIR_EINPUT,
				   "Last-Event-ID must be a sequence");
			return -1;
		}
	} else if (api_query(c, &text, "after") != 0 && str_is(text, "now")) {
		*after = last;
	} else if (api_query_u64(c, after, "after") < 0) {
		return -1;
	}
	if (*after <= last)
		return 0;
	api_refuse(c, 400, WEIR_EINPUT,
		   "there is no record with sequence %" PRIu64
		   " yet, the last is %" PRIu64 ": is this another store?",
		   *after, last);
	return -1;
}

static int
begin(struct api_call *c, struct feed_options *o, struct stream *s)
{
	struct weir_err err = {0};

	o->store = c->api->store;
	o->heartbeat_us =
		(int64_t)config_u64(api_config(c), "stream_heartbeat");
	o->type = s->filter.type;
	o->id = s->filter.id;
	o->event = s->filter.event;
	o->tag = s->filter.tag;
	o->wanted = wanted;
	o->put = put;
	o->beat = beat;
	o->cookie = s;
	api_field(c, "Cache-Control", "no-store");
	if (strcmp(c->request.method, "HEAD") != 0 &&
	    feed_new(&c->answer.feed, o, &err) != 0)
		return api_fail(c, &err);
	return api_reply_as(c, 200,
			    s->ndjson ? API_TYPE_NDJSON : "text/event-stream");
}

static int
run_stream(struct api_call *c)
{
	static const char *const params[] = {"after", "limit", "type",
					     "id",    "event", "tag",
					     "live",  "named", NULL};
	static const char *const types[] = {"text/event-stream",
					    API_TYPE_NDJSON, NULL};
	struct feed_options o = {.live = true};
	struct stream *s;
	int type;

	if (api_query_known(c, params) != 0 ||
	    api_query_u64(c, &o.limit, "limit") < 0 ||
	    take_after(c, &o.after) != 0 || api_query_flag(c, &o.live, "live") != 0)
		return 0;
	type = api_accept(c, types);
	if (type < 0)
		return 0;
	s = mem_new(sizeof(*s));
	if (s == NULL)
		return api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	c->own = s;
	s->c = c;
	s->ndjson = type == 1;
	s->checked = clock_monotonic();
	if (api_query_flag(c, &s->named, "named") != 0)
		return 0;
	api_take_filter(c, &s->filter);
	return begin(c, &o, s);
}

const struct api_route api_stream_routes[] = {
	{"GET", "/v1/stream", API_READ, run_stream, NULL},
	{NULL, NULL, 0, NULL, NULL},
};
