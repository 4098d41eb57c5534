/* SPDX-License-Identifier: MIT */
#ifndef MODEL_SCHEMA_H
#define MODEL_SCHEMA_H

/*
 * What an aggregate type is declared to be: its events, their fields with
 * types, locks, the snapshot threshold. A schema is the reserved aggregate
 * ($schema, TYPE); each change is a record that says all of it, so the history
 * can be read. As JSON:
 *
 *   {"aggregate": "account",
 *    "events": {"opened": {"fields": {
 *        "owner": {"type": "text", "required": true}, ...}}, ...},
 *    "snapshot_threshold": 100 or null, "locked": false,
 *    "field_locks": ["owner", ...],
 *    "version": 3, "created_at": "...", "updated_at": "..."}
 *
 * What is given may be shorter: events as an array of names; fields as an array
 * of names (required, of any type), a field as the text of its type; members
 * left out. version must be the present one when it is given.
 *
 * Any thread. Errors: WEIR_ENOTFOUND `schema not found`, WEIR_ECONFLICT `schema
 * already exists` or a version that is another, WEIR_EINPUT.
 */

#include <stdbool.h>
#include <weir/types.h>

struct buf;
struct policy;
struct policy_actor;

/* ---- reading ------------------------------------------------------------- */

/* Appends one (version may be NULL), or all as an array in the order of their
 * names. */
int schema_json(struct buf *out, uint64_t *version, struct policy *p,
		struct weir_str aggregate, struct weir_err *err);
int schema_list_json(struct buf *out, struct policy *p, struct weir_err *err);

/* The declared type of a field in any event, in the spelling of mapping_type:
 * true, or false when there is none. */
bool schema_field_type(struct policy *p, char out[64],
		       struct weir_str aggregate, struct weir_str field);

/* How a text that is given for a field of a declared type is meant: 1: it is
 * the JSON of such a value; 0: it is a string; -1: neither. */
int schema_type_read(const char *type, struct weir_str text);

/* ---- changing: by may be NULL; nothing is written when nothing changes --- */

/* A schema with at least one event. */
int schema_create(struct policy *p, struct weir_str aggregate,
		  struct weir_str json, const struct policy_actor *by,
		  struct weir_err *err);
/* In place of the present one, if there is one; *created may be NULL. */
int schema_replace(struct policy *p, struct weir_str aggregate,
		   struct weir_str json, bool *created,
		   const struct policy_actor *by, struct weir_err *err);
/* Changes what is given and takes out what is null (a JSON merge patch); an
 * array replaces all but events, to which it adds. */
int schema_change(struct policy *p, struct weir_str aggregate,
		  struct weir_str json, const struct policy_actor *by,
		  struct weir_err *err);
int schema_remove_event(struct policy *p, struct weir_str aggregate,
			struct weir_str event, const struct policy_actor *by,
			struct weir_err *err);
/* The aggregate is undeclared from then on; its history stays. */
int schema_delete(struct policy *p, struct weir_str aggregate,
		  const struct policy_actor *by, struct weir_err *err);

#endif
