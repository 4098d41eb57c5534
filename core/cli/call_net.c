/* SPDX-License-Identifier: MIT */
/*
 * HTTP over the network, by libcurl. It is loaded when it is needed: being
 * linked with it would cost every command 14 ms and more.
 */
#include "cli/call_int.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONNECT_MS 5000L
#define SILENT_S   60L

struct call_net {
	void *library;
	CURL *easy;
	struct curl_slist *headers;
	char *base, *token, *cacert;
	char reason[CURL_ERROR_SIZE];

	/* of the exchange under way */
	struct exchange *x;
	struct weir_err *err;
	int rc;

	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*setopt)(CURL *h, CURLoption o, ...);
	CURLcode (*perform)(CURL *h);
	CURLcode (*getinfo)(CURL *h, CURLINFO i, ...);
	void (*reset)(CURL *h);
	void (*cleanup)(CURL *h);
	struct curl_slist *(*append)(struct curl_slist *l, const char *s);
	void (*free_all)(struct curl_slist *l);
	const char *(*why)(CURLcode code);
};

static int
load(struct call_net *n, struct weir_err *err)
{
	struct {
		void *to;
		const char *name;
	} calls[] = {
		{&n->global_init, "curl_global_init"},
		{&n->easy_init, "curl_easy_init"},
		{&n->setopt, "curl_easy_setopt"},
		{&n->perform, "curl_easy_perform"},
		{&n->getinfo, "curl_easy_getinfo"},
		{&n->reset, "curl_easy_reset"},
		{&n->cleanup, "curl_easy_cleanup"},
		{&n->append, "curl_slist_append"},
		{&n->free_all, "curl_slist_free_all"},
		{&n->why, "curl_easy_strerror"},
	};

	n->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (n->library == NULL)
		return err_set(err, WEIR_EFAILED,
			       "--server needs libcurl: %s (on Debian: apt-get "
			       "install libcurl4)",
			       dlerror());
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *call = dlsym(n->library, calls[i].name);

		if (call == NULL)
			return err_set(err, WEIR_EFAILED,
				       "this libcurl has no %s", calls[i].name);
		memcpy(calls[i].to, &call, sizeof(call));
	}
	if (n->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, WEIR_EFAILED, "libcurl can't be used");
	n->easy = n->easy_init();
	return n->easy != NULL ? 0 : err_nomem(err);
}

/* ---- the URL ------------------------------------------------------------- */

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 ||
	       strncmp(host, "[::1]", 5) == 0 ||
	       (strncasecmp(host, "localhost", 9) == 0 &&
		strchr(":/", host[9]) != NULL);
}

static const char *
host_of(const char *url)
{
	return strstr(url, "://") + 3;
}

static int
check_url(const char *url, struct weir_err *err)
{
	bool http = strncasecmp(url, "http://", 7) == 0;

	if (!http && strncasecmp(url, "https://", 8) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "--server takes a URL such as "
			       "https://weir.example:7070, not \"%s\"",
			       url);
	if (strpbrk(host_of(url), "@?# ") != NULL)
		return err_set(err, WEIR_EUSAGE,
			       "--server takes a URL without user, query and "
			       "fragment; --token-file says who asks");
	return 0;
}

int
call_net_open(struct call_net **out, const char *url, const char *token,
	      const char *cacert, struct weir_err *err)
{
	struct call_net *n;
	size_t len = strlen(url);
	int rc = check_url(url, err);

	if (rc != 0)
		return rc;
	n = must_mem(sizeof(*n));
	n->base = must_dup(url);
	while (len > 0 && n->base[len - 1] == '/')
		n->base[--len] = '\0';
	n->token = token != NULL ? must_dup(token) : NULL;
	n->cacert = cacert != NULL ? must_dup(cacert) : NULL;
	rc = load(n, err);
	if (rc != 0)
		call_net_free(n);
	else
		*out = n;
	return rc;
}

void
call_net_free(struct call_net *n)
{
	if (n == NULL)
		return;
	if (n->easy != NULL)
		n->cleanup(n->easy);
	mem_free(n->base);
	mem_free(n->token);
	mem_free(n->cacert);
	mem_free(n); /* the library stays: others may have begun with it */
}

/* ---- an exchange --------------------------------------------------------- */

static size_t
on_header(char *line, size_t size, size_t count, void *cookie)
{
	struct call_net *n = cookie;
	struct call_answer *out = n->x->out;
	struct weir_str s = {line, size * count};
	char value[2048];
	size_t from;

	while (s.len > 0 && strchr("\r\n ", s.data[s.len - 1]) != NULL)
		s.len--;
	for (from = 0; from < s.len && s.data[from] != ':';)
		from++;
	for (from++; from < s.len && s.data[from] == ' ';)
		from++;
	if (from < s.len) {
		snprintf(value, sizeof(value), "%.*s", (int)(s.len - from),
			 s.data + from);
		if (strncasecmp(s.data, "etag:", 5) == 0)
			snprintf(out->etag, sizeof(out->etag), "%.63s", value);
		if (strncasecmp(s.data, "link:", 5) == 0)
			snprintf(out->link, sizeof(out->link), "%s", value);
		if (strncasecmp(s.data, "content-type:", 13) == 0)
			snprintf(out->type, sizeof(out->type), "%.63s",
				 strtok(value, ";"));
	}
	return size * count;
}

static size_t
on_body(char *data, size_t size, size_t count, void *cookie)
{
	struct call_net *n = cookie;
	long status = 0;

	n->getinfo(n->easy, CURLINFO_RESPONSE_CODE, &status);
	n->x->out->status = (int)status;
	n->rc = exchange_body(n->x, data, size * count, n->err);
	return n->rc == 0 ? size * count : 0;
}

/* Called at least once a second. */
static int
on_progress(void *cookie, curl_off_t a, curl_off_t b, curl_off_t c,
	    curl_off_t d)
{
	(void)cookie, (void)a, (void)b, (void)c, (void)d;
	return cli_stopped() != 0;
}

static void
put_header(struct call_net *n, const char *name, const char *value)
{
	struct curl_slist *longer;
	struct buf line;

	buf_init(&line, 8192);
	buf_printf(&line, "%s: %s", name, value);
	longer = n->append(n->headers, buf_cstr(&line));
	n->headers = longer != NULL ? longer : n->headers;
	buf_fini(&line);
}

static void
put_headers(struct call_net *n)
{
	const struct call_request *r = n->x->r;
	struct buf bearer;

	n->headers = NULL;
	put_header(n, "Accept",
		   r->accept != NULL ? r->accept : "application/json");
	if (r->body.data != NULL)
		put_header(n, "Content-Type",
			   r->type != NULL ? r->type : "application/json");
	if (n->token != NULL) {
		buf_init(&bearer, 8192);
		buf_printf(&bearer, "Bearer %s", n->token);
		put_header(n, "Authorization", buf_cstr(&bearer));
		buf_fini(&bearer);
	}
	put_header(n, "Expect", "");
	n->setopt(n->easy, CURLOPT_HTTPHEADER, n->headers);
}

static void
put_options(struct call_net *n)
{
	const struct call_request *r = n->x->r;
	CURL *h = n->easy;

	n->setopt(h, CURLOPT_ERRORBUFFER, n->reason);
	n->setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	n->setopt(h, CURLOPT_PATH_AS_IS, 1L);
	n->setopt(h, CURLOPT_NOSIGNAL, 1L);
	n->setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	n->setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (n->cacert != NULL)
		n->setopt(h, CURLOPT_CAINFO, n->cacert);
	if (is_loopback(host_of(n->base)))
		n->setopt(h, CURLOPT_PROXY, "");
	if (!r->stream) {
		n->setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
		n->setopt(h, CURLOPT_LOW_SPEED_TIME, SILENT_S);
	}
	n->setopt(h, CURLOPT_NOPROGRESS, r->stream ? 0L : 1L);
	n->setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	n->setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	n->setopt(h, CURLOPT_HEADERDATA, n);
	n->setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	n->setopt(h, CURLOPT_WRITEDATA, n);
	if (r->body.data != NULL || strcmp(r->method, "GET") != 0) {
		n->setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
			  (curl_off_t)r->body.len);
		n->setopt(h, CURLOPT_POSTFIELDS,
			  r->body.data != NULL ? r->body.data : "");
	}
	n->setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
}

int
call_net_send(struct call_net *n, struct exchange *x, struct weir_err *err)
{
	struct buf url;
	long status = 0;
	CURLcode code;

	n->x = x;
	n->err = err;
	n->rc = 0;
	n->reason[0] = '\0';
	buf_init(&url, 64u << 10);
	buf_printf(&url, "%s%s", n->base, x->r->target);
	n->reset(n->easy);
	n->setopt(n->easy, CURLOPT_URL, buf_cstr(&url));
	put_options(n);
	put_headers(n);
	x->sent = true;
	code = n->perform(n->easy);
	n->getinfo(n->easy, CURLINFO_RESPONSE_CODE, &status);
	x->out->status = (int)status;
	n->free_all(n->headers);
	buf_fini(&url);
	if (n->rc != 0)
		return n->rc;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return err_set(err, WEIR_ESTOPPED, "%s", "");
	if (code == CURLE_OUT_OF_MEMORY)
		return err_nomem(err);
	if (code != CURLE_OK)
		return err_set(err, WEIR_EUNREACH, "asking %s failed: %s",
			       n->base,
			       n->reason[0] != '\0' ? n->reason : n->why(code));
	return 0;
}
