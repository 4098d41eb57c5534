/* SPDX-License-Identifier: MIT */
/* Live streams: what is read, from where, in what pieces, and who is woken. */
#include "store_test.h"

#include <pthread.h>
#include <semaphore.h>

#include "base/clock.h"
#include "base/os.h"
#include "server/feed.h"

#define RECORDS 60
#define READERS 4
#define LIVE	400

static struct weir_err err;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	os_set(NULL);
	folder_drop(dir);
	return 0;
}

/* ---- what stands in the store -------------------------------------------- */

static int
put_line(void *cookie, struct buf *out, struct reader *side,
	 const struct record_view *v, struct weir_err *e)
{
	struct record_view other;

	(void)cookie;
	/* Moves the reader: the feed must not mind. */
	if (reader_sequence(side, &other, 1 + v->sequence / 2, e) != 0)
		return e->code;
	buf_printf(out, "%llu ", (unsigned long long)v->sequence);
	buf_add_str(out, v->payload);
	return buf_putc(out, '\n');
}

static void
put_beat(void *cookie, struct buf *out)
{
	(void)cookie;
	buf_puts(out, "beat\n");
}

static void
add(struct store *s, unsigned n)
{
	static const char *const types[] = {"order", "person", "orbit"};
	static const struct weir_str odd[] = {{"odd", 3}, {"all", 3}},
				     even[] = {{"all", 3}};
	char id[16], payload[200];
	struct record_draft d;
	struct receipt r;

	snprintf(id, sizeof(id), "%u", n % 7);
	snprintf(payload, sizeof(payload), "{\"n\":%u,\"x\":\"%0*u\"}", n,
		 (int)(n * 7 % 90) + 1, n);
	d = draft_of(types[n % 3], id, n % 5 == 0 ? "begun" : "ended", payload);
	d.tags = n % 2 ? odd : even;
	d.ntags = n % 2 ? 2 : 1;
	if (n % 10 == 9) {
		d.system = true;
		d.aggregate_type = STR("$inner");
	}
	commit_one(s, &r, d);
}

static void
fill(struct store *s)
{
	for (unsigned n = 1; n <= RECORDS; n++)
		add(s, n);
}

static struct feed *
feed_of(struct feed_options o)
{
	struct feed *f = NULL;

	o.put = put_line;
	o.beat = put_beat;
	assert_ok(feed_new(&f, &o, &err), err);
	return f;
}

/* Reads to the end in pieces of n bytes. */
static char *
all_of(struct feed_options o, size_t n)
{
	struct feed *f = feed_of(o);
	char piece[512];
	struct buf text;
	int64_t got;

	buf_init(&text, 1 << 20);
	while ((got = feed_read(f, piece, n, &err)) != FEED_END) {
		if (got < 0)
			fail_msg("code %d: %s", (int)got, err.msg);
		assert_true((size_t)got <= n);
		buf_add(&text, piece, (size_t)got);
	}
	assert_int_equal(feed_read(f, piece, n, &err), FEED_END);
	feed_free(f);
	char *copy = strdup(buf_cstr(&text));
	buf_fini(&text);
	return copy;
}

static bool
is_number(const char *line, uint64_t sequence)
{
	return strtoull(line, NULL, 10) == sequence;
}

/* The sequences in a text, in order, are those that `want` says. */
static void
has_just(const char *text, uint64_t after, uint64_t limit,
	 bool (*want)(unsigned n))
{
	uint64_t given = 0;

	for (unsigned n = 1; n <= RECORDS; n++) {
		if (n <= after || n % 10 == 9 || (want != NULL && !want(n)) ||
		    (limit > 0 && given == limit))
			continue;
		given++;
		if (!is_number(text, n))
			fail_msg("%u should come next in: %.40s", n, text);
		text = strchr(text, '\n') + 1;
	}
	assert_string_equal(text, "");
}

/* ---- reading ------------------------------------------------------------- */

static void
test_pieces_and_resume(void **state)
{
	static const size_t sizes[] = {1, 7, 64, 512};
	struct store *s = must_write(dir);
	char *whole;

	(void)state;
	fill(s);
	whole = all_of((struct feed_options){.store = s}, 512);
	has_just(whole, 0, 0, NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *text =
			all_of((struct feed_options){.store = s}, sizes[i]);
		assert_string_equal(text, whole);
		free(text);
	}
	free(whole);
	for (uint64_t after = 0; after <= RECORDS + 2; after++)
		for (uint64_t limit = 0; limit < 4; limit++) {
			struct feed_options o = {
				.store = s, .after = after, .limit = limit};
			char *text = all_of(o, 100);
			has_just(text, after, limit, NULL);
			free(text);
		}
	store_close(s);
}

static bool
is_order(unsigned n)
{
	return n % 3 == 0;
}

static bool
is_or(unsigned n)
{
	return n % 3 != 1;
}

static bool
is_three(unsigned n)
{
	return n % 7 == 3;
}

static bool
is_begun(unsigned n)
{
	return n % 5 == 0;
}

static bool
is_odd(unsigned n)
{
	return n % 2 == 1;
}

static bool
is_none(unsigned n)
{
	return n == 0;
}

static bool
is_narrow(unsigned n)
{
	return is_order(n) && is_odd(n) && is_begun(n);
}

static void
test_filters(void **state)
{
	struct store *s = must_write(dir);
	struct {
		struct feed_options o;
		bool (*want)(unsigned n);
	} t[] = {
		{{.type = STR("order")}, is_order},
		{{.type = STR("or*")}, is_or},
		{{.id = STR("3")}, is_three},
		{{.event = STR("beg?n")}, is_begun},
		{{.tag = STR("odd")}, is_odd},
		{{.tag = STR("od*")}, is_none},
		{{.type = STR("")}, is_none},
		{{.type = STR("order"),
		  .event = STR("begun"),
		  .tag = STR("odd")},
		 is_narrow},
	};

	(void)state;
	fill(s);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (uint64_t limit = 0; limit < 3; limit++) {
			t[i].o.store = s;
			t[i].o.limit = limit;
			t[i].o.after = 5;
			char *text = all_of(t[i].o, 60);
			has_just(text, 5, limit, t[i].want);
			free(text);
		}
	store_close(s);
}

static bool
want_inner(void *cookie, const struct record_view *v)
{
	++*(unsigned *)cookie;
	return str_is(v->aggregate_type, "$inner");
}

static void
test_wanted(void **state)
{
	struct store *s = must_write(dir);
	unsigned asked = 0;
	char *text;

	(void)state;
	fill(s);
	text = all_of((struct feed_options){.store = s,
					    .wanted = want_inner,
					    .cookie = &asked},
		      100);
	assert_true(is_number(text, 9));
	assert_int_equal(asked, RECORDS);
	free(text);
	store_close(s);
}

static int64_t
due(const struct feed *f, uint64_t *sequence)
{
	int64_t at;

	*sequence = feed_next(f, &at);
	return at;
}

static void
test_live(void **state)
{
	struct store *w = must_write(dir), *s = must_read(dir);
	struct feed *f = feed_of((struct feed_options){
		.store = s, .live = true, .heartbeat_us = 1});
	struct feed *quiet =
		feed_of((struct feed_options){.store = s, .live = true});
	uint64_t sequence;
	char out[256];

	(void)state;
	while (clock_monotonic() < due(f, &sequence))
		continue;
	assert_int_equal(sequence, 1);
	assert_int_equal(feed_read(f, out, sizeof(out), &err), 5);
	assert_memory_equal(out, "beat\n", 5);
	assert_int_equal(feed_read(quiet, out, sizeof(out), &err), 0);
	assert_int_equal(due(quiet, &sequence), 0);
	add(w, 1);
	for (int i = 0; i < 3; i++) {
		assert_true(feed_read(quiet, out + i, 1, &err) == 1);
		due(quiet, &sequence);
		assert_int_equal(sequence, 0);
	}
	assert_memory_equal(out, "1 {", 3);
	assert_true(feed_read(quiet, out, sizeof(out), &err) > 1);
	assert_int_equal(feed_read(quiet, out, sizeof(out), &err), 0);
	due(quiet, &sequence);
	assert_int_equal(sequence, 2);
	feed_free(f);
	feed_free(quiet);
	store_close(s);
	store_close(w);
}

/* What is committed after it began does not belong to one that is not live. */
static void
test_end_is_now(void **state)
{
	struct store *s = must_write(dir);
	struct feed *f;
	char out[4096];

	(void)state;
	add(s, 1);
	add(s, 2);
	f = feed_of((struct feed_options){.store = s});
	add(s, 3);
	int64_t n = feed_read(f, out, sizeof(out), &err);
	assert_true(n > 0);
	out[n] = '\0';
	assert_null(strstr(out, "\n3 "));
	assert_non_null(strstr(out, "\n2 "));
	assert_int_equal(feed_read(f, out, sizeof(out), &err), FEED_END);
	feed_free(f);
	store_close(s);
}

/* ---- memory that can't be had ---------------------------------------------
 */

static unsigned until_none;

static void *
scarce(void *p, size_t n)
{
	if (until_none > 0 && --until_none == 0)
		return NULL;
	return os_real()->realloc(p, n);
}

static void
test_no_memory(void **state)
{
	struct store *s = must_write(dir);
	struct os table = *os_real();
	char *whole;
	bool failed = true;

	(void)state;
	fill(s);
	whole = all_of((struct feed_options){.store = s}, 512);
	table.realloc = scarce;
	for (unsigned nth = 1; failed; nth++) {
		struct feed_options o = {.store = s, .put = put_line};
		struct feed *f = NULL;
		char piece[40];
		struct buf text;
		int64_t n;

		failed = false;
		buf_init(&text, 1 << 20);
		buf_reserve(&text, 1 << 16);
		os_set(&table);
		until_none = nth;
		while (feed_new(&f, &o, &err) != 0)
			failed = true;
		while ((n = feed_read(f, piece, sizeof(piece), &err)) !=
		       FEED_END) {
			if (n < 0)
				failed = true;
			else
				buf_add(&text, piece, (size_t)n);
		}
		os_set(NULL);
		assert_string_equal(buf_cstr(&text), whole);
		feed_free(f);
		buf_fini(&text);
	}
	free(whole);
	store_close(s);
}

/* ---- waking ---------------------------------------------------------------
 */

struct waiter {
	struct hub_waiter w;
	sem_t woken;
	_Atomic unsigned times;
};

static void
wake(struct hub_waiter *w)
{
	struct waiter *own = (struct waiter *)w;

	own->times++;
	sem_post(&own->woken);
}

static void
waiter_init(struct waiter *w, uint64_t sequence, int64_t at)
{
	memset(w, 0, sizeof(*w));
	w->w.wake = wake;
	w->w.sequence = sequence;
	w->w.at = at;
	sem_init(&w->woken, 0, 0);
}

static void
test_hub(void **state)
{
	struct store *s = must_write(dir);
	struct hub *h = NULL;
	struct waiter a, b, c, d, e;

	(void)state;
	add(s, 1);
	assert_ok(hub_new(&h, s, &err), err);
	waiter_init(&a, 1, 0);
	waiter_init(&b, 2, 0);
	waiter_init(&c, 3, 0);
	waiter_init(&d, 100, 1);
	waiter_init(&e, 100, clock_monotonic() + 150000);
	hub_wait(h, &a.w);
	hub_wait(h, &d.w);
	sem_wait(&a.woken);
	sem_wait(&d.woken);
	hub_wait(h, &b.w);
	hub_wait(h, &c.w);
	add(s, 2);
	sem_wait(&b.woken);
	assert_int_equal(c.times, 0);
	hub_wait(h, &e.w);
	sem_wait(&e.woken);
	assert_true(clock_monotonic() >= e.w.at);
	hub_forget(h, &c.w);
	hub_forget(h, &c.w);
	add(s, 3);
	waiter_init(&a, 50, 0);
	waiter_init(&b, 60, 0);
	hub_wait(h, &a.w);
	hub_wait(h, &b.w);
	hub_wake_all(h);
	sem_wait(&a.woken);
	sem_wait(&b.woken);
	assert_int_equal(c.times, 0);
	hub_wait(h, &a.w);
	hub_free(h);
	assert_int_equal(a.times, 1);
	store_close(s);
}

/* One waits again in its wake, and forgets itself there. */
static struct hub *again_hub;

static void
wake_again(struct hub_waiter *w)
{
	struct waiter *own = (struct waiter *)w;

	own->times++;
	hub_forget(again_hub, w);
	w->sequence++;
	if (own->times < 5)
		hub_wait(again_hub, w);
	else
		sem_post(&own->woken);
}

static void
test_again(void **state)
{
	struct store *s = must_write(dir);
	struct waiter a;

	(void)state;
	assert_ok(hub_new(&again_hub, s, &err), err);
	waiter_init(&a, 1, 0);
	a.w.wake = wake_again;
	hub_wait(again_hub, &a.w);
	for (unsigned n = 1; n <= 5; n++)
		add(s, n);
	sem_wait(&a.woken);
	assert_int_equal(a.times, 5);
	hub_free(again_hub);
	store_close(s);
}

/* ---- side by side ----------------------------------------------------------
 */

struct live_reader {
	pthread_t thread;
	struct store *s;
	struct hub *h;
	size_t piece;
	uint64_t after;
	unsigned forgotten;
};

/* Forgets now and then, perhaps just when it is woken. */
static void
wait_for(struct live_reader *l, struct waiter *w, const struct feed *f)
{
	w->w.sequence = feed_next(f, &w->w.at);
	hub_wait(l->h, &w->w);
	if (w->w.sequence % 3 == 0) {
		hub_forget(l->h, &w->w);
		if (sem_trywait(&w->woken) != 0) {
			l->forgotten++;
			hub_wait(l->h, &w->w);
			sem_wait(&w->woken);
		}
	} else
		sem_wait(&w->woken);
}

static void *
live_bad(const char *why)
{
	return (void *)(uintptr_t)why;
}

static void *
live_main(void *arg)
{
	struct live_reader *l = arg;
	struct feed_options o = {.store = l->s,
				 .after = l->after,
				 .live = true,
				 .put = put_line};
	struct waiter w;
	struct feed *f = NULL;
	struct weir_err e;
	struct buf text;
	char piece[200];

	waiter_init(&w, 0, 0);
	buf_init(&text, 1 << 20);
	if (feed_new(&f, &o, &e) != 0)
		return live_bad("it can't begin");
	uint64_t want = l->after + 1;
	while (want <= LIVE) {
		int64_t n = feed_read(f, piece, l->piece, &e);
		if (n < 0 || n == FEED_END)
			return live_bad("it can't go on");
		if (n == 0) {
			wait_for(l, &w, f);
			continue;
		}
		buf_add(&text, piece, (size_t)n);
		const char *at = buf_cstr(&text), *end;
		while ((end = strchr(at, '\n')) != NULL) {
			want += want % 10 == 9;
			if (!is_number(at, want))
				return live_bad("records are missing or come twice");
			want++;
			at = end + 1;
		}
		size_t done = (size_t)(at - text.data);
		memmove(text.data, at, text.len - done);
		text.len -= done;
	}
	feed_free(f);
	buf_fini(&text);
	return NULL;
}

static void
test_side_by_side(void **state)
{
	struct store *s = must_write(dir), *other = must_read(dir);
	struct hub *h = NULL, *h2 = NULL;
	struct live_reader l[READERS];

	(void)state;
	assert_ok(hub_new(&h, s, &err), err);
	assert_ok(hub_new(&h2, other, &err), err);
	for (unsigned i = 0; i < READERS; i++) {
		bool own = i % 2 == 0;
		l[i] = (struct live_reader){.s = own ? s : other,
					    .h = own ? h : h2,
					    .piece = 10 + 60 * i,
					    .after = i * 3};
		assert_int_equal(
			pthread_create(&l[i].thread, NULL, live_main, &l[i]),
			0);
	}
	for (unsigned n = 1; n <= LIVE; n++)
		add(s, n);
	for (unsigned i = 0; i < READERS; i++) {
		void *why = NULL;
		pthread_join(l[i].thread, &why);
		if (why != NULL)
			fail_msg("reader %u: %s", i, (char *)why);
	}
	hub_free(h);
	hub_free(h2);
	store_close(other);
	store_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pieces_and_resume, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_is_now, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_hub, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_side_by_side, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
