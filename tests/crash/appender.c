/* SPDX-License-Identifier: MIT */
/*
 * Appends to a store until it is killed or has done COUNT operations, saying on
 * standard output what it is about to do and what was acknowledged:
 *
 *   begin OP RECORDS ID          ID is 1 when the records carry event_ids
 *   ack OP SEQUENCE:VERSION ...  one pair for each record, in order
 *   done
 *
 *   appender DIR SEED FIRST COUNT
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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS_MAX 12
#define PAYLOAD_MAX (300 * 1024)

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
	struct receipt r[RECORDS_MAX];
	struct weir_err err = {0};
	char line[1024];
	size_t n;

	make_op(&o, seed, op);
	if (next(&o) % 8 == 0)
		try_conflict(s, &o);
	if (!o.ids && next(&o) % 2 == 0)
		o.drafts[0].expected = version_of(s, &o.drafts[0]);
	say("begin %llu %zu %d\n", (unsigned long long)op, o.n, o.ids);
	__atomic_store_n(&page->append, 1, __ATOMIC_SEQ_CST);
	if (store_commit(s, r, o.drafts, o.n, &err) != 0)
		fail("commit", &err);
	__atomic_store_n(&page->append, 0, __ATOMIC_SEQ_CST);
	n = (size_t)snprintf(line, sizeof(line), "ack %llu",
			     (unsigned long long)op);
	for (size_t i = 0; i < o.n; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %llu:%llu",
				      (unsigned long long)r[i].sequence,
				      (unsigned long long)r[i].version);
	say("%s\n", line);
	free_op(&o);
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
				    .max_segment_bytes = 512 * 1024};
	struct weir_err err = {0};
	struct store *s;
	uint64_t first, count;

	if (argc != 5) {
		fprintf(stderr, "usage: appender DIR SEED FIRST COUNT\n");
		return 2;
	}
	first = strtoull(argv[3], NULL, 10);
	count = strtoull(argv[4], NULL, 10);
	share_page();
	if (store_open(&s, argv[1], &opt, &err) != 0)
		fail("open", &err);
	for (uint64_t op = first; op < first + count; op++)
		run_op(s, argv[2], op);
	store_close(s);
	say("done\n");
	return 0;
}
