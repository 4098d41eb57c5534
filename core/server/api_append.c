/* SPDX-License-Identifier: MIT */
/*
 * Appending for a call: in this thread when nobody waits elsewhere, else
 * through the store's queue, whose thread tells `ready` after the group's sync.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "model/draft.h"

#define DRAFT_BYTES 1500u /* of a draft and its receipt, about */

void
api_drafts_free(struct api_call *c)
{
	size_t n = c->has_draft ? 1 : c->ndrafts;

	for (size_t i = 0; i < n; i++)
		draft_free(c->drafts[i]);
	mem_free(c->drafts);
	mem_free(c->receipts);
	c->drafts = NULL;
	c->receipts = NULL;
	c->ndrafts = 0;
	c->has_draft = false;
}

void
api_drafts_keep(struct api_call *c)
{
	if (c->ndrafts > 1) {
		api_drafts_free(c);
	} else if (c->ndrafts == 1) {
		draft_clear(c->drafts[0]);
		c->has_draft = true;
	}
}

int
api_drafts(struct api_call *c, size_t n)
{
	if (!api_hold(c, n * DRAFT_BYTES))
		return -1;
	if (c->has_draft && n == 1) {
		c->ndrafts = 1;
		return 0;
	}
	api_drafts_free(c);
	c->drafts = mem_new(n * sizeof(struct draft *));
	c->receipts = mem_new(n * sizeof(*c->receipts));
	if (c->drafts != NULL && c->receipts != NULL)
		while (c->ndrafts < n) {
			c->drafts[c->ndrafts] = draft_new();
			if (c->drafts[c->ndrafts] == NULL)
				break;
			c->ndrafts++;
		}
	if (c->drafts != NULL && c->ndrafts == n)
		return 0;
	api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	return -1;
}

/* The two conflicts have a code in common, but not the first word. */
static bool
is_about_id(const struct weir_err *err)
{
	return err->code == WEIR_ECONFLICT &&
	       strncmp(err->msg, "event_id ", 9) == 0;
}

static void
refused(struct api_call *c)
{
	struct weir_err *e = &c->err;
	bool about_id = is_about_id(e);
	int status = 0;

	if (e->code == WEIR_ECONFLICT)
		status = about_id ? c->on_id : c->on_version;
	else if (e->code == WEIR_EIO)
		status = 503; /* the writer has failed */
	if (c->ndrafts > 1 && !about_id && e->sequence > 0 &&
	    e->sequence <= c->ndrafts) {
		struct weir_err was = *e;

		err_set(e, was.code, "event %" PRIu64 ": %s", was.sequence,
			was.msg);
		e->sequence = was.sequence;
		e->version = was.version;
	}
	api_fail_as(c, status, e);
}

void
api_count(struct api *a, int rc, const struct receipt *receipts, size_t n)
{
	enum api_result what = API_FAILED;

	if (rc == 0)
		what = receipts[0].duplicate ? API_DUPLICATE : API_COMMITTED;
	else if (rc == WEIR_ECONFLICT)
		what = API_CONFLICT;
	else if (rc == WEIR_EDENIED)
		what = API_DENIED;
	else if (rc == WEIR_EINPUT)
		what = API_REFUSED;
	atomic_fetch_add(&a->results[what], n);
}

void
api_append_finish(struct api_call *c)
{
	if (c->answered)
		return;
	if (c->receipts != NULL)
		api_count(c->api, c->rc, c->receipts, c->ndrafts);
	if (c->rc != 0)
		refused(c);
	else
		c->route->finish(c);
}

/* In the store's thread. */
static void
on_answer(const struct store_answer *a, int rc, const struct receipt *receipts,
	  size_t n, const struct weir_err *err)
{
	struct api_call *c = a->cookie;
	void (*ready)(void *) = c->ready;
	void *cookie = c->ready_cookie;

	c->rc = rc;
	if (rc == 0)
		memcpy(c->receipts, receipts, n * sizeof(*receipts));
	else
		c->err = *err;
	ready(cookie);
}

/* The drafts in one run of memory: the one there is, or an array to be freed.
 */
static struct record_draft *
gathered(struct api_call *c)
{
	struct record_draft *d;

	if (c->ndrafts == 1)
		return draft_record(c->drafts[0]);
	d = mem_resize(NULL, c->ndrafts * sizeof(*d));
	for (size_t i = 0; d != NULL && i < c->ndrafts; i++)
		d[i] = *draft_record(c->drafts[i]);
	return d;
}

int
api_submit(struct api_call *c)
{
	struct store_answer answer = {.fn = on_answer, .cookie = c};
	struct record_draft *d = gathered(c);
	bool waits = c->ready == NULL;
	size_t n = c->ndrafts;
	int rc;

	must(n > 0);
	if (d == NULL)
		return api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	c->submitted = !waits;
	if (waits)
		rc = store_commit(c->api->store, c->receipts, d, n, &c->err);
	else
		rc = store_submit(c->api->store, d, n, STORE_NOWAIT, &answer,
				  &c->err);
	if (n > 1)
		mem_free(d);
	if (!waits && rc == 0)
		return API_LATER; /* and the call may be gone */
	c->rc = rc;
	api_append_finish(c);
	return 0;
}
