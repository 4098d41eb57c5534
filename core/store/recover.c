/* SPDX-License-Identifier: MIT */
/*
 * Taking in the journal when a store is opened, and what a writer mends.
 *
 * The watermark is the position up to which everything was synced, as far as
 * anything says so: `live` of this boot, synced_before of any group (also of
 * groups found behind a bad place), a seal that names the next segment, a next
 * segment with a header.
 *
 *   1. Walk over whole groups from the first segment on. Headers, CRCs, chain
 *      and numbering must agree all the way; a whole group that does not follow
 *      the one before it is damage.
 *   2. Where the walk stops: nothing but zeros behind is the end.
 *   3. Below the watermark the stop is damage: it is reported and nothing is
 *      touched.
 *   4. Above it, a group is torn when a sector of it is all zero (segments are
 *      zeros before they are used, and a sector is written whole or not), or
 *      when its last 8 bytes are zeros or begin as they should and end in zeros
 *      (a write that ended early, at whatever byte). Anything else is damage.
 *   5. A torn tail is cut: its bytes are kept in a file of their own and synced,
 *      then zeroed in place and synced.
 *   6. Whole groups above the watermark may never have reached the disk (after
 *      a failed sync the kernel shows them all the same): they are written
 *      again and synced before anybody sees them, and so is the header of a
 *      segment of which nothing is known to be synced. A mark is written again
 *      but not synced: it is no news.
 *
 * A file shorter than its header says never comes from a crash: it was synced
 * at its full length before its header was written. Only `live` of this boot
 * can tell that nothing is lost; then the file is made long again.
 *
 * A valid group behind a bad place says by its synced_before whether that place
 * was synced: a lost mark was not, when the group behind it was never
 * acknowledged either.
 *
 * Readers do steps 1 to 3 and stop before anything else.
 *
 * The walk begins at the index's watermark, when there is an index that fits
 * the journal: all before it was synced and published. Of the segments before it
 * a writer only looks at the headers; what else is wrong with them shows when it
 * is read. A writer that finds a long way to go brings the index on first, so
 * that memory need not hold all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/impl.h"
#include "store/indexer.h"

#define SECTOR	     512u
#define REWRITE_MOST (1u << 20)
#define FOLLOW_BYTES (8u << 20)

struct recovery {
	struct store *s;
	const struct store_options *o;
	struct stopped stop;
	bool live_known;
	uint64_t watermark;
	uint64_t segments; /* the highest number that has a file */
	bool torn;
	uint64_t used_end; /* torn: offset behind the last byte to cut */
	bool begin_next;   /* the next segment must get its header */
};

static int
damage(const struct recovery *r, uint64_t position, const char *why,
       struct weir_err *err)
{
	return journal_damage(&r->s->journal, err, position, why);
}

/* How many segments there are, by name; the last two keep the frontier. */
static int
count_segments(struct store *s, uint64_t *n, struct weir_err *err)
{
	char **names = NULL;
	size_t count = 0;
	uint64_t number;
	int rc;

	rc = os_list_folder(&names, &count, s->folder, err);
	if (rc != 0)
		return rc;
	*n = 0;
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);
		if (len > 4 && strcmp(names[i] + len - 4, ".seg") == 0
		    && str_u64(&number, (struct weir_str){names[i], len - 4})
			    == 0
		    && number > *n)
			*n = number;
	}
	mem_free(names);
	return 0;
}

/* ---- step 2 to 4: what stands where the walk stopped --------------------- */

/* A group at any place of [from, to) of a segment that says that more was
 * synced than the walk came through. (One behind an unsynced mark says less:
 * the two may have reached the disk in any order.) */
static int
search_groups(const struct recovery *r, bool *found, int fd, const char *path,
	      uint64_t number, uint64_t from, uint64_t to,
	      struct weir_err *err)
{
	const size_t block = 1u << 20;
	uint8_t *p = mem_resize(NULL, block);
	struct group_header h;
	int64_t got = 0;

	*found = false;
	if (p == NULL)
		return err_nomem(err);
	while (!*found && from < to) {
		got = os_pread_upto(fd, path, p, block, from, err);
		if (got < (int64_t)GROUP_HEADER)
			break;
		for (int64_t i = 0; i + (int64_t)GROUP_HEADER <= got; i += 8) {
			if (get_u32(p + i) != GROUP_MAGIC
			    || group_header_decode(
				       &h, p + i, r->s->id,
				       position_of(number,
						   from + (uint64_t)i))
				    != 0)
				continue;
			if (h.synced_before <= tail_position(&r->s->tail))
				continue;
			*found = true;
			break;
		}
		from += (uint64_t)got - GROUP_HEADER + 8;
		from &= ~(uint64_t)7;
	}
	mem_free(p);
	return got < 0 ? (int)got : 0;
}

/* Is some sector, cut to [from, to), all zero? */
static int
zero_sector(bool *found, int fd, const char *path, uint64_t from, uint64_t to,
	    struct weir_err *err)
{
	uint8_t p[SECTOR];
	int64_t got;

	*found = false;
	while (!*found && from < to) {
		uint64_t end = from - from % SECTOR + SECTOR;
		if (end > to)
			end = to;
		memset(p, 0, sizeof(p));
		got = os_pread_upto(fd, path, p, (size_t)(end - from), from,
				    err);
		if (got < 0)
			return (int)got;
		*found = format_all_zero(p, (size_t)(end - from));
		from = end;
	}
	return 0;
}

/* Does a trailer end in zeros where its own bytes should be? */
static bool
ended_early(const uint8_t trailer[GROUP_TRAILER], uint32_t extent)
{
	uint8_t whole[GROUP_TRAILER];
	unsigned n = 0;

	format_trailer(whole, extent);
	while (n < GROUP_TRAILER && trailer[n] == whole[n])
		n++;
	return n < GROUP_TRAILER
		&& format_all_zero(trailer + n, GROUP_TRAILER - n);
}

static int
judge_torn(struct recovery *r, int fd, const char *path, uint64_t last,
	   struct weir_err *err)
{
	const struct tail *t = &r->s->tail;
	uint64_t end = last;
	uint8_t trailer[GROUP_TRAILER] = {0};
	int rc;

	r->torn = true;
	r->used_end = last;
	if (r->stop.stop == STOP_BODY) {
		end = t->offset + r->stop.extent;
		if (end > t->size)
			return damage(r, tail_position(t),
				      "the group does not fit in its segment",
				      err);
		int64_t got = os_pread_upto(fd, path, trailer, GROUP_TRAILER,
					    end - GROUP_TRAILER, err);
		if (got < 0)
			return (int)got;
		if (ended_early(trailer, r->stop.extent))
			return 0;
	} else if (last <= t->offset + GROUP_HEADER) {
		return 0;
	}
	rc = zero_sector(&r->torn, fd, path, t->offset, end, err);
	if (rc == 0 && !r->torn)
		rc = damage(r, tail_position(t), r->stop.why, err);
	return rc;
}

/* Is the segment after this one in use? Then this one was whole and sealed. */
static int
next_in_use(struct recovery *r, bool *used, struct weir_err *err)
{
	enum segment_state state = SEGMENT_MISSING;
	const struct segment *seg = NULL;
	const char *why = NULL;
	unsigned at = 0;
	int rc;

	rc = journal_segment(&r->s->journal, &seg, &state, &why, &at,
			     r->s->tail.segment + 1, err);
	*used = state == SEGMENT_USED || state == SEGMENT_BAD;
	return rc;
}

static int
judge_open_segment(struct recovery *r, struct weir_err *err)
{
	struct store *s = r->s;
	const struct tail *t = &s->tail;
	const struct segment *seg = NULL;
	char path[SEGMENT_PATH];
	uint64_t last = 0;
	bool found = false;
	int rc;

	if (t->length < t->size && !r->live_known)
		return damage(r, position_of(t->segment, t->length),
			      "the file ends here and is shorter than its "
			      "header says",
			      err);
	segment_path(path, s->folder, t->segment);
	rc = journal_used(&s->journal, &seg, t->segment, err);
	if (rc == 0)
		rc = next_in_use(r, &found, err);
	if (rc == 0 && found)
		rc = damage(r, tail_position(t), r->stop.why, err);
	if (rc == 0)
		rc = segment_last_used(&last, seg->fd, path, t->offset, err);
	if (rc != 0 || last == t->offset)
		return rc;
	rc = search_groups(r, &found, seg->fd, path, t->segment, t->offset + 8,
			   last, err);
	if (rc == 0 && found)
		rc = damage(r, tail_position(t), r->stop.why, err);
	return rc != 0 ? rc : judge_torn(r, seg->fd, path, last, err);
}

/* The present segment is sealed: the next one's file must be there as the seal
 * says, and hold nothing. */
static int
judge_sealed(struct recovery *r, struct weir_err *err)
{
	struct store *s = r->s;
	uint64_t number = s->tail.segment + 1, last = 0;
	uint64_t at = position_of(number, r->stop.at);
	char path[SEGMENT_PATH];
	struct stat st;
	int rc = 0;

	if (s->tail.segment == 0 || r->stop.stop == STOP_NEXT_MISSING)
		return damage(r, at, r->stop.why, err);
	segment_path(path, s->folder, number);
	int fd = os_open(path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	if (os()->fstat(fd, &st) != 0)
		rc = err_sys(err, "cannot look at %s", path);
	else if ((uint64_t)st.st_size < s->tail.next_size)
		rc = damage(r, position_of(number, (uint64_t)st.st_size),
			    "the file ends here and is shorter than the "
			    "segment before says",
			    err);
	if (rc == 0)
		rc = segment_last_used(&last, fd, path, SEGMENT_HEADER, err);
	if (rc == 0 && last > SEGMENT_HEADER)
		rc = damage(r, at, r->stop.why, err);
	os_close(fd);
	r->begin_next = true;
	return rc;
}

static int
judge(struct recovery *r, struct weir_err *err)
{
	const struct tail *t = &r->s->tail;
	uint64_t at = t->sealed ? position_of(t->segment + 1, r->stop.at)
				: tail_position(t);

	/* The file behind the next segment's was made when that was in use. */
	if (r->watermark > tail_position(t) || r->segments > t->segment + 1)
		return damage(r, at, r->stop.why, err);
	return t->sealed ? judge_sealed(r, err) : judge_open_segment(r, err);
}

/* ---- steps 5 and 6 ------------------------------------------------------ */

/* A file for cut bytes; what was kept before is never written over. */
static void
name_kept(char kept[SEGMENT_PATH], const struct store *s, uint64_t from)
{
	int n = snprintf(kept, SEGMENT_PATH, "%s/cut-%08" PRIu64 "-%" PRIu64,
			 s->folder, s->tail.segment, from);

	for (unsigned i = 2; os_exists(kept); i++)
		snprintf(kept + n, SEGMENT_PATH - (size_t)n, ".%u", i);
}

static int
cut(struct recovery *r, const struct segment *seg, const char *path,
    struct weir_err *err)
{
	struct store *s = r->s;
	uint64_t from = s->tail.offset, n = r->used_end - from;
	char kept[SEGMENT_PATH];
	char *p;
	int rc;

	name_kept(kept, s, from);
	p = mem_resize(NULL, (size_t)n);
	s->kept_at = mem_dup(kept, strlen(kept));
	if (p == NULL || s->kept_at == NULL) {
		rc = err_nomem(err);
		goto out;
	}
	rc = os_pread_all(seg->fd, path, p, (size_t)n, from, err);
	if (rc == 0)
		rc = os_replace_file(kept, p, (size_t)n, 0600, err);
	if (rc == 0)
		rc = os_zero_fill(seg->fd, path, from, r->used_end, err);
	if (rc == 0)
		rc = os_sync_data(seg->fd, path, err);
	if (rc != 0)
		goto out;
	s->cut_bytes = n;
	diag(DIAG_WARN, "journal",
	     "cut %" PRIu64 " bytes of a write that never ended, kept in %s",
	     n, kept);
out:
	mem_free(p);
	return rc;
}

static int
rewrite(const struct segment *seg, const char *path, uint64_t from,
	uint64_t to, struct weir_err *err)
{
	uint8_t *p = mem_resize(NULL, REWRITE_MOST);
	int rc = 0;

	if (p == NULL)
		return err_nomem(err);
	while (rc == 0 && from < to) {
		size_t n = to - from < REWRITE_MOST ? (size_t)(to - from)
						    : REWRITE_MOST;
		rc = os_pread_all(seg->fd, path, p, n, from, err);
		if (rc == 0)
			rc = os_pwrite_all(seg->fd, path, p, n, from, err);
		from += n;
	}
	mem_free(p);
	return rc;
}

static int
make_long(const struct segment *seg, const char *path, struct weir_err *err)
{
	int rc;

	if (seg->length >= seg->size)
		return 0;
	rc = os_zero_fill(seg->fd, path, seg->length, seg->size, err);
	if (rc == 0 && os()->fsync(seg->fd) != 0)
		rc = err_sys(err, "cannot sync %s", path);
	return rc;
}

static int
mend(struct recovery *r, struct weir_err *err)
{
	struct store *s = r->s;
	const struct segment *seg = NULL;
	uint64_t tail = tail_position(&s->tail), from = r->watermark;
	char path[SEGMENT_PATH];
	bool news;
	int rc;

	rc = journal_used(&s->journal, &seg, s->tail.segment, err);
	if (rc != 0)
		return rc;
	segment_path(path, s->folder, s->tail.segment);
	rc = make_long(seg, path, err);
	if (rc == 0 && r->torn)
		rc = cut(r, seg, path, err);
	if (rc != 0)
		return rc;
	news = s->tail.data_end > from || s->tail.sealed;
	if (from <= position_of(s->tail.segment, SEGMENT_HEADER)) {
		from = position_of(s->tail.segment, 0);
		news = true;
	}
	rc = rewrite(seg, path, position_offset(from), s->tail.offset, err);
	if (rc == 0 && news)
		rc = os_sync_data(seg->fd, path, err);
	s->synced = news || from > tail ? tail : from;
	s->tail.length = s->tail.size;
	if (rc == 0 && r->begin_next)
		rc = append_begin_segment(s, err);
	return rc;
}

/* ---- the whole ---------------------------------------------------------- */

static void
publish(struct store *s)
{
	s->last = s->tail.next_sequence - 1;
	s->end = tail_position(&s->tail);
}

/* What a reader takes for damage when nothing tells where the journal ends may
 * be a writer at work that began after it looked: then `live` tells now. */
static int
judge_reader(struct recovery *r, struct weir_err *err)
{
	struct store *s = r->s;
	struct live_state live;
	struct weir_err why = {0};
	bool this_boot = false;
	int rc = judge(r, &why);

	if (rc == WEIR_EDAMAGE && !r->live_known) {
		if (s->live.page == NULL)
			live_open(&s->live, s->live_path, false, NULL);
		if (live_read(&s->live, &live, &this_boot, s->id) && this_boot)
			return recover_follow(s, err);
	}
	if (rc != 0 && err != NULL)
		*err = why;
	return rc;
}

/* Headers and lengths of the segments before the one the index ends in. */
static int
look_at_headers(struct store *s, uint64_t before, struct weir_err *err)
{
	enum segment_state state = SEGMENT_MISSING;
	struct segment seg;
	unsigned at = 0;
	int rc = 0;

	for (uint64_t i = 1; rc == 0 && i < before; i++) {
		const char *why = "it is missing or empty";
		rc = segment_open(&seg, &state, &why, &at, s->folder, i, false,
				  s->id, err);
		if (rc != 0)
			return rc;
		if (state != SEGMENT_USED)
			rc = journal_damage(&s->journal, err,
					    position_of(i, at), why);
		else if (seg.length < seg.size)
			rc = journal_damage(&s->journal, err,
					    position_of(i, seg.length),
					    "the file ends here and is "
					    "shorter than its header says");
		if (seg.fd >= 0)
			segment_close(&seg);
	}
	return rc;
}

/* Takes over what the index knows. */
static int
begin_at_index(struct recovery *r, const struct index_meta *m,
	       struct weir_err *err)
{
	struct store *s = r->s;
	uint64_t from = s->tail.frontier_from;
	const struct segment *seg = NULL;
	int rc;

	rc = s->writing ? look_at_headers(s, m->tail.segment, err) : 0;
	if (rc == 0)
		rc = journal_used(&s->journal, &seg, m->tail.segment, err);
	if (rc != 0)
		return rc;
	s->tail = m->tail;
	s->tail.length = seg->length;
	s->tail.frontier_from = from;
	s->applied = s->indexed = s->last = m->tail.next_sequence - 1;
	s->end = tail_position(&m->tail);
	s->aggregates = m->aggregates;
	s->reserved = m->reserved;
	if (s->end > r->watermark)
		r->watermark = s->end;
	return 0;
}

/* The index may have moved on since `live` was looked at. */
static bool
fits(struct recovery *r, const struct index_meta *m)
{
	struct live_state live;
	bool this_boot = false;

	if (r->live_known
	    && live_read(&r->s->live, &live, &this_boot, r->s->id) && this_boot)
		r->watermark = live.end;
	return (!r->live_known || tail_position(&m->tail) <= r->watermark)
		&& find_fits(r->s, m);
}

/* What the index counted of tokens, and the watermark up to which it did. False:
 * there is no index to be used. */
static bool
take_writes(struct store *s, struct index_meta *m)
{
	struct weir_err err = {0};
	int rc;

	writes_zero(s->writes);
	rc = index_writes(s->index, m, s->writes, &err);
	if (rc >= 0)
		return rc > 0;
	diag(DIAG_WARN, "index",
	     "%s; the journal is read from its beginning", err.msg);
	index_drop(s->index, s->writing && rc == WEIR_EDAMAGE);
	writes_zero(s->writes);
	return false;
}

/* Opens the index, or not: 1 and *m. */
static int
open_index(struct recovery *r, struct index_meta *m)
{
	struct store *s = r->s;

	if (index_open(s->index, m, s->writing) <= 0 || !take_writes(s, m))
		return 0;
	if (fits(r, m))
		return 1;
	writes_zero(s->writes);
	diag(DIAG_WARN, "index",
	     "the index in %s does not fit the journal; the journal is read "
	     "from its beginning",
	     s->dir);
	index_drop(s->index, s->writing);
	return 0;
}

/* Where what is known to be synced ends: the beginning of the last segment in
 * use, when nothing else is known. 0: nowhere. */
static uint64_t
surely_synced(const struct recovery *r)
{
	struct store *s = r->s;
	enum segment_state state = SEGMENT_MISSING;
	const struct segment *seg = NULL;
	const char *why;
	unsigned at;

	if (r->live_known)
		return r->watermark;
	for (uint64_t n = r->segments; n > 1 && n + 2 > r->segments; n--)
		if (journal_segment(&s->journal, &seg, &state, &why, &at, n,
				    NULL)
			    == 0
		    && state == SEGMENT_USED)
			return position_of(n, SEGMENT_HEADER);
	return 0;
}

/* Bytes of the journal between two positions, about. */
static uint64_t
bytes_between(const struct store *s, uint64_t from, uint64_t to)
{
	uint64_t n = position_offset(to);

	for (uint64_t i = position_segment(from); i < position_segment(to); i++)
		n += i > 0 ? journal_size(&s->journal, i) : 0;
	return n - position_offset(from);
}

/* Writers: the indexer, and with it a long way at once. */
static int
begin_indexer(struct recovery *r, struct index_meta *m, bool *have,
	      struct weir_err *err)
{
	struct store *s = r->s;
	uint64_t to = surely_synced(r);
	struct told t = {.s = s, .fn = r->o->index_progress,
			 .cookie = r->o->index_cookie};
	struct weir_err why = {0};
	int rc;

	if (s->index_after == UINT64_MAX)
		return 0;
	s->indexer = indexer_new(s, *have ? m : NULL);
	if (s->indexer == NULL)
		return err_nomem(err);
	uint64_t from = *have ? tail_position(&m->tail) : 0;
	if (to <= from
	    || (bytes_between(s, from, to) < s->index_most
		&& (r->o->flags & STORE_REINDEX) == 0))
		return 0;
	t.all = journal_bytes(&s->journal, to);
	rc = indexer_run(s->indexer, &s->reindexed, to, reindex_tell, &t, &why);
	if (rc != 0)
		diag(DIAG_WARN, "index", "the index could not be built: %s",
		     why.msg);
	*have = take_writes(s, m);
	if (!*have) {
		/* It begins at a watermark that is gone. */
		indexer_free(s->indexer);
		s->indexer = indexer_new(s, NULL);
	}
	return s->indexer != NULL ? 0 : err_nomem(err);
}

static int
use_index(struct recovery *r, struct weir_err *err)
{
	struct store *s = r->s;
	struct index_meta *m = mem_new(sizeof(*m));
	bool have;
	int rc = 0;

	if (m == NULL)
		return err_nomem(err);
	have = open_index(r, m) > 0;
	if (s->writing)
		rc = begin_indexer(r, m, &have, err);
	if (rc == 0 && have)
		rc = begin_at_index(r, m, err);
	mem_free(m);
	return rc;
}

int
recover_open(struct store *s, const struct store_options *o,
	     struct weir_err *err)
{
	struct recovery r = {.s = s, .o = o};
	struct stopped ends = {.stop = STOP_LIMIT};
	struct live_state live = {0};
	bool this_boot = false;
	uint64_t limit;
	int rc;

	bool readable = live_read(&s->live, &live, &this_boot, s->id);
	r.live_known = readable && this_boot;
	r.watermark = r.live_known ? live.end : 0;
	rc = count_segments(s, &r.segments, err);
	if (rc != 0)
		return rc;
	s->tail.frontier_from = !s->writing ? UINT64_MAX
		: r.segments > 1	    ? r.segments - 1
					    : 1;
	rc = use_index(&r, err);
	limit = s->writing ? 0 : r.watermark;
	if (rc == 0 && !s->writing && !r.live_known)
		rc = limit_find(s, &limit, &ends, err);
	if (rc == 0)
		rc = journal_walk(&s->journal, &s->tail, &r.stop, limit,
				  &s->window, commit_apply, s, err);
	if (rc != 0)
		return rc;
	if (r.stop.stop == STOP_LIMIT)
		r.stop = ends;
	if (s->tail.synced_before > r.watermark)
		r.watermark = s->tail.synced_before;
	s->epoch = s->tail.epoch;
	if (readable && live.epoch > s->epoch)
		s->epoch = live.epoch;
	if (r.stop.stop != STOP_LIMIT)
		rc = s->writing ? judge(&r, err) : judge_reader(&r, err);
	publish(s);
	if (rc != 0 || !s->writing)
		return rc;
	rc = mend(&r, err);
	if (rc != 0)
		return rc;
	s->epoch++;
	publish(s);
	return 0;
}

/* A reader that has much in memory looks how far the index is. */
static void
follow_index(struct store *s)
{
	struct index_meta *m;

	if (s->behind < FOLLOW_BYTES)
		return;
	m = mem_new(sizeof(*m));
	if (m != NULL && index_again(s->index, m, s->indexed + 1)
	    && find_fits(s, m)) {
		pthread_mutex_lock(&s->mu);
		s->indexed = m->tail.next_sequence - 1 < s->applied
			? m->tail.next_sequence - 1
			: s->applied;
		pthread_mutex_unlock(&s->mu);
	}
	mem_free(m);
	pthread_mutex_lock(&s->mu);
	s->behind = 0;
	pthread_mutex_unlock(&s->mu);
	find_trim(s);
}

int
recover_follow(struct store *s, struct weir_err *err)
{
	struct live_state live = {0};
	struct stopped stop = {0};
	bool this_boot = false, known;
	uint64_t limit = 0, generation = 0;
	int rc = 0;

	if (s->live.page == NULL)
		live_open(&s->live, s->live_path, false, NULL);
	if (s->live.page != NULL)
		generation = live_generation(&s->live);
	if (live_read(&s->live, &live, &this_boot, s->id)) {
		if (this_boot)
			limit = live.end;
		if (live.epoch > s->epoch)
			s->epoch = live.epoch;
	}
	known = limit != 0;
	if (!known)
		rc = limit_find(s, &limit, &stop, err);
	if (rc == 0)
		rc = journal_walk(&s->journal, &s->tail, &stop, limit,
				  &s->window, commit_apply, s, err);
	if (rc == 0)
		follow_index(s);
	if (rc == 0 && limit != 0 && stop.stop != STOP_LIMIT)
		rc = journal_damage(&s->journal, err,
				    s->tail.sealed
					    ? position_of(s->tail.segment + 1,
							  stop.at)
					    : tail_position(&s->tail),
				    stop.why);
	if (rc == 0 && known)
		atomic_store(&s->followed, generation);
	return rc;
}
