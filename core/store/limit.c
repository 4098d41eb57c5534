/* SPDX-License-Identifier: MIT */
/*
 * How far a reader may take in a journal when no page of this boot says so.
 *
 * 1. It goes through the whole groups that stand there without taking them in.
 * 2. Then it looks for the page again: the first writer after a boot begins it
 *    before it writes. So when there is still none, what was looked at stood
 *    there before any writer of this boot, and nothing of it is unsynced.
 * 3. A page that was deleted while its writer goes on is not found; but the
 *    writer holds LOCK. Then only what the groups themselves call synced is
 *    taken in: all but the last.
 */
#include "store/impl.h"
#include "store/lock.h"

/* A journal_fn that moves the tail on and keeps nothing. */
static int
go_through(void *store, struct tail *t, const struct group *g,
	   struct weir_err *err)
{
	struct store *s = store;
	struct group_iter it = {0};
	struct record_view v;
	const char *why = NULL;
	int more;

	while ((more = group_next(&it, &v, &s->journal, g, &why)) > 0)
		if (tail_record(t, &v, &why) != 0)
			break;
	return more == 0 ? 0
			 : journal_damage(&s->journal, err, g->position + it.at,
					  why);
}

int
limit_find(struct store *s, uint64_t *limit, struct stopped *stop,
	   struct weir_err *err)
{
	struct tail probe = s->tail;
	struct live_state live;
	bool this_boot = false, readable;
	int rc;

	rc = journal_walk(&s->journal, &probe, stop, 0, &s->window, go_through,
			  s, err);
	if (rc != 0)
		return rc;
	if (s->live.page == NULL)
		live_open(&s->live, s->live_path, false, NULL);
	readable = live_read(&s->live, &live, &this_boot, s->id);
	*limit = tail_position(&probe);
	if (readable && this_boot)
		*limit = live.end;
	else if (!readable && lock_held(s->lock_path))
		*limit = probe.synced_before > 0 ? probe.synced_before : 1;
	else
		return 0;
	stop->stop = STOP_LIMIT;
	return 0;
}
