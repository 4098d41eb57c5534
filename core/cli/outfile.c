/* SPDX-License-Identifier: MIT */
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/os.h"

#define SPILL_BYTES 65536u
#define ROOM_MAX    (64u << 20)

struct outfile {
	int fd;
	char *path;   /* what is asked for */
	char *beside; /* what is written when atomic, else NULL */
	struct buf b;
	uint64_t written;
};

/* path + ".part" in memory of its own. */
static char *
name_beside(const char *path)
{
	size_t n = strlen(path);
	char *p = mem_new(n + 6);

	if (p == NULL)
		return NULL;
	memcpy(p, path, n);
	memcpy(p + n, ".part", 6);
	return p;
}

int
outfile_open(struct outfile **out, const char *path, bool atomic,
	     struct weir_err *err)
{
	struct outfile *f = mem_new(sizeof(*f));
	struct stat st;
	int rc = 0;

	if (f == NULL)
		return err_nomem(err);
	f->fd = -1;
	buf_init(&f->b, ROOM_MAX);
	/* a terminal, pipe or device can't be replaced */
	if (atomic && os()->stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		atomic = false;
	f->path = mem_dup(path, strlen(path));
	if (atomic)
		f->beside = name_beside(path);
	if (f->path == NULL || (atomic && f->beside == NULL))
		rc = err_nomem(err);
	if (rc == 0)
		rc = f->fd = os_open(atomic ? f->beside : path,
				     O_WRONLY | O_CREAT | O_TRUNC, 0666, err);
	if (rc < 0) {
		mem_free(f->beside);
		f->beside = NULL;
		outfile_close(f);
		return rc;
	}
	*out = f;
	return 0;
}

struct buf *
outfile_buf(struct outfile *f)
{
	return &f->b;
}

int
outfile_flush(struct outfile *f, struct weir_err *err)
{
	size_t at = 0;

	if (f->b.failed)
		return err_nomem(err);
	while (at < f->b.len) {
		ssize_t n = os()->write(f->fd, f->b.data + at, f->b.len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "writing %s at byte %llu", f->path,
				       (unsigned long long)f->written + at);
		at += (size_t)n;
	}
	f->written += at;
	buf_clear(&f->b);
	return 0;
}

int
outfile_spill(struct outfile *f, struct weir_err *err)
{
	return f->b.len < SPILL_BYTES && !f->b.failed ? 0
						      : outfile_flush(f, err);
}

/* Syncs the folder that path stands in. */
static int
sync_folder_of(const char *path, struct weir_err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int rc;

	if (slash == NULL)
		return os_sync_folder(".", err);
	folder = mem_dup(path, slash == path ? 1 : (size_t)(slash - path));
	if (folder == NULL)
		return err_nomem(err);
	rc = os_sync_folder(folder, err);
	mem_free(folder);
	return rc;
}

int
outfile_finish(struct outfile *f, struct weir_err *err)
{
	int rc = outfile_flush(f, err);

	if (rc != 0 || f->beside == NULL)
		return rc;
	rc = os_sync_data(f->fd, f->beside, err);
	if (rc == 0 && os()->rename(f->beside, f->path) != 0)
		rc = err_sys(err, "renaming %s to %s", f->beside, f->path);
	if (rc != 0)
		return rc;
	mem_free(f->beside);
	f->beside = NULL;
	return sync_folder_of(f->path, err);
}

void
outfile_close(struct outfile *f)
{
	if (f == NULL)
		return;
	os_close(f->fd);
	if (f->beside != NULL)
		os()->unlink(f->beside);
	buf_fini(&f->b);
	mem_free(f->beside);
	mem_free(f->path);
	mem_free(f);
}
