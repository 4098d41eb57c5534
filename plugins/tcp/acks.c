/* SPDX-License-Identifier: MIT */
#include "acks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* 1 to 20 digits without a leading zero. */
static bool
read_number(uint64_t *out, const char *p, size_t n)
{
	uint64_t v = 0;

	if (n == 0 || n > 20 || (n > 1 && p[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned char)p[i] - (unsigned)'0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

static bool
take_line(struct acks *a, char wrong[128])
{
	uint64_t n;

	if (a->n > 0 && a->line[a->n - 1] == '\r')
		a->n--;
	if (!read_number(&n, a->line, a->n)) {
		(void)snprintf(wrong, 128,
			       "sent back a line that is no sequence");
		return false;
	}
	a->n = 0;
	if (n > a->sent && n > a->highest) {
		(void)snprintf(wrong, 128,
			       "acknowledged sequence %" PRIu64
			       ", which it was not sent",
			       n);
		return false;
	}
	if (n <= a->sent && n > a->upto)
		a->upto = n;
	return true;
}

bool
acks_take(struct acks *a, const char *p, size_t n, char wrong[128])
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			if (!take_line(a, wrong))
				return false;
			continue;
		}
		if (a->n == sizeof(a->line)) {
			(void)snprintf(wrong, 128,
				       "sent back a line that is no sequence");
			return false;
		}
		a->line[a->n++] = p[i];
	}
	return true;
}
