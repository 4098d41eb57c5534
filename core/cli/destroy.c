/* SPDX-License-Identifier: MIT */
/*
 * weir destroy: removes a store, what belongs to it and nothing else.
 *
 * 1. Nobody else writes meanwhile: LOCK and the lock of each sink are held, or
 *    nothing is touched. A server is to be stopped first.
 * 2. Only names that weir makes are removed, each in the folder it was found
 *    in, by a descriptor of that folder: a link is never followed.
 * 3. STORE goes first, so that half a store is none. Cut short, the command
 *    does the rest when it is called again.
 */
#include "cli/commands.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/sinkfiles.h"
#include "server/pidfile.h"
#include "store/lock.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define PATH_BYTES 4200
#define LEFT_MAX   2048

/* The names of one folder that are weir's. LOCK, in which we hold the lock, is
 * removed last. */
static const char *const top_names[] = {
	"STORE",    "STORE.tmp", "live",      "weir.conf", "weir.conf.tmp",
	"weir.pid", "weir.sock", "weir.diag", NULL};
static const char *const journal_names[] = {"*.seg", "cut-*", NULL};
static const char *const index_names[] = {"*.mdb*", "*.sum*", NULL};
static const char *const sinks_names[] = {"map.conf", "map.conf.tmp", NULL};
static const char *const any_name[] = {"*", NULL};

struct destroy {
	struct cli *c;
	const char *dir;
	bool counting; /* only adds up */
	uint64_t records, aggregates, files, bytes, left;
	char unreadable[300]; /* why the store can't be read, or "" */
	char first_left[300];
};

/* ---- one folder -----------------------------------------------------------
 */

static bool
is_ours(const char *const *names, const char *name)
{
	while (*names != NULL && !str_match(str_of(*names), str_of(name)))
		names++;
	return *names != NULL;
}

static void
leave(struct destroy *d, const char *folder, const char *name)
{
	if (d->left++ == 0)
		snprintf(d->first_left, sizeof(d->first_left), "%s%s%s", folder,
			 folder[0] != '\0' ? "/" : "", name);
}

/* A name in the folder behind fd, without a way around by links. */
static void
at(char out[PATH_BYTES], int fd, const char *name)
{
	snprintf(out, PATH_BYTES, "/proc/self/fd/%d/%s", fd, name);
}

static void
look_at_file(struct destroy *d, const char *path)
{
	struct stat st;
	int fd = os_open(path, O_PATH | O_NOFOLLOW, 0, NULL);

	if (fd >= 0 && os()->fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		d->bytes += (uint64_t)st.st_size;
	os_close(fd);
	d->files++;
}

static bool
is_folder(int fd, const char *name)
{
	char path[PATH_BYTES];
	int in;

	at(path, fd, name);
	in = os_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	os_close(in);
	return in >= 0;
}

static int
take_file(struct destroy *d, int fd, const char *folder, const char *name,
	  struct weir_err *err)
{
	char path[PATH_BYTES];

	at(path, fd, name);
	if (d->counting) {
		look_at_file(d, path);
		return 0;
	}
	if (os()->unlink(path) != 0 && errno != ENOENT)
		return err_sys(err, "cannot remove %s/%s%s%s", d->dir, folder,
			       folder[0] != '\0' ? "/" : "", name);
	return 0;
}

/* The files of a folder that are ours; what else is there stays. */
static int
take_files(struct destroy *d, int fd, const char *folder,
	   const char *const *names, struct weir_err *err)
{
	char **found = NULL, path[PATH_BYTES];
	size_t n = 0;
	int rc;

	at(path, fd, ".");
	rc = os_list_folder(&found, &n, path, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (is_folder(fd, found[i]) || strcmp(found[i], "LOCK") == 0)
			continue;
		if (is_ours(names, found[i]))
			rc = take_file(d, fd, folder, found[i], err);
		else if (!d->counting)
			leave(d, folder, found[i]);
	}
	mem_free(found);
	return rc;
}

/* A folder of ours in the one behind fd: its files, then itself. one is called
 * for it between; may be NULL. */
static int
take_folder(struct destroy *d, int fd, const char *name, const char *shown,
	    const char *const *names,
	    int (*one)(struct destroy *d, int fd, struct weir_err *err),
	    struct weir_err *err)
{
	char path[PATH_BYTES];
	int in, rc;

	at(path, fd, name);
	in = os_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
	if (in == WEIR_ENOTFOUND)
		return 0;
	if (in < 0) { /* a link, or no folder */
		if (!d->counting)
			leave(d, "", shown);
		return 0;
	}
	rc = one != NULL ? one(d, in, err) : 0;
	if (rc == 0)
		rc = take_files(d, in, shown, names, err);
	os_close(in);
	if (rc == 0 && !d->counting && os()->rmdir(path) != 0 &&
	    errno != ENOTEMPTY && errno != EEXIST)
		rc = err_sys(err, "cannot remove %s/%s", d->dir, shown);
	return rc;
}

static int
take_each_sink(struct destroy *d, int fd, struct weir_err *err)
{
	char **found = NULL, path[PATH_BYTES], shown[300];
	size_t n = 0;
	int rc;

	at(path, fd, ".");
	rc = os_list_folder(&found, &n, path, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (!is_folder(fd, found[i]) ||
		    sinkfile_check_name(found[i], NULL) != 0)
			continue;
		snprintf(shown, sizeof(shown), "sinks/%s", found[i]);
		rc = take_folder(d, fd, found[i], shown, any_name, NULL, err);
	}
	mem_free(found);
	return rc;
}

/* All of the store, or what it adds up to. */
static int
take_all(struct destroy *d, struct weir_err *err)
{
	int fd = os_open(d->dir, O_RDONLY | O_DIRECTORY, 0, err);
	int rc;

	if (fd < 0)
		return fd;
	rc = take_files(d, fd, "", top_names, err);
	if (rc == 0)
		rc = take_folder(d, fd, "sinks", "sinks", sinks_names,
				 take_each_sink, err);
	if (rc == 0)
		rc = take_folder(d, fd, "index", "index", index_names, NULL,
				 err);
	if (rc == 0)
		rc = take_folder(d, fd, "journal", "journal", journal_names,
				 NULL, err);
	if (rc == 0)
		rc = take_file(d, fd, "", "LOCK", err);
	os_close(fd);
	return rc;
}

/* ---- nobody else ----------------------------------------------------------
 */

static bool
is_store(const char *dir)
{
	static const char *const marks[] = {"STORE", "journal", "LOCK"};
	char path[PATH_BYTES];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, marks[i]);
		if (os_exists(path))
			return true;
	}
	return false;
}

/* A runner of `weir sink run` holds the lock of its sink. */
static int
check_sinks(const struct destroy *d, struct weir_err *err)
{
	char **names = NULL, path[SINK_PATH_MAX];
	size_t n = 0;
	int rc = sinkfile_path(path, d->dir, NULL, NULL, err);

	if (rc != 0 || !os_exists(path))
		return rc;
	rc = os_list_folder(&names, &n, path, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (sinkfile_check_name(names[i], NULL) == 0 &&
		    sinkfile_path(path, d->dir, names[i], "lock", NULL) == 0 &&
		    lock_held(path))
			rc = err_set(err, WEIR_EUNREACH,
				     "a process delivers to sink %s; end `weir "
				     "sink run` first",
				     names[i]);
	}
	mem_free(names);
	return rc;
}

static int
check_server(const char *dir, struct weir_err *err)
{
	struct pidfile_info i;
	int rc = pidfile_read(&i, dir, err);

	if (rc == 0 && i.pid != 0)
		rc = err_set(err, WEIR_EUNREACH,
			     "weir serves %s (process %d); `weir stop` it "
			     "first",
			     dir, i.pid);
	return rc;
}

/* ---- the command ----------------------------------------------------------
 */

static void
count_records(struct destroy *d)
{
	struct weir_err err = {0};
	struct store *s = NULL;

	if (cli_open_read(d->c, &s, &err) != 0) {
		snprintf(d->unreadable, sizeof(d->unreadable), "%.280s",
			 err.msg);
		return;
	}
	d->records = store_last(s);
	d->aggregates = store_aggregates(s, false);
	store_close(s);
}

static int
ask(struct destroy *d)
{
	if (d->unreadable[0] != '\0')
		return cli_ask(d->c,
			       "destroy the store in %s, which can't be read "
			       "(%s): %" PRIu64 " files, %" PRIu64 " bytes",
			       d->dir, d->unreadable, d->files, d->bytes);
	return cli_ask(d->c,
		       "destroy the store in %s: %" PRIu64
		       " records of %" PRIu64 " aggregates, %" PRIu64
		       " files, %" PRIu64 " bytes",
		       d->dir, d->records, d->aggregates, d->files, d->bytes);
}

static void
tell(struct destroy *d, bool gone)
{
	if (d->c->json)
		buf_printf(&d->c->out,
			   "{\"destroyed\":true,\"records\":%" PRIu64
			   ",\"aggregates\":%" PRIu64 ",\"files\":%" PRIu64
			   ",\"bytes\":%" PRIu64 ",\"left\":%" PRIu64 "}\n",
			   d->records, d->aggregates, d->files, d->bytes,
			   d->left);
	else
		buf_printf(&d->c->out,
			   "destroyed %s: %" PRIu64 " records, %" PRIu64
			   " files, %" PRIu64 " bytes\n",
			   d->dir, d->records, d->files, d->bytes);
	if (!gone && d->left > 0)
		cli_warn(d->c,
			 "left what is not weir's in %s: %s%s; what sinks "
			 "wrote elsewhere stays as well",
			 d->dir, d->first_left, d->left > 1 ? " and more" : "");
}

static int
destroy(struct destroy *d, struct weir_err *err)
{
	bool gone;
	int rc;

	d->counting = false;
	rc = take_all(d, err);
	if (rc != 0)
		return rc;
	gone = os()->rmdir(d->dir) == 0;
	if (!gone)
		rc = os_sync_folder(d->dir, err);
	if (rc == 0)
		tell(d, gone);
	return rc;
}

static int
run_destroy(struct cli *c, struct weir_err *err)
{
	struct destroy d = {.c = c, .counting = true};
	char path[PATH_BYTES];
	int lock = -1, rc = cli_data_dir(c, &d.dir, err);

	if (rc == 0 && !is_store(d.dir))
		rc = err_set(err, WEIR_ENOTFOUND, "no store in %s", d.dir);
	if (rc == 0)
		rc = check_server(d.dir, err);
	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "%s/LOCK", d.dir);
	lock = lock_take(path, 0, err);
	if (lock < 0)
		return lock;
	rc = check_sinks(&d, err);
	if (rc == 0) {
		count_records(&d);
		rc = take_all(&d, err);
	}
	if (rc == 0 && ask(&d) == 1)
		rc = destroy(&d, err);
	os_close(lock);
	return rc;
}

const struct cli_command destroy_commands[] = {
	{"destroy", "remove a store and all that belongs to it",
	 "The journal, the index, the settings in the data folder and those of "
	 "sinks, dead letters with them. What sinks wrote stays, and so does a "
	 "settings file elsewhere. A server is to be stopped first.",
	 NULL, NULL, CLI_ASKS | CLI_LOCAL, run_destroy},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
