/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SINKS_H
#define SERVER_SINKS_H

/* Supervised sinks: how a child is called, and the supervisor in a thread of
 * its own beside a server. */

#include <stdbool.h>
#include "bus/supervisor.h"

struct config;

/* How the children of a store are run: this program as `weir sink run NAME`
 * with the same data folder, settings file and plugin folder (the last two may
 * be NULL). o points into words; all is borrowed. */
struct sinks_how {
	struct supervisor_options o;
	const char *words[11];
};
void sinks_how(struct sinks_how *out, const struct config *config,
	       const char *dir, const char *config_path,
	       const char *plugin_dir);

/* A supervisor of all enabled sinks. how is borrowed until sinks_free. ended is
 * called in its thread after sinks_stop once no child is left. */
struct sinks;
int sinks_start(struct sinks **out, const struct sinks_how *how,
		void (*ended)(void *cookie), void *cookie,
		struct weir_err *err);
void sinks_reload(struct sinks *s); /* files were rotated */
void sinks_stop(struct sinks *s);   /* asks all children to stop */
void sinks_free(struct sinks *s);   /* waits for that; NULL is legal */

/* Have all sinks that can make progress delivered `last`? One that is paused,
 * blocked or in back-off is not waited for. */
bool sinks_caught_up(const char *dir, uint64_t last);

#endif
