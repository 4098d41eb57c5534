/* SPDX-License-Identifier: MIT */
/* Strict reading of a request's head; see http_head.h. RFC 9110, RFC 9112. */
#include "server/http_head.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "base/str.h"
#include "base/word.h"

static const char *const methods[] = {"GET",   "HEAD",	 "POST",    "PUT",
				      "PATCH", "DELETE", "OPTIONS", NULL};

/* A bit for each character: letters, digits and !#$%&'*+-.^_`|~ */
static const uint32_t token_bits[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff,
				       0, 0,	      0,	  0};

static bool
is_token(struct weir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((token_bits[c >> 5] >> (c & 31) & 1) == 0)
			return false;
	}
	return s.len > 0;
}

static bool
is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static bool
holds_control(struct weir_str s)
{
	size_t i = 0;

	for (; s.len - i >= 8; i += 8) {
		uint64_t word = word_load(s.data + i);

		if (word_below(word, ' ') != 0 || word_has(word, 0x7f) != 0)
			break;
	}
	while (i < s.len && !is_control(s.data[i]))
		i++;
	return i < s.len;
}

/* ---- lines --------------------------------------------------------------- */

/* A header line at p: its end, or NULL. */
static const char *
line_end(const char *p, const char *end)
{
	const char *colon = memchr(p, '\0', (size_t)(end - p)), *value;

	if (colon == NULL ||
	    !is_token((struct weir_str){p, (size_t)(colon - p)}))
		return NULL;
	colon++;
	value = memchr(colon, '\0', (size_t)(end - colon));
	if (value == NULL || end - value < 2 || value[1] != '\0' ||
	    holds_control((struct weir_str){colon, (size_t)(value - colon)}))
		return NULL;
	return value + 2;
}

bool
http_head_lines(struct http_head *h, const char *method, const char *version,
		size_t n)
{
	const char *end = method + n, *p;
	uintptr_t from = (uintptr_t)method, at = (uintptr_t)version;

	if (at < from || at - from >= n)
		return true;
	p = memchr(version, '\0', n - (at - from));
	if (p == NULL || end - p < 2 || p[1] != '\0')
		return false;
	p += 2;
	while (p != NULL && end - p > 2)
		p = line_end(p, end);
	h->seen = true;
	return p != NULL && end - p == 2 && p[0] == '\0' && p[1] == '\0';
}

/* ---- fields -------------------------------------------------------------- */

static void
fault(struct http_head *h, int status, const char *message)
{
	if (h->fault.status == 0)
		h->fault = (struct http_fault){status, message};
}

static bool
name_is(struct weir_str a, const char *name)
{
	return a.len == strlen(name) && strncasecmp(a.data, name, a.len) == 0;
}

static struct weir_str
trimmed(struct weir_str s)
{
	while (s.len > 0 &&
	       (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static void
take_coding(struct http_head *h, struct weir_str value)
{
	if (h->codings++ > 0)
		fault(h, 400, "there is more than one Transfer-Encoding");
	else if (!name_is(value, "chunked"))
		fault(h, 501, "no Transfer-Encoding but chunked is taken");
	h->chunked = true;
}

static void
take_length(struct http_head *h, struct weir_str value)
{
	if (h->lengths++ > 0)
		fault(h, 400, "there is more than one Content-Length");
	else if (str_u64(&h->length, value) != 0)
		fault(h, 400, "Content-Length must be a whole number");
}

void
http_head_field(struct http_head *h, struct weir_str name,
		struct weir_str value)
{
	value = trimmed(value);
	if (!h->seen && !is_token(name))
		fault(h, 400, "a header's name holds what no name may hold");
	if (!h->seen && holds_control(value))
		fault(h, 400, "a header holds a control character");
	switch (name.len) {
	case 4:
		if (!name_is(name, "Host"))
			break;
		if (h->hosts++ > 0)
			fault(h, 400, "there is more than one Host");
		h->host = value;
		break;
	case 6:
		if (name_is(name, "Origin"))
			h->origin = value;
		else if (name_is(name, "Expect"))
			h->expect = value;
		break;
	case 13:
		if (name_is(name, "Authorization") && h->authorizations++ > 0)
			fault(h, 400, "there is more than one Authorization");
		break;
	case 14:
		if (name_is(name, "Content-Length"))
			take_length(h, value);
		break;
	case 17:
		if (name_is(name, "Transfer-Encoding"))
			take_coding(h, value);
		break;
	default:
		break;
	}
}

/* ---- the whole ----------------------------------------------------------- */

static bool
method_is_known(const char *method)
{
	for (const char *const *m = methods; *m != NULL; m++)
		if (strcmp(*m, method) == 0)
			return true;
	return false;
}

/* Takes scheme and authority off, which then stands for Host. */
static bool
split_target(struct http_head *h, struct weir_str *path, struct weir_str target)
{
	static const char *const schemes[] = {"http://", "https://"};
	size_t n, i;

	for (i = 0; i < target.len; i++)
		if (target.data[i] <= ' ' || target.data[i] >= 0x7f ||
		    target.data[i] == '#')
			return false;
	*path = target;
	for (i = 0; i < 2; i++) {
		n = strlen(schemes[i]);
		if (target.len <= n ||
		    strncasecmp(target.data, schemes[i], n) != 0)
			continue;
		h->host = (struct weir_str){target.data + n, 0};
		while (n + h->host.len < target.len &&
		       strchr("/?", h->host.data[h->host.len]) == NULL)
			h->host.len++;
		n += h->host.len;
		*path = n < target.len ? (struct weir_str){target.data + n,
							   target.len - n}
				       : STR("/");
		return h->host.len > 0 && path->data[0] == '/';
	}
	return target.len > 0 && (target.data[0] == '/' || str_is(target, "*"));
}

struct http_fault
http_head_check(struct http_head *h, struct weir_str *path, const char *method,
		struct weir_str target, const char *version)
{
	bool old = strcmp(version, "HTTP/1.0") == 0;

	if (!method_is_known(method))
		fault(h, 501, "this method is not known here");
	if (h->hosts == 0 && !old)
		fault(h, 400, "a request must have a Host");
	if (!split_target(h, path, target))
		fault(h, 400,
		      "the request's target must be a path, percent-encoded");
	if (h->chunked && h->lengths > 0)
		fault(h, 400,
		      "Content-Length and Transfer-Encoding exclude another");
	if (h->chunked && old)
		fault(h, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (h->expect.len > 0 && !name_is(h->expect, "100-continue"))
		fault(h, 417, "no expectation but 100-continue is met");
	return h->fault;
}

/* ---- host and origin ----------------------------------------------------- */

/* Takes the port off: "[::1]:7070", "localhost:7070", "localhost". False when
 * it is none of these. */
static bool
host_name(struct weir_str *name, struct weir_str host)
{
	size_t n = 0;

	if (host.len > 0 && host.data[0] == '[') {
		while (n < host.len && host.data[n] != ']')
			n++;
		if (n++ == host.len)
			return false;
	} else {
		while (n < host.len && host.data[n] != ':')
			n++;
	}
	*name = (struct weir_str){host.data, n};
	if (n < host.len && host.data[n] != ':')
		return false;
	for (n++; n < host.len; n++)
		if (host.data[n] < '0' || host.data[n] > '9')
			return false;
	return name->len > 0;
}

static bool
is_loopback(struct weir_str name)
{
	char text[64];
	struct in_addr v4;
	struct in6_addr v6;

	if (name_is(name, "localhost") || name_is(name, "localhost."))
		return true;
	if (name.len >= sizeof(text))
		return false;
	if (name.data[0] == '[' && name.len > 2) {
		memcpy(text, name.data + 1, name.len - 2);
		text[name.len - 2] = '\0';
		return inet_pton(AF_INET6, text, &v6) == 1 &&
		       IN6_IS_ADDR_LOOPBACK(&v6);
	}
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return inet_pton(AF_INET, text, &v4) == 1 &&
	       ntohl(v4.s_addr) >> 24 == 127;
}

bool
http_head_host_is_ours(struct weir_str host, const char *names)
{
	struct weir_str name;

	if (!host_name(&name, host))
		return false;
	if (is_loopback(name))
		return true;
	while (names != NULL && *names != '\0') {
		size_t n = strcspn(names, ", ");

		if (n == name.len && strncasecmp(names, name.data, n) == 0)
			return true;
		names += n;
		names += strspn(names, ", ");
	}
	return false;
}

bool
http_head_origin_is_ours(struct weir_str origin, struct weir_str host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(schemes[i]);

		if (origin.len == n + host.len &&
		    strncasecmp(origin.data, schemes[i], n) == 0 &&
		    strncasecmp(origin.data + n, host.data, host.len) == 0)
			return true;
	}
	return false;
}
