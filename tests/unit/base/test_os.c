/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include "base/err.h"
#include "base_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

/* ---- a table that fails, shortens or counts calls ----------------------- */

static struct {
	int fail_at;	/* the n-th counted call fails, 0: none */
	int error;	/* with this errno */
	int calls;	/* counted so far */
	size_t at_most; /* bytes a transfer moves, 0: all */
	int interrupts; /* so many calls say EINTR first */
	char trace[4096];
} plan;

static bool
hit(const char *name)
{
	size_t n = strlen(plan.trace);

	snprintf(plan.trace + n, sizeof plan.trace - n, "%s ", name);
	if (plan.interrupts > 0) {
		plan.interrupts--;
		errno = EINTR;
		return true;
	}
	if (++plan.calls != plan.fail_at)
		return false;
	errno = plan.error;
	return true;
}

static size_t
less(size_t n)
{
	return plan.at_most > 0 && n > plan.at_most ? plan.at_most : n;
}

static int
t_open(const char *path, int flags, mode_t mode)
{
	return hit("open") ? -1 : os_real()->open(path, flags, mode);
}

static ssize_t
t_pread(int fd, void *p, size_t n, off_t at)
{
	return hit("pread") ? -1 : os_real()->pread(fd, p, less(n), at);
}

static ssize_t
t_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return hit("pwrite") ? -1 : os_real()->pwrite(fd, p, less(n), at);
}

static ssize_t
t_read(int fd, void *p, size_t n)
{
	return hit("read") ? -1 : os_real()->read(fd, p, less(n));
}

static int
t_fdatasync(int fd)
{
	return hit("fdatasync") ? -1 : os_real()->fdatasync(fd);
}

static int
t_fsync(int fd)
{
	return hit("fsync") ? -1 : os_real()->fsync(fd);
}

static int
t_rename(const char *from, const char *to)
{
	return hit("rename") ? -1 : os_real()->rename(from, to);
}

static int
t_mkdir(const char *path, mode_t mode)
{
	return hit("mkdir") ? -1 : os_real()->mkdir(path, mode);
}

static int
t_flock(int fd, int op)
{
	return hit("flock") ? -1 : os_real()->flock(fd, op);
}

static int
t_fstat(int fd, struct stat *st)
{
	return hit("fstat") ? -1 : os_real()->fstat(fd, st);
}

static ssize_t
t_getdents(int fd, void *p, size_t n)
{
	return hit("getdents") ? -1 : os_real()->getdents(fd, p, n);
}

static void *
t_realloc(void *p, size_t n)
{
	return hit("realloc") ? NULL : os_real()->realloc(p, n);
}

static void
use_plan(int fail_at, int error)
{
	static struct os table;

	memset(&plan, 0, sizeof plan);
	plan.fail_at = fail_at;
	plan.error = error;
	table = *os_real();
	table.open = t_open;
	table.pread = t_pread;
	table.pwrite = t_pwrite;
	table.read = t_read;
	table.fdatasync = t_fdatasync;
	table.fsync = t_fsync;
	table.rename = t_rename;
	table.mkdir = t_mkdir;
	table.flock = t_flock;
	table.fstat = t_fstat;
	table.getdents = t_getdents;
	os_set(&table);
}

static char folder[200];

static const char *
in_folder(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static int
begin(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/weir-os-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	(void)state;
	return mkdtemp(folder) == NULL;
}

static void
remove_tree(const char *path)
{
	char **names;
	char under[600];
	size_t n;

	if (os_list_folder(&names, &n, path, NULL) == 0) {
		for (size_t i = 0; i < n; i++) {
			snprintf(under, sizeof under, "%s/%s", path, names[i]);
			if (unlink(under) != 0)
				remove_tree(under);
		}
		mem_free(names);
	}
	rmdir(path);
}

static int
end(void **state)
{
	(void)state;
	os_set(NULL);
	remove_tree(folder);
	return access(folder, F_OK) == 0;
}

static void
content_is(const char *path, const char *want)
{
	char *text;
	size_t n;

	assert_int_equal(os_read_file(&text, &n, path, 1 << 20, NULL), 0);
	assert_int_equal(n, strlen(want));
	assert_string_equal(text, want);
	mem_free(text);
}

/* ---- tests -------------------------------------------------------------- */

static void
test_table(void **state)
{
	struct os table = *os_real();

	(void)state;
	assert_ptr_equal(os(), os_real());
	os_set(&table);
	assert_ptr_equal(os(), &table);
	os_set(NULL);
	assert_ptr_equal(os(), os_real());
	int fd = os()->open("/dev/null", O_RDONLY, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	os_close(fd);
	errno = 7;
	os_close(-1);
	os_close(fd); /* closed already: ignored */
	assert_int_equal(errno, 7);
}

static void
test_memory(void **state)
{
	static struct os table;

	(void)state;
	char *p = mem_new(100);
	assert_non_null(p);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	p = mem_resize(p, 10);
	assert_non_null(p);
	mem_free(p);
	p = mem_dup("abc", 2);
	assert_string_equal(p, "ab");
	mem_free(p);
	p = mem_dup(NULL, 0);
	assert_string_equal(p, "");
	mem_free(p);
	mem_free(NULL);
	errno = 0;
	assert_null(mem_new(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_null(mem_dup("", SIZE_MAX));

	memset(&plan, 0, sizeof plan);
	plan.fail_at = 1;
	plan.error = EAGAIN;
	table = *os_real();
	table.realloc = t_realloc;
	os_set(&table);
	assert_null(mem_new(10));
	assert_int_equal(errno, ENOMEM);
	os_set(NULL);
}

/* Short transfers and EINTR are finished. */
static void
test_transfers(void **state)
{
	struct weir_err err = {0};
	char text[100], back[100];
	const char *path = in_folder("file");

	(void)state;
	for (int i = 0; i < 100; i++)
		text[i] = (char)i;
	use_plan(0, 0);
	int fd = os_open(path, O_RDWR | O_CREAT, 0600, &err);
	assert_true(fd >= 0);
	plan.at_most = 7;
	plan.interrupts = 3;
	assert_int_equal(os_pwrite_all(fd, path, text, 100, 5, &err), 0);
	assert_int_equal(plan.calls, 1 + 15);
	plan.interrupts = 3;
	assert_int_equal(os_pread_all(fd, path, back, 100, 5, &err), 0);
	assert_memory_equal(text, back, 100);
	assert_int_equal(os_pread_upto(fd, path, back, 100, 95, &err), 10);
	assert_int_equal(os_pread_upto(fd, path, back, 100, 200, &err), 0);
	assert_int_equal(os_pread_all(fd, path, back, 100, 95, &err),
			 WEIR_EDAMAGE);
	assert_int_equal(err.offset, 105);
	assert_non_null(strstr(err.msg, path));
	plan.interrupts = 2;
	assert_int_equal(os_sync_data(fd, path, &err), 0);
	os_close(fd);
}

static void
test_failures(void **state)
{
	struct weir_err err = {0};
	const char *path = in_folder("file");
	char raw[10] = {0};

	(void)state;
	use_plan(0, 0);
	int fd = os_open(path, O_RDWR | O_CREAT, 0600, &err);
	plan.at_most = 4;
	plan.fail_at = plan.calls + 2;
	plan.error = ENOSPC;
	assert_int_equal(os_pwrite_all(fd, path, raw, 10, 100, &err),
			 WEIR_ENOSPC);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_int_equal(err.offset, 104);
	plan.fail_at = plan.calls + 1;
	plan.error = EIO;
	assert_int_equal(os_pread_all(fd, path, raw, 4, 100, &err), WEIR_EIO);
	assert_int_equal(err.offset, 100);
	plan.fail_at = plan.calls + 1;
	plan.trace[0] = '\0';
	assert_int_equal(os_sync_data(fd, path, &err), WEIR_EIO);
	assert_string_equal(plan.trace, "fdatasync "); /* never again */
	os_close(fd);
	assert_int_equal(os_open(in_folder("none"), O_RDONLY, 0, &err),
			 WEIR_ENOTFOUND);
	plan.fail_at = plan.calls + 1;
	plan.error = EACCES;
	assert_int_equal(os_open(path, O_RDONLY, 0, &err), WEIR_EDENIED);
	assert_int_equal(os_open(path, O_RDONLY | O_DIRECTORY, 0, NULL),
			 WEIR_EIO);
}

static void
test_zero_fill(void **state)
{
	const char *path = in_folder("file");
	struct stat st;
	char raw[3];

	(void)state;
	int fd = os_open(path, O_RDWR | O_CREAT, 0600, NULL);
	assert_int_equal(os_pwrite_all(fd, path, "xxxxxxxxxx", 10, 0, NULL), 0);
	assert_int_equal(os_zero_fill(fd, path, 3, 200000, NULL), 0);
	assert_int_equal(os_zero_fill(fd, path, 5, 5, NULL), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 200000);
	assert_true(st.st_blocks * 512 >= 190000); /* written, no hole */
	assert_int_equal(os_pread_all(fd, path, raw, 3, 2, NULL), 0);
	assert_memory_equal(raw, "x\0\0", 3);
	os_close(fd);
}

static void
test_read_file(void **state)
{
	const char *path = in_folder("file");
	struct weir_err err = {0};
	char *text = NULL;
	size_t n = 9;
	char big[10001];

	(void)state;
	assert_int_equal(os_replace_file(path, "", 0, 0600, &err), 0);
	content_is(path, "");
	memset(big, 'x', sizeof big);
	assert_int_equal(os_replace_file(path, big, 10000, 0600, &err), 0);
	assert_int_equal(os_read_file(&text, &n, path, 9999, &err),
			 WEIR_EINPUT);
	assert_null(text);
	assert_int_equal(n, 9);
	use_plan(0, 0);
	plan.at_most = 1000;
	plan.interrupts = 1;
	assert_int_equal(os_read_file(&text, &n, path, 10000, &err), 0);
	assert_int_equal(n, 10000);
	assert_int_equal(text[n], '\0');
	mem_free(text);
	/* a file of /proc has no size */
	assert_int_equal(os_read_file(&text, &n,
				      "/proc/sys/kernel/random/boot_id", 100,
				      &err),
			 0);
	assert_int_equal(n, 37);
	mem_free(text);
	assert_int_equal(os_read_file(&text, &n, folder, 100, &err), WEIR_EIO);
	assert_int_equal(os_read_file(&text, &n, in_folder("none"), 100, &err),
			 WEIR_ENOTFOUND);
}

static void
test_replace(void **state)
{
	const char *path = in_folder("file");
	const char *left = in_folder("file.tmp");
	struct weir_err err = {0};
	struct stat st;

	(void)state;
	use_plan(0, 0);
	assert_int_equal(os_replace_file(path, "one", 3, 0640, &err), 0);
	/* in this order, and nothing after the rename but the folder */
	assert_string_equal(
		plan.trace,
		"open flock fstat pwrite fdatasync rename open fsync ");
	content_is(path, "one");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07137, 0);
	assert_false(os_exists(left));

	/* what a crash left is no hindrance and does not show through */
	int fd = os_open(left, O_WRONLY | O_CREAT, 0600, &err);
	assert_int_equal(os_pwrite_all(fd, left, "longer rest", 11, 0, &err),
			 0);
	os_close(fd);
	assert_int_equal(os_replace_file(path, "two", 3, 0640, &err), 0);
	content_is(path, "two");
	assert_false(os_exists(left));
	assert_int_equal(
		os_replace_file(in_folder("no/file"), "x", 1, 0600, &err),
		WEIR_ENOTFOUND);
}

/* Whichever call fails: the old or the new content, whole, and nothing left
 * behind; before the rename it is the old. */
static void
test_replace_failing(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	const char *path = in_folder("file");
	const char *left = in_folder("file.tmp");
	struct weir_err err;

	(void)state;
	for (int n = 1; n <= 9; n++) {
		use_plan(0, 0);
		assert_int_equal(os_replace_file(path, "old", 3, 0600, &err),
				 0);
		use_plan(n, errors[n % 2]);
		int rc = os_replace_file(path, "new!", 4, 0600, &err);
		os_set(NULL);
		if (n == 9) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_int_equal(rc, n % 2 ? WEIR_ENOSPC : WEIR_EIO);
		assert_int_equal(err.sys_errno, errors[n % 2]);
		content_is(path, n <= 6 ? "old" : "new!");
		/* an empty one may stay when it could not be locked */
		struct stat st;
		assert_true(stat(left, &st) != 0 || st.st_size == 0);
	}
}

static void
test_folders(void **state)
{
	struct weir_err err = {0};

	(void)state;
	use_plan(0, 0);
	assert_int_equal(os_make_folders(in_folder("a//b/c/"), 0700, &err), 0);
	assert_string_equal(plan.trace, "mkdir open fsync mkdir open fsync "
					"mkdir open fsync ");
	assert_true(os_exists(in_folder("a/b/c")));
	assert_int_equal(os_make_folders(in_folder("a/b/c"), 0700, &err), 0);
	assert_int_equal(os_make_folders("/", 0700, &err), 0);
	assert_int_equal(os_make_folders("", 0700, &err), WEIR_EINPUT);
	assert_int_equal(os_replace_file(in_folder("f"), "", 0, 0600, &err), 0);
	assert_int_equal(os_make_folders(in_folder("f"), 0700, &err),
			 WEIR_EINPUT);
	assert_int_equal(os_make_folders(in_folder("f/g"), 0700, &err),
			 WEIR_EINPUT);
	for (int n = 1; n <= 3; n++) {
		use_plan(n, EIO);
		assert_int_equal(os_make_folders(in_folder("x"), 0700, &err),
				 WEIR_EIO);
		rmdir(in_folder("x"));
	}
}

static void
test_list(void **state)
{
	struct weir_err err = {0};
	char **names = NULL;
	size_t n = 9;
	char name[40];

	(void)state;
	assert_int_equal(os_list_folder(&names, &n, folder, &err), 0);
	assert_int_equal(n, 0);
	assert_null(names[0]);
	mem_free(names);
	for (int i = 999; i >= 0; i--) {
		snprintf(name, sizeof name, "name-%03d-and-some-more", i);
		os_close(os_open(in_folder(name), O_CREAT | O_WRONLY, 0600,
				 NULL));
	}
	use_plan(0, 0);
	plan.interrupts = 1;
	assert_int_equal(os_list_folder(&names, &n, folder, &err), 0);
	assert_int_equal(n, 1000);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "name-%03zu-and-some-more", i);
		assert_string_equal(names[i], name);
	}
	mem_free(names);
	names = NULL;
	for (int at = 1; at <= 3; at++) {
		use_plan(at, EIO);
		assert_int_equal(os_list_folder(&names, &n, folder, &err),
				 WEIR_EIO);
		assert_null(names);
	}
	os_set(NULL);
	assert_int_equal(os_list_folder(&names, &n, in_folder("no"), &err),
			 WEIR_ENOTFOUND);
}

static void
absolute_is(const char *path, const char *want)
{
	char *got = NULL;

	assert_int_equal(os_absolute(&got, path, NULL), 0);
	assert_string_equal(got, want);
	mem_free(got);
}

static char *
no_getcwd(char *p, size_t n)
{
	(void)p;
	(void)n;
	errno = ENOENT;
	return NULL;
}

static void
test_absolute(void **state)
{
	struct os table = *os_real();
	struct weir_err err = {0};
	char here[4096], want[4200];
	char *got = NULL;

	(void)state;
	absolute_is("/", "/");
	absolute_is("/a/b", "/a/b");
	absolute_is("//a//b/", "/a/b");
	absolute_is("/a/./b/../c", "/a/c");
	absolute_is("/..", "/");
	absolute_is("/../../a", "/a");
	absolute_is("/a/..", "/");
	absolute_is("/a/...", "/a/...");
	absolute_is("/a/.b", "/a/.b");
	assert_non_null(getcwd(here, sizeof here));
	snprintf(want, sizeof want, "%s/x/y", here);
	absolute_is("./x/z/../y", want);
	absolute_is(".", here);
	assert_int_equal(os_absolute(&got, "", &err), WEIR_EINPUT);
	table.getcwd = no_getcwd;
	os_set(&table);
	assert_int_equal(os_absolute(&got, "x", &err), WEIR_ENOTFOUND);
	absolute_is("/x", "/x");
	assert_null(got);
}

static void
test_random(void **state)
{
	unsigned char a[300] = {0}, b[300] = {0};

	(void)state;
	assert_int_equal(os()->random(a, sizeof a), 0);
	assert_int_equal(os()->random(b, sizeof b), 0);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(a + 280, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
				16);
}

static void
test_futex(void **state)
{
	struct timespec soon = {0, 1000000};
	uint32_t word = 5;

	(void)state;
	assert_int_equal(os()->futex_wait(&word, 4, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(os()->futex_wait(&word, 5, &soon), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(os()->futex_wake(&word, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_memory),
		cmocka_unit_test_setup_teardown(test_transfers, begin, end),
		cmocka_unit_test_setup_teardown(test_failures, begin, end),
		cmocka_unit_test_setup_teardown(test_zero_fill, begin, end),
		cmocka_unit_test_setup_teardown(test_read_file, begin, end),
		cmocka_unit_test_setup_teardown(test_replace, begin, end),
		cmocka_unit_test_setup_teardown(test_replace_failing, begin,
						end),
		cmocka_unit_test_setup_teardown(test_folders, begin, end),
		cmocka_unit_test_setup_teardown(test_list, begin, end),
		cmocka_unit_test_setup_teardown(test_absolute, begin, end),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_futex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
