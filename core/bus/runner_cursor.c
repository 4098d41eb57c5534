/* SPDX-License-Identifier: MIT */
/* The runner's cursor: a sequence and the hash of that record, in memory and
 * in the cursor file. */
#include "bus/runner_int.h"

#include "store/reader.h"
#include "store/store.h"

#include <string.h>

int
runner_hash_at(struct runner *r, uint8_t out[32], uint64_t sequence,
	       struct weir_err *err)
{
	struct record_view v;
	int rc;

	if (sequence == 0 || sequence > store_last(r->store)) {
		memset(out, 0, 32);
		return 0;
	}
	rc = reader_sequence(batch_reader(r->batch), &v, sequence, err);
	if (rc == 0)
		memcpy(out, v.hash, 32);
	return rc;
}

int
runner_move(struct runner *r, uint64_t sequence, const uint8_t *known,
	    struct weir_err *err)
{
	uint8_t hash[sizeof(r->cursor_hash)];
	int rc = 0;

	if (known != NULL)
		memcpy(hash, known, sizeof(hash));
	else
		rc = runner_hash_at(r, hash, sequence, err);
	if (rc != 0)
		return rc;
	r->cursor = sequence;
	memcpy(r->cursor_hash, hash, sizeof(hash));
	return 0;
}

int
runner_save_cursor(struct runner *r, struct weir_err *err)
{
	struct checkpoint c = {
		.sequence = r->cursor,
		.epoch = r->epoch,
		.parked = deadletters_count(r->dead),
		.target = r->target,
	};

	memcpy(c.hash, r->cursor_hash, sizeof(c.hash));
	memcpy(c.store_id, store_id(r->store), sizeof(c.store_id));
	return checkpoint_save(r->path_cursor, r->name, &c, err);
}
