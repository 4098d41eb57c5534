/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DRAFT_INT_H
#define MODEL_DRAFT_INT_H

/* What draft.c and draft_mem.c share. Nothing else includes this. */

#include "model/draft.h"

struct chunk {
	struct chunk *next;
	size_t used, cap;
	char data[];
};

struct draft {
	struct record_draft rec;
	struct chunk *chunks; /* the newest first */
	struct weir_str tags[WEIR_TAGS_MAX];

	/* as the text has them */
	struct weir_str payload, content, payload_base64;
	bool has_payload, has_actor, has_hash, has_committed_at;
	uint8_t hash[RECORD_DIGEST];
	uint64_t sequence, version;
	int64_t committed_at;
	struct weir_str salt;
};

/* n bytes of the draft's memory, or NULL. */
char *draft_room(struct draft *d, size_t n);

#endif
