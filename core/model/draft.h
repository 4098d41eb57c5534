/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DRAFT_H
#define MODEL_DRAFT_H

/*
 * Reading a record from JSON: the body of POST /v1/events
 *   {aggregate_type, aggregate_id, event_type, payload, event_id?, tags?,
 *    created_at?, expected_version?, correlation_id?, causation_id?,
 *    traceparent?}
 * or an EventRecord as export prints it (metadata, version, hash, merkle_root,
 * sequence, tags). An unknown member is refused by name.
 */

#include "store/record.h"

/* A draft and the memory its decoded names live in. */
struct draft;
struct draft *draft_new(void);
void draft_free(struct draft *d);
void draft_clear(struct draft *d); /* for the next use; keeps memory */
struct record_draft *draft_record(struct draft *d);

/* Parses one JSON object. The payload stays a borrowed span of text when it is
 * JSON; with member "content": "text" | "bytes" (as export prints for those)
 * it is decoded. For an EventRecord expected is version - 1 and the hash is
 * kept to be compared: draft_hash gives it or NULL. */
int draft_parse(struct draft *d, struct weir_str text, struct weir_err *err);
const uint8_t *draft_hash(const struct draft *d);

/* Sets issued_by to the OS user and group of this process. */
int draft_set_os_actor(struct draft *d, struct weir_err *err);

/* Copies s into the draft's memory; absent on failure of memory. */
struct weir_str draft_keep(struct draft *d, struct weir_str s);

#endif
