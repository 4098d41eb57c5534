/* SPDX-License-Identifier: MIT */
#ifndef BUS_SINKCONF_H
#define BUS_SINKCONF_H

/*
 * A configured sink: DIR/sinks/NAME/sink.conf (0600, INI). Written by `weir
 * plugin X`, read by runners. Secrets are kept as given (env:NAME, file:PATH
 * or the value) and resolved only when the sink is opened.
 */

#include <stdbool.h>
#include <weir/sink.h>

#define SINK_BATCH     1000u /* records of a batch, when not set */
#define SINK_BATCH_MAX 65536u

struct sinkconf_value {
	char *name, *value;
};

struct sinkconf {
	char name[64];	 /* [A-Za-z0-9][A-Za-z0-9_.-]*, at most 63 */
	char plugin[32];
	bool enabled, paused;
	uint64_t from;	     /* the first sequence to deliver, 1 or more */
	char **aggregates, **events, **tags; /* patterns; NULL-ended or NULL */
	uint64_t attempts_max; /* parked after so many; default 16 */
	uint64_t batch;	       /* records a batch aims at */
	struct sinkconf_value *values; /* plugin options as given */
	size_t nvalues;
	uint64_t revision;   /* changes whenever the file does */
};

int sinkconf_load(struct sinkconf **out, const char *store_dir,
		  const char *name, struct weir_err *err);
int sinkconf_save(const char *store_dir, const struct sinkconf *c,
		  struct weir_err *err);
void sinkconf_free(struct sinkconf *c);
/* Names of all configured sinks, sorted, NULL-ended, one mem_free. */
int sinkconf_list(char ***out, size_t *n, const char *store_dir,
		  struct weir_err *err);
/* purge: dead letters and cursor too; without it dead letters stay. */
int sinkconf_remove(const char *store_dir, const char *name, bool purge,
		    struct weir_err *err);

/* Checks values against the plugin's option table (types, required, unknown
 * names with the nearest match), makes paths absolute (in place), then calls
 * validate. */
int sinkconf_check(struct sinkconf *c, const struct weir_sink_plugin *p,
		   struct weir_err *err);

/* Settings for open: defaults filled in, durations in microseconds, secrets
 * resolved. *out is one block to be freed with sinkconf_settings_free (which
 * wipes it). */
int sinkconf_settings(struct weir_sink_setting **out, size_t *n,
		      const struct sinkconf *c,
		      const struct weir_sink_plugin *p, struct weir_err *err);
void sinkconf_settings_free(struct weir_sink_setting *s, size_t n);

#endif
