/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DRAFT_H
#define MODEL_DRAFT_H

/*
 * Reading a record from JSON: the body of POST /v1/events
 *   {aggregate_type, aggregate_id, event_type, payload, event_id?, tags?,
 *    created_at?, expected_version?, correlation_id?, causation_id?,
 *    traceparent?}
 * or an EventRecord as export prints it (metadata, version, hash, merkle_root,
 * sequence, tags). Both may say content: "text" (payload is a string) or
 * "bytes" (payload is {"$base64": ...}). What export adds for a hash that can
 * be checked again: op, token, salt, and payload_base64 when the payload's
 * bytes hold line breaks that one line can't show. An unknown member is
 * refused by name.
 */

#include "store/record.h"

/* A draft and the memory its decoded names live in. */
struct draft;
struct draft *draft_new(void); /* NULL: no memory */
void draft_free(struct draft *d);
void draft_clear(struct draft *d); /* for the next use; keeps memory */
struct record_draft *draft_record(struct draft *d);

/* Parses one JSON object after a draft_clear of its own. The payload and names
 * without escapes stay borrowed spans of text. For an EventRecord expected is
 * version - 1 and the hash is kept to be compared: draft_hash gives it or
 * NULL. Limits and names are left to record_check. WEIR_EINPUT. */
int draft_parse(struct draft *d, struct weir_str text, struct weir_err *err);
/* The same for a body alone; an EventRecord is refused. With checked,
 * json_check_depth has found text to be one value. */
int draft_parse_body(struct draft *d, struct weir_str text, bool checked,
		     struct weir_err *err);
const uint8_t *draft_hash(const struct draft *d);

/* Checks the hash of an EventRecord against the record as it was given, which
 * takes its sequence, version and metadata. 0 also when no hash was given;
 * WEIR_EINPUT says what does not agree. */
int draft_check_hash(const struct draft *d, struct weir_err *err);

/* True when the text said who issued it, be it null. */
bool draft_has_actor(const struct draft *d);

/* Sets issued_by to the OS user and group of this process. */
int draft_set_os_actor(struct draft *d, struct weir_err *err);

/* Copies s into the draft's memory; absent on failure of memory. */
struct weir_str draft_keep(struct draft *d, struct weir_str s);

#endif
