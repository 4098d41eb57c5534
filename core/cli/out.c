/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SPILL (64u << 10)

/* Writes all to a descriptor; 0 or errno. */
static int
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = os()->write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int
out_flush(struct cli *c, struct weir_err *err)
{
	if (c->out.failed && c->out_failed == 0)
		c->out_failed = ENOMEM;
	if (c->out_failed == 0)
		c->out_failed =
			write_all(STDOUT_FILENO, c->out.data, c->out.len);
	buf_clear(&c->out);
	if (c->out_failed == 0)
		return 0;
	if (c->out_failed == EPIPE) {
		if (err != NULL)
			*err = (struct weir_err){.code = WEIR_ESTOPPED};
		return WEIR_ESTOPPED;
	}
	errno = c->out_failed;
	return err_sys(err, "writing to standard output");
}

int
out_spill(struct cli *c, struct weir_err *err)
{
	return c->out.len < SPILL && !c->out.failed ? 0 : out_flush(c, err);
}

int
out_json(struct cli *c, struct weir_str value, struct weir_err *err)
{
	if (c->json)
		json_put_compact(&c->out, value);
	else
		json_put_pretty(&c->out, value, 0);
	buf_putc(&c->out, '\n');
	return out_spill(c, err);
}

/* Columns a text takes on a terminal, about: its code points. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void
out_table(struct cli *c, const char *const *cells, size_t columns, size_t rows,
	  unsigned right)
{
	size_t width[16] = {0}, n;

	for (size_t i = 0; i < rows * columns; i++) {
		n = width_of(cells[i]);
		if (n > width[i % columns])
			width[i % columns] = n;
	}
	for (size_t r = 0; r < rows; r++) {
		if (r == 0 && c->colour)
			buf_puts(&c->out, "\033[1m");
		for (size_t i = 0; i < columns; i++) {
			const char *cell = cells[r * columns + i];
			bool last = i + 1 == columns;
			size_t pad = width[i] - width_of(cell);

			for (; (right & (1u << i)) && pad > 0; pad--)
				buf_putc(&c->out, ' ');
			buf_puts(&c->out, cell);
			for (; !last && pad > 0; pad--)
				buf_putc(&c->out, ' ');
			buf_puts(&c->out, last ? "" : "  ");
		}
		while (c->out.len > 0 && c->out.data[c->out.len - 1] == ' ')
			c->out.len--;
		if (r == 0 && c->colour)
			buf_puts(&c->out, "\033[0m");
		buf_putc(&c->out, '\n');
	}
}

/* One line to standard error, what waits for standard output first. */
static void
say(struct cli *c, const char *word, const char *colour, const char *fmt,
    va_list ap)
{
	char text[2048], safe[4096];
	struct buf b;

	vsnprintf(text, sizeof(text), fmt, ap);
	out_flush(c, NULL);
	buf_init(&b, 16384);
	if (c->json) {
		buf_printf(&b, "{\"%s\":{\"message\":", word);
		json_put_string(&b, str_of(text));
		buf_puts(&b, "}}\n");
	} else {
		str_show(safe, sizeof(safe), str_of(text));
		if (!c->err_tty || !c->colour)
			colour = "";
		buf_printf(&b, "%sweir:%s %s\n", colour,
			   *colour ? "\033[0m" : "", safe);
	}
	write_all(STDERR_FILENO, b.data, b.len);
	buf_fini(&b);
}

void
cli_warn(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, "warning", "\033[33m", fmt, ap);
	va_end(ap);
}

void
cli_note(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	if (c->json)
		return;
	va_start(ap, fmt);
	say(c, "note", "", fmt, ap);
	va_end(ap);
}

int
cli_exit_status(int code)
{
	switch (code) {
	case WEIR_OK:
		return 0;
	case WEIR_EUSAGE:
		return 2;
	case WEIR_ENOTFOUND:
		return 3;
	case WEIR_EDENIED:
		return 4;
	case WEIR_ECONFLICT:
		return 5;
	case WEIR_EUNREACH:
		return 6;
	case WEIR_EDAMAGE:
		return 7;
	case WEIR_EPARTIAL:
		return 8;
	case WEIR_ESTOPPED:
		return 130;
	default:
		return 1;
	}
}

static void
error_json(struct buf *b, const struct weir_err *err)
{
	buf_printf(b, "{\"error\":{\"code\":\"%s\",\"exit\":%d,\"message\":",
		   err_word(err->code), cli_exit_status(err->code));
	json_put_string(b, str_of(err->msg));
	if (err->sequence != 0)
		buf_printf(b, ",\"sequence\":%llu",
			   (unsigned long long)err->sequence);
	if (err->offset != 0)
		buf_printf(b, ",\"offset\":%llu",
			   (unsigned long long)err->offset);
	if (err->code == WEIR_ECONFLICT)
		buf_printf(b, ",\"version\":%llu",
			   (unsigned long long)err->version);
	buf_puts(b, "}}\n");
}

int
cli_fail(struct cli *c, const struct weir_err *err)
{
	const char *words = c->command != NULL ? c->command->words : NULL;
	struct buf b;

	out_flush(c, NULL);
	if (err->code == WEIR_ESTOPPED && err->msg[0] == '\0')
		return c->out_failed == EPIPE ? 141 : 130;
	buf_init(&b, 16384);
	if (c->json) {
		error_json(&b, err);
	} else {
		char safe[2048];

		str_show(safe, sizeof(safe), str_of(err->msg));
		buf_printf(&b, "%sweir:%s %s\n",
			   c->err_tty && c->colour ? "\033[31m" : "",
			   c->err_tty && c->colour ? "\033[0m" : "", safe);
		if (err->code == WEIR_EUSAGE)
			buf_printf(&b, "try: weir help%s%s\n", words ? " " : "",
				   words ? words : "");
	}
	write_all(STDERR_FILENO, b.data, b.len);
	buf_fini(&b);
	return cli_exit_status(err->code);
}
