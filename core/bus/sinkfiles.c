/* SPDX-License-Identifier: MIT */
/* Paths and small files of a sink's folder. */
#include "bus/sinkfiles.h"

#include "base/err.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int
sinkfile_path(char out[SINK_PATH_MAX], const char *store_dir, const char *name,
	      const char *file, struct weir_err *err)
{
	int n = snprintf(out, SINK_PATH_MAX, "%s/sinks%s%s%s%s", store_dir,
			 name != NULL ? "/" : "", name != NULL ? name : "",
			 file != NULL ? "/" : "", file != NULL ? file : "");

	if (n < 0 || n >= SINK_PATH_MAX)
		return err_set(err, WEIR_EINPUT,
			       "the path of the store is too long: %s",
			       store_dir);
	return 0;
}

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

int
sinkfile_check_name(const char *name, struct weir_err *err)
{
	size_t n = strlen(name);
	bool ok = n > 0 && n <= 63 && alnum(name[0]);

	for (size_t i = 1; ok && i < n; i++)
		ok = alnum(name[i]) || strchr("_.-", name[i]) != NULL;
	if (!ok)
		return err_set(
			err, WEIR_EINPUT,
			"\"%.64s\" is no name for a sink: letters, digits, _ . "
			"and -, the first a letter or digit, at most 63",
			name);
	return 0;
}

uint64_t
sinkfile_mark(const char *path)
{
	struct stat st;
	uint64_t h = 0xcbf29ce484222325u;
	uint64_t v[4];

	if (os()->stat(path, &st) != 0)
		return 0;
	v[0] = (uint64_t)st.st_ino;
	v[1] = (uint64_t)st.st_size;
	v[2] = (uint64_t)st.st_mtim.tv_sec;
	v[3] = (uint64_t)st.st_mtim.tv_nsec;
	for (size_t i = 0; i < 4; i++) {
		h ^= v[i];
		h *= 0x100000001b3u;
		h ^= h >> 29;
	}
	return h != 0 ? h : 1;
}

int
sinkfile_replace(const char *path, const void *p, size_t n,
		 struct weir_err *err)
{
	char tmp[SINK_PATH_MAX + 8];
	int fd, rc;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fd = os_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0600, err);
	if (fd < 0)
		return fd;
	rc = os_pwrite_all(fd, tmp, p, n, 0, err);
	os_close(fd);
	if (rc == 0 && os()->rename(tmp, path) != 0)
		rc = err_sys(err, "cannot rename %s to %s", tmp, path);
	return rc;
}

int
sinkfile_remove(const char *path, struct weir_err *err)
{
	if (os()->unlink(path) != 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s", path);
	return 0;
}
