/* SPDX-License-Identifier: MIT */
#ifndef BASE_DIAG_INT_H
#define BASE_DIAG_INT_H

/* What diag.c (which messages), diag_form.c (how a line looks) and diag_out.c
 * (where it goes) share. */

#include "base/diag.h"

#include <stdint.h>

#define DIAG_TEXT_MAX	 4096u
#define DIAG_REQUEST_MAX 64u
#define DIAG_LINE_MAX	 (2u * DIAG_TEXT_MAX + 512u)

/* A copy of the settings that one line needs. */
struct diag_way {
	enum diag_target target;
	int fd;	     /* of all but syslog; the socket of that one */
	bool prefix; /* "<4>" first */
	bool json;
	char pattern[DIAG_FORMAT_MAX];
	char socket[108]; /* syslog's address */
};

struct diag_message {
	enum diag_level level;
	const char *area, *text, *request; /* safe to be shown */
};

extern const char *const diag_names[]; /* of the levels */

/* The present settings; reopens the file first when that was asked for. */
void diag_now(struct diag_way *way);
/* Is such a message shown? And how many alike in DIAG_SPAN_US; 0: any. */
#define DIAG_SPAN_US 10000000
bool diag_shows(unsigned *per_span, enum diag_level level, const char *area);

/* Counts a message; false when it is to be left out. */
bool diag_rate_take(unsigned per_span, enum diag_level level, const char *area,
		    const char *fmt, const char *text);
/* What was left out in a span that is over (with all: in any), once each;
 * false when there is no more. */
struct diag_left {
	enum diag_level level;
	uint64_t n;
	char area[DIAG_AREA_MAX];
	char like[100]; /* how the last one begins */
};
bool diag_rate_left(struct diag_left *out, bool all);

/* The line with its end; how many bytes, at most DIAG_LINE_MAX: the message is
 * cut where it would be more. */
size_t diag_form(char out[DIAG_LINE_MAX], const struct diag_way *way,
		 const struct diag_message *m);
/* What stands before the form: a priority, or syslog's header. */
#define DIAG_HEAD_MAX 64u
size_t diag_form_head(char out[DIAG_HEAD_MAX], const struct diag_way *way,
		      enum diag_level level);
/* NULL, or the first place of the pattern that can't be read. */
const char *diag_form_fault(const char *pattern);

/* One write, or one datagram for a line. */
void diag_out(const struct diag_way *way, const char *p, size_t n);
/* Is there room for a line? A reader that takes nothing is waited for, but not
 * again for a while; false counts a message as lost. */
bool diag_out_ready(const struct diag_way *way);
uint64_t diag_out_lost(void); /* since it was last asked for */

#endif
