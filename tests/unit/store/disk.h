/* SPDX-License-Identifier: MIT */
#ifndef STORE_DISK_H
#define STORE_DISK_H

/*
 * A disk between the store and its folder. It passes every call on, keeps what
 * of each file was synced apart from what was only written, can make any call
 * fail, and can show the folder as a power loss at this moment would leave it.
 *
 *   - bytes are lost until fdatasync or fsync of their file came back well; a
 *     sync that fails loses them for good, though the kernel still shows them
 *   - a name is lost until its folder was synced
 *   - a sector of 512 bytes is written whole or not at all
 */

#include <stdbool.h>
#include <stdint.h>

enum call {
	CALL_OPEN,
	CALL_PREAD,
	CALL_PWRITE,
	CALL_READ,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_FSTAT,
	CALL_STAT,
	CALL_RENAME,
	CALL_MKDIR,
	CALL_FLOCK,
	CALL_MMAP,
	CALL_RANDOM,
	CALL_REALLOC,
	CALL_GETDENTS,
	CALL_CLOCK,
	CALLS
};

extern const char *const call_names[CALLS];

enum lost {
	LOST_ALL,   /* all that was not synced */
	LOST_NONE,  /* nothing: only the program died */
	LOST_TAILS, /* each unsynced write was cut at some sector */
	LOST_SOME   /* any sectors and names */
};

/* Begins: what stands in the folder is taken to be synced. */
void disk_begin(const char *dir);
void disk_end(void);

/* The n-th (1 is the first) call of that kind from now on fails. For pwrite,
 * `part` writes the first half before. With `on` all later ones fail too. */
void disk_fail(enum call call, uint64_t n, int error, bool part, bool on);
/* Every pwrite does a part only (and some say EINTR). */
void disk_short(bool yes);
void disk_mend(void);
bool disk_failed(void); /* the call came */

/* Before each call that changes the disk. */
void disk_watch(void (*fn)(void *cookie), void *cookie);

/* Makes the folder `to` what a power loss now would leave. */
void disk_crash(const char *to, enum lost lost, uint64_t seed);

/* The store works on a plain folder during pause, without any sync. */
void disk_pause(void);
void disk_resume(void);

#endif
