/* SPDX-License-Identifier: MIT */
#ifndef BASE_UUID_H
#define BASE_UUID_H

/* UUIDs (RFC 9562) as 16 bytes in network order; text is 36 lower-case
 * characters and NUL. */

#include <stdint.h>
#include <weir/types.h>

int uuid_v4(uint8_t out[16], struct weir_err *err);
/* Version 7: milliseconds, then a counter and random bits; rising within a
 * process, also when the clock steps back. Thread-safe. */
int uuid_v7(uint8_t out[16], struct weir_err *err);
/* The same when the caller has just read the clock. */
int uuid_v7_at(uint8_t out[16], int64_t us, struct weir_err *err);
/* Version 8 from a hash's first 16 bytes: derived, repeatable ids. */
void uuid_from_hash(uint8_t out[16], const uint8_t hash[32]);
void uuid_text(char out[37], const uint8_t id[16]);
int uuid_parse(uint8_t out[16], struct weir_str s); /* 0 or -1; any case */

#endif
