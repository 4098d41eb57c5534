/* SPDX-License-Identifier: MIT */
/*
 * One request on one curl handle, and what its end means. The handle is made
 * once; only the body changes between requests.
 */
#include "http.h"

#include "address.h"
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_MAX ((size_t)1 << 30)
#define READ_MAX ((size_t)64 << 10) /* of an answer's body */

/* ---- what curl calls ----------------------------------------------------- */

static size_t
take_answer(char *data, size_t size, size_t n, void *cookie)
{
	struct slot *slot = cookie;
	size_t room = sizeof(slot->said) - 1 - slot->nsaid;

	(void)size; /* is 1 */
	slot->got += n;
	memcpy(slot->said + slot->nsaid, data, n < room ? n : room);
	slot->nsaid += n < room ? n : room;
	slot->said[slot->nsaid] = '\0';
	if (slot->got <= READ_MAX)
		return n;
	slot->too_long = true;
	return 0;
}

static curl_socket_t
open_socket(void *cookie, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct slot *slot = cookie;

	(void)purpose;
	if (!slot->sink->set.private_targets && address_is_private(&a->addr)) {
		slot->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- the handle ---------------------------------------------------------- */

bool
slot_options(struct slot *slot)
{
	const struct settings *set = &slot->sink->set;
	CURL *e = slot->easy;
	bool ok = curl_easy_setopt(e, CURLOPT_URL, set->endpoint) == CURLE_OK;

	ok = ok && curl_easy_setopt(e, CURLOPT_USERAGENT,
				    "weir/" PACKAGE_VERSION) == CURLE_OK;
	if (set->ca_file != NULL)
		ok = ok && curl_easy_setopt(e, CURLOPT_CAINFO, set->ca_file) ==
				   CURLE_OK;
	/* no proxy of the environment: the address connected to is the
	 * target's own */
	ok = ok && curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK;
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, set->connect_ms);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, slot);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, slot->error);
	curl_easy_setopt(e, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	/* refused by a curl without HTTP/2, which then speaks 1.1 */
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* a lookup that hangs does not hold up close */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#endif
	return ok;
}

bool
slot_open(struct slot *slot, struct sink *s)
{
	CURL *e = curl_easy_init();

	slot->sink = s;
	slot->easy = e;
	text_init(&slot->body, s->host, BODY_MAX);
	if (e == NULL || !slot_options(slot))
		return false;
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, slot);
	/* wait for the first connection's handshake, which says whether one is
	 * enough; without TLS curl would wait for its first answer */
	if (strncasecmp(s->set.endpoint, "https:", 6) == 0)
		curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
	return true;
}

void
slot_close(struct slot *slot)
{
	if (slot->easy != NULL)
		curl_easy_cleanup(slot->easy);
	text_fini(&slot->body);
}

/* ---- failures ------------------------------------------------------------ */

/* "record 7 (person p-1 version 2)", or "records 7 to 40 (12 of them)". */
static void
name_records(char out[512], const struct slot *slot)
{
	const struct weir_sink_record *const *recs = slot->sink->batch->records;
	const struct weir_sink_record *r = recs[slot->items[0]];

	if (slot->nitems == 1)
		(void)snprintf(out, 512,
			       "record %" PRIu64 " (%.*s %.*s version %" PRIu64
			       ")",
			       r->sequence, (int)r->aggregate_type.len,
			       r->aggregate_type.data, (int)r->aggregate_id.len,
			       r->aggregate_id.data, r->version);
	else
		(void)snprintf(out, 512,
			       "records %" PRIu64 " to %" PRIu64
			       " (%zu of them)",
			       r->sequence,
			       recs[slot->items[slot->nitems - 1]]->sequence,
			       slot->nitems);
}

/* Its length without the full stop that curl and receivers may put. */
static size_t
without_stop(const char *text)
{
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '.' || text[n - 1] == ' '))
		n--;
	return n;
}

bool
slot_failed(struct slot *slot, enum weir_sink_class class, const char *code,
	    const char *hint, const char *what)
{
	struct sink *s = slot->sink;
	const struct weir_sink_record *first =
		s->batch->records[slot->items[0]];
	char records[512];

	if (s->worst == class ? first->sequence >= s->worst_at
			      : !answer_worse(class, s->worst))
		return false;
	s->worst = class;
	s->worst_at = first->sequence;
	s->res->bad_sequence =
		(class == WEIR_SINK_REJECT || class == WEIR_SINK_RETRY) &&
				slot->nitems == 1
			? first->sequence
			: 0;
	name_records(records, slot);
	(void)result_set(s->res, class, code, hint, "%s: %s %.*s", records,
			 s->set.target, (int)without_stop(what), what);
	return true;
}

/* How the answer's body begins, for a message: control characters become
 * spaces, and nothing when it repeats a header's value. */
static void
clean_said(struct slot *slot)
{
	size_t n = slot->nsaid < 160 ? slot->nsaid : 160;

	if (settings_shown(&slot->sink->o, slot->said))
		n = 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)slot->said[i] < 0x20 ||
		    slot->said[i] == 0x7f)
			slot->said[i] = ' ';
	slot->said[n] = '\0';
}

static void
status_failed(struct slot *slot, long status)
{
	enum weir_sink_class class = answer_status(status);
	char code[16], what[400];
	curl_off_t wait = 0;
	int64_t us;

	clean_said(slot);
	(void)snprintf(code, sizeof(code), "%ld", status);
	(void)snprintf(what, sizeof(what), "answered %ld%s%s", status,
		       slot->said[0] != '\0' ? ": " : "", slot->said);
	(void)slot_failed(slot, class, code, answer_status_hint(status), what);
	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &wait);
	us = answer_wait(wait);
	if (class == WEIR_SINK_RETRY && us > slot->sink->res->retry_after_us)
		slot->sink->res->retry_after_us = us;
}

static void
transfer_failed(struct slot *slot, CURLcode code)
{
	const char *text =
		slot->error[0] != '\0' ? slot->error : curl_easy_strerror(code);
	char what[400];

	if (slot->refused_address) {
		(void)slot_failed(slot, WEIR_SINK_BLOCKED, "PRIVATE",
				  "give it a public address, or set "
				  "--private-targets",
				  "has a private address, and private-targets "
				  "is false");
		return;
	}
	(void)snprintf(what, sizeof(what), "gave no answer: %s",
		       settings_shown(&slot->sink->o, text)
			       ? curl_easy_strerror(code)
			       : text);
	(void)slot_failed(slot, answer_curl(code, text),
			  answer_curl_code(code, text), answer_curl_hint(code),
			  what);
}

/* ---- a request ----------------------------------------------------------- */

static bool
make_body(struct slot *slot)
{
	const struct weir_sink_record *const *recs = slot->sink->batch->records;
	const struct weir_str *json = &recs[slot->items[0]]->json;
	const char *data = json->data;
	size_t len = json->len;

	if (slot->sink->set.per_request > 1) {
		text_clear(&slot->body);
		for (size_t i = 0; i < slot->nitems; i++) {
			text_putc(&slot->body, i == 0 ? '[' : ',');
			text_str(&slot->body, recs[slot->items[i]]->json);
		}
		text_putc(&slot->body, ']');
		if (slot->body.failed)
			return false;
		data = slot->body.data;
		len = slot->body.len;
	}
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, data);
	return curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				(curl_off_t)len) == CURLE_OK;
}

/* The headers of all requests; before them the trace that one record is part
 * of. Those of several records may differ: a request has no trace then. */
static void
set_headers(struct slot *slot)
{
	const struct sink *s = slot->sink;
	const struct weir_str *trace =
		&s->batch->records[slot->items[0]]->traceparent;

	slot->headers = (struct curl_slist){slot->trace, s->headers};
	if (slot->nitems == 1 && !s->set.own_trace && trace_is_valid(*trace)) {
		(void)snprintf(slot->trace, sizeof(slot->trace),
			       "traceparent: %.*s", (int)trace->len,
			       trace->data);
		curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER,
				 &slot->headers);
	} else {
		curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, s->headers);
	}
}

void
slot_start(struct slot *slot)
{
	const struct sink *s = slot->sink;
	int64_t left;

	slot->begun_us = s->host->monotonic_us(s->host->cookie);
	left = (s->batch->deadline_us - slot->begun_us) / 1000;

	slot->refused_address = slot->too_long = false;
	slot->got = slot->nsaid = 0;
	slot->said[0] = slot->error[0] = '\0';
	if (left < 1)
		left = 1;
	curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS,
			 left < s->set.total_ms ? (long)left : s->set.total_ms);
	set_headers(slot);
	slot->flying = make_body(slot) &&
		       curl_multi_add_handle(s->multi, slot->easy) == CURLM_OK;
	if (!slot->flying)
		(void)slot_failed(slot, WEIR_SINK_RETRY, "ENOMEM", NULL,
				  "was sent nothing: no memory");
}

static void
note_time(struct sink *s, int64_t begun_us)
{
	int64_t took = s->host->monotonic_us(s->host->cookie) - begun_us;

	s->slowest_us -= s->slowest_us / 64;
	if (took > s->slowest_us)
		s->slowest_us = took;
}

void
slot_end(struct slot *slot, CURLcode code)
{
	long status = 0;

	note_time(slot->sink, slot->begun_us);
	curl_multi_remove_handle(slot->sink->multi, slot->easy);
	slot->flying = false;
	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && slot->too_long))
		transfer_failed(slot, code);
	else if (answer_status(status) != WEIR_SINK_OK)
		status_failed(slot, status);
	else
		order_done(slot->sink->order, slot->items, slot->nitems);
}
