/* SPDX-License-Identifier: MIT */
/* The HTTP sink's settings. Messages never show a header's value, nor the
 * endpoint's path and query, which often are a password. */
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIME_MAX_US (INT64_C(3600) * 1000000)

static void add_wrong(char wrong[1024], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
add_wrong(char wrong[1024], const char *fmt, ...)
{
	size_t n = strlen(wrong);
	va_list ap;

	if (n > 0 && n < 1000)
		n += (size_t)snprintf(wrong + n, 1024 - n, "; ");
	va_start(ap, fmt);
	if (n < 1023)
		(void)vsnprintf(wrong + n, 1024 - n, fmt, ap);
	va_end(ap);
}

/* ---- the endpoint -------------------------------------------------------- */

static char *
part(CURLU *u, CURLUPart which)
{
	char *text = NULL;

	return curl_url_get(u, which, &text, 0) == CURLUE_OK ? text : NULL;
}

/* out becomes scheme://host:port; what is wrong with the address, or NULL. */
static const char *
split_endpoint(char out[320], const char *endpoint)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL,
	     *pass = NULL;
	const char *wrong = NULL;

	if (u == NULL ||
	    curl_url_set(u, CURLUPART_URL, endpoint, 0) != CURLUE_OK) {
		curl_url_cleanup(u);
		return "the endpoint is no address such as "
		       "https://example.com/events";
	}
	scheme = part(u, CURLUPART_SCHEME);
	host = part(u, CURLUPART_HOST);
	port = part(u, CURLUPART_PORT);
	user = part(u, CURLUPART_USER);
	pass = part(u, CURLUPART_PASSWORD);
	if (scheme == NULL || (strcasecmp(scheme, "http") != 0 &&
			       strcasecmp(scheme, "https") != 0))
		wrong = "the endpoint has to begin with http:// or https://";
	else if (host == NULL || host[0] == '\0' || strlen(host) > 255)
		wrong = "the endpoint names no host";
	else if (user != NULL || pass != NULL)
		wrong = "the endpoint holds a user or password; give them as "
			"--header Authorization=env:NAME";
	else
		(void)snprintf(out, 320, "%s://%s%s%s", scheme, host,
			       port != NULL ? ":" : "",
			       port != NULL ? port : "");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_free(pass);
	curl_url_cleanup(u);
	return wrong;
}

/* ---- headers ------------------------------------------------------------- */

static bool
is_header(const struct weir_sink_setting *s)
{
	return strcmp(s->name, "header") == 0;
}

static bool
is_name(const char *s, size_t n)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		      (c >= 'A' && c <= 'Z') || strchr(marks, c) != NULL))
			return false;
	}
	return n > 0 && n <= 100;
}

/* Those that curl writes, or that would change how the body is read. */
static bool
is_ours(const char *s, size_t n)
{
	static const char *const names[] = {
		"connection", "content-length",	   "expect", "te",
		"trailer",    "transfer-encoding", "upgrade"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], s, n) == 0)
			return true;
	return false;
}

static void
check_headers(char wrong[1024], const struct weir_sink_open *o)
{
	unsigned nth = 0;

	for (size_t i = 0; i < o->nsettings; i++) {
		const char *v = o->settings[i].value, *equals;
		size_t n;

		if (!is_header(&o->settings[i]))
			continue;
		nth++;
		equals = strchr(v, '=');
		n = equals != NULL ? (size_t)(equals - v) : 0;
		if (equals == NULL || !is_name(v, n)) {
			add_wrong(wrong,
				  "header %u is no NAME=VALUE with a name of "
				  "letters, digits and -",
				  nth);
			continue;
		}
		if (is_ours(v, n))
			add_wrong(wrong, "the header %.*s is weir's own",
				  (int)n, v);
		for (const char *p = equals + 1; *p != '\0'; p++) {
			unsigned char c = (unsigned char)*p;

			if ((c >= 0x20 && c != 0x7f) || c == '\t')
				continue;
			add_wrong(wrong,
				  "the value of the header %.*s holds a "
				  "control character",
				  (int)n, v);
			break;
		}
	}
}

static bool
given(const struct weir_sink_open *o, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < o->nsettings; i++)
		if (is_header(&o->settings[i]) &&
		    strncasecmp(o->settings[i].value, name, n) == 0 &&
		    o->settings[i].value[n] == '=')
			return true;
	return false;
}

static bool
append(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (more != NULL)
		*list = more;
	return more != NULL;
}

static bool
append_setting(struct curl_slist **list, const struct weir_sink_host *host,
	       const char *setting)
{
	const char *value = strchr(setting, '=') + 1;
	struct text line;
	bool ok;

	text_init(&line, host, (size_t)1 << 20);
	text_add(&line, setting, (size_t)(value - 1 - setting));
	/* to curl "NAME;" is a header without a value */
	text_puts(&line, value[0] != '\0' ? ": " : ";");
	text_puts(&line, value);
	ok = !line.failed && append(list, line.data);
	if (line.data != NULL)
		explicit_bzero(line.data, line.len);
	text_fini(&line);
	return ok;
}

struct curl_slist *
settings_headers(const struct weir_sink_open *o)
{
	struct curl_slist *list = NULL;
	bool ok = append(&list, "Expect:");

	if (ok && !given(o, "content-type"))
		ok = append(&list, "Content-Type: application/json");
	if (ok && !given(o, "accept"))
		ok = append(&list, "Accept:");
	for (size_t i = 0; i < o->nsettings && ok; i++)
		if (is_header(&o->settings[i]))
			ok = append_setting(&list, o->host,
					    o->settings[i].value);
	if (ok)
		return list;
	curl_slist_free_all(list);
	return NULL;
}

bool
settings_shown(const struct weir_sink_open *o, const char *text)
{
	for (size_t i = 0; i < o->nsettings; i++) {
		const char *v, *word;

		if (!is_header(&o->settings[i]))
			continue;
		v = strchr(o->settings[i].value, '=');
		if (v == NULL || strlen(++v) < 3)
			continue;
		word = strrchr(v, ' ');
		if (strstr(text, v) != NULL ||
		    (word != NULL && strlen(word) > 3 &&
		     strstr(text, word + 1) != NULL))
			return true;
	}
	return false;
}

/* ---- all of them --------------------------------------------------------- */

static long
read_time(char wrong[1024], const struct weir_sink_open *o, const char *name,
	  long dflt_ms)
{
	uint64_t us = setting_u64(o, name, (uint64_t)dflt_ms * 1000);

	if (us < 1000 || us > (uint64_t)TIME_MAX_US) {
		add_wrong(wrong, "%s is from 1ms to 1h", name);
		return dflt_ms;
	}
	return (long)(us / 1000);
}

static uint32_t
read_count(char wrong[1024], const struct weir_sink_open *o, const char *name,
	   uint32_t dflt, uint32_t most)
{
	uint64_t n = setting_u64(o, name, dflt);

	if (n >= 1 && n <= most)
		return (uint32_t)n;
	add_wrong(wrong, "%s is from 1 to %u", name, most);
	return dflt;
}

bool
settings_read(struct settings *out, const struct weir_sink_open *o,
	      char wrong[1024])
{
	const char *private = setting_get(o, "private-targets");
	const char *problem;

	memset(out, 0, sizeof(*out));
	wrong[0] = '\0';
	out->endpoint = setting_get(o, "endpoint");
	out->ca_file = setting_get(o, "ca-file");
	problem = out->endpoint != NULL
			  ? split_endpoint(out->target, out->endpoint)
			  : "the endpoint is missing";
	if (problem != NULL)
		add_wrong(wrong, "%s", problem);
	check_headers(wrong, o);
	out->per_request =
		read_count(wrong, o, "per-request", 1, PER_REQUEST_MAX);
	out->parallel = read_count(wrong, o, "parallel", 8, PARALLEL_MAX);
	out->connect_ms = read_time(wrong, o, "connect-timeout", 5000);
	out->total_ms = read_time(wrong, o, "timeout", 15000);
	out->own_trace = given(o, "traceparent");
	out->private_targets = private == NULL || strcmp(private, "false") != 0;
	return wrong[0] == '\0';
}
