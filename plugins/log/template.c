/* SPDX-License-Identifier: MIT */
/*
 * Templates are cut into pieces once, when the sink is opened:
 *
 * 1. A piece is text as it stands, or a placeholder; only state has a name.
 * 2. Nothing that a record holds can end the line or steer a terminal: bytes
 *    below 0x20, 0x7f and the code points U+0080 to U+009F are escaped.
 */
#include "template.h"

#include <stdio.h>
#include <string.h>

enum piece_kind {
	PIECE_TEXT,
	PIECE_AGGREGATE,
	PIECE_ID,
	PIECE_EVENT,
	PIECE_VERSION,
	PIECE_SEQUENCE,
	PIECE_USER,
	PIECE_TIME,
	PIECE_PAYLOAD,
	PIECE_STATE
};

static const struct {
	const char *name;
	enum piece_kind kind;
} placeholders[] = {
	{"aggregate", PIECE_AGGREGATE}, {"id", PIECE_ID},
	{"event", PIECE_EVENT},		{"version", PIECE_VERSION},
	{"sequence", PIECE_SEQUENCE},	{"user", PIECE_USER},
	{"time", PIECE_TIME},		{"payload", PIECE_PAYLOAD},
};

struct piece {
	enum piece_kind kind;
	struct weir_str text; /* TEXT: itself, STATE: the field's name */
};

struct template
{
	const struct weir_sink_host *host;
	struct weir_str source; /* the pieces point into it */
	size_t npieces;
	struct piece pieces[];
};

/* ---- reading ------------------------------------------------------------ */

static void
complain(struct template_wrong *wrong, size_t at, const char *what,
	 struct weir_str name)
{
	const size_t cap = sizeof(wrong->text);
	int n;

	if (name.len > 80)
		name.len = 80;
	n = snprintf(wrong->text + wrong->len, cap - wrong->len,
		     "%stemplate: %s%s%.*s%s at byte %zu",
		     wrong->len > 0 ? "; " : "", what,
		     name.data != NULL ? " {" : "", (int)name.len,
		     name.data != NULL ? name.data : "",
		     name.data != NULL ? "}" : "", at);
	/* what finds no room any more is left out whole */
	if (n > 0 && (size_t)n < cap - wrong->len)
		wrong->len += (size_t)n;
	wrong->text[wrong->len] = '\0';
}

/* What stands between braces; PIECE_TEXT when it is unknown. */
static struct piece
placeholder(struct weir_str name)
{
	struct piece p = {PIECE_TEXT, {NULL, 0}};

	for (size_t i = 0; i < sizeof(placeholders) / sizeof(*placeholders);
	     i++)
		if (text_same(name, text_of(placeholders[i].name)))
			p.kind = placeholders[i].kind;
	if (name.len > 6 && memcmp(name.data, "state.", 6) == 0) {
		p.kind = PIECE_STATE;
		p.text.data = name.data + 6;
		p.text.len = name.len - 6;
	}
	return p;
}

/* The next piece from *at on, which moves behind it; false at the end. */
static bool
next_piece(struct piece *out, const char *source, size_t *at,
	   struct template_wrong *wrong)
{
	const char *p = source + *at, *close;
	struct weir_str name;

	if (*p == '\0')
		return false;
	out->kind = PIECE_TEXT;
	out->text.data = p;
	if (*p != '{' && *p != '}') {
		out->text.len = strcspn(p, "{}");
		*at += out->text.len;
		return true;
	}
	out->text.len = 1;
	if (p[1] == *p) {
		*at += 2;
		return true;
	}
	close = *p == '{' ? strchr(p, '}') : NULL;
	if (close == NULL) {
		complain(wrong, *at,
			 *p == '{' ? "a brace that is never closed "
				     "(write {{ for a brace)"
				   : "a closing brace without an opening one "
				     "(write }} for a brace)",
			 (struct weir_str){NULL, 0});
		*at += 1;
		return true;
	}
	name.data = p + 1;
	name.len = (size_t)(close - p) - 1;
	*out = placeholder(name);
	if (out->kind == PIECE_TEXT)
		complain(wrong, *at, "unknown placeholder", name);
	*at += name.len + 2;
	return true;
}

void
template_check(struct template_wrong *wrong, const char *source)
{
	struct piece piece;
	size_t at = 0;

	wrong->len = 0;
	wrong->text[0] = '\0';
	while (next_piece(&piece, source, &at, wrong))
		continue;
}

bool
template_wants_state(const char *source)
{
	struct template_wrong wrong = {.len = 0};
	struct piece piece;
	size_t at = 0;

	while (next_piece(&piece, source, &at, &wrong))
		if (piece.kind == PIECE_STATE)
			return true;
	return false;
}

struct template *
template_new(const struct weir_sink_host *host, const char *source)
{
	struct template_wrong wrong = {.len = 0};
	struct weir_str copy;
	struct template *t;
	size_t at = 0;

	copy = sink_dup(host, text_of(source));
	if (copy.data == NULL)
		return NULL;
	t = sink_alloc(host, sizeof(*t) + copy.len * sizeof(t->pieces[0]));
	if (t == NULL) {
		host->release(host->cookie, (char *)copy.data);
		return NULL;
	}
	t->host = host;
	t->source = copy;
	while (next_piece(&t->pieces[t->npieces], copy.data, &at, &wrong))
		t->npieces++;
	return t;
}

void
template_free(struct template *t)
{
	if (t == NULL)
		return;
	t->host->release(t->host->cookie, (char *)t->source.data);
	t->host->release(t->host->cookie, t);
}

/* ---- writing ------------------------------------------------------------ */

/* How many bytes at p are a control character, 0 when none are. */
static size_t
control(const unsigned char *p, size_t left)
{
	if (*p < 0x20 || *p == 0x7f)
		return 1;
	return *p == 0xc2 && left > 1 && p[1] >= 0x80 && p[1] < 0xa0 ? 2 : 0;
}

/* Is there a byte that control() looks at? */
static bool
may_steer(struct weir_str s)
{
	unsigned found = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		found |= (unsigned)(c < 0x20) | (unsigned)(c == 0x7f) |
			 (unsigned)(c == 0xc2);
	}
	return found != 0;
}

static void
put_escaped(struct text *out, struct weir_str s)
{
	const unsigned char *p = (const unsigned char *)s.data;
	size_t from = 0, n;

	if (!may_steer(s)) {
		text_str(out, s);
		return;
	}
	for (size_t i = 0; i < s.len; i += n != 0 ? n : 1) {
		n = control(p + i, s.len - i);
		if (n == 0)
			continue;
		text_add(out, p + from, i - from);
		from = i + n;
		if (n == 2)
			text_fmt(out, "\\u%04x", p[i + 1]);
		else if (p[i] == '\n')
			text_puts(out, "\\n");
		else if (p[i] == '\r')
			text_puts(out, "\\r");
		else if (p[i] == '\t')
			text_puts(out, "\\t");
		else
			text_fmt(out, "\\u%04x", p[i]);
	}
	if (from < s.len)
		text_add(out, p + from, s.len - from);
}

static void
put_base64(struct text *out, struct weir_str s)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.data;

	for (size_t i = 0; i < s.len; i += 3) {
		size_t left = s.len - i;
		uint32_t v = (uint32_t)p[i] << 16;
		char four[4];

		v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= left > 2 ? p[i + 2] : 0;
		for (int k = 0; k < 4; k++)
			four[k] = set[v >> (18 - 6 * k) & 63];
		if (left < 3)
			four[3] = '=';
		if (left < 2)
			four[2] = '=';
		text_add(out, four, 4);
	}
}

static void
put_payload(struct text *out, const struct weir_sink_record *r)
{
	if (r->content != WEIR_CONTENT_BYTES) {
		put_escaped(out, r->payload);
		return;
	}
	text_puts(out, "{\"$base64\":\"");
	put_base64(out, r->payload);
	text_puts(out, "\"}");
}

/* A field of the state: a string without quotes, the rest as it came. */
static void
put_state(struct text *out, struct weir_str field,
	  const struct weir_sink_record *r)
{
	const struct weir_sink_member *m = r->state;
	const struct weir_sink_member *end = m + r->nstate;
	struct arena arena;

	while (m < end && !text_same(m->name, field))
		m++;
	if (m == end)
		return;
	if (m->kind != WEIR_STRING) {
		put_escaped(out, m->raw);
		return;
	}
	arena_init(&arena, out->host, out->max);
	struct weir_str s = text_decode(&arena, m->raw);
	if (s.data != NULL)
		put_escaped(out, s);
	else
		out->failed = true;
	arena_fini(&arena);
}

void
template_put(struct text *out, const struct template *t,
	     const struct weir_sink_record *r)
{
	char time[28];

	for (size_t i = 0; i < t->npieces; i++) {
		const struct piece *p = &t->pieces[i];

		switch (p->kind) {
		case PIECE_TEXT:
			put_escaped(out, p->text);
			break;
		case PIECE_AGGREGATE:
			put_escaped(out, r->aggregate_type);
			break;
		case PIECE_ID:
			put_escaped(out, r->aggregate_id);
			break;
		case PIECE_EVENT:
			put_escaped(out, r->event_type);
			break;
		case PIECE_VERSION:
			text_fmt(out, "%llu", (unsigned long long)r->version);
			break;
		case PIECE_SEQUENCE:
			text_fmt(out, "%llu", (unsigned long long)r->sequence);
			break;
		case PIECE_USER:
			put_escaped(out, r->user);
			break;
		case PIECE_TIME:
			t->host->time_text(t->host->cookie, r->created_at,
					   time);
			text_puts(out, time);
			break;
		case PIECE_PAYLOAD:
			put_payload(out, r);
			break;
		case PIECE_STATE:
			put_state(out, p->text, r);
			break;
		}
	}
}
