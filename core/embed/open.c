/* SPDX-License-Identifier: MIT */
/*
 * The embedding API: opening, closing, waiting. A struct weir is a struct
 * store and its sinks.
 */
#include "embed/embed.h"

#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "model/policy.h"
#include "store/store.h"

EXPORT const char *
weir_version(void)
{
	return PACKAGE_VERSION;
}

EXPORT int
weir_diag(int fd, const char *level, struct weir_err *err)
{
	enum diag_level from;

	if (!level || diag_level_parse(&from, level) != 0)
		return err_set(err, WEIR_EUSAGE,
			       "a level is error, warn, info, debug or trace, "
			       "not \"%s\"",
			       level ? level : "");
	diag_set_fd(fd);
	diag_set_level(from);
	return 0;
}

EXPORT int
weir_open(struct weir **out, const char *dir,
	  const struct weir_options *options, struct weir_err *err)
{
	static const struct weir_options defaults;
	const struct weir_options *o = options ? options : &defaults;
	struct store_options so = {.lock_wait_us = o->lock_wait_us,
				   .heads_bytes = o->heads_bytes};
	struct weir *w;
	int rc;

	if (!dir)
		return err_set(err, WEIR_EINPUT,
			       "the store's folder is not "
			       "given");
	w = mem_new(sizeof(*w));
	if (!w)
		return err_nomem(err);
	if (!o->read_only)
		so.flags = STORE_WRITE | (o->must_exist ? 0 : STORE_CREATE);
	rc = store_open(&w->store, dir, &so, err);
	if (rc == 0 && !o->read_only)
		rc = policy_open(&w->policy, w->store, err);
	if (rc) {
		store_close(w->store);
		mem_free(w);
		return rc;
	}
	w->writable = !o->read_only;
	w->unmapped = o->unmapped;
	pthread_mutex_init(&w->lock, NULL);
	*out = w;
	return 0;
}

EXPORT void
weir_close(struct weir *w)
{
	if (!w)
		return;
	embed_sinks_stop(w);
	policy_free(w->policy);
	store_close(w->store);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}

EXPORT uint64_t
weir_cut_bytes(const struct weir *w, const char **kept_at)
{
	return store_cut_bytes(w->store, kept_at);
}

EXPORT const char *
weir_dir(const struct weir *w)
{
	return store_dir(w->store);
}

EXPORT const uint8_t *
weir_store_id(const struct weir *w)
{
	return store_id(w->store);
}

int
embed_refresh(struct weir *w, struct weir_err *err)
{
	return w->writable ? 0 : store_refresh(w->store, err);
}

EXPORT uint64_t
weir_last(struct weir *w)
{
	(void)embed_refresh(w, NULL);
	return store_last(w->store);
}

EXPORT int
weir_wait(struct weir *w, uint64_t sequence, int64_t timeout_us,
	  struct weir_err *err)
{
	return store_wait(w->store, sequence, timeout_us, -1, err);
}

EXPORT void
weir_free(void *p)
{
	mem_free(p);
}
