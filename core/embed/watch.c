/* SPDX-License-Identifier: MIT */
/* The embedding API: waiting by a descriptor. */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "store/watch.h"

struct weir_watch {
	struct watch *watch;
};

EXPORT int
weir_watch_open(struct weir_watch **out, struct weir *w, struct weir_err *err)
{
	struct weir_watch *h = mem_new(sizeof(*h));
	int rc;

	if (!h)
		return err_nomem(err);
	rc = watch_new(&h->watch, w->store, err);
	if (rc) {
		mem_free(h);
		return rc;
	}
	*out = h;
	return 0;
}

EXPORT int
weir_watch_fd(const struct weir_watch *h)
{
	return watch_fd(h->watch);
}

EXPORT int
weir_watch_arm(struct weir_watch *h, uint64_t sequence, struct weir_err *err)
{
	return watch_arm(h->watch, sequence, err);
}

EXPORT void
weir_watch_close(struct weir_watch *h)
{
	if (!h)
		return;
	watch_free(h->watch);
	mem_free(h);
}
