/* SPDX-License-Identifier: MIT */
/* The crash marker and the back-off. */
#include "bus/retry.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MARK_SLOT 256u
#define WAIT_SLOT 3840u /* both: one page */

/* Where this thread's note goes, -1 when it hands nothing over. */
static _Thread_local int noted_fd = -1;
static bool watching;

struct retry {
	int fd;
	char *path;
	struct retry_mark found;
	struct retry_wait wait;
};

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

static void
get_text(struct weir_str obj, const char *name, char *out, size_t cap)
{
	struct weir_str v;
	char text[WAIT_SLOT];
	size_t n;

	if (!json_get(obj, name, &v) || json_kind(v) != WEIR_STRING ||
	    v.len > sizeof(text))
		return;
	n = json_decode(text, v);
	if (n >= cap)
		n = cap - 1;
	memcpy(out, text, n);
	out[n] = '\0';
}

static void
read_mark(struct retry_mark *m, struct weir_str obj)
{
	uint64_t kind = get_u64(obj, "kind");

	if (kind > RETRY_PARKED)
		return;
	m->kind = (enum retry_kind)kind;
	m->first = get_u64(obj, "first");
	m->through = get_u64(obj, "through");
	m->records = get_u64(obj, "records");
	m->single = get_u64(obj, "single");
	m->crashes = get_u64(obj, "crashes");
	m->epoch = get_u64(obj, "epoch");
	m->watched = get_u64(obj, "watched") != 0;
}

static void
read_wait(struct retry_wait *w, struct weir_str obj)
{
	struct weir_str v;
	int64_t next = 0;

	w->failures = get_u64(obj, "failures");
	w->tries = get_u64(obj, "tries");
	w->settings = get_u64(obj, "settings");
	w->blocked = get_u64(obj, "blocked") != 0;
	if (json_get(obj, "next_try", &v) && json_kind(v) == WEIR_NUMBER &&
	    json_i64(&next, v) == 0)
		w->next_try = next;
	get_text(obj, "class", w->class_, sizeof(w->class_));
	get_text(obj, "code", w->code, sizeof(w->code));
	get_text(obj, "message", w->message, sizeof(w->message));
	get_text(obj, "hint", w->hint, sizeof(w->hint));
}

/* The slot's object, or false when it is empty or torn. */
static bool
slot_object(struct weir_str *obj, const char *slot, size_t n)
{
	return n != 0 && slot[n - 1] == '\n' &&
	       json_check((struct weir_str){slot, n}, obj, "slot", NULL) == 0 &&
	       json_kind(*obj) == WEIR_OBJECT;
}

static int
read_slots(struct retry_mark *m, struct retry_wait *w, int fd, const char *path,
	   struct weir_err *err)
{
	char page[MARK_SLOT + WAIT_SLOT];
	struct weir_str obj;
	int64_t n = os_pread_upto(fd, path, page, sizeof(page), 0, err);

	if (n < 0)
		return (int)n;
	if (n >= (int64_t)MARK_SLOT) {
		m->signalled = page[MARK_SLOT - 2] == '!';
		page[MARK_SLOT - 2] = ' ';
		if (slot_object(&obj, page, MARK_SLOT))
			read_mark(m, obj);
	}
	if (n == (int64_t)sizeof(page) &&
	    slot_object(&obj, page + MARK_SLOT, WAIT_SLOT))
		read_wait(w, obj);
	return 0;
}

int
retry_open(struct retry **out, const char *path, struct weir_err *err)
{
	struct retry *r = mem_new(sizeof(*r));
	int rc = 0;

	if (r == NULL)
		return err_nomem(err);
	r->fd = -1;
	r->path = mem_dup(path, strlen(path));
	if (r->path == NULL)
		rc = err_nomem(err);
	if (rc == 0) {
		r->fd = os_open(path, O_RDWR | O_CREAT, 0600, err);
		rc = r->fd < 0 ? r->fd : 0;
	}
	if (rc == 0)
		rc = read_slots(&r->found, &r->wait, r->fd, path, err);
	if (rc != 0) {
		retry_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

void
retry_close(struct retry *r)
{
	if (r == NULL)
		return;
	os_close(r->fd);
	mem_free(r->path);
	mem_free(r);
}

const struct retry_mark *
retry_found(const struct retry *r)
{
	return &r->found;
}

struct retry_wait *
retry_wait(struct retry *r)
{
	return &r->wait;
}

static void
note_signal(int sig)
{
	/* SA_RESETHAND: the second time the signal ends the process */
	if (noted_fd >= 0)
		(void)!os()->pwrite(noted_fd, "!", 1, MARK_SLOT - 2);
	(void)raise(sig);
}

void
retry_note(const char *path)
{
	struct stat st;
	int fd;

	if (os()->stat(path, &st) != 0 || st.st_size < (off_t)MARK_SLOT)
		return;
	fd = os_open(path, O_WRONLY, 0, NULL);
	if (fd < 0)
		return;
	(void)os_pwrite_all(fd, path, "!", 1, MARK_SLOT - 2, NULL);
	os_close(fd);
}

void
retry_watch(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	struct sigaction ours = {.sa_handler = note_signal,
				 .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
	struct sigaction old;

	sigemptyset(&ours.sa_mask);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		if (sigaction(fatal[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_DFL)
			(void)sigaction(fatal[i], &ours, NULL);
	}
	watching = true;
}

int
retry_put_mark(struct retry *r, const struct retry_mark *m,
	       struct weir_err *err)
{
	char slot[MARK_SLOT + 1];
	int n = snprintf(
		slot, sizeof(slot),
		"{\"kind\":%d,\"first\":%llu,\"through\":%llu,"
		"\"records\":%llu,\"single\":%llu,\"crashes\":%llu,"
		"\"epoch\":%llu,\"watched\":%d}",
		(int)m->kind, (unsigned long long)m->first,
		(unsigned long long)m->through, (unsigned long long)m->records,
		(unsigned long long)m->single, (unsigned long long)m->crashes,
		(unsigned long long)m->epoch, watching ? 1 : 0);
	int rc;

	memset(slot + n, ' ', MARK_SLOT - (size_t)n);
	slot[MARK_SLOT - 1] = '\n';
	rc = os_pwrite_all(r->fd, r->path, slot, MARK_SLOT, 0, err);
	noted_fd = rc == 0 && m->kind != RETRY_NOTHING ? r->fd : -1;
	return rc;
}

static void
put_text(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, ",\"%s\":", name);
	json_put_string(b, str_of(text));
}

int
retry_save_wait(struct retry *r, struct weir_err *err)
{
	const struct retry_wait *w = &r->wait;
	struct buf b;
	int rc;

	buf_init(&b, WAIT_SLOT);
	buf_printf(&b,
		   "{\"failures\":%llu,\"tries\":%llu,\"next_try\":%lld,"
		   "\"settings\":%llu,\"blocked\":%d",
		   (unsigned long long)w->failures,
		   (unsigned long long)w->tries, (long long)w->next_try,
		   (unsigned long long)w->settings, w->blocked ? 1 : 0);
	put_text(&b, "class", w->class_);
	put_text(&b, "code", w->code);
	put_text(&b, "message", w->message);
	put_text(&b, "hint", w->hint);
	buf_putc(&b, '}');
	while (!b.failed && b.len < WAIT_SLOT - 1)
		buf_putc(&b, ' ');
	buf_putc(&b, '\n');
	rc = b.failed ? err_nomem(err)
		      : os_pwrite_all(r->fd, r->path, b.data, b.len, MARK_SLOT,
				      err);
	buf_fini(&b);
	return rc;
}

int64_t
retry_delay(uint64_t failures)
{
	int64_t most = 1000000;
	uint64_t random = 0;

	for (uint64_t i = 1; i < failures && most < RETRY_MAX_US; i++)
		most *= 2;
	if (most > RETRY_MAX_US)
		most = RETRY_MAX_US;
	if (os()->random(&random, sizeof(random)) != 0)
		return most;
	return (int64_t)(random % (uint64_t)most) + 1;
}

int
retry_peek(struct retry_wait *out, const char *path, struct weir_err *err)
{
	struct retry_mark m = {0};
	struct retry_wait w = {0};
	int fd, rc;

	if (!os_exists(path)) {
		*out = w;
		return 0;
	}
	fd = os_open(path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	rc = read_slots(&m, &w, fd, path, err);
	os_close(fd);
	if (rc == 0)
		*out = w;
	return rc;
}
