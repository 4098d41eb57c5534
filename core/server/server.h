/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/*
 * A running server: the store, the API on its ports, the text protocol and the
 * supervised sinks. server_run owns the process's signals:
 *
 *   SIGTERM, SIGINT   drains: no new connections, appends under way are
 *                     answered, streams end, sinks catch up, all for at most
 *                     drain_timeout; a second one ends at once
 *   SIGHUP            settings, certificate and sinks again, files anew; bad
 *                     settings leave the old ones
 *
 * When the writer fails (a write or sync that did), nothing more is
 * acknowledged: appends are answered 503 and /readyz says why. The server then
 * ends all connections, closes the store and opens it again, as recovery after
 * a crash, while its ports keep listening; when that fails as well, server_run
 * returns.
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
	/* Instead of the settings', for this run: -1 none, 0 any free one. */
	int port, text_port;
	const char *restriction; /* written first: true, strict, false; NULL */
	const char *words;	 /* of start, for weir.pid, or NULL */
	/* Gets "+" when the ports answer, or "-CODE MESSAGE" when starting
	 * failed, and is closed; -1: nobody waits. */
	int ready_fd;
	/* Called in the loop's thread; may be NULL. */
	void (*ready)(void *cookie, const char *http, const char *text);
	void (*reload)(void *cookie, const struct config *config);
	void *cookie;
};

/* Runs until a signal asks it to stop. 0: stopped and drained; a code: it
 * could not start, or the writer failed. */
int server_run(const struct server_options *o, struct weir_err *err);

#endif
