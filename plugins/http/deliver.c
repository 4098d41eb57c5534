/* SPDX-License-Identifier: MIT */
/*
 * Delivering a batch.
 *
 * 1. At most `parallel` requests are under way; order.h says what may go.
 * 2. The first failure ends the sending; those under way are waited for, so
 *    that what the target took is known and not sent again.
 * 3. Nothing new is sent so near the deadline that, as requests went so far, it
 *    could not be answered in time. Asked to stop, those under way get half a
 *    second.
 * 4. What is not done then stays for the next batch, which is no failure when
 *    some was done.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define GRACE_US       500000 /* for requests under way, after stop */
#define POLL_MS	       1000
#define RESERVE_MAX_US 10000000 /* less than a host gives for a batch */

/* ---- SIGPIPE ---------------------------------------------------------------
 */

void
quiet_begin(struct quiet *q)
{
	sigset_t pipe, pending;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigemptyset(&pending);
	(void)sigpending(&pending);
	q->pending = sigismember(&pending, SIGPIPE) == 1;
	(void)pthread_sigmask(SIG_BLOCK, &pipe, &q->before);
}

void
quiet_end(const struct quiet *q)
{
	static const struct timespec now = {0, 0};
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (!q->pending)
		(void)sigtimedwait(&pipe, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

/* ---- the loop --------------------------------------------------------------
 */

static int64_t
now_us(const struct sink *s)
{
	return s->host->monotonic_us(s->host->cookie);
}

/* Starts what may be started; the number of requests under way. */
static size_t
send_more(struct sink *s, bool may)
{
	size_t flying = 0;

	for (uint32_t i = 0; i < s->set.parallel; i++) {
		struct slot *slot = &s->slots[i];

		if (may && !slot->flying && s->worst == WEIR_SINK_OK) {
			slot->nitems = order_take(s->order, slot->items,
						  s->set.per_request);
			if (slot->nitems > 0)
				slot_start(slot);
		}
		flying += slot->flying;
	}
	return flying;
}

/* Takes the ended transfers; their number. */
static size_t
collect(struct sink *s)
{
	size_t ended = 0;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(s->multi, &left)) != NULL) {
		CURLcode code = msg->data.result;
		char *slot = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &slot);
		slot_end((struct slot *)(void *)slot, code);
		ended++;
	}
	return ended;
}

/* Waits for sockets, the stop descriptor or the time; true when stopped. */
static bool
wait_for(struct sink *s, int64_t until)
{
	struct curl_waitfd stop = {.fd = s->batch->stop_fd,
				   .events = CURL_WAIT_POLLIN};
	int64_t left = (until - now_us(s) + 999) / 1000;
	int ms = left < POLL_MS ? (int)left : POLL_MS;

	(void)curl_multi_poll(s->multi, &stop, stop.fd >= 0 ? 1 : 0,
			      ms > 0 ? ms : 0, NULL);
	return stop.revents != 0;
}

static void
give_up(struct sink *s)
{
	for (uint32_t i = 0; i < s->set.parallel; i++) {
		if (!s->slots[i].flying)
			continue;
		curl_multi_remove_handle(s->multi, s->slots[i].easy);
		s->slots[i].flying = false;
	}
}

/* How long a request has to be allowed for. */
static int64_t
reserve(const struct sink *s)
{
	int64_t us = 2 * s->slowest_us;

	return us < RESERVE_MAX_US ? us : RESERVE_MAX_US;
}

/* Sends all, or up to the first failure; true when it was asked to stop. */
static bool
run(struct sink *s)
{
	size_t before = order_left(s->order);
	int64_t until = s->batch->deadline_us;
	bool stopped = wait_for(s, 0);
	int running;

	while (now_us(s) < until) {
		bool may = !stopped && now_us(s) + reserve(s) < until;

		/* with no time for a request the rest of it is waited out */
		if (send_more(s, may) == 0 &&
		    (may || stopped || s->worst != WEIR_SINK_OK ||
		     order_left(s->order) < before))
			break;
		(void)curl_multi_perform(s->multi, &running);
		if (collect(s) > 0)
			continue;
		if (stopped) { /* its descriptor would end every poll at once */
			(void)curl_multi_poll(s->multi, NULL, 0, 10, NULL);
		} else if (wait_for(s, until)) {
			stopped = true;
			if (until > now_us(s) + GRACE_US)
				until = now_us(s) + GRACE_US;
		}
	}
	give_up(s);
	return stopped;
}

static int
answer(struct sink *s, bool stopped, struct weir_sink_result *res)
{
	res->durable_sequence = order_durable(s->order);
	order_keep(s->order, &s->seen, order_left(s->order) == 0);
	if (order_left(s->order) == 0)
		return WEIR_SINK_OK;
	if (s->worst != WEIR_SINK_OK)
		return (int)s->worst;
	/* records of a parked aggregate are done as a whole or not at all */
	if (res->durable_sequence >= s->batch->records[0]->sequence &&
	    (s->batch->flags & WEIR_BATCH_PARKED) == 0)
		return WEIR_SINK_OK;
	return result_set(
		res, WEIR_SINK_NOT_CONNECTED, stopped ? "STOPPED" : "DEADLINE",
		NULL, "%s was not given %zu of %u records: %s", s->set.target,
		order_left(s->order), s->batch->nrecords,
		stopped ? "delivery was asked to stop"
			: "the time for the batch is over");
}

int
http_deliver(void *sink, const struct weir_sink_batch *batch,
	     struct weir_sink_result *res)
{
	struct sink *s = sink;
	struct quiet quiet;
	bool stopped;

	if (!order_begin(s->order, batch, &s->seen))
		return result_nomem(res);
	s->batch = batch;
	s->res = res;
	s->worst = WEIR_SINK_OK;
	s->worst_at = 0;
	quiet_begin(&quiet);
	stopped = run(s);
	quiet_end(&quiet);
	return answer(s, stopped, res);
}
