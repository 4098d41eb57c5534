/* SPDX-License-Identifier: MIT */
/*
 * weir plugin NAME: configures a sink. The command is made from the plugin's
 * own option table, so a third party's plugin gets parsing, help and
 * completion as the built-in ones do.
 */
#include "cli/commands.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "bus/options.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"
#include "bus/sinkview.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option sink_options[] = {
	{"name", 0, "NAME", 0, "the sink's name (default: the plugin's)"},
	{"disable", 0, NULL, 0,
	 "configured but not delivered to; suffices alone for a sink that "
	 "exists"},
	{"from", 0, "begin|now|SEQ", 0,
	 "where a new sink starts: with the first record (begin), with those "
	 "to come (now), or at a sequence"},
	{"aggregate", 0, "PATTERN", CLI_MANY,
	 "only aggregate types that match (* and ?)"},
	{"event", 0, "PATTERN", CLI_MANY, "only events that match"},
	{"tag", 0, "T", CLI_MANY, "only records with such a tag"},
	{"attempts-max", 0, "N", 0,
	 "failures the target answered before the aggregate is parked (16)"},
	{"batch", 0, "N", 0,
	 "records handed over at once, 1 to 65536; a commit is never cut "
	 "(1000)"},
};
#define NSINK (sizeof(sink_options) / sizeof(sink_options[0]))

/* A command made from a plugin; never freed. */
struct made {
	struct cli_command command;
	const struct weir_sink_plugin *plugin;
	struct made *next;
};

static struct made *made;

static const struct weir_sink_plugin *
plugin_of(const struct cli *c)
{
	for (struct made *m = made; m != NULL; m = m->next)
		if (&m->command == c->command)
			return m->plugin;
	return NULL;
}

/* ---- making the command ------------------------------------------------- */

/* The text without a full stop at its end, which only some authors put. */
static char *
without_stop(const char *text)
{
	char *out = must_dup(text);
	size_t n = strlen(out);

	if (n > 0 && out[n - 1] == '.')
		out[n - 1] = '\0';
	return out;
}

static char *
option_help(const struct weir_sink_option *o)
{
	bool shown = o->dflt != NULL && o->dflt[0] != '\0' &&
		     o->type != WEIR_OPT_BOOL;
	char *help = without_stop(o->help);
	char text[1024];

	snprintf(text, sizeof(text), "%.600s%s%.200s%s%s%s", help,
		 shown ? " (" : "", shown ? o->dflt : "", shown ? ")" : "",
		 o->flags & WEIR_OPT_REQUIRED ? " (required)" : "",
		 o->flags & WEIR_OPT_SECRET
			 ? "; secret: env:NAME or file:PATH keeps it out of "
			   "the settings"
			 : "");
	mem_free(help);
	return must_dup(text);
}

/* The words of an ENUM, else a placeholder without |. */
static char *
option_arg(const struct weir_sink_option *o)
{
	char *arg;

	if (o->type == WEIR_OPT_BOOL)
		return NULL;
	arg = must_dup(options_arg(o));
	for (char *p = arg; o->type != WEIR_OPT_ENUM && *p != '\0'; p++)
		if (*p == '|')
			*p = '/';
	return arg;
}

/* NULL, or one of weir's own options that the table would hide. */
static const char *
hidden_option(const struct weir_sink_option *table)
{
	const struct cli_option *o;
	size_t at = 0;

	for (size_t i = 0; i < NSINK; i++)
		if (options_find(table, sink_options[i].name) != NULL)
			return sink_options[i].name;
	while ((o = table_option(NULL, &at)) != NULL)
		if (options_find(table, o->name) != NULL)
			return o->name;
	return NULL;
}

static struct made *
make(const struct weir_sink_plugin *p)
{
	const struct weir_sink_option *o = p->options;
	struct made *m = must_mem(sizeof(*m));
	struct cli_option *options;
	char words[64];
	size_t n = 0, i = 0;

	while (o != NULL && o[n].name != NULL)
		n++;
	options = must_mem((n + NSINK + 1) * sizeof(*options));
	for (; i < n; i++) {
		options[i].name = o[i].name;
		options[i].arg = option_arg(&o[i]);
		options[i].help = option_help(&o[i]);
		if (o[i].type == WEIR_OPT_BOOL)
			options[i].flags |= CLI_TRUTH;
		if (o[i].type == WEIR_OPT_LIST)
			options[i].flags |= CLI_MANY;
		if (o[i].flags & WEIR_OPT_REQUIRED)
			options[i].flags |= CLI_REQUIRED;
	}
	memcpy(options + n, sink_options, sizeof(sink_options));
	snprintf(words, sizeof(words), "plugin %s", p->name);
	m->plugin = p;
	m->command.words = must_dup(words);
	m->command.summary = without_stop(p->summary);
	m->command.options = options;
	m->command.flags = CLI_CHECKS | CLI_LOCAL;
	return m;
}

/* ---- running it -----------------------------------------------------------
 */

static bool
only_disable(struct cli *c)
{
	const struct cli_option *o = c->command->options;

	if (!cli_has(c, "disable"))
		return false;
	for (; o->name != NULL; o++)
		if (strcmp(o->name, "disable") != 0 &&
		    strcmp(o->name, "name") != 0 && cli_get(c, o->name))
			return false;
	return true;
}

static char **
take_list(struct cli *c, const char *name)
{
	size_t n = cli_count(c, name), at = 0;
	char **list = NULL;
	const char *value;

	if (n > 0)
		list = must_mem((n + 1) * sizeof(*list));
	for (n = 0; (value = cli_next(c, name, &at)) != NULL; n++)
		list[n] = must_dup(value);
	return list;
}

static void
take_values(struct cli *c, struct sinkconf *conf,
	    const struct weir_sink_plugin *p)
{
	const struct weir_sink_option *o = p->options;
	size_t n = 0;

	for (; o != NULL && o->name != NULL; o++)
		n += cli_count(c, o->name);
	if (n == 0)
		return;
	conf->values = must_mem(n * sizeof(*conf->values));
	for (o = p->options; o->name != NULL; o++) {
		const char *value;
		size_t at = 0;

		while ((value = cli_next(c, o->name, &at)) != NULL) {
			conf->values[conf->nvalues].name = must_dup(o->name);
			conf->values[conf->nvalues++].value = must_dup(value);
		}
	}
}

static int
take_from(struct cli *c, struct sinkconf *conf, const struct sinkconf *old,
	  uint64_t last, struct weir_err *err)
{
	const char *from = cli_get(c, "from");

	conf->from = old != NULL ? old->from : 1;
	if (from == NULL)
		return 0;
	if (strcmp(from, "begin") == 0)
		conf->from = 1;
	else if (strcmp(from, "now") == 0)
		conf->from = last + 1;
	else if (str_u64(&conf->from, str_of(from)) != 0 || conf->from == 0)
		return err_set(err, WEIR_EUSAGE,
			       "--from takes begin, now or a sequence (1 or "
			       "more), not \"%s\"",
			       from);
	return 0;
}

static int
say_saved(struct cli *c, const struct sinkconf *conf, bool new,
	  struct weir_err *err)
{
	struct buf b;
	int rc;

	if (!c->json) {
		buf_printf(&c->out, "sink %s %s: plugin %s, %s", conf->name,
			   new ? "added" : "changed", conf->plugin,
			   conf->enabled ? "enabled" : "disabled");
		if (conf->paused)
			buf_printf(&c->out, ", paused (`weir sink resume %s`)",
				   conf->name);
		buf_putc(&c->out, '\n');
		return 0;
	}
	buf_init(&b, CLI_TEXT_MAX);
	sinkview_conf_json(&b, conf);
	rc = out_json(c, buf_str(&b), err);
	buf_fini(&b);
	return rc;
}

/* Fills conf from the command line over what the sink was before (or NULL). */
static int
fill(struct cli *c, struct sinkconf *conf, const struct sinkconf *old,
     uint64_t last, struct weir_err *err)
{
	const struct weir_sink_plugin *p = plugin_of(c);
	int rc;

	conf->enabled = !cli_has(c, "disable");
	conf->paused = old != NULL && old->paused;
	conf->aggregates = take_list(c, "aggregate");
	conf->events = take_list(c, "event");
	conf->tags = take_list(c, "tag");
	take_values(c, conf, p);
	rc = take_from(c, conf, old, last, err);
	if (rc == 0)
		rc = cli_u64(c, &conf->attempts_max, "attempts-max", 16, err);
	if (rc == 0 && conf->attempts_max == 0)
		rc = err_set(err, WEIR_EUSAGE, "--attempts-max is 1 or more");
	if (rc == 0)
		rc = cli_u64(c, &conf->batch, "batch", SINK_BATCH, err);
	if (rc == 0 && (conf->batch == 0 || conf->batch > SINK_BATCH_MAX))
		rc = err_set(err, WEIR_EUSAGE, "--batch is 1 to %u",
			     SINK_BATCH_MAX);
	if (rc != 0)
		return rc;
	rc = sinkconf_check(conf, p, err);
	if (rc == WEIR_EINPUT && err != NULL)
		rc = err->code = WEIR_EUSAGE;
	return rc;
}

/* Settings of sinks are files: they hold secrets, and paths of a machine. So
 * there is no way to set them from elsewhere. */
static int
check_here(struct cli *c, struct weir_err *err)
{
	const char *url = getenv("WEIR_SERVER");

	if (url == NULL || *url == '\0' || cli_get(c, "data-dir") != NULL)
		return 0;
	return err_set(err, WEIR_EUSAGE,
		       "WEIR_SERVER names a server, but sinks are configured on "
		       "the machine that delivers to them; run this there, or "
		       "name a store of this machine with --data-dir");
}

static int
run_plugin(struct cli *c, struct weir_err *err)
{
	const struct weir_sink_plugin *p = plugin_of(c);
	const char *name = cli_get(c, "name"), *dir = NULL;
	struct sinkconf *old = NULL, *conf = must_mem(sizeof(*conf));
	uint64_t last = 0;
	int rc = check_here(c, err);

	name = name != NULL ? name : p->name;
	snprintf(conf->plugin, sizeof(conf->plugin), "%s", p->name);
	if (rc == 0 && strlen(name) >= sizeof(conf->name))
		rc = err_set(err, WEIR_EUSAGE,
			     "a sink's name has at most 63 characters");
	snprintf(conf->name, sizeof(conf->name), "%.63s", name);
	if (rc == 0)
		rc = cli_data_dir(c, &dir, err);
	if (rc == 0) {
		rc = sinkconf_load(&old, dir, name, err);
		if (rc == WEIR_ENOTFOUND && !only_disable(c))
			rc = 0;
		if (rc == WEIR_EINPUT && !only_disable(c))
			rc = sinkfile_check_name(name, err);
	}
	if (rc == 0 && old != NULL && strcmp(old->plugin, p->name) != 0)
		rc = err_set(err, WEIR_EINPUT,
			     "the sink %s is one of plugin %s; choose another "
			     "--name, or remove it first",
			     name, old->plugin);
	if (rc == 0 && only_disable(c)) {
		old->enabled = false;
		rc = sinkconf_save(dir, old, err);
		if (rc == 0)
			rc = say_saved(c, old, false, err);
		goto out;
	}
	if (rc == 0)
		rc = fill(c, conf, old, 0, err);
	if (rc == 0)
		rc = cli_make_store(c, &dir, &last, err);
	if (rc == 0)
		rc = take_from(c, conf, old, last, err);
	if (rc == 0)
		rc = sinkconf_save(dir, conf, err);
	if (rc == 0)
		rc = say_saved(c, conf, old == NULL, err);
	if (rc == 0 && old != NULL && cli_get(c, "from") != NULL)
		cli_note(c,
			 "a sink that has a cursor goes on from it; `weir "
			 "sink replay %s` delivers again",
			 name);
out:
	sinkconf_free(old);
	sinkconf_free(conf);
	return rc;
}

int
plugin_command(const struct cli_command **out, const char *name,
	       struct weir_err *err)
{
	const struct weir_sink_plugin *p = NULL;
	const char *hidden;
	struct made *m;
	int rc;

	for (m = made; m != NULL; m = m->next) {
		if (strcmp(m->plugin->name, name) == 0) {
			*out = &m->command;
			return 0;
		}
	}
	rc = loader_find(&p, name, err);
	if (rc != 0)
		return rc;
	hidden = hidden_option(p->options);
	if (hidden != NULL)
		return err_set(err, WEIR_EINPUT,
			       "the plugin %s has an option --%s, which is "
			       "one of weir's own; its author must rename it",
			       name, hidden);
	m = make(p);
	m->command.run = run_plugin;
	m->next = made;
	made = m;
	*out = &m->command;
	return 0;
}
