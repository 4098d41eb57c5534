/* SPDX-License-Identifier: MIT */
#ifndef BUS_HOST_H
#define BUS_HOST_H

/*
 * The services a plugin is given at open (weir/sink.h), and the masking of
 * secrets in whatever comes back from it. One per opened sink; used by the
 * thread that calls the plugin.
 */

#include <weir/sink.h>

struct host;
struct mapping;
struct policy;
struct pulse;

/* sink, plugin and mapping (may be NULL) are borrowed until host_free. */
struct host *host_new(const char *sink, const struct weir_sink_plugin *plugin,
		      const struct mapping *mapping); /* NULL: no memory */
void host_free(struct host *h);
/* What a plugin does with files through the host is told there; may be NULL. */
void host_set_pulse(struct host *h, struct pulse *p);
/* Schemas declare the types of fields that are not mapped; borrowed, may be
 * NULL. */
void host_set_policy(struct host *h, struct policy *p);

const struct weir_sink_host *host_table(const struct host *h);

/* Writes the lines of `emit` that were kept back: after each call of the
 * plugin that may have given some, before its cursor moves. */
void host_flush(struct host *h);

/* Remembers the values of secret options: host_mask hides them. Passwords
 * inside connection strings are secrets of their own. */
int host_keep_secrets(struct host *h, const struct weir_sink_setting *s,
		      size_t n, struct weir_err *err);

/* Replaces each secret in a NUL-ended text by "***". */
void host_mask(const struct host *h, char *text, size_t cap);

/* Makes a plugin's result fit to be shown: strings ended, one line each, valid
 * UTF-8, no secrets. */
void host_clean(const struct host *h, struct weir_sink_result *res);

#endif
