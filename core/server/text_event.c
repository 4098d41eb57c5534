/* SPDX-License-Identifier: MIT */
/*
 * Event<T>id<T>timestamp<T>tags<T>data: a record as a line. What the text
 * protocol published is sent as it came. Records that came by other ways may
 * hold line ends: between JSON tokens they become spaces, in text they are
 * written as \n and \r; bytes go as {"$base64":"..."}.
 */
#include "server/text_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

_Static_assert(TEXT_EVENT_HEAD > 64 + WEIR_TAGS_MAX * (WEIR_NAME_MAX + 1),
	       "the head of an event does not fit");

static size_t
count_ends(struct weir_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.data[i] == '\n' || s.data[i] == '\r';
	return n;
}

static struct weir_str
without_ends(char *to, struct weir_str s, bool json)
{
	char *at = to;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (c != '\n' && c != '\r') {
			*at++ = c;
		} else if (json) {
			*at++ = ' ';
		} else {
			*at++ = '\\';
			*at++ = c == '\n' ? 'n' : 'r';
		}
	}
	return (struct weir_str){to, (size_t)(at - to)};
}

static struct weir_str
as_base64(char *to, struct weir_str s)
{
	static const char open[] = "{\"$base64\":\"", shut[] = "\"}";
	size_t n = sizeof(open) - 1, len = str_base64_len(s.len);

	memcpy(to, open, n);
	str_base64(to + n, s.data, s.len);
	memcpy(to + n + len, shut, sizeof(shut) - 1);
	return (struct weir_str){to, n + len + sizeof(shut) - 1};
}

static int
data_of(struct weir_str *tail, char **own, const struct record_view *v)
{
	bool bytes = v->content == WEIR_CONTENT_BYTES;
	size_t ends = bytes ? 0 : count_ends(v->payload);
	size_t n = bytes ? str_base64_len(v->payload.len) + 20
			 : v->payload.len + ends;

	*own = NULL;
	*tail = v->payload;
	if (!bytes && ends == 0)
		return 0;
	*own = mem_resize(NULL, n);
	if (*own == NULL)
		return WEIR_ENOMEM;
	*tail = bytes ? as_base64(*own, v->payload)
		      : without_ends(*own, v->payload,
				     v->content == WEIR_CONTENT_JSON);
	return 0;
}

int
text_event(char *out, size_t *n, struct weir_str *tail, char **own,
	   const struct record_view *v)
{
	int64_t ms = v->created_at / 1000 - (v->created_at % 1000 < 0);
	int len = snprintf(out, TEXT_EVENT_HEAD, "Event\t%" PRIu64 "\t%" PRId64,
			   v->version, ms);
	char *at = out + len;

	must(len > 0);
	*at++ = '\t';
	for (size_t i = 0; i < v->ntags; i++) {
		if (i > 0)
			*at++ = ' ';
		memcpy(at, v->tags[i].data, v->tags[i].len);
		at += v->tags[i].len;
	}
	*at++ = '\t';
	*n = (size_t)(at - out);
	return data_of(tail, own, v);
}
