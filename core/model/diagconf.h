/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DIAGCONF_H
#define MODEL_DIAGCONF_H

/*
 * weir.conf's diag_* settings, handed to base/diag.h. A command speaks to
 * whoever typed it: its messages go to stderr, and only errors, unless a level
 * was set. What runs for good (a server, its sinks) takes all settings.
 */

struct config;
struct weir_err;

enum diagconf_flag {
	DIAGCONF_LASTS = 1 << 0,   /* runs for good */
	DIAGCONF_DETACHED = 1 << 1 /* nobody sees its stderr: what would go
				    * there goes to diag_file */
};

/* dir: the store's folder, which a diag_file that is not absolute stands in.
 * May be called again, by any thread; a failure leaves all as it was. */
int diagconf_apply(const struct config *c, const char *dir, unsigned flags,
		   struct weir_err *err);

#endif
