/* SPDX-License-Identifier: MIT */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

/* What an answer, or its absence, means for the records of a request. */

#include <curl/curl.h>
#include <stdbool.h>
#include <weir/sink.h>

/* The class of a status: 2xx OK, 408 425 429 5xx RETRY, 410 GONE, redirects and
 * what is the sink's or the target's setting BLOCKED, else REJECT. */
enum weir_sink_class answer_status(long status);
/* How to mend it; NULL when there is nothing to say. */
const char *answer_status_hint(long status);

/* The class of a transfer that failed; said is curl's own text. */
enum weir_sink_class answer_curl(CURLcode code, const char *said);
const char *answer_curl_hint(CURLcode code);
/* A short word for the result's code: "TIMEOUT", "TLS". */
const char *answer_curl_code(CURLcode code, const char *said);

/* Is a more in the way than b? GONE, BLOCKED, REJECT, RETRY, NOT_CONNECTED. */
bool answer_worse(enum weir_sink_class a, enum weir_sink_class b);

/* Seconds of a Retry-After, brought into 0 to 5 minutes, in microseconds. */
int64_t answer_wait(curl_off_t seconds);

#endif
