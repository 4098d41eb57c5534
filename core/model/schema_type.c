/* SPDX-License-Identifier: MIT */
/*
 * Does a JSON value fit a declared type? A value that does is taken by every
 * sink's column of that type as it is: nothing is rounded or cut. Numbers are
 * looked at as text. null fits every type.
 */
#include "model/schema_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"

#define TEXT_MAX 64u /* of a time or a UUID */

struct numbers {
	uint64_t n[2];
	int count;
};

/* "numeric(10,2)" as its name's length and numbers. */
static size_t
split(const char *type, struct numbers *out)
{
	size_t n = strcspn(type, "([");

	out->count = 0;
	if (type[n] == '(')
		out->count = sscanf(type + n, "(%" SCNu64 ",%" SCNu64 ")",
				    &out->n[0], &out->n[1]);
	return n;
}

static bool
is_named(const char *type, size_t n, const char *name)
{
	return strlen(name) == n && memcmp(type, name, n) == 0;
}

/* ---- numbers ------------------------------------------------------------- */

static bool
fits_whole(struct weir_str v, int64_t low, int64_t high)
{
	int64_t n;

	return json_kind(v) == WEIR_NUMBER && json_i64(&n, v) == 0 &&
	       n >= low && n <= high;
}

/* A number as digits d1 d2 ... dn, neither d1 nor dn 0, whose first stands for
 * 10^top; digits is 0 for zero. */
struct decimal {
	int64_t top, digits;
};

static struct decimal
read_decimal(struct weir_str v)
{
	int64_t exponent = 0, at = 0, point = -1, first = -1, last = -1;
	const char *p = v.data, *end = v.data + v.len;
	bool negative;

	for (p += *p == '-'; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			point = at;
			continue;
		}
		if (*p != '0') {
			first = first < 0 ? at : first;
			last = at;
		}
		at++;
	}
	if (p < end) {
		p++;
		negative = *p == '-';
		for (p += *p == '-' || *p == '+'; p < end; p++)
			if (exponent < 100000000)
				exponent = exponent * 10 + (*p - '0');
		exponent = negative ? -exponent : exponent;
	}
	if (first < 0)
		return (struct decimal){0, 0};
	point = point < 0 ? at : point;
	return (struct decimal){point - 1 - first + exponent, last - first + 1};
}

/* numeric(p,s): at most s digits behind the point, p - s before it. */
static bool
fits_numeric(struct weir_str v, const struct numbers *n)
{
	struct decimal d;
	int64_t scale;

	if (json_kind(v) != WEIR_NUMBER)
		return false;
	d = read_decimal(v);
	if (d.digits == 0)
		return true;
	if (n->count == 0)
		return d.top < 131072 && d.digits - 1 - d.top <= 16383;
	scale = n->count == 2 ? (int64_t)n->n[1] : 0;
	return d.top < (int64_t)n->n[0] - scale &&
	       d.digits - 1 - d.top <= scale;
}

/* Within the range of a double or a float, about. */
static bool
fits_float(struct weir_str v, int64_t most)
{
	struct decimal d;

	if (json_kind(v) != WEIR_NUMBER)
		return false;
	d = read_decimal(v);
	return d.digits == 0 || (d.top < most && d.top > -most);
}

/* ---- strings ------------------------------------------------------------- */

/* The decoded text of a short string. */
static bool
short_text(char out[TEXT_MAX + 1], size_t *n, struct weir_str v)
{
	if (json_kind(v) != WEIR_STRING || v.len > TEXT_MAX)
		return false;
	*n = json_decode(out, v);
	out[*n] = '\0';
	return true;
}

static bool
fits_date(struct weir_str v)
{
	char text[TEXT_MAX + 32];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v) || n != 10)
		return false;
	memcpy(text + n, "T00:00:00Z", 11);
	return clock_parse(&us, str_of(text), &why) == 0;
}

static bool
fits_time(struct weir_str v)
{
	char text[TEXT_MAX + 1], full[TEXT_MAX + 32];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v))
		return false;
	snprintf(full, sizeof(full), "2000-01-01T%s%sZ", text,
		 n == 5 ? ":00" : "");
	return clock_parse(&us, str_of(full), &why) == 0;
}

/* With an offset, or without one unless it is wanted. */
static bool
fits_timestamp(struct weir_str v, bool offset)
{
	char text[TEXT_MAX + 32];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v))
		return false;
	if (clock_parse(&us, (struct weir_str){text, n}, &why) == 0)
		return true;
	memcpy(text + n, "Z", 2);
	return !offset && clock_parse(&us, str_of(text), &why) == 0;
}

static bool
fits_uuid(struct weir_str v)
{
	char text[TEXT_MAX + 1];
	uint8_t id[16];
	size_t n;

	return short_text(text, &n, v) &&
	       uuid_parse(id, (struct weir_str){text, n}) == 0;
}

/* A string of at most so many code points (0: any). Columns hold no NUL. */
static bool
fits_text(struct weir_str v, uint64_t most)
{
	uint64_t n = 0;
	const char *p = v.data + 1, *end = v.data + v.len - 1;

	if (json_kind(v) != WEIR_STRING)
		return false;
	for (; p < end; p++) {
		if (*p != '\\') {
			n += ((unsigned char)*p & 0xc0) != 0x80;
			continue;
		}
		p++;
		if (*p == 'u') {
			if (memcmp(p + 1, "0000", 4) == 0)
				return false;
			/* The second half of a pair is none of its own. */
			n += !((p[1] == 'd' || p[1] == 'D') &&
			       strchr("cdefCDEF", p[2]) != NULL);
			p += 4;
		} else {
			n++;
		}
	}
	return most == 0 || n <= most;
}

static bool
fits_bytes(struct weir_str v)
{
	struct weir_str raw;

	return json_kind(v) == WEIR_STRING ||
	       (json_kind(v) == WEIR_OBJECT && json_get(v, "$base64", &raw));
}

/* ---- all ----------------------------------------------------------------- */

static bool
fits_one(const char *type, size_t len, const struct numbers *n,
	 struct weir_str v)
{
	if (is_named(type, len, "text"))
		return fits_text(v, 0);
	if (is_named(type, len, "boolean"))
		return json_kind(v) == WEIR_BOOL;
	if (is_named(type, len, "bigint"))
		return fits_whole(v, INT64_MIN, INT64_MAX);
	if (is_named(type, len, "integer"))
		return fits_whole(v, INT32_MIN, INT32_MAX);
	if (is_named(type, len, "smallint"))
		return fits_whole(v, INT16_MIN, INT16_MAX);
	if (is_named(type, len, "numeric"))
		return fits_numeric(v, n);
	if (is_named(type, len, "double precision"))
		return fits_float(v, 308);
	if (is_named(type, len, "real"))
		return fits_float(v, 38);
	if (is_named(type, len, "varchar"))
		return fits_text(v, n->count > 0 ? n->n[0] : 0);
	if (is_named(type, len, "char"))
		return fits_text(v, n->count > 0 ? n->n[0] : 1);
	if (is_named(type, len, "date"))
		return fits_date(v);
	if (is_named(type, len, "time"))
		return fits_time(v);
	if (is_named(type, len, "timestamp"))
		return fits_timestamp(v, false);
	if (is_named(type, len, "timestamptz"))
		return fits_timestamp(v, true);
	if (is_named(type, len, "uuid"))
		return fits_uuid(v);
	if (is_named(type, len, "bytea"))
		return fits_bytes(v);
	return true; /* json, jsonb */
}

static bool
fits_array(const char *type, size_t len, const struct numbers *n,
	   struct weir_str v)
{
	struct weir_str key, element;
	struct json_iter it;

	if (json_kind(v) != WEIR_ARRAY)
		return false;
	json_iter_init(&it, v);
	while (json_iter_next(&it, &key, &element))
		if (json_kind(element) != WEIR_NULL &&
		    !fits_one(type, len, n, element))
			return false;
	return true;
}

bool
schema_type_fits(const char *type, struct weir_str value)
{
	struct numbers n;
	size_t len = split(type, &n);

	if (type[0] == '\0' || json_kind(value) == WEIR_NULL)
		return true;
	return strstr(type, "[]") != NULL ? fits_array(type, len, &n, value)
					  : fits_one(type, len, &n, value);
}

int
schema_type_read(const char *type, struct weir_str text)
{
	static const char *const strings[] = {
		"text",	     "varchar",	    "char", "date", "time",
		"timestamp", "timestamptz", "uuid", "bytea"};
	struct numbers n;
	size_t len = split(type, &n);
	struct weir_str value;
	bool json = json_check(text, &value, "value", NULL) == 0;

	if (strstr(type, "[]") == NULL) {
		for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]);
		     i++)
			if (is_named(type, len, strings[i]))
				return 0;
		if (strncmp(type, "json", 4) == 0)
			return json;
	}
	return json && schema_type_fits(type, value) ? 1 : -1;
}
