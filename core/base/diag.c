/* SPDX-License-Identifier: MIT */
/*
 * A message is put together first and handed to the kernel in one call, so
 * that lines of threads and processes do not mix.
 */
#include "base/diag_int.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EMIT_HEAD_MAX (DIAG_HEAD_MAX + 40u) /* and a time and a level */
#define EMIT_MAX      (4u * WEIR_PAYLOAD_MAX + DIAG_TEXT_MAX)

static _Thread_local const char *request; /* or NULL */

void
diag_request(const char *id)
{
	request = id;
}

/* False: nobody takes it. */
static bool
say(enum diag_level level, const char *area, const char *text)
{
	struct diag_way way;
	char line[DIAG_LINE_MAX], id[DIAG_REQUEST_MAX] = "";
	struct diag_message m = {level, area, text, id};

	diag_now(&way);
	if (!diag_out_ready(&way))
		return false;
	if (request != NULL)
		str_show(id, sizeof(id), str_of(request));
	diag_out(&way, line, diag_form(line, &way, &m));
	return true;
}

static void
say_lost(void)
{
	uint64_t n = diag_out_lost();
	char text[80];

	if (n == 0)
		return;
	snprintf(text, sizeof(text),
		 "%" PRIu64 " messages are lost: nobody took them", n);
	(void)say(DIAG_WARN, "diag", text);
}

static void
say_left(bool all)
{
	struct diag_left left;
	const char *keep = request;
	char text[256];

	while (diag_rate_left(&left, all)) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " more like this were left out: %s", left.n,
			 left.like);
		request = NULL;
		(void)say(left.level, left.area, text);
		request = keep;
	}
}

void
diag_flush(void)
{
	int keep = errno;

	say_left(true);
	say_lost();
	errno = keep;
}

void
diag(enum diag_level level, const char *area, const char *fmt, ...)
{
	char text[DIAG_TEXT_MAX + 8]; /* longer, so that show sees the cut */
	char shown[DIAG_TEXT_MAX];
	char name[DIAG_AREA_MAX];
	unsigned per_span;
	int n, keep = errno;
	va_list ap;

	if (!diag_wants(level) || !diag_shows(&per_span, level, area))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0) {
		str_show(shown, sizeof(shown), str_of(text));
		str_show(name, sizeof(name), str_of(area));
		say_left(false);
		if (diag_rate_take(per_span, level, name, fmt, shown) &&
		    say(level, name, shown))
			say_lost();
	}
	errno = keep;
}

/* ---- lines of the log sink ----------------------------------------------- */

/* What stands before a line, without a NUL. */
static size_t
put_head(char out[EMIT_HEAD_MAX], const struct diag_way *way,
	 enum diag_level level)
{
	size_t n = strlen(diag_names[level]);
	size_t at = diag_form_head(out, way, level);

	clock_text(out + at, clock_now());
	out[at + 27] = ' ';
	memcpy(out + at + 28, diag_names[level], n);
	out[at + 28 + n] = ' ';
	return at + 29 + n;
}

static void
emit_json(const struct diag_way *way, enum diag_level level, const char *area,
	  struct weir_str text)
{
	char head[DIAG_HEAD_MAX], time[28];
	struct buf line, shown;

	buf_init(&line, EMIT_MAX);
	buf_init(&shown, EMIT_MAX);
	clock_text(time, clock_now());
	buf_add(&line, head, diag_form_head(head, way, level));
	buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":", time,
		   diag_names[level]);
	json_put_string(&line, str_of(area));
	buf_puts(&line, ",\"message\":");
	if (buf_reserve(&shown, 4 * text.len + 1) == 0) {
		str_show(shown.data, shown.cap, text);
		json_put_string(&line, str_of(shown.data));
	} else {
		line.failed = true;
	}
	if (buf_puts(&line, "}\n") == 0 && !line.failed)
		diag_out(way, line.data, line.len);
	else
		(void)say(level, area,
			  "a line of the log sink is lost: no memory");
	buf_fini(&line);
	buf_fini(&shown);
}

void
diag_emit(enum diag_level level, const char *area, struct weir_str text)
{
	struct buf line;
	char head[EMIT_HEAD_MAX];
	char shown[DIAG_TEXT_MAX];
	struct diag_way way;
	size_t n;

	diag_now(&way);
	if (way.json) {
		emit_json(&way, level, area, text);
		return;
	}
	n = put_head(head, &way, level);
	buf_init(&line, EMIT_MAX);
	buf_add(&line, head, n);
	if (buf_reserve(&line, 4 * text.len + 2) == 0) {
		str_show(line.data + n, line.cap - n, text);
		line.len = n + strlen(line.data + n);
		buf_putc(&line, '\n');
		diag_out(&way, line.data, line.len);
	} else {
		/* No memory, or too long: as much as there is room for. */
		memcpy(shown, head, n);
		str_show(shown + n, sizeof(shown) - n - 1, text);
		size_t len = strlen(shown);
		shown[len] = '\n';
		diag_out(&way, shown, len + 1);
	}
	buf_fini(&line);
}

void
diag_lines_flush(struct diag_lines *l)
{
	struct diag_way way;

	if (l->len == 0)
		return;
	diag_now(&way);
	diag_out(&way, l->text, l->len);
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
diag_lines_add(struct diag_lines *l, enum diag_level level, const char *area,
	       struct weir_str line)
{
	size_t most = sizeof(l->text) - EMIT_HEAD_MAX - 1;
	struct diag_way way;

	diag_now(&way);
	if (line.len > most || way.json || way.target == DIAG_SYSLOG ||
	    !is_plain(line)) {
		diag_lines_flush(l);
		diag_emit(level, area, line);
		return;
	}
	if (l->len > most - line.len)
		diag_lines_flush(l);
	l->len += put_head(l->text + l->len, &way, level);
	memcpy(l->text + l->len, line.data, line.len);
	l->len += line.len;
	l->text[l->len++] = '\n';
}
