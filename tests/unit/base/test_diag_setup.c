/* SPDX-License-Identifier: MIT */
/* Where messages go, how they look, and which are left out. */
#include "base/diag.h"

#include "base/err.h"
#include "base/os.h"
#include "base_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64];
static int64_t seconds; /* what the clocks say */

static int
set_clock(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){seconds, 0};
	return 0;
}

static int
begin(void **state)
{
	static struct os table;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/weir-diag-XXXXXX");
	table = *os_real();
	table.clock_gettime = set_clock;
	os_set(&table);
	seconds = 0;
	return mkdtemp(folder) == NULL;
}

static int
end(void **state)
{
	struct diag_options plain = {.level = DIAG_WARN};
	struct dirent *e;
	DIR *d = opendir(folder);

	(void)state;
	while (d != NULL && (e = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(folder);
	diag_request(NULL);
	diag_flush();
	os_set(NULL);
	unsetenv("JOURNAL_STREAM");
	diag_set_fd(STDERR_FILENO);
	return diag_setup(&plain, NULL);
}

static const char *
in_folder(const char *name)
{
	static char path[4][128];
	static int n;
	char *p = path[n++ % 4];

	snprintf(p, 128, "%s/%s", folder, name);
	return p;
}

/* What is in the file, in memory of ours. */
static const char *
content(const char *name)
{
	static char text[1 << 20];
	FILE *f = fopen(in_folder(name), "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

static void
to_file(const char *name, const char *format, const char *levels, unsigned rate)
{
	struct diag_options o = {.target = DIAG_FILE,
				 .path = in_folder(name),
				 .format = format,
				 .level = DIAG_WARN,
				 .levels = levels,
				 .rate = rate};
	struct weir_err err = {0};

	if (diag_setup(&o, &err) != 0)
		fail_msg("%s", err.msg);
}

static void
test_file(void **state)
{
	struct diag_options o = {.target = DIAG_FILE};
	struct weir_err err = {0};
	struct stat st;

	(void)state;
	to_file("a", NULL, NULL, 0);
	diag(DIAG_WARN, "store", "one %d\n", 1);
	assert_string_equal(content("a"), "1970-01-01T00:00:00.000000Z warn "
					  "store: one 1\\n\n");
	assert_int_equal(stat(in_folder("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* a file that can't be had leaves everything as it was */
	o.path = in_folder("none/b");
	assert_int_equal(diag_setup(&o, &err), WEIR_ENOTFOUND);
	assert_non_null(strstr(err.msg, "none/b"));
	diag(DIAG_WARN, "store", "two");
	assert_non_null(strstr(content("a"), "store: two\n"));
	/* another one */
	to_file("b", NULL, NULL, 0);
	diag(DIAG_WARN, "store", "three");
	assert_null(strstr(content("a"), "three"));
	assert_non_null(strstr(content("b"), "three"));
}

static void
test_reopen(void **state)
{
	(void)state;
	to_file("a", NULL, NULL, 0);
	diag(DIAG_WARN, "x", "one");
	assert_int_equal(rename(in_folder("a"), in_folder("a.1")), 0);
	diag(DIAG_WARN, "x", "two");
	assert_int_equal(access(in_folder("a"), F_OK), -1);
	diag_reopen();
	diag(DIAG_WARN, "x", "three");
	assert_non_null(strstr(content("a"), "three"));
	assert_non_null(strstr(content("a.1"), "two"));
	assert_null(strstr(content("a.1"), "three"));
	/* a folder in its way: the old one goes on and says so */
	assert_int_equal(rename(in_folder("a"), in_folder("a.2")), 0);
	assert_int_equal(mkdir(in_folder("a"), 0700), 0);
	diag_reopen();
	diag(DIAG_WARN, "x", "four");
	assert_non_null(strstr(content("a.2"), "the old file goes on"));
	assert_non_null(strstr(content("a.2"), "four"));
	rmdir(in_folder("a"));
}

static void
test_forms(void **state)
{
	char text[9000];
	const char *seen;

	(void)state;
	to_file("p", "[{level}] {message} <{area}>{request}", NULL, 0);
	diag_request("r-1\n");
	diag(DIAG_ERROR, "store", "a \"b\"");
	diag_request(NULL);
	diag(DIAG_ERROR, "store", "c");
	assert_string_equal(content("p"),
			    "[error] a \"b\" <store> (request r-1\\n)\n"
			    "[error] c <store>\n");
	to_file("j", "json", NULL, 0);
	diag_request("r-2");
	diag(DIAG_WARN, "store", "a \"b\"\\ \n\xff");
	diag_request(NULL);
	diag_emit(DIAG_INFO, "mylog", STR("x=\"1\""));
	assert_string_equal(content("j"),
			    "{\"time\":\"1970-01-01T00:00:00.000000Z\","
			    "\"level\":\"warn\",\"area\":\"store\","
			    "\"message\":\"a \\\"b\\\"\\\\ \\\\n\\\\xFF\","
			    "\"request_id\":\"r-2\"}\n"
			    "{\"time\":\"1970-01-01T00:00:00.000000Z\","
			    "\"level\":\"info\",\"area\":\"mylog\","
			    "\"message\":\"x=\\\"1\\\"\"}\n");
	/* too long: cut, but still an object */
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	diag_request(text);
	diag(DIAG_WARN, "store", "%s", text);
	seen = content("j");
	assert_string_equal(seen + strlen(seen) - 3, "\"}\n");
	assert_non_null(strstr(seen, ",\"request_id\":\"\\\""));
}

static void
test_refused(void **state)
{
	struct weir_err err = {0};

	(void)state;
	assert_int_equal(diag_check("{tme}", NULL, &err), WEIR_EUSAGE);
	assert_non_null(strstr(err.msg, "{tme}"));
	assert_int_equal(diag_check("a } b", NULL, &err), WEIR_EUSAGE);
	assert_int_equal(diag_check("json", "http", &err), WEIR_EUSAGE);
	assert_int_equal(diag_check("json", "http=loud", &err), WEIR_EUSAGE);
	assert_int_equal(diag_check("json", "=info", &err), WEIR_EUSAGE);
	assert_int_equal(diag_check("json", "a=info,,b=info", &err),
			 WEIR_EUSAGE);
	assert_int_equal(diag_check("{pid}", "a=info,b=trace", &err), 0);
}

static void
test_area_levels(void **state)
{
	(void)state;
	to_file("l", "{area} {message}", "http=debug,store=error", 0);
	assert_true(diag_wants(DIAG_DEBUG));
	assert_false(diag_wants(DIAG_TRACE));
	diag(DIAG_DEBUG, "http", "yes");
	diag(DIAG_WARN, "store", "no");
	diag(DIAG_INFO, "bus", "no");
	diag(DIAG_WARN, "bus", "yes");
	assert_string_equal(content("l"), "http yes\nbus yes\n");
}

static void
test_rate(void **state)
{
	(void)state;
	to_file("r", "{level} {area} {message}", NULL, 3);
	for (int i = 0; i < 10; i++)
		diag(DIAG_WARN, "http", "no token %d", i);
	diag(DIAG_WARN, "http", "another");
	for (int i = 0; i < 2; i++)
		diag(DIAG_ERROR, "text", "no token %d", i);
	assert_string_equal(content("r"),
			    "warn http no token 0\nwarn http no token 1\n"
			    "warn http no token 2\nwarn http another\n"
			    "error text no token 0\nerror text no token 1\n");
	seconds = 11;
	diag(DIAG_ERROR, "bus", "later");
	assert_non_null(strstr(content("r"),
			       "\nwarn http 7 more like this were left out: no "
			       "token 9\nerror bus later\n"));
	/* the span is over: from the beginning */
	for (int i = 10; i < 15; i++)
		diag(DIAG_WARN, "http", "no token %d", i);
	assert_non_null(strstr(content("r"), "token 12\n"));
	assert_null(strstr(content("r"), "token 13\n"));
	diag_flush();
	assert_non_null(strstr(content("r"), " 2 more like this were left "
					     "out: no token 14\n"));
}

/* More kinds than there are places for. */
static void
test_many_kinds(void **state)
{
	char area[32];
	const char *seen;
	size_t lines = 0;

	(void)state;
	to_file("k", NULL, NULL, 1);
	for (int i = 0; i < 300; i++) {
		snprintf(area, sizeof(area), "area-%d", i);
		for (int j = 0; j < 3; j++)
			diag(DIAG_WARN, area, "x");
	}
	diag_flush();
	seen = content("k");
	for (const char *p = seen; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	/* nothing is lost without a word */
	assert_non_null(strstr(seen, "area-299: x\n"));
	assert_in_range(lines, 64 * 2, 3 * 300);
	for (int i = 0; i < 300; i++) {
		snprintf(area, sizeof(area), "area-%d: x\n", i);
		assert_non_null(strstr(seen, area));
	}
}

static void
test_syslog(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct diag_options o = {.target = DIAG_SYSLOG,
				 .path = in_folder("log"),
				 .level = DIAG_INFO};
	struct weir_err err = {0};
	char text[9000], want[64];
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(diag_setup(&o, &err), WEIR_ENOTFOUND);
	assert_non_null(strstr(err.msg, "/log to send messages to"));
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", o.path);
	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
	assert_int_equal(diag_setup(&o, &err), 0);
	diag(DIAG_WARN, "store", "one");
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	snprintf(want, sizeof(want), " weir[%ld]: warn: store: one",
		 (long)getpid());
	assert_memory_equal(text, "<28>", 4);
	assert_string_equal(text + 4 + 15, want);
	diag_emit(DIAG_INFO, "mylog", STR("a line"));
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_memory_equal(text, "<30>", 4);
	assert_non_null(strstr(text, "Z info a line"));
	/* nobody takes them: no wait, no failure; and somebody again */
	for (int i = 0; i < 3000; i++)
		diag(DIAG_WARN, "store", "%d", i);
	close(fd);
	errno = 0;
	diag(DIAG_WARN, "store", "lost");
	assert_int_equal(errno, 0);
	unlink(o.path);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
	diag(DIAG_ERROR, "store", "back");
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 4);
	assert_memory_equal(text, "<27>", 4);
	close(fd);
}

static void
test_journal(void **state)
{
	struct diag_options o = {.target = DIAG_STDERR, .level = DIAG_TRACE};
	static struct diag_lines lines;
	char text[400] = "", name[64];
	struct stat st;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fstat(p[1], &st), 0);
	snprintf(name, sizeof(name), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", "1:2", 1);
	diag_set_fd(p[1]);
	assert_int_equal(diag_setup(&o, NULL), 0);
	diag(DIAG_WARN, "store", "one");
	setenv("JOURNAL_STREAM", name, 1);
	diag_set_fd(p[1]);
	diag(DIAG_ERROR, "store", "two");
	assert_int_equal(diag_setup(&o, NULL), 0);
	diag(DIAG_TRACE, "store", "three");
	setenv("JOURNAL_STREAM", "1:2", 1);
	o.target = DIAG_JOURNAL;
	assert_int_equal(diag_setup(&o, NULL), 0);
	diag_lines_add(&lines, DIAG_INFO, "mylog", STR("four"));
	diag_lines_flush(&lines);
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "weir: warn: store: one\n"
				  "<3>weir: error: store: two\n"
				  "<7>weir: trace: store: three\n"
				  "<6>1970-01-01T00:00:00.000000Z info four\n");
	close(p[0]);
	close(p[1]);
}

static int
no_room(struct pollfd *p, nfds_t n, int timeout_ms)
{
	(void)p;
	seconds += timeout_ms > 0; /* it waits */
	return n == 1 ? 0 : -1;
}

/* Who reads the pipe hangs: one message waits, the others do not. */
static void
test_nobody_reads(void **state)
{
	struct diag_options o = {.target = DIAG_STDERR, .level = DIAG_WARN};
	static struct os table;
	char text[400] = "";
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	diag_set_fd(p[1]);
	assert_int_equal(diag_setup(&o, NULL), 0);
	table = *os();
	table.poll = no_room;
	os_set(&table);
	seconds = 100;
	diag(DIAG_WARN, "store", "one");
	assert_int_equal(seconds, 101);
	for (int i = 0; i < 20; i++)
		diag(DIAG_WARN, "store", "two");
	assert_int_equal(seconds, 101);
	table.poll = os_real()->poll;
	diag(DIAG_WARN, "store", "three");
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "weir: warn: store: three\n"
				  "weir: warn: diag: 21 messages are lost: "
				  "nobody took them\n");
	close(p[0]);
	close(p[1]);
}

#define THREADS 4
#define EACH	500

static void *
say_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < EACH; i++)
		diag(DIAG_WARN, "x", "%s", "0123456789");
	return NULL;
}

/* While threads write, the file is moved away again and again, and the settings
 * change: no line is lost or torn, and none goes to a stranger's file. */
static void
test_threads(void **state)
{
	pthread_t t[THREADS];
	size_t found = 0;
	char name[16];
	int n;

	(void)state;
	to_file("t", "{message}", NULL, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, say_many, NULL),
				 0);
	for (n = 0; n < 50; n++) {
		snprintf(name, sizeof(name), "t.%d", n);
		(void)rename(in_folder("t"), in_folder(name));
		if (n % 2 == 0)
			diag_reopen();
		else
			to_file("t", "{message}", "y=debug", 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i <= n; i++) {
		const char *p;

		snprintf(name, sizeof(name), i < n ? "t.%d" : "t", i);
		for (p = content(name); *p != '\0'; p += 11, found++)
			assert_memory_equal(p, "0123456789\n", 11);
	}
	assert_int_equal(found, THREADS * EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, begin, end),
		cmocka_unit_test_setup_teardown(test_reopen, begin, end),
		cmocka_unit_test_setup_teardown(test_forms, begin, end),
		cmocka_unit_test_setup_teardown(test_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_area_levels, begin, end),
		cmocka_unit_test_setup_teardown(test_rate, begin, end),
		cmocka_unit_test_setup_teardown(test_many_kinds, begin, end),
		cmocka_unit_test_setup_teardown(test_syslog, begin, end),
		cmocka_unit_test_setup_teardown(test_journal, begin, end),
		cmocka_unit_test_setup_teardown(test_nobody_reads, begin, end),
		cmocka_unit_test_setup_teardown(test_threads, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
