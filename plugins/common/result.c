/* SPDX-License-Identifier: MIT */
#include "common/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cuts a text that filled its space at a whole code point. */
static void
cut(char *s, size_t cap, int wanted)
{
	if (wanted < 0 || (size_t)wanted < cap)
		return;
	size_t n = cap - 1;
	while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && (unsigned char)s[n - 1] >= 0xc0)
		n--;
	s[n] = '\0';
}

int
result_set(struct weir_sink_result *res, enum weir_sink_class class,
	   const char *code, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cut(res->message, sizeof res->message,
	    vsnprintf(res->message, sizeof res->message, fmt, ap));
	va_end(ap);
	cut(res->hint, sizeof res->hint,
	    snprintf(res->hint, sizeof res->hint, "%s", hint ? hint : ""));
	snprintf(res->code, sizeof res->code, "%s", code ? code : "");
	return (int)class;
}

int
result_nomem(struct weir_sink_result *res)
{
	return result_set(res, WEIR_SINK_RETRY, "ENOMEM", NULL,
			  "no memory for this batch");
}

/* A value for a message: at most 60 bytes, nothing that could disturb. */
static void
show_value(char out[80], struct weir_str v)
{
	size_t n = v.len > 60 ? 60 : v.len, at = 0;

	while (n < v.len && n > 0 && ((unsigned char)v.data[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)v.data[i];
		out[at++] = (c < 0x20 || c == 0x7f) ? '?' : (char)c;
	}
	if (n < v.len) {
		memcpy(out + at, "...", 3);
		at += 3;
	}
	out[at] = '\0';
}

int
result_bad_value(struct weir_sink_result *res,
		 const struct weir_sink_record *rec, struct weir_str field,
		 const char *column, const char *type, struct weir_str value,
		 const char *why)
{
	char shown[80];

	show_value(shown, value);
	res->bad_sequence = rec->sequence;
	cut(res->column, sizeof res->column,
	    snprintf(res->column, sizeof res->column, "%s", column));
	result_set(res, WEIR_SINK_REJECT, "22000",
		   "mend the value with a later event, or map the field to a "
		   "datatype that takes it (weir plugin map), then weir sink "
		   "dead-letters NAME retry",
		   "record %llu (%.*s %.*s version %llu): field \"%.*s\" of "
		   "column %s (%s): the value %s %s",
		   (unsigned long long)rec->sequence,
		   (int)rec->aggregate_type.len, rec->aggregate_type.data,
		   (int)rec->aggregate_id.len, rec->aggregate_id.data,
		   (unsigned long long)rec->version, (int)field.len, field.data,
		   column, type, shown, why);
	return WEIR_SINK_REJECT;
}

const char *
setting_get(const struct weir_sink_open *o, const char *name)
{
	for (size_t i = 0; i < o->nsettings; i++) {
		if (strcmp(o->settings[i].name, name) == 0)
			return o->settings[i].value;
	}
	return NULL;
}

bool
setting_bool(const struct weir_sink_open *o, const char *name)
{
	const char *v = setting_get(o, name);

	return v != NULL && strcmp(v, "true") == 0;
}

uint64_t
setting_u64(const struct weir_sink_open *o, const char *name, uint64_t dflt)
{
	const char *v = setting_get(o, name);

	return v != NULL ? (uint64_t)strtoull(v, NULL, 10) : dflt;
}
