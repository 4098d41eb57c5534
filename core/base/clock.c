/* SPDX-License-Identifier: MIT */
/*
 * Days are counted by the civil calendar rolled back without a break
 * (proleptic Gregorian), in eras of 400 years that begin on 1 March, so that
 * the leap day is the last day of its year.
 */
#include "base/clock.h"

#include "base/os.h"

#include <stdbool.h>

#define SECOND_US  1000000LL
#define DAY_S	   86400LL
#define ERA_DAYS   146097LL
#define EPOCH_DAYS 719468LL /* from 0000-03-01 to 1970-01-01 */

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	if (os()->clock_gettime(id, &ts) != 0)
		return 0;
	return (int64_t)ts.tv_sec * SECOND_US + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t
clock_coarse(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

/* year 0 to 9999, month 1 to 12; since 1970-01-01. */
static int64_t
days_of(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = (y >= 0 ? y : y - 399) / 400;
	int of_era = y - era * 400;
	int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t days = of_era * 365LL + of_era / 4 - of_era / 100 + of_year;

	return era * ERA_DAYS + days - EPOCH_DAYS;
}

static void
civil_of(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + EPOCH_DAYS; /* never negative from year 1 on */
	int64_t era = z / ERA_DAYS;
	int64_t doe = z % ERA_DAYS;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(era * 400 + yoe + (*month <= 2));
}

static char *
put_two(char *out, unsigned v, char behind)
{
	out[0] = (char)('0' + v / 10);
	out[1] = (char)('0' + v % 10);
	out[2] = behind;
	return out + 3;
}

void
clock_text(char out[28], int64_t us)
{
	int year, month, day;

	us = us < CLOCK_MIN_US ? CLOCK_MIN_US : us;
	us = us > CLOCK_MAX_US ? CLOCK_MAX_US : us;
	int64_t since = us - CLOCK_MIN_US;
	unsigned fraction = (unsigned)(since % SECOND_US);
	unsigned second = (unsigned)(since / SECOND_US % DAY_S);
	int64_t first = CLOCK_MIN_US / SECOND_US / DAY_S;
	civil_of(first + since / SECOND_US / DAY_S, &year, &month, &day);
	put_two(out, (unsigned)year / 100, '\0');
	out = put_two(out + 2, (unsigned)year % 100, '-');
	out = put_two(out, (unsigned)month, '-');
	out = put_two(out, (unsigned)day, 'T');
	out = put_two(out, second / 3600, ':');
	out = put_two(out, second / 60 % 60, ':');
	out = put_two(out, second % 60, '.');
	put_two(out, fraction / 10000, '\0');
	put_two(out + 2, fraction / 100 % 100, '\0');
	out = put_two(out + 4, fraction % 100, 'Z');
	*out = '\0';
}

/* ---- parsing ------------------------------------------------------------ */

struct reader {
	const char *at, *end;
};

static bool
take_number(struct reader *r, int digits, int *out)
{
	int v = 0;

	if (r->end - r->at < digits)
		return false;
	for (int i = 0; i < digits; i++, r->at++) {
		if (*r->at < '0' || *r->at > '9')
			return false;
		v = v * 10 + (*r->at - '0');
	}
	*out = v;
	return true;
}

static bool
take_char(struct reader *r, const char *any)
{
	for (; r->at < r->end && *any != '\0'; any++) {
		if (*r->at == *any) {
			r->at++;
			return true;
		}
	}
	return false;
}

static int
days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static const char *
take_day(struct reader *r, int64_t *days)
{
	int year, month, day;

	if (!take_number(r, 4, &year) || !take_char(r, "-") ||
	    !take_number(r, 2, &month) || !take_char(r, "-") ||
	    !take_number(r, 2, &day))
		return "expected a day as YYYY-MM-DD";
	if (month < 1 || month > 12)
		return "the month is not 01 to 12";
	if (day < 1 || day > days_in(year, month))
		return "the month has no such day";
	*days = days_of(year, month, day);
	return NULL;
}

static const char *
take_time(struct reader *r, int64_t *us)
{
	int hour, minute, second;
	int64_t fraction = 0;
	int digits = 0;

	if (!take_number(r, 2, &hour) || !take_char(r, ":") ||
	    !take_number(r, 2, &minute) || !take_char(r, ":") ||
	    !take_number(r, 2, &second))
		return "expected a time as HH:MM:SS";
	if (hour > 23 || minute > 59)
		return "the hour is not 00 to 23 or the minute not 00 to 59";
	if (second > 59)
		return "the second is not 00 to 59";
	if (take_char(r, ".")) {
		int v;
		while (take_number(r, 1, &v)) {
			if (++digits > 9)
				return "more than nine digits of a second";
			if (digits <= 6)
				fraction = fraction * 10 + v;
		}
		if (digits == 0)
			return "expected digits behind the point";
	}
	for (; digits < 6; digits++)
		fraction *= 10;
	*us = (hour * 3600LL + minute * 60 + second) * SECOND_US + fraction;
	return NULL;
}

static const char *
take_offset(struct reader *r, int64_t *seconds)
{
	int hour, minute;

	*seconds = 0;
	if (take_char(r, "Zz"))
		return NULL;
	bool minus = r->at < r->end && *r->at == '-';
	if (!take_char(r, "+-"))
		return "expected Z or an offset such as +02:00 at its end";
	if (!take_number(r, 2, &hour) || !take_char(r, ":") ||
	    !take_number(r, 2, &minute))
		return "expected an offset as +HH:MM";
	if (hour > 23 || minute > 59)
		return "the offset is not within 23:59";
	*seconds = (hour * 60 + minute) * 60;
	if (minus)
		*seconds = -*seconds;
	return NULL;
}

int
clock_parse(int64_t *us, struct weir_str s, const char **why)
{
	struct reader r = {s.data, s.data + s.len};
	int64_t days, of_day, offset;
	const char *bad = take_day(&r, &days);

	if (bad == NULL && !take_char(&r, "Tt "))
		bad = "expected T between day and time";
	if (bad == NULL)
		bad = take_time(&r, &of_day);
	if (bad == NULL)
		bad = take_offset(&r, &offset);
	if (bad == NULL && r.at != r.end)
		bad = "unexpected text behind the time";
	if (bad == NULL) {
		int64_t t = (days * DAY_S - offset) * SECOND_US + of_day;
		if (t >= CLOCK_MIN_US && t <= CLOCK_MAX_US) {
			*us = t;
			return 0;
		}
		bad = "the time is not within the years 1 to 9999";
	}
	if (why != NULL)
		*why = bad;
	return -1;
}
