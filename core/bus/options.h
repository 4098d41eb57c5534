/* SPDX-License-Identifier: MIT */
#ifndef BUS_OPTIONS_H
#define BUS_OPTIONS_H

/*
 * A plugin's option table: is the table sound, is a value of the right type.
 * Used by the loader, sinkconf and the command line's help.
 */

#include <stdbool.h>
#include <weir/sink.h>

/* NULL, or what is wrong with the table (static text). A NULL table is an
 * empty one. */
const char *options_fault(const struct weir_sink_option *table);

/* The row of a name, or NULL. */
const struct weir_sink_option *options_find(
	const struct weir_sink_option *table, const char *name);

/* The name nearest to one that is not there, or NULL. */
const char *options_nearest(const struct weir_sink_option *table,
			    const char *name);

/* Checks the value's type; a PATH needs only not be empty. */
int options_check(const struct weir_sink_option *o, const char *value,
		  struct weir_err *err);

/* "10", "250ms", "5s", "2m", "1h" (no unit: seconds) in microseconds; -1 when
 * it is anything else or does not fit. */
int64_t options_duration(const char *value);

/* The placeholder of a value in help: arg, or a word for the type. */
const char *options_arg(const struct weir_sink_option *o);

#endif
