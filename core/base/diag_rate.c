/* SPDX-License-Identifier: MIT */
/*
 * The rate of messages that are alike: of one area and one text before its
 * values. A small table of those seen lately; where a place is needed the
 * longest seen goes, and what it left out is told first.
 */
#include "base/diag_int.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KINDS 64u

struct kind {
	const char *fmt; /* compared as a pointer; NULL: free */
	int64_t since;
	uint64_t taken;
	struct diag_left left;
};

/* Guards what follows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kind kinds[KINDS];
static uint64_t left_out; /* in all kinds */

/* The kind's place, else a free one, else the longest seen of those that left
 * nothing out, else NULL. */
static struct kind *
place_of(const char *area, const char *fmt)
{
	struct kind *best = NULL;

	for (struct kind *k = kinds; k < kinds + KINDS; k++) {
		if (k->fmt == fmt && strcmp(k->left.area, area) == 0)
			return k;
		if (k->left.n == 0 &&
		    (best == NULL ||
		     (best->fmt != NULL &&
		      (k->fmt == NULL || k->since < best->since))))
			best = k;
	}
	if (best != NULL)
		*best = (struct kind){.fmt = NULL};
	return best;
}

bool
diag_rate_take(unsigned per_span, enum diag_level level, const char *area,
	       const char *fmt, const char *text)
{
	int64_t at = clock_monotonic();
	bool admitted = true;
	struct kind *k;

	if (per_span == 0)
		return true;
	pthread_mutex_lock(&lock);
	k = place_of(area, fmt);
	if (k != NULL && (k->fmt == NULL || at - k->since >= DIAG_SPAN_US)) {
		k->fmt = fmt;
		k->since = at;
		k->taken = 0;
		k->left.level = level;
		snprintf(k->left.area, sizeof(k->left.area), "%s", area);
	}
	if (k != NULL && k->taken++ >= per_span) {
		admitted = false;
		k->left.n++;
		left_out++;
		snprintf(k->left.like, sizeof(k->left.like), "%s", text);
	}
	pthread_mutex_unlock(&lock);
	return admitted;
}

bool
diag_rate_left(struct diag_left *out, bool all)
{
	int64_t at = clock_monotonic();
	bool found = false;

	pthread_mutex_lock(&lock);
	for (struct kind *k = kinds;
	     left_out > 0 && !found && k < kinds + KINDS; k++) {
		if (k->left.n == 0 || (!all && at - k->since < DIAG_SPAN_US))
			continue;
		*out = k->left;
		left_out -= k->left.n;
		k->left.n = 0;
		found = true;
	}
	pthread_mutex_unlock(&lock);
	return found;
}
