/* SPDX-License-Identifier: MIT */
/*
 * The TCP sink: every record is a line of a connection that is kept.
 * weir-sink-tcp(7) is its manual.
 *
 * 1. A batch is sent from its first record; what is sent and not acknowledged
 *    is forgotten with its connection and sent again by the next batch.
 * 2. With ack = line no more than `window` records are unacknowledged, and a
 *    batch is done when its last one is acknowledged.
 * 3. With ack = none it is done when the kernel took all of it.
 * 4. A line is never cut and then continued by another one: a connection with
 *    half a line is closed.
 */
#include "acks.h"
#include "common/result.h"
#include "common/text.h"
#include "link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LINES	    128u /* of one write */
#define WINDOW_MAX  1000000u
#define TIME_MAX_US (INT64_C(3600) * 1000000)

struct sink {
	const struct weir_sink_host *host;
	struct link link;
	struct acks acks;
	bool ack_lines;
	uint64_t window;

	/* of the batch that is being delivered */
	const struct weir_sink_batch *batch;
	uint32_t sent;	  /* records the kernel took whole */
	size_t part;	  /* bytes of the next one */
	uint32_t safe;	  /* records acknowledged */
	int64_t quiet_at; /* when it is silent for too long */
};

static const struct weir_sink_option options[] = {
	{"host", WEIR_OPT_STRING, WEIR_OPT_REQUIRED, NULL, "HOST",
	 "the peer's name or address"},
	{"port", WEIR_OPT_UINT, WEIR_OPT_REQUIRED, NULL, "N",
	 "the peer's port"},
	{"ack", WEIR_OPT_ENUM, 0, "none", "none|line",
	 "line: the peer sends back the sequence of what it has made safe"},
	{"window", WEIR_OPT_UINT, 0, "1000", "N",
	 "records that may be unacknowledged with ack = line"},
	{"connect-timeout", WEIR_OPT_DURATION, 0, "5s", "TIME",
	 "how long a connection may take"},
	{"timeout", WEIR_OPT_DURATION, 0, "15s", "TIME",
	 "how long the peer may take or acknowledge nothing"},
	{0},
};

/* ---- settings --------------------------------------------------------------
 */

static bool
is_time(const struct weir_sink_open *o, const char *name)
{
	uint64_t us = setting_u64(o, name, 1000);

	return us >= 1000 && us <= (uint64_t)TIME_MAX_US;
}

static int
tcp_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	const char *host = setting_get(o, "host");
	uint64_t port = setting_u64(o, "port", 0);
	uint64_t window = setting_u64(o, "window", 1);
	char wrong[400] = "";
	size_t n = 0;

	if (host == NULL || host[0] == '\0' || strlen(host) > 253 ||
	    host[strcspn(host, " /\t\n\x01\x7f")] != '\0')
		n += (size_t)snprintf(wrong + n, sizeof(wrong) - n,
				      "; host is no name or address");
	if (port < 1 || port > 65535)
		n += (size_t)snprintf(wrong + n, sizeof(wrong) - n,
				      "; port is from 1 to 65535");
	if (window < 1 || window > WINDOW_MAX)
		n += (size_t)snprintf(wrong + n, sizeof(wrong) - n,
				      "; window is from 1 to %u", WINDOW_MAX);
	if (!is_time(o, "connect-timeout") || !is_time(o, "timeout"))
		n += (size_t)snprintf(wrong + n, sizeof(wrong) - n,
				      "; connect-timeout and timeout are from "
				      "1ms to 1h");
	if (n == 0)
		return WEIR_SINK_OK;
	return result_set(res, WEIR_SINK_REJECT, "SETTINGS", NULL, "%s",
			  wrong + 2);
}

static bool
acks_lines(const struct weir_sink_open *o)
{
	const char *ack = setting_get(o, "ack");

	return ack != NULL && strcmp(ack, "line") == 0;
}

static void
tcp_close(void *sink)
{
	struct sink *s = sink;

	link_finish(&s->link);
	sink_free(s->host, s);
}

static int
tcp_open(void **out, const struct weir_sink_open *o,
	 struct weir_sink_result *res)
{
	int class = tcp_validate(o, res);
	struct sink *s;

	if (class != WEIR_SINK_OK)
		return class;
	s = sink_alloc(o->host, sizeof(*s));
	if (s == NULL)
		return result_nomem(res);
	s->host = o->host;
	s->ack_lines = acks_lines(o);
	s->window = setting_u64(o, "window", 1000);
	s->link = (struct link){
		.host = o->host,
		.name = setting_get(o, "host"),
		.port = setting_get(o, "port"),
		.connect_us =
			(int64_t)setting_u64(o, "connect-timeout", 5000000),
		.silence_us = (int64_t)setting_u64(o, "timeout", 15000000),
		.fd = -1,
	};
	*out = s;
	return WEIR_SINK_OK;
}

/* With acknowledgements nothing is lost. */
static int
tcp_shape(const struct weir_sink_open *o, uint32_t *capabilities,
	  uint32_t *needs, struct weir_sink_result *res)
{
	(void)needs;
	(void)res;
	if (acks_lines(o))
		*capabilities &= ~(uint32_t)WEIR_SINK_LOSSY;
	return WEIR_SINK_OK;
}

/* ---- sending ---------------------------------------------------------------
 */

static int64_t
now_us(const struct sink *s)
{
	return s->host->monotonic_us(s->host->cookie);
}

/* The peer moved: its time begins anew. */
static void
heard(struct sink *s)
{
	s->quiet_at = now_us(s) + s->link.silence_us;
}

/* How many records may be sent whole by now. */
static uint32_t
allowed(const struct sink *s)
{
	uint64_t most = (uint64_t)s->safe + s->window;

	if (!s->ack_lines || most > s->batch->nrecords)
		return s->batch->nrecords;
	return (uint32_t)most;
}

static void
took(struct sink *s, size_t n)
{
	while (n > 0) {
		const struct weir_sink_record *r = s->batch->records[s->sent];
		size_t left = r->json.len + 1 - s->part;

		if (n < left) {
			s->part += n;
			return;
		}
		n -= left;
		s->part = 0;
		s->sent++;
		s->acks.sent = r->sequence;
		if (r->sequence > s->acks.highest)
			s->acks.highest = r->sequence;
	}
}

/* The connection broke. Without acks all of the batch may be lost with it. */
static int
lost(struct sink *s, int error, const char *doing, struct weir_sink_result *res)
{
	if (!s->ack_lines)
		s->sent = s->safe = 0;
	s->part = 0;
	return link_lost(&s->link, error, doing, res);
}

/* Reads what the peer sent back, at most a few pieces at a time. */
static int
receive(struct sink *s, struct weir_sink_result *res)
{
	char piece[4096], wrong[128];

	for (int i = 0; i < 16; i++) {
		ssize_t n =
			recv(s->link.fd, piece, sizeof(piece), MSG_DONTWAIT);

		if (n == 0)
			return lost(s, 0, NULL, res);
		if (n < 0 &&
		    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return WEIR_SINK_OK;
		if (n < 0)
			return lost(s, errno, "receive", res);
		if (!s->ack_lines)
			continue;
		if (acks_take(&s->acks, piece, (size_t)n, wrong))
			continue;
		link_close(&s->link);
		return result_set(res, WEIR_SINK_BLOCKED, "ACK",
				  "the peer has to send back sequences, each "
				  "on a line; or set --ack none",
				  "%s port %s %s", s->link.name, s->link.port,
				  wrong);
	}
	return WEIR_SINK_OK;
}

/* Writes what the kernel takes. WEIR_SINK_OK also when it takes nothing. */
static int
send_lines(struct sink *s, struct weir_sink_result *res)
{
	static const char newline = '\n';
	struct iovec v[2 * LINES];
	uint32_t upto = allowed(s);
	size_t nv = 0, skip = s->part;
	struct msghdr m = {.msg_iov = v};
	ssize_t n;
	int class, error;

	for (uint32_t i = s->sent; i < upto && nv < 2 * LINES; i++) {
		struct weir_str json = s->batch->records[i]->json;

		v[nv++] = (struct iovec){(char *)(uintptr_t)json.data + skip,
					 json.len - skip};
		v[nv++] = (struct iovec){(char *)(uintptr_t)&newline, 1};
		skip = 0;
	}
	m.msg_iovlen = nv;
	n = sendmsg(s->link.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0) {
		took(s, (size_t)n);
		heard(s);
		return WEIR_SINK_OK;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return WEIR_SINK_OK;
	error = errno;
	/* the last acks may be there yet */
	class = receive(s, res);
	if (class != WEIR_SINK_OK)
		return class;
	return lost(s, error, "send", res);
}

static void
count_safe(struct sink *s)
{
	uint32_t before = s->safe;

	if (!s->ack_lines) {
		s->safe = s->sent;
		return;
	}
	while (s->safe < s->sent &&
	       s->batch->records[s->safe]->sequence <= s->acks.upto)
		s->safe++;
	if (s->safe != before)
		heard(s);
}

/* A connection for the batch: the kept one unless it has ended. */
static int
ready(struct sink *s, struct weir_sink_result *res)
{
	const struct weir_sink_batch *b = s->batch;
	int class = WEIR_SINK_OK;

	if (s->link.fd >= 0) {
		class = receive(s, res);
		if (class == WEIR_SINK_BLOCKED)
			return class;
	}
	if (s->link.fd < 0) {
		memset(&s->acks, 0, sizeof(s->acks));
		res->message[0] = '\0';
		class = link_connect(&s->link, b->stop_fd, b->deadline_us, res);
	}
	s->acks.sent = s->acks.upto = 0;
	return class;
}

/* Why the loop ends before all is done. */
static int
ended_early(struct sink *s, unsigned got, struct weir_sink_result *res)
{
	bool stopped = (got & LINK_STOP) != 0;

	/* half a line, or acks that would come too late */
	if (s->part != 0 || s->safe < s->sent)
		link_close(&s->link);
	if (!stopped && now_us(s) >= s->quiet_at) {
		(void)lost(s, 0, NULL, res);
		return result_set(res, WEIR_SINK_NOT_CONNECTED, "TIMEOUT", NULL,
				  "%s port %s %s nothing for %" PRId64 " ms",
				  s->link.name, s->link.port,
				  s->ack_lines ? "acknowledged" : "took",
				  s->link.silence_us / 1000);
	}
	/* the rest is for the next batch; records of a parked aggregate are
	 * done as a whole or not at all */
	if (s->safe > 0 && (s->batch->flags & WEIR_BATCH_PARKED) == 0)
		return WEIR_SINK_OK;
	return result_set(
		res, WEIR_SINK_NOT_CONNECTED, stopped ? "STOPPED" : "DEADLINE",
		NULL, "%s port %s was given %u of %u records: %s", s->link.name,
		s->link.port, s->safe, s->batch->nrecords,
		stopped ? "delivery was asked to stop"
			: "the time for the batch is over");
}

/* Sends and hears until all is safe. */
static int
exchange(struct sink *s, struct weir_sink_result *res)
{
	const struct weir_sink_batch *b = s->batch;
	int class = WEIR_SINK_OK;

	heard(s);
	while (class == WEIR_SINK_OK && s->safe < b->nrecords) {
		int64_t until = b->deadline_us < s->quiet_at ? b->deadline_us
							     : s->quiet_at;
		uint32_t before = s->sent;
		unsigned want = LINK_IN, got;

		if (s->sent < allowed(s)) {
			class = send_lines(s, res);
			want |= LINK_OUT;
		}
		count_safe(s);
		if (class != WEIR_SINK_OK || s->safe == b->nrecords)
			break;
		/* with more to send at once, only a look */
		got = link_wait(&s->link, s->sent < allowed(s) ? want : LINK_IN,
				b->stop_fd, s->sent != before ? 0 : until);
		if ((got & LINK_STOP) != 0 || now_us(s) >= until)
			return ended_early(s, got, res);
		if ((got & LINK_IN) != 0)
			class = receive(s, res);
		count_safe(s);
	}
	return class;
}

static int
tcp_deliver(void *sink, const struct weir_sink_batch *batch,
	    struct weir_sink_result *res)
{
	struct sink *s = sink;
	int class;

	s->batch = batch;
	s->sent = s->safe = 0;
	s->part = 0;
	res->durable_sequence = batch->through_sequence;
	if (batch->nrecords == 0)
		return WEIR_SINK_OK;
	class = ready(s, res);
	if (class == WEIR_SINK_OK)
		class = exchange(s, res);
	if (s->safe < batch->nrecords)
		res->durable_sequence =
			s->safe > 0 ? batch->records[s->safe - 1]->sequence : 0;
	return class;
}

static int
tcp_probe(void *sink, struct weir_sink_result *res)
{
	struct sink *s = sink;

	if (s->link.fd >= 0)
		return WEIR_SINK_OK;
	memset(&s->acks, 0, sizeof(s->acks));
	return link_connect(&s->link, -1, now_us(s) + s->link.connect_us, res);
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(struct weir_sink_plugin),
	.name = "tcp",
	.version = "0.1.0",
	.summary = "Send every record as a line over a TCP connection.",
	.capabilities = WEIR_SINK_LOSSY, /* but see tcp_shape */
	.needs = WEIR_SINK_NEED_JSON,
	.options = options,
	.validate = tcp_validate,
	.open = tcp_open,
	.deliver = tcp_deliver,
	.probe = tcp_probe,
	.close = tcp_close,
	.shape = tcp_shape,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
