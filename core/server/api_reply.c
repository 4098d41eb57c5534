/* SPDX-License-Identifier: MIT */
/* Answers: JSON, problem documents, header fields. */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/json.h"
#include "base/must.h"
#include "base/str.h"
#include "model/token.h"

#define NO_MEMORY                                                              \
	"{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","         \
	"\"status\":503,\"code\":\"no-memory\",\"message\":\"not enough "      \
	"memory\",\"detail\":\"not enough memory\"}"

static int
status_of(int code)
{
	switch (code) {
	case WEIR_EINPUT:
	case WEIR_EUSAGE:
		return 400;
	case WEIR_ENOTFOUND:
		return 404;
	case WEIR_EDENIED:
		return 403;
	case WEIR_ECONFLICT:
		return 409;
	case WEIR_EUNREACH:
	case WEIR_ENOMEM:
	case WEIR_EFAILED:
	case WEIR_ESTOPPED:
		return 503;
	case WEIR_ENOSPC:
		return 507;
	default:
		return 500;
	}
}

struct buf *
api_field_begin(struct api_call *c, const char *name)
{
	must(c->answer.nfields < API_FIELDS);
	c->field_at[c->answer.nfields] = c->fields.len;
	c->answer.field[c->answer.nfields].name = name;
	return &c->fields;
}

void
api_field_end(struct api_call *c)
{
	if (buf_putc(&c->fields, '\0') == 0)
		c->answer.nfields++;
}

void
api_field(struct api_call *c, const char *name, const char *value)
{
	buf_puts(api_field_begin(c, name), value);
	api_field_end(c);
}

void
api_etag(struct api_call *c, uint64_t version)
{
	struct buf *b = api_field_begin(c, "ETag");

	buf_putc(b, '"');
	buf_number(b, version);
	buf_putc(b, '"');
	api_field_end(c);
}

int
api_reply_as(struct api_call *c, int status, const char *type)
{
	c->answered = true;
	api_field(c, "X-Request-Id", c->id);
	c->answer.status = status;
	c->answer.type = type;
	c->answer.body = buf_str(&c->out);
	if (c->out.failed || c->fields.failed) {
		c->answer.nfields = 0;
		c->answer.status = 503;
		c->answer.type = "application/problem+json";
		c->answer.body = STR(NO_MEMORY);
	}
	return 0;
}

int
api_reply(struct api_call *c, int status)
{
	return api_reply_as(c, status, "application/json");
}

static bool
ends(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);

	return n >= m && strcmp(text + n - m, with) == 0;
}

/* Revoked or expired while the call was under way. */
static bool
is_of_token(const struct weir_err *err)
{
	return err->code == WEIR_EDENIED &&
	       (ends(err->msg, TOKEN_UNKNOWN) || ends(err->msg, TOKEN_EXPIRED));
}

int
api_fail_as(struct api_call *c, int status, const struct weir_err *err)
{
	struct buf *b = &c->out;

	if (status == 0)
		status = is_of_token(err) ? 401 : status_of(err->code);
	c->answer.nfields = 0;
	buf_clear(&c->fields);
	buf_clear(b);
	api_problem_text(b, status, err_word(err->code), err->msg, c->id);
	if (!b->failed) {
		b->len--; /* the closing brace */
		if (err->sequence != 0)
			buf_printf(b, ",\"sequence\":%" PRIu64, err->sequence);
		if (err->offset != 0)
			buf_printf(b, ",\"offset\":%" PRIu64, err->offset);
		if (err->code == WEIR_ECONFLICT)
			buf_printf(b, ",\"version\":%" PRIu64, err->version);
		buf_putc(b, '}');
	}
	if (status >= 500)
		diag(DIAG_WARN, "api", "%s %.*s: %d: %s", c->request.method,
		     (int)c->request.target.len, c->request.target.data, status,
		     err->msg);
	api_reply_as(c, status, "application/problem+json");
	if (c->answer.status == 503)
		api_field(c, "Retry-After", "1");
	if (status == 401)
		api_field(c, "WWW-Authenticate", "Bearer realm=\"weir\"");
	return 0;
}

int
api_fail(struct api_call *c, const struct weir_err *err)
{
	return api_fail_as(c, 0, err);
}

int
api_refuse(struct api_call *c, int status, int code, const char *fmt, ...)
{
	struct weir_err err;
	char text[sizeof(err.msg)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(&err, code, "%s", text);
	return api_fail_as(c, status, &err);
}
