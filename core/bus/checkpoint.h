/* SPDX-License-Identifier: MIT */
#ifndef BUS_CHECKPOINT_H
#define BUS_CHECKPOINT_H

/*
 * Two small files of a sink's folder:
 *
 * cursor   of a sink whose plugin holds none: one JSON object, replaced
 *          atomically and synced
 * replay   a replay that is asked for or under way; the same
 */

#include <stdbool.h>
#include <weir/types.h>

struct checkpoint {
	bool found;
	uint8_t store_id[16];
	uint64_t sequence, epoch, parked;
	uint8_t hash[32]; /* of the record `sequence`; zeros: not known */
	uint64_t target; /* tells one target from another; see runner_open */
};

int checkpoint_load(struct checkpoint *out, const char *path,
		    struct weir_err *err);
int checkpoint_save(const char *path, const char *sink,
		    const struct checkpoint *c, struct weir_err *err);

struct replay {
	bool active;
	bool started; /* rewind was called */
	uint64_t from, until;
	uint64_t epoch; /* of the runner that began it */
};

int replay_load(struct replay *out, const char *path, struct weir_err *err);
int replay_save(const char *path, const struct replay *r, struct weir_err *err);

#endif
