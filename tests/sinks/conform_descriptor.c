/* SPDX-License-Identifier: MIT */
/* The descriptor, the option table, and validate. */

#include "conform.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ALL_CAPABILITIES                                                       \
	(WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_COALESCE |         \
	 WEIR_SINK_MULTI_LANE | WEIR_SINK_LOSSY | WEIR_SINK_REWRITES)
#define ALL_NEEDS                                                              \
	(WEIR_SINK_NEED_JSON | WEIR_SINK_NEED_STATE | WEIR_SINK_NEED_TYPES)
#define ALL_FLAGS (WEIR_OPT_REQUIRED | WEIR_OPT_SECRET | WEIR_OPT_RELOADABLE)

static bool
name_is_good(const char *s, size_t most)
{
	size_t n = s != NULL ? strlen(s) : 0;

	if (n == 0 || n > most || s[0] < 'a' || s[0] > 'z')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool
sentence_is_good(const char *s)
{
	size_t n = s != NULL ? strlen(s) : 0;

	return n > 0 && strchr(s, '\n') == NULL;
}

static enum verdict
check_head(struct conform *c)
{
	const struct weir_sink_plugin *p = c->plugin;
	const size_t least = /* a plugin of an older minor version is shorter */
		offsetof(struct weir_sink_plugin, close) + sizeof(p->close);

	if (p->abi_major != WEIR_SINK_ABI_MAJOR)
		return conform_fail(c, "abi_major is %u, not %u", p->abi_major,
				    WEIR_SINK_ABI_MAJOR);
	if (p->abi_minor > WEIR_SINK_ABI_MINOR)
		return conform_fail(c, "abi_minor %u is newer than this host's",
				    p->abi_minor);
	if (p->struct_size < least)
		return conform_fail(c, "struct_size is %zu, less than %zu",
				    p->struct_size, least);
	if (!name_is_good(p->name, 31))
		return conform_fail(c, "the name is not [a-z][a-z0-9-]* of at "
				       "most 31");
	if (!sentence_is_good(p->version) || !sentence_is_good(p->summary))
		return conform_fail(c, "version or summary is missing or has "
				       "several lines");
	return PASS;
}

static enum verdict
check_callbacks(struct conform *c)
{
	const struct weir_sink_plugin *p = c->plugin;

	if (p->open == NULL || p->deliver == NULL || p->close == NULL)
		return conform_fail(c, "open, deliver and close must be there");
	if ((p->capabilities & ~(uint32_t)ALL_CAPABILITIES) != 0)
		return conform_fail(c, "unknown capabilities %#x",
				    p->capabilities);
	if ((p->needs & ~(uint32_t)ALL_NEEDS) != 0)
		return conform_fail(c, "unknown needs %#x", p->needs);
	if (conform_has(c, WEIR_SINK_HOLDS_CURSOR) && p->resume == NULL)
		return conform_fail(c, "HOLDS_CURSOR without resume");
	if (conform_has(c, WEIR_SINK_REWRITES) && p->rewind == NULL)
		return conform_fail(c, "REWRITES without rewind");
	if (conform_has(c, WEIR_SINK_MULTI_LANE) &&
	    (p->lane_open == NULL || p->lane_close == NULL))
		return conform_fail(c, "MULTI_LANE without lane_open or "
				       "lane_close");
	return PASS;
}

static bool
is_one_of(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *w = words; w != NULL; w = strchr(w, '|')) {
		w += *w == '|';
		if (strncmp(w, word, n) == 0 && (w[n] == '|' || w[n] == '\0'))
			return true;
	}
	return false;
}

static enum verdict
check_default(struct conform *c, const struct weir_sink_option *o)
{
	if (o->dflt == NULL)
		return PASS;
	if (o->flags & WEIR_OPT_REQUIRED)
		return conform_fail(c,
				    "option %s is required and has a "
				    "default",
				    o->name);
	if (o->type == WEIR_OPT_BOOL && !is_one_of(o->dflt, "true|false"))
		return conform_fail(c,
				    "option %s: the default is not true or "
				    "false",
				    o->name);
	if (o->type == WEIR_OPT_ENUM && !is_one_of(o->dflt, o->arg))
		return conform_fail(c,
				    "option %s: the default %s is none of "
				    "%s",
				    o->name, o->dflt, o->arg);
	if ((o->type == WEIR_OPT_UINT || o->type == WEIR_OPT_DURATION) &&
	    (o->dflt[0] < '0' || o->dflt[0] > '9'))
		return conform_fail(c, "option %s: the default is no number",
				    o->name);
	return PASS;
}

static enum verdict
check_options(struct conform *c)
{
	const struct weir_sink_option *o = c->plugin->options;
	enum verdict v;

	for (; o != NULL && o->name != NULL; o++) {
		if (!name_is_good(o->name, 63))
			return conform_fail(c,
					    "option name \"%s\" is not "
					    "lower-case words joined by -",
					    o->name);
		for (const struct weir_sink_option *b = c->plugin->options;
		     b != o; b++)
			if (strcmp(b->name, o->name) == 0)
				return conform_fail(c, "option %s stands twice",
						    o->name);
		if (o->type > WEIR_OPT_LIST ||
		    (o->flags & ~(uint32_t)ALL_FLAGS) != 0)
			return conform_fail(c,
					    "option %s: unknown type or "
					    "flags",
					    o->name);
		if (o->type == WEIR_OPT_ENUM && o->arg == NULL)
			return conform_fail(c,
					    "option %s: an enum without its "
					    "words in arg",
					    o->name);
		if (!sentence_is_good(o->help))
			return conform_fail(c, "option %s has no help",
					    o->name);
		v = check_default(c, o);
		if (v != PASS)
			return v;
	}
	return PASS;
}

static bool
is_set(const struct conform *c, const char *name)
{
	for (size_t i = 0; i < c->nsettings; i++)
		if (strcmp(c->names[i], name) == 0)
			return true;
	return false;
}

/* What was given by --set is what the table asks for. */
static enum verdict
check_settings(struct conform *c)
{
	const struct weir_sink_option *o = c->plugin->options;

	for (; o != NULL && o->name != NULL; o++)
		if ((o->flags & WEIR_OPT_REQUIRED) && !is_set(c, o->name))
			return conform_fail(c,
					    "option %s is required: give it "
					    "with --set %s=...",
					    o->name, o->name);
	for (size_t i = 0; i < c->nsettings; i++) {
		o = c->plugin->options;
		while (o != NULL && o->name != NULL &&
		       strcmp(o->name, c->names[i]) != 0)
			o++;
		if (o == NULL || o->name == NULL)
			return conform_fail(c,
					    "--set %s: the plugin has no "
					    "such option",
					    c->names[i]);
	}
	return PASS;
}

/* What the settings take away; the checks that follow go by it. */
static enum verdict
check_shape(struct conform *c)
{
	const uint32_t kept = WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_REWRITES;
	const struct weir_sink_plugin *p = c->plugin;
	struct fake *f = conform_new(c);
	int class = fake_shape(f, p);
	uint32_t can = f->capabilities, needs = f->needs;

	if (class != WEIR_SINK_OK)
		return conform_end(
			c, f,
			conform_fail(c, "class %d: %s", class, f->res.message));
	if ((can & ~p->capabilities) != 0 || (needs & ~p->needs) != 0)
		return conform_end(c, f,
				   conform_fail(c,
						"bits were added: %#x, needs "
						"%#x",
						can, needs));
	if (((can ^ p->capabilities) & kept) != 0)
		return conform_end(c, f,
				   conform_fail(c, "HOLDS_CURSOR or REWRITES "
						   "was taken away"));
	(void)fake_shape(f, p);
	if (f->capabilities != can || f->needs != needs)
		return conform_end(
			c, f, conform_fail(c, "a second call says otherwise"));
	c->capabilities = can;
	c->needs = needs;
	return conform_end(c, f, PASS);
}

const struct conform_check conform_descriptor[] = {
	{"descriptor: versions, name, texts", check_head},
	{"descriptor: callbacks for the capabilities", check_callbacks},
	{"option table: names, types, defaults", check_options},
	{"option table: agrees with what --set gives", check_settings},
	{"shape: only takes away", check_shape},
	{NULL, NULL},
};
