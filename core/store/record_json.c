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

#define FIXED_MAX 512u /* of the parts written in one go */
#define PUT(p, lit) ((p) = put_bytes((p), (lit), sizeof(lit) - 1))

static void
put_member(struct buf *out, const char *name, struct weir_str s)
{
	buf_puts(out, name);
	json_put_string(out, s);
}

static char *
put_bytes(char *p, const char *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

/* Quoted; and below: without the NUL that their makers add. */
static char *
put_time(char *p, int64_t us)
{
	*p = '"';
	clock_text(p + 1, us);
	p[28] = '"';
	return p + 29;
}

static char *
put_digest(char *p, const uint8_t *digest)
{
	if (digest == NULL)
		return put_bytes(p, "null", 4);
	*p = '"';
	str_hex(p + 1, digest, RECORD_DIGEST);
	p[1 + 2 * RECORD_DIGEST] = '"';
	return p + 2 + 2 * RECORD_DIGEST;
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
put_one_line(struct buf *out, struct weir_str s)
{
	char *from, *end;

	if (buf_add_str(out, s) != 0)
		return;
	end = out->data + out->len;
	from = end - s.len;
	for (char *p = from; (p = memchr(p, '\n', (size_t)(end - p))) != NULL;)
		*p = ' ';
	for (char *p = from; (p = memchr(p, '\r', (size_t)(end - p))) != NULL;)
		*p = ' ';
}

static void
put_payload(struct buf *out, const struct record_view *v)
{
	buf_puts(out, ",\"payload\":");
	switch (v->content) {
	case WEIR_CONTENT_JSON:
		put_one_line(out, v->payload);
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
	char *p;

	if (buf_reserve(out, FIXED_MAX) != 0)
		return;
	p = out->data + out->len;
	PUT(p, ",\"metadata\":{\"event_id\":\"");
	uuid_text(p, v->event_id);
	p += 36;
	PUT(p, "\",\"created_at\":");
	p = put_time(p, v->created_at);
	PUT(p, ",\"issued_by\":");
	out->len = (size_t)(p - out->data);
	put_actor(out, v);
	if (buf_reserve(out, FIXED_MAX) != 0)
		return;
	p = out->data + out->len;
	PUT(p, ",\"committed_at\":");
	p = put_time(p, v->committed_at);
	out->len = (size_t)(p - out->data);
	if (v->correlation_id.data != NULL)
		put_member(out, ",\"correlation_id\":", v->correlation_id);
	if (v->causation_id.data != NULL)
		put_member(out, ",\"causation_id\":", v->causation_id);
	if (v->traceparent.data != NULL)
		put_member(out, ",\"traceparent\":", v->traceparent);
	buf_putc(out, '}');
}

static void
put_place(struct buf *out, const struct record_view *v, const uint8_t *root)
{
	char *p;

	if (buf_reserve(out, FIXED_MAX) != 0)
		return;
	p = out->data + out->len;
	PUT(p, ",\"version\":");
	p += str_decimal(p, v->version);
	PUT(p, ",\"hash\":");
	p = put_digest(p, v->hash);
	PUT(p, ",\"merkle_root\":");
	p = put_digest(p, root);
	PUT(p, ",\"sequence\":");
	p += str_decimal(p, v->sequence);
	PUT(p, ",\"tags\":[");
	out->len = (size_t)(p - out->data);
}

/* What is not as usual; mostly nothing. */
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
	put_place(out, v, root);
	for (size_t i = 0; i < v->ntags; i++)
		put_member(out, i > 0 ? "," : "", v->tags[i]);
	buf_putc(out, ']');
	put_rest(out, v);
	buf_putc(out, '}');
	return out->failed ? WEIR_ENOMEM : 0;
}

static bool
has_line_breaks(const struct record_view *v)
{
	return v->content == WEIR_CONTENT_JSON &&
	       (memchr(v->payload.data, '\n', v->payload.len) != NULL ||
		memchr(v->payload.data, '\r', v->payload.len) != NULL);
}

int
record_json_exact(struct buf *out, const struct record_view *v,
		  const uint8_t root[RECORD_DIGEST])
{
	char hex[2 * 64 + 1];

	if (record_json(out, v, root) != 0)
		return WEIR_ENOMEM;
	out->len--; /* the closing brace */
	if (v->token != 0)
		buf_printf(out, ",\"token\":%" PRIu64, v->token);
	if (v->salt.data != NULL && v->salt.len > 0 && v->salt.len <= 64) {
		str_hex(hex, v->salt.data, v->salt.len);
		buf_printf(out, ",\"salt\":\"%s\"", hex);
	}
	if (has_line_breaks(v)) {
		size_t n = str_base64_len(v->payload.len);

		buf_puts(out, ",\"payload_base64\":\"");
		if (buf_reserve(out, n) == 0) {
			str_base64(out->data + out->len, v->payload.data,
				   v->payload.len);
			out->len += n;
		}
		buf_putc(out, '"');
	}
	buf_putc(out, '}');
	return out->failed ? WEIR_ENOMEM : 0;
}
