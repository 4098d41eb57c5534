/* SPDX-License-Identifier: MIT */
#ifndef BUS_SUPERVISOR_INT_H
#define BUS_SUPERVISOR_INT_H

/* What the files of the supervisor share. Nothing else includes this. */

#include "bus/pulse.h"
#include "bus/supervisor.h"

#include <stdbool.h>
#include <sys/types.h>

/* A child's own place for what a supervisor gives it. */
#define CHILD_ENV      "WEIR_SUPERVISED"
#define CHILD_FD_PULSE 3
#define CHILD_FD_DIAG  4

#define CHILD_WHY_MAX 512

enum child_phase {
	CHILD_NONE, /* no process */
	CHILD_RUNS,
	CHILD_ASKED, /* to stop */
	CHILD_KILLED
};

/* Lines that a child prints, at a bounded rate. */
struct outlet {
	char line[1024];
	size_t len;
	bool over; /* the rest of this line is left out */
	int64_t filled_at;
	unsigned tokens;  /* lines that may be passed on at once */
	uint64_t dropped; /* since that was last said */
	uint64_t room;	  /* bytes that may still be read in this look */
};

struct child {
	char name[64];
	uint64_t mark; /* of sink.conf when it was last looked at */
	bool listed, wanted;

	/* the process */
	enum child_phase phase;
	pid_t pid;
	struct pulse *pulse;
	int out_fd; /* what it prints; -1 none */
	struct outlet outlet;
	int64_t started_at, asked_at, grace_us;
	bool hangs;		     /* asked because it hangs */
	char trouble[CHILD_WHY_MAX]; /* why it was asked, or "" */

	/* the back-off */
	uint64_t failures, held;
	int64_t next_start;

	/* what is told */
	uint64_t restarts;
	int64_t ended_at; /* real time */
	char last_end[CHILD_WHY_MAX];
	char told[CHILD_WHY_MAX];
	int64_t told_at;
};

/* ---- supervisor_child.c ---- */

/* Starts it; 0 or a code. */
int child_start(struct child *k, const struct supervisor_options *o,
		struct weir_err *err);
/* Asks it to stop. trouble "" when nothing is wrong with it. */
void child_ask(struct child *k, int64_t grace_us, const char *trouble);
void child_signal(struct child *k, int sig);
/* How a child ended. */
struct child_end {
	int status;    /* waitpid's */
	uint64_t held; /* records that its plugin had in hand, 0 none */
	int code;      /* what it said itself, 0 nothing */
	char why[PULSE_WHY_MAX];
};

/* Has it ended? Then its process, page and pipe are gone. */
bool child_ended(struct child *k, struct child_end *out);
/* Bytes of memory that belong to it alone; 0 when that can't be told. */
uint64_t child_memory(const struct child *k);
/* Passes on what it has printed, as much as this look allows. */
void child_drain(struct child *k);
/* A new look: refills what may be read and passed on. */
void child_look(struct child *k, int64_t now);

#endif
