/* SPDX-License-Identifier: MIT */
#ifndef CRASH_PAGE_H
#define CRASH_PAGE_H

/*
 * What a program under test shares with its parent: a file mapped by both, so
 * that it outlives a SIGKILL. tests/crash/world.py reads the same layout.
 */

#include <stdint.h>

enum crash_place {
	CRASH_NOWHERE = 0,
	CRASH_JOURNAL = 1, /* a file below journal/ */
	CRASH_TARGET = 2,  /* a file below targets/ */
	CRASH_SINK = 3,	   /* a file below sinks/ */
	CRASH_SOCKET = 4
};

struct crash_page {
	uint64_t calls;	 /* calls counted so far */
	uint32_t now;	 /* place of the call under way, or 0 */
	uint32_t killed; /* place of the call that the shim died in, or 0 */
	uint32_t append; /* threads of the appender inside store_commit */
	uint32_t reserved;
};

#endif
