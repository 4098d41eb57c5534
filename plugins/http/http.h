/* SPDX-License-Identifier: MIT */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

/* What the files of the HTTP sink share. */

#include "common/result.h"
#include "common/text.h"
#include "order.h"
#include "trace.h"

#include <curl/curl.h>
#include <signal.h>

#define PARALLEL_MAX	64u
#define PER_REQUEST_MAX 10000u

/* What was set, checked. Strings live as long as the settings they came from.
 */
struct settings {
	const char *endpoint, *ca_file;
	char target[320]; /* scheme://host:port, for messages */
	uint32_t per_request, parallel;
	long connect_ms, total_ms;
	bool private_targets;
	bool own_trace; /* the user's headers name a traceparent */
};

struct sink;

/* One request at a time, on handles that are used again and again. */
struct slot {
	struct sink *sink;
	CURL *easy;
	struct text body; /* of an array */
	uint32_t *items;  /* room for settings.per_request */
	size_t nitems;
	int64_t begun_us;
	bool flying;
	bool refused_address; /* private, and that is not allowed */
	bool too_long;	      /* the answer's body was cut off */
	size_t got;
	char said[256]; /* how the answer's body begins */
	size_t nsaid;
	char error[CURL_ERROR_SIZE];
	char trace[TRACE_MAX + 16]; /* a header, and its place before all */
	struct curl_slist headers;
};

struct sink {
	const struct weir_sink_host *host;
	struct weir_sink_open o;
	struct settings set;
	struct curl_slist *headers;
	bool global; /* curl_global_init was done */
	CURLM *multi;
	struct slot *slots; /* settings.parallel */
	uint32_t *items;
	struct order *order;
	struct seen seen;
	int64_t slowest_us; /* of the requests that were answered, fading */

	/* of the batch that is being delivered */
	const struct weir_sink_batch *batch;
	enum weir_sink_class worst; /* and its result */
	uint64_t worst_at;
	struct weir_sink_result *res;
};

/* settings.c: reads and checks them; what is wrong is written to wrong, joined
 * by "; ", and false returned. */
bool settings_read(struct settings *out, const struct weir_sink_open *o,
		   char wrong[1024]);
/* The request's headers; NULL without memory. */
struct curl_slist *settings_headers(const struct weir_sink_open *o);
/* Does text show (a part of) a header's value? */
bool settings_shown(const struct weir_sink_open *o, const char *text);

/* transfer.c: handles, and one request on one of them. */
bool slot_open(struct slot *slot, struct sink *s);
void slot_close(struct slot *slot);
/* What every handle is given. */
bool slot_options(struct slot *slot);
/* Sends slot->items; a failure before anything is sent is noted like any. */
void slot_start(struct slot *slot);
/* The transfer has ended with code: notes what became of it. */
void slot_end(struct slot *slot, CURLcode code);
/* Notes a failure of the records of a slot, keeping the worst. true when it is
 * the one that res now tells. */
bool slot_failed(struct slot *slot, enum weir_sink_class class,
		 const char *code, const char *hint, const char *what);

/* deliver.c */
int http_deliver(void *sink, const struct weir_sink_batch *batch,
		 struct weir_sink_result *res);

/* SIGPIPE is kept from this thread while curl writes to sockets. */
struct quiet {
	sigset_t before;
	bool pending;
};
void quiet_begin(struct quiet *q);
void quiet_end(const struct quiet *q);

#endif
