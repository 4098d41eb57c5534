/* SPDX-License-Identifier: MIT */
/*
 * The SQLite sink: one table per aggregate type, one row per aggregate. A
 * batch is one transaction, which also writes the cursor; the file is in WAL
 * mode with synchronous FULL, so what was committed survives power loss.
 */
#include "sqlite/target.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct weir_sink_option options[] = {
	{"path", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, NULL, "FILE",
	 "the database file; made when it is missing"},
	{"busy-timeout", WEIR_OPT_DURATION, 0, "2s", "TIME",
	 "how long to wait for another process that writes the file"},
	MIRROR_OPTIONS,
	{NULL, 0, 0, NULL, NULL, NULL},
};

/* ---- errors -----------------------------------------------------------------
 */

static const struct error_row {
	int rc;
	enum weir_sink_class class;
	const char *name, *hint;
} error_rows[] = {
	{SQLITE_BUSY, WEIR_SINK_RETRY, "SQLITE_BUSY",
	 "another process keeps the file locked"},
	{SQLITE_LOCKED, WEIR_SINK_RETRY, "SQLITE_LOCKED",
	 "another connection keeps a table locked"},
	{SQLITE_NOMEM, WEIR_SINK_RETRY, "SQLITE_NOMEM", NULL},
	{SQLITE_FULL, WEIR_SINK_BLOCKED, "SQLITE_FULL",
	 "make room on the file system"},
	{SQLITE_READONLY, WEIR_SINK_BLOCKED, "SQLITE_READONLY",
	 "let weir's user write the file and its folder"},
	{SQLITE_PERM, WEIR_SINK_BLOCKED, "SQLITE_PERM",
	 "let weir's user write the file and its folder"},
	{SQLITE_AUTH, WEIR_SINK_BLOCKED, "SQLITE_AUTH",
	 "let weir's user write the file and its folder"},
	{SQLITE_CORRUPT, WEIR_SINK_BLOCKED, "SQLITE_CORRUPT",
	 "move the damaged file away; weir makes a new one and fills it from "
	 "the journal"},
	{SQLITE_NOTADB, WEIR_SINK_BLOCKED, "SQLITE_NOTADB",
	 "give another path, or move the file away"},
	{SQLITE_CANTOPEN, WEIR_SINK_BLOCKED, "SQLITE_CANTOPEN",
	 "make the folder, and let weir's user write in it"},
	{SQLITE_IOERR, WEIR_SINK_BLOCKED, "SQLITE_IOERR",
	 "look at the disk (dmesg)"},
	{SQLITE_PROTOCOL, WEIR_SINK_RETRY, "SQLITE_PROTOCOL", NULL},
	{SQLITE_CONSTRAINT, WEIR_SINK_REJECT, "SQLITE_CONSTRAINT",
	 "mend the value, or drop the constraint that someone added"},
	{SQLITE_MISMATCH, WEIR_SINK_REJECT, "SQLITE_MISMATCH",
	 "mend the value, or drop the constraint that someone added"},
	{SQLITE_TOOBIG, WEIR_SINK_REJECT, "SQLITE_TOOBIG",
	 "the row is larger than SQLite takes"},
};

int
target_error(const struct target *t, int rc, const char *doing,
	     struct weir_sink_result *res)
{
	int sys = t->db != NULL ? sqlite3_system_errno(t->db) : 0;
	const char *text =
		t->db != NULL ? sqlite3_errmsg(t->db) : sqlite3_errstr(rc);

	for (size_t i = 0; i < sizeof error_rows / sizeof *error_rows; i++) {
		const struct error_row *e = &error_rows[i];
		if (e->rc != (rc & 0xff))
			continue;
		const char *hint = e->hint;
		bool os = e->rc == SQLITE_CANTOPEN || e->rc == SQLITE_IOERR;
		if (os && (sys == ENOSPC || sys == EDQUOT))
			hint = "make room on the file system";
		return result_set(res, e->class, e->name, hint,
				  "%s: %s: %s%s%s", t->path, doing, text,
				  os && sys ? ": " : "",
				  os && sys ? strerror(sys) : "");
	}
	return result_set(res, WEIR_SINK_RETRY, "SQLITE_ERROR", NULL,
			  "%s: %s: %s", t->path, doing, text);
}

int
target_exec(struct target *t, const char *sql, const char *doing,
	    struct weir_sink_result *res)
{
	int rc = sqlite3_exec(t->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? WEIR_SINK_OK : target_error(t, rc, doing, res);
}

int
target_prepare(struct target *t, sqlite3_stmt **out, const char *sql,
	       struct weir_sink_result *res)
{
	int rc = sqlite3_prepare_v3(t->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
				    out, NULL);

	return rc == SQLITE_OK ? WEIR_SINK_OK
			       : target_error(t, rc, "prepare", res);
}

/* ---- connection -------------------------------------------------------------
 */

/* Waits a little for another writer, but not past a stop or a deadline. */
static int
on_busy(void *cookie, int count)
{
	struct target *t = cookie;
	struct pollfd p = {.fd = t->stop_fd, .events = POLLIN};
	int64_t now = t->host->monotonic_us(t->host->cookie);

	if (count == 0)
		t->busy_until = now + t->busy_us;
	if (now >= t->busy_until ||
	    (t->deadline_us != 0 && now >= t->deadline_us))
		return 0;
	int wait_ms = count < 10 ? 1 + count : 20;
	return poll(&p, 1, wait_ms) > 0 ? 0 : 1;
}

static int
check_opened(struct target *t, struct weir_sink_result *res)
{
	sqlite3_stmt *st = NULL;
	bool wal = false;

	if (sqlite3_db_readonly(t->db, "main") == 1)
		return target_error(t, SQLITE_READONLY, "open", res);
	int class = target_prepare(t, &st, "PRAGMA journal_mode = WAL", res);
	if (class != WEIR_SINK_OK)
		return class;
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(st, 0), "wal") ==
		      0;
	else
		class = target_error(t, rc, "journal mode", res);
	sqlite3_finalize(st);
	if (class != WEIR_SINK_OK)
		return class;
	/* Without WAL only EXTRA also syncs the folder of the journal file. */
	return target_exec(t,
			   wal ? "PRAGMA synchronous = FULL"
			       : "PRAGMA synchronous = EXTRA",
			   "synchronous", res);
}

int
target_connect(struct target *t, bool create, struct weir_sink_result *res)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_EXRESCODE | (create ? SQLITE_OPEN_CREATE : 0);
	int class = WEIR_SINK_OK;

	if (t->db != NULL)
		return WEIR_SINK_OK;
	int rc = sqlite3_open_v2(t->path, &t->db, flags, NULL);
	if (rc != SQLITE_OK) {
		class = target_error(t, rc, "open", res);
	} else {
		sqlite3_busy_handler(t->db, on_busy, t);
		class = check_opened(t, res);
	}
	if (class != WEIR_SINK_OK)
		target_disconnect(t);
	return class;
}

void
target_disconnect(struct target *t)
{
	target_drop_map(t);
	sqlite3_finalize(t->find_cursor);
	sqlite3_finalize(t->put_cursor);
	sqlite3_finalize(t->data_version);
	t->find_cursor = t->put_cursor = t->data_version = NULL;
	sqlite3_close(t->db);
	t->db = NULL;
}

int
target_begin(struct target *t, struct weir_sink_result *res)
{
	return target_exec(t, "BEGIN IMMEDIATE", "begin", res);
}

int
target_commit(struct target *t, struct weir_sink_result *res)
{
	return target_exec(t, "COMMIT", "commit", res);
}

void
target_rollback(struct target *t, bool changed)
{
	if (t->db == NULL)
		return;
	if (!sqlite3_get_autocommit(t->db))
		sqlite3_exec(t->db, "ROLLBACK", NULL, NULL, NULL);
	if (changed)
		target_drop_map(t);
}

/* The file we hold open is no longer the one at the path. */
static bool
has_moved(struct target *t)
{
	int moved = 0;

	return sqlite3_file_control(t->db, "main", SQLITE_FCNTL_HAS_MOVED,
				    &moved) == SQLITE_OK &&
	       moved;
}

/* ---- callbacks --------------------------------------------------------------
 */

static int
sink_open(void **out, const struct weir_sink_open *o,
	  struct weir_sink_result *res)
{
	struct target *t = sink_alloc(o->host, sizeof *t);
	const char *given = setting_get(o, "path");
	struct weir_str path = {NULL, 0};

	if (t == NULL)
		return result_nomem(res);
	if (given != NULL)
		path = sink_dup(o->host, text_of(given));
	if (path.data == NULL) {
		sink_free(o->host, t);
		return result_nomem(res);
	}
	t->host = o->host;
	t->path = (char *)(uintptr_t)path.data;
	t->stop_fd = -1;
	t->busy_us = (int64_t)setting_u64(o, "busy-timeout", 2000000);
	snprintf(t->sink, sizeof t->sink, "%s", o->sink);
	memcpy(t->store_id, o->store_id, sizeof t->store_id);
	memcpy(t->store_uuid, o->store_uuid, sizeof t->store_uuid);
	mirror_init(&t->mirror, o, false);
	*out = t;
	return WEIR_SINK_OK;
}

static void
sink_close(void *sink)
{
	struct target *t = sink;

	target_disconnect(t);
	mirror_fini(&t->mirror);
	sink_free(t->host, t->cells);
	sink_free(t->host, t->path);
	sink_free(t->host, t);
}

static int
sink_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
	    struct weir_sink_result *res)
{
	struct target *t = sink;

	t->stop_fd = -1;
	t->deadline_us = 0;
	if (t->db != NULL && has_moved(t))
		target_disconnect(t);
	int class = target_connect(t, true, res);
	if (class == WEIR_SINK_OK)
		class = target_make_tables(t, res);
	if (class == WEIR_SINK_OK)
		class = target_read_cursor(t, lane, out, res);
	if (class == WEIR_SINK_OK) {
		t->known = true;
		t->sequence = out->found ? out->sequence : 0;
	}
	return class;
}

static int
apply(struct target *t, const struct weir_sink_batch *b, bool *changed,
      struct weir_sink_result *res)
{
	bool replay = (b->flags & WEIR_BATCH_REPLAY) != 0;
	struct weir_sink_cursor at = {.struct_size = sizeof at};
	int class = target_check_cursor(t, b, &at, res);

	if (class == WEIR_SINK_OK)
		class = target_load_map(t, res);
	for (uint32_t i = 0; class == WEIR_SINK_OK && i < b->nrecords; i++)
		class = mirror_shape(&t->mirror, b->records[i], changed, res);
	if (class == WEIR_SINK_OK && *changed)
		class = target_apply_map(t, res);
	for (uint32_t i = 0; class == WEIR_SINK_OK && i < b->nrecords; i++)
		class = target_write_record(t, b->records[i], replay, res);
	if (class == WEIR_SINK_OK)
		class = target_write_cursor(t, b, &at, res);
	if (class == WEIR_SINK_OK)
		class = target_commit(t, res);
	if (class != WEIR_SINK_OK)
		return class;
	if (*changed)
		columns_keep(t->mirror.map);
	t->known = true;
	t->sequence = at.sequence;
	res->durable_sequence = b->through_sequence;
	return WEIR_SINK_OK;
}

static int
sink_deliver(void *sink, const struct weir_sink_batch *b,
	     struct weir_sink_result *res)
{
	struct target *t = sink;
	bool changed = false;

	t->stop_fd = b->stop_fd;
	t->deadline_us = b->deadline_us;
	if (t->db != NULL && has_moved(t))
		target_disconnect(t);
	int class = target_connect(t, true, res);
	if (class == WEIR_SINK_OK)
		class = target_make_tables(t, res);
	if (class == WEIR_SINK_OK)
		class = target_begin(t, res);
	if (class == WEIR_SINK_OK)
		class = apply(t, b, &changed, res);
	if (class != WEIR_SINK_OK)
		target_rollback(t, true);
	if (class != WEIR_SINK_OK && class != WEIR_SINK_REJECT)
		target_disconnect(t); /* the next try opens the file anew */
	return class;
}

static void
folder_of(char out[4096], const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		snprintf(out, 4096, ".");
	else if (slash == path)
		snprintf(out, 4096, "/");
	else
		snprintf(out, 4096, "%.*s", (int)(slash - path), path);
}

static int
sink_probe(void *sink, struct weir_sink_result *res)
{
	struct target *t = sink;

	t->stop_fd = -1;
	t->deadline_us = 0;
	if (t->db == NULL && access(t->path, F_OK) != 0) {
		char folder[4096];
		folder_of(folder, t->path);
		if (access(folder, W_OK) == 0)
			return WEIR_SINK_OK;
		return result_set(res, WEIR_SINK_BLOCKED, "SQLITE_CANTOPEN",
				  "make the folder, and let weir's user write "
				  "in it",
				  "%s: the folder %s: %s", t->path, folder,
				  strerror(errno));
	}
	int class = target_connect(t, false, res);
	if (class == WEIR_SINK_OK)
		class = target_begin(t, res);
	target_rollback(t, false);
	return class;
}

static int
sink_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct target *t = sink;
	char sql[160];

	t->stop_fd = -1;
	t->deadline_us = 0;
	int class = target_connect(t, true, res);
	if (class == WEIR_SINK_OK)
		class = target_make_tables(t, res);
	if (class != WEIR_SINK_OK)
		return class;
	snprintf(sql, sizeof sql,
		 "UPDATE weir_cursors SET sequence = %lld, hash = NULL WHERE "
		 "sink = ?1",
		 (long long)(sequence > 0 ? sequence - 1 : 0));
	sqlite3_stmt *st = NULL;
	class = target_prepare(t, &st, sql, res);
	if (class != WEIR_SINK_OK)
		return class;
	sqlite3_bind_text(st, 1, t->sink, -1, SQLITE_STATIC);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		class = target_error(t, rc, "rewind", res);
	bool moved = sqlite3_changes(t->db) > 0;
	sqlite3_finalize(st);
	if (class == WEIR_SINK_OK && moved)
		t->sequence = sequence > 0 ? sequence - 1 : 0;
	return class;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof plugin,
	.name = "sqlite",
	.version = "0.1.0",
	.summary = "keeps the newest state of every aggregate in an SQLite "
		   "file, a table per aggregate type",
	.capabilities =
		WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_COALESCE,
	.needs = WEIR_SINK_NEED_STATE | WEIR_SINK_NEED_TYPES,
	.options = options,
	.open = sink_open,
	.resume = sink_resume,
	.deliver = sink_deliver,
	.probe = sink_probe,
	.plan = target_plan,
	.rewind = sink_rewind,
	.close = sink_close,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
