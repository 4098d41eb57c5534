/* SPDX-License-Identifier: MIT */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

/*
 * The files of a journal: DIR/journal/00000001.seg and so on. A segment's file
 * is created under its name, filled with real zeros and synced, its folder
 * too, before its header is written; with a header of zeros it is not in use.
 */

#include "store/format.h"

struct weir_err;

#define SEGMENT_PATH 4200u
#define SEGMENT_LAST UINT32_MAX

struct segment {
	uint64_t number;
	uint64_t size;	 /* as the header says */
	uint64_t length; /* of the file when it was opened */
	int fd;
	struct segment_header header;
	const uint8_t *map; /* or NULL */
	uint64_t mapped;    /* bytes of it */
};

enum segment_state {
	SEGMENT_USED,	 /* a good header */
	SEGMENT_UNUSED,	 /* a header of zeros */
	SEGMENT_BAD,	 /* a bad header */
	SEGMENT_MISSING	 /* no such file */
};

void segment_path(char out[SEGMENT_PATH], const char *folder, uint64_t number);

/* Opens and reads the header. 0 and *state, or a code. s->fd is open but for
 * SEGMENT_MISSING; *why and *at say what is bad. */
int segment_open(struct segment *s, enum segment_state *state, const char **why,
		 unsigned *at, const char *folder, uint64_t number,
		 bool writing, const uint8_t store[16], struct weir_err *err);
void segment_close(struct segment *s);

/* Maps what the file holds of the segment, read-only, until segment_close. */
int segment_map(struct segment *s, const char *folder, struct weir_err *err);

/* Makes the file with `size` zeros in it, synced, with its folder. A file that
 * is there, not in use, is filled again from `from` on: what stands before is
 * known to be zeros, synced. WEIR_ENOSPC heals. */
int segment_fill(const char *folder, uint64_t number, uint64_t from,
		 uint64_t size, struct weir_err *err);

/* Writes a header and syncs it. */
int segment_begin(int fd, const char *path, const struct segment_header *h,
		  struct weir_err *err);

/* Finds the last byte that is not zero at or behind `from`: *end is the offset
 * behind it, or `from` when there is none. */
int segment_last_used(uint64_t *end, int fd, const char *path, uint64_t from,
		      struct weir_err *err);

#endif
