/* SPDX-License-Identifier: MIT */
#include "store/segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include "base/err.h"
#include "base/os.h"

#define BLOCK (256u << 10)

void
segment_path(char out[SEGMENT_PATH], const char *folder, uint64_t number)
{
	snprintf(out, SEGMENT_PATH, "%s/%08" PRIu64 ".seg", folder, number);
}

int
segment_open(struct segment *s, enum segment_state *state, const char **why,
	     unsigned *at, const char *folder, uint64_t number, bool writing,
	     const uint8_t store[16], struct weir_err *err)
{
	uint8_t head[SEGMENT_HEADER] = {0};
	char path[SEGMENT_PATH];
	struct stat st;
	int64_t got;
	int rc;

	segment_path(path, folder, number);
	memset(s, 0, sizeof(*s));
	s->number = number;
	s->fd = -1;
	int fd = os_open(path, writing ? O_RDWR : O_RDONLY, 0, err);
	if (fd == WEIR_ENOTFOUND) {
		*state = SEGMENT_MISSING;
		return 0;
	}
	if (fd < 0)
		return fd;
	if (os()->fstat(fd, &st) != 0) {
		rc = err_sys(err, "cannot look at %s", path);
		goto fail;
	}
	got = os_pread_upto(fd, path, head, sizeof(head), 0, err);
	if (got < 0) {
		rc = (int)got;
		goto fail;
	}
	s->fd = fd;
	s->length = (uint64_t)st.st_size;
	if (format_all_zero(head, (size_t)got)) {
		*state = SEGMENT_UNUSED;
		return 0;
	}
	*state = SEGMENT_BAD;
	if (segment_header_decode(&s->header, head, why, at) != 0)
		return 0;
	*at = 16;
	*why = "belongs to another store or stands at another number's place";
	if (memcmp(s->header.store, store, 16) != 0
	    || s->header.number != number)
		return 0;
	s->size = s->header.size;
	*state = SEGMENT_USED;
	return 0;
fail:
	os_close(fd);
	return rc;
}

void
segment_close(struct segment *s)
{
	if (s->map != NULL)
		os()->munmap((void *)(uintptr_t)s->map, (size_t)s->mapped);
	s->map = NULL;
	os_close(s->fd);
	s->fd = -1;
}

int
segment_map(struct segment *s, const char *folder, struct weir_err *err)
{
	char path[SEGMENT_PATH];
	struct stat st;
	uint64_t n;
	void *p;

	segment_path(path, folder, s->number);
	if (os()->fstat(s->fd, &st) != 0)
		return err_sys(err, "cannot look at %s", path);
	n = (uint64_t)st.st_size < s->size ? (uint64_t)st.st_size : s->size;
	if (n < SEGMENT_HEADER)
		return err_set(err, WEIR_EDAMAGE,
			       "%s is damaged at byte %" PRIu64
			       ": the file ends here; restore it from a copy",
			       path, n);
	p = os()->mmap((size_t)n, PROT_READ, MAP_SHARED, s->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, "cannot map %s", path);
	s->map = p;
	s->mapped = n;
	return 0;
}

int
segment_fill(const char *folder, uint64_t number, uint64_t from,
	     uint64_t size, struct weir_err *err)
{
	char path[SEGMENT_PATH];
	struct stat st;
	int rc;

	segment_path(path, folder, number);
	int fd = os_open(path, O_RDWR | O_CREAT, 0600, err);
	if (fd < 0)
		return fd;
	if (os()->fstat(fd, &st) != 0)
		rc = err_sys(err, "cannot look at %s", path);
	else
		rc = os_zero_fill(fd, path, from, size, err);
	/* A file that was meant to be larger is larger than it need be. */
	if (rc == 0 && (uint64_t)st.st_size > size)
		rc = os_zero_fill(fd, path, size, (uint64_t)st.st_size, err);
	if (rc == 0 && os()->fsync(fd) != 0)
		rc = err_sys(err, "cannot sync %s", path);
	if (rc == 0)
		rc = os_sync_folder(folder, err);
	os_close(fd);
	return rc;
}

int
segment_begin(int fd, const char *path, const struct segment_header *h,
	      struct weir_err *err)
{
	uint8_t head[SEGMENT_HEADER];
	int rc;

	segment_header_encode(head, h);
	rc = os_pwrite_all(fd, path, head, sizeof(head), 0, err);
	return rc != 0 ? rc : os_sync_data(fd, path, err);
}

int
segment_last_used(uint64_t *end, int fd, const char *path, uint64_t from,
		  struct weir_err *err)
{
	uint8_t *block = mem_resize(NULL, BLOCK);
	uint64_t at = from, last = from;
	int64_t got;

	if (block == NULL)
		return err_nomem(err);
	while ((got = os_pread_upto(fd, path, block, BLOCK, at, err)) > 0) {
		int64_t n = got;
		if (!format_all_zero(block, (size_t)got)) {
			while (block[n - 1] == 0)
				n--;
			last = at + (uint64_t)n;
		}
		at += (uint64_t)got;
	}
	mem_free(block);
	if (got < 0)
		return (int)got;
	*end = last;
	return 0;
}
