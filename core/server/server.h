/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/*
 * A running server: the store, the API on its ports, the text protocol and the
 * supervised sinks. server_run owns the process's signals.
 */

#include <stdbool.h>
#include <stdint.h>

struct config;
struct weir_err;

struct server_options {
	const char *dir;	 /* the store's folder, absolute */
	const char *config_path; /* or NULL: weir.conf in dir */
	const char *plugin_dir;	 /* handed to the sinks' processes, or NULL */
	bool no_sinks;
	/* Written to when the ports answer ("", then one byte '+') or, with
	 * '-' and a message, when starting failed; -1: nobody waits. */
	int ready_fd;
	/* The last part of its life: SIGTERM or SIGINT came. May be NULL. */
	void (*stopping)(void *cookie);
	void *cookie;
};

/* Runs until a signal asks it to stop. 0: stopped and drained; a code: it
 * could not start, or the writer failed. */
int server_run(const struct server_options *o, struct weir_err *err);

#endif
