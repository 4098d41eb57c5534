/* SPDX-License-Identifier: MIT */
/*
 * Finding and loading plugins.
 *
 * 1. A plugin is never unloaded, so its descriptor and strings live as long as
 *    the process.
 * 2. What is handed out is a copy of min(struct_size) bytes of the plugin's
 *    descriptor in zeroed memory: callbacks that an older plugin does not know
 *    are NULL.
 * 3. `loaded` and the folder given by --plugin-dir are guarded by `lock`.
 */
#include "bus/loader.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/options.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDERS_MAX 64
#define PATH_LEN    512

struct plugin {
	struct weir_sink_plugin d;
	char path[PATH_LEN];
	struct plugin *next;
};

struct folders {
	char path[FOLDERS_MAX][PATH_LEN];
	size_t n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plugin *loaded;
static char given_dir[PATH_LEN];

void
loader_set_dir(const char *dir)
{
	pthread_mutex_lock(&lock);
	snprintf(given_dir, sizeof(given_dir), "%s", dir != NULL ? dir : "");
	pthread_mutex_unlock(&lock);
}

const char *
loader_dir(void)
{
	return given_dir[0] != '\0' ? given_dir : NULL;
}

static void
folders_add(struct folders *f, const char *path, size_t len)
{
	if (len == 0 || len >= PATH_LEN || f->n == FOLDERS_MAX)
		return;
	memcpy(f->path[f->n], path, len);
	f->path[f->n][len] = '\0';
	f->n++;
}

/* The build tree that this program runs from: the folder of the program, up to
 * three levels up (libtool runs DIR/.libs/prog or DIR/tests/unit/.libs/prog),
 * that holds both a config.status and plugins/. */
static void
folders_of_build(struct folders *f)
{
	char exe[PATH_MAX], probe[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char **names = NULL;
	size_t count = 0;

	if (n <= 0)
		return;
	exe[n] = '\0';
	for (int up = 0; up < 6; up++) {
		char *slash = strrchr(exe, '/');

		if (slash == NULL || slash == exe)
			return;
		*slash = '\0';
		snprintf(probe, sizeof(probe), "%s/config.status", exe);
		if (os_exists(probe))
			break;
	}
	snprintf(probe, sizeof(probe), "%s/config.status", exe);
	if (!os_exists(probe))
		return;
	snprintf(probe, sizeof(probe), "%s/plugins", exe);
	if (os_list_folder(&names, &count, probe, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		char dir[PATH_MAX + 300];
		int len = snprintf(dir, sizeof(dir), "%s/%s", probe, names[i]);

		if (len > 0 && (size_t)len < sizeof(dir))
			folders_add(f, dir, (size_t)len);
	}
	mem_free(names);
}

static void
folders_find(struct folders *f)
{
	const char *p = getenv("WEIR_PLUGIN_PATH");

	f->n = 0;
	pthread_mutex_lock(&lock);
	folders_add(f, given_dir, strlen(given_dir));
	pthread_mutex_unlock(&lock);
	while (p != NULL && *p != '\0') {
		size_t len = strcspn(p, ":");

		folders_add(f, p, len);
		p += len + (p[len] == ':');
	}
	folders_of_build(f);
	folders_add(f, WEIR_PLUGIN_DIR, strlen(WEIR_PLUGIN_DIR));
}

/* Others must not be able to put code into our process. */
static int
check_rights(const char *path, const char *kind, struct weir_err *err)
{
	struct stat st;

	if (os()->stat(path, &st) != 0)
		return err_sys(err, "cannot look at the %s %s", kind, path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(
			err, WEIR_EDENIED,
			"the plugin %s %s belongs to user %ld, not to root or "
			"you; change its owner or use another folder",
			kind, path, (long)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
	    !((st.st_mode & S_IWOTH) == 0 && st.st_gid == getegid() &&
	      st.st_gid == st.st_uid))
		return err_set(
			err, WEIR_EDENIED,
			"the plugin %s %s can be written by others; run chmod "
			"go-w on it",
			kind, path);
	return 0;
}

static bool
plugin_name_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 31 || s[0] < 'a' || s[0] > 'z')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return false;
	}
	return true;
}

static bool
line_ok(const char *s)
{
	return s != NULL && s[0] != '\0' && strlen(s) < 256 &&
	       strpbrk(s, "\n\r\t") == NULL;
}

#define CAPABILITIES                                                           \
	(WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_COALESCE |         \
	 WEIR_SINK_MULTI_LANE | WEIR_SINK_LOSSY | WEIR_SINK_REWRITES)
#define NEEDS                                                                  \
	(WEIR_SINK_NEED_JSON | WEIR_SINK_NEED_STATE | WEIR_SINK_NEED_TYPES)

/* NULL, or the rule of sink.h that a descriptor breaks. */
static const char *
descriptor_fault(const struct weir_sink_plugin *d, const char *name)
{
	if (d->name == NULL || !plugin_name_ok(d->name))
		return "its name is not [a-z][a-z0-9-]*, at most 31 long";
	if (strcmp(d->name, name) != 0)
		return "it calls itself by another name than its file";
	if (!line_ok(d->version) || !line_ok(d->summary))
		return "version or summary is missing or not one line";
	if (d->open == NULL || d->deliver == NULL || d->close == NULL)
		return "open, deliver or close is missing";
	if ((d->capabilities & WEIR_SINK_HOLDS_CURSOR) != 0 &&
	    d->resume == NULL)
		return "it holds its cursor but has no resume";
	if ((d->capabilities & WEIR_SINK_REWRITES) != 0 && d->rewind == NULL)
		return "it rewrites its target but has no rewind";
	if ((d->capabilities & WEIR_SINK_MULTI_LANE) != 0 &&
	    (d->lane_open == NULL || d->lane_close == NULL))
		return "it takes several lanes but has no lane_open or "
		       "lane_close";
	return options_fault(d->options);
}

/* Calls the exported function and copies what it returns. */
static int
take_descriptor(struct plugin *p, void *so, const char *name,
		struct weir_err *err)
{
	const struct weir_sink_plugin *(*get)(void);
	const struct weir_sink_plugin *d;
	const char *why;
	/* close is the last callback that must be there */
	size_t least =
		offsetof(struct weir_sink_plugin, close) + sizeof(d->close);

	*(void **)&get = dlsym(so, "weir_sink_plugin");
	if (get == NULL)
		return err_set(err, WEIR_EINPUT,
			       "%s is no weir sink: it does not export "
			       "weir_sink_plugin",
			       p->path);
	d = get();
	if (d == NULL)
		return err_set(err, WEIR_EINPUT,
			       "%s: weir_sink_plugin gave no descriptor",
			       p->path);
	if (d->abi_major != WEIR_SINK_ABI_MAJOR)
		return err_set(
			err, WEIR_EINPUT,
			"%s was built for plugin ABI %u, this weir speaks %u; "
			"build it anew against this weir's header",
			p->path, (unsigned)d->abi_major, WEIR_SINK_ABI_MAJOR);
	if (d->struct_size < least)
		return err_set(
			err, WEIR_EINPUT,
			"%s: its descriptor has %zu bytes, at least %zu are "
			"needed; build it anew against this weir's header",
			p->path, d->struct_size, least);
	memset(&p->d, 0, sizeof(p->d));
	memcpy(&p->d, d,
	       d->struct_size < sizeof(p->d) ? d->struct_size : sizeof(p->d));
	if ((d->needs & ~(uint32_t)NEEDS) != 0)
		return err_set(
			err, WEIR_EINPUT,
			"%s was built for plugin ABI %u.%u and needs what this "
			"weir (%u.%u) does not give; use a newer weir",
			p->path, (unsigned)d->abi_major, (unsigned)d->abi_minor,
			WEIR_SINK_ABI_MAJOR, WEIR_SINK_ABI_MINOR);
	p->d.capabilities &= CAPABILITIES;
	why = descriptor_fault(&p->d, name);
	if (why != NULL)
		return err_set(err, WEIR_EINPUT, "the plugin %s is faulty: %s",
			       p->path, why);
	return 0;
}

/* Loads a file; the lock is held. */
static int
load(struct plugin **out, const char *path, const char *name,
     struct weir_err *err)
{
	struct plugin *p = NULL;
	char dir[PATH_LEN];
	void *so = NULL;
	int rc;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	rc = check_rights(dir[0] != '\0' ? dir : "/", "folder", err);
	if (rc == 0)
		rc = check_rights(path, "file", err);
	if (rc != 0)
		return rc;
	p = mem_new(sizeof(*p));
	if (p == NULL)
		return err_nomem(err);
	snprintf(p->path, sizeof(p->path), "%s", path);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL) {
		const char *why = dlerror();

		rc = err_set(err, WEIR_EIO, "cannot load the plugin %s: %s",
			     path, why != NULL ? why : "unknown reason");
		goto out;
	}
	rc = take_descriptor(p, so, name, err);
	if (rc != 0)
		goto out;
	p->next = loaded;
	loaded = p;
	*out = p;
	p = NULL;
	so = NULL;
out:
	if (so != NULL)
		dlclose(so);
	mem_free(p);
	return rc;
}

static struct plugin *
find_loaded(const char *name)
{
	for (struct plugin *p = loaded; p != NULL; p = p->next) {
		if (strcmp(p->d.name, name) == 0)
			return p;
	}
	return NULL;
}

/* The first X.so or .libs/X.so in the folders; false when there is none. */
static bool
find_file(char out[PATH_LEN], const struct folders *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		char *abs = NULL;
		int n = snprintf(out, PATH_LEN, "%s/%s.so", f->path[i], name);

		if (n > 0 && n < PATH_LEN && !os_exists(out)) {
			n = snprintf(out, PATH_LEN, "%s/.libs/%s.so",
				     f->path[i], name);
		}
		if (n <= 0 || n >= PATH_LEN || !os_exists(out))
			continue;
		if (os_absolute(&abs, out, NULL) == 0) {
			n = snprintf(out, PATH_LEN, "%s", abs);
			mem_free(abs);
		}
		if (n > 0 && n < PATH_LEN)
			return true;
	}
	return false;
}

static int
not_found(const char *name, struct weir_err *err)
{
	struct plugin_entry *list = NULL;
	const char *near = NULL, *words[129];
	size_t n = 0, k = 0;

	if (loader_list(&list, &n, NULL) == 0) {
		for (; k < n && k < 128; k++)
			words[k] = list[k].name;
		words[k] = NULL;
		near = str_nearest(name, words);
	}
	if (near != NULL)
		err_set(err, WEIR_ENOTFOUND,
			"there is no plugin %s; did you mean %s?", name, near);
	else
		err_set(err, WEIR_ENOTFOUND,
			"there is no plugin %s; `weir plugin list` shows those "
			"that there are, --plugin-dir and WEIR_PLUGIN_PATH "
			"name more folders",
			name);
	mem_free(list);
	return WEIR_ENOTFOUND;
}

static int
find(struct plugin **out, const char *name, struct weir_err *err)
{
	struct folders *f = NULL;
	char path[PATH_LEN];
	struct plugin *p;
	int rc = 0;

	pthread_mutex_lock(&lock);
	p = find_loaded(name);
	pthread_mutex_unlock(&lock);
	if (p != NULL) {
		*out = p;
		return 0;
	}
	f = mem_new(sizeof(*f));
	if (f == NULL)
		return err_nomem(err);
	folders_find(f);
	if (!plugin_name_ok(name) || !find_file(path, f, name)) {
		rc = WEIR_ENOTFOUND;
		goto out;
	}
	pthread_mutex_lock(&lock);
	p = find_loaded(name);
	if (p == NULL)
		rc = load(&p, path, name, err);
	pthread_mutex_unlock(&lock);
	if (rc == 0)
		*out = p;
out:
	mem_free(f);
	return rc;
}

int
loader_find(const struct weir_sink_plugin **out, const char *name,
	    struct weir_err *err)
{
	struct weir_err e = {0};
	struct plugin *p = NULL;
	int rc = find(&p, name, &e);

	if (rc == WEIR_ENOTFOUND && e.msg[0] == '\0')
		return not_found(name, err);
	if (rc != 0) {
		if (err != NULL)
			*err = e;
		return rc;
	}
	*out = &p->d;
	return 0;
}

const char *
loader_path(const char *name)
{
	struct plugin *p;

	pthread_mutex_lock(&lock);
	p = find_loaded(name);
	pthread_mutex_unlock(&lock);
	return p != NULL ? p->path : NULL;
}

static int
entry_cmp(const void *a, const void *b)
{
	const struct plugin_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct list {
	struct plugin_entry *v;
	size_t n, cap;
};

/* Adds NAME.so unless that name was found in an earlier folder. */
static int
list_add(struct list *l, const char *dir, const char *file,
	 struct weir_err *err)
{
	struct plugin_entry *e;
	struct weir_err why = {0};
	size_t len = strlen(file);
	struct plugin *p = NULL;
	char name[32];

	if (len < 4 || len - 3 >= sizeof(name) ||
	    strcmp(file + len - 3, ".so") != 0)
		return 0;
	memcpy(name, file, len - 3);
	name[len - 3] = '\0';
	if (!plugin_name_ok(name))
		return 0;
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].name, name) == 0)
			return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap != 0 ? l->cap * 2 : 16;

		e = mem_resize(l->v, cap * sizeof(*e));
		if (e == NULL)
			return err_nomem(err);
		l->v = e;
		l->cap = cap;
	}
	e = &l->v[l->n++];
	memset(e, 0, sizeof(*e));
	memcpy(e->name, name, len - 2);
	if (find(&p, name, &why) == 0) {
		e->plugin = &p->d;
		memcpy(e->path, p->path, sizeof(e->path));
	} else {
		snprintf(e->path, sizeof(e->path), "%.400s/%.100s", dir, file);
		snprintf(e->why, sizeof(e->why), "%.255s", why.msg);
	}
	return 0;
}

int
loader_list(struct plugin_entry **out, size_t *n, struct weir_err *err)
{
	struct folders *f = mem_new(sizeof(*f));
	struct list l = {0};
	int rc = 0;

	if (f == NULL)
		return err_nomem(err);
	folders_find(f);
	for (size_t i = 0; i < 2 * f->n && rc == 0; i++) {
		char dir[PATH_LEN + 8];
		char **names = NULL;
		size_t count = 0;

		snprintf(dir, sizeof(dir), "%s%s", f->path[i / 2],
			 i % 2 != 0 ? "/.libs" : "");
		if (os_list_folder(&names, &count, dir, NULL) != 0)
			continue;
		for (size_t k = 0; k < count && rc == 0; k++)
			rc = list_add(&l, dir, names[k], err);
		mem_free(names);
	}
	mem_free(f);
	if (rc != 0) {
		mem_free(l.v);
		return rc;
	}
	if (l.n != 0)
		qsort(l.v, l.n, sizeof(*l.v), entry_cmp);
	*out = l.v;
	*n = l.n;
	return 0;
}
