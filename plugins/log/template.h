/* SPDX-License-Identifier: MIT */
#ifndef LOG_TEMPLATE_H
#define LOG_TEMPLATE_H

/*
 * A line's template: text with placeholders in braces; {{ and }} stand for a
 * brace. Values and text are written with their control characters escaped.
 */

#include "common/text.h"

struct template;

/* All that is wrong with a template, joined by "; "; empty: nothing is. */
struct template_wrong {
	char text[1000];
	size_t len;
};

/* Needs no host: settings are checked without one. */
void template_check(struct template_wrong *wrong, const char *source);

/* Does the template show a field of the state? */
bool template_wants_state(const char *source);

/* Reads a template that passed the check (it is copied); NULL: no memory. */
struct template *template_new(const struct weir_sink_host *host,
			      const char *source);
void template_free(struct template *t);

/* Appends the line of a record. */
void template_put(struct text *out, const struct template *t,
		  const struct weir_sink_record *r);

#endif
