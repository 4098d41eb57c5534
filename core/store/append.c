/* SPDX-License-Identifier: MIT */
/*
 * Writing at the journal's tail.
 *
 * 1. A group is one pwrite and one fdatasync; the tail moves only when both
 *    came back whole.
 * 2. 64 bytes stay free at a segment's end for its seal. Before a segment is
 *    sealed the next one's file is there, filled and synced; the seal is synced
 *    before the next header is written, and that before any group behind it.
 *    So each of these steps may be repeated, and a crash between any two of
 *    them leaves a journal that says where it stands.
 * 3. Any failure but a full disk is the end of this writer. After a full disk
 *    the bytes that may have been written are zeroed before the next write.
 */
#include <fcntl.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "store/filler.h"
#include "store/impl.h"
#include "store/indexer.h"

#define FEW_RECORDS 8 /* somebody waits for so few */

/* The end of this writer. */
static int
fail(struct store *s, int rc, const struct weir_err *err)
{
	s->failed = true;
	snprintf(s->failure, sizeof(s->failure), "%.199s",
		 err != NULL ? err->msg : "a write failed");
	return rc;
}

/* The same for a step that may be repeated: want of room, memory or rights
 * may pass. */
static int
spoil(struct store *s, int rc, const struct weir_err *err)
{
	return rc == WEIR_EIO || rc == WEIR_EDAMAGE ? fail(s, rc, err) : rc;
}

static int
zero_spoilt(struct store *s, int fd, const char *path, struct weir_err *err)
{
	int rc;

	if (s->spoilt_from == s->spoilt_to)
		return 0;
	rc = os_zero_fill(fd, path, s->spoilt_from, s->spoilt_to, err);
	if (rc == 0)
		s->spoilt_from = s->spoilt_to = 0;
	return rc;
}

/* Writes n bytes at the tail. */
static int
write_tail(struct store *s, const void *p, size_t n, bool sync,
	   struct weir_err *err)
{
	const struct segment *seg = NULL;
	char path[SEGMENT_PATH];
	int rc;

	rc = journal_used(&s->journal, &seg, s->tail.segment, err);
	if (rc != 0)
		return spoil(s, rc, err);
	segment_path(path, s->journal.folder, s->tail.segment);
	rc = zero_spoilt(s, seg->fd, path, err);
	if (rc != 0)
		return spoil(s, rc, err);
	rc = os_pwrite_all(seg->fd, path, p, n, s->tail.offset, err);
	if (rc == WEIR_ENOSPC) {
		s->spoilt_from = s->tail.offset;
		s->spoilt_to = s->tail.offset + n;
		zero_spoilt(s, seg->fd, path, NULL);
		return rc;
	}
	if (rc == 0 && sync)
		rc = os_sync_data(seg->fd, path, err);
	if (rc == 0)
		return 0;
	/* Whatever it was, even a full disk at the sync: what the file holds
	 * is not known now. */
	if (err != NULL)
		err->code = WEIR_EIO;
	return fail(s, WEIR_EIO, err);
}

static void
head_fill(const struct store *s, struct group_header *h, uint32_t extent,
	  uint32_t flags)
{
	*h = (struct group_header){
		.extent = extent,
		.first_sequence = s->tail.next_sequence,
		.epoch = s->epoch,
		.synced_before = s->synced,
		.prev_chain = s->tail.chain,
		.flags = flags,
	};
}

/* A group without records: mark or seal. */
static int
write_bare(struct store *s, uint32_t flag, uint64_t next_size, bool sync,
	   struct weir_err *err)
{
	uint64_t position = tail_position(&s->tail);
	uint8_t bytes[GROUP_HEADER];
	struct group g = {.position = position, .bytes = bytes};
	int rc;

	head_fill(s, &g.head, GROUP_HEADER, flag);
	g.head.next_size = next_size;
	g.head.body_crc
		= format_body_crc(s->id, position, s->epoch, NULL, 0);
	group_header_encode(bytes, &g.head, s->id, position);
	rc = write_tail(s, bytes, GROUP_HEADER, sync, err);
	if (rc == 0)
		tail_group(&s->tail, &g);
	return rc;
}

void
append_mark(struct store *s)
{
	if (!s->appended || s->failed || s->tail.sealed
	    || s->spoilt_from != s->spoilt_to
	    || s->tail.size - s->tail.offset < 2 * GROUP_HEADER)
		return;
	if (write_bare(s, GROUP_MARK, 0, false, NULL) == 0)
		s->appended = false;
}

int
append_begin_segment(struct store *s, struct weir_err *err)
{
	struct segment_header h = {
		.number = s->tail.segment + 1,
		.size = s->tail.next_size,
		.first_sequence = s->tail.next_sequence,
		.created_at = clock_now(),
		.committed_at = s->tail.committed_at,
		.chain = s->tail.chain,
		.frontier = s->tail.frontier,
	};
	char path[SEGMENT_PATH];
	int rc;

	memcpy(h.store, s->id, 16);
	segment_path(path, s->journal.folder, h.number);
	int fd = os_open(path, O_RDWR, 0, err);
	if (fd < 0)
		return fd;
	rc = segment_begin(fd, path, &h, err);
	os_close(fd);
	if (rc != 0)
		return spoil(s, rc, err);
	s->tail.segment = h.number;
	s->tail.offset = SEGMENT_HEADER;
	s->tail.size = s->tail.length = h.size;
	s->tail.sealed = false;
	s->tail.next_size = 0;
	s->synced = tail_position(&s->tail);
	return 0;
}

static int
seal(struct store *s, uint64_t extent, struct weir_err *err)
{
	uint64_t number = s->tail.segment + 1;
	uint64_t size = journal_size(&s->journal, number);
	uint64_t filled = 0;
	bool whole = false;
	int rc = 0;

	if (number > SEGMENT_LAST)
		return err_set(err, WEIR_EFAILED,
			       "%s has as many segments as there can be",
			       s->folder);
	while (size < SEGMENT_HEADER + extent + GROUP_HEADER)
		size *= 2;
	if (s->filler != NULL)
		filled = filler_take(s->filler, &whole, number);
	if (!whole || filled != size)
		rc = segment_fill(s->folder, number, filled, size, err);
	if (rc != 0)
		return spoil(s, rc, err);
	rc = write_bare(s, GROUP_SEAL, size, true, err);
	if (rc == 0)
		s->synced = tail_position(&s->tail);
	return rc;
}

int
append_room(struct store *s, uint64_t extent, struct weir_err *err)
{
	int rc = 0;

	must(extent <= GROUP_EXTENT_MAX);
	while (rc == 0) {
		if (s->tail.sealed)
			rc = append_begin_segment(s, err);
		else if (extent + GROUP_HEADER
			 <= s->tail.size - s->tail.offset)
			return 0;
		else
			rc = seal(s, extent, err);
	}
	if (rc == WEIR_ENOSPC)
		err_prefix(err, "no room for the next segment of the journal");
	return rc;
}

/* What works beside the appends gives way to a caller who waits. */
static void
hold(struct store *s, bool yes)
{
	if (s->filler != NULL)
		filler_hold(s->filler, yes);
	if (s->indexer != NULL)
		indexer_hold(s->indexer, yes);
}

int
append_group(struct store *s, struct group *g, uint32_t records,
	     uint32_t commits, struct weir_err *err)
{
	uint8_t *p = (uint8_t *)s->out.data;
	uint64_t position = tail_position(&s->tail);
	int rc;

	format_trailer(p + s->out.len - GROUP_TRAILER, (uint32_t)s->out.len);
	*g = (struct group){.position = position, .bytes = p, .ours = true};
	head_fill(s, &g->head, (uint32_t)s->out.len, 0);
	g->head.records = records;
	g->head.commits = commits;
	g->head.body_crc
		= format_body_crc(s->id, position, s->epoch, p + GROUP_HEADER,
				  s->out.len - GROUP_HEADER);
	group_header_encode(p, &g->head, s->id, position);
	hold(s, records <= FEW_RECORDS);
	rc = write_tail(s, p, s->out.len, true, err);
	hold(s, false);
	if (rc != 0)
		return rc;
	s->synced = position + s->out.len;
	s->appended = true;
	return 0;
}

/* The next one is to be filled a little further than the present one is used. */
void
append_pace(struct store *s, uint64_t extent)
{
	uint64_t number = s->tail.segment + 1, size, goal;

	if (s->filler == NULL && s->fill_after > extent) {
		if (s->fill_after != UINT64_MAX)
			s->fill_after -= extent;
		return;
	}
	if (s->filler == NULL) {
		s->filler = filler_new(s->folder);
		if (s->filler == NULL) {
			s->fill_after = UINT64_MAX;
			return;
		}
	}
	if (number > SEGMENT_LAST)
		return;
	size = journal_size(&s->journal, number);
	goal = size / 1024 * (s->tail.offset * 1024 / s->tail.size)
		+ size / 8;
	filler_pace(s->filler, number, size, goal < size ? goal : size);
}
