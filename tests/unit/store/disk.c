/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "store_test.h"

#define FILES  128
#define FDS    1024
#define SECTOR 512u

const char *const call_names[CALLS] = {
	"open",	  "pread",   "pwrite",	 "read",  "fdatasync", "fsync",
	"fstat",  "stat",    "rename",	 "mkdir", "flock",     "mmap",
	"random", "realloc", "getdents", "clock"};

struct write {
	struct write *next;
	size_t at, n;
	uint8_t bytes[];
};

struct file {
	char path[600];	  /* "" when it has no name now */
	char synced[600]; /* the name that a power loss leaves */
	bool folder;
	uint8_t *bytes; /* synced */
	size_t n;
	struct write *first, **last; /* not synced */
};

static struct {
	struct os table, plain;
	char dir[300];
	struct file file[FILES];
	unsigned nfiles;
	struct file *fd[FDS];
	uint64_t count[CALLS];
	int fail_call, error;
	uint64_t fail_at;
	bool part, on, failed, shorten;
	unsigned turn;
	void (*fn)(void *cookie);
	void *cookie;
} disk;

/* ---- files -------------------------------------------------------------- */

static struct file *
find(const char *path)
{
	for (unsigned i = 0; i < disk.nfiles; i++)
		if (strcmp(disk.file[i].path, path) == 0)
			return &disk.file[i];
	return NULL;
}

static struct file *
add_file(const char *path, bool folder)
{
	assert_true(disk.nfiles < FILES);
	struct file *f = &disk.file[disk.nfiles++];
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->folder = folder;
	f->last = &f->first;
	return f;
}

static bool
stands_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/' &&
	       strchr(path + n + 1, '/') == NULL;
}

static bool
inside(const char *path)
{
	return strncmp(path, disk.dir, strlen(disk.dir)) == 0;
}

static void
forget_writes(struct file *f)
{
	struct write *next;

	for (struct write *w = f->first; w != NULL; w = next) {
		next = w->next;
		free(w);
	}
	f->first = NULL;
	f->last = &f->first;
}

static void
put(uint8_t **bytes, size_t *n, size_t at, const uint8_t *p, size_t len)
{
	if (at + len > *n) {
		*bytes = realloc(*bytes, at + len);
		assert_non_null(*bytes);
		memset(*bytes + *n, 0, at + len - *n);
		*n = at + len;
	}
	memcpy(*bytes + at, p, len);
}

static void
sync_file(struct file *f)
{
	for (struct write *w = f->first; w != NULL; w = w->next)
		put(&f->bytes, &f->n, w->at, w->bytes, w->n);
	forget_writes(f);
}

static void
sync_names(const char *folder)
{
	for (unsigned i = 0; i < disk.nfiles; i++) {
		struct file *f = &disk.file[i];
		if (stands_in(f->path, folder) || stands_in(f->synced, folder))
			memcpy(f->synced, f->path, sizeof(f->path));
	}
}

/* ---- calls -------------------------------------------------------------- */

/* Counts a call; true when it is to fail. */
static bool
fails(enum call call)
{
	disk.count[call]++;
	if ((int)call != disk.fail_call || disk.count[call] < disk.fail_at)
		return false;
	if (disk.count[call] > disk.fail_at && !disk.on)
		return false;
	disk.failed = true;
	errno = disk.error;
	return true;
}

static void
watch(void)
{
	if (disk.fn != NULL)
		disk.fn(disk.cookie);
}

static int
disk_open(const char *path, int flags, mode_t mode)
{
	if (fails(CALL_OPEN))
		return -1;
	bool fresh = (flags & O_CREAT) != 0 && !file_exists(path);
	if (fresh && inside(path))
		watch();
	int fd = os_real()->open(path, flags, mode);
	if (fd < 0 || !inside(path))
		return fd;
	assert_true(fd < FDS);
	struct file *f = find(path);
	if (f == NULL)
		f = add_file(path, (flags & O_DIRECTORY) != 0);
	disk.fd[fd] = f;
	return fd;
}

static int
disk_close(int fd)
{
	disk.fd[fd] = NULL;
	return os_real()->close(fd);
}

static ssize_t
disk_pread(int fd, void *buf, size_t n, off_t at)
{
	return fails(CALL_PREAD) ? -1 : os_real()->pread(fd, buf, n, at);
}

static ssize_t
disk_read(int fd, void *buf, size_t n)
{
	return fails(CALL_READ) ? -1 : os_real()->read(fd, buf, n);
}

static ssize_t
disk_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	bool failing = fails(CALL_PWRITE);
	struct file *f = disk.fd[fd];

	if (failing && (!disk.part || n < 2))
		return -1;
	if (disk.shorten && ++disk.turn % 5 == 0) {
		errno = EINTR;
		return -1;
	}
	watch();
	if (failing || (disk.shorten && n > 1))
		n = n / 2;
	ssize_t put_n = os_real()->pwrite(fd, buf, n, at);
	if (put_n > 0 && f != NULL) {
		struct write *w = malloc(sizeof(*w) + (size_t)put_n);
		assert_non_null(w);
		*w = (struct write){.at = (size_t)at, .n = (size_t)put_n};
		memcpy(w->bytes, buf, (size_t)put_n);
		*f->last = w;
		f->last = &w->next;
	}
	/* The rest fails at the next call. */
	if (failing)
		disk.fail_at++, disk.part = false;
	return put_n;
}

static int
sync_fd(enum call call, int fd)
{
	struct file *f = disk.fd[fd];

	watch();
	if (fails(call)) {
		if (f != NULL && !f->folder)
			forget_writes(f);
		return -1;
	}
	if (f != NULL && f->folder)
		sync_names(f->path);
	else if (f != NULL)
		sync_file(f);
	return 0;
}

static int
disk_fdatasync(int fd)
{
	return sync_fd(CALL_FDATASYNC, fd);
}

static int
disk_fsync(int fd)
{
	return sync_fd(CALL_FSYNC, fd);
}

static int
disk_fstat(int fd, struct stat *st)
{
	return fails(CALL_FSTAT) ? -1 : os_real()->fstat(fd, st);
}

static int
disk_stat(const char *path, struct stat *st)
{
	return fails(CALL_STAT) ? -1 : os_real()->stat(path, st);
}

static int
disk_rename(const char *from, const char *to)
{
	struct file *f = find(from), *old = find(to);

	if (fails(CALL_RENAME))
		return -1;
	watch();
	if (os_real()->rename(from, to) != 0)
		return -1;
	if (old != NULL)
		old->path[0] = '\0';
	assert_non_null(f);
	snprintf(f->path, sizeof(f->path), "%s", to);
	return 0;
}

static int
disk_unlink(const char *path)
{
	struct file *f = find(path);

	if (f != NULL)
		f->path[0] = '\0';
	return os_real()->unlink(path);
}

static int
disk_mkdir(const char *path, mode_t mode)
{
	if (fails(CALL_MKDIR))
		return -1;
	watch();
	int rc = os_real()->mkdir(path, mode);
	if (rc == 0 && inside(path))
		add_file(path, true);
	return rc;
}

static int
disk_flock(int fd, int op)
{
	return fails(CALL_FLOCK) ? -1 : os_real()->flock(fd, op);
}

static void *
disk_mmap(size_t n, int prot, int flags, int fd, off_t at)
{
	return fails(CALL_MMAP) ? MAP_FAILED
				: os_real()->mmap(n, prot, flags, fd, at);
}

static int
disk_random(void *buf, size_t n)
{
	return fails(CALL_RANDOM) ? -1 : os_real()->random(buf, n);
}

static void *
disk_realloc(void *p, size_t n)
{
	return fails(CALL_REALLOC) ? NULL : os_real()->realloc(p, n);
}

static ssize_t
disk_getdents(int fd, void *buf, size_t n)
{
	return fails(CALL_GETDENTS) ? -1 : os_real()->getdents(fd, buf, n);
}

static int
disk_clock(clockid_t id, struct timespec *ts)
{
	return fails(CALL_CLOCK) ? -1 : os_real()->clock_gettime(id, ts);
}

/* ---- begin and end ------------------------------------------------------ */

static void
load(const char *folder)
{
	char **names = NULL;
	struct stat st;
	size_t n = 0;

	assert_int_equal(os_list_folder(&names, &n, folder, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		char path[600];
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		assert_int_equal(stat(path, &st), 0);
		struct file *f = add_file(path, S_ISDIR(st.st_mode));
		memcpy(f->synced, f->path, sizeof(f->path));
		if (f->folder)
			load(path);
		else
			f->bytes = file_read(&f->n, path);
	}
	mem_free(names);
}

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

void
disk_begin(const char *dir)
{
	memset(&disk, 0, sizeof(disk));
	snprintf(disk.dir, sizeof(disk.dir), "%s", dir);
	disk.fail_call = -1;
	disk.plain = *os_real();
	disk.plain.fdatasync = disk.plain.fsync = no_sync;
	disk.table = *os_real();
	disk.table.open = disk_open;
	disk.table.close = disk_close;
	disk.table.pread = disk_pread;
	disk.table.read = disk_read;
	disk.table.pwrite = disk_pwrite;
	disk.table.fdatasync = disk_fdatasync;
	disk.table.fsync = disk_fsync;
	disk.table.fstat = disk_fstat;
	disk.table.stat = disk_stat;
	disk.table.rename = disk_rename;
	disk.table.unlink = disk_unlink;
	disk.table.mkdir = disk_mkdir;
	disk.table.flock = disk_flock;
	disk.table.mmap = disk_mmap;
	disk.table.random = disk_random;
	disk.table.realloc = disk_realloc;
	disk.table.getdents = disk_getdents;
	disk.table.clock_gettime = disk_clock;
	load(dir);
	os_set(&disk.table);
}

void
disk_end(void)
{
	os_set(NULL);
	for (unsigned i = 0; i < disk.nfiles; i++) {
		forget_writes(&disk.file[i]);
		free(disk.file[i].bytes);
	}
	memset(&disk, 0, sizeof(disk));
}

void
disk_fail(enum call call, uint64_t n, int error, bool part, bool on)
{
	memset(disk.count, 0, sizeof(disk.count));
	disk.fail_call = (int)call;
	disk.fail_at = n;
	disk.error = error;
	disk.part = part;
	disk.on = on;
	disk.failed = false;
}

void
disk_short(bool yes)
{
	disk.shorten = yes;
}

void
disk_mend(void)
{
	disk.fail_call = -1;
}

bool
disk_failed(void)
{
	return disk.failed;
}

void
disk_watch(void (*fn)(void *cookie), void *cookie)
{
	disk.fn = fn;
	disk.cookie = cookie;
}

void
disk_pause(void)
{
	os_set(&disk.plain);
}

void
disk_resume(void)
{
	os_set(&disk.table);
}

/* ---- power loss --------------------------------------------------------- */

static uint64_t
mix(uint64_t seed, uint64_t n)
{
	seed = (seed ^ n) * 0x9e3779b97f4a7c15u;
	seed ^= seed >> 29;
	seed *= 0xbf58476d1ce4e5b9u;
	return seed ^ seed >> 32;
}

/* How many of a file's unsynced writes a sector holds. Later ones hold the
 * earlier ones, for the kernel writes out what it has. */
static size_t
reached(const struct file *f, enum lost lost, uint64_t seed, size_t sector)
{
	size_t writes = 0, most = 0;

	for (const struct write *w = f->first; w != NULL; w = w->next) {
		writes++;
		if (w->at + w->n > most)
			most = w->at + w->n;
	}
	if (lost == LOST_NONE)
		return writes;
	if (lost == LOST_ALL || writes == 0)
		return 0;
	if (lost == LOST_TAILS) {
		size_t from = f->first->at / SECTOR;
		size_t n = most / SECTOR + 2 - from;
		return sector < from + mix(seed, f->n) % n ? writes : 0;
	}
	return mix(seed, sector) % (writes + 1);
}

static void
put_sectors(uint8_t **bytes, size_t *n, const struct file *f, enum lost lost,
	    uint64_t seed)
{
	size_t i = 0;

	for (const struct write *w = f->first; w != NULL; w = w->next, i++) {
		size_t at = w->at, end = w->at + w->n;
		while (at < end) {
			size_t stop = at - at % SECTOR + SECTOR;
			if (stop > end)
				stop = end;
			if (i < reached(f, lost, seed, at / SECTOR))
				put(bytes, n, at, w->bytes + (at - w->at),
				    stop - at);
			at = stop;
		}
	}
}

void
disk_crash(const char *to, enum lost lost, uint64_t seed)
{
	size_t top = strlen(disk.dir);
	char path[900];

	folder_empty(to);
	for (unsigned i = 0; i < disk.nfiles; i++) {
		struct file *f = &disk.file[i];
		bool now = lost == LOST_NONE ||
			   (lost != LOST_ALL && mix(seed, i) % 2 == 0);
		const char *name = now ? f->path : f->synced;
		/* The page and the lock mean nothing after a boot. */
		if (strlen(name) <= top + 1 || strstr(name, "/live") != NULL ||
		    strstr(name, "/LOCK") != NULL)
			continue;
		snprintf(path, sizeof(path), "%s%s", to, name + top);
		if (f->folder) {
			assert_int_equal(mkdir(path, 0700), 0);
			continue;
		}
		size_t n = f->n;
		uint8_t *bytes = malloc(n + 1);
		assert_non_null(bytes);
		if (n > 0)
			memcpy(bytes, f->bytes, n);
		put_sectors(&bytes, &n, f, lost, seed);
		/* A file in a folder that was lost is lost with it. */
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			      0600);
		if (fd >= 0) {
			assert_int_equal(write(fd, bytes, n), n);
			close(fd);
		}
		free(bytes);
	}
}
