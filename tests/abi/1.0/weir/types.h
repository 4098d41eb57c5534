/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

/*
 * Types and error meanings shared by the embedding API (weir.h) and the
 * plugin ABI (sink.h).
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A borrowed run of bytes. It is not ended by NUL and may hold NUL bytes.
 * data == NULL means "absent"; an empty value has data != NULL and len == 0.
 */
struct weir_str {
	const char *data;
	size_t len;
};

/* Limits of a record and of a commit (bytes unless said otherwise). */
#define WEIR_NAME_MAX 128u	      /* aggregate type, event type, tag, field */
#define WEIR_ID_MAX 255u	      /* aggregate id */
#define WEIR_TAGS_MAX 32u	      /* tags of one record */
#define WEIR_ACTOR_MAX 255u	      /* issued_by group, user */
#define WEIR_CORRELATION_MAX 255u     /* correlation_id, causation_id */
#define WEIR_TRACEPARENT_MAX 128u     /* W3C traceparent */
#define WEIR_PAYLOAD_MAX (1u << 20)   /* payload */
#define WEIR_DEPTH_MAX 64u	      /* nesting of a JSON payload, levels */
#define WEIR_COMMIT_RECORDS_MAX 65536u /* records of one commit */
#define WEIR_COMMIT_BYTES_MAX (8u << 20) /* encoded bytes of one commit */

/* How the payload's bytes are to be read. */
enum weir_content {
	WEIR_CONTENT_JSON = 0, /* one RFC 8259 value, UTF-8 */
	WEIR_CONTENT_TEXT = 1, /* UTF-8 text */
	WEIR_CONTENT_BYTES = 2 /* anything */
};

/* What a record does to its aggregate. */
enum weir_op {
	WEIR_OP_EVENT = 0,
	WEIR_OP_ARCHIVED = 1,
	WEIR_OP_RESTORED = 2,
	WEIR_OP_SHREDDED = 3
};

/* Kind of a JSON value. */
enum weir_kind {
	WEIR_NULL = 0,
	WEIR_BOOL = 1,
	WEIR_NUMBER = 2,
	WEIR_STRING = 3,
	WEIR_ARRAY = 4,
	WEIR_OBJECT = 5
};

/* Every function that can fail returns 0 (or a count) or one of these. */
enum weir_code {
	WEIR_OK = 0,
	WEIR_EINPUT = -1,    /* the input breaks a rule; mend it */
	WEIR_EUSAGE = -2,    /* the call or command line is wrong */
	WEIR_ENOTFOUND = -3, /* no such store, aggregate, sink, plugin ... */
	WEIR_EDENIED = -4,   /* not allowed (rights, reserved names) */
	WEIR_ECONFLICT = -5, /* expected version or event_id does not agree */
	WEIR_EUNREACH = -6,  /* held by another, unreachable or timed out */
	WEIR_EDAMAGE = -7,   /* stored bytes are not what was written */
	WEIR_EPARTIAL = -8,  /* done in part; the rest is named */
	WEIR_EIO = -9,	     /* a system call failed; see sys_errno */
	WEIR_ENOSPC = -10,   /* no room; nothing was lost; heals with room */
	WEIR_ENOMEM = -11,   /* an allocation failed */
	WEIR_EFAILED = -12,  /* the writer has failed; reopen the store */
	WEIR_ESTOPPED = -13  /* asked to stop */
};

/*
 * Filled by whoever detects a failure. Untouched on success. msg is one
 * lower-case sentence in UTF-8 without a full stop that says what, where and
 * how to mend it.
 */
struct weir_err {
	int code;	   /* enum weir_code */
	int sys_errno;	   /* errno of the failed call, or 0 */
	uint64_t sequence; /* record in question, or 0 */
	uint64_t offset;   /* byte in the file or input in question, or 0 */
	uint64_t version;  /* WEIR_ECONFLICT: the aggregate's version now */
	char msg[1000];
};

#ifdef __cplusplus
}
#endif
#endif
