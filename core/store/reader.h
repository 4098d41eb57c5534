/* SPDX-License-Identifier: MIT */
#ifndef STORE_READER_H
#define STORE_READER_H

/*
 * Reading committed records. A reader belongs to one thread; several readers
 * of one store may work side by side while it is appended to.
 *
 * There are two kinds. reader_new reads with pread into memory of its own: a
 * view lives until the reader's next call or reader_free, and a file that is
 * cut short under it is an error. reader_new_mapped maps the segments: what a
 * view points to lies in the map, uncopied, and stays there until store_close;
 * but a file that is cut short under it, or a disk that fails, raises SIGBUS in
 * the thread that touches the bytes. Checking, recovery and runners use the
 * first kind.
 *
 * Neither gives a record before the sync that made it durable.
 */

#include "store/record.h"

struct store;
struct reader;
struct receipt;

struct reader *reader_new(struct store *s); /* NULL: no memory */
struct reader *reader_new_mapped(struct store *s);
void reader_free(struct reader *r);

/* The record at a frame position; its CRC is checked. */
int reader_at(struct reader *r, struct record_view *out, uint64_t position,
	      struct weir_err *err);

/* The record of a sequence; WEIR_ENOTFOUND past the end. */
int reader_sequence(struct reader *r, struct record_view *out,
		    uint64_t sequence, struct weir_err *err);

/* Version v of an aggregate, in O(log) hops from its head. */
int reader_version(struct reader *r, struct record_view *out,
		   struct weir_str type, struct weir_str id, uint64_t version,
		   struct weir_err *err);

/* Forward reading: seek sets the next sequence (1 or more), next gives it and
 * moves on: 1 a record, 0 none committed yet (call again after store_wait or
 * store_refresh), or a code. */
void reader_seek(struct reader *r, uint64_t sequence);
int reader_next(struct reader *r, struct record_view *out,
		struct weir_err *err);

/* Where forward reading stands, for one who lends the reader to others between:
 * taken along by reader_leave, given to any reader of the same store by
 * reader_enter. Zero is the beginning of the journal. */
struct reader_spot {
	uint64_t sequence; /* of the record that comes next; 0: 1 */
	uint64_t place, group_end;
};
void reader_leave(const struct reader *r, struct reader_spot *out);
void reader_enter(struct reader *r, const struct reader_spot *spot);

/* Positions of versions from..to of the aggregate whose version `to` is at
 * position `at`, into out[0 .. to-from]. */
int reader_chain(struct reader *r, uint64_t *out, uint64_t at, uint64_t from,
		 uint64_t to, struct weir_err *err);

/* Merkle root of the aggregate at the version of the record at `position`,
 * from the stored nodes (popcount(v) reads). */
int reader_root(struct reader *r, uint8_t out[RECORD_DIGEST],
		uint64_t position, struct weir_err *err);

/* Appends the EventRecord with that root (record_json). r is another reader
 * than the view's, unless that is a mapped one. */
int reader_json(struct reader *r, struct buf *out, const struct record_view *v,
		struct weir_err *err);

/* The same for the record that a receipt speaks of; r is a mapped one. */
int reader_receipt_json(struct reader *r, struct buf *out,
			const struct receipt *receipt, struct weir_err *err);

/* The same recomputed from the stored bytes of all versions up to that one,
 * with pread; WEIR_EDAMAGE names the first record whose hash does not agree. */
int reader_verify(struct reader *r, uint8_t out[RECORD_DIGEST],
		  uint64_t position, struct weir_err *err);

#endif
