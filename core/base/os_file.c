/* SPDX-License-Identifier: MIT */
/*
 * Whole files and folders, built on the calls of os.c.
 *
 * os_replace_file writes beside the file, under the name with ".tmp" added,
 * and holds a flock on that file until it is renamed, so that two who replace
 * the same file do it one after the other and a crash leaves at most that one
 * name behind, which the next replacement removes.
 */
#include "base/os.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define PATH_LEN_MAX  4096u
#define NAMES_MAX     (64u << 20)
#define REPLACE_TRIES 100

/* The folder a path stands in, into fresh memory. */
static char *
parent_of(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n == 0 ? mem_dup(".", 1) : mem_dup(path, n);
}

static int
sync_parent(const char *path, struct weir_err *err)
{
	char *parent = parent_of(path);

	if (parent == NULL)
		return err_nomem(err);
	int rc = os_sync_folder(parent, err);
	mem_free(parent);
	return rc;
}

/* ---- read --------------------------------------------------------------- */

/* Sizes are not believed: files of /proc say 0, pipes have none. */
static int
read_to_end(struct buf *b, int fd, const char *path, struct weir_err *err)
{
	for (;;) {
		size_t room = b->cap - b->len;
		if (room == 0) {
			size_t more = b->len < 4096 ? 4096 : b->len;
			if (more > b->max - b->len)
				more = b->max - b->len;
			if (more == 0 || buf_reserve(b, more) != 0)
				break;
			room = b->cap - b->len;
		}
		ssize_t got = os()->read(fd, b->data + b->len, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "cannot read %s", path);
		if (got == 0)
			return 0;
		b->len += (size_t)got;
	}
	if (b->failed)
		return err_nomem(err);
	return err_set(err, WEIR_EINPUT, "%s has more than %zu bytes", path,
		       b->max - 1);
}

int
os_read_file(char **out, size_t *len, const char *path, size_t max,
	     struct weir_err *err)
{
	struct buf b;
	int fd = os_open(path, O_RDONLY, 0, err);

	if (fd < 0)
		return fd;
	/* One byte more than max tells whether there is more. */
	buf_init(&b, max < SIZE_MAX ? max + 1 : max);
	int rc = read_to_end(&b, fd, path, err);
	if (rc == 0 && buf_cstr(&b)[0] == '\0' && b.failed)
		rc = err_nomem(err);
	if (rc == 0) {
		*out = b.data;
		*len = b.len;
	} else {
		buf_fini(&b);
	}
	os_close(fd);
	return rc;
}

/* ---- replace ------------------------------------------------------------ */

static int
lock_whole(int fd)
{
	int rc;

	do
		rc = os()->flock(fd, LOCK_EX);
	while (rc != 0 && errno == EINTR);
	return rc;
}

/* Opens and locks the temporary file, empty and still under its name. */
static int
open_temporary(const char *path, mode_t mode, struct weir_err *err)
{
	for (int i = 0; i < REPLACE_TRIES; i++) {
		struct stat mine, named;
		int fd = os_open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, mode,
				 err);
		if (fd < 0)
			return fd;
		if (lock_whole(fd) != 0 || os()->fstat(fd, &mine) != 0) {
			int rc = err_sys(err, "cannot lock %s", path);
			os_close(fd);
			return rc;
		}
		bool same = os()->stat(path, &named) == 0 &&
			    named.st_dev == mine.st_dev &&
			    named.st_ino == mine.st_ino;
		if (same && mine.st_size == 0)
			return fd;
		/* Left behind by a crash: away with it. Otherwise another has
		 * just renamed it: begin again. */
		if (same && os()->unlink(path) != 0 && errno != ENOENT) {
			int rc = err_sys(err, "cannot remove %s", path);
			os_close(fd);
			return rc;
		}
		os_close(fd);
	}
	return err_set(err, WEIR_EUNREACH,
		       "%s is being replaced by others all the time", path);
}

int
os_replace_file(const char *path, const void *p, size_t n, mode_t mode,
		struct weir_err *err)
{
	struct buf tmp;
	int fd;
	int rc;

	buf_init(&tmp, PATH_LEN_MAX);
	buf_puts(&tmp, path);
	buf_puts(&tmp, ".tmp");
	const char *name = buf_cstr(&tmp);
	if (tmp.failed) {
		rc = err_set(err, WEIR_ENOMEM,
			     "no memory for the path, or it is too long: %s",
			     path);
		goto out;
	}
	fd = open_temporary(name, mode, err);
	if (fd < 0) {
		rc = fd;
		goto out;
	}
	rc = os_pwrite_all(fd, name, p, n, 0, err);
	if (rc == 0)
		rc = os_sync_data(fd, name, err);
	if (rc == 0 && os()->rename(name, path) != 0)
		rc = err_sys(err, "cannot rename %s to %s", name, path);
	if (rc != 0)
		os()->unlink(name);
	os_close(fd);
	if (rc == 0)
		rc = sync_parent(path, err);
out:
	buf_fini(&tmp);
	return rc;
}

/* ---- folders ------------------------------------------------------------ */

static int
make_one(const char *path, mode_t mode, bool last, struct weir_err *err)
{
	struct stat st;

	if (os()->stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return err_set(err, WEIR_EINPUT,
				       "%s is there but is not a folder", path);
		/* It may have been made just before a crash. A parent that we
		 * may not read was not made by us. */
		int rc = last ? sync_parent(path, err) : 0;
		return rc == WEIR_EDENIED ? 0 : rc;
	}
	if (errno != ENOENT)
		return err_sys(err, "cannot look at %s", path);
	if (os()->mkdir(path, mode) != 0 && errno != EEXIST)
		return err_sys(err, "cannot make the folder %s", path);
	return sync_parent(path, err);
}

int
os_make_folders(const char *path, mode_t mode, struct weir_err *err)
{
	size_t n = strlen(path);
	int rc = 0;

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0)
		return err_set(err, WEIR_EINPUT, "the folder's path is empty");
	char *copy = mem_dup(path, n);
	if (copy == NULL)
		return err_nomem(err);
	for (size_t i = 1; i < n && rc == 0; i++) {
		if (copy[i] != '/' || copy[i - 1] == '/')
			continue;
		copy[i] = '\0';
		rc = make_one(copy, mode, false, err);
		copy[i] = '/';
	}
	if (rc == 0)
		rc = make_one(copy, mode, true, err);
	mem_free(copy);
	return rc;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends every name but . and .., each with its NUL. */
static int
read_names(struct buf *names, size_t *count, int fd, const char *path,
	   struct weir_err *err)
{
	_Alignas(struct dirent64) char raw[8192];

	for (;;) {
		ssize_t got = os()->getdents(fd, raw, sizeof raw);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "cannot read the folder %s", path);
		if (got == 0)
			return 0;
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *e = (const void *)(raw + at);
			at += e->d_reclen;
			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0)
				continue;
			if (buf_add(names, e->d_name, strlen(e->d_name) + 1) !=
			    0)
				return err_nomem(err);
			(*count)++;
		}
	}
}

int
os_list_folder(char ***out, size_t *n, const char *path, struct weir_err *err)
{
	struct buf names;
	size_t count = 0;
	int rc;
	int fd = os_open(path, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	buf_init(&names, NAMES_MAX);
	rc = read_names(&names, &count, fd, path, err);
	if (rc != 0)
		goto out;
	char **list = mem_new((count + 1) * sizeof *list + names.len);
	if (list == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	char *text = (char *)(list + count + 1);
	if (names.len > 0)
		memcpy(text, names.data, names.len);
	for (size_t i = 0; i < count; i++) {
		list[i] = text;
		text += strlen(text) + 1;
	}
	qsort(list, count, sizeof *list, compare_names);
	*out = list;
	*n = count;
out:
	buf_fini(&names);
	os_close(fd);
	return rc;
}

/* ---- paths -------------------------------------------------------------- */

/* Adds the parts of path to an absolute path without a slash at its end. */
static void
add_parts(struct buf *b, const char *path)
{
	while (*path != '\0') {
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.') {
			while (b->len > 0 && b->data[b->len - 1] != '/')
				b->len--;
			if (b->len > 0)
				b->len--;
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			buf_putc(b, '/');
			buf_add(b, path, n);
		}
		path += n;
		path += *path == '/';
	}
}

int
os_absolute(char **out, const char *path, struct weir_err *err)
{
	char here[PATH_LEN_MAX];
	struct buf b;
	int rc = 0;

	if (*path == '\0')
		return err_set(err, WEIR_EINPUT, "the path is empty");
	buf_init(&b, 2 * PATH_LEN_MAX);
	if (*path != '/') {
		if (os()->getcwd(here, sizeof here) == NULL) {
			rc = err_sys(err, "cannot find the working folder");
			goto out;
		}
		add_parts(&b, here);
	}
	add_parts(&b, path);
	if (b.len == 0)
		buf_putc(&b, '/');
	if (b.failed) {
		rc = err_set(err, WEIR_EINPUT, "the path is too long: %s",
			     path);
		goto out;
	}
	*out = mem_dup(b.data, b.len);
	if (*out == NULL)
		rc = err_nomem(err);
out:
	buf_fini(&b);
	return rc;
}

bool
os_wait_readable(int fd, int64_t timeout_us)
{
	int64_t end =
		timeout_us < 0 ? INT64_MAX : clock_monotonic() + timeout_us;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left;

	do {
		left = end - clock_monotonic();
		left = left < 0 ? 0 : left / 1000 + (left % 1000 != 0);
		if (os()->poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) > 0)
			return true;
	} while (left > 0);
	return false;
}

int
os_disk_free(uint64_t *out, const char *path, struct weir_err *err)
{
	struct statvfs st;

	if (os()->statvfs(path, &st) != 0)
		return err_sys(err, "cannot look at the file system of %s",
			       path);
	*out = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}
