/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

/*
 * weir.conf: INI read with inih. Flags > WEIR_* > file > default. weir.conf(5)
 * names every key. Editing in place keeps comments and order.
 */

#include <stdbool.h>
#include <weir/types.h>

struct config;

enum config_type {
	CONFIG_PATH,
	CONFIG_SECRET,	 /* any text; never shown */
	CONFIG_PORT,	 /* 1 to 65535 */
	CONFIG_UINT,	 /* decimal */
	CONFIG_BYTES,	 /* decimal with K, M or G: times 1024 */
	CONFIG_DURATION, /* decimal with us, ms, s, m or h; as microseconds */
	CONFIG_WORD,	 /* one of the words in arg, split by | */
	CONFIG_FORMAT,	 /* of messages: see base/diag.h */
	CONFIG_LEVELS	 /* of areas */
};

/* One key. Strings are static. */
struct config_key {
	const char *name; /* "section.key", or "key" of the top; NULL ends */
	enum config_type type;
	const char *dflt; /* or NULL: none */
	const char *arg;  /* placeholder in help, or the words */
	const char *help; /* one sentence without full stop */
};
const struct config_key *config_keys(void); /* ended by a NULL name */
const struct config_key *config_key(const char *name); /* or NULL */

/* path NULL: DIR/weir.conf where dir is the data folder; a missing file is an
 * empty one unless path was given. Unknown keys and values of the wrong type,
 * in the file or in the environment, are WEIR_EINPUT and named, with the
 * nearest match of a key. */
int config_load(struct config **out, const char *path, const char *dir,
		struct weir_err *err);
void config_free(struct config *c);
const char *config_path(const struct config *c);

/* Value of "section.key" (or "key" of the top), after WEIR_SECTION_KEY in the
 * environment; its default when unset; NULL when there is none. */
const char *config_get(const struct config *c, const char *key);
/* "environment", "file" or "default"; NULL when there is no value. */
const char *config_from(const struct config *c, const char *key);
/* Of a port, number, byte count or duration (microseconds). */
uint64_t config_u64(const struct config *c, const char *key);
/* Writes the file (0600 when new; its folder is made when missing). value
 * NULL takes the key out. WEIR_EUSAGE: unknown key, or a value of the wrong
 * type; nothing is written then. */
int config_set(struct config *c, const char *key, const char *value,
	       struct weir_err *err);

/* ---- mappings: sinks' columns, one file DIR/sinks/map.conf --------------- */

/* Datatype mapped for (aggregate, field): for plugin, else for all (base).
 * Returns enum weir_type_source; out gets the lower-case text, empty for
 * WEIR_TYPE_NONE. A missing file holds no mappings. */
struct mapping;
int mapping_load(struct mapping **out, const char *dir, struct weir_err *err);
void mapping_free(struct mapping *m);
int mapping_find(const struct mapping *m, char out[64], struct weir_str plugin,
		 struct weir_str aggregate, struct weir_str field);
/* plugin NULL: base. Writes the file. Checks the datatype (mapping_type) and
 * the names. */
int mapping_set(const char *dir, const char *plugin, const char *aggregate,
		const char *field, const char *datatype, struct weir_err *err);
/* Changes when the file does: compared to see a change without a restart. */
uint64_t mapping_revision(const struct mapping *m);

/* All mappings in the file's order; plugin is absent for a base one. The
 * callback returns 0 to go on; another value ends the walk and is returned. */
int mapping_each(const struct mapping *m,
		 int (*fn)(void *cookie, struct weir_str plugin,
			   struct weir_str aggregate, struct weir_str field,
			   const char *datatype),
		 void *cookie);

/* Checks a datatype and writes its stable lower-case spelling. The grammar is
 * words, optional (n[,m]), optional []; a base one must be known to all
 * sinks: bigint boolean bytea char date decimal double precision integer json
 * jsonb numeric real smallint text time timestamp timestamptz uuid varchar,
 * or a usual other name of one of these. */
int mapping_type(char out[64], const char *datatype, bool base,
		 struct weir_err *err);

#endif
