/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "bus/options.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkview.h"
#include "cli/help.h"
#include "model/config.h"
#include "model/policy.h"
#include "model/schema.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- list, info ------------------------------------------------------------
 */

static void
put_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	if (value == NULL)
		buf_puts(b, "null");
	else
		json_put_string(b, str_of(value));
}

static int
run_list(struct cli *c, struct weir_err *err)
{
	struct plugin_entry *list = NULL;
	struct buf *b = &c->out;
	const char **cells;
	size_t n = 0;
	int rc = loader_list(&list, &n, err);

	if (rc != 0)
		return rc;
	if (c->json)
		buf_putc(b, '[');
	cells = must_mem((n + 1) * 3 * sizeof(*cells));
	cells[0] = "NAME", cells[1] = "VERSION", cells[2] = "SUMMARY";
	for (size_t i = 0; i < n; i++) {
		const struct weir_sink_plugin *p = list[i].plugin;

		cells[3 * i + 3] = list[i].name;
		cells[3 * i + 4] = p != NULL ? p->version : "-";
		cells[3 * i + 5] = p != NULL ? p->summary : list[i].why;
		if (!c->json)
			continue;
		buf_puts(b, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_string(b, str_of(list[i].name));
		put_member(b, "version", p != NULL ? p->version : NULL);
		put_member(b, "summary", p != NULL ? p->summary : NULL);
		put_member(b, "path", list[i].path);
		put_member(b, "error", p != NULL ? NULL : list[i].why);
		buf_putc(b, '}');
	}
	if (c->json)
		buf_puts(b, "]\n");
	else
		out_table(c, cells, 3, n + 1, 0);
	mem_free(cells);
	mem_free(list);
	return 0;
}

static const char *
type_word(uint32_t type)
{
	static const char *const words[] = {
		"string", "path", "uint", "bool", "enum", "duration", "list"};

	return type < sizeof(words) / sizeof(words[0]) ? words[type] : "?";
}

static void
put_info_json(struct buf *b, const struct weir_sink_plugin *p)
{
	const struct weir_sink_option *o = p->options;

	buf_puts(b, "{\"name\":");
	json_put_string(b, str_of(p->name));
	put_member(b, "version", p->version);
	put_member(b, "summary", p->summary);
	put_member(b, "path", loader_path(p->name));
	buf_printf(b, ",\"abi\":\"%u.%u\",\"capabilities\":\"", p->abi_major,
		   p->abi_minor);
	sinkview_capabilities(b, p->capabilities);
	buf_puts(b, "\",\"needs\":\"");
	sinkview_needs(b, p->needs);
	buf_puts(b, "\",\"options\":[");
	for (; o != NULL && o->name != NULL; o++) {
		buf_puts(b, o == p->options ? "{\"name\":" : ",{\"name\":");
		json_put_string(b, str_of(o->name));
		put_member(b, "type", type_word(o->type));
		put_member(b, "arg", o->arg);
		put_member(b, "default", o->dflt);
		buf_printf(b,
			   ",\"required\":%s,\"secret\":%s,"
			   "\"reloadable\":%s",
			   o->flags & WEIR_OPT_REQUIRED ? "true" : "false",
			   o->flags & WEIR_OPT_SECRET ? "true" : "false",
			   o->flags & WEIR_OPT_RELOADABLE ? "true" : "false");
		put_member(b, "help", o->help);
		buf_putc(b, '}');
	}
	buf_puts(b, "]}\n");
}

static int
run_info(struct cli *c, struct weir_err *err)
{
	const struct weir_sink_plugin *p = NULL;
	const struct weir_sink_option *o;
	struct buf *b = &c->out;
	int rc = loader_find(&p, cli_get(c, "PLUGIN"), err);

	if (rc != 0)
		return rc;
	if (c->json) {
		put_info_json(b, p);
		return 0;
	}
	buf_printf(b,
		   "%s %s: %s\n"
		   "path          %s\n"
		   "plugin ABI    %u.%u\n"
		   "capabilities  ",
		   p->name, p->version, p->summary, loader_path(p->name),
		   p->abi_major, p->abi_minor);
	sinkview_capabilities(b, p->capabilities);
	buf_puts(b, "\nneeds         ");
	sinkview_needs(b, p->needs);
	buf_puts(b, "\noptions\n");
	for (o = p->options; o != NULL && o->name != NULL; o++) {
		bool flag = o->type == WEIR_OPT_BOOL;

		buf_printf(b, "  --%s%s%s%s%s\n      ", o->name,
			   flag ? "" : " ", flag ? "" : options_arg(o),
			   o->flags & WEIR_OPT_REQUIRED ? " (required)" : "",
			   o->flags & WEIR_OPT_SECRET ? " (secret)" : "");
		help_wrap(b, o->help, 6, 6);
		if (o->dflt != NULL && o->dflt[0] != '\0' && !flag)
			buf_printf(b, "      default: %s\n", o->dflt);
	}
	return 0;
}

/* ---- map -------------------------------------------------------------------
 * First every sink concerned is asked whether its column can take the type;
 * only when all can is the mapping written, and then each is told to do it. */

struct mapper {
	struct cli *c;
	const char *dir, *plugin; /* plugin NULL: base */
	const char *aggregate, *field, *datatype;
	size_t asked;
};

/* Does the mapping concern this sink? */
static bool
concerns(const struct mapper *m, const struct mapping *map,
	 const struct sinkconf *conf)
{
	const struct weir_sink_plugin *p = NULL;
	char present[64];

	if (!conf->enabled || loader_find(&p, conf->plugin, NULL) != 0 ||
	    p->plan == NULL)
		return false;
	if (m->plugin != NULL)
		return strcmp(m->plugin, conf->plugin) == 0;
	return mapping_find(map, present, str_of(conf->plugin),
			    str_of(m->aggregate),
			    str_of(m->field)) != WEIR_TYPE_MAPPED;
}

static int
ask_sink(struct mapper *m, const char *name, bool apply, struct weir_err *err)
{
	char message[1024] = "";
	int rc =
		runner_plan(m->dir, name, str_of(m->aggregate),
			    str_of(m->field), m->datatype, apply, message, err);

	if (rc != 0) /* the message names the sink */
		return rc;
	if (apply && message[0] != '\0')
		cli_note(m->c, "sink %s: %s", name, message);
	m->asked++;
	return 0;
}

static int
each_sink(struct mapper *m, bool apply, struct weir_err *err)
{
	struct mapping *map = NULL;
	char **names = NULL;
	size_t n = 0;
	int rc = mapping_load(&map, m->dir, err);

	if (rc == 0)
		rc = sinkconf_list(&names, &n, m->dir, err);
	m->asked = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct sinkconf *conf = NULL;

		rc = sinkconf_load(&conf, m->dir, names[i], err);
		if (rc == 0 && concerns(m, map, conf))
			rc = ask_sink(m, names[i], apply, err);
		sinkconf_free(conf);
	}
	mem_free(names);
	mapping_free(map);
	return rc;
}

static int
say_mapped(struct mapper *m)
{
	struct buf *b = &m->c->out;

	if (!m->c->json) {
		buf_printf(b, "%s.%s is %s for %s%s\n", m->aggregate, m->field,
			   m->datatype, m->plugin ? "plugin " : "all plugins",
			   m->plugin ? m->plugin : "");
		return 0;
	}
	buf_puts(b, "{\"aggregate\":");
	json_put_string(b, str_of(m->aggregate));
	put_member(b, "field", m->field);
	put_member(b, "datatype", m->datatype);
	put_member(b, "plugin", m->plugin);
	buf_printf(b, ",\"sinks\":%zu}\n", m->asked);
	return 0;
}

/* The schema's own type goes below the mapping: says so when they differ. */
static void
note_declared(const struct mapper *m)
{
	struct policy *p = NULL;
	struct store *s = NULL;
	char declared[64];

	if (cli_open_read(m->c, &s, NULL) == 0 &&
	    policy_open(&p, s, NULL) == 0 &&
	    schema_field_type(p, declared, str_of(m->aggregate),
			      str_of(m->field)) &&
	    strcmp(declared, m->datatype) != 0)
		cli_note(m->c,
			 "the schema of %s declares %s as %s; in sinks the "
			 "mapping goes over it",
			 m->aggregate, m->field, declared);
	policy_free(p);
	store_close(s);
}

static int
run_map(struct cli *c, struct weir_err *err)
{
	struct mapper m = {.c = c,
			   .plugin = cli_get(c, "plugin"),
			   .aggregate = cli_get(c, "aggregate"),
			   .field = cli_get(c, "field"),
			   .datatype = cli_get(c, "datatype")};
	const struct weir_sink_plugin *p = NULL;
	char datatype[64] = "";
	int rc = 0;

	if (m.plugin != NULL)
		rc = loader_find(&p, m.plugin, err);
	if (rc == 0)
		rc = mapping_type(datatype, m.datatype, m.plugin == NULL, err);
	m.datatype = datatype;
	if (rc == 0)
		rc = cli_make_store(c, &m.dir, NULL, err);
	if (rc == 0) {
		rc = each_sink(&m, false, err);
		if (rc != 0)
			err_prefix(err, "nothing was mapped");
	}
	if (rc == 0)
		rc = mapping_set(m.dir, m.plugin, m.aggregate, m.field,
				 m.datatype, err);
	if (rc != 0)
		return rc;
	rc = each_sink(&m, true, err);
	if (rc != 0 && err != NULL) {
		err_prefix(err, "the mapping is written, but not yet carried "
				"out; run the command again");
		return err->code = WEIR_EPARTIAL;
	}
	if (rc != 0)
		return rc;
	note_declared(&m);
	return say_mapped(&m);
}

static const struct cli_option map_options[] = {
	{"aggregate", 0, "A", CLI_REQUIRED, "the aggregate's type"},
	{"field", 0, "F", CLI_REQUIRED, "the payload's member"},
	{"datatype", 0, "T", CLI_REQUIRED,
	 "such as integer, numeric(12,2), varchar(40), timestamptz, uuid, "
	 "jsonb"},
	{"plugin", 0, "PLUGIN", 0,
	 "for the sinks of this plugin only; goes over the base type"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_operand plugin_operands[] = {
	{"PLUGIN", NULL, CLI_REQUIRED},
	{NULL, NULL, 0},
};

const struct cli_command plugin_commands[] = {
	{"plugin list", "list the plugins that are found",
	 "A plugin that was refused stands in the list with the reason.", NULL,
	 NULL, CLI_LOCAL, run_list},
	{"plugin info", "show a plugin: version, capabilities, options", NULL,
	 NULL, plugin_operands, CLI_LOCAL, run_info},
	{"plugin map", "give a field's column a datatype",
	 "Every enabled sink concerned is asked first. A column that exists "
	 "is changed only when no value is lost; otherwise nothing changes "
	 "anywhere, and the answer says what would have to happen.",
	 map_options, NULL, CLI_LOCAL, run_map},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
