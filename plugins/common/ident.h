/* SPDX-License-Identifier: MIT */
#ifndef COMMON_IDENT_H
#define COMMON_IDENT_H

/*
 * Names of tables, files and columns made from names in records. Per code
 * point: ASCII letters and digits are kept in lower case, everything else is
 * '_'; '_' goes before a leading digit; an empty name is "_". A name over 63
 * bytes, or one that is taken, ends in '_' and hex digits of the SHA-256 of
 * the source name, so that it is the same wherever it is made again.
 */

#include <stdbool.h>
#include <weir/sink.h>

#define IDENT_MAX  63u
#define IDENT_SIZE (IDENT_MAX + 1u)

/* The name for source; prefix (plain ASCII or "") goes in front, suffix
 * behind: "field_" + "id" + "". round 0 is the plain name (cut and suffixed
 * only when too long); 1, 2, 3 carry 8, 16, 32 hex digits. */
void ident_make(char out[IDENT_SIZE], const struct weir_sink_host *host,
		struct weir_str source, const char *prefix, const char *suffix,
		unsigned round);
#define IDENT_ROUNDS 4u

/* Is name in a NULL-ended list (which may be NULL)? */
bool ident_listed(const char *name, const char *const *list);

#endif
