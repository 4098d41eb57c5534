/* SPDX-License-Identifier: MIT */
/*
 * 1. list_mu guards the list and the users; an environment itself does
 *    not change while it has users.
 * 2. A map of 1 TiB takes addresses only. Where there are not so many, a
 *    smaller one is tried; it bounds the index, not the journal.
 */
#include "store/index_env.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "base/err.h"
#include "base/os.h"

#define MAP_MOST  ((size_t)1 << 40)
#define MAP_LEAST ((size_t)1 << 30)
#define READERS	  4096u
#define TABLES	  5u
#define FILE_MODE 0600

static pthread_mutex_t list_mu = PTHREAD_MUTEX_INITIALIZER;
static struct index_env *list;

int
index_env_err(struct weir_err *err, int rc, const char *what, const char *path)
{
	int code = WEIR_EIO;

	switch (rc) {
	case MDB_CORRUPTED:
	case MDB_INVALID:
	case MDB_PAGE_NOTFOUND:
	case MDB_VERSION_MISMATCH:
	case MDB_PANIC:
	case MDB_BAD_VALSIZE:
	case MDB_INCOMPATIBLE:
	case MDB_NOTFOUND:
		code = WEIR_EDAMAGE;
		break;
	case ENOSPC:
	case EDQUOT:
	case MDB_MAP_FULL:
		code = WEIR_ENOSPC;
		break;
	case ENOMEM:
		code = WEIR_ENOMEM;
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		code = WEIR_EDENIED;
		break;
	case ENOENT:
		code = WEIR_ENOTFOUND;
		break;
	}
	return err_set(err, code, "%s %s: %s", what, path, mdb_strerror(rc));
}

static int
open_tables(struct index_env *e, bool create)
{
	unsigned flags = create ? MDB_CREATE : 0;
	MDB_txn *txn = NULL;
	int rc;

	rc = mdb_txn_begin(e->env, NULL, create ? 0 : MDB_RDONLY, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, "meta", flags, &e->meta);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "heads", flags, &e->heads);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "ids", flags, &e->ids);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "places", flags, &e->places);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "writes", flags, &e->writes);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static int
open_sized(struct index_env *e, const char *path, unsigned flags, size_t map)
{
	int rc = mdb_env_create(&e->env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_maxdbs(e->env, TABLES);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(e->env, READERS);
	if (rc == 0)
		rc = mdb_env_set_mapsize(e->env, map);
	if (rc == 0)
		rc = mdb_env_open(e->env, path,
				  MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD |
					  flags,
				  FILE_MODE);
	if (rc != 0) {
		mdb_env_close(e->env);
		e->env = NULL;
	}
	return rc;
}

static int
open_env(struct index_env *e, const char *path)
{
	unsigned flags = 0;
	int rc = ENOMEM;

	for (size_t map = MAP_MOST; rc == ENOMEM && map >= MAP_LEAST;
	     map /= 32) {
		rc = open_sized(e, path, flags, map);
		if (rc == EACCES || rc == EPERM || rc == EROFS) {
			flags = MDB_RDONLY;
			rc = open_sized(e, path, flags, map);
		}
	}
	e->fixed = flags != 0;
	return rc;
}

/* A shorter file than its own last page asks for would end the process when
 * that page is looked at. */
static bool
is_whole(const struct index_env *e, const struct stat *st)
{
	MDB_envinfo info;
	MDB_stat size;

	return mdb_env_info(e->env, &info) == 0 &&
	       mdb_env_stat(e->env, &size) == 0 &&
	       ((uint64_t)info.me_last_pgno + 1) * size.ms_psize <=
		       (uint64_t)st->st_size;
}

static int
open_new(struct index_env **out, const char *path, bool create,
	 struct weir_err *err)
{
	struct index_env *e = mem_new(sizeof(*e));
	struct stat st;
	int dead, rc;

	if (e == NULL)
		return err_nomem(err);
	rc = open_env(e, path);
	if (rc != 0) {
		mem_free(e);
		return index_env_err(err, rc, "cannot open", path);
	}
	mdb_reader_check(e->env, &dead);
	if (os()->stat(path, &st) != 0)
		rc = err_sys(err, "cannot look at %s", path);
	else if (!create && !is_whole(e, &st))
		rc = err_set(err, WEIR_EDAMAGE, "%s is shorter than it says",
			     path);
	if (rc == 0) {
		rc = open_tables(e, create);
		if (rc == MDB_NOTFOUND)
			rc = err_set(err, WEIR_EDAMAGE,
				     "%s was made by another version of weir",
				     path);
		else if (rc != 0)
			rc = index_env_err(err, rc, "cannot read", path);
	}
	if (rc != 0) {
		mdb_env_close(e->env);
		mem_free(e);
		return rc;
	}
	e->dev = (uint64_t)st.st_dev;
	e->ino = (uint64_t)st.st_ino;
	e->users = 1;
	e->next = list;
	list = e;
	*out = e;
	return 0;
}

int
index_env_get(struct index_env **out, const char *path, bool create,
	      struct weir_err *err)
{
	struct index_env *e = NULL;
	struct stat st;
	int rc = 0;

	pthread_mutex_lock(&list_mu);
	if (os()->stat(path, &st) == 0) {
		for (e = list; e != NULL; e = e->next)
			if (e->dev == (uint64_t)st.st_dev &&
			    e->ino == (uint64_t)st.st_ino)
				break;
	} else if (!create) {
		rc = err_sys(err, "cannot look at %s", path);
	}
	if (e != NULL) {
		e->users++;
		*out = e;
	} else if (rc == 0) {
		rc = open_new(out, path, create, err);
	}
	pthread_mutex_unlock(&list_mu);
	return rc;
}

void
index_env_put(struct index_env *e)
{
	if (e == NULL)
		return;
	pthread_mutex_lock(&list_mu);
	if (--e->users == 0) {
		struct index_env **p = &list;
		while (*p != e)
			p = &(*p)->next;
		*p = e->next;
		mdb_env_close(e->env);
		mem_free(e);
	}
	pthread_mutex_unlock(&list_mu);
}
