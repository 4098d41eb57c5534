/* SPDX-License-Identifier: MIT */
/* What a server says of itself. */
#include "server/api_int.h"

#include "base/buf.h"

static int
run_health(struct api_call *c)
{
	buf_puts(&c->out, "{\"status\":\"ok\"}");
	return api_reply(c, 200);
}

const struct api_route api_basics_routes[] = {
	{"GET", "/health", API_OPEN, run_health, NULL},
	{NULL, NULL, 0, NULL, NULL},
};
