/* SPDX-License-Identifier: MIT */
#ifndef BUS_LOADER_H
#define BUS_LOADER_H

/*
 * Finding and loading plugins. Searched in order: --plugin-dir, each folder of
 * WEIR_PLUGIN_PATH, the build's own folders when run from a build tree,
 * $(pkglibdir)/sinks. A plugin named X is a file X.so (in a build tree
 * .libs/X.so). Refused: a file or folder that others can write, or owned by
 * someone else than root or oneself; another ABI major; a descriptor that
 * breaks a rule of sink.h; each with the path and the reason.
 */

#include <weir/sink.h>

struct plugin;

void loader_set_dir(const char *dir); /* --plugin-dir; NULL forgets it */
const char *loader_dir(void);	      /* what was set last, or NULL */

/* Loads (once per process) by name; borrowed for the process's life. */
int loader_find(const struct weir_sink_plugin **out, const char *name,
		struct weir_err *err);

/* Names and paths of all plugins found, sorted by name; *out is to be freed
 * with mem_free. A broken one stands in the list with what is wrong. */
struct plugin_entry {
	char name[32];
	char path[512];
	const struct weir_sink_plugin *plugin; /* NULL: refused */
	char why[256];
};
int loader_list(struct plugin_entry **out, size_t *n, struct weir_err *err);

/* The path a loaded plugin came from. */
const char *loader_path(const char *name);

#endif
