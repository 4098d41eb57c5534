/* SPDX-License-Identifier: MIT */
#ifndef COMMON_RESULT_H
#define COMMON_RESULT_H

/* Filling a struct weir_sink_result, and reading settings. */

#include <stdbool.h>
#include <weir/sink.h>

/* Sets message and hint (NULL: none; a literal without %) and returns class.
 * Texts are cut at whole code points. */
int result_set(struct weir_sink_result *res, enum weir_sink_class class,
	       const char *code, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
int result_nomem(struct weir_sink_result *res);

/* REJECT of a record for a value: names column and value (cut to a readable
 * length, control characters shown as '?'). */
int result_bad_value(struct weir_sink_result *res,
		     const struct weir_sink_record *rec, struct weir_str field,
		     const char *column, const char *type,
		     struct weir_str value, const char *why);

/* The value of a setting, or NULL. */
const char *setting_get(const struct weir_sink_open *o, const char *name);
bool setting_bool(const struct weir_sink_open *o, const char *name);
uint64_t setting_u64(const struct weir_sink_open *o, const char *name,
		     uint64_t dflt);

#endif
