/* SPDX-License-Identifier: MIT */
#ifndef BUS_SUPERVISOR_H
#define BUS_SUPERVISOR_H

/*
 * One child process for each enabled sink, so that a plugin that crashes,
 * hangs, leaks or prints hurts nothing but its own sink. A child is the same
 * program with other words; it runs one runner. The supervisor loads no plugin
 * and opens no store.
 *
 * A child that ends without having been asked is started again after a back-off
 * from 0.2 s to 60 s with jitter, which begins anew once a child has lived for
 * a minute. One whose plugin does not come back in time is asked to stop, then
 * killed; so is one that holds too much memory. A sink that is added, changed,
 * paused, disabled or removed is noticed within half a second.
 *
 * DIR/sinks/NAME/restarts says how often the runner was started again, when it
 * ended last and why.
 */

#include <stddef.h>
#include <stdint.h>

struct pulse;
struct supervisor;
struct weir_err;

struct supervisor_options {
	const char *store_dir;
	const char *const *names; /* only these sinks, NULL-ended; NULL: all */
	const char *program;	  /* path of what a child executes */
	const char *const *argv;  /* its words, NULL-ended */
	size_t name_at;		  /* argv[name_at] gives way to the name */
	int stop_fd;		  /* readable: stop; -1 none */
	int64_t deliver_us;	  /* a call of a plugin; 0: 30 s */
	int64_t stop_us;	  /* children that are asked to stop; 0: 10 s */
	uint64_t memory_max;	  /* bytes that a child may hold for itself
				   * alone; 0: no bound */
};

/* Borrows what o points to until supervisor_free. */
int supervisor_new(struct supervisor **out, const struct supervisor_options *o,
		   struct weir_err *err);
void supervisor_free(struct supervisor *s);

/* Supervises until stop_fd is readable and all children have ended (those that
 * do not in stop_us are killed): 0, or a code when the sinks can't be listed at
 * the start. The calling thread must outlive the children: they are killed when
 * it ends. */
int supervisor_run(struct supervisor *s, struct weir_err *err);

/* Passes on that files were rotated. From any thread or a signal handler. */
void supervisor_reload(struct supervisor *s);

/* In a child: 1 and the page of its runner; 0 when nobody supervises this
 * process. Messages (diag) go to the supervisor's from then on. */
int supervisor_child(struct pulse **out, struct weir_err *err);

#endif
