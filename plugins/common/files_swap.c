/* SPDX-License-Identifier: MIT */
/*
 * Putting new files in the place of old ones, by a redo list in the cursor.
 */
#include "common/files_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int
files_redo(struct files *f, struct weir_sink_result *res)
{
	const struct weir_sink_files *io = f->io;
	void *ck = f->host->cookie;

	for (size_t i = 0; i < f->c.nswaps; i++) {
		const struct file_swap *s = &f->c.swaps[i];
		const char *to = files_path(f, f->path, s->name, "");
		const char *temp;

		if (s->temp == NULL) {
			if (io->unlink(ck, to) != 0 && errno != ENOENT)
				return files_fail_errno(res, "remove", to);
			continue;
		}
		temp = files_path(f, f->path2, s->temp, "");
		if (io->rename(ck, temp, to) != 0 && errno != ENOENT)
			return files_fail_errno(res, "rename", temp);
	}
	if (io->sync_folder(ck, f->folder) != 0)
		return files_fail_errno(res, "sync", f->folder);
	filecursor_clear_swaps(&f->c, f->host);
	return files_write_cursor(f, res);
}

/* Writes the cursor with its redo list and does it. */
static int
swap_in(struct files *f, struct weir_sink_result *res)
{
	int class = files_write_cursor(f, res);

	if (class == WEIR_SINK_OK)
		class = files_redo(f, res);
	if (class == WEIR_SINK_OK)
		f->dirt = DIRT_NONE;
	return class;
}

/* ---- one file ------------------------------------------------------------ */

static const char scratch_suffix[] = ".weir-new";

void
files_scratch_drop(struct files *f)
{
	if (f->scratch_fd < 0)
		return;
	(void)f->io->close(f->host->cookie, f->scratch_fd);
	f->scratch_fd = -1;
}

static const char *
scratch_path(struct files *f)
{
	return files_path(f, f->path2, f->c.files[f->scratch_of].name,
			  scratch_suffix);
}

int
files_scratch_begin(struct files *f, size_t index, struct weir_sink_result *res)
{
	files_scratch_drop(f);
	f->scratch_of = index;
	f->scratch_end = 0;
	text_clear(&f->scratch);
	f->scratch_fd = f->io->open(f->host->cookie, scratch_path(f),
				    O_RDWR | O_CREAT | O_TRUNC, 0666);
	if (f->scratch_fd < 0)
		return files_fail_errno(res, "create", f->path2);
	return WEIR_SINK_OK;
}

static int
scratch_flush(struct files *f, struct weir_sink_result *res)
{
	if (f->scratch.failed)
		return result_nomem(res);
	if (f->scratch.len == 0)
		return WEIR_SINK_OK;
	if (f->io->write_at(f->host->cookie, f->scratch_fd, f->scratch.data,
			    f->scratch.len,
			    (int64_t)f->scratch_end) != (int64_t)f->scratch.len)
		return files_fail_errno(res, "write", scratch_path(f));
	f->scratch_end += f->scratch.len;
	text_clear(&f->scratch);
	return WEIR_SINK_OK;
}

int
files_scratch_put(struct files *f, const void *p, size_t n,
		  struct weir_sink_result *res)
{
	text_add(&f->scratch, p, n);
	if (!f->scratch.failed && f->scratch.len < ((size_t)256 << 10))
		return WEIR_SINK_OK;
	return scratch_flush(f, res);
}

int
files_scratch_end(struct files *f, struct weir_sink_result *res)
{
	struct file_entry *e = &f->c.files[f->scratch_of];
	char temp[FILES_PATH_MAX], name[FILES_PATH_MAX];
	int class = scratch_flush(f, res);
	size_t skip = strlen(f->folder) + 1;

	if (class != WEIR_SINK_OK)
		return class;
	if (f->io->sync_data(f->host->cookie, f->scratch_fd) != 0)
		return files_fail_errno(res, "sync", scratch_path(f));
	if (f->io->sync_folder(f->host->cookie, f->folder) != 0)
		return files_fail_errno(res, "sync", f->folder);
	f->dirt = DIRT_RELOAD;
	if (e->fd >= 0)
		(void)f->io->close(f->host->cookie, e->fd);
	e->fd = f->scratch_fd;
	f->scratch_fd = -1;
	e->generation++;
	e->length = e->end = f->scratch_end;
	class = files_hash_head(
		f, e, e->end < FILES_HEAD_BYTES ? e->end : FILES_HEAD_BYTES,
		res);
	if (class != WEIR_SINK_OK)
		return class;
	(void)files_path(f, temp, e->name, scratch_suffix);
	(void)files_path(f, name, e->name, f->suffix);
	if (!filecursor_add_swap(&f->c, f->host, temp + skip, name + skip))
		return result_nomem(res);
	return swap_in(f, res);
}

/* ---- a whole set --------------------------------------------------------- */

static const struct file_entry *
find(const struct files *f, const char *name)
{
	for (size_t i = 0; i < f->c.nfiles; i++)
		if (strcmp(f->c.files[i].name, name) == 0)
			return &f->c.files[i];
	return NULL;
}

/* What f is to be once it has taken over from; NULL members on no memory. */
static bool
plan_adoption(struct files *f, struct file_cursor *to, const struct files *from)
{
	char temp[FILES_PATH_MAX], name[FILES_PATH_MAX];
	size_t skip = strlen(f->folder) + 1;

	for (size_t i = 0; i < from->c.nfiles; i++) {
		const struct file_entry *src = &from->c.files[i];
		const struct file_entry *old = find(f, src->name);
		struct file_entry *e =
			filecursor_add_file(to, f->host, src->name);

		if (e == NULL)
			return false;
		e->generation = old != NULL ? old->generation + 1 : 1;
		e->length = e->end = src->length;
		e->head_len = src->head_len;
		e->known = true;
		memcpy(e->head, src->head, sizeof(e->head));
		(void)files_path(f, temp, src->name, from->suffix);
		(void)files_path(f, name, src->name, f->suffix);
		if (!filecursor_add_swap(to, f->host, temp + skip, name + skip))
			return false;
	}
	for (size_t i = 0; i < f->c.nfiles; i++) {
		(void)files_path(f, name, f->c.files[i].name, f->suffix);
		if (find(from, f->c.files[i].name) == NULL &&
		    !filecursor_add_swap(to, f->host, NULL, name + skip))
			return false;
	}
	for (size_t i = 0; i < from->c.nnotes; i++)
		if (!filecursor_add_note(to, f->host, from->c.notes[i]))
			return false;
	return true;
}

int
files_adopt(struct files *f, struct files *from, struct weir_sink_result *res)
{
	struct file_cursor to;

	filecursor_init(&to);
	if (!plan_adoption(f, &to, from)) {
		filecursor_fini(&to, f->host);
		return result_nomem(res);
	}
	to.sequence = from->c.sequence;
	to.epoch = from->c.epoch;
	to.parked = from->c.parked;
	memcpy(to.hash, from->c.hash, sizeof(to.hash));
	files_close_all(f);
	files_close_all(from);
	filecursor_fini(&f->c, f->host);
	f->c = to;
	f->found = true;
	f->loads++;
	f->dirt = DIRT_RELOAD;
	return swap_in(f, res);
}

int
files_forget(struct files *f, struct weir_sink_result *res)
{
	const char *path = files_path(f, f->path, f->cursor, f->suffix);

	if (f->io->unlink(f->host->cookie, path) != 0 && errno != ENOENT)
		return files_fail_errno(res, "remove", path);
	f->dirt = DIRT_RELOAD;
	return WEIR_SINK_OK;
}

int
files_probe(struct files *f, struct weir_sink_result *res)
{
	static const char text[4096];
	const struct weir_sink_files *io = f->io;
	const char *path = files_path(f, f->path, f->cursor, ".probe");
	void *ck = f->host->cookie;
	int class = WEIR_SINK_OK, fd;

	if (f->make_folder && io->make_folder(ck, f->folder, 0777) != 0 &&
	    errno != EEXIST)
		return files_fail_errno(res, "create", f->folder);
	fd = io->open(ck, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return files_fail_errno(res, "create", path);
	if (io->write_at(ck, fd, text, sizeof(text), 0) !=
	    (int64_t)sizeof(text))
		class = files_fail_errno(res, "write", path);
	else if (io->sync_data(ck, fd) != 0)
		class = files_fail_errno(res, "sync", path);
	(void)io->close(ck, fd);
	(void)io->unlink(ck, path);
	return class;
}
