/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FILEDRIVE_H
#define TESTS_FILEDRIVE_H

/* Driving a sink that writes files through faults, as a host would. */

#include "plugins/fakehost.h"

/* One whole life: a new fake host with records, and what must stand in its
 * folder at the end, whatever failed on the way. */
struct filedrive {
	const char *plugin;
	void (*setup)(struct fake *f); /* settings, records, files before */
	void (*check)(struct fake *f, const char *when); /* asserts */
	uint64_t batch;	 /* records of a batch */
	bool replay;	 /* at the end, write it all anew */
	uint64_t parked; /* this record is held back and comes last, or 0 */
};

/* Once without a fault; then with the n-th file call failing once (EIO, then
 * ENOSPC), the sink kept or opened again; with all calls from the n-th on
 * failing until a restart, as after a kill; and with the n-th allocation
 * failing; for every n. */
void filedrive_all(const struct filedrive *d);

/* Once without a fault, watching the calls: when a cursor is renamed into
 * place, all that was written is synced and new files are synced into their
 * folder; when a batch is acknowledged, the cursor is too. */
void filedrive_order(const struct filedrive *d);

/* A file's content, ended by NUL; to be freed. Asserts that it is there. */
char *filedrive_read(const char *path, size_t *len);
void filedrive_write(const char *path, const char *text);

#endif
