/* SPDX-License-Identifier: MIT */
/*
 * A message is put together first and handed to the kernel in one write, so
 * that no lock is needed and lines of threads and processes do not mix. What
 * the kernel does not take is lost: there is nowhere to complain.
 */
#include "base/diag.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX     4096u
#define HEAD_MAX     40u /* a time, a level, spaces */
#define LINE_LEN_MAX (4u * WEIR_PAYLOAD_MAX + TEXT_MAX)

static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
static _Atomic int wanted = DIAG_WARN;
static int out_fd = STDERR_FILENO;

void
diag_set_level(enum diag_level level)
{
	atomic_store_explicit(&wanted, (int)level, memory_order_relaxed);
}

void
diag_set_fd(int fd)
{
	out_fd = fd;
}

bool
diag_wants(enum diag_level level)
{
	return (int)level <=
	       atomic_load_explicit(&wanted, memory_order_relaxed);
}

static void
write_out(const char *p, size_t n)
{
	int keep = errno;

	while (n > 0) {
		ssize_t put = os()->write(out_fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		p += put;
		n -= (size_t)put;
	}
	errno = keep;
}

void
diag(enum diag_level level, const char *area, const char *fmt, ...)
{
	char text[TEXT_MAX + 8]; /* longer, so that show sees the cut */
	char shown[TEXT_MAX];
	char line[TEXT_MAX + 128];
	va_list ap;

	if (!diag_wants(level))
		return;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	str_show(shown, sizeof shown, str_of(text));
	n = snprintf(line, sizeof line, "weir: %s: %.64s: %s\n", names[level],
		     area, shown);
	if (n > 0)
		write_out(line, (size_t)n);
}

/* "TIME LEVEL ", at most HEAD_MAX bytes without a NUL. */
static size_t
put_head(char *out, enum diag_level level)
{
	size_t n = strlen(names[level]);

	clock_text(out, clock_now());
	out[27] = ' ';
	memcpy(out + 28, names[level], n);
	out[28 + n] = ' ';
	return 29 + n;
}

void
diag_emit(enum diag_level level, struct weir_str text)
{
	struct buf line;
	char head[HEAD_MAX];
	char shown[TEXT_MAX];
	size_t n = put_head(head, level);

	buf_init(&line, LINE_LEN_MAX);
	buf_add(&line, head, n);
	if (buf_reserve(&line, 4 * text.len + 2) == 0) {
		str_show(line.data + n, line.cap - n, text);
		line.len = n + strlen(line.data + n);
		buf_putc(&line, '\n');
		write_out(line.data, line.len);
	} else {
		/* No memory, or too long: as much as there is room for. */
		memcpy(shown, head, n);
		str_show(shown + n, sizeof shown - n - 1, text);
		size_t len = strlen(shown);
		shown[len] = '\n';
		write_out(shown, len + 1);
	}
	buf_fini(&line);
}

void
diag_lines_flush(struct diag_lines *l)
{
	if (l->len != 0)
		write_out(l->text, l->len);
	l->len = 0;
}

/* ASCII without control characters: str_show would change nothing. */
static bool
is_plain(struct weir_str s)
{
	unsigned char bad = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		bad |= (unsigned char)(c < 0x20) | (unsigned char)(c > 0x7e);
	}
	return bad == 0;
}

void
diag_lines_add(struct diag_lines *l, enum diag_level level,
	       struct weir_str line)
{
	size_t most = sizeof(l->text) - HEAD_MAX - 1;

	if (line.len > most || !is_plain(line)) {
		diag_lines_flush(l);
		diag_emit(level, line);
		return;
	}
	if (l->len > most - line.len)
		diag_lines_flush(l);
	l->len += put_head(l->text + l->len, level);
	memcpy(l->text + l->len, line.data, line.len);
	l->len += line.len;
	l->text[l->len++] = '\n';
}

int
diag_level_parse(enum diag_level *out, const char *s)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(s, names[i]) != 0)
			continue;
		*out = (enum diag_level)i;
		return 0;
	}
	return -1;
}
