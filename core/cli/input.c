/* SPDX-License-Identifier: MIT */
/*
 * A window of bytes over the file. A line that lies whole in the window is
 * given as a span of it; one that crosses its end is gathered in `long_line`,
 * up to the limit.
 */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#define WINDOW 262144u
#define SHOWN  200u /* bytes kept of a line that is too long */

/* Where in a CSV record the next byte stands. */
enum place {
	FIELD_START,
	PLAIN,
	QUOTED,
	QUOTE_SEEN
};

struct input {
	struct input_options o;
	char *path;
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t size;
	bool regular, ended, stopped;
	char *window;
	size_t at, end;
	uint64_t done;	 /* bytes up to `at` */
	uint64_t breaks; /* line breaks up to `at` */
	struct buf long_line;
};

int
input_open(struct input **out, const struct input_options *o,
	   struct weir_err *err)
{
	struct input *in = mem_new(sizeof(*in));
	struct stat st;
	int rc = 0;

	if (in == NULL)
		return err_nomem(err);
	in->o = *o;
	in->fd = -1;
	buf_init(&in->long_line, o->max_line);
	in->path = mem_dup(o->path, strlen(o->path));
	in->window = mem_new(WINDOW);
	if (in->path == NULL || in->window == NULL)
		rc = err_nomem(err);
	else if (strcmp(o->path, "-") == 0)
		in->fd = STDIN_FILENO;
	else
		rc = in->fd = os_open(o->path, O_RDONLY, 0, err);
	if (rc >= 0 && os()->fstat(in->fd, &st) != 0)
		rc = err_sys(err, "looking at %s", o->path);
	if (rc >= 0 && S_ISDIR(st.st_mode))
		rc = err_set(err, WEIR_EUSAGE,
			     "%s is a folder; name a file, or - for standard "
			     "input",
			     o->path);
	if (rc < 0) {
		input_close(in);
		return rc;
	}
	in->regular = S_ISREG(st.st_mode);
	in->size = in->regular ? (uint64_t)st.st_size : 0;
	in->dev = st.st_dev;
	in->ino = st.st_ino;
	*out = in;
	return 0;
}

void
input_close(struct input *in)
{
	if (in == NULL)
		return;
	if (in->fd != STDIN_FILENO)
		os_close(in->fd);
	buf_fini(&in->long_line);
	mem_free(in->window);
	mem_free(in->path);
	mem_free(in);
}

uint64_t
input_done(const struct input *in)
{
	return in->done;
}

uint64_t
input_size(const struct input *in)
{
	return in->size;
}

bool
input_is_file(const struct input *in, const char *path)
{
	struct stat st;

	return in->regular && os()->stat(path, &st) == 0 &&
	       st.st_dev == in->dev && st.st_ino == in->ino;
}

bool
input_would_wait(const struct input *in)
{
	struct pollfd p = {.fd = in->fd, .events = POLLIN};

	if (in->regular || in->ended ||
	    memchr(in->window + in->at, '\n', in->end - in->at) != NULL)
		return false;
	return os()->poll(&p, 1, 0) == 0;
}

/* Waits for bytes or for the stop descriptor. */
static int
wait_for_bytes(struct input *in, struct weir_err *err)
{
	struct pollfd p[2] = {{.fd = in->fd, .events = POLLIN},
			      {.fd = in->o.stop_fd, .events = POLLIN}};
	int n;

	do
		n = os()->poll(p, 2, in->regular ? 0 : -1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "waiting for %s", in->path);
	if (in->o.stop_fd >= 0 && p[1].revents != 0)
		return err_set(err, WEIR_ESTOPPED, "asked to stop");
	return 0;
}

/* Fills the empty window: 1 bytes are there, 0 the end, or a code. */
static int
refill(struct input *in, struct weir_err *err)
{
	ssize_t n;
	int rc;

	if (in->ended)
		return 0;
	do {
		rc = wait_for_bytes(in, err);
		if (rc != 0)
			return rc;
		n = os()->read(in->fd, in->window, WINDOW);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "reading %s at byte %llu", in->path,
			       (unsigned long long)in->done);
	in->at = 0;
	in->end = (size_t)n;
	in->ended = n == 0;
	if (in->done == 0 && n >= 3 &&
	    memcmp(in->window, "\xef\xbb\xbf", 3) == 0)
		in->at = 3;
	return n > 0;
}

/* How many of n bytes belong to the line, its line break included when it is
 * there (*whole). */
static size_t
scan(struct input *in, enum place *place, bool *whole, const char *p, size_t n)
{
	size_t i;

	if (!in->o.quoted) {
		const char *end = memchr(p, '\n', n);

		*whole = end != NULL;
		return end != NULL ? (size_t)(end - p) + 1 : n;
	}
	for (i = 0; i < n; i++) {
		char c = p[i];

		if (c == '\n' && *place != QUOTED) {
			*whole = true;
			return i + 1;
		}
		in->breaks += c == '\n';
		if (*place == QUOTED)
			*place = c == '"' ? QUOTE_SEEN : QUOTED;
		else if (c == '"' && *place != PLAIN)
			*place = QUOTED;
		else
			*place = c == ',' ? FIELD_START : PLAIN;
	}
	*whole = false;
	return n;
}

/* Keeps what fits; of a line that is too long only the beginning stays. */
static void
gather(struct input *in, struct input_line *l, const char *p, size_t n)
{
	struct buf *b = &in->long_line;

	if (l->too_long)
		return;
	if (buf_add(b, p, n) == 0)
		return;
	b->failed = false;
	l->too_long = true;
	if (b->len < SHOWN)
		buf_add(b, p, n < SHOWN - b->len ? n : SHOWN - b->len);
	b->failed = false;
	if (b->len > SHOWN)
		b->len = SHOWN;
}

static void
finish(struct input *in, struct input_line *l, struct weir_str s, bool gathered)
{
	if (gathered) {
		gather(in, l, s.data, s.len);
		s = buf_str(&in->long_line);
	} else if (s.len > in->o.max_line) {
		l->too_long = true;
		s.len = SHOWN;
	}
	if (s.len > 0 && s.data[s.len - 1] == '\r' && !l->too_long)
		s.len--;
	l->text = s;
	if (l->text.data == NULL)
		l->text.data = "";
}

int
input_next(struct input *in, struct input_line *out, struct weir_err *err)
{
	struct input_line l = {.number = in->breaks + 1};
	enum place place = FIELD_START;
	bool whole = false, gathered = false;

	buf_clear(&in->long_line);
	for (;;) {
		struct weir_str s;
		size_t n;

		if (in->at == in->end) {
			int rc = refill(in, err);

			if (rc < 0)
				return rc;
			if (rc == 0)
				break;
		}
		s.data = in->window + in->at;
		n = scan(in, &place, &whole, s.data, in->end - in->at);
		s.len = n - whole;
		in->at += n;
		in->done += n;
		if (whole) {
			in->breaks++;
			finish(in, &l, s, gathered);
			*out = l;
			return 1;
		}
		gather(in, &l, s.data, s.len);
		gathered = true;
	}
	if (!gathered)
		return 0;
	finish(in, &l, (struct weir_str){"", 0}, true);
	l.open_quote = place == QUOTED;
	*out = l;
	return 1;
}
