/* SPDX-License-Identifier: MIT */
/* Counters of the HTTP server. */
#include "server/http_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Upper ends, microseconds, and as they are shown. */
static const struct {
	int64_t us;
	const char *text;
} spans[HTTP_SPANS] = {
	{100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
	{2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
	{50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {1000000, "1"},
	{5000000, "5"},	  {30000000, "30"},
};

static const char *const cut_names[HTTP_CUTS] = {"header", "body", "answer",
						 "idle"};

static bool
is_it(const struct http_route_count *r, const char *method, const char *route,
      int status)
{
	return r->method == method && r->route == route && r->status == status;
}

/* The last place counts what there is no place for. */
static struct http_route_count *
place_of(struct http_count *c, const char *method, const char *route,
	 int status)
{
	size_t hash = ((uintptr_t)route >> 3) + ((uintptr_t)method >> 2) * 7 +
		      (size_t)status * 31;

	for (size_t i = 0; i < HTTP_ROUTES - 1; i++) {
		struct http_route_count *r =
			&c->route[(hash + i) % (HTTP_ROUTES - 1)];

		if (is_it(r, method, route, status))
			return r;
		if (atomic_load(&r->method) != NULL)
			continue;
		pthread_mutex_lock(&c->lock);
		if (atomic_load(&r->method) == NULL) {
			r->route = route;
			r->status = status;
			atomic_store(&r->method, method);
		}
		pthread_mutex_unlock(&c->lock);
		if (is_it(r, method, route, status))
			return r;
	}
	return &c->route[HTTP_ROUTES - 1];
}

void
http_count_answer(struct http_count *c, const char *method, const char *route,
		  int status, int64_t us)
{
	size_t i = 0;

	atomic_fetch_add(&place_of(c, method, route, status)->n, 1);
	if (us < 0)
		return;
	while (i < HTTP_SPANS && us > spans[i].us)
		i++;
	atomic_fetch_add(&c->span[i], 1);
	atomic_fetch_add(&c->total_us, (uint64_t)us);
}

static void
head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
one(struct buf *out, const char *name, const char *type, const char *help,
    uint64_t n)
{
	head(out, name, type, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, n);
}

static void
routes(struct http_count *c, struct buf *out)
{
	head(out, "weir_http_requests_total", "counter",
	     "Requests answered, by route and status.");
	for (size_t i = 0; i < HTTP_ROUTES; i++) {
		struct http_route_count *r = &c->route[i];
		const char *method = atomic_load(&r->method);

		if (method != NULL)
			buf_printf(out,
				   "weir_http_requests_total{method=\"%s\","
				   "route=\"%s\",code=\"%d\"} %" PRIu64 "\n",
				   method, r->route, r->status,
				   atomic_load(&r->n));
	}
}

static void
histogram(struct http_count *c, struct buf *out)
{
	static const char name[] = "weir_http_request_duration_seconds";
	uint64_t us = atomic_load(&c->total_us), n = 0;

	head(out, name, "histogram",
	     "From the request line to the end of the answer.");
	for (size_t i = 0; i <= HTTP_SPANS; i++) {
		n += atomic_load(&c->span[i]);
		buf_printf(out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name,
			   i < HTTP_SPANS ? spans[i].text : "+Inf", n);
	}
	buf_printf(out,
		   "%s_sum %" PRIu64 ".%06" PRIu64 "\n%s_count %" PRIu64 "\n",
		   name, us / 1000000, us % 1000000, name, n);
}

void
http_metrics(struct http *h, struct buf *out)
{
	struct http_count *c = &h->counts;

	routes(c, out);
	histogram(c, out);
	one(out, "weir_http_connections", "gauge", "Connections now.",
	    http_connections(h));
	one(out, "weir_http_streams", "gauge", "Live streams now.",
	    atomic_load(&c->streams));
	one(out, "weir_http_connections_total", "counter",
	    "Connections accepted.", atomic_load(&c->accepted));
	one(out, "weir_http_connections_refused_total", "counter",
	    "Connections refused for a limit.", atomic_load(&c->refused));
	one(out, "weir_http_received_bytes_total", "counter",
	    "Bytes of requests' bodies.", atomic_load(&c->received));
	one(out, "weir_http_sent_bytes_total", "counter",
	    "Bytes of answers' bodies.", atomic_load(&c->sent));
	head(out, "weir_http_cut_total", "counter",
	     "Connections cut off because the client was too slow.");
	for (size_t i = 0; i < HTTP_CUTS; i++)
		buf_printf(out,
			   "weir_http_cut_total{part=\"%s\"} %" PRIu64 "\n",
			   cut_names[i], atomic_load(&c->cut[i]));
}
