/* SPDX-License-Identifier: MIT */
/*
 * Walking and decoding text that json_check has passed. Nothing here looks for
 * errors; a span that was not checked must not come here.
 */
#include "base/json.h"

#include "base/buf.h"
#include "base/json_text.h"
#include "base/str.h"

#include <string.h>

size_t
json_unit(char out[4], const char **at)
{
	const char *p = *at;

	if (*p != '\\') {
		out[0] = *p;
		*at = p + 1;
		return 1;
	}
	*at = p + 2;
	switch (p[1]) {
	case 'b':
		out[0] = '\b';
		return 1;
	case 'f':
		out[0] = '\f';
		return 1;
	case 'n':
		out[0] = '\n';
		return 1;
	case 'r':
		out[0] = '\r';
		return 1;
	case 't':
		out[0] = '\t';
		return 1;
	case 'u':
		break;
	default:
		out[0] = p[1];
		return 1;
	}
	uint32_t cp = (uint32_t)json_hex4(p + 2);
	*at = p + 6;
	if (cp >= 0xd800 && cp <= 0xdbff) {
		cp = 0x10000 + ((cp - 0xd800) << 10) +
		     ((uint32_t)json_hex4(p + 8) - 0xdc00);
		*at = p + 12;
	}
	return str_utf8_put(out, cp);
}

const char *
json_closing(const char *at, const char *end)
{
	for (;;) {
		at = json_quote(at, end);
		while (at < end && *at != '"' && *at != '\\')
			at++;
		if (at >= end || *at == '"')
			return at;
		at += 2;
	}
}

static bool
ends_word(char c)
{
	return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' ||
	       c == '\r' || c == '\t';
}

/* Behind the value that begins at at. */
static const char *
skip_value(const char *at, const char *end)
{
	unsigned depth = 0;

	while (at < end) {
		switch (*at) {
		case '"':
			at = json_closing(at + 1, end) + 1;
			break;
		case '{':
		case '[':
			depth++;
			at++;
			continue;
		case '}':
		case ']':
			depth--;
			at++;
			break;
		case ',':
		case ':':
		case ' ':
		case '\n':
		case '\r':
		case '\t':
			at++;
			continue;
		default: /* a number or a word */
			while (at < end && !ends_word(*at))
				at++;
			break;
		}
		if (depth == 0)
			return at;
	}
	return at;
}

enum weir_kind
json_kind(struct weir_str value)
{
	switch (value.len > 0 ? value.data[0] : 'n') {
	case '{':
		return WEIR_OBJECT;
	case '[':
		return WEIR_ARRAY;
	case '"':
		return WEIR_STRING;
	case 't':
	case 'f':
		return WEIR_BOOL;
	case 'n':
		return WEIR_NULL;
	default:
		return WEIR_NUMBER;
	}
}

void
json_iter_init(struct json_iter *it, struct weir_str container)
{
	it->at = container.data + 1;
	it->end = container.data + container.len - 1;
	it->object = container.data[0] == '{';
}

bool
json_iter_next(struct json_iter *it, struct weir_str *key,
	       struct weir_str *value)
{
	const char *at = json_skip_space(it->at, it->end);

	if (at < it->end && *at == ',')
		at = json_skip_space(at + 1, it->end);
	if (at >= it->end)
		return false;
	*key = (struct weir_str){NULL, 0};
	if (it->object) {
		const char *last = json_closing(at + 1, it->end) + 1;
		*key = (struct weir_str){at, (size_t)(last - at)};
		at = json_skip_space(last, it->end);
		at = json_skip_space(at + 1, it->end); /* the colon */
	}
	it->at = skip_value(at, it->end);
	*value = (struct weir_str){at, (size_t)(it->at - at)};
	return true;
}

bool
json_get(struct weir_str object, const char *name, struct weir_str *value)
{
	struct json_iter it;
	struct weir_str key, found;

	json_iter_init(&it, object);
	while (json_iter_next(&it, &key, &found)) {
		if (!json_string_is(key, name))
			continue;
		*value = found;
		return true;
	}
	return false;
}

void
json_get_text(char *out, size_t cap, struct weir_str object, const char *name)
{
	struct weir_str value;
	size_t n = 0;

	if (json_get(object, name, &value) && json_kind(value) == WEIR_STRING &&
	    value.len - 2 < cap)
		n = json_decode(out, value);
	out[n] = '\0';
}

uint64_t
json_get_u64(struct weir_str object, const char *name)
{
	struct weir_str value;
	uint64_t n = 0;

	if (json_get(object, name, &value))
		json_u64(&n, value);
	return n;
}

size_t
json_decode(char *out, struct weir_str raw)
{
	const char *at = raw.data + 1;
	const char *end = raw.data + raw.len - 1;
	char *to = out;

	while (at < end) {
		const char *esc = memchr(at, '\\', (size_t)(end - at));
		size_t n = (size_t)((esc != NULL ? esc : end) - at);
		char unit[4];
		memcpy(to, at, n);
		to += n;
		at += n;
		if (esc == NULL)
			break;
		n = json_unit(unit, &at);
		memcpy(to, unit, n);
		to += n;
	}
	return (size_t)(to - out);
}

int
json_decode_buf(struct buf *b, struct weir_str raw)
{
	int rc = buf_reserve(b, raw.len - 2);

	if (rc == 0 && raw.len > 2)
		b->len += json_decode(b->data + b->len, raw);
	return rc;
}

bool
json_string_is(struct weir_str raw, const char *s)
{
	const char *at = raw.data + 1;
	const char *end = raw.data + raw.len - 1;
	size_t left = strlen(s);

	if ((size_t)(end - at) == left && memcmp(at, s, left) == 0 &&
	    memchr(at, '\\', left) == NULL)
		return true;
	while (at < end) {
		char unit[4];
		if (*at != '\\' && *at != *s)
			return false;
		size_t n = json_unit(unit, &at);
		if (n > left || memcmp(unit, s, n) != 0)
			return false;
		s += n;
		left -= n;
	}
	return left == 0;
}

int
json_u64(uint64_t *out, struct weir_str raw)
{
	return str_u64(out, raw);
}

int
json_i64(int64_t *out, struct weir_str raw)
{
	bool minus = raw.len > 0 && raw.data[0] == '-';
	uint64_t v;

	if (minus) {
		raw.data++;
		raw.len--;
	}
	if (str_u64(&v, raw) != 0 || v > (uint64_t)INT64_MAX + minus)
		return -1;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}
