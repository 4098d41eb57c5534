/* SPDX-License-Identifier: MIT */
/* Readers for calls, and records as JSON. */
#include "server/api_int.h"

#include "base/clock.h"
#include "base/err.h"
#include "store/reader.h"

struct reader *
api_reader(struct api_call *c)
{
	struct api *a = c->api;
	struct reader *r = NULL;

	pthread_mutex_lock(&a->lock);
	if (a->nreaders > 0)
		r = a->readers[--a->nreaders];
	pthread_mutex_unlock(&a->lock);
	if (r == NULL)
		r = reader_new_mapped(a->store);
	if (r == NULL)
		api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	return r;
}

void
api_reader_back(struct api_call *c, struct reader *r)
{
	struct api *a = c->api;

	if (r == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->nreaders < API_READERS) {
		a->readers[a->nreaders++] = r;
		r = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	reader_free(r);
}

/* ---- by time and sequence ------------------------------------------------ */

int
api_first_after(struct reader *r, uint64_t *out, struct weir_str type,
		struct weir_str id, uint64_t newest, enum api_by by,
		uint64_t value, struct weir_err *err)
{
	uint64_t low = 1, high = newest + 1;
	struct record_view v;
	int rc = 0;

	/* Both rise with the version: low - 1 is not after, high is. */
	while (rc == 0 && low < high) {
		uint64_t mid = low + (high - low) / 2;

		rc = reader_version(r, &v, type, id, mid, err);
		if (rc != 0)
			break;
		if ((by == API_BY_TIME
			     ? (uint64_t)(v.committed_at - CLOCK_MIN_US)
			     : v.sequence) > value)
			high = mid;
		else
			low = mid + 1;
	}
	if (rc == 0)
		*out = low;
	return rc;
}
