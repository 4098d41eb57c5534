/* SPDX-License-Identifier: MIT */
/*
 * Reading with pread through a window of the reader's own, so that no view
 * depends on what other threads do; or in the journal's maps.
 *
 * 1. Nothing at or behind the committed end is ever looked at or kept in the
 *    window: it may change. last and end are from one look, so what is not
 *    behind last is before end; they only grow.
 * 2. place is the frame that comes next in forward reading, or 0: unknown.
 * 3. Every record that is given was covered by a CRC: its frame's, or in
 *    forward reading of a map its whole group's (sound), which is faster. When
 *    a group's does not agree its frames are checked one by one, so that the
 *    bad one is named.
 */
#include "store/reader_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"
#include "store/impl.h"

#define WINDOW_NEAR (4u << 10)
#define WINDOW_FAR  (128u << 10)
#define WINDOW_MAX  (GROUP_EXTENT_MAX + WINDOW_FAR)
/* A larger group leaves the cache before its frames are come to. */
#define SOUND_MOST (512u << 10)
#define FRAME_AHEAD 320u /* bytes of a frame to ask for ahead */

struct reader *
reader_new(struct store *s)
{
	struct reader *r = mem_new(sizeof(*r));

	if (r == NULL)
		return NULL;
	r->s = s;
	r->wanted = 1;
	buf_init(&r->window, WINDOW_MAX);
	return r;
}

struct reader *
reader_new_mapped(struct store *s)
{
	struct reader *r = reader_new(s);

	if (r != NULL)
		r->mapped = true;
	return r;
}

void
reader_free(struct reader *r)
{
	if (r == NULL)
		return;
	mem_free(r->marks);
	mem_free(r->map);
	buf_fini(&r->window);
	mem_free(r);
}

static void
ask_committed(struct reader *r)
{
	pthread_mutex_lock(&r->s->mu);
	r->last = r->s->last;
	r->end = r->s->end;
	pthread_mutex_unlock(&r->s->mu);
}

static int
astray(struct reader *r, uint64_t position, struct weir_err *err)
{
	return journal_damage(&r->s->journal, err, position,
			      "what should stand here leads past the end of "
			      "the journal");
}

/* How far one may look in a position's segment: *room is the offset where what
 * is committed ends, or its size. */
static bool
has_room(const struct reader *r, uint64_t *room, uint64_t position,
	 uint64_t size, size_t n)
{
	uint64_t at = position_offset(position);

	*room = position_segment(r->end) == position_segment(position)
		? position_offset(r->end)
		: size;
	return position < r->end && at < *room && n <= *room - at;
}

/* ---- maps --------------------------------------------------------------- */

static int
take_map(struct reader *r, uint64_t number, struct weir_err *err)
{
	if (number >= r->nmap) {
		size_t n = (size_t)number + 16;
		struct map *map = mem_resize(r->map, n * sizeof(*map));
		if (map == NULL)
			return err_nomem(err);
		memset(map + r->nmap, 0, (n - r->nmap) * sizeof(*map));
		r->map = map;
		r->nmap = n;
	}
	if (r->map[number].p != NULL)
		return 0;
	return journal_map(&r->s->journal, &r->map[number].p,
			   &r->map[number].n, number, err);
}

/* The slow part of looking into a map: what is committed now, a new map, and
 * what is wrong. */
static int
extend_map(struct reader *r, uint64_t position, size_t n, struct weir_err *err)
{
	const struct segment *seg = NULL;
	uint64_t number = position_segment(position), room;
	int rc;

	ask_committed(r);
	if (number == 0 || position >= r->end)
		return astray(r, position, err);
	rc = journal_used(&r->s->journal, &seg, number, err);
	if (rc == 0)
		rc = take_map(r, number, err);
	if (rc != 0)
		return rc;
	if (!has_room(r, &room, position, seg->size, n))
		return astray(r, position, err);
	if (position_offset(position) + n > r->map[number].n)
		return journal_damage(&r->s->journal, err,
				      position_of(number, r->map[number].n),
				      "the file ends here");
	return 0;
}

static int
look_mapped(struct reader *r, const uint8_t **p, uint64_t position, size_t n,
	    struct weir_err *err)
{
	uint64_t number = position_segment(position), room;

	if (number >= r->nmap || r->map[number].p == NULL
	    || !has_room(r, &room, position, r->map[number].n, n)
	    || position_offset(position) + n > r->map[number].n) {
		int rc = extend_map(r, position, n, err);
		if (rc != 0)
			return rc;
	}
	*p = r->map[number].p + position_offset(position);
	return 0;
}

/* Asks for a frame's memory without waiting for it. */
void
reader_ask_ahead(const struct reader *r, uint64_t position)
{
	uint64_t number = position_segment(position);

	if (number >= r->nmap || r->map[number].p == NULL
	    || position_offset(position) + FRAME_AHEAD > r->map[number].n)
		return;
	const uint8_t *p = r->map[number].p + position_offset(position);
	for (unsigned i = 0; i < FRAME_AHEAD; i += 64)
		__builtin_prefetch(p + i);
}

/* ---- the window --------------------------------------------------------- */

static int
fill_window(struct reader *r, uint64_t position, size_t n,
	    struct weir_err *err)
{
	const struct segment *seg = NULL;
	size_t want = r->forward ? WINDOW_FAR : WINDOW_NEAR;
	uint64_t room;
	char path[SEGMENT_PATH];
	int rc;

	ask_committed(r);
	if (position_segment(position) == 0 || position >= r->end)
		return astray(r, position, err);
	rc = journal_used(&r->s->journal, &seg, position_segment(position),
			  err);
	if (rc != 0)
		return rc;
	if (!has_room(r, &room, position, seg->size, n))
		return astray(r, position, err);
	room = position_of(position_segment(position), room);
	if (want < n)
		want = n;
	if (want > room - position)
		want = (size_t)(room - position);
	buf_clear(&r->window);
	r->window_at = 0;
	if (buf_reserve(&r->window, want) != 0)
		return err_nomem(err);
	segment_path(path, r->s->folder, seg->number);
	int64_t got = os_pread_upto(seg->fd, path, r->window.data, want,
				    position_offset(position), err);
	if (got < 0)
		return (int)got;
	r->window.len = (size_t)got;
	r->window_at = position;
	if ((size_t)got < n)
		return journal_damage(&r->s->journal, err,
				      position + (uint64_t)got,
				      "the file ends here");
	return 0;
}

/* n bytes at a position, good until the next look. */
int
reader_look(struct reader *r, const uint8_t **p, uint64_t position, size_t n,
     struct weir_err *err)
{
	if (r->mapped)
		return look_mapped(r, p, position, n, err);
	if (r->window_at == 0 || position < r->window_at
	    || position + n > r->window_at + r->window.len) {
		int rc = fill_window(r, position, n, err);
		if (rc != 0)
			return rc;
	}
	*p = (const uint8_t *)r->window.data + (position - r->window_at);
	return 0;
}

/* ---- frames ------------------------------------------------------------- */

/* The length of the frame at a position. */
int
reader_look_length(struct reader *r, size_t *n, uint64_t position,
	    struct weir_err *err)
{
	const uint8_t *p = NULL;
	int rc = reader_look(r, &p, position, FRAME_LOCAL, err);

	if (rc != 0)
		return rc;
	*n = frame_length(p);
	return *n != 0 ? 0
		       : journal_damage(&r->s->journal, err, position,
					"no frame begins here");
}

static int
read_frame(struct reader *r, struct record_view *out, size_t *n,
	   uint64_t position, struct weir_err *err)
{
	const uint8_t *p = NULL;
	const char *why = NULL;
	int rc;

	rc = reader_look_length(r, n, position, err);
	if (rc == 0)
		rc = reader_look(r, &p, position, *n, err);
	if (rc == 0 && frame_decode(out, p, *n, r->s->id, position, &why) != 0)
		rc = journal_damage(&r->s->journal, err, position, why);
	return rc;
}

/* The next frame of a group whose CRC agrees. */
static int
read_sound(struct reader *r, struct record_view *out, size_t *n,
	   struct weir_err *err)
{
	uint64_t left = r->group_end - r->place;
	const uint8_t *p = r->map[position_segment(r->place)].p +
		position_offset(r->place);
	const char *why = "frame does not fit in its group";

	*n = left >= FRAME_LOCAL ? frame_length(p) : 0;
	if (*n == 0 || *n > left
	    || frame_parse(out, p, *n, r->place, &why) != 0)
		return journal_damage(&r->s->journal, err, r->place, why);
	return 0;
}

bool
reader_is_place(uint64_t position)
{
	return position_segment(position) > 0
		&& position_offset(position) >= SEGMENT_HEADER + GROUP_HEADER
		&& position % 8 == 0;
}

int
reader_at(struct reader *r, struct record_view *out, uint64_t position,
	  struct weir_err *err)
{
	size_t n = 0;

	r->forward = false;
	if (!reader_is_place(position))
		return err_set(err, WEIR_EUSAGE,
			       "position %" PRIu64 " is none of a frame",
			       position);
	return read_frame(r, out, &n, position, err);
}

/* ---- forward ------------------------------------------------------------ */

/* Reads the header of the group at a position, going past marks and seals. On
 * success *position is the group's. */
static int
enter_group(struct reader *r, struct group_header *h, uint64_t *position,
	    struct weir_err *err)
{
	const uint8_t *p = NULL;

	for (;;) {
		int rc = reader_look(r, &p, *position, GROUP_HEADER, err);
		if (rc != 0)
			return rc;
		if (group_header_decode(h, p, r->s->id, *position) != 0)
			return journal_damage(&r->s->journal, err, *position,
					      "no group begins here");
		if (h->flags == 0)
			return 0;
		*position = h->flags == GROUP_SEAL
			? position_of(position_segment(*position) + 1,
				      SEGMENT_HEADER)
			: *position + h->extent;
	}
}

/* Looks at the CRC of the whole group behind the one that was read. */
static int
check_group(struct reader *r, uint64_t position, const struct group_header *h,
	    struct weir_err *err)
{
	const uint8_t *p = NULL;
	int rc;

	r->sound = false;
	if (!r->mapped || !r->stream || h->extent > SOUND_MOST)
		return 0;
	rc = reader_look(r, &p, position, h->extent, err);
	if (rc == 0)
		r->sound = format_body_crc(r->s->id, position, h->epoch,
					   p + GROUP_HEADER,
					   h->extent - GROUP_HEADER) ==
			h->body_crc;
	return rc;
}

static int
next_group(struct reader *r, struct weir_err *err)
{
	uint64_t position = r->group_end + GROUP_TRAILER;
	struct group_header h;
	int rc;

	rc = enter_group(r, &h, &position, err);
	if (rc == 0)
		rc = check_group(r, position, &h, err);
	if (rc != 0)
		return rc;
	r->place = position + GROUP_HEADER;
	r->place_sequence = h.first_sequence;
	r->group_end = position + h.extent - GROUP_TRAILER;
	return 0;
}

static int
begin_near(struct reader *r, uint64_t sequence, struct weir_err *err)
{
	struct store *s = r->s;
	struct place near = {0, 0, 0};
	struct group_header h;
	int rc;

	pthread_mutex_lock(&s->mu);
	size_t low = 0, high = s->nplaces;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (s->places[mid].sequence <= sequence)
			low = mid;
		else
			high = mid;
	}
	if (s->nplaces > 0 && s->places[low].sequence <= sequence)
		near = s->places[low];
	pthread_mutex_unlock(&s->mu);
	rc = near.frame == 0 ? find_place(s, &near, sequence, err) : 0;
	if (rc == 0)
		rc = enter_group(r, &h, &near.group, err);
	if (rc != 0)
		return rc;
	r->sound = false;
	if (near.frame == 0) {
		near.frame = near.group + GROUP_HEADER;
		near.sequence = h.first_sequence;
	}
	must(near.sequence > 0 && near.sequence <= sequence);
	r->place = near.frame;
	r->place_sequence = near.sequence;
	r->group_end = near.group + h.extent - GROUP_TRAILER;
	return 0;
}

/* Makes place the frame of a committed sequence. */
static int
locate(struct reader *r, uint64_t sequence, struct weir_err *err)
{
	size_t n = 0;
	int rc = 0;

	if (r->place == 0 || r->place_sequence > sequence
	    || sequence - r->place_sequence > 64)
		rc = begin_near(r, sequence, err);
	while (rc == 0) {
		if (r->place == r->group_end) {
			rc = next_group(r, err);
			continue;
		}
		if (r->place_sequence == sequence)
			return 0;
		rc = reader_look_length(r, &n, r->place, err);
		if (rc != 0)
			break;
		if (n > r->group_end - r->place) {
			rc = journal_damage(&r->s->journal, err, r->place,
					    "frame does not fit in its group");
			break;
		}
		r->place += n;
		r->place_sequence++;
	}
	r->place = 0;
	return rc;
}

void
reader_seek(struct reader *r, uint64_t sequence)
{
	r->wanted = sequence > 0 ? sequence : 1;
}

static int
next_record(struct reader *r, struct record_view *out, struct weir_err *err)
{
	size_t n = 0;
	int rc;

	if (r->wanted > r->last)
		ask_committed(r);
	if (r->wanted > r->last)
		return 0;
	r->forward = true;
	rc = locate(r, r->wanted, err);
	if (rc == 0)
		rc = r->sound ? read_sound(r, out, &n, err)
			      : read_frame(r, out, &n, r->place, err);
	if (rc == 0 && out->sequence != r->wanted)
		rc = journal_damage(&r->s->journal, err, r->place,
				    "another sequence should stand here");
	if (rc != 0) {
		r->place = 0;
		return rc;
	}
	r->place += n;
	r->place_sequence++;
	r->wanted++;
	return 1;
}

int
reader_next(struct reader *r, struct record_view *out, struct weir_err *err)
{
	r->stream = true;
	return next_record(r, out, err);
}

void
reader_leave(const struct reader *r, struct reader_spot *out)
{
	bool known = r->place != 0 && r->place_sequence == r->wanted;

	out->sequence = r->wanted;
	out->place = known ? r->place : 0;
	out->group_end = known ? r->group_end : 0;
}

/* That the group's CRC was looked at is not known in this reader, whose map
 * may lack its segment, too. */
void
reader_enter(struct reader *r, const struct reader_spot *spot)
{
	reader_seek(r, spot->sequence);
	r->place = spot->place;
	r->place_sequence = spot->sequence;
	r->group_end = spot->group_end;
	r->sound = false;
}

int
reader_sequence(struct reader *r, struct record_view *out, uint64_t sequence,
		struct weir_err *err)
{
	uint64_t kept = r->wanted;
	int rc;

	r->wanted = sequence;
	r->stream = false;
	rc = sequence > 0 ? next_record(r, out, err) : 0;
	r->wanted = kept;
	if (rc == 0)
		return err_set(err, WEIR_ENOTFOUND,
			       "there is no record with sequence %" PRIu64,
			       sequence);
	return rc < 0 ? rc : 0;
}
