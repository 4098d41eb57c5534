/* SPDX-License-Identifier: MIT */
/*
 * The EventRecord as one line of JSON. A JSON payload's bytes are kept as they
 * came; line breaks can only stand between its tokens (inside of a string they
 * are escaped), so they become spaces without a scan.
 */
#include "store/record.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"

static void
put_member(struct buf *out, const char *name, struct weir_str s)
{
	buf_puts(out, name);
	json_put_string(out, s);
}

static void
put_time(struct buf *out, const char *name, int64_t us)
{
	char text[28];

	clock_text(text, us);
	buf_puts(out, name);
	buf_putc(out, '"');
	buf_puts(out, text);
	buf_putc(out, '"');
}

static void
put_digest(struct buf *out, const char *name, const uint8_t *digest)
{
	char hex[2 * RECORD_DIGEST + 1];

	buf_puts(out, name);
	if (digest == NULL) {
		buf_puts(out, "null");
		return;
	}
	str_hex(hex, digest, RECORD_DIGEST);
	buf_putc(out, '"');
	buf_puts(out, hex);
	buf_putc(out, '"');
}

static void
put_base64(struct buf *out, struct weir_str s)
{
	size_t n = str_base64_len(s.len);

	buf_puts(out, "{\"$base64\":\"");
	if (buf_reserve(out, n) == 0) {
		str_base64(out->data + out->len, s.data, s.len);
		out->len += n;
	}
	buf_puts(out, "\"}");
}

static void
put_payload(struct buf *out, const struct record_view *v)
{
	size_t at = out->len;

	buf_puts(out, ",\"payload\":");
	switch (v->content) {
	case WEIR_CONTENT_JSON:
		at = out->len;
		if (buf_add_str(out, v->payload) != 0)
			return;
		for (char *p = out->data + at; p < out->data + out->len; p++)
			if (*p == '\n' || *p == '\r')
				*p = ' ';
		break;
	case WEIR_CONTENT_TEXT:
		json_put_string(out, v->payload);
		break;
	case WEIR_CONTENT_BYTES:
		put_base64(out, v->payload);
		break;
	}
}

static void
put_actor(struct buf *out, const struct record_view *v)
{
	struct weir_str none = STR("");

	buf_puts(out, ",\"issued_by\":");
	if (v->group.data == NULL && v->user.data == NULL) {
		buf_puts(out, "null");
		return;
	}
	put_member(out, "{\"group\":", v->group.data ? v->group : none);
	put_member(out, ",\"user\":", v->user.data ? v->user : none);
	buf_putc(out, '}');
}

static void
put_metadata(struct buf *out, const struct record_view *v)
{
	char id[37];

	uuid_text(id, v->event_id);
	buf_puts(out, ",\"metadata\":{\"event_id\":\"");
	buf_puts(out, id);
	put_time(out, "\",\"created_at\":", v->created_at);
	put_actor(out, v);
	put_time(out, ",\"committed_at\":", v->committed_at);
	if (v->correlation_id.data != NULL)
		put_member(out, ",\"correlation_id\":", v->correlation_id);
	if (v->causation_id.data != NULL)
		put_member(out, ",\"causation_id\":", v->causation_id);
	if (v->traceparent.data != NULL)
		put_member(out, ",\"traceparent\":", v->traceparent);
	buf_putc(out, '}');
}

/* What the hash covers and the members above do not show; mostly nothing. */
static void
put_rest(struct buf *out, const struct record_view *v)
{
	static const char *const ops[] = {"event", "archived", "restored",
					  "shredded"};

	if (v->content == WEIR_CONTENT_TEXT)
		buf_puts(out, ",\"content\":\"text\"");
	else if (v->content == WEIR_CONTENT_BYTES)
		buf_puts(out, ",\"content\":\"bytes\"");
	if (v->op != WEIR_OP_EVENT)
		buf_printf(out, ",\"op\":\"%s\"", ops[v->op]);
	if (v->token != 0)
		buf_printf(out, ",\"token\":%" PRIu64, v->token);
}

int
record_json(struct buf *out, const struct record_view *v,
	    const uint8_t root[RECORD_DIGEST])
{
	put_member(out, "{\"aggregate_type\":", v->aggregate_type);
	put_member(out, ",\"aggregate_id\":", v->aggregate_id);
	put_member(out, ",\"event_type\":", v->event_type);
	put_payload(out, v);
	put_metadata(out, v);
	buf_printf(out, ",\"version\":%" PRIu64, v->version);
	put_digest(out, ",\"hash\":", v->hash);
	put_digest(out, ",\"merkle_root\":", root);
	buf_printf(out, ",\"sequence\":%" PRIu64 ",\"tags\":[", v->sequence);
	for (size_t i = 0; i < v->ntags; i++)
		put_member(out, i > 0 ? "," : "", v->tags[i]);
	buf_putc(out, ']');
	put_rest(out, v);
	buf_putc(out, '}');
	return out->failed ? WEIR_ENOMEM : 0;
}
