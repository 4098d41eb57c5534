/* SPDX-License-Identifier: MIT */
/*
 * The HTTP sink: every record is posted to an address. weir-sink-http(7) is
 * its manual.
 *
 * It holds no cursor; the host keeps it in a file, so a record is sent at least
 * once. What the target took of a batch that failed is remembered while the
 * sink is open and not sent again.
 */
#include "http.h"

#include "answer.h"

#include <string.h>

static const struct weir_sink_option options[] = {
	{"endpoint", WEIR_OPT_STRING, WEIR_OPT_REQUIRED, NULL, "URL",
	 "the http or https address that records are posted to"},
	{"header", WEIR_OPT_LIST, WEIR_OPT_SECRET, NULL, "NAME=VALUE",
	 "a header of every request"},
	{"per-request", WEIR_OPT_UINT, 0, "1", "N",
	 "records in a request: above 1 the body is a JSON array"},
	{"parallel", WEIR_OPT_UINT, 0, "8", "N",
	 "requests under way at once; an aggregate's records stay in order"},
	{"connect-timeout", WEIR_OPT_DURATION, 0, "5s", "TIME",
	 "how long a connection may take"},
	{"timeout", WEIR_OPT_DURATION, 0, "15s", "TIME",
	 "how long a request may take, connecting included"},
	{"private-targets", WEIR_OPT_BOOL, 0, "true", NULL,
	 "allow loopback, private and link-local addresses; =false refuses "
	 "them"},
	{"ca-file", WEIR_OPT_PATH, 0, NULL, "FILE",
	 "certificates (PEM) to trust instead of the system's"},
	{0},
};

static int
http_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	struct settings set;
	char wrong[1024];

	if (settings_read(&set, o, wrong))
		return WEIR_SINK_OK;
	return result_set(res, WEIR_SINK_REJECT, "SETTINGS", NULL, "%s", wrong);
}

static void
http_close(void *sink)
{
	struct sink *s = sink;
	struct quiet quiet;

	quiet_begin(&quiet);
	for (uint32_t i = 0; s->slots != NULL && i < s->set.parallel; i++)
		slot_close(&s->slots[i]);
	if (s->multi != NULL)
		curl_multi_cleanup(s->multi);
	quiet_end(&quiet);
	curl_slist_free_all(s->headers);
	order_free(s->order);
	sink_free(s->host, s->seen.v);
	sink_free(s->host, s->slots);
	sink_free(s->host, s->items);
	if (s->global)
		curl_global_cleanup();
	sink_free(s->host, s);
}

/* All that a sink needs; false: no memory. */
static bool
make_parts(struct sink *s)
{
	uint32_t n = s->set.parallel;

	s->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	s->order = order_new(s->host);
	s->headers = settings_headers(&s->o);
	s->multi = s->global ? curl_multi_init() : NULL;
	s->slots = sink_alloc(s->host, n * sizeof(*s->slots));
	s->items = sink_alloc(s->host, (size_t)n * s->set.per_request *
					       sizeof(*s->items));
	if (s->order == NULL || s->headers == NULL || s->multi == NULL ||
	    s->slots == NULL || s->items == NULL)
		return false;
	curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)n);
	curl_multi_setopt(s->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)n);
	for (uint32_t i = 0; i < n; i++) {
		s->slots[i].items = s->items + (size_t)i * s->set.per_request;
		if (!slot_open(&s->slots[i], s))
			return false;
	}
	return true;
}

static int
http_open(void **out, const struct weir_sink_open *o,
	  struct weir_sink_result *res)
{
	struct sink *s;
	int class = http_validate(o, res);
	char wrong[1024];

	if (class != WEIR_SINK_OK)
		return class;
	s = sink_alloc(o->host, sizeof(*s));
	if (s == NULL)
		return result_nomem(res);
	s->host = o->host;
	s->o = *o;
	(void)settings_read(&s->set, o, wrong);
	if (!make_parts(s)) {
		http_close(s);
		return result_nomem(res);
	}
	*out = s;
	return WEIR_SINK_OK;
}

/* Connects, with TLS where it is asked for, and sends nothing. */
static int
http_probe(void *sink, struct weir_sink_result *res)
{
	struct sink *s = sink;
	struct slot slot = {.sink = s, .easy = curl_easy_init()};
	struct quiet quiet;
	const char *said;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	int class = WEIR_SINK_OK;

	quiet_begin(&quiet);
	if (slot.easy != NULL && slot_options(&slot)) {
		curl_easy_setopt(slot.easy, CURLOPT_CONNECT_ONLY, 1L);
		code = curl_easy_perform(slot.easy);
	}
	said = slot.error[0] != '\0' ? slot.error : curl_easy_strerror(code);
	if (slot.refused_address)
		class = result_set(res, WEIR_SINK_BLOCKED, "PRIVATE",
				   "give it a public address, or set "
				   "--private-targets",
				   "%s has a private address, and "
				   "private-targets is false",
				   s->set.target);
	else if (code != CURLE_OK)
		class = result_set(
			res, answer_curl(code, said),
			answer_curl_code(code, said), answer_curl_hint(code),
			"%s can't be connected to: %s", s->set.target, said);
	if (slot.easy != NULL)
		curl_easy_cleanup(slot.easy);
	quiet_end(&quiet);
	return class;
}

static int
http_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct sink *s = sink;

	(void)sequence;
	(void)res;
	s->seen.n = 0;
	return WEIR_SINK_OK;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(struct weir_sink_plugin),
	.name = "http",
	.version = "0.1.0",
	.summary = "Post every record to an HTTP address.",
	.capabilities = 0,
	.needs = WEIR_SINK_NEED_JSON,
	.options = options,
	.validate = http_validate,
	.open = http_open,
	.deliver = http_deliver,
	.probe = http_probe,
	.rewind = http_rewind,
	.close = http_close,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
