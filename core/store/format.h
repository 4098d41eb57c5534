/* SPDX-License-Identifier: MIT */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

/*
 * The byte format of a journal, as weir-format(5) fixes it: segment header,
 * group header, frame. All integers are little-endian. A position is
 * (segment number << 32) | offset in the segment's file. Nothing here does
 * I/O.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "store/merkle.h"

#define FORMAT_VERSION	 1u
#define SEGMENT_HEADER	 4096u
#define SEGMENT_FRONTIER 128u /* where the frontier stands in the header */
#define GROUP_HEADER	 64u
#define GROUP_MAGIC	 0x50524757u /* "WGRP" */
#define GROUP_TRAILER	 8u
#define TRAILER_MAGIC	 0x444e4557u /* "WEND" */
#define GROUP_EXTENT_MAX (64u << 20)
#define FRAME_LOCAL	 64u  /* local part without a node */
#define FRAME_BODY	 128u /* fixed part of a body */
#define BODY_VERSION	 1u

enum group_flag {
	GROUP_MARK = 1,
	GROUP_SEAL = 2
};
enum frame_flag {
	FRAME_END = 1,
	FRAME_NODE = 2
};
enum body_flag {
	BODY_CLIENT_EVENT_ID = 1 << 0,
	BODY_CLIENT_CREATED_AT = 1 << 1,
	BODY_GROUP = 1 << 2,
	BODY_USER = 1 << 3,
	BODY_CORRELATION = 1 << 4,
	BODY_CAUSATION = 1 << 5,
	BODY_TRACEPARENT = 1 << 6,
	BODY_SALT = 1 << 7
};
#define BODY_FLAGS 0xffu /* all of them */

struct segment_header {
	uint8_t store[16];
	uint64_t number;
	uint64_t size;
	uint64_t first_sequence;
	int64_t created_at;
	int64_t committed_at;	  /* of the last record before this segment */
	uint32_t chain;		  /* chain value of the last group before */
	struct frontier frontier; /* of first_sequence - 1 leaves */
};

struct group_header {
	uint32_t head_crc; /* the group's chain value */
	uint32_t extent;
	uint32_t records;
	uint64_t first_sequence;
	uint64_t epoch;
	uint64_t synced_before;
	uint32_t prev_chain;
	uint32_t body_crc;
	uint32_t flags; /* enum group_flag */
	uint32_t commits;
	uint64_t next_size; /* seal: bytes of the next segment's file */
};

static inline uint16_t
get_u16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t
get_u32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

static inline uint64_t
get_u64(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)get_u32(b) | (uint64_t)get_u32(b + 4) << 32;
}

static inline void
put_u16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void
put_u32(void *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void
put_u64(void *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline uint64_t
position_of(uint64_t segment, uint64_t offset)
{
	return segment << 32 | offset;
}

static inline uint64_t
position_segment(uint64_t position)
{
	return position >> 32;
}

static inline uint64_t
position_offset(uint64_t position)
{
	return position & 0xffffffffu;
}

static inline uint64_t
align8(uint64_t n)
{
	return (n + 7) & ~(uint64_t)7;
}

/* The seed of a frame's CRC and of a group's head CRC. */
uint32_t format_seed(const uint8_t store[16], uint64_t position);

/* The CRC of a group's extent behind its header. */
uint32_t format_body_crc(const uint8_t store[16], uint64_t position,
			 uint64_t epoch, const void *p, size_t n);

/* Encodes with its CRC into SEGMENT_HEADER bytes. */
void segment_header_encode(uint8_t *out, const struct segment_header *h);

/* 0, or -1 with *why: what is wrong with it, and *at: the byte. */
int segment_header_decode(struct segment_header *h, const uint8_t *p,
			  const char **why, unsigned *at);

/* Encodes into GROUP_HEADER bytes and sets h->head_crc. */
void group_header_encode(uint8_t *out, struct group_header *h,
			 const uint8_t store[16], uint64_t position);

/* Decodes and checks magic, CRC, sizes and flags: 0 or -1. What stands before
 * and behind the group is not looked at. */
int group_header_decode(struct group_header *h, const uint8_t *p,
			const uint8_t store[16], uint64_t position);

/* A group's last GROUP_TRAILER bytes. */
void format_trailer(uint8_t out[GROUP_TRAILER], uint32_t extent);

bool format_all_zero(const void *p, size_t n);

#endif
