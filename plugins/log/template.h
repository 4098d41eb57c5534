/* SPDX-License-Identifier: MIT */
#ifndef LOG_TEMPLATE_H
#define LOG_TEMPLATE_H

/*
 * A line's template: text with placeholders in braces; {{ and }} stand for a
 * brace. Values and text are written with their control characters escaped.
 */

#include "common/text.h"

struct template;

/* Reads a template (copied). NULL: no memory, or what is wrong with it was
 * added to wrong (all of it, joined by "; "), which may be NULL. */
struct template *template_new(const struct weir_sink_host *host,
			      const char *source, struct text *wrong);
void template_free(struct template *t);

/* Checks without keeping anything; says what is wrong in wrong. */
void template_check(const char *source, struct text *wrong);

/* Appends the line of a record. */
void template_put(struct text *out, const struct template *t,
		  const struct weir_sink_record *r);

#endif
