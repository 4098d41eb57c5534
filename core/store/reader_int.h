/* SPDX-License-Identifier: MIT */
#ifndef STORE_READER_INT_H
#define STORE_READER_INT_H

/*
 * What a reader is made of, and how it looks at bytes; for reader.c and
 * reader_aggregate.c only.
 */

#include "base/buf.h"
#include "store/reader.h"

struct waymark;

struct map {
	const uint8_t *p; /* NULL: not asked for yet */
	uint64_t n;
};

struct reader {
	struct store *s;
	uint64_t last, end; /* committed, when it was last asked */
	bool mapped;
	struct map *map; /* by segment number */
	size_t nmap;
	struct buf window;
	uint64_t window_at;    /* position of its first byte; 0: empty */
	struct waymark *marks; /* NULL: none needed yet; the far ones first */
	bool forward;
	bool stream;	 /* forward, one after the other */
	bool sound;	 /* the CRC of place's group agrees */
	uint64_t wanted; /* the next sequence */
	uint64_t place;	 /* its frame */
	uint64_t place_sequence;
	uint64_t group_end; /* position of the trailer of place's group */
};

/* n bytes at a position, good until the next look; mapped, for good. Nothing
 * behind the committed end is ever given. */
int reader_look(struct reader *r, const uint8_t **p, uint64_t position,
		size_t n, struct weir_err *err);
/* The length of the frame at a position. */
int reader_look_length(struct reader *r, size_t *n, uint64_t position,
		       struct weir_err *err);
/* Asks for a frame's memory without waiting for it. */
void reader_ask_ahead(const struct reader *r, uint64_t position);
/* Can a frame stand there? */
bool reader_is_place(uint64_t position);

#endif
