/* SPDX-License-Identifier: MIT */
/*
 * Reading a cursor file and bringing the files to what it says; writing it;
 * what every failed call means to the host.
 */
#include "common/files_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---- results ------------------------------------------------------------ */

static const struct {
	int number;
	const char *name;
	int class;
	const char *hint;
} errnos[] = {
	{ENOSPC, "ENOSPC", WEIR_SINK_BLOCKED,
	 "make room on the disk; the sink goes on by itself"},
	{EDQUOT, "EDQUOT", WEIR_SINK_BLOCKED,
	 "make room within the quota; the sink goes on by itself"},
	{EROFS, "EROFS", WEIR_SINK_BLOCKED,
	 "mount the file system writable, or choose another path"},
	{EACCES, "EACCES", WEIR_SINK_BLOCKED,
	 "give weir's user the right to write there"},
	{EPERM, "EPERM", WEIR_SINK_BLOCKED,
	 "give weir's user the right to write there"},
	{ENOENT, "ENOENT", WEIR_SINK_BLOCKED,
	 "create the folder, or choose another path"},
	{ENOTDIR, "ENOTDIR", WEIR_SINK_BLOCKED,
	 "a part of the path is no folder; choose another path"},
	{EISDIR, "EISDIR", WEIR_SINK_BLOCKED,
	 "the path is a folder; name a file"},
	{ELOOP, "ELOOP", WEIR_SINK_BLOCKED, "choose another path"},
	{ENAMETOOLONG, "ENAMETOOLONG", WEIR_SINK_BLOCKED,
	 "choose a shorter path"},
	{EINVAL, "EINVAL", WEIR_SINK_BLOCKED, "name a regular file"},
	{ESPIPE, "ESPIPE", WEIR_SINK_BLOCKED, "name a regular file"},
	{ENXIO, "ENXIO", WEIR_SINK_BLOCKED, "name a regular file"},
	{EFBIG, "EFBIG", WEIR_SINK_BLOCKED,
	 "rotate the file, or lift the limit on file size"},
	{EIO, "EIO", WEIR_SINK_RETRY, "look at the disk's health"},
	{ENOMEM, "ENOMEM", WEIR_SINK_RETRY, NULL},
	{EMFILE, "EMFILE", WEIR_SINK_RETRY, "raise the open files limit"},
	{ENFILE, "ENFILE", WEIR_SINK_RETRY, "raise the open files limit"},
};

int
files_fail_errno(struct weir_sink_result *res, const char *what,
		 const char *path)
{
	int number = errno, class = WEIR_SINK_RETRY;
	const char *name = NULL, *hint = NULL;
	char code[16];

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		if (errnos[i].number == number) {
			name = errnos[i].name;
			class = errnos[i].class;
			hint = errnos[i].hint;
		}
	}
	(void)snprintf(code, sizeof(code), "E%d", number);
	return result_set(res, class, name != NULL ? name : code, hint,
			  "can't %s %s: %s", what, path, strerror(number));
}

/* ---- the cursor file ---------------------------------------------------- */

const char *
files_path(struct files *f, char out[FILES_PATH_MAX], const char *name,
	   const char *suffix)
{
	(void)snprintf(out, FILES_PATH_MAX, "%s/%s%s", f->folder, name, suffix);
	return out;
}

/* The whole file into f->text; *found tells whether there is one. */
static int
read_cursor(struct files *f, const char *path, bool *found,
	    struct weir_sink_result *res)
{
	int fd = f->io->open(f->host->cookie, path, O_RDONLY, 0);
	int class = WEIR_SINK_OK;
	int64_t size;
	int64_t got;

	text_clear(&f->text);
	*found = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? WEIR_SINK_OK
				       : files_fail_errno(res, "open", path);
	size = f->io->size(f->host->cookie, fd);
	if (size < 0) {
		class = files_fail_errno(res, "measure", path);
	} else if (!text_reserve(&f->text, (size_t)size + 1)) {
		class = result_nomem(res);
	} else {
		got = f->io->read_at(f->host->cookie, fd, f->text.data,
				     (size_t)size, 0);
		if (got < 0)
			class = files_fail_errno(res, "read", path);
		else
			f->text.len = (size_t)got;
	}
	(void)f->io->close(f->host->cookie, fd);
	return class;
}

/* Reads and parses; c is initialised by this and to be ended by the caller. */
static int
parse_cursor(struct files *f, struct file_cursor *c, bool *found,
	     struct weir_sink_result *res)
{
	const char *path = files_path(f, f->path, f->cursor, f->suffix);
	const char *why;
	int class, rc;

	filecursor_init(c);
	class = read_cursor(f, path, found, res);
	if (class != WEIR_SINK_OK || !*found)
		return class;
	rc = filecursor_read(c, f->host, f->text.data, f->text.len, &why);
	if (rc == -2)
		return result_nomem(res);
	if (rc != 0)
		return result_set(res, WEIR_SINK_BLOCKED, "CURSOR",
				  "restore the cursor file, or move it and "
				  "the files it lists away to begin anew",
				  "%s is damaged: %s", path, why);
	return WEIR_SINK_OK;
}

int
files_refuse_listed(struct files *f, const char *cursor, const char *name,
		    struct weir_sink_result *res)
{
	const char *path = files_path(f, f->path, cursor, "");
	const char *why;
	struct file_cursor c;
	bool found;
	int class = read_cursor(f, path, &found, res);

	filecursor_init(&c);
	if (class == WEIR_SINK_OK && found &&
	    filecursor_read(&c, f->host, f->text.data, f->text.len, &why) == -2)
		class = result_nomem(res);
	for (size_t i = 0; i < c.nfiles && class == WEIR_SINK_OK; i++)
		if (strcmp(c.files[i].name, name) == 0)
			class = result_set(
				res, WEIR_SINK_BLOCKED, "SINK",
				"give each sink a path of its own",
				"%s/%s belongs to the sink %s, this is %s",
				f->folder, name, c.sink, f->sink);
	filecursor_fini(&c, f->host);
	return class;
}

int
files_write_cursor(struct files *f, struct weir_sink_result *res)
{
	const char *to = files_path(f, f->path, f->cursor, f->suffix);
	const char *temp = files_path(f, f->path2, f->cursor, ".new");
	const struct weir_sink_files *io = f->io;
	void *ck = f->host->cookie;
	int class = WEIR_SINK_OK, fd;

	memcpy(f->c.store_id, f->store_id, sizeof(f->store_id));
	memcpy(f->c.store, f->store, sizeof(f->store));
	memcpy(f->c.sink, f->sink, sizeof(f->sink));
	text_clear(&f->text);
	filecursor_write(&f->text, &f->c);
	if (f->text.failed)
		return result_nomem(res);
	fd = io->open(ck, temp, O_RDWR | O_CREAT | O_TRUNC, 0666);
	if (fd < 0)
		return files_fail_errno(res, "create", temp);
	if (io->write_at(ck, fd, f->text.data, f->text.len, 0) !=
	    (int64_t)f->text.len)
		class = files_fail_errno(res, "write", temp);
	else if (io->sync_data(ck, fd) != 0)
		class = files_fail_errno(res, "sync", temp);
	if (io->close(ck, fd) != 0 && class == WEIR_SINK_OK)
		class = files_fail_errno(res, "close", temp);
	if (class != WEIR_SINK_OK) {
		(void)io->unlink(ck, temp);
		return class;
	}
	if (io->rename(ck, temp, to) != 0)
		return files_fail_errno(res, "rename", temp);
	if (io->sync_folder(ck, f->folder) != 0)
		return files_fail_errno(res, "sync", f->folder);
	return WEIR_SINK_OK;
}

int
files_fence(struct files *f, uint64_t epoch, struct weir_sink_result *res)
{
	uint64_t seen = f->c.epoch;
	struct file_cursor disk;
	bool found;
	int class = parse_cursor(f, &disk, &found, res);

	if (found && disk.epoch > seen)
		seen = disk.epoch;
	filecursor_fini(&disk, f->host);
	if (class != WEIR_SINK_OK || seen <= epoch)
		return class;
	return files_fail_epoch(f, seen, epoch, res);
}

int
files_fail_epoch(const struct files *f, uint64_t seen, uint64_t epoch,
		 struct weir_sink_result *res)
{
	return result_set(res, WEIR_SINK_BLOCKED, "EPOCH",
			  "let one runner only deliver to these files",
			  "%s/%s was written by a newer runner (epoch %llu, "
			  "this one has %llu)",
			  f->folder, f->cursor, (unsigned long long)seen,
			  (unsigned long long)epoch);
}

/* ---- the files it lists -------------------------------------------------- */

int
files_hash_head(struct files *f, struct file_entry *e, uint64_t len,
		struct weir_sink_result *res)
{
	const char *path = files_path(f, f->path, e->name, f->suffix);
	int64_t got;

	text_clear(&f->text);
	if (!text_reserve(&f->text, (size_t)len))
		return result_nomem(res);
	got = f->io->read_at(f->host->cookie, e->fd, f->text.data, (size_t)len,
			     0);
	if (got < 0)
		return files_fail_errno(res, "read", path);
	if ((uint64_t)got != len)
		return result_set(res, WEIR_SINK_RETRY, "EOF", NULL,
				  "%s became shorter while it was read", path);
	f->host->sha256(f->host->cookie, f->text.data, (size_t)len, e->head);
	e->head_len = len;
	return WEIR_SINK_OK;
}

static int
check_head(struct files *f, struct file_entry *e, const char *path,
	   struct weir_sink_result *res)
{
	struct file_entry is = *e;
	int class;

	if (e->head_len == 0)
		return WEIR_SINK_OK;
	class = files_hash_head(f, &is, e->head_len, res);
	if (class != WEIR_SINK_OK || memcmp(is.head, e->head, 32) == 0)
		return class;
	return result_set(res, WEIR_SINK_BLOCKED, "FILE",
			  "put the file back, move this one away to begin a "
			  "new one, or write it anew with `weir sink replay`",
			  "%s is not the file that was written: its first "
			  "%llu bytes differ",
			  path, (unsigned long long)e->head_len);
}

static void
begin_anew(struct file_entry *e)
{
	e->generation++;
	e->length = e->end = e->head_len = 0;
	e->known = false;
}

int
files_open_entry(struct files *f, struct file_entry *e, const char *path,
		 bool rotated, struct weir_sink_result *res)
{
	int fd = f->io->open(f->host->cookie, path, O_RDWR, 0);
	int class = WEIR_SINK_OK;
	int64_t size;

	if (fd < 0 && errno == ENOENT) {
		begin_anew(e);
		return WEIR_SINK_OK;
	}
	if (fd < 0)
		return files_fail_errno(res, "open", path);
	e->fd = fd;
	size = f->io->size(f->host->cookie, fd);
	if (size < 0) {
		class = files_fail_errno(res, "measure", path);
	} else if (rotated && size == 0 && e->length > 0) {
		begin_anew(e);
	} else if ((uint64_t)size < e->length) {
		class = result_set(
			res, WEIR_SINK_BLOCKED, "FILE",
			"restore the file, or write it anew with `weir sink "
			"replay`",
			"%s holds %llu bytes, but %llu were written", path,
			(unsigned long long)size,
			(unsigned long long)e->length);
	} else {
		class = check_head(f, e, path, res);
		if (class == WEIR_SINK_OK && (uint64_t)size > e->length &&
		    f->io->truncate(f->host->cookie, fd, (int64_t)e->length) != 0)
			class = files_fail_errno(res, "cut", path);
	}
	if (class != WEIR_SINK_OK || !e->known) {
		(void)f->io->close(f->host->cookie, fd);
		e->fd = -1;
	}
	return class;
}

static int
open_all(struct files *f, bool rotated, struct weir_sink_result *res)
{
	for (size_t i = 0; i < f->c.nfiles; i++) {
		struct file_entry *e = &f->c.files[i];
		const char *path = files_path(f, f->path2, e->name, f->suffix);
		int class = files_open_entry(f, e, path, rotated, res);

		if (class != WEIR_SINK_OK)
			return class;
		if (i >= 32 && e->fd >= 0) {
			(void)f->io->close(f->host->cookie, e->fd);
			e->fd = -1;
		}
	}
	return WEIR_SINK_OK;
}

int
files_load(struct files *f, unsigned flags, struct weir_sink_result *res)
{
	struct file_cursor fresh;
	bool found;
	int class;

	f->dirt = DIRT_RELOAD;
	if (f->make_folder &&
	    f->io->make_folder(f->host->cookie, f->folder, 0777) != 0 &&
	    errno != EEXIST)
		return files_fail_errno(res, "create", f->folder);
	class = parse_cursor(f, &fresh, &found, res);
	if (class != WEIR_SINK_OK)
		filecursor_fini(&fresh, f->host);
	if (class == WEIR_SINK_BLOCKED && found && (flags & LOAD_OVER) != 0)
		found = false;
	else if (class != WEIR_SINK_OK)
		return class;
	class = WEIR_SINK_OK;
	files_close_all(f);
	filecursor_fini(&f->c, f->host);
	f->c = fresh;
	f->found = found;
	f->created = false;
	f->loads++;
	f->foreign = found && memcmp(fresh.store_id, f->store_id, 16) != 0;
	if (found && !f->foreign && strcmp(f->c.sink, f->sink) != 0)
		return result_set(res, WEIR_SINK_BLOCKED, "SINK",
				  "give each sink a path of its own; remove "
				  "the cursor file if that sink is gone",
				  "%s belongs to the sink %s, this is %s",
				  f->path, f->c.sink, f->sink);
	if (!f->foreign && f->c.nswaps > 0)
		class = files_redo(f, res);
	if (class == WEIR_SINK_OK && !f->foreign && (flags & LOAD_OVER) == 0)
		class = open_all(f, (flags & LOAD_ROTATED) != 0, res);
	if (class != WEIR_SINK_OK)
		return class;
	f->loaded = (flags & LOAD_OVER) == 0;
	f->dirt = DIRT_NONE;
	return WEIR_SINK_OK;
}
