/* SPDX-License-Identifier: MIT */
/*
 * What a server says of itself: alive, ready, metrics, status, and the
 * description of all routes.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"

/* Less is no room for what comes next. */
#define DISK_LEAST (32u << 20)
/* So many records behind, the index is in trouble. */
#define LAG_MOST 10000000u
#define HANGS_US 2000000 /* a commit that takes longer */

static const char openapi[] = {
#include "server/openapi.inc"
};

static int
run_health(struct api_call *c)
{
	buf_puts(&c->out, "{\"status\":\"ok\"}");
	return api_reply(c, 200);
}

static int
run_openapi(struct api_call *c)
{
	buf_add(&c->out, openapi, sizeof(openapi));
	return api_reply(c, 200);
}

/* ---- ready --------------------------------------------------------------- */

static bool
put_check(struct buf *out, const char *name, const struct weir_err *err)
{
	bool good = err->code == 0;

	buf_printf(out, "[%c]%s %s\n", good ? '+' : '-', name,
		   good ? "ok" : err->msg);
	return good;
}

/* It waits for the commit that is under way, so a disk that hangs may hold one
 * caller only; the others look how long that one waits. */
static bool
check_store(struct api *a, struct buf *out)
{
	int64_t now = clock_monotonic(), since = 0;
	struct weir_err err = {0};

	if (atomic_compare_exchange_strong(&a->probing, &since, now)) {
		if (store_probe(a->store, &err) == WEIR_EUSAGE)
			err.code = 0; /* only read */
		atomic_store(&a->probing, 0);
	} else if (now - since > HANGS_US) {
		err_set(&err, WEIR_EUNREACH,
			"waits for its disk since %" PRId64 " seconds",
			(now - since) / 1000000);
	}
	return put_check(out, "store", &err);
}

static bool
check_policy(struct api *a, struct buf *out)
{
	struct weir_err err = {0};

	policy_refresh(a->policy, &err);
	return put_check(out, "policy", &err);
}

static bool
check_disk(struct api *a, struct buf *out)
{
	struct weir_err err = {0};
	uint64_t free_bytes = 0;

	if (os_disk_free(&free_bytes, store_dir(a->store), &err) == 0 &&
	    free_bytes < DISK_LEAST)
		err_set(&err, WEIR_ENOSPC, "%" PRIu64 " bytes are free",
			free_bytes);
	return put_check(out, "disk", &err);
}

static uint64_t
index_lag(struct api *a, size_t *heads)
{
	uint64_t indexed = store_indexed(a->store, heads);
	uint64_t last = store_last(a->store);

	return last > indexed ? last - indexed : 0;
}

static bool
check_index(struct api *a, struct buf *out)
{
	struct weir_err err = {0};
	size_t heads;
	uint64_t lag = index_lag(a, &heads);

	if (lag > LAG_MOST)
		err_set(&err, WEIR_EIO, "%" PRIu64 " records behind", lag);
	return put_check(out, "index", &err);
}

static int
run_livez(struct api_call *c)
{
	buf_puts(&c->out, "ok\n");
	return api_reply_as(c, 200, API_TYPE_TEXT);
}

static int
run_readyz(struct api_call *c)
{
	struct api *a = c->api;
	bool good = check_store(a, &c->out);

	good &= check_policy(a, &c->out);
	good &= check_disk(a, &c->out);
	good &= check_index(a, &c->out);
	if (a->host != NULL)
		good &= a->host->ready(a->host_cookie, &c->out);
	return api_reply_as(c, good ? 200 : 503, API_TYPE_TEXT);
}

/* ---- metrics ------------------------------------------------------------- */

static void
put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
	put_head(b, name, "gauge", help);
	buf_printf(b, "%s %" PRIu64 "\n", name, value);
}

static void
put_store(struct api *a, struct buf *b)
{
	uint64_t free_bytes = 0, lag;
	size_t heads = 0;

	lag = index_lag(a, &heads);
	put_head(b, "weir_build_info", "gauge", "1, with the version.");
	buf_printf(b, "weir_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	put_gauge(b, "weir_committed_sequence", "The last committed sequence.",
		  store_last(a->store));
	put_gauge(b, "weir_aggregates", "Aggregates, reserved ones left out.",
		  store_aggregates(a->store, false));
	put_gauge(b, "weir_index_lag_records",
		  "Committed records that are not in the index yet.", lag);
	put_gauge(b, "weir_heads_memory_bytes",
		  "Memory for the newest of each aggregate.", heads);
	if (os_disk_free(&free_bytes, store_dir(a->store), NULL) == 0)
		put_gauge(b, "weir_disk_free_bytes",
			  "Bytes that are free where the store is.",
			  free_bytes);
}

static void
put_appends(struct api *a, struct buf *b)
{
	static const char *const words[API_RESULTS] = {
		"committed", "duplicate", "conflict",
		"denied",    "refused",	  "failed",
	};

	put_head(b, "weir_append_events_total", "counter",
		 "Events that were to be appended, by what became of them.");
	for (int i = 0; i < API_RESULTS; i++)
		buf_printf(b,
			   "weir_append_events_total{result=\"%s\"} %" PRIu64
			   "\n",
			   words[i], atomic_load(&a->results[i]));
}

static int
run_metrics(struct api_call *c)
{
	struct api *a = c->api;

	put_store(a, &c->out);
	put_appends(a, &c->out);
	if (a->host != NULL)
		a->host->metrics(a->host_cookie, &c->out);
	return api_reply_as(c, 200, "text/plain; version=0.0.4; charset=utf-8");
}

/* ---- status -------------------------------------------------------------- */

static int
run_status(struct api_call *c)
{
	struct api *a = c->api;
	struct buf *b = &c->out;
	char id[37];

	uuid_text(id, store_id(a->store));
	buf_printf(b, "{\"version\":\"%s\",\"store_id\":\"%s\",\"data_dir\":",
		   PACKAGE_VERSION, id);
	json_put_string(b, str_of(store_dir(a->store)));
	buf_printf(b,
		   ",\"committed_sequence\":%" PRIu64 ",\"aggregates\":%" PRIu64
		   ",\"restriction\":\"%s\"",
		   store_last(a->store), store_aggregates(a->store, false),
		   policy_restriction_word(policy_restriction(a->policy)));
	if (a->host != NULL)
		a->host->status(a->host_cookie, b);
	buf_putc(b, '}');
	return api_reply(c, 200);
}

const struct api_route api_basics_routes[] = {
	{"GET", "/health", API_OPEN, run_health, NULL},
	{"GET", "/livez", API_OPEN, run_livez, NULL},
	{"GET", "/readyz", API_OPEN, run_readyz, NULL},
	{"GET", "/openapi.json", API_OPEN, run_openapi, NULL},
	{"GET", "/metrics", API_READ, run_metrics, NULL},
	{"GET", "/v1/status", API_READ, run_status, NULL},
	{NULL, NULL, 0, NULL, NULL},
};
