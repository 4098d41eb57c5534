/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MSG_MAX sizeof(((struct weir_err *)0)->msg)

/* Ends msg at a whole UTF-8 sequence when it was cut. */
static void
end_whole(char *msg)
{
	size_t n = strlen(msg);
	size_t back = 0;

	while (n > 0 && back < 3 &&
	       ((unsigned char)msg[n - 1] & 0xc0) == 0x80) {
		n--;
		back++;
	}
	if (n == 0)
		return;
	unsigned char lead = (unsigned char)msg[n - 1];
	size_t want = lead >= 0xf0   ? 3
		      : lead >= 0xe0 ? 2
		      : lead >= 0xc0 ? 1
				     : 0;
	if (want > back)
		msg[n - 1] = '\0';
}

/* Formats to a buffer of its own first: an argument may be err->msg. */
static void
fill(struct weir_err *err, int code, int sys, const char *fmt, va_list ap)
{
	char text[MSG_MAX];
	int n = vsnprintf(text, sizeof text, fmt, ap);

	if (n < 0)
		text[0] = '\0';
	else if ((size_t)n >= sizeof text)
		end_whole(text);
	memset(err, 0, offsetof(struct weir_err, msg));
	err->code = code;
	err->sys_errno = sys;
	memcpy(err->msg, text, strlen(text) + 1);
}

static void
append(struct weir_err *err, const char *text)
{
	size_t n = strlen(err->msg);
	int m = snprintf(err->msg + n, MSG_MAX - n, ": %s", text);

	if (m > 0 && (size_t)m >= MSG_MAX - n)
		end_whole(err->msg);
}

int
err_set(struct weir_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;
	va_start(ap, fmt);
	fill(err, code, 0, fmt, ap);
	va_end(ap);
	return code;
}

static int
code_of(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return WEIR_ENOSPC;
	case ENOMEM:
		return WEIR_ENOMEM;
	case ENOENT:
		return WEIR_ENOTFOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return WEIR_EDENIED;
	default:
		return WEIR_EIO;
	}
}

int
err_sys(struct weir_err *err, const char *fmt, ...)
{
	int sys = errno;
	int code = code_of(sys);
	char why[128];
	va_list ap;

	if (err != NULL) {
		va_start(ap, fmt);
		fill(err, code, sys, fmt, ap);
		va_end(ap);
		append(err, strerror_r(sys, why, sizeof why));
	}
	errno = sys;
	return code;
}

int
err_nomem(struct weir_err *err)
{
	return err_set(err, WEIR_ENOMEM, "not enough memory");
}

int
err_prefix(struct weir_err *err, const char *fmt, ...)
{
	char old[MSG_MAX];
	char text[MSG_MAX];
	va_list ap;

	if (err == NULL)
		return WEIR_EFAILED;
	memcpy(old, err->msg, sizeof old);
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err->code;
	if ((size_t)n >= sizeof text)
		end_whole(text);
	memcpy(err->msg, text, strlen(text) + 1);
	append(err, old);
	return err->code;
}

const char *
err_word(int code)
{
	switch (code) {
	case WEIR_OK:
		return "ok";
	case WEIR_EINPUT:
		return "input";
	case WEIR_EUSAGE:
		return "usage";
	case WEIR_ENOTFOUND:
		return "not-found";
	case WEIR_EDENIED:
		return "denied";
	case WEIR_ECONFLICT:
		return "conflict";
	case WEIR_EUNREACH:
		return "unreachable";
	case WEIR_EDAMAGE:
		return "damage";
	case WEIR_EPARTIAL:
		return "partial";
	case WEIR_EIO:
		return "io";
	case WEIR_ENOSPC:
		return "no-space";
	case WEIR_ENOMEM:
		return "no-memory";
	case WEIR_EFAILED:
		return "failed";
	case WEIR_ESTOPPED:
		return "stopped";
	default:
		return "unknown";
	}
}

int
err_code(const char *word)
{
	for (int code = WEIR_EINPUT; code >= WEIR_ESTOPPED; code--)
		if (strcmp(err_word(code), word) == 0)
			return code;
	return WEIR_OK;
}
