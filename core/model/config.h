/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

/*
 * weir.conf: INI read with inih. Flags > WEIR_* > file > default. weir.conf(5)
 * names every key. Editing in place keeps comments and order.
 */

#include <weir/types.h>

struct config;

/* path NULL: DIR/weir.conf where dir is the data folder; a missing file is an
 * empty one unless path was given. Unknown keys are WEIR_EINPUT with the
 * nearest match. */
int config_load(struct config **out, const char *path, const char *dir,
		struct weir_err *err);
void config_free(struct config *c);

/* Value of "section.key" (or "key" of the top), after WEIR_SECTION_KEY in the
 * environment; its default when unset; NULL when there is none. */
const char *config_get(const struct config *c, const char *key);
uint64_t config_u64(const struct config *c, const char *key);
int config_set(struct config *c, const char *key, const char *value,
	       struct weir_err *err); /* writes the file */

/* ---- mappings: sinks' columns, one file DIR/sinks/map.conf --------------- */

/* Datatype mapped for (aggregate, field): for plugin, else for all (base).
 * Returns enum weir_type_source; out gets the lower-case text. */
struct mapping;
int mapping_load(struct mapping **out, const char *dir, struct weir_err *err);
void mapping_free(struct mapping *m);
int mapping_find(const struct mapping *m, char out[64], struct weir_str plugin,
		 struct weir_str aggregate, struct weir_str field);
/* plugin NULL: base. Writes the file. Checks the datatype's grammar: words,
 * optional (n[,m]), optional []. */
int mapping_set(const char *dir, const char *plugin, const char *aggregate,
		const char *field, const char *datatype, struct weir_err *err);
/* Changes when the file does: compared to see a change without a restart. */
uint64_t mapping_revision(const struct mapping *m);

#endif
