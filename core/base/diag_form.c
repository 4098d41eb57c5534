/* SPDX-License-Identifier: MIT */
/*
 * How a message looks as a line: a pattern's text, or a JSON object. Text comes
 * in already safe to be shown (str_show), so JSON has only quotes and
 * backslashes to escape.
 */
#include "base/diag_int.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FACILITY_DAEMON (3 << 3)
#define JSON_TAIL	(DIAG_REQUEST_MAX * 2 + 24u) /* behind the message */

const char *const diag_names[] = {"error", "warn", "info", "debug", "trace"};
static const int priorities[] = {3, 4, 6, 7, 7};

struct line {
	char *p;
	size_t len, max;
};

/* As much as fits, whole characters only. */
static void
put(struct line *l, const char *text, size_t n)
{
	if (n > l->max - l->len) {
		n = l->max - l->len;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(l->p + l->len, text, n);
	l->len += n;
}

static void
puts_to(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

static void
put_time(struct line *l)
{
	char text[28];

	clock_text(text, clock_now());
	puts_to(l, text);
}

/* ---- JSON ---------------------------------------------------------------- */

/* A member's text and its last quote; `spare` bytes of the line stay free. */
static void
put_escaped(struct line *l, const char *text, size_t spare)
{
	l->max -= spare + 1;
	while (*text != '\0' && l->len + 2 <= l->max) {
		size_t n = strcspn(text, "\"\\");

		put(l, text, n);
		text += n;
		if (*text != '\0' && l->len + 2 <= l->max) {
			put(l, "\\", 1);
			put(l, text++, 1);
		}
	}
	l->max += spare + 1;
	put(l, "\"", 1);
}

static void
put_json(struct line *l, const struct diag_message *m)
{
	puts_to(l, "{\"time\":\"");
	put_time(l);
	puts_to(l, "\",\"level\":\"");
	puts_to(l, diag_names[m->level]);
	puts_to(l, "\",\"area\":\"");
	put_escaped(l, m->area, 0);
	puts_to(l, ",\"message\":\"");
	put_escaped(l, m->text, JSON_TAIL);
	if (m->request[0] != '\0') {
		puts_to(l, ",\"request_id\":\"");
		put_escaped(l, m->request, 1);
	}
	puts_to(l, "}");
}

/* ---- patterns ------------------------------------------------------------ */

enum piece {
	TIME,
	LEVEL,
	AREA,
	MESSAGE,
	REQUEST,
	PID,
	NONE
};

static const char *const pieces[] = {"{time}",	  "{level}",   "{area}",
				     "{message}", "{request}", "{pid}"};

static enum piece
piece_at(const char *p, size_t *len)
{
	for (int i = 0; i < NONE; i++) {
		*len = strlen(pieces[i]);
		if (strncmp(p, pieces[i], *len) == 0)
			return (enum piece)i;
	}
	return NONE;
}

const char *
diag_form_fault(const char *pattern)
{
	size_t n;

	for (const char *p = pattern; *p != '\0'; p += n) {
		n = strcspn(p, "{}");
		if (n == 0 && piece_at(p, &n) == NONE)
			return p;
	}
	return NULL;
}

static void
put_piece(struct line *l, enum piece piece, const struct diag_message *m)
{
	char text[DIAG_REQUEST_MAX + 32] = "";

	if (piece == TIME)
		put_time(l);
	else if (piece == LEVEL)
		puts_to(l, diag_names[m->level]);
	else if (piece == AREA)
		puts_to(l, m->area);
	else if (piece == MESSAGE)
		puts_to(l, m->text);
	else if (piece == PID)
		snprintf(text, sizeof(text), "%ld", (long)getpid());
	else if (m->request[0] != '\0')
		snprintf(text, sizeof(text), " (request %s)", m->request);
	puts_to(l, text);
}

static void
put_text(struct line *l, const char *pattern, const struct diag_message *m)
{
	size_t n;

	for (const char *p = pattern; *p != '\0'; p += n) {
		n = strcspn(p, "{");
		put(l, p, n);
		if (n == 0)
			put_piece(l, piece_at(p, &n), m);
	}
}

/* ---- lines --------------------------------------------------------------- */

/* "<28>Nov 21 09:05:01 weir[7]: ", as syslog(3) sends it. */
static size_t
put_syslog(char out[DIAG_HEAD_MAX], int priority)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)(clock_now() / 1000000);
	struct tm tm = {0};
	int n;

	localtime_r(&now, &tm);
	n = snprintf(out, DIAG_HEAD_MAX,
		     "<%d>%.3s %2d %02d:%02d:%02d weir[%ld]: ",
		     FACILITY_DAEMON | priority,
		     months + 3 * (size_t)(tm.tm_mon % 12), tm.tm_mday,
		     tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid());
	return n > 0 ? (size_t)n : 0;
}

size_t
diag_form_head(char out[DIAG_HEAD_MAX], const struct diag_way *way,
	       enum diag_level level)
{
	if (way->target == DIAG_SYSLOG)
		return put_syslog(out, priorities[level]);
	if (!way->prefix)
		return 0;
	out[0] = '<';
	out[1] = (char)('0' + priorities[level]);
	out[2] = '>';
	return 3;
}

size_t
diag_form(char out[DIAG_LINE_MAX], const struct diag_way *way,
	  const struct diag_message *m)
{
	struct line l = {out, diag_form_head(out, way, m->level),
			 DIAG_LINE_MAX - 1};

	if (way->json)
		put_json(&l, m);
	else
		put_text(&l, way->pattern, m);
	out[l.len++] = '\n';
	return l.len;
}
