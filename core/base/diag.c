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

void
diag_emit(enum diag_level level, struct weir_str text)
{
	struct buf line;
	char when[28];
	char shown[TEXT_MAX];

	clock_text(when, clock_now());
	buf_init(&line, LINE_LEN_MAX);
	buf_printf(&line, "%s %s ", when, names[level]);
	size_t head = line.len;
	if (buf_reserve(&line, 4 * text.len + 2) == 0) {
		str_show(line.data + head, line.cap - head, text);
		line.len = head + strlen(line.data + head);
		buf_putc(&line, '\n');
		write_out(line.data, line.len);
	} else {
		/* No memory, or too long: as much as there is room for. */
		int n = snprintf(shown, sizeof shown, "%s %s ", when,
				 names[level]);
		str_show(shown + n, sizeof shown - (size_t)n - 1, text);
		size_t len = strlen(shown);
		shown[len] = '\n';
		write_out(shown, len + 1);
	}
	buf_fini(&line);
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
