/* SPDX-License-Identifier: MIT */
/*
 * Appending to files beside a cursor file.
 *
 * 1. The cursor in memory is what was last acknowledged. While the process
 *    lives it rules: what a failed batch left on disk is put back to it
 *    (dirt) before anything else is done.
 * 2. Nothing is appended to a file before the cursor on disk lists it with
 *    its length, so every surplus can be recognised.
 * 3. A redo list is written only when everything it renames is synced, so it
 *    can always be finished and never has to be undone.
 * 4. Files of another store are neither cut nor written.
 */
#include "common/files_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_BYTES    ((size_t)256 << 10)
#define OPEN_MAX_FILES 64

/* ---- making and ending -------------------------------------------------- */

static char *
dup_text(const struct weir_sink_host *host, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = host->resize(host->cookie, NULL, n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

int
files_new(struct files **out, const struct weir_sink_open *o,
	  const struct files_options *how, struct weir_sink_result *res)
{
	const struct weir_sink_host *host = o->host;
	struct files *f = host->resize(host->cookie, NULL, sizeof(*f));

	if (f == NULL)
		return result_nomem(res);
	memset(f, 0, sizeof(*f));
	f->host = host;
	f->io = host->files;
	f->scratch_fd = -1;
	f->make_folder = how->make_folder;
	f->fresh = how->fresh;
	memcpy(f->store_id, o->store_id, sizeof(f->store_id));
	(void)snprintf(f->store, sizeof(f->store), "%s", o->store_uuid);
	(void)snprintf(f->sink, sizeof(f->sink), "%s", o->sink);
	filecursor_init(&f->c);
	text_init(&f->text, host, FILECURSOR_MAX);
	text_init(&f->scratch, host, FILECURSOR_MAX);
	f->folder = dup_text(host, how->folder);
	f->cursor = dup_text(host, how->cursor);
	f->suffix = dup_text(host, how->suffix != NULL ? how->suffix : "");
	if (f->folder == NULL || f->cursor == NULL || f->suffix == NULL) {
		files_free(f);
		return result_nomem(res);
	}
	*out = f;
	return WEIR_SINK_OK;
}

void
files_close_all(struct files *f)
{
	for (size_t i = 0; i < f->c.nfiles; i++) {
		if (f->c.files[i].fd >= 0)
			(void)f->io->close(f->host->cookie, f->c.files[i].fd);
		f->c.files[i].fd = -1;
	}
}

void
files_free(struct files *f)
{
	if (f == NULL)
		return;
	files_close_all(f);
	files_scratch_drop(f);
	filecursor_fini(&f->c, f->host);
	text_fini(&f->text);
	text_fini(&f->scratch);
	if (f->folder != NULL)
		f->host->release(f->host->cookie, f->folder);
	if (f->cursor != NULL)
		f->host->release(f->host->cookie, f->cursor);
	if (f->suffix != NULL)
		f->host->release(f->host->cookie, f->suffix);
	f->host->release(f->host->cookie, f);
}

const struct file_cursor *
files_cursor(const struct files *f)
{
	return &f->c;
}

bool
files_found(const struct files *f)
{
	return f->found;
}

uint64_t
files_loads(const struct files *f)
{
	return f->loads;
}

bool
files_note(struct files *f, const char *words)
{
	return filecursor_add_note(&f->c, f->host, words);
}

void
files_rotated(struct files *f)
{
	f->rotated = true;
}

/* ---- putting back what a failed batch left ------------------------------- */

static void
reset_ends(struct files *f)
{
	for (size_t i = 0; i < f->c.nfiles; i++) {
		struct file_entry *e = &f->c.files[i];

		e->end = e->length;
		text_clear(&e->pending);
		if (e->head_len > e->length)
			e->head_len = 0;
	}
}

static int
cut_touched(struct files *f, struct weir_sink_result *res)
{
	for (size_t i = 0; i < f->c.nfiles; i++) {
		struct file_entry *e = &f->c.files[i];
		const char *path;

		if (!e->touched)
			continue;
		path = files_path(f, f->path, e->name, f->suffix);
		if (e->fd < 0)
			e->fd = f->io->open(f->host->cookie, path, O_RDWR, 0);
		if (e->fd < 0 && errno != ENOENT)
			return files_fail_errno(res, "open", path);
		if (e->fd >= 0 && f->io->truncate(f->host->cookie, e->fd,
						  (int64_t)e->length) != 0)
			return files_fail_errno(res, "cut", path);
		e->touched = false;
	}
	return WEIR_SINK_OK;
}

static int
settle(struct files *f, struct weir_sink_result *res)
{
	int class;

	if (f->dirt == DIRT_NONE)
		return WEIR_SINK_OK;
	if (f->dirt == DIRT_RELOAD)
		return files_load(f, 0, res);
	reset_ends(f);
	if (f->dirt == DIRT_RESTORE) {
		class = files_write_cursor(f, res);
		if (class != WEIR_SINK_OK)
			return class;
		f->dirt = DIRT_CUT;
	}
	class = cut_touched(f, res);
	if (class == WEIR_SINK_OK)
		f->dirt = DIRT_NONE;
	return class;
}

void
files_abort(struct files *f)
{
	struct weir_sink_result ignored = {.struct_size = sizeof(ignored)};

	files_scratch_drop(f);
	if (f->dirt == DIRT_NONE)
		f->dirt = DIRT_CUT;
	if (f->dirt != DIRT_RELOAD)
		(void)settle(f, &ignored);
}

/* ---- a batch ------------------------------------------------------------- */

void
files_reread(struct files *f)
{
	files_scratch_drop(f);
	f->dirt = DIRT_RELOAD;
}

int
files_resume(struct files *f, struct weir_sink_cursor *out,
	     struct weir_sink_result *res)
{
	int class = f->dirt == DIRT_RESTORE ? settle(f, res) : WEIR_SINK_OK;

	if (class == WEIR_SINK_OK)
		class = files_load(f, 0, res);
	/* deliver says it again; here it would keep a replay from mending it */
	if (class == WEIR_SINK_BLOCKED && strcmp(res->code, "FILE") == 0) {
		(void)result_set(res, WEIR_SINK_OK, NULL, NULL, "%s", "");
		class = WEIR_SINK_OK;
	}
	if (class != WEIR_SINK_OK)
		return class;
	out->found = f->found;
	if (!f->found)
		return WEIR_SINK_OK;
	out->lane = f->c.lane;
	memcpy(out->store_id, f->c.store_id, sizeof(out->store_id));
	memcpy(out->sink, f->c.sink, sizeof(out->sink));
	out->sequence = f->c.sequence;
	out->epoch = f->c.epoch;
	out->parked = f->c.parked;
	memcpy(out->hash, f->c.hash, sizeof(out->hash));
	return WEIR_SINK_OK;
}

static int
refuse_foreign(const struct files *f, struct weir_sink_result *res)
{
	if (!f->foreign)
		return WEIR_SINK_OK;
	return result_set(
		res, WEIR_SINK_BLOCKED, "STORE",
		"choose another path, or move the files and their cursor away",
		"%s/%s belongs to store %s, this is store %s", f->folder,
		f->cursor, f->c.store, f->store);
}

int
files_begin(struct files *f, const struct weir_sink_batch *batch,
	    struct weir_sink_result *res)
{
	int class = settle(f, res);

	if (class == WEIR_SINK_OK && (!f->loaded || f->rotated))
		class = files_load(f, f->rotated ? LOAD_ROTATED : 0, res);
	if (class != WEIR_SINK_OK)
		return class;
	f->rotated = false;
	class = refuse_foreign(f, res);
	return class != WEIR_SINK_OK ? class
				     : files_fence(f, batch->epoch, res);
}

int
files_begin_over(struct files *f, const struct weir_sink_batch *batch,
		 struct weir_sink_result *res)
{
	int class = files_load(f, LOAD_OVER, res);

	if (class == WEIR_SINK_OK)
		class = refuse_foreign(f, res);
	if (class != WEIR_SINK_OK || f->c.epoch <= batch->epoch)
		return class;
	return files_fail_epoch(f, f->c.epoch, batch->epoch, res);
}

static struct file_entry *
find(struct files *f, const char *name)
{
	for (size_t i = 0; i < f->c.nfiles; i++)
		if (strcmp(f->c.files[i].name, name) == 0)
			return &f->c.files[i];
	return NULL;
}

/* What stands in a file that the cursor does not list is kept, or cut away. */
static int
first_length(struct files *f, struct file_entry *e, const char *path,
	     struct weir_sink_result *res)
{
	int64_t size = f->io->size(f->host->cookie, e->fd);

	if (size < 0)
		return files_fail_errno(res, "measure", path);
	if (f->fresh && size > 0) {
		if (f->io->truncate(f->host->cookie, e->fd, 0) != 0)
			return files_fail_errno(res, "cut", path);
		size = 0;
	}
	e->length = e->end = (uint64_t)size;
	return WEIR_SINK_OK;
}

int
files_want(struct files *f, size_t *index, const char *name,
	   struct weir_sink_result *res)
{
	struct file_entry *e = find(f, name);
	const char *path;
	int class;

	if (e == NULL)
		e = filecursor_add_file(&f->c, f->host, name);
	if (e == NULL)
		return result_nomem(res);
	if (e->generation == 0)
		e->generation = 1;
	*index = (size_t)(e - f->c.files);
	if (e->fd >= 0)
		return WEIR_SINK_OK;
	path = files_path(f, f->path, name, f->suffix);
	if (e->known) {
		class = files_open_entry(f, e, path, false, res);
		if (class != WEIR_SINK_OK || e->fd >= 0)
			return class;
	}
	e->fd = f->io->open(f->host->cookie, path, O_RDWR, 0);
	if (e->fd < 0 && errno == ENOENT) {
		e->fd = f->io->open(f->host->cookie, path, O_RDWR | O_CREAT,
				    0666);
		f->created = true;
	}
	if (e->fd < 0)
		return files_fail_errno(res, "create", path);
	class = first_length(f, e, path, res);
	if (class != WEIR_SINK_OK) {
		(void)f->io->close(f->host->cookie, e->fd);
		e->fd = -1;
	}
	return class;
}

bool
files_applied(const struct files *f, const struct weir_sink_batch *batch,
	      const struct weir_sink_record *r)
{
	if (!f->found)
		return false;
	if ((batch->flags & WEIR_BATCH_PARKED) != 0)
		return f->c.epoch >= batch->epoch;
	return r->sequence <= f->c.sequence;
}

int
files_prepare(struct files *f, const struct weir_sink_batch *batch,
	      struct weir_sink_result *res)
{
	bool listed = f->found;
	int class = WEIR_SINK_OK;

	for (size_t i = 0; i < f->c.nfiles; i++)
		listed = listed && f->c.files[i].known;
	if (listed || batch->nrecords == 0)
		return WEIR_SINK_OK;
	f->dirt = DIRT_RELOAD;
	if (!f->found)
		f->c.sequence = batch->records[0]->sequence - 1;
	if (f->created && f->io->sync_folder(f->host->cookie, f->folder) != 0)
		return files_fail_errno(res, "sync", f->folder);
	class = files_write_cursor(f, res);
	if (class != WEIR_SINK_OK)
		return class;
	f->created = false;
	f->dirt = DIRT_NONE;
	f->found = true;
	for (size_t i = 0; i < f->c.nfiles; i++)
		f->c.files[i].known = true;
	return WEIR_SINK_OK;
}

static int
flush(struct files *f, struct file_entry *e, struct weir_sink_result *res)
{
	if (e->pending.failed)
		return result_nomem(res);
	if (e->pending.len == 0)
		return WEIR_SINK_OK;
	if (f->io->write_at(f->host->cookie, e->fd, e->pending.data,
			    e->pending.len,
			    (int64_t)e->end) != (int64_t)e->pending.len)
		return files_fail_errno(
			res, "write",
			files_path(f, f->path, e->name, f->suffix));
	e->end += e->pending.len;
	text_clear(&e->pending);
	return WEIR_SINK_OK;
}

int
files_append(struct files *f, size_t index, const void *p, size_t n,
	     struct weir_sink_result *res)
{
	struct file_entry *e = &f->c.files[index];

	e->touched = true;
	text_add(&e->pending, p, n);
	if (e->pending.failed)
		return result_nomem(res);
	if (e->pending.len < FLUSH_BYTES)
		return WEIR_SINK_OK;
	return flush(f, e, res);
}

int
files_read(struct files *f, size_t index, void *out, size_t n, uint64_t at,
	   struct weir_sink_result *res)
{
	struct file_entry *e = &f->c.files[index];
	int64_t got = f->io->read_at(f->host->cookie, e->fd, out, n, (int64_t)at);
	const char *path = files_path(f, f->path, e->name, f->suffix);

	if (got < 0)
		return files_fail_errno(res, "read", path);
	if ((size_t)got != n)
		return result_set(res, WEIR_SINK_RETRY, "EOF", NULL,
				  "%s became shorter while it was read", path);
	return WEIR_SINK_OK;
}

/* Writes, syncs and hashes the beginning of what was appended to. */
static int
finish_file(struct files *f, size_t index, struct weir_sink_result *res)
{
	struct file_entry *e = &f->c.files[index];
	uint64_t max = FILES_HEAD_BYTES;
	int class = flush(f, e, res);

	if (class != WEIR_SINK_OK)
		return class;
	if (f->io->sync_data(f->host->cookie, e->fd) != 0)
		return files_fail_errno(
			res, "sync",
			files_path(f, f->path, e->name, f->suffix));
	if (e->end < max)
		max = e->end;
	if (e->head_len >= max)
		return WEIR_SINK_OK;
	return files_hash_head(f, e, max, res);
}

int
files_commit(struct files *f, const struct weir_sink_batch *batch,
	     struct weir_sink_result *res)
{
	const uint64_t was[3] = {f->c.sequence, f->c.epoch, f->c.parked};
	uint8_t hash[sizeof(f->c.hash)];
	size_t nopen = 0;
	int class = WEIR_SINK_OK;

	memcpy(hash, f->c.hash, sizeof(hash));
	for (size_t i = 0; i < f->c.nfiles && class == WEIR_SINK_OK; i++)
		if (f->c.files[i].touched)
			class = finish_file(f, i, res);
	if (class != WEIR_SINK_OK)
		return class;
	if (f->created && f->io->sync_folder(f->host->cookie, f->folder) != 0)
		return files_fail_errno(res, "sync", f->folder);
	if (batch->through_sequence >= f->c.sequence) {
		f->c.sequence = batch->through_sequence;
		memcpy(f->c.hash, batch->through_hash, sizeof(hash));
	}
	f->c.epoch = batch->epoch;
	f->c.parked = batch->parked;
	f->dirt = f->found ? DIRT_RESTORE : DIRT_RELOAD;
	class = files_write_cursor(f, res);
	if (class != WEIR_SINK_OK) {
		f->c.sequence = was[0];
		f->c.epoch = was[1];
		f->c.parked = was[2];
		memcpy(f->c.hash, hash, sizeof(hash));
		return class;
	}
	f->dirt = DIRT_NONE;
	f->found = true;
	f->created = false;
	for (size_t i = 0; i < f->c.nfiles; i++) {
		struct file_entry *e = &f->c.files[i];

		e->length = e->end;
		e->touched = false;
		e->known = true;
		nopen += e->fd >= 0;
	}
	if (nopen > OPEN_MAX_FILES)
		files_close_all(f);
	return WEIR_SINK_OK;
}
