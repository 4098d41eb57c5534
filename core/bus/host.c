/* SPDX-License-Identifier: MIT */
/* Host services: what a plugin may ask of us. */
#include "bus/host.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/options.h"
#include "bus/pulse.h"
#include "model/config.h"
#include "model/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SECRET_LEAST 3u /* shorter values would mask half of every text */
#define SECRETS_MAX  256u

struct host {
	struct weir_sink_host table;
	struct weir_sink_files files;
	const char *sink;
	const struct weir_sink_plugin *plugin;
	const struct mapping *mapping;
	struct policy *policy;
	char **secrets;
	size_t nsecrets;
	struct pulse *pulse;
	struct diag_lines lines;
};

/* ---- files ----------------------------------------------------------------
 */

/* The plugin does not hang: it moves bytes. */
static void
got_on(void *cookie)
{
	pulse_more(((struct host *)cookie)->pulse);
}

static int
file_open(void *cookie, const char *path, int flags, uint32_t mode)
{
	int fd;

	(void)cookie;
	do
		fd = os()->open(path, flags, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int
file_close(void *cookie, int fd)
{
	(void)cookie;
	return os()->close(fd);
}

static int64_t
file_read_at(void *cookie, int fd, void *buf, size_t n, int64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = os()->pread(fd, (char *)buf + done, n - done,
					at + (off_t)done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		if (k == 0)
			break;
		done += (size_t)k;
	}
	got_on(cookie);
	return (int64_t)done;
}

static int64_t
file_write_at(void *cookie, int fd, const void *buf, size_t n, int64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = os()->pwrite(fd, (const char *)buf + done, n - done,
					 at + (off_t)done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k == 0)
			errno = ENOSPC;
		if (k <= 0)
			return -1;
		done += (size_t)k;
	}
	got_on(cookie);
	return (int64_t)done;
}

static int
file_sync_data(void *cookie, int fd)
{
	int rc = os()->fdatasync(fd);

	got_on(cookie);
	return rc;
}

static int
file_sync_folder(void *cookie, const char *path)
{
	int fd = file_open(cookie, path, O_RDONLY | O_DIRECTORY, 0);
	int rc, saved;

	if (fd < 0)
		return -1;
	rc = os()->fsync(fd);
	saved = errno;
	os()->close(fd);
	errno = saved;
	return rc;
}

static int
file_truncate(void *cookie, int fd, int64_t length)
{
	int rc;

	(void)cookie;
	do
		rc = os()->ftruncate(fd, length);
	while (rc != 0 && errno == EINTR);
	return rc;
}

static int64_t
file_size(void *cookie, int fd)
{
	struct stat st;

	(void)cookie;
	return os()->fstat(fd, &st) != 0 ? -1 : st.st_size;
}

static int
file_rename(void *cookie, const char *from, const char *to)
{
	(void)cookie;
	return os()->rename(from, to);
}

static int
file_unlink(void *cookie, const char *path)
{
	(void)cookie;
	return os()->unlink(path);
}

static int
file_make_folder(void *cookie, const char *path, uint32_t mode)
{
	(void)cookie;
	return os()->mkdir(path, mode);
}

/* ---- the rest --------------------------------------------------------------
 */

static enum diag_level
level_of(int level)
{
	return level >= WEIR_ERROR && level <= WEIR_TRACE
		       ? (enum diag_level)level
		       : DIAG_INFO;
}

static void
host_diag(void *cookie, int level, const char *msg)
{
	struct host *h = cookie;
	char text[2048];

	snprintf(text, sizeof(text), "%s", msg);
	host_mask(h, text, sizeof(text));
	host_flush(h);
	diag(level_of(level), h->sink, "%s", text);
}

static void
host_emit(void *cookie, int level, const char *line, size_t len)
{
	struct host *h = cookie;

	diag_lines_add(&h->lines, level_of(level), h->sink,
		       (struct weir_str){line, len});
}

void
host_flush(struct host *h)
{
	diag_lines_flush(&h->lines);
}

static int64_t
host_now(void *cookie)
{
	(void)cookie;
	return clock_now();
}

static int64_t
host_monotonic(void *cookie)
{
	(void)cookie;
	return clock_monotonic();
}

static void *
host_resize(void *cookie, void *p, size_t n)
{
	(void)cookie;
	return mem_resize(p, n != 0 ? n : 1);
}

static void
host_release(void *cookie, void *p)
{
	(void)cookie;
	mem_free(p);
}

static int
host_column_type(void *cookie, struct weir_str aggregate_type,
		 struct weir_str field, char out[64])
{
	const struct host *h = cookie;
	int source = WEIR_TYPE_NONE;

	out[0] = '\0';
	if (h->mapping != NULL)
		source = mapping_find(h->mapping, out, str_of(h->plugin->name),
				      aggregate_type, field);
	if (source == WEIR_TYPE_NONE && h->policy != NULL &&
	    schema_field_type(h->policy, out, aggregate_type, field))
		source = WEIR_TYPE_DECLARED;
	return source;
}

static size_t
host_json_string(void *cookie, struct weir_str raw, char *out)
{
	(void)cookie;
	return json_decode(out, raw);
}

static void
host_time_text(void *cookie, int64_t us, char out[28])
{
	(void)cookie;
	clock_text(out, us);
}

static void
host_sha256(void *cookie, const void *p, size_t n, uint8_t out[32])
{
	(void)cookie;
	digest_sha256(out, &(struct digest_part){p, n}, 1);
}

struct host *
host_new(const char *sink, const struct weir_sink_plugin *plugin,
	 const struct mapping *mapping)
{
	struct host *h = mem_new(sizeof(*h));

	if (h == NULL)
		return NULL;
	h->sink = sink;
	h->plugin = plugin;
	h->mapping = mapping;
	h->files = (struct weir_sink_files){
		.struct_size = sizeof(h->files),
		.open = file_open,
		.close = file_close,
		.read_at = file_read_at,
		.write_at = file_write_at,
		.sync_data = file_sync_data,
		.sync_folder = file_sync_folder,
		.truncate = file_truncate,
		.size = file_size,
		.rename = file_rename,
		.unlink = file_unlink,
		.make_folder = file_make_folder,
	};
	h->table = (struct weir_sink_host){
		.struct_size = sizeof(h->table),
		.abi_major = WEIR_SINK_ABI_MAJOR,
		.abi_minor = WEIR_SINK_ABI_MINOR,
		.cookie = h,
		.diag = host_diag,
		.emit = host_emit,
		.now_us = host_now,
		.monotonic_us = host_monotonic,
		.resize = host_resize,
		.release = host_release,
		.files = &h->files,
		.column_type = host_column_type,
		.json_string = host_json_string,
		.time_text = host_time_text,
		.sha256 = host_sha256,
	};
	return h;
}

static void
forget_secrets(struct host *h)
{
	for (size_t i = 0; i < h->nsecrets; i++) {
		explicit_bzero(h->secrets[i], strlen(h->secrets[i]));
		mem_free(h->secrets[i]);
	}
	mem_free(h->secrets);
	h->secrets = NULL;
	h->nsecrets = 0;
}

void
host_free(struct host *h)
{
	if (h == NULL)
		return;
	host_flush(h);
	forget_secrets(h);
	mem_free(h);
}

void
host_set_policy(struct host *h, struct policy *p)
{
	h->policy = p;
}

void
host_set_pulse(struct host *h, struct pulse *p)
{
	h->pulse = p;
}

const struct weir_sink_host *
host_table(const struct host *h)
{
	return &h->table;
}

/* ---- secrets ---------------------------------------------------------------
 */

static int
keep(struct host *h, const char *p, size_t n)
{
	char **v, *text;

	if (n < SECRET_LEAST || h->nsecrets == SECRETS_MAX)
		return 0;
	v = mem_resize(h->secrets, (h->nsecrets + 1) * sizeof(*v));
	if (v == NULL)
		return -1;
	h->secrets = v;
	text = mem_dup(p, n);
	if (text == NULL)
		return -1;
	h->secrets[h->nsecrets++] = text;
	return 0;
}

/* Of K=V in a list: V, and its last word (Bearer WORD). */
static int
keep_listed(struct host *h, const char *value)
{
	const char *p = strchr(value, '=');
	const char *word;
	int rc;

	if (p == NULL)
		return 0;
	rc = keep(h, p + 1, strlen(p + 1));
	word = strrchr(p + 1, ' ');
	if (word != NULL && rc == 0)
		rc = keep(h, word + 1, strlen(word + 1));
	return rc;
}

/* The whole value, the password of scheme://user:password@host, and that of
 * password=... */
static int
keep_parts(struct host *h, const char *value)
{
	const char *at, *p = strstr(value, "://");
	int rc = keep(h, value, strlen(value));

	if (p != NULL && rc == 0) {
		p += 3;
		at = strrchr(p, '@');
		p = memchr(p, ':', at != NULL ? (size_t)(at - p) : 0);
		if (p != NULL)
			rc = keep(h, p + 1, (size_t)(at - p - 1));
	}
	p = strstr(value, "password=");
	if (p != NULL && rc == 0) {
		p += strlen("password=");
		if (*p == '\'')
			rc = keep(h, p + 1, strcspn(p + 1, "'"));
		else
			rc = keep(h, p, strcspn(p, " &"));
	}
	return rc;
}

int
host_keep_secrets(struct host *h, const struct weir_sink_setting *s, size_t n,
		  struct weir_err *err)
{
	forget_secrets(h);
	for (size_t i = 0; i < n; i++) {
		const struct weir_sink_option *o =
			options_find(h->plugin->options, s[i].name);

		if (o == NULL || (o->flags & WEIR_OPT_SECRET) == 0)
			continue;
		if (keep_parts(h, s[i].value) != 0 ||
		    (o->type == WEIR_OPT_LIST &&
		     keep_listed(h, s[i].value) != 0))
			return err_nomem(err);
	}
	return 0;
}

void
host_mask(const struct host *h, char *text, size_t cap)
{
	for (size_t i = 0; i < h->nsecrets; i++) {
		size_t n = strlen(h->secrets[i]), len;
		char *p = text;

		while ((p = strstr(p, h->secrets[i])) != NULL) {
			len = strlen(p);
			memmove(p + 3, p + n, len - n + 1);
			memcpy(p, "***", 3);
			p += 3;
		}
	}
	text[cap - 1] = '\0';
}

static void
clean(const struct host *h, char *text, size_t cap)
{
	size_t ok;

	text[cap - 1] = '\0';
	if (h != NULL)
		host_mask(h, text, cap);
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	for (;;) {
		ok = str_utf8_valid(str_of(text));
		if (text[ok] == '\0')
			break;
		text[ok] = '?';
	}
	for (size_t n = strlen(text); n != 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
}

void
host_clean(const struct host *h, struct weir_sink_result *res)
{
	clean(h, res->code, sizeof(res->code));
	clean(h, res->column, sizeof(res->column));
	clean(h, res->message, sizeof(res->message));
	clean(h, res->hint, sizeof(res->hint));
}
