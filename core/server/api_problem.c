/* SPDX-License-Identifier: MIT */
/* Problem documents (RFC 9457) that also carry "message". */
#include "server/api.h"

#include "base/json.h"
#include "base/str.h"

static const char *
title(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 417:
		return "Expectation Failed";
	case 421:
		return "Misdirected Request";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

void
api_problem_text(struct buf *out, int status, const char *word,
		 const char *message, const char *request_id)
{
	buf_printf(out,
		   "{\"type\":\"about:blank\",\"title\":\"%s\","
		   "\"status\":%d,\"code\":\"%s\",\"message\":",
		   title(status), status, word);
	json_put_string(out, str_of(message));
	buf_puts(out, ",\"detail\":");
	json_put_string(out, str_of(message));
	if (request_id != NULL) {
		buf_puts(out, ",\"request_id\":");
		json_put_string(out, str_of(request_id));
	}
	buf_putc(out, '}');
}
