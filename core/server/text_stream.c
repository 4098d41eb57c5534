/* SPDX-License-Identifier: MIT */
/*
 * Subscriptions. One that is behind reads its collection's chain, a piece at a
 * turn. One that has all there is lies idle in its channel: following looks at
 * each committed record once for all of them, and gives channels the positions
 * of what is new.
 *
 * 1. `version` moves when bytes are the kernel's or a blocked write's, never
 *    before. A record that is sent in part is finished by that write.
 * 2. An idle one has all that its channel has before `fresh`; what it has of
 *    `fresh` already is left out by its version.
 * 3. While its connection is blocked a subscription is nowhere: nothing is
 *    kept for it but the rest of one record.
 */
#include "server/text_int.h"

#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

/* ---- lists -----------------------------------------------------------------
 */

static struct sub_list *
list_of(struct sub *s)
{
	return s->where == SUB_IDLE ? &s->channel->idle : &s->conn->t->ready;
}

static void
take_out(struct sub *s)
{
	struct sub_list *l;

	if (s->where == SUB_NOWHERE)
		return;
	l = list_of(s);
	if (s->before != NULL)
		s->before->next = s->next;
	else
		l->first = s->next;
	if (s->next != NULL)
		s->next->before = s->before;
	else
		l->last = s->before;
	s->where = SUB_NOWHERE;
}

static void
put_in(struct sub *s, enum sub_where where)
{
	struct sub_list *l;

	take_out(s);
	s->where = where;
	l = list_of(s);
	s->next = NULL;
	s->before = l->last;
	if (l->last != NULL)
		l->last->next = s;
	else
		l->first = s;
	l->last = s;
	if (where == SUB_READY)
		text_turn(s->conn->t);
}

/* ---- channels
 * ---------------------------------------------------------------- */

static struct channel **
bucket(struct text *t, const char *name, size_t len)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 1099511628211u;
	return &t->channels[(h ^ h >> 32) % TEXT_CHANNELS];
}

static struct channel *
find_channel(struct text *t, const char *name, size_t len)
{
	struct channel *c = *bucket(t, name, len);

	while (c != NULL && (c->len != len || memcmp(c->name, name, len) != 0))
		c = c->next;
	return c;
}

static struct channel *
join_channel(struct text *t, const char *name, size_t len)
{
	struct channel *c = find_channel(t, name, len);

	if (c == NULL) {
		struct channel **at = bucket(t, name, len);

		c = mem_new(sizeof(*c) + len);
		if (c == NULL)
			return NULL;
		c->len = len;
		memcpy(c->name, name, len);
		c->next = *at;
		*at = c;
	}
	c->subs++;
	return c;
}

/* One that following has touched is freed when it has been served. */
static void
leave_channel(struct text *t, struct channel *c)
{
	struct channel **at;

	must(c->subs > 0);
	if (--c->subs > 0 || c->is_touched)
		return;
	at = bucket(t, c->name, c->len);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	mem_free(c->fresh);
	mem_free(c);
}

/* Without memory for what is new the idle ones catch up by themselves. */
static void
add_fresh(struct text *t, struct channel *c, const struct record_view *v)
{
	if (!c->is_touched) {
		c->is_touched = true;
		c->is_lost = false;
		c->touched = t->touched;
		t->touched = c;
		c->first = v->version;
	}
	if (c->nfresh == c->fresh_cap && !c->is_lost) {
		size_t n = c->fresh_cap > 0 ? 2 * c->fresh_cap : 16;
		uint64_t *fresh = mem_resize(c->fresh, n * sizeof(*fresh));

		c->is_lost = fresh == NULL;
		c->fresh = fresh != NULL ? fresh : c->fresh;
		c->fresh_cap = fresh != NULL ? n : c->fresh_cap;
	}
	if (!c->is_lost)
		c->fresh[c->nfresh++] = v->position;
}

/* ---- sending
 * -------------------------------------------------------------------- */

/* Where a record ends in scratch, and what is true once it is sent. */
struct mark {
	size_t end;
	uint64_t version, given;
};

struct batch {
	struct sub *sub;
	size_t len; /* of scratch */
	size_t n;
	uint64_t version, given; /* behind the last record looked at */
	struct mark mark[TEXT_CHUNK];
};

static void
reached(struct sub *s, const struct mark *m)
{
	atomic_fetch_add_explicit(&s->conn->t->n_events, m->given - s->given,
				  memory_order_relaxed);
	s->version = m->version;
	s->given = m->given;
}

/* Sends what is in scratch: true when all of it went and the stream can go on.
 * Else the record that went in part is finished by a blocked write, and those
 * behind it will be looked at again. */
static bool
flush(struct batch *b)
{
	struct text_conn *c = b->sub->conn;
	struct text *t = c->t;
	size_t at = 0, sent;
	uv_buf_t all = uv_buf_init(t->scratch, (unsigned)b->len);
	int rc = b->len > 0 ? uv_try_write((uv_stream_t *)&c->tcp, &all, 1) : 0;

	if (rc < 0 && rc != UV_EAGAIN) {
		text_cut(c);
		return false;
	}
	sent = rc > 0 ? (size_t)rc : 0;
	if (sent == b->len) {
		reached(b->sub, &(struct mark){0, b->version, b->given});
		b->len = b->n = 0;
		return true;
	}
	while (b->mark[at].end <= sent)
		at++;
	reached(b->sub, &b->mark[at]);
	text_send(c, t->scratch + sent, b->mark[at].end - sent);
	return false;
}

/* A large payload goes from the map, or from memory of its own. */
static bool
send_large(struct batch *b, const char *head, size_t n, struct weir_str tail,
	   char *own)
{
	struct text_conn *c = b->sub->conn;
	struct mark m = {0, b->version, b->given};

	reached(b->sub, &m);
	text_send_with(c, head, n, tail, own);
	return !c->gone && c->writing == 0;
}

/* Adds a record, which is the next: true when the stream can go on. */
static bool
add(struct batch *b, const struct record_view *v)
{
	char head[TEXT_EVENT_HEAD], *own;
	struct text *t = b->sub->conn->t;
	struct weir_str tail;
	size_t n;

	if (text_event(head, &n, &tail, &own, v) != 0) {
		text_cut(b->sub->conn);
		return false;
	}
	bool large = tail.len > TEXT_COPY_MAX;
	if ((large || b->len + n + tail.len + 1 > TEXT_SCRATCH) && !flush(b)) {
		mem_free(own);
		return false;
	}
	b->version = v->version;
	b->given++;
	if (large)
		return send_large(b, head, n, tail, own);
	memcpy(t->scratch + b->len, head, n);
	memcpy(t->scratch + b->len + n, tail.data, tail.len);
	b->len += n + tail.len + 1;
	t->scratch[b->len - 1] = '\n';
	b->mark[b->n++] = (struct mark){b->len, b->version, b->given};
	mem_free(own);
	return true;
}

static bool
matches(const struct sub *s, const struct record_view *v)
{
	if (v->op != WEIR_OP_EVENT)
		return false;
	if (s->tag.data == NULL)
		return true;
	for (size_t i = 0; i < v->ntags; i++)
		if (str_eq(v->tags[i], s->tag))
			return true;
	return false;
}

static bool
is_full(const struct batch *b)
{
	return b->sub->limit > 0 && b->given >= b->sub->limit;
}

/* Sends what matches of versions from..to at these positions: true when all of
 * it went. At most TEXT_CHUNK of them. */
static bool
send_range(struct sub *s, const uint64_t *at, uint64_t from, uint64_t to)
{
	struct batch b;
	struct record_view v;
	struct weir_err err;

	b.sub = s;
	b.len = b.n = 0;
	b.version = s->version;
	b.given = s->given;
	for (uint64_t i = from; i <= to && !is_full(&b); i++) {
		if (reader_at(s->conn->t->reader, &v, at[i - from], &err) !=
		    0) {
			if (flush(&b))
				text_stream_failed(s->conn, &err);
			return false;
		}
		if (!matches(s, &v))
			b.version = i;
		else if (!add(&b, &v))
			return false;
	}
	return flush(&b);
}

/* ---- serving
 * ------------------------------------------------------------------------ */

void
text_end_stream(struct text_conn *c)
{
	text_unsubscribe(c);
	text_say(c, "EndOfEventStream\n");
	if (!c->gone)
		text_go_on(c);
}

void
text_stream_failed(struct text_conn *c, const struct weir_err *err)
{
	text_unsubscribe(c);
	text_error_of(c, err);
	if (!c->gone)
		text_go_on(c);
}

static bool
is_blocked(const struct text_conn *c)
{
	return c->gone || c->ending || c->writing > 0;
}

/* What becomes of one that has sent all of what it was given. */
static void
settle(struct sub *s, uint64_t last)
{
	if (s->limit > 0 && s->given >= s->limit)
		text_end_stream(s->conn);
	else if (s->version < last)
		put_in(s, SUB_READY);
	else if (s->live)
		put_in(s, SUB_IDLE);
	else
		text_end_stream(s->conn);
}

/* Positions of its next versions: how many, 0 when there are none, or a code.
 * *last is the last version there is for it. */
static int64_t
find_next(struct sub *s, uint64_t *last, struct weir_err *err)
{
	struct text_conn *c = s->conn;
	struct reader *r = c->t->reader;
	struct weir_str type = STR(TEXT_TYPE), id = {c->name, c->name_len};
	struct record_view v;
	struct head head;
	int rc = store_refresh(c->t->store, err);

	if (rc == 0)
		rc = store_head(c->t->store, &head, type, id, err);
	*last = s->version;
	if (rc != 0)
		return rc == WEIR_ENOTFOUND ? 0 : rc;
	*last = s->live || head.version < s->end ? head.version : s->end;
	if (s->version >= *last)
		return 0;
	uint64_t to = *last - s->version > TEXT_CHUNK ? s->version + TEXT_CHUNK
						      : *last;
	if (to < head.version) {
		rc = reader_version(r, &v, type, id, to, err);
		head.position = v.position;
	}
	if (rc == 0)
		rc = reader_chain(r, c->t->chain, head.position, s->version + 1,
				  to, err);
	return rc != 0 ? rc : (int64_t)(to - s->version);
}

/* A turn of one that is behind. */
static void
serve(struct sub *s)
{
	struct text_conn *c = s->conn;
	struct weir_err err;
	uint64_t last;
	int64_t n;

	take_out(s);
	if (is_blocked(c))
		return;
	n = find_next(s, &last, &err);
	if (n < 0)
		text_stream_failed(c, &err);
	else if (n == 0 || send_range(s, c->t->chain, s->version + 1,
				      s->version + (uint64_t)n))
		settle(s, last);
}

/* Those who become ready again come behind the others. */
bool
text_serve_ready(struct text *t)
{
	for (unsigned n = 0; n < TEXT_SERVED && t->ready.first != NULL; n++)
		serve(t->ready.first);
	return t->ready.first != NULL;
}

void
text_stream_ready(struct text_conn *c)
{
	if (c->sub->where == SUB_NOWHERE && !is_blocked(c))
		put_in(c->sub, SUB_READY);
}

/* ---- following
 * ------------------------------------------------------------------------ */

/* One that is idle gets what is new; when that is more than a piece it catches
 * up by itself. */
static void
serve_fresh(struct sub *s, const struct channel *c)
{
	uint64_t from = s->version + 1, last = c->first + c->nfresh - 1;

	take_out(s);
	if (c->is_lost || from < c->first || last - s->version > TEXT_CHUNK) {
		put_in(s, SUB_READY);
		return;
	}
	if (is_blocked(s->conn))
		return;
	if (from > last ||
	    send_range(s, c->fresh + (from - c->first), from, last))
		settle(s, last);
}

static void
serve_touched(struct text *t)
{
	struct channel *c;

	while ((c = t->touched) != NULL) {
		struct sub *until = c->idle.last, *s;

		t->touched = c->touched;
		c->subs++; /* so that it stays */
		while (until != NULL && (s = c->idle.first) != NULL) {
			bool last = s == until;
			serve_fresh(s, c);
			if (last)
				break;
		}
		c->nfresh = 0;
		c->is_touched = false;
		leave_channel(t, c);
	}
}

/* What can't be read shows to each that follows. */
static void
follow_failed(struct text *t, const struct weir_err *err)
{
	for (struct text_conn *c = t->conns; c != NULL; c = c->next)
		if (c->sub != NULL && c->sub->live)
			text_stream_failed(c, err);
}

bool
text_follow(struct text *t)
{
	struct record_view v;
	struct weir_err err;
	unsigned n = 0;
	int rc;

	if (t->live == 0 || t->closing)
		return false;
	rc = store_refresh(t->store, &err);
	reader_enter(t->reader, &t->spot);
	while (rc == 0 && n++ < TEXT_SCAN) {
		rc = reader_next(t->reader, &v, &err);
		if (rc != 1)
			break;
		rc = 0;
		if (!str_is(v.aggregate_type, TEXT_TYPE))
			continue;
		struct channel *c = find_channel(t, v.aggregate_id.data,
						 v.aggregate_id.len);
		if (c != NULL)
			add_fresh(t, c, &v);
	}
	reader_leave(t->reader, &t->spot);
	serve_touched(t);
	if (rc < 0)
		follow_failed(t, &err);
	return rc == 0 && n > TEXT_SCAN;
}

/* ---- the beginning and the end
 * ------------------------------------------------------ */

/* Where it stands now is taken before the head is asked, so nothing that comes
 * between is missed. */
static void
begin_following(struct text *t)
{
	if (t->live++ > 0)
		return;
	t->spot = (struct reader_spot){store_last(t->store) + 1, 0, 0};
	text_arm(t);
}

static struct sub *
new_sub(struct text_conn *c, const struct text_query *q)
{
	size_t n = q->tag.data != NULL ? q->tag.len : 0;
	struct sub *s = mem_new(sizeof(*s) + n);

	if (s == NULL)
		return NULL;
	if (q->live) {
		s->channel = join_channel(c->t, c->name, c->name_len);
		if (s->channel == NULL) {
			mem_free(s);
			return NULL;
		}
	}
	s->conn = c;
	s->live = q->live;
	s->version = q->offset;
	s->limit = q->limit;
	if (q->tag.data != NULL) {
		s->tag = (struct weir_str){(char *)(s + 1), n};
		memcpy(s + 1, q->tag.data, n);
	}
	return s;
}

/* The version that its collection is at; 0 when there is none. */
static int
find_end(uint64_t *out, struct text_conn *c, struct weir_err *err)
{
	struct weir_str id = {c->name, c->name_len};
	struct head head = {0};
	int rc = store_refresh(c->t->store, err);

	if (rc == 0)
		rc = store_head(c->t->store, &head, STR(TEXT_TYPE), id, err);
	*out = head.version;
	return rc == WEIR_ENOTFOUND ? 0 : rc;
}

/* A client that says no more can't be told from one that is gone, and gets no
 * live stream. */
void
text_subscribe(struct text_conn *c, const struct text_query *query)
{
	struct text_query q = *query;
	struct weir_err err;
	struct sub *s;

	q.live = q.live && !c->eof;
	s = new_sub(c, &q);
	if (s == NULL || (!q.live && find_end(&s->end, c, &err) != 0)) {
		if (s != NULL && s->channel != NULL)
			leave_channel(c->t, s->channel);
		mem_free(s);
		text_error(c, "SubscriptionError");
		return;
	}
	c->sub = s;
	text_count(&c->t->n_subs);
	if (s->live)
		begin_following(c->t);
	text_say(c, "Subscribed\n");
	if (!c->gone && c->sub == s && s->where == SUB_NOWHERE)
		put_in(s, SUB_READY);
}

static void
stop_following(struct sub *s)
{
	if (!s->live)
		return;
	leave_channel(s->conn->t, s->channel);
	s->conn->t->live--;
	s->channel = NULL;
	s->live = false;
}

void
text_stop_following(struct text_conn *c)
{
	struct sub *s = c->sub;
	struct weir_err err;

	if (s == NULL || !s->live)
		return;
	take_out(s);
	stop_following(s);
	if (find_end(&s->end, c, &err) != 0)
		text_stream_failed(c, &err);
	else
		text_stream_ready(c);
}

void
text_unsubscribe(struct text_conn *c)
{
	struct sub *s = c->sub;

	if (s == NULL)
		return;
	take_out(s);
	stop_following(s);
	c->sub = NULL;
	atomic_fetch_sub_explicit(&c->t->n_subs, 1, memory_order_relaxed);
	mem_free(s);
}
