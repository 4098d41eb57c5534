/* SPDX-License-Identifier: MIT */
/*
 * A feed between two calls is a place in the journal, what its options point to
 * and the rest of a record's text that did not fit.
 *
 * 1. It moves behind a record only when the text is in the caller's memory or
 *    kept as its rest; so a failed call can be made again.
 * 2. Readers are lent by the store's pool for the time of one feed_read: there
 *    are as many as threads that read at once. A pool lives as long as feeds
 *    of its store do.
 */
#include "server/feed.h"

#include <pthread.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "store/reader.h"
#include "store/store.h"

#define SCAN_MOST 16384u      /* records looked at in one call */
#define TEXT_MAX  (64u << 20) /* of one record */
#define TEXT_KEEP (256u << 10)

/* ---- readers ------------------------------------------------------------- */

struct lent {
	struct lent *next;
	struct reader *reader;
	struct buf text;
};

struct pool {
	struct pool *next;
	struct store *s;
	size_t feeds;
	struct lent *idle;
};

static pthread_mutex_t pools_mu = PTHREAD_MUTEX_INITIALIZER;
static struct pool *pools; /* guarded, with what is in them, by pools_mu */

static struct pool *
pool_join(struct store *s)
{
	struct pool *p;

	pthread_mutex_lock(&pools_mu);
	for (p = pools; p != NULL && p->s != s;)
		p = p->next;
	if (p == NULL && (p = mem_new(sizeof(*p))) != NULL) {
		p->s = s;
		p->next = pools;
		pools = p;
	}
	if (p != NULL)
		p->feeds++;
	pthread_mutex_unlock(&pools_mu);
	return p;
}

static void
free_lent(struct lent *l)
{
	if (l == NULL)
		return;
	reader_free(l->reader);
	buf_fini(&l->text);
	mem_free(l);
}

static void
pool_leave(struct pool *p)
{
	struct pool **at = &pools;

	pthread_mutex_lock(&pools_mu);
	must(p->feeds > 0);
	if (--p->feeds > 0)
		p = NULL;
	while (p != NULL && *at != p)
		at = &(*at)->next;
	if (p != NULL)
		*at = p->next;
	pthread_mutex_unlock(&pools_mu);
	if (p == NULL)
		return;
	for (struct lent *l = p->idle, *next; l != NULL; l = next) {
		next = l->next;
		free_lent(l);
	}
	mem_free(p);
}

static struct lent *
pool_lend(struct pool *p)
{
	struct lent *l;

	pthread_mutex_lock(&pools_mu);
	l = p->idle;
	if (l != NULL)
		p->idle = l->next;
	pthread_mutex_unlock(&pools_mu);
	if (l != NULL)
		return l;
	l = mem_new(sizeof(*l));
	if (l == NULL)
		return NULL;
	buf_init(&l->text, TEXT_MAX);
	l->reader = reader_new_mapped(p->s);
	if (l->reader == NULL) {
		mem_free(l);
		return NULL;
	}
	return l;
}

static void
pool_take_back(struct pool *p, struct lent *l)
{
	if (l->text.cap > TEXT_KEEP) {
		buf_fini(&l->text);
		buf_init(&l->text, TEXT_MAX);
	}
	pthread_mutex_lock(&pools_mu);
	l->next = p->idle;
	p->idle = l;
	pthread_mutex_unlock(&pools_mu);
}

/* ---- feeds --------------------------------------------------------------- */

struct feed {
	struct pool *pool;
	struct feed_options o; /* strings stand behind this struct */
	struct reader_spot spot;
	uint64_t end;	 /* the last sequence; live: none */
	uint64_t given;	 /* records */
	int64_t beat_at; /* monotonic; 0: never */
	char *rest;	 /* what did not fit, or NULL */
	size_t rest_at, rest_end;
	bool over;
};

static size_t
text_size(const struct weir_str *s)
{
	return s->data != NULL ? s->len : 0;
}

static char *
text_copy(struct weir_str *s, char *to)
{
	if (s->data == NULL)
		return to;
	memcpy(to, s->data, s->len);
	s->data = to;
	return to + s->len;
}

static void
put_off_beat(struct feed *f)
{
	if (f->o.heartbeat_us > 0)
		f->beat_at = clock_monotonic() + f->o.heartbeat_us;
}

int
feed_new(struct feed **out, const struct feed_options *o, struct weir_err *err)
{
	size_t n = text_size(&o->type) + text_size(&o->id) +
		   text_size(&o->event) + text_size(&o->tag);
	struct feed *f;
	char *to;
	int rc = store_refresh(o->store, err);

	if (rc != 0)
		return rc;
	f = mem_new(sizeof(*f) + n);
	if (f == NULL)
		return err_nomem(err);
	f->pool = pool_join(o->store);
	if (f->pool == NULL) {
		mem_free(f);
		return err_nomem(err);
	}
	f->o = *o;
	to = text_copy(&f->o.type, (char *)(f + 1));
	to = text_copy(&f->o.id, to);
	to = text_copy(&f->o.event, to);
	text_copy(&f->o.tag, to);
	f->spot.sequence = o->after < UINT64_MAX ? o->after + 1 : o->after;
	f->end = o->live ? UINT64_MAX : store_last(o->store);
	f->over = o->after >= f->end;
	put_off_beat(f);
	*out = f;
	return 0;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	pool_leave(f->pool);
	mem_free(f->rest);
	mem_free(f);
}

uint64_t
feed_next(const struct feed *f, int64_t *at)
{
	*at = f->beat_at;
	return f->rest != NULL || f->over ? 0 : f->spot.sequence;
}

/* ---- reading ------------------------------------------------------------- */

static bool
has_tag(const struct record_view *v, struct weir_str tag)
{
	for (size_t i = 0; i < v->ntags; i++)
		if (str_eq(v->tags[i], tag))
			return true;
	return false;
}

static bool
fits(struct weir_str pattern, struct weir_str s)
{
	return pattern.data == NULL || str_match(pattern, s);
}

static bool
matches(const struct feed_options *o, const struct record_view *v)
{
	if (!fits(o->type, v->aggregate_type) ||
	    !fits(o->id, v->aggregate_id) || !fits(o->event, v->event_type) ||
	    (o->tag.data != NULL && !has_tag(v, o->tag)))
		return false;
	return o->wanted != NULL ? o->wanted(o->cookie, v)
				 : v->aggregate_type.data[0] != '$';
}

static size_t
take_rest(struct feed *f, char *out, size_t n)
{
	size_t have = f->rest_end - f->rest_at;

	if (f->rest == NULL)
		return 0;
	n = n < have ? n : have;
	memcpy(out, f->rest + f->rest_at, n);
	f->rest_at += n;
	if (f->rest_at == f->rest_end) {
		mem_free(f->rest);
		f->rest = NULL;
	}
	return n;
}

/* Puts a text where the caller wants it, and keeps what does not fit. */
static int
hand_over(struct feed *f, const struct buf *text, char *out, size_t n,
	  size_t *got, struct weir_err *err)
{
	size_t now = text->len < n ? text->len : n;

	if (text->failed)
		return err_nomem(err);
	if (now < text->len) {
		f->rest = mem_dup(text->data + now, text->len - now);
		if (f->rest == NULL)
			return err_nomem(err);
		f->rest_at = 0;
		f->rest_end = text->len - now;
	}
	if (now > 0)
		memcpy(out, text->data, now);
	*got += now;
	return 0;
}

/* The next record in sight, refreshed once. */
static int
next_record(struct feed *f, struct reader *r, struct record_view *v,
	    struct weir_err *err)
{
	int rc = reader_next(r, v, err);

	if (rc != 0)
		return rc;
	rc = store_refresh(f->o.store, err);
	return rc != 0 ? rc : reader_next(r, v, err);
}

/* Looks at one record: 1 moved on, 0 there is none, or a code. */
static int
step(struct feed *f, struct lent *l, char *out, size_t n, size_t *got,
     struct weir_err *err)
{
	struct record_view v;
	uint64_t sequence;
	int rc = next_record(f, l->reader, &v, err);

	if (rc <= 0)
		return rc;
	sequence = v.sequence;
	if (matches(&f->o, &v)) {
		struct reader_spot behind;

		reader_leave(l->reader, &behind);
		buf_clear(&l->text);
		rc = f->o.put(f->o.cookie, &l->text, l->reader, &v, err);
		reader_enter(l->reader, &behind);
		if (rc == 0)
			rc = hand_over(f, &l->text, out, n, got, err);
		if (rc != 0)
			return rc;
		f->given++;
	}
	f->over = sequence >= f->end ||
		  (f->o.limit > 0 && f->given >= f->o.limit);
	return 1;
}

static int
read_records(struct feed *f, struct lent *l, char *out, size_t n, size_t *got,
	     struct weir_err *err)
{
	int rc = 1;

	reader_enter(l->reader, &f->spot);
	for (unsigned i = 0; rc == 1 && i < SCAN_MOST; i++) {
		if (*got >= n || f->rest != NULL || f->over)
			break;
		rc = step(f, l, out + *got, n - *got, got, err);
		if (rc == 1)
			reader_leave(l->reader, &f->spot);
	}
	return rc < 0 ? rc : 0;
}

static int
beat(struct feed *f, struct lent *l, char *out, size_t n, size_t *got,
     struct weir_err *err)
{
	if (f->beat_at == 0 || f->over || clock_monotonic() < f->beat_at)
		return 0;
	buf_clear(&l->text);
	f->o.beat(f->o.cookie, &l->text);
	return hand_over(f, &l->text, out, n, got, err);
}

int64_t
feed_read(struct feed *f, char *out, size_t n, struct weir_err *err)
{
	size_t got = take_rest(f, out, n);
	struct lent *l;
	int rc;

	if (got == 0 && f->over)
		return FEED_END;
	if (got < n && !f->over) {
		l = pool_lend(f->pool);
		if (l == NULL)
			return got > 0 ? (int64_t)got : err_nomem(err);
		rc = read_records(f, l, out, n, &got, err);
		if (rc == 0 && got == 0)
			rc = beat(f, l, out, n, &got, err);
		pool_take_back(f->pool, l);
		if (rc != 0 && got == 0)
			return rc;
	}
	if (got > 0)
		put_off_beat(f);
	return got > 0 ? (int64_t)got : f->over ? FEED_END : 0;
}
