/* SPDX-License-Identifier: MIT */
/* The tables of the fake host: clock, memory, files, each with its faults. */
#include "plugins/fakeparts.h"

#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void
add_line(char *space, size_t cap, const char *line, size_t len)
{
	size_t at = strlen(space);

	if (at + len + 2 > cap)
		return;
	memcpy(space + at, line, len);
	space[at + len] = '\n';
	space[at + len + 1] = '\0';
}

static void
on_diag(void *cookie, int level, const char *msg)
{
	struct fake *f = cookie;

	(void)level;
	add_line(f->diag, sizeof f->diag, msg, strlen(msg));
}

static void
on_emit(void *cookie, int level, const char *line, size_t len)
{
	struct fake *f = cookie;

	(void)level;
	add_line(f->lines, sizeof f->lines, line, len);
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t
on_now(void *cookie)
{
	(void)cookie;
	return clock_us(CLOCK_REALTIME);
}

static int64_t
on_monotonic(void *cookie)
{
	(void)cookie;
	return clock_us(CLOCK_MONOTONIC);
}

static void *
on_resize(void *cookie, void *p, size_t n)
{
	struct fake *f = cookie;

	if (++f->allocs == f->fail_alloc_at)
		return NULL;
	void *q = realloc(p, n ? n : 1);
	if (q != NULL && p == NULL)
		f->live++;
	return q;
}

static void
on_release(void *cookie, void *p)
{
	struct fake *f = cookie;

	if (p != NULL)
		f->live--;
	free(p);
}

static int
on_column_type(void *cookie, struct weir_str type, struct weir_str field,
	       char out[64])
{
	const struct fake_parts *p = ((struct fake *)cookie)->parts;

	out[0] = '\0';
	for (size_t i = 0; i < p->nmaps; i++) {
		const struct fake_map_entry *m = &p->maps[i];
		struct weir_str mt = {m->type, strlen(m->type)};
		struct weir_str mf = {m->field, strlen(m->field)};
		if (m->datatype[0] == '\0' || !fake_same(mt, type) ||
		    !fake_same(mf, field))
			continue;
		snprintf(out, 64, "%s", m->datatype);
		return (int)m->source;
	}
	return WEIR_TYPE_NONE;
}

void
fake_map(struct fake *f, const char *type, const char *field,
	 const char *datatype, enum weir_type_source source)
{
	struct fake_parts *p = f->parts;
	struct fake_map_entry *m = p->maps;

	while (m < p->maps + p->nmaps &&
	       (strcmp(m->type, type) != 0 || strcmp(m->field, field) != 0))
		m++;
	if (m == p->maps + p->nmaps) {
		if (p->nmaps++ == FAKE_MAPS)
			fake_die(field, "too many mappings");
		m->type = fake_xdup(type);
		m->field = fake_xdup(field);
	}
	snprintf(m->datatype, sizeof m->datatype, "%s",
		 datatype != NULL ? datatype : "");
	m->source = source;
}

static size_t
on_json_string(void *cookie, struct weir_str raw, char *out)
{
	(void)cookie;
	return json_decode(out, raw);
}

static void
on_time_text(void *cookie, int64_t us, char out[28])
{
	int64_t left = us % 1000000;
	time_t at = (time_t)(us / 1000000 - (left < 0));
	struct tm tm;
	char day[20];

	(void)cookie;
	gmtime_r(&at, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 28, "%.19s.%06uZ", day,
		 (unsigned)(left < 0 ? left + 1000000 : left) % 1000000u);
}

static void
on_sha256(void *cookie, const void *p, size_t n, uint8_t out[32])
{
	(void)cookie;
	SHA256(p, n, out);
}

/* ---- files ------------------------------------------------------------------
 */

/* False: the call is to fail, errno says why. */
static bool
may_call(void *cookie)
{
	struct fake *f = cookie;
	uint64_t n = ++f->file_calls;

	if (n != f->fail_file_at && (f->dead_from == 0 || n < f->dead_from))
		return true;
	errno = f->fail_errno;
	return false;
}

static int
on_open(void *cookie, const char *path, int flags, uint32_t mode)
{
	return may_call(cookie) ? open(path, flags | O_CLOEXEC, mode) : -1;
}

/* Closes also when it fails: a descriptor must not leak from a test. */
static int
on_close(void *cookie, int fd)
{
	bool ok = may_call(cookie);
	int saved = errno;

	close(fd);
	errno = saved;
	return ok ? 0 : -1;
}

static int64_t
on_read_at(void *cookie, int fd, void *buf, size_t n, int64_t at)
{
	size_t got = 0;

	if (!may_call(cookie))
		return -1;
	while (got < n) {
		ssize_t r =
			pread(fd, (char *)buf + got, n - got, at + (off_t)got);
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (int64_t)got;
}

/* A write that fails leaves half of its bytes, as a full disk does. */
static int64_t
on_write_at(void *cookie, int fd, const void *buf, size_t n, int64_t at)
{
	struct fake *f = cookie;
	bool dead = f->dead_from != 0 && f->file_calls + 1 > f->dead_from;
	bool ok = may_call(cookie);
	size_t want = ok ? n : dead ? 0 : n / 2, put = 0;
	int saved = errno;

	while (put < want) {
		ssize_t r = pwrite(fd, (const char *)buf + put, want - put,
				   at + (off_t)put);
		if (r < 0)
			return -1;
		put += (size_t)r;
	}
	errno = saved;
	return ok ? (int64_t)n : -1;
}

static int
on_sync_data(void *cookie, int fd)
{
	(void)fd;
	return may_call(cookie) ? 0 : -1;
}

static int
on_sync_folder(void *cookie, const char *path)
{
	if (!may_call(cookie))
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

static int
on_truncate(void *cookie, int fd, int64_t length)
{
	return may_call(cookie) ? ftruncate(fd, length) : -1;
}

static int64_t
on_size(void *cookie, int fd)
{
	struct stat st;

	if (!may_call(cookie) || fstat(fd, &st) != 0)
		return -1;
	return st.st_size;
}

static int
on_rename(void *cookie, const char *from, const char *to)
{
	return may_call(cookie) ? rename(from, to) : -1;
}

static int
on_unlink(void *cookie, const char *path)
{
	return may_call(cookie) ? unlink(path) : -1;
}

static int
on_make_folder(void *cookie, const char *path, uint32_t mode)
{
	return may_call(cookie) ? mkdir(path, mode) : -1;
}

void
fake_services(struct fake *f)
{
	f->fail_errno = EIO;
	f->files = (struct weir_sink_files){
		.struct_size = sizeof f->files,
		.open = on_open,
		.close = on_close,
		.read_at = on_read_at,
		.write_at = on_write_at,
		.sync_data = on_sync_data,
		.sync_folder = on_sync_folder,
		.truncate = on_truncate,
		.size = on_size,
		.rename = on_rename,
		.unlink = on_unlink,
		.make_folder = on_make_folder,
	};
	f->host = (struct weir_sink_host){
		.struct_size = sizeof f->host,
		.abi_major = WEIR_SINK_ABI_MAJOR,
		.abi_minor = WEIR_SINK_ABI_MINOR,
		.cookie = f,
		.diag = on_diag,
		.emit = on_emit,
		.now_us = on_now,
		.monotonic_us = on_monotonic,
		.resize = on_resize,
		.release = on_release,
		.files = &f->files,
		.column_type = on_column_type,
		.json_string = on_json_string,
		.time_text = on_time_text,
		.sha256 = on_sha256,
	};
}
