/* SPDX-License-Identifier: MIT */
/*
 * A sink for tests of the bus, built four times under different names and
 * capabilities (FAKE_NAME, FAKE_CAPS, FAKE_NEEDS). Its target is a folder:
 *
 *     db       "store-id sequence epoch parked hash", then a line for each record;
 *              replaced as a whole, so a batch is applied or not
 *     calls    a line for each call
 * and what is put there steers it:
 *     fail     "CLASS N": the next N delivers give that class
 *     down     while it is there open, probe and deliver are BLOCKED
 *     unnamed  refusals do not name the record
 *     lenient  nothing is refused any more
 *     partly   the records before a refused one are applied
 * and so do words in a record (the payload, with state the state): BAD is
 * refused, BUSY is RETRY, CRASH aborts, KILL
 * ends the process from outside, HANG waits for stop_fd or the deadline, STUCK
 * waits for ever, PRINT prints 20,000 lines, LEAK loses 96 MiB of memory.
 */
#include <weir/sink.h>

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLDS (((FAKE_CAPS)&WEIR_SINK_HOLDS_CURSOR) != 0)

struct fake {
	const struct weir_sink_host *host;
	char dir[3000];
	char secret[200];
	uint8_t store_id[16];
	int rewriting;
};

static int
has(const struct fake *f, const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f->dir, file);
	return access(path, F_OK) == 0;
}

static FILE *
file_of(const struct fake *f, const char *file, const char *mode)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", f->dir, file);
	return fopen(path, mode);
}

static void
note(const struct fake *f, const char *text)
{
	FILE *out = file_of(f, "calls", "a");

	if (out == NULL)
		return;
	fprintf(out, "%s\n", text);
	fclose(out);
}

static int
down(const struct fake *f, struct weir_sink_result *res)
{
	if (!has(f, "down"))
		return WEIR_SINK_OK;
	snprintf(res->message, sizeof(res->message),
		 "the target is down, said with %s", f->secret);
	snprintf(res->hint, sizeof(res->hint), "remove the file down");
	return WEIR_SINK_BLOCKED;
}

static int
fake_open(void **out, const struct weir_sink_open *o,
	  struct weir_sink_result *res)
{
	struct fake *f = o->host->resize(o->host->cookie, NULL, sizeof(*f));
	int cls;

	if (f == NULL)
		return WEIR_SINK_RETRY;
	memset(f, 0, sizeof(*f));
	f->host = o->host;
	memcpy(f->store_id, o->store_id, 16);
	for (size_t i = 0; i < o->nsettings; i++) {
		const struct weir_sink_setting *s = &o->settings[i];

		if (strcmp(s->name, "dir") == 0)
			snprintf(f->dir, sizeof(f->dir), "%s", s->value);
		if (strcmp(s->name, "secret") == 0)
			snprintf(f->secret, sizeof(f->secret), "%s", s->value);
	}
	note(f, "open");
	cls = down(f, res);
	if (cls != WEIR_SINK_OK) {
		o->host->release(o->host->cookie, f);
		return cls;
	}
	*out = f;
	return WEIR_SINK_OK;
}

static void
fake_close(void *sink)
{
	struct fake *f = sink;

	note(f, "close");
	f->host->release(f->host->cookie, f);
}

static void
hex(char *out, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", from[i]);
}

static void
unhex(uint8_t *out, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned x = 0;

		sscanf(from + 2 * i, "%2x", &x);
		out[i] = (uint8_t)x;
	}
}

static int
fake_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
	    struct weir_sink_result *res)
{
	struct fake *f = sink;
	FILE *db = file_of(f, "db", "r");
	char id[33], hash[65] = "";

	(void)res;
	note(f, "resume");
	f->rewriting = 0;
	out->found = 0;
	out->lane = lane;
	if (db == NULL)
		return WEIR_SINK_OK;
	if (fscanf(db, "%32s %" SCNu64 " %" SCNu64 " %" SCNu64, id,
		   &out->sequence, &out->epoch, &out->parked) == 4) {
		out->found = 1;
		unhex(out->store_id, id, 16);
		if (fscanf(db, "%*1[ ]%64[0-9a-f]", hash) == 1)
			unhex(out->hash, hash, 32);
	}
	fclose(db);
	return WEIR_SINK_OK;
}

static void
write_record(FILE *db, const struct weir_sink_batch *b,
	     const struct weir_sink_record *r)
{
	const struct weir_str *text =
		r->state_json.data != NULL ? &r->state_json : &r->payload;

	fprintf(db, "%" PRIu64 " %" PRIu64 " %.*s/%.*s %.*s%s%s %.*s\n",
		r->sequence, r->version, (int)r->aggregate_type.len,
		r->aggregate_type.data, (int)r->aggregate_id.len,
		r->aggregate_id.data, (int)r->event_type.len,
		r->event_type.data,
		b->flags & WEIR_BATCH_REPLAY ? " replay" : "",
		b->flags & WEIR_BATCH_PARKED ? " parked" : "", (int)text->len,
		text->data);
}

/* Replaces db: the new first line, the old records (unless fresh), the
 * batch's. */
static void
apply(struct fake *f, const struct weir_sink_batch *b, const char *from,
      const char *to)
{
	FILE *old = from != NULL ? file_of(f, from, "r") : NULL;
	FILE *db = file_of(f, "db.new", "w");
	char line[8192], path[4096], new_path[4096], id[33],
		hash[65];
	int first = 1;

	if (db == NULL)
		abort();
	hex(id, f->store_id, 16);
	hex(hash, b->through_hash, 32);
	fprintf(db, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", id,
		b->through_sequence, b->epoch, b->parked, hash);
	while (old != NULL && fgets(line, sizeof(line), old) != NULL) {
		if (!first)
			fputs(line, db);
		first = 0;
	}
	for (uint32_t i = 0; i < b->nrecords; i++)
		write_record(db, b, b->records[i]);
	if (old != NULL)
		fclose(old);
	fclose(db);
	snprintf(new_path, sizeof(new_path), "%s/db.new", f->dir);
	snprintf(path, sizeof(path), "%s/%s", f->dir, to);
	if (rename(new_path, path) != 0)
		abort();
}

static int
says(const struct weir_sink_record *r, const char *word)
{
	const struct weir_str *text =
		r->state_json.data != NULL ? &r->state_json : &r->payload;

	return memmem(text->data, text->len, word, strlen(word)) != NULL;
}

/* The class that the file "fail" asks for; counts it down. */
static int
asked_failure(struct fake *f)
{
	FILE *in = file_of(f, "fail", "r");
	int cls = 0, n = 0;

	if (in == NULL)
		return 0;
	if (fscanf(in, "%d %d", &cls, &n) != 2 || n <= 0)
		cls = 0;
	fclose(in);
	in = file_of(f, "fail", "w");
	if (in != NULL) {
		fprintf(in, "%d %d\n", cls, n - 1);
		fclose(in);
	}
	return cls;
}

static void
print_much(void)
{
	for (int i = 0; i < 10000; i++) {
		printf("a line on standard output, number %d\n", i);
		fprintf(stderr, "weir: error: other: a line that lies\n");
	}
	fflush(stdout);
}

static void
lose_memory(void)
{
	static char *volatile lost;

	lost = malloc(96u << 20);
	if (lost != NULL)
		memset(lost, 1, 96u << 20);
}

static int
judge(struct fake *f, const struct weir_sink_batch *b,
      const struct weir_sink_record *r, struct weir_sink_result *res)
{
	int cls = WEIR_SINK_OK;

	if (has(f, "lenient"))
		return WEIR_SINK_OK;
	if (says(r, "CRASH"))
		abort();
	if (says(r, "KILL"))
		raise(SIGKILL);
	while (says(r, "STUCK"))
		pause();
	if (says(r, "PRINT"))
		print_much();
	if (says(r, "LEAK"))
		lose_memory();
	if (says(r, "HANG")) {
		struct pollfd p = {.fd = b->stop_fd, .events = POLLIN};
		int64_t left =
			b->deadline_us - f->host->monotonic_us(f->host->cookie);

		(void)poll(&p, 1, left > 0 ? (int)(left / 1000) : 0);
		snprintf(res->message, sizeof(res->message), "timed out");
		return WEIR_SINK_RETRY;
	}
	if (says(r, "BAD"))
		cls = WEIR_SINK_REJECT;
	else if (says(r, "BUSY"))
		cls = WEIR_SINK_RETRY;
	if (cls == WEIR_SINK_OK)
		return cls;
	if (!has(f, "unnamed"))
		res->bad_sequence = r->sequence;
	snprintf(res->code, sizeof(res->code), "22P02");
	snprintf(res->column, sizeof(res->column), "a");
	snprintf(res->message, sizeof(res->message),
		 "the value does not fit\nits column (%s)", f->secret);
	return cls;
}

static int
fake_deliver(void *sink, const struct weir_sink_batch *b,
	     struct weir_sink_result *res)
{
	struct fake *f = sink;
	char text[256];
	int cls;

	snprintf(text, sizeof(text),
		 "deliver %" PRIu32 " through %" PRIu64 " attempt %" PRIu32
		 " epoch %" PRIu64 " parked %" PRIu64 " flags %" PRIu32,
		 b->nrecords, b->through_sequence, b->attempt, b->epoch,
		 b->parked, b->flags);
	note(f, text);
	cls = down(f, res);
	if (cls == WEIR_SINK_OK)
		cls = asked_failure(f);
	if (cls != WEIR_SINK_OK) {
		if (res->message[0] == '\0')
			snprintf(res->message, sizeof(res->message),
				 "failed as asked");
		return cls;
	}
	for (uint32_t i = 0; i < b->nrecords; i++) {
		cls = judge(f, b, b->records[i], res);
		if (cls != WEIR_SINK_OK && i > 0 && has(f, "partly")) {
			struct weir_sink_batch part = *b;

			part.nrecords = i;
			part.through_sequence = b->records[i - 1]->sequence;
			memcpy(part.through_hash, b->records[i - 1]->hash, 32);
			apply(f, &part, "db", "db");
			res->durable_sequence = part.through_sequence;
		}
		if (cls != WEIR_SINK_OK)
			return cls;
	}
	if (f->rewriting) {
		apply(f, b, "db.replay", "db.replay");
		if (b->flags & WEIR_BATCH_REPLAY_END) {
			char from[4096], to[4096];

			snprintf(from, sizeof(from), "%s/db.replay", f->dir);
			snprintf(to, sizeof(to), "%s/db", f->dir);
			if (rename(from, to) != 0)
				abort();
			f->rewriting = 0;
		}
	} else {
		apply(f, b, "db", "db");
	}
	if (has(f, "die-after")) /* killed with the batch applied */
		_exit(9);
	res->durable_sequence = b->through_sequence;
	return WEIR_SINK_OK;
}

static int
fake_probe(void *sink, struct weir_sink_result *res)
{
	note(sink, "probe");
	return down(sink, res);
}

static int
fake_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct weir_sink_batch b = {.through_sequence = sequence - 1};
	struct fake *f = sink;
	char text[64];

	(void)res;
	snprintf(text, sizeof(text), "rewind %" PRIu64, sequence);
	note(f, text);
	if (((FAKE_CAPS)&WEIR_SINK_REWRITES) != 0) {
		apply(f, &b, NULL, "db.replay");
		f->rewriting = 1;
	} else {
		apply(f, &b, "db", "db");
	}
	return WEIR_SINK_OK;
}

static int
fake_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	for (size_t i = 0; i < o->nsettings; i++) {
		if (strcmp(o->settings[i].name, "mode") == 0 &&
		    strcmp(o->settings[i].value, "odd") == 0) {
			snprintf(res->message, sizeof(res->message),
				 "mode odd needs an even moon");
			return WEIR_SINK_REJECT;
		}
	}
	return WEIR_SINK_OK;
}

static int
fake_plan(void *sink, const struct weir_sink_plan *plan,
	  struct weir_sink_result *res)
{
	(void)sink;
	snprintf(res->message, sizeof(res->message), "%s %.*s to %s",
		 plan->apply ? "changed" : "would change", (int)plan->field.len,
		 plan->field.data, plan->datatype);
	if (strcmp(plan->datatype, "date") != 0)
		return WEIR_SINK_OK;
	snprintf(res->hint, sizeof(res->hint), "mend row 7 first");
	return WEIR_SINK_REJECT;
}

/* loud takes COALESCE away; size 7 adds what may not be added. */
static int
fake_shape(const struct weir_sink_open *o, uint32_t *capabilities,
	   uint32_t *needs, struct weir_sink_result *res)
{
	(void)needs;
	(void)res;
	for (size_t i = 0; i < o->nsettings; i++) {
		const struct weir_sink_setting *s = &o->settings[i];

		if (strcmp(s->name, "loud") == 0 &&
		    strcmp(s->value, "true") == 0)
			*capabilities &= ~(uint32_t)WEIR_SINK_COALESCE;
		if (strcmp(s->name, "size") == 0 && strcmp(s->value, "7") == 0)
			*capabilities |= WEIR_SINK_LOSSY;
	}
	return WEIR_SINK_OK;
}

static const struct weir_sink_option options[] = {
	{"dir", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, NULL, "DIR",
	 "Folder of the target."},
	{"secret", WEIR_OPT_STRING, WEIR_OPT_SECRET, NULL, NULL,
	 "Something never shown."},
	{"mode", WEIR_OPT_ENUM, 0, "even", "even|odd", "A word."},
	{"wait", WEIR_OPT_DURATION, 0, "5s", NULL, "A time."},
	{"size", WEIR_OPT_UINT, 0, NULL, NULL, "A number."},
	{"loud", WEIR_OPT_BOOL, 0, "false", NULL, "A switch."},
	{"header", WEIR_OPT_LIST, 0, NULL, "K=V", "Many values."},
	{"pass", WEIR_OPT_LIST, WEIR_OPT_SECRET, NULL, "K=V", "Many secrets."},
	{NULL, 0, 0, NULL, NULL, NULL}};

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(plugin),
	.name = FAKE_NAME,
	.version = "1",
	.summary = "A sink for tests.",
	.capabilities = FAKE_CAPS,
	.needs = FAKE_NEEDS,
	.options = options,
	.validate = fake_validate,
	.open = fake_open,
	.resume = HOLDS ? fake_resume : NULL,
	.rewind = HOLDS ? fake_rewind : NULL,
	.deliver = fake_deliver,
	.probe = fake_probe,
	.plan = fake_plan,
	.close = fake_close,
	.shape = fake_shape,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
