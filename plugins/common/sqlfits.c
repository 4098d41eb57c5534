/* SPDX-License-Identifier: MIT */
/*
 * Whether a value fits a datatype without loss. Numbers are taken apart into
 * sign, digits and exponent; nothing is ever converted to a double.
 */
#include "common/sqltypes.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>

/* A decimal number: the digits without leading and trailing zeros times
 * 10^exponent; none when it is zero. */
struct decimal {
	bool negative, zero;
	const char *first, *last; /* first and last digit that is not 0; a
				   * point may stand between */
	long exponent;		  /* of the last digit */
	size_t ndigits;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct weir_str
trimmed(struct weir_str s)
{
	while (s.len > 0 && memchr(" \t\n\r\f\v", s.data[0], 6) != NULL) {
		s.data++;
		s.len--;
	}
	while (s.len > 0 && memchr(" \t\n\r\f\v", s.data[s.len - 1], 6) != NULL)
		s.len--;
	return s;
}

/* [+-]digits[.digits][e[+-]digits]; the exponent is held within +-10^8. */
static bool
read_exponent(long *out, const char *s, const char *end)
{
	bool minus = false;
	long e = 0;

	if (s < end && (*s == '+' || *s == '-'))
		minus = *s++ == '-';
	if (s == end)
		return false;
	for (; s < end; s++) {
		if (!is_digit(*s))
			return false;
		if (e < 100000000L)
			e = e * 10 + (*s - '0');
	}
	*out = minus ? -e : e;
	return true;
}

/* The digits from first to last, without the point between. */
static void
count_digits(struct decimal *d, const char *point)
{
	d->ndigits = (size_t)(d->last - d->first) + 1;
	if (point != NULL && point > d->first && point < d->last)
		d->ndigits--;
}

static bool
read_decimal(struct decimal *d, struct weir_str text)
{
	const char *s = text.data, *end = text.data + text.len, *point = NULL;
	long e = 0;
	size_t digits = 0;

	memset(d, 0, sizeof *d);
	if (s < end && (*s == '+' || *s == '-'))
		d->negative = *s++ == '-';
	for (; s < end && (is_digit(*s) || (*s == '.' && !point)); s++) {
		if (*s == '.') {
			point = s;
			continue;
		}
		digits++;
		if (*s != '0') {
			d->first = d->first ? d->first : s;
			d->last = s;
		}
	}
	const char *stop = s;
	if (digits == 0)
		return false;
	if (s < end && (*s == 'e' || *s == 'E')) {
		if (!read_exponent(&e, s + 1, end))
			return false;
		s = end;
	}
	d->zero = d->first == NULL;
	if (s != end)
		return false;
	if (d->zero)
		return true;
	count_digits(d, point);
	if (point == NULL)
		d->exponent = e + (stop - d->last - 1);
	else if (point > d->last)
		d->exponent = e + (point - d->last - 1);
	else
		d->exponent = e - (d->last - point);
	return true;
}

/* Decimal digits before the point: 10^(n-1) <= |d| < 10^n. */
static long
whole_digits(const struct decimal *d)
{
	return (long)d->ndigits + d->exponent;
}

static bool
whole_value(int64_t *out, const struct decimal *d)
{
	uint64_t v = 0, limit = (uint64_t)INT64_MAX + (d->negative ? 1 : 0);

	if (d->zero) {
		*out = 0;
		return true;
	}
	if (d->exponent < 0 || whole_digits(d) > 19)
		return false;
	for (const char *s = d->first; s <= d->last; s++) {
		if (*s != '.')
			v = v * 10 + (uint64_t)(*s - '0');
	}
	for (long i = 0; i < d->exponent; i++)
		v *= 10; /* at most 19 digits: fits 64 bits */
	if (v > limit)
		return false;
	*out = d->negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static void
say(char why[128], const char *what)
{
	snprintf(why, 128, "%s", what);
}

static bool
fits_integer(struct sqlvalue *out, const struct sqltype *t,
	     struct weir_str text, char why[128])
{
	struct decimal d;
	int64_t v, low = INT64_MIN, high = INT64_MAX;

	if (!read_decimal(&d, trimmed(text))) {
		say(why, "is not a whole number");
		return false;
	}
	if (!d.zero && d.exponent < 0) {
		say(why, "is not a whole number");
		return false;
	}
	if (t->family == SQL_SMALLINT) {
		low = INT16_MIN;
		high = INT16_MAX;
	} else if (t->family == SQL_INTEGER) {
		low = INT32_MIN;
		high = INT32_MAX;
	}
	if (!whole_value(&v, &d) || v < low || v > high) {
		snprintf(why, 128, "is out of the range %lld to %lld",
			 (long long)low, (long long)high);
		return false;
	}
	out->i = v;
	out->text.data = out->space;
	out->text.len = (size_t)snprintf(out->space, sizeof out->space, "%lld",
					 (long long)v);
	return true;
}

static bool
fits_numeric(struct sqlvalue *out, const struct sqltype *t,
	     struct weir_str text, char why[128])
{
	struct decimal d;

	out->text = trimmed(text);
	if (!read_decimal(&d, out->text)) {
		say(why, "is not a number");
		return false;
	}
	if (d.zero)
		return true;
	long before = whole_digits(&d), after = -d.exponent;
	if (before > 131072 || after > 16383) {
		say(why, "is out of the range of numeric");
		return false;
	}
	if (t->n < 0)
		return true;
	int scale = t->m < 0 ? 0 : t->m;
	if (after > scale) {
		snprintf(why, 128, "has more than %d decimals", scale);
		return false;
	}
	if (before > t->n - scale) {
		snprintf(why, 128, "has more than %d digits before the point",
			 t->n - scale);
		return false;
	}
	return true;
}

/* Compares the digits of d with those of limit. */
static bool
digits_above(const struct decimal *d, const char *limit)
{
	for (const char *s = d->first; s <= d->last; s++) {
		if (*s == '.')
			continue;
		if (*limit == '\0' || *s > *limit)
			return true;
		if (*s < *limit)
			return false;
		limit++;
	}
	return false;
}

static bool
fits_float(struct sqlvalue *out, const struct sqltype *t, struct weir_str text,
	   char why[128])
{
	struct decimal d;
	bool small = t->family == SQL_REAL;

	out->text = trimmed(text);
	if (!read_decimal(&d, out->text)) {
		say(why, "is not a number");
		return false;
	}
	if (d.zero)
		return true;
	long size = whole_digits(&d), top = small ? 39 : 309;
	if (size > top ||
	    (size == top && digits_above(&d, small ? "34028235677973366"
						   : "17976931348623158079")) ||
	    size < (small ? -36 : -306)) {
		say(why, small ? "is out of the range of real"
			       : "is out of the range of double precision");
		return false;
	}
	return true;
}

static bool
fits_boolean(struct sqlvalue *out, struct weir_str text, char why[128])
{
	static const char *const yes[] = {"true", "t", "yes", "y", "on", "1"};
	static const char *const no[] = {"false", "f", "no", "n", "off", "0"};
	struct weir_str s = trimmed(text);
	char low[8];

	if (s.len < sizeof low) {
		for (size_t i = 0; i < s.len; i++) {
			char c = s.data[i];
			low[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a'
							     : c);
		}
		low[s.len] = '\0';
		for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
			bool is = strcmp(low, yes[i]) == 0;
			if (!is && strcmp(low, no[i]) != 0)
				continue;
			out->i = is;
			out->text = text_of(is ? "true" : "false");
			return true;
		}
	}
	say(why, "is not a boolean");
	return false;
}

/* n digits as a number, or -1. */
static int
number_at(const char **s, const char *end, int n)
{
	int v = 0;

	if (end - *s < n)
		return -1;
	for (int i = 0; i < n; i++, (*s)++) {
		if (!is_digit(**s))
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool
char_at(const char **s, const char *end, char c)
{
	if (*s == end || **s != c)
		return false;
	(*s)++;
	return true;
}

/* YYYY-MM-DD, years 1 to 9999. */
static bool
read_date(const char **s, const char *end)
{
	static const int days[] = {31, 29, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	int y = number_at(s, end, 4), m, d;

	if (y < 1 || !char_at(s, end, '-'))
		return false;
	m = number_at(s, end, 2);
	if (m < 1 || m > 12 || !char_at(s, end, '-'))
		return false;
	d = number_at(s, end, 2);
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return d >= 1 && d <= days[m - 1] && (m != 2 || d < 29 || leap);
}

/* hh:mm[:ss[.fraction]]; *decimals gets the last place that is not 0. */
static bool
read_clock(const char **s, const char *end, int *decimals)
{
	int h = number_at(s, end, 2), sec = 0, place = 0;

	*decimals = 0;
	if (h < 0 || h > 23 || !char_at(s, end, ':'))
		return false;
	int m = number_at(s, end, 2);
	if (m < 0 || m > 59)
		return false;
	if (!char_at(s, end, ':'))
		return true;
	sec = number_at(s, end, 2);
	if (sec < 0 || sec > 59)
		return false;
	if (!char_at(s, end, '.'))
		return true;
	for (; *s < end && is_digit(**s); (*s)++) {
		if (place < 1000)
			place++;
		if (**s != '0')
			*decimals = place;
	}
	return place > 0;
}

/* Z, +hh, +hhmm, +hh:mm; *there says whether one was. */
static bool
read_offset(const char **s, const char *end, bool *there)
{
	while (*s < end && **s == ' ')
		(*s)++;
	*there = *s < end;
	if (!*there)
		return true;
	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		return *s == end;
	}
	if (**s != '+' && **s != '-')
		return false;
	(*s)++;
	int h = number_at(s, end, 2), m = 0;
	if (*s < end) {
		(void)char_at(s, end, ':');
		m = number_at(s, end, 2);
	}
	return h >= 0 && h <= 15 && m >= 0 && m <= 59 && *s == end;
}

static bool
fits_time(struct sqlvalue *out, const struct sqltype *t, struct weir_str text,
	  char why[128])
{
	out->text = trimmed(text);
	const char *s = out->text.data, *end = s + out->text.len;
	int decimals = 0;
	bool offset = false;

	if (!read_date(&s, end))
		goto no;
	if (t->family == SQL_DATE) {
		if (s == end)
			return true;
		goto no;
	}
	if (s < end) {
		if (*s != 'T' && *s != 't' && *s != ' ')
			goto no;
		s++;
		if (!read_clock(&s, end, &decimals) ||
		    !read_offset(&s, end, &offset))
			goto no;
	}
	if (offset && t->family == SQL_TIMESTAMP) {
		say(why, "has a time zone, which timestamp would drop");
		return false;
	}
	if (decimals > (t->n < 0 ? 6 : t->n)) {
		snprintf(why, 128, "has more than %d decimals of a second",
			 t->n < 0 ? 6 : t->n);
		return false;
	}
	return true;
no:
	say(why, t->family == SQL_DATE
			 ? "is not a date (YYYY-MM-DD)"
			 : "is not a time (YYYY-MM-DDThh:mm:ss, with Z or an "
			   "offset)");
	return false;
}

/* 8-4-4-4-12 hex digits, or 32 of them. */
static bool
fits_uuid(struct sqlvalue *out, struct weir_str text, char why[128])
{
	struct weir_str s = trimmed(text);
	bool ok = s.len == 36 || s.len == 32;

	for (size_t i = 0; ok && i < s.len; i++) {
		char c = s.data[i];
		if (s.len == 36 && (i == 8 || i == 13 || i == 18 || i == 23))
			ok = c == '-';
		else
			ok = is_digit(c) || (c >= 'a' && c <= 'f') ||
			     (c >= 'A' && c <= 'F');
	}
	if (!ok)
		say(why, "is not a uuid");
	out->text = s;
	return ok;
}

static bool
fits_varchar(struct sqlvalue *out, const struct sqltype *t,
	     struct weir_str text, char why[128])
{
	size_t points = 0;

	out->text = text;
	for (size_t i = 0; i < text.len; i++)
		points += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	if (t->n < 0 || points <= (size_t)t->n)
		return true;
	snprintf(why, 128, "is longer than %d characters", t->n);
	return false;
}

bool
sqltype_fits(struct sqlvalue *out, const struct sqltype *t, enum weir_kind kind,
	     struct weir_str text, char why[128])
{
	out->text = text;
	out->i = 0;
	if (t->array) {
		if (kind == WEIR_ARRAY || kind == WEIR_STRING)
			return true;
		say(why, "is not an array");
		return false;
	}
	switch (t->family) {
	case SQL_VARCHAR:
		return fits_varchar(out, t, text, why);
	case SQL_BOOLEAN:
		return fits_boolean(out, text, why);
	case SQL_SMALLINT:
	case SQL_INTEGER:
	case SQL_BIGINT:
		return fits_integer(out, t, text, why);
	case SQL_NUMERIC:
		return fits_numeric(out, t, text, why);
	case SQL_REAL:
	case SQL_DOUBLE:
		return fits_float(out, t, text, why);
	case SQL_DATE:
	case SQL_TIMESTAMP:
	case SQL_TIMESTAMPTZ:
		return fits_time(out, t, text, why);
	case SQL_UUID:
		return fits_uuid(out, text, why);
	case SQL_TEXT:
	case SQL_JSON:
	case SQL_JSONB:
	case SQL_OTHER:
		break;
	}
	return true;
}

bool
sqltype_plain_int(int64_t *out, struct weir_str raw)
{
	struct decimal d;
	size_t sign = raw.len > 0 && raw.data[0] == '-';

	if (raw.len == sign || raw.len > 20)
		return false;
	for (size_t i = sign; i < raw.len; i++) {
		if (!is_digit(raw.data[i]))
			return false;
	}
	if (raw.data[sign] == '0' && raw.len > 1)
		return false; /* -0 */
	return read_decimal(&d, raw) && whole_value(out, &d);
}

bool
sqltype_numeric_same(struct weir_str raw)
{
	const char *point = memchr(raw.data, '.', raw.len);
	struct decimal d;

	if (memchr(raw.data, 'e', raw.len) != NULL ||
	    memchr(raw.data, 'E', raw.len) != NULL || !read_decimal(&d, raw) ||
	    (d.zero && d.negative))
		return false;
	size_t before = point ? (size_t)(point - raw.data) : raw.len;
	return before <= 131072 && raw.len - before <= 16384;
}
