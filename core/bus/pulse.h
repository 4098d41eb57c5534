/* SPDX-License-Identifier: MIT */
#ifndef BUS_PULSE_H
#define BUS_PULSE_H

/*
 * A page of memory that a runner shares with the process that supervises it:
 * by when the plugin has to come back, and how the work goes on. No plugin is
 * given it, so nothing that a plugin prints or opens can pass for it. The
 * runner's functions take NULL, for a runner that nobody supervises, and are
 * for its one thread; the supervisor's may be called at any time.
 */

#include <stdbool.h>
#include <weir/types.h>

#define PULSE_WHY_MAX 600

struct pulse;

/* The supervisor's: a fresh page; *fd is to be handed to the child and closed.
 * span_us is how long a call into a plugin may take. */
int pulse_new(struct pulse **out, int *fd, int64_t span_us,
	      struct weir_err *err);
/* The child's, from the descriptor it was handed, which is closed. */
int pulse_attach(struct pulse **out, int fd, struct weir_err *err);
void pulse_free(struct pulse *p);

/* ---- the runner's ---- */

/* A plugin is called, and has to be back at that time (monotonic; 0: span_us
 * from now). What is our own has no bound. */
void pulse_enter(struct pulse *p, int64_t until);
void pulse_leave(struct pulse *p);
/* The plugin gets on (it read or wrote a file through us): it has span_us from
 * now on, if that is more. */
void pulse_more(struct pulse *p);
void pulse_ready(struct pulse *p);		    /* signals are handled */
void pulse_hold(struct pulse *p, uint64_t records); /* being handed over */
void pulse_say(struct pulse *p, const struct weir_err *why); /* it ends */

/* ---- the supervisor's ---- */

int64_t pulse_due(const struct pulse *p); /* 0: no plugin is being called */
bool pulse_is_ready(const struct pulse *p);
uint64_t pulse_held(const struct pulse *p);
/* What pulse_say was told: the code, 0 when nothing was. */
int pulse_why(const struct pulse *p, char out[PULSE_WHY_MAX]);

#endif
