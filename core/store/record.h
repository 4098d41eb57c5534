/* SPDX-License-Identifier: MIT */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

/*
 * A record before it is committed (draft), after (view), its canonical hashes
 * and its body bytes. weir-format(5) has the layout.
 *
 *   payload_hash = SHA-256(0x03 || salt || payload)
 *   body_hash    = SHA-256(0x02 || canonical length-prefixed fields)
 *   hash         = SHA-256(0x00 || body_hash || sequence || version ||
 *                          committed_at)
 */

#include <stdbool.h>
#include <weir/types.h>

struct buf;

#define RECORD_DIGEST 32

/* Special values of draft.expected. */
#define EXPECT_ANY    UINT64_MAX       /* no check */
#define EXPECT_EXISTS (UINT64_MAX - 1) /* version 1 or more */
/* 0 is "none": the aggregate must not exist yet. Any other is the version the
 * aggregate must have before this record (within a commit: as left by the
 * records before it). */

/* What a caller wants appended. All memory is borrowed until the commit
 * returns. Zero is the default for everything but expected. */
struct record_draft {
	enum weir_op op;
	enum weir_content content;
	struct weir_str aggregate_type, aggregate_id, event_type;
	struct weir_str payload;
	bool json_known; /* the payload is out of a text json_check took */
	struct weir_str group, user; /* both, or absent: null */
	const struct weir_str *tags;
	size_t ntags;
	struct weir_str correlation_id, causation_id, traceparent;
	uint8_t event_id[16];
	bool has_event_id;   /* else a UUIDv7 is made */
	bool has_created_at; /* else the time of admission */
	int64_t created_at;
	uint64_t token;	      /* sequence of the token that wrote it, or 0 */
	uint64_t token_limit; /* so many records may carry it; 0: no limit */
	uint64_t expected;    /* EXPECT_ANY, EXPECT_EXISTS, 0 or a version */
	/* internal: reserved aggregates are allowed */
	bool system;
};

/* A committed record. Pointers live as long as what it was read through says.
 */
struct record_view {
	uint64_t position; /* (segment << 32) | offset of its frame */
	uint64_t sequence, version;
	uint64_t prev, skip; /* positions, or 0 */
	bool end_of_commit;
	enum weir_op op;
	enum weir_content content;
	struct weir_str aggregate_type, aggregate_id, event_type;
	struct weir_str payload;
	struct weir_str group, user;
	size_t ntags;
	struct weir_str tags[WEIR_TAGS_MAX];
	struct weir_str correlation_id, causation_id, traceparent;
	uint8_t event_id[16];
	bool client_event_id, client_created_at;
	int64_t created_at, committed_at;
	uint64_t token;
	struct weir_str salt;
	uint8_t payload_hash[RECORD_DIGEST];
	uint8_t hash[RECORD_DIGEST]; /* as stored */
	bool has_node;
	uint8_t node[RECORD_DIGEST]; /* even versions: subtree of lowbit(v) */
};

/* Checks every rule of a draft (names, limits, UTF-8, JSON of a json payload)
 * without looking at the store. On success draft->payload of a json record is
 * narrowed to the value without surrounding white space. */
int record_check(struct record_draft *d, struct weir_err *err);

/* Recomputes payload_hash, body_hash and hash of a view from its fields. */
void record_hash(uint8_t out[RECORD_DIGEST], const struct record_view *v);

/* The EventRecord as compact JSON, members in the order of the design:
 * aggregate_type, aggregate_id, event_type, payload, metadata, version, hash,
 * merkle_root, sequence, tags. A payload's bytes are kept as they came but for
 * line breaks between JSON tokens, which become spaces (one line). root NULL
 * leaves merkle_root out (null). */
int record_json(struct buf *out, const struct record_view *v,
		const uint8_t root[RECORD_DIGEST]);

/* The same with what it leaves out and the hash covers, so that the hash can be
 * checked again: token, salt, and payload_base64 when the payload holds line
 * breaks. */
int record_json_exact(struct buf *out, const struct record_view *v,
		      const uint8_t root[RECORD_DIGEST]);

#endif
