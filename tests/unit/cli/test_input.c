/* SPDX-License-Identifier: MIT */
#include "cli/input.h"

#include "model/model_test.h"
#include "cli/progress.h"

static struct input *
open_text(const char *dir, const char *text, size_t len, size_t max,
	  bool quoted)
{
	struct input_options o = {
		.max_line = max, .quoted = quoted, .stop_fd = -1};
	struct weir_err err = {0};
	struct input *in;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/in", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	o.path = path;
	if (input_open(&in, &o, &err) != 0)
		fail_msg("%s", err.msg);
	assert_int_equal(input_size(in), len);
	return in;
}

static void
line(struct input *in, uint64_t number, const char *text)
{
	struct input_line l;

	assert_int_equal(input_next(in, &l, NULL), 1);
	assert_int_equal(l.number, number);
	assert_false(l.too_long);
	if (!str_is(l.text, text))
		fail_msg("%.*s, not %s", (int)l.text.len, l.text.data, text);
}

static void
end(struct input *in)
{
	struct input_line l;

	assert_int_equal(input_next(in, &l, NULL), 0);
	assert_int_equal(input_next(in, &l, NULL), 0);
	input_close(in);
}

static void
test_lines(void **state)
{
	static const char text[] = "\xef\xbb\xbf"
				   "one\r\n\ntwo\nlast";
	char *dir = make_folder();
	struct input *in = open_text(dir, text, sizeof(text) - 1, 100, false);

	(void)state;
	line(in, 1, "one");
	line(in, 2, "");
	line(in, 3, "two");
	assert_false(input_would_wait(in));
	line(in, 4, "last");
	end(in);
	in = open_text(dir, "", 0, 100, false);
	end(in);
	in = open_text(dir, "a\n", 2, 100, false);
	line(in, 1, "a");
	end(in);
	drop_folder(dir);
}

/* Lines around and far above the limit, and some that cross the window. */
static void
test_limit(void **state)
{
	enum {
		MAX = 300000,
		BIG = 3000000
	};
	char *dir = make_folder(), *text = malloc(4 * BIG);
	struct input_line l;
	struct input *in;
	size_t n = 0;

	(void)state;
	memset(text, 'x', 4 * BIG);
	n += MAX;
	text[n++] = '\n';
	n += MAX + 1;
	text[n++] = '\n';
	n += BIG;
	text[n++] = '\n';
	text[n++] = 'y';
	text[n++] = '\n';
	n += MAX + 1;
	in = open_text(dir, text, n, MAX, false);
	assert_int_equal(input_next(in, &l, NULL), 1);
	assert_false(l.too_long);
	assert_int_equal(l.text.len, MAX);
	for (unsigned i = 2; i <= 3; i++) {
		assert_int_equal(input_next(in, &l, NULL), 1);
		assert_true(l.too_long);
		assert_int_equal(l.number, i);
		assert_int_equal(l.text.len, 200);
	}
	line(in, 4, "y");
	assert_int_equal(input_next(in, &l, NULL), 1);
	assert_true(l.too_long);
	end(in);
	in = open_text(dir, "12345\n1234567\n1", 15, 5, false);
	line(in, 1, "12345");
	assert_int_equal(input_next(in, &l, NULL), 1);
	assert_true(l.too_long);
	line(in, 3, "1");
	end(in);
	free(text);
	drop_folder(dir);
}

static void
test_quoted(void **state)
{
	static const char text[] = "a,\"b\n\"\"c\"\"\n\",d\ne\"f\ng,\"h\"\r\n"
				   "\"\",x\n\"open\nmore";
	char *dir = make_folder();
	struct input *in = open_text(dir, text, sizeof(text) - 1, 100, true);
	struct input_line l;

	(void)state;
	line(in, 1, "a,\"b\n\"\"c\"\"\n\",d");
	line(in, 4, "e\"f");
	line(in, 5, "g,\"h\"");
	line(in, 6, "\"\",x");
	assert_int_equal(input_next(in, &l, NULL), 1);
	assert_int_equal(l.number, 7);
	assert_true(l.open_quote);
	end(in);
	drop_folder(dir);
}

static void
test_pipe(void **state)
{
	struct input_options o = {.path = "-", .max_line = 100};
	int fds[2], stop[2], saved = dup(STDIN_FILENO);
	struct input_line l;
	struct input *in;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(stop), 0);
	assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	o.stop_fd = stop[0];
	assert_int_equal(input_open(&in, &o, NULL), 0);
	assert_int_equal(input_size(in), 0);
	assert_true(input_would_wait(in));
	assert_int_equal(write(fds[1], "a\nb", 3), 3);
	assert_false(input_would_wait(in));
	line(in, 1, "a");
	assert_true(input_would_wait(in));
	assert_int_equal(write(stop[1], "", 1), 1);
	assert_int_equal(input_next(in, &l, NULL), WEIR_ESTOPPED);
	input_close(in);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
	close(stop[0]);
	close(stop[1]);
}

static void
test_not_there(void **state)
{
	struct input_options o = {.path = "/nonexistent/x", .stop_fd = -1};
	struct weir_err err = {0};
	struct input *in;

	(void)state;
	assert_int_equal(input_open(&in, &o, &err), WEIR_ENOTFOUND);
	o.path = "/";
	assert_int_equal(input_open(&in, &o, &err), WEIR_EUSAGE);
	assert_non_null(strstr(err.msg, "is a folder"));
}

static void
test_progress(void **state)
{
	struct progress p;
	char text[100];

	(void)state;
	progress_init(&p, false, "lines", 1000);
	progress_text(text, sizeof(text), &p, 500, 50, 10000000);
	assert_string_equal(text, "[############............]  50%  50 lines, "
				  "5/s, 0:10 left");
	progress_text(text, sizeof(text), &p, 1, 1, 10000000);
	assert_non_null(strstr(text, "2h46m left"));
	progress_text(text, sizeof(text), &p, 2000, 1, 0);
	assert_non_null(strstr(text, "100%"));
	p.all = 0;
	progress_text(text, sizeof(text), &p, 5, 7, 1000000);
	assert_string_equal(text, "7 lines, 7/s");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
