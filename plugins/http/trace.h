/* SPDX-License-Identifier: MIT */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

/* W3C Trace Context: is this a traceparent that a receiver may be handed? A
 * record keeps what its writer gave, whatever it is. */

#include <stdbool.h>
#include <weir/types.h>

#define TRACE_MAX WEIR_TRACEPARENT_MAX

/* VERSION-TRACE-PARENT-FLAGS in lower-case hexadecimal digits (2, 32, 16, 2),
 * trace and parent not all zero, version not ff; after a version above 00 more
 * may follow behind a dash. */
bool trace_is_valid(struct weir_str s);

#endif
