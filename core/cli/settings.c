/* SPDX-License-Identifier: MIT */
/* weir config: shows weir.conf's settings and changes them in place. */
#include "cli/commands.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "model/config.h"

#include <stdio.h>
#include <string.h>

/* Options that are not simply the key with dashes. */
static const struct {
	const char *option, *key;
} other_names[] = {{"event-page-limit", "page_limit"}};

static void
option_of(char out[64], const char *key)
{
	snprintf(out, 64, "%s", key);
	for (char *p = out; *p != '\0'; p++)
		if (*p == '_' || *p == '.')
			*p = '-';
}

static int
load(struct cli *c, struct config **out, struct weir_err *err)
{
	const char *path = cli_get(c, "config"), *dir;
	int rc;

	if (path == NULL)
		rc = cli_data_dir(c, &dir, err);
	else
		rc = 0;
	if (rc != 0)
		return rc;
	/* a file that is named and not there yet begins empty */
	if (path != NULL && !os_exists(path))
		rc = os_replace_file(path, "", 0, 0600, err);
	if (rc == 0)
		rc = config_load(out, path, path != NULL ? NULL : dir, err);
	return rc;
}

/* Sets what the options give; how many there were. */
static int
set_given(struct cli *c, struct config *config, size_t *count,
	  struct weir_err *err)
{
	const char *value;
	char option[64];
	int rc = 0;

	for (const struct config_key *k = config_keys(); k->name && rc == 0;
	     k++) {
		option_of(option, k->name);
		value = cli_get(c, option);
		/* without --config, --data-dir only says where weir.conf is */
		if (strcmp(option, "data-dir") == 0 && !cli_get(c, "config"))
			value = NULL;
		for (size_t i = 0;
		     i < sizeof(other_names) / sizeof(other_names[0]); i++)
			if (value == NULL &&
			    strcmp(other_names[i].key, k->name) == 0)
				value = cli_get(c, other_names[i].option);
		if (value == NULL)
			continue;
		rc = config_set(config, k->name, value, err);
		*count += rc == 0;
	}
	return rc;
}

static int
unset_given(struct cli *c, struct config *config, size_t *count,
	    struct weir_err *err)
{
	const char *key;
	char name[64];
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && (key = cli_next(c, "unset", &at)) != NULL) {
		snprintf(name, sizeof(name), "%s", key);
		for (char *p = name; *p != '\0'; p++)
			if (*p == '-')
				*p = '_';
		rc = config_set(config, name, NULL, err);
		*count += rc == 0;
	}
	return rc;
}

/* As it may be shown; NULL when it is not set. */
static const char *
shown(const struct config *config, const struct config_key *k)
{
	const char *value = config_get(config, k->name);

	return value != NULL && k->type == CONFIG_SECRET ? "(set)" : value;
}

static void
show_json(struct cli *c, const struct config *config)
{
	struct buf *b = &c->out;

	buf_puts(b, "{\"path\":");
	json_put_string(b, str_of(config_path(config)));
	buf_puts(b, ",\"settings\":{");
	for (const struct config_key *k = config_keys(); k->name; k++) {
		const char *value = shown(config, k);

		buf_printf(b, "%s\"%s\":{\"value\":",
			   k == config_keys() ? "" : ",", k->name);
		if (value != NULL)
			json_put_string(b, str_of(value));
		else
			buf_puts(b, "null");
		buf_printf(b, ",\"from\":\"%s\"}",
			   value != NULL ? config_from(config, k->name)
					 : "default");
	}
	buf_puts(b, "}}\n");
}

static void
show_table(struct cli *c, const struct config *config)
{
	const char *cells[3 * 64] = {"SETTING", "VALUE", "FROM"};
	size_t n = 1;

	buf_printf(&c->out, "%s%s\n\n", config_path(config),
		   os_exists(config_path(config)) ? "" : " (not there yet)");
	for (const struct config_key *k = config_keys(); k->name && n < 64;
	     k++, n++) {
		const char *value = shown(config, k);

		cells[3 * n] = k->name;
		cells[3 * n + 1] = value != NULL ? value : "-";
		cells[3 * n + 2] =
			value != NULL ? config_from(config, k->name) : "-";
	}
	out_table(c, cells, 3, n, 0);
}

static int
run_config(struct cli *c, struct weir_err *err)
{
	struct config *config = NULL;
	size_t changed = 0;
	int rc = load(c, &config, err);

	if (rc == 0)
		rc = set_given(c, config, &changed, err);
	if (rc == 0)
		rc = unset_given(c, config, &changed, err);
	if (rc == 0 && changed > 0) {
		config_free(config);
		config = NULL;
		rc = load(c, &config, err);
	}
	if (rc == 0 && c->json)
		show_json(c, config);
	else if (rc == 0)
		show_table(c, config);
	config_free(config);
	return rc;
}

static const struct cli_option config_options[] = {
	{"host", 0, "ADDRESS", 0, "what the HTTP server listens on"},
	{"port", 0, "N", 0, "port of the HTTP server"},
	{"server-name", 0, "NAME", 0,
	 "further names that requests may be sent to"},
	{"tls-cert", 0, "PATH", 0, "certificate chain of the HTTP server"},
	{"tls-key", 0, "PATH", 0, "key of the certificate"},
	{"insecure-network", 0, "yes|no", 0,
	 "serve HTTP without TLS on an address that others can reach"},
	{"http-threads", 0, "N", 0, "threads of the HTTP server"},
	{"http-connections", 0, "N", 0, "the most HTTP connections at a time"},
	{"http-connections-per-address", 0, "N", 0,
	 "the most of one address that is not loopback"},
	{"header-timeout", 0, "TIME", 0,
	 "how long the head of a request may take to come"},
	{"body-timeout", 0, "TIME", 0,
	 "how long a request's body may take"},
	{"idle-timeout", 0, "TIME", 0,
	 "how long an HTTP connection may be without a request"},
	{"stream-timeout", 0, "TIME", 0,
	 "who takes nothing of an answer for so long is cut off"},
	{"drain-timeout", 0, "TIME", 0,
	 "how long a stopping server waits for requests and sinks"},
	{"text-host", 0, "ADDRESS", 0, "what the text protocol listens on"},
	{"text-port", 0, "N", 0, "port of the text protocol"},
	{"text-username", 0, "NAME", 0, "who may use the text protocol"},
	{"text-password", 0, "TEXT", 0,
	 "asked for by the text protocol when a name is set, too"},
	{"text-connections", 0, "N", 0,
	 "the most connections of the text protocol"},
	{"text-connections-per-address", 0, "N", 0,
	 "the most of one address that is not loopback"},
	{"text-slow-timeout", 0, "TIME", 0,
	 "a client that takes nothing for so long is given up"},
	{"list-page-size", 0, "N", 0, "aggregates that one listing shows"},
	{"page-limit", 0, "N", 0, "the most that one listing may ask for"},
	{"event-page-limit", 0, "N", 0, "the same as --page-limit"},
	{"memory-threshold", 0, "BYTES", 0,
	 "memory for the state cache of each sink (K, M, G)"},
	{"heads-memory", 0, "BYTES", 0,
	 "memory for the newest of each aggregate in a writer"},
	{"index-after", 0, "BYTES", 0,
	 "the index is brought on when so much of the journal is not in it"},
	{"sink-wait", 0, "TIME", 0,
	 "how long a write command delivers to sinks"},
	{"deliver-timeout", 0, "TIME", 0,
	 "how long a sink's plugin may take for one batch"},
	{"runner-memory", 0, "BYTES", 0,
	 "memory that one sink's process may hold; 0: no bound"},
	{"stream-heartbeat", 0, "TIME", 0,
	 "how often a live stream says something, at least"},
	{"diag-level", 0, "error|warn|info|debug|trace", 0,
	 "which of weir's own messages are shown"},
	{"diag-levels", 0, "AREA=LEVEL,...", 0,
	 "the same for single areas and sinks"},
	{"diag-target", 0, "stderr|journal|syslog|file", 0,
	 "where a server's messages go"},
	{"diag-file", 0, "FILE", 0,
	 "file for them, in the data folder unless absolute"},
	{"diag-format", 0, "FORMAT", 0,
	 "how they look: text, json or a pattern"},
	{"diag-rate", 0, "N", 0,
	 "messages alike that are shown in 10 seconds; 0: all"},
	{"unset", 0, "SETTING", CLI_MANY, "back to the default"},
	{NULL, 0, NULL, 0, NULL},
};

const struct cli_command settings_commands[] = {
	{"config", "show and change settings in weir.conf",
	 "The file is --config, or weir.conf in the data folder; comments stay "
	 "as they are. With --config, --data-dir is written to it as well.",
	 config_options, NULL, CLI_LOCAL, run_config},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
