/* SPDX-License-Identifier: MIT */
/*
 * Dead letters: a file of JSON lines, and what it says in memory.
 *
 * 1. The file is only ever appended to, by one write per line under O_APPEND,
 *    by the runner and by the command line side by side.
 * 2. Memory changes only by reading the file: an append is followed by a
 *    refresh, so both sides see the same order of happenings.
 * 3. Taking in a line a second time changes nothing that matters.
 * 4. A torn last line (power loss) was never synced, so nothing was promised on
 *    it; it is ended by a line break before the next append and skipped.
 *
 * Lines: {"what": parked | tried | retry | discard | trying | next | closed,
 * "sequence": of the refused record, ...}.
 */
#include "bus/deadletter.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/sinkfiles.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES (64u << 10)
#define FILE_MAX_BYTES (UINT64_C(1) << 30)
#define CHUNK	       (1u << 20)
#define BUCKETS	       1024u

struct entry {
	struct dead_letter d;
	struct entry *next; /* of the bucket */
	char names[];
};

struct deadletters {
	char *path;
	uint64_t offset;     /* taken in up to here */
	struct entry **open; /* by sequence */
	size_t n, cap;
	struct entry *buckets[BUCKETS];
};

static size_t
bucket_of(struct weir_str type, struct weir_str id)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < type.len; i++)
		h = (h ^ (unsigned char)type.data[i]) * 16777619u;
	h = (h ^ 0xffu) * 16777619u;
	for (size_t i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.data[i]) * 16777619u;
	return (h ^ (h >> 16)) % BUCKETS;
}

static struct entry *
entry_of(const struct deadletters *d, struct weir_str type, struct weir_str id)
{
	struct entry *e = d->buckets[bucket_of(type, id)];

	while (e != NULL && !(str_eq(e->d.aggregate_type, type) &&
			      str_eq(e->d.aggregate_id, id)))
		e = e->next;
	return e;
}

/* Index of the first open entry whose sequence is not below. */
static size_t
place(const struct deadletters *d, uint64_t sequence)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->open[mid]->d.sequence < sequence)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *
entry_at(const struct deadletters *d, uint64_t sequence)
{
	size_t i = place(d, sequence);

	return i < d->n && d->open[i]->d.sequence == sequence ? d->open[i]
							      : NULL;
}

static void
entry_drop(struct deadletters *d, struct entry *e)
{
	size_t i = place(d, e->d.sequence);
	struct entry **p =
		&d->buckets[bucket_of(e->d.aggregate_type, e->d.aggregate_id)];

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	memmove(&d->open[i], &d->open[i + 1],
		(d->n - i - 1) * sizeof(*d->open));
	d->n--;
	mem_free(e);
}

static int
entry_put(struct deadletters *d, struct entry *e)
{
	struct entry *old;
	size_t i, b;

	old = entry_at(d, e->d.sequence);
	if (old != NULL)
		entry_drop(d, old);
	old = entry_of(d, e->d.aggregate_type, e->d.aggregate_id);
	if (old != NULL)
		entry_drop(d, old);
	if (d->n == d->cap) {
		size_t cap = d->cap != 0 ? d->cap * 2 : 64;
		struct entry **v = mem_resize(d->open, cap * sizeof(*v));

		if (v == NULL)
			return WEIR_ENOMEM;
		d->open = v;
		d->cap = cap;
	}
	i = place(d, e->d.sequence);
	memmove(&d->open[i + 1], &d->open[i], (d->n - i) * sizeof(*d->open));
	d->open[i] = e;
	d->n++;
	b = bucket_of(e->d.aggregate_type, e->d.aggregate_id);
	e->next = d->buckets[b];
	d->buckets[b] = e;
	return 0;
}

/* ---- reading ---------------------------------------------------------------
 */

static uint64_t
get_u64(struct weir_str obj, const char *name)
{
	struct weir_str v;
	uint64_t u = 0;

	if (!json_get(obj, name, &v) || json_kind(v) != WEIR_NUMBER ||
	    json_u64(&u, v) != 0)
		return 0;
	return u;
}

/* Decodes a string member into out, cut to what fits; returns its length. */
static size_t
get_text(struct weir_str obj, const char *name, char *out, size_t cap)
{
	struct weir_str v;
	struct buf b;
	size_t n = 0;

	if (!json_get(obj, name, &v) || json_kind(v) != WEIR_STRING)
		return 0;
	buf_init(&b, LINE_MAX_BYTES);
	if (json_decode_buf(&b, v) == 0) {
		n = b.len < cap - 1 ? b.len : cap - 1;
		memcpy(out, b.data != NULL ? b.data : "", n);
		out[n] = '\0';
	}
	buf_fini(&b);
	return n;
}

static void
read_why(struct dead_letter *d, struct weir_str obj)
{
	get_text(obj, "reason", d->reason, sizeof(d->reason));
	d->code[0] = d->column[0] = d->message[0] = d->hint[0] = '\0';
	get_text(obj, "code", d->code, sizeof(d->code));
	get_text(obj, "column", d->column, sizeof(d->column));
	get_text(obj, "message", d->message, sizeof(d->message));
	get_text(obj, "hint", d->hint, sizeof(d->hint));
	d->attempts = get_u64(obj, "attempts");
	d->last_at = (int64_t)get_u64(obj, "at");
}

static int
take_parked(struct deadletters *d, struct weir_str obj, uint64_t sequence)
{
	char type[WEIR_NAME_MAX + 1], id[WEIR_ID_MAX + 1];
	size_t nt = get_text(obj, "aggregate_type", type, sizeof(type));
	size_t ni = get_text(obj, "aggregate_id", id, sizeof(id));
	struct entry *e;
	int rc;

	if (sequence == 0 || nt == 0 || ni == 0)
		return WEIR_EINPUT;
	e = mem_new(sizeof(*e) + nt + ni);
	if (e == NULL)
		return WEIR_ENOMEM;
	memcpy(e->names, type, nt);
	memcpy(e->names + nt, id, ni);
	e->d.aggregate_type = (struct weir_str){e->names, nt};
	e->d.aggregate_id = (struct weir_str){e->names + nt, ni};
	e->d.sequence = sequence;
	e->d.version = get_u64(obj, "version");
	read_why(&e->d, obj);
	e->d.first_at = e->d.last_at;
	rc = entry_put(d, e);
	if (rc != 0)
		mem_free(e);
	return rc;
}

static int
take_line(struct deadletters *d, struct weir_str line)
{
	struct weir_str obj, what;
	struct entry *e;
	uint64_t sequence;

	if (json_check(line, &obj, "line", NULL) != 0 ||
	    json_kind(obj) != WEIR_OBJECT || !json_get(obj, "what", &what) ||
	    json_kind(what) != WEIR_STRING)
		return WEIR_EINPUT;
	sequence = get_u64(obj, "sequence");
	if (json_string_is(what, "parked"))
		return take_parked(d, obj, sequence);
	e = entry_at(d, sequence);
	if (e == NULL)
		return 0;
	if (json_string_is(what, "closed")) {
		entry_drop(d, e);
	} else if (json_string_is(what, "tried")) {
		read_why(&e->d, obj);
		e->d.status = DEAD_PARKED;
		e->d.try_epoch = 0;
	} else if (json_string_is(what, "retry")) {
		e->d.status = DEAD_RETRY;
	} else if (json_string_is(what, "discard")) {
		e->d.status = DEAD_DISCARD;
	} else if (json_string_is(what, "trying")) {
		e->d.try_epoch = get_u64(obj, "epoch");
		e->d.try_last = get_u64(obj, "last");
	} else if (json_string_is(what, "next")) {
		e->d.try_epoch = 0;
		e->d.next_version = get_u64(obj, "version");
	}
	return 0;
}

/* Takes in whole lines of a chunk; *used says how many bytes. */
static int
take_chunk(struct deadletters *d, size_t *used, const char *p, size_t n,
	   struct weir_err *err)
{
	size_t at = 0;

	for (;;) {
		const char *nl = memchr(p + at, '\n', n - at);
		size_t len;
		int rc;

		if (nl == NULL)
			break;
		len = (size_t)(nl - (p + at));
		rc = len != 0 ? take_line(d, (struct weir_str){p + at, len})
			      : 0;
		if (rc == WEIR_ENOMEM)
			return err_nomem(err);
		if (rc != 0)
			diag(DIAG_WARN, "bus",
			     "%s: a line at byte %llu is not readable and "
			     "is left out",
			     d->path, (unsigned long long)(d->offset + at));
		at += len + 1;
	}
	*used = at;
	return 0;
}

int
deadletters_refresh(struct deadletters *d, struct weir_err *err)
{
	char *chunk = NULL;
	int fd = -1, rc = 0;

	if (!os_exists(d->path))
		return 0;
	fd = os_open(d->path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	chunk = mem_new(CHUNK);
	if (chunk == NULL)
		rc = err_nomem(err);
	while (rc == 0) {
		size_t used = 0;
		int64_t n = os_pread_upto(fd, d->path, chunk, CHUNK, d->offset,
					  err);

		if (n < 0)
			rc = (int)n;
		else
			rc = take_chunk(d, &used, chunk, (size_t)n, err);
		if (rc != 0 || used == 0)
			break;
		d->offset += used;
	}
	mem_free(chunk);
	os_close(fd);
	return rc;
}

int
deadletters_load(struct deadletters **out, const char *store_dir,
		 const char *sink, struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	struct deadletters *d;
	int rc = sinkfile_path(path, store_dir, sink, "dead-letters", err);

	if (rc != 0)
		return rc;
	d = mem_new(sizeof(*d));
	if (d != NULL)
		d->path = mem_dup(path, strlen(path));
	if (d == NULL || d->path == NULL) {
		mem_free(d);
		return err_nomem(err);
	}
	rc = deadletters_refresh(d, err);
	if (rc != 0) {
		deadletters_free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void
deadletters_free(struct deadletters *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++)
		mem_free(d->open[i]);
	mem_free(d->open);
	mem_free(d->path);
	mem_free(d);
}

size_t
deadletters_count(const struct deadletters *d)
{
	return d->n;
}

const struct dead_letter *
deadletters_at(const struct deadletters *d, size_t i)
{
	return i < d->n ? &d->open[i]->d : NULL;
}

const struct dead_letter *
deadletters_of(const struct deadletters *d, struct weir_str type,
	       struct weir_str id)
{
	const struct entry *e = d->n != 0 ? entry_of(d, type, id) : NULL;

	return e != NULL ? &e->d : NULL;
}

void
deadletters_waiting(struct deadletters *d, struct store *s)
{
	for (size_t i = 0; i < d->n; i++) {
		struct dead_letter *e = &d->open[i]->d;
		struct head head;

		if (store_head(s, &head, e->aggregate_type, e->aggregate_id,
			       NULL) == 0 &&
		    head.version > e->version)
			e->waiting = head.version - e->version;
	}
}

/* ---- appending -------------------------------------------------------------
 */

/* Writes text at the end as one write; a torn line before it is ended. */
static int
append_text(int fd, const char *path, struct buf *b, struct weir_err *err)
{
	struct stat st;
	char last = '\n';
	ssize_t n;

	if (os()->fstat(fd, &st) != 0)
		return err_sys(err, "cannot look at %s", path);
	if ((uint64_t)st.st_size > FILE_MAX_BYTES)
		return err_set(
			err, WEIR_ENOSPC,
			"%s has grown over 1 GiB; retry or discard what is "
			"parked, then remove the sink with --purge",
			path);
	if (st.st_size > 0) {
		int rc = os_pread_all(fd, path, &last, 1,
				      (uint64_t)st.st_size - 1, err);

		if (rc != 0)
			return rc;
	}
	if (last != '\n') {
		if (buf_putc(b, '\n') != 0)
			return err_nomem(err);
		memmove(b->data + 1, b->data, b->len - 1);
		b->data[0] = '\n';
	}
	do
		n = os()->write(fd, b->data, b->len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot write to %s", path);
	if ((size_t)n != b->len)
		return err_set(
			err, WEIR_ENOSPC,
			"cannot write to %s: only a part was taken; make room",
			path);
	return 0;
}

static int
append(const char *path, struct buf *b, bool sync, struct weir_err *err)
{
	bool fresh = !os_exists(path);
	int fd, rc;

	if (b->failed)
		return err_nomem(err);
	fd = os_open(path, O_RDWR | O_CREAT | O_APPEND, 0600, err);
	if (fd < 0)
		return fd;
	rc = append_text(fd, path, b, err);
	if (rc == 0 && sync)
		rc = os_sync_data(fd, path, err);
	os_close(fd);
	if (rc == 0 && fresh) {
		char folder[SINK_PATH_MAX];

		snprintf(folder, sizeof(folder), "%s", path);
		*strrchr(folder, '/') = '\0';
		rc = os_sync_folder(folder, err);
	}
	return rc;
}

static void
put_text(struct buf *b, const char *name, struct weir_str text)
{
	buf_printf(b, ",\"%s\":", name);
	json_put_string(b, text);
}

static void
put_what(struct buf *b, const char *what, uint64_t sequence)
{
	buf_printf(b, "{\"what\":\"%s\",\"sequence\":%llu", what,
		   (unsigned long long)sequence);
}

static void
put_why(struct buf *b, const struct dead_letter *e)
{
	put_text(b, "reason", str_of(e->reason));
	put_text(b, "code", str_of(e->code));
	put_text(b, "column", str_of(e->column));
	put_text(b, "message", str_of(e->message));
	put_text(b, "hint", str_of(e->hint));
	buf_printf(b, ",\"attempts\":%llu,\"at\":%lld}\n",
		   (unsigned long long)e->attempts, (long long)e->last_at);
}

/* Appends b and takes it in; frees b. */
static int
happened(struct deadletters *d, struct buf *b, bool sync, struct weir_err *err)
{
	int rc = append(d->path, b, sync, err);

	buf_fini(b);
	return rc == 0 ? deadletters_refresh(d, err) : rc;
}

int
deadletters_park(struct deadletters *d, const struct dead_letter *entry,
		 struct weir_err *err)
{
	const struct entry *old =
		entry_of(d, entry->aggregate_type, entry->aggregate_id);
	struct buf b;

	buf_init(&b, 2 * LINE_MAX_BYTES);
	if (old != NULL && old->d.sequence != entry->sequence) {
		put_what(&b, "closed", old->d.sequence);
		buf_printf(&b, ",\"as\":\"%s\",\"at\":%lld}\n",
			   old->d.sequence < entry->sequence ? "delivered"
							     : "superseded",
			   (long long)entry->last_at);
	}
	put_what(&b, "parked", entry->sequence);
	buf_printf(&b, ",\"version\":%llu", (unsigned long long)entry->version);
	put_text(&b, "aggregate_type", entry->aggregate_type);
	put_text(&b, "aggregate_id", entry->aggregate_id);
	put_why(&b, entry);
	return happened(d, &b, true, err);
}

int
deadletters_close(struct deadletters *d, uint64_t sequence,
		  const char *closed_as, struct weir_err *err)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	put_what(&b, "closed", sequence);
	put_text(&b, "as", str_of(closed_as));
	buf_printf(&b, ",\"at\":%lld}\n", (long long)clock_now());
	return happened(d, &b, true, err);
}

int
deadletters_tried(struct deadletters *d, uint64_t sequence,
		  const struct dead_letter *why, struct weir_err *err)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	put_what(&b, "tried", sequence);
	put_why(&b, why);
	return happened(d, &b, false, err);
}

int
deadletters_trying(struct deadletters *d, uint64_t sequence, uint64_t last,
		   uint64_t epoch, struct weir_err *err)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	put_what(&b, "trying", sequence);
	buf_printf(&b, ",\"last\":%llu,\"epoch\":%llu}\n",
		   (unsigned long long)last, (unsigned long long)epoch);
	return happened(d, &b, true, err);
}

int
deadletters_next(struct deadletters *d, uint64_t sequence, uint64_t version,
		 struct weir_err *err)
{
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	put_what(&b, "next", sequence);
	buf_printf(&b, ",\"version\":%llu}\n", (unsigned long long)version);
	return happened(d, &b, true, err);
}

static int
ask(const char *store_dir, const char *sink, const char *what,
    uint64_t sequence, uint64_t *count, struct weir_err *err)
{
	struct deadletters *d = NULL;
	uint64_t n = 0;
	struct buf b;
	int rc = deadletters_load(&d, store_dir, sink, err);

	if (rc != 0)
		return rc;
	buf_init(&b, 256u << 20);
	for (size_t i = 0; i < d->n; i++) {
		if (sequence != 0 && d->open[i]->d.sequence != sequence)
			continue;
		put_what(&b, what, d->open[i]->d.sequence);
		buf_printf(&b, ",\"at\":%lld}\n", (long long)clock_now());
		n++;
	}
	if (n == 0 && sequence != 0)
		rc = err_set(
			err, WEIR_ENOTFOUND,
			"sink %s has no dead letter for sequence %llu; `weir "
			"sink dead-letters %s list` shows those that it has",
			sink, (unsigned long long)sequence, sink);
	if (rc == 0 && n != 0)
		rc = append(d->path, &b, true, err);
	if (rc == 0 && count != NULL)
		*count = n;
	buf_fini(&b);
	deadletters_free(d);
	return rc;
}

int
deadletters_ask_retry(const char *store_dir, const char *sink,
		      uint64_t sequence, uint64_t *count, struct weir_err *err)
{
	return ask(store_dir, sink, "retry", sequence, count, err);
}

int
deadletters_ask_discard(const char *store_dir, const char *sink,
			uint64_t sequence, uint64_t *count,
			struct weir_err *err)
{
	return ask(store_dir, sink, "discard", sequence, count, err);
}
