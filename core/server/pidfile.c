/* SPDX-License-Identifier: MIT */
#include "server/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#define FILE_BYTES 2048u /* always so many: one write replaces all */
#define TRIES	   20	 /* while another only looks, or has not written */
#define TRY_US	   20000
#define PATH_BYTES 4096

static int
path_of(char out[PATH_BYTES], const char *dir, struct weir_err *err)
{
	int n = snprintf(out, PATH_BYTES, "%s/weir.pid", dir);

	if (n > 0 && n < PATH_BYTES)
		return 0;
	return err_set(err, WEIR_EINPUT,
		       "the path of the data folder is "
		       "longer than 4,000 bytes");
}

/* ---- the text -------------------------------------------------------------
 */

static void
take_line(struct pidfile_info *i, const char *key, const char *value)
{
	const char *why;

	if (strcmp(key, "since") == 0)
		(void)clock_parse(&i->since, str_of(value), &why);
	else if (strcmp(key, "state") == 0)
		snprintf(i->state, sizeof(i->state), "%s", value);
	else if (strcmp(key, "http") == 0)
		snprintf(i->http, sizeof(i->http), "%s", value);
	else if (strcmp(key, "text") == 0)
		snprintf(i->text, sizeof(i->text), "%s", value);
	else if (strcmp(key, "options") == 0)
		snprintf(i->options, sizeof(i->options), " %s", value);
}

static void
parse(struct pidfile_info *i, char *text)
{
	char *line, *rest = text;
	uint64_t pid = 0;

	memset(i, 0, sizeof(*i));
	line = strsep(&rest, "\n");
	if (line != NULL && str_u64(&pid, str_of(line)) == 0 &&
	    pid <= INT32_MAX)
		i->pid = (int)pid;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *space = strchr(line, ' ');

		if (space == NULL)
			continue;
		*space = '\0';
		take_line(i, line, space + 1);
	}
}

int
pidfile_write(int fd, const char *dir, const struct pidfile_info *i,
	      struct weir_err *err)
{
	char path[PATH_BYTES], since[28];
	struct buf b;
	int rc = path_of(path, dir, err);

	if (rc != 0)
		return rc;
	clock_text(since, i->since);
	buf_init(&b, FILE_BYTES);
	buf_printf(&b, "%d\nsince %s\nstate %s\n", i->pid, since, i->state);
	if (i->http[0] != '\0')
		buf_printf(&b, "http %s\n", i->http);
	if (i->text[0] != '\0')
		buf_printf(&b, "text %s\n", i->text);
	if (i->options[0] != '\0')
		buf_printf(&b, "options%s\n", i->options);
	while (!b.failed && b.len < FILE_BYTES)
		buf_putc(&b, '\n');
	if (b.failed)
		rc = err_nomem(err);
	else
		rc = os_pwrite_all(fd, path, b.data, b.len, 0, err);
	buf_fini(&b);
	return rc;
}

/* ---- the lock -------------------------------------------------------------
 */

/* 1 it is held by another, 0 it is ours now, or a code. */
static int
try_lock(int fd, const char *path, int how, struct weir_err *err)
{
	while (os()->flock(fd, how | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return 1;
		if (errno != EINTR)
			return err_sys(err, "cannot lock %s", path);
	}
	return 0;
}

/* Is it still the file of that name? */
static bool
is_named(int fd, const char *path)
{
	struct stat a, b;

	return os()->fstat(fd, &a) == 0 && os()->stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int
runs_already(const char *dir, const struct pidfile_info *i,
	     struct weir_err *err)
{
	return err_set(err, WEIR_EUNREACH,
		       "weir runs on %s already: process %d%s%s; `weir stop` "
		       "ends it, `weir restart` starts it anew",
		       dir, i->pid, i->http[0] != '\0' ? ", http " : "",
		       i->http);
}

int
pidfile_take(const char *dir, struct weir_err *err)
{
	struct pidfile_info i = {0};
	char path[PATH_BYTES];
	int rc = path_of(path, dir, err);

	for (int n = 0; rc == 0 && n < TRIES; n++) {
		int fd = os_open(path, O_RDWR | O_CREAT, 0600, err);

		if (fd < 0)
			return fd;
		rc = try_lock(fd, path, LOCK_EX, err);
		if (rc == 0 && is_named(fd, path))
			return fd;
		os_close(fd);
		if (rc != 1)
			continue; /* it was removed meanwhile */
		rc = pidfile_read(&i, dir, err);
		if (rc == 0 && i.pid != 0)
			return runs_already(dir, &i, err);
		os_wait_readable(-1, TRY_US);
	}
	if (rc == 0)
		rc = err_set(err, WEIR_EUNREACH,
			     "%s is locked by another process", path);
	return rc;
}

void
pidfile_remove(const char *dir)
{
	char path[PATH_BYTES];

	if (path_of(path, dir, NULL) == 0)
		(void)os()->unlink(path);
}

/* One look: 1 when the one who holds it has not written yet. */
static int
look(struct pidfile_info *out, const char *path, struct weir_err *err)
{
	char text[FILE_BYTES + 1];
	int64_t n;
	int rc, fd = os_open(path, O_RDONLY, 0, err);

	memset(out, 0, sizeof(*out));
	if (fd == WEIR_ENOTFOUND)
		return 0;
	if (fd < 0)
		return fd;
	rc = try_lock(fd, path, LOCK_SH, err);
	if (rc == 1) {
		n = os_pread_upto(fd, path, text, FILE_BYTES, 0, err);
		rc = n < 0 ? (int)n : 0;
		text[n < 0 ? 0 : n] = '\0';
		parse(out, text);
		if (rc == 0 && out->pid == 0)
			rc = 1;
	}
	os_close(fd);
	return rc;
}

int
pidfile_read(struct pidfile_info *out, const char *dir, struct weir_err *err)
{
	char path[PATH_BYTES];
	int rc = path_of(path, dir, err);

	if (rc != 0)
		return rc;
	for (int n = 0; n < TRIES; n++) {
		rc = look(out, path, err);
		if (rc != 1)
			return rc;
		os_wait_readable(-1, TRY_US);
	}
	return err_set(err, WEIR_EUNREACH,
		       "%s is locked, but names no process; try again", path);
}

int
pidfile_process(int *fd, struct pidfile_info *out, const char *dir,
		struct weir_err *err)
{
	struct pidfile_info again = {0};

	for (int n = 0; n < TRIES; n++) {
		int rc = pidfile_read(out, dir, err);

		*fd = -1;
		if (rc != 0 || out->pid == 0)
			return rc;
		*fd = os()->pidfd(out->pid);
		if (*fd < 0 && errno != ESRCH)
			return err_sys(err, "cannot look at process %d",
				       out->pid);
		/* the file is held and names it still: it is the server */
		if (*fd >= 0)
			rc = pidfile_read(&again, dir, err);
		if (rc == 0 && *fd >= 0 && again.pid == out->pid)
			return 0;
		os_close(*fd);
		*fd = -1;
		if (rc != 0)
			return rc;
		os_wait_readable(-1, TRY_US);
	}
	return err_set(err, WEIR_EUNREACH,
		       "the server of %s changes all the time; try again", dir);
}
