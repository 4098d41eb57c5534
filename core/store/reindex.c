/* SPDX-License-Identifier: MIT */
/* Bringing the index to the journal's end while the caller waits. */
#include "base/err.h"
#include "base/os.h"
#include "store/impl.h"
#include "store/indexer.h"

void
reindex_tell(void *told, uint64_t position)
{
	const struct told *t = told;

	if (t->fn != NULL)
		t->fn(t->cookie, journal_bytes(&t->s->journal, position),
		      t->all);
}

int
store_reindex(struct store *s, struct reindex_report *out, bool heads_only,
	      void (*progress)(void *cookie, uint64_t done, uint64_t all),
	      void *cookie, struct weir_err *err)
{
	struct told t = {.s = s, .fn = progress, .cookie = cookie};
	uint64_t records = 0, more = 0, end;
	int rc = 0;

	pthread_mutex_lock(&s->work);
	/* A mark at the end need not be synced. */
	end = s->end < s->synced ? s->end : s->synced;
	if (!s->writing || s->indexer == NULL)
		rc = err_set(err, WEIR_EUSAGE,
			     "%s is not open for writing with an index",
			     s->dir);
	t.all = journal_bytes(&s->journal, end);
	if (rc == 0 && heads_only && index_is_open(s->index))
		rc = indexer_run_heads(s->indexer, &records, reindex_tell, &t,
				       err);
	if (rc == 0 && s->last > 0)
		rc = indexer_run(s->indexer, &more, end, reindex_tell, &t,
				 err);
	if (rc == 0) {
		out->records = s->reindexed + records + more;
		pthread_mutex_lock(&s->mu);
		out->aggregates = s->aggregates;
		s->indexed = s->last;
		s->behind = 0;
		pthread_mutex_unlock(&s->mu);
	}
	pthread_mutex_unlock(&s->work);
	return rc;
}

uint64_t
store_indexed(struct store *s, size_t *bytes)
{
	uint64_t n;

	pthread_mutex_lock(&s->mu);
	n = s->indexed;
	if (bytes != NULL)
		*bytes = heads_bytes(s->heads);
	pthread_mutex_unlock(&s->mu);
	return n;
}
