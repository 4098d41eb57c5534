/* SPDX-License-Identifier: MIT */
/*
 * Appends to a store until it is killed or has done COUNT operations, saying on
 * standard output what it is about to do and what was acknowledged:
 *
 *   begin OP RECORDS ID          ID is 1 when the records carry event_ids
 *   ack OP SEQUENCE:VERSION ...  one pair for each record, in order
 *   done
 *
 *   appender DIR SEED FIRST COUNT [THREADS [OP...]]
 *
 * With more than one thread each takes the next operation and the lines of
 * several are mixed; versions that others made meanwhile are refused:
 *
 *   refused OP
 *
 * The operations named behind are sent before the others.
 *
 * Operation OP is made of SEED and OP alone, so that one that was under way at
 * a kill can be sent again. It is one append or an atomic commit over several
 * aggregates; with or without event_ids of its own, with or without expected
 * versions. Now and then it first sends one with a wrong expected version,
 * which must be refused. Every payload names its record: {"op":"SEED-OP-I"...}.
 */

#include "page.h"

#include "base/buf.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS_MAX 12
#define PAYLOAD_MAX (300 * 1024)
#define THREADS_MAX 64

struct op {
	uint64_t random;
	size_t n;
	bool ids;
	struct record_draft drafts[RECORDS_MAX];
	char names[RECORDS_MAX][32];
	char *payloads[RECORDS_MAX];
};

static struct crash_page spare;
static struct crash_page *page = &spare;

/* What is to be done; threads take it in this order. */
static struct {
	struct store *s;
	const char *seed;
	char **again; /* numbers to send first */
	uint64_t nagain, first, count;
	uint64_t taken; /* atomic */
	bool alone;
} todo;
static const char *const types[] = {"account", "Order line", "sensor"};

static uint64_t
next(struct op *o)
{
	uint64_t z = (o->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void
fail(const char *what, const struct weir_err *err)
{
	fprintf(stderr, "appender: %s: %s\n", what,
		err != NULL ? err->msg : "");
	exit(1);
}

/* Whole lines by one write each: stdio would lose them at a kill. */
static void
say(const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) ||
	    write(STDOUT_FILENO, line, (size_t)n) != n)
		fail("can't say what was done", NULL);
}

static struct weir_str
str(const char *s)
{
	return (struct weir_str){s, strlen(s)};
}

/* One more member of a payload: names and kinds vary, so that mirrors get new
 * columns and values that don't fit the kind seen before. */
static size_t
member(struct op *o, char *out, size_t room)
{
	static const char *const values[] = {"0.10",
					     "12345678901234567890123",
					     "-7",
					     "true",
					     "false",
					     "null",
					     "\"a \\\"quoted\\\" \\n line\"",
					     "\"\"",
					     "\"\\u00e9,;\"",
					     "[1,2,{\"x\":null}]",
					     "{\"k\":\"v\"}",
					     "9007199254740993",
					     "1e400",
					     "\"=1+1\""};
	uint64_t r = next(o);

	return (size_t)snprintf(
		out, room, ",\"f%u\":%s", (unsigned)(r % 9),
		values[(r >> 8) % (sizeof(values) / sizeof(*values))]);
}

static char *
payload(struct op *o, const char *seed, uint64_t op, size_t i)
{
	char *p = malloc(PAYLOAD_MAX);
	char seen[16] = {0};
	size_t n, fill, k = next(o) % 4;

	if (p == NULL)
		fail("no memory", NULL);
	n = (size_t)snprintf(p, PAYLOAD_MAX, "{\"op\":\"%s-%llu-%zu\"", seed,
			     (unsigned long long)op, i);
	while (k-- > 0) {
		size_t m = member(o, p + n, PAYLOAD_MAX - n);
		unsigned f = (unsigned)(p[n + 3] - '0');

		if (!seen[f])
			n += m;
		seen[f] = 1;
	}
	fill = next(o) % 16 == 0 ? next(o) % 60000 : next(o) % 300;
	n += (size_t)snprintf(p + n, PAYLOAD_MAX - n, ",\"fill\":\"");
	memset(p + n, 'x', fill);
	n += fill;
	memcpy(p + n, "\"}", 3);
	return p;
}

/* Fills o from the seed and its number alone. */
static void
make_op(struct op *o, const char *seed, uint64_t op)
{
	memset(o, 0, sizeof(*o));
	for (const char *s = seed; *s != '\0'; s++)
		o->random = o->random * 31 + (unsigned char)*s;
	o->random += op * UINT64_C(0xd1342543de82ef95);
	o->n = next(o) % 3 == 0 ? 2 + next(o) % (RECORDS_MAX - 1) : 1;
	o->ids = next(o) % 2 == 0;
	for (size_t i = 0; i < o->n; i++) {
		struct record_draft *d = &o->drafts[i];
		uint64_t id[2] = {next(o), next(o)};

		snprintf(o->names[i], sizeof(o->names[i]), "id-%u",
			 (unsigned)(next(o) % 25));
		o->payloads[i] = payload(o, seed, op, i);
		d->aggregate_type = str(types[next(o) % 3]);
		d->aggregate_id = str(o->names[i]);
		d->event_type = str(next(o) % 2 == 0 ? "changed" : "seen");
		d->payload = str(o->payloads[i]);
		d->expected = EXPECT_ANY;
		d->has_event_id = o->ids;
		memcpy(d->event_id, id, 16);
		d->event_id[6] = (uint8_t)(0x40 | (d->event_id[6] & 0x0f));
		d->event_id[8] = (uint8_t)(0x80 | (d->event_id[8] & 0x3f));
	}
}

static void
free_op(struct op *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->payloads[i]);
}

static uint64_t
version_of(struct store *s, const struct record_draft *d)
{
	struct head h;

	if (store_head(s, &h, d->aggregate_type, d->aggregate_id, NULL) != 0)
		return 0;
	return h.version;
}

/* A wrong expected version must be refused, naming the right one. */
static void
try_conflict(struct store *s, struct op *o)
{
	struct record_draft d = o->drafts[0];
	uint64_t version = version_of(s, &d);
	struct receipt r;
	struct weir_err err = {0};

	d.has_event_id = false;
	d.expected = version + 1 + o->random % 5;
	if (store_commit(s, &r, &d, 1, &err) != WEIR_ECONFLICT ||
	    err.version != version)
		fail("a wrong expected version was not refused", &err);
}

static void
run_op(struct store *s, const char *seed, uint64_t op)
{
	struct op o;
	int rc;
	struct receipt r[RECORDS_MAX];
	struct weir_err err = {0};
	char line[1024];
	size_t n;

	make_op(&o, seed, op);
	if (next(&o) % 8 == 0 && todo.alone)
		try_conflict(s, &o);
	if (!o.ids && next(&o) % 2 == 0)
		o.drafts[0].expected = version_of(s, &o.drafts[0]);
	say("begin %llu %zu %d\n", (unsigned long long)op, o.n, o.ids);
	__atomic_add_fetch(&page->append, 1, __ATOMIC_SEQ_CST);
	rc = store_commit(s, r, o.drafts, o.n, &err);
	if (rc != 0 && (rc != WEIR_ECONFLICT || todo.alone))
		fail("commit", &err);
	__atomic_sub_fetch(&page->append, 1, __ATOMIC_SEQ_CST);
	if (rc != 0) {
		say("refused %llu\n", (unsigned long long)op);
		free_op(&o);
		return;
	}
	n = (size_t)snprintf(line, sizeof(line), "ack %llu",
			     (unsigned long long)op);
	for (size_t i = 0; i < o.n; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu:%llu",
				      (unsigned long long)r[i].sequence,
				      (unsigned long long)r[i].version);
	say("%s\n", line);
	free_op(&o);
}

static void *
work(void *arg)
{
	(void)arg;
	for (;;) {
		uint64_t i =
			__atomic_fetch_add(&todo.taken, 1, __ATOMIC_SEQ_CST);
		if (i >= todo.nagain + todo.count)
			return NULL;
		run_op(todo.s, todo.seed,
		       i < todo.nagain ? strtoull(todo.again[i], NULL, 10)
				       : todo.first + i - todo.nagain);
	}
}

static void
run_threads(unsigned n)
{
	pthread_t thread[THREADS_MAX];

	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, work, NULL) != 0)
			fail("can't start a thread", NULL);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

static void
share_page(void)
{
	const char *path = getenv("WEIR_CRASH_PAGE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	if (p != MAP_FAILED)
		page = p;
	close(fd);
}

int
main(int argc, char **argv)
{
	struct store_options opt = {.flags = STORE_WRITE | STORE_CREATE,
				    .first_segment_bytes = 64 * 1024,
				    .max_segment_bytes = 512 * 1024,
				    .heads_bytes = 4096,
				    .index_after_bytes = 32 * 1024};
	struct weir_err err = {0};
	struct store *s;
	unsigned threads;

	if (argc < 5) {
		fprintf(stderr, "usage: appender DIR SEED FIRST COUNT "
				"[THREADS [OP...]]\n");
		return 2;
	}
	todo.seed = argv[2];
	todo.first = strtoull(argv[3], NULL, 10);
	todo.count = strtoull(argv[4], NULL, 10);
	threads = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 1;
	todo.again = argv + 6;
	todo.nagain = argc > 6 ? (uint64_t)argc - 6 : 0;
	todo.alone = threads <= 1;
	if (threads > THREADS_MAX)
		fail("too many threads", NULL);
	/* Segments are left soon: the filler has to begin early. So has the
	 * indexer, and memory holds few heads. */
	opt.fill_after_bytes = 16 * 1024;
	share_page();
	if (store_open(&s, argv[1], &opt, &err) != 0)
		fail("open", &err);
	todo.s = s;
	if (todo.alone)
		work(NULL);
	else
		run_threads(threads);
	store_close(s);
	say("done\n");
	return 0;
}
