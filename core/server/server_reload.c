/* SPDX-License-Identifier: MIT */
/* SIGHUP: everything that may change without a new start. */
#include "server/server_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "model/config.h"
#include "server/http.h"
#include "server/notify.h"
#include "server/text.h"

#define AREA "server"

/* Settings that count from the next start on. */
static const char *const fixed[] = {
	"host",		 "port",	 "text.host",
	"text.port",	 "heads_memory", "deliver_timeout",
	"runner_memory",
};

static void
say_fixed(const struct config *old, const struct config *new)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const char *a = config_get(old, fixed[i]);
		const char *b = config_get(new, fixed[i]);

		if (strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0)
			diag(DIAG_WARN, AREA,
			     "the setting %s counts from the next `weir "
			     "restart` on",
			     fixed[i]);
	}
}

int
server_configure(struct server *s, struct weir_err *err)
{
	struct config *c = NULL;
	int rc;

	if (s->nconfigs == SERVER_CONFIGS)
		return err_set(
			err, WEIR_ENOMEM,
			"settings were read %d times; restart the server "
			"to read them again",
			SERVER_CONFIGS);
	rc = config_load(&c, s->o.config_path, s->o.dir, err);
	if (rc != 0)
		return rc;
	if (s->config != NULL)
		say_fixed(s->config, c);
	s->configs[s->nconfigs++] = c;
	s->config = c;
	return 0;
}

static void
give_settings(struct server *s)
{
	struct weir_err err = {0};

	api_configure(s->api, s->config);
	text_reload(s->text, s->config);
	if (http_reload(s->http, s->config, &err) != 0)
		diag(DIAG_ERROR, AREA, "%s", err.msg);
	if (s->o.reload != NULL)
		s->o.reload(s->o.cookie, s->config);
}

void
server_reload(struct server *s)
{
	struct weir_err err = {0};

	notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_monotonic());
	diag_reopen();
	if (server_configure(s, &err) == 0)
		give_settings(s);
	else
		diag(DIAG_ERROR, AREA, "the old settings stay: %s", err.msg);
	if (s->sinks != NULL)
		sinks_reload(s->sinks);
	diag(DIAG_INFO, AREA, "settings were read again");
	notify_send("READY=1");
}
