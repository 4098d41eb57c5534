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

static const struct {
	const char *name;
	enum schema_family family;
	uint32_t n; /* when none is given */
} names[] = {
	{"text", SCHEMA_TEXT, 0},
	{"varchar", SCHEMA_TEXT, 0},
	{"char", SCHEMA_TEXT, 1},
	{"boolean", SCHEMA_BOOLEAN, 0},
	{"smallint", SCHEMA_SMALLINT, 0},
	{"integer", SCHEMA_INTEGER, 0},
	{"bigint", SCHEMA_BIGINT, 0},
	{"numeric", SCHEMA_NUMERIC, 0},
	{"double precision", SCHEMA_DOUBLE, 0},
	{"real", SCHEMA_REAL, 0},
	{"date", SCHEMA_DATE, 0},
	{"time", SCHEMA_TIME, 6},
	{"timestamp", SCHEMA_TIMESTAMP, 6},
	{"timestamptz", SCHEMA_TIMESTAMPTZ, 6},
	{"uuid", SCHEMA_UUID, 0},
	{"bytea", SCHEMA_BYTES, 0},
};

struct schema_type
schema_type_of(const char *text)
{
	struct schema_type t = {.array = strstr(text, "[]") != NULL};
	size_t len = strcspn(text, "([");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == len &&
		    memcmp(names[i].name, text, len) == 0) {
			t.family = names[i].family;
			t.n = names[i].n;
		}
	if (text[len] == '(')
		(void)sscanf(text + len, "(%" SCNu32 ",%" SCNu32 ")", &t.n,
			     &t.scale);
	return t;
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
fits_numeric(struct weir_str v, const struct schema_type *t)
{
	struct decimal d;

	if (json_kind(v) != WEIR_NUMBER)
		return false;
	d = read_decimal(v);
	if (d.digits == 0)
		return true;
	if (t->n == 0)
		return d.top < 131072 && d.digits - 1 - d.top <= 16383;
	return d.top < (int64_t)t->n - t->scale &&
	       d.digits - 1 - d.top <= t->scale;
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

/* Are the decimals of a second no more than those, but for zeros? */
static bool
few_decimals(const char *text, uint32_t most)
{
	const char *p = strchr(text, '.');
	uint32_t n = 0, last = 0;

	for (p = p != NULL ? p + 1 : ""; *p >= '0' && *p <= '9'; p++) {
		n++;
		last = *p != '0' ? n : last;
	}
	return last <= most;
}

static bool
fits_time(struct weir_str v, uint32_t decimals)
{
	char text[TEXT_MAX + 1], full[TEXT_MAX + 32];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v))
		return false;
	snprintf(full, sizeof(full), "2000-01-01T%s%sZ", text,
		 n == 5 ? ":00" : "");
	return clock_parse(&us, str_of(full), &why) == 0 &&
	       few_decimals(text, decimals);
}

/* Without an offset: a column would drop it. */
static bool
fits_timestamp(struct weir_str v, uint32_t decimals)
{
	char text[TEXT_MAX + 32];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v))
		return false;
	memcpy(text + n, "Z", 2);
	return clock_parse(&us, str_of(text), &why) == 0 &&
	       few_decimals(text, decimals);
}

/* With one, of less than 16 hours. */
static bool
fits_timestamptz(struct weir_str v, uint32_t decimals)
{
	char text[TEXT_MAX + 1];
	const char *why;
	int64_t us;
	size_t n;

	if (!short_text(text, &n, v) ||
	    clock_parse(&us, (struct weir_str){text, n}, &why) != 0)
		return false;
	if (n > 6 && (text[n - 6] == '+' || text[n - 6] == '-') &&
	    memcmp(text + n - 5, "16", 2) >= 0)
		return false;
	return few_decimals(text, decimals);
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
	if ((most == 0 || v.len - 2 <= most) &&
	    memchr(p, '\\', v.len - 2) == NULL)
		return true;
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
fits_one(const struct schema_type *t, struct weir_str v)
{
	switch (t->family) {
	case SCHEMA_TEXT:
		return fits_text(v, t->n);
	case SCHEMA_BOOLEAN:
		return json_kind(v) == WEIR_BOOL;
	case SCHEMA_SMALLINT:
		return fits_whole(v, INT16_MIN, INT16_MAX);
	case SCHEMA_INTEGER:
		return fits_whole(v, INT32_MIN, INT32_MAX);
	case SCHEMA_BIGINT:
		return fits_whole(v, INT64_MIN, INT64_MAX);
	case SCHEMA_NUMERIC:
		return fits_numeric(v, t);
	case SCHEMA_DOUBLE:
		return fits_float(v, 308);
	case SCHEMA_REAL:
		return fits_float(v, 38);
	case SCHEMA_DATE:
		return fits_date(v);
	case SCHEMA_TIME:
		return fits_time(v, t->n);
	case SCHEMA_TIMESTAMP:
		return fits_timestamp(v, t->n);
	case SCHEMA_TIMESTAMPTZ:
		return fits_timestamptz(v, t->n);
	case SCHEMA_UUID:
		return fits_uuid(v);
	case SCHEMA_BYTES:
		return fits_bytes(v);
	case SCHEMA_ANY:
		break;
	}
	return true;
}

static bool
fits_array(const struct schema_type *t, struct weir_str v)
{
	struct weir_str key, element;
	struct json_iter it;

	if (json_kind(v) != WEIR_ARRAY)
		return false;
	json_iter_init(&it, v);
	while (json_iter_next(&it, &key, &element))
		if (json_kind(element) != WEIR_NULL && !fits_one(t, element))
			return false;
	return true;
}

bool
schema_type_fits(const struct schema_type *t, struct weir_str value)
{
	if (json_kind(value) == WEIR_NULL)
		return true;
	return t->array ? fits_array(t, value) : fits_one(t, value);
}

int
schema_type_read(const char *type, struct weir_str text)
{
	struct schema_type t = schema_type_of(type);
	struct weir_str value;
	bool json = json_check(text, &value, "value", NULL) == 0;

	if (!t.array) {
		switch (t.family) {
		case SCHEMA_TEXT:
		case SCHEMA_DATE:
		case SCHEMA_TIME:
		case SCHEMA_TIMESTAMP:
		case SCHEMA_TIMESTAMPTZ:
		case SCHEMA_UUID:
		case SCHEMA_BYTES:
			return 0;
		case SCHEMA_ANY:
			return json;
		default:
			break;
		}
	}
	return json && schema_type_fits(&t, value) ? 1 : -1;
}
