/* SPDX-License-Identifier: MIT */
#include "model/diagconf.h"

#include "base/buf.h"
#include "base/diag.h"
#include "base/err.h"
#include "model/config.h"

#include <string.h>

static const struct {
	const char *word;
	enum diag_target target;
} targets[] = {{"stderr", DIAG_STDERR},
	       {"journal", DIAG_JOURNAL},
	       {"syslog", DIAG_SYSLOG},
	       {"file", DIAG_FILE}};

static enum diag_target
target_of(const struct config *c, unsigned flags)
{
	const char *word = config_get(c, "diag_target");
	enum diag_target t = DIAG_STDERR;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strcmp(targets[i].word, word) == 0)
			t = targets[i].target;
	if (!(flags & DIAGCONF_LASTS))
		return DIAG_STDERR;
	if (flags & DIAGCONF_DETACHED &&
	    (t == DIAG_STDERR || t == DIAG_JOURNAL))
		return DIAG_FILE;
	return t;
}

int
diagconf_apply(const struct config *c, const char *dir, unsigned flags,
	       struct weir_err *err)
{
	struct diag_options o = {.target = target_of(c, flags),
				 .levels = config_get(c, "diag_levels")};
	const char *file = config_get(c, "diag_file");
	struct buf path;
	int rc;

	buf_init(&path, 1 << 16);
	(void)diag_level_parse(&o.level, config_get(c, "diag_level"));
	if (flags & DIAGCONF_LASTS) {
		uint64_t rate = config_u64(c, "diag_rate");

		o.format = config_get(c, "diag_format");
		o.rate = rate < UINT32_MAX ? (unsigned)rate : UINT32_MAX;
	} else if (strcmp(config_from(c, "diag_level"), "default") == 0) {
		o.level = DIAG_ERROR;
	}
	if (file[0] != '/')
		buf_printf(&path, "%s/", dir);
	buf_puts(&path, file);
	if (o.target == DIAG_FILE)
		o.path = buf_cstr(&path);
	rc = path.failed ? err_nomem(err) : diag_setup(&o, err);
	buf_fini(&path);
	return rc;
}
