/* SPDX-License-Identifier: MIT */
/* A sink's options against the plugin's table, and the settings for open. */
#include "bus/sinkconf.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX (64u << 10)

static const char *
value_of(const struct sinkconf *c, const char *name)
{
	for (size_t i = 0; i < c->nvalues; i++) {
		if (strcmp(c->values[i].name, name) == 0)
			return c->values[i].value;
	}
	return NULL;
}

/* Adds one problem to the list that becomes the message. */
static void
problem(struct buf *b, const char *text)
{
	if (b->len != 0)
		buf_puts(b, "; ");
	buf_puts(b, text);
}

static void
unknown(struct buf *b, const struct weir_sink_plugin *p, const char *name)
{
	const char *near = options_nearest(p->options, name);
	char text[400];

	if (near != NULL)
		snprintf(text, sizeof(text),
			 "plugin %s has no option %.100s; did you mean %s?",
			 p->name, name, near);
	else
		snprintf(
			text, sizeof(text),
			"plugin %s has no option %.100s; `weir plugin info %s` "
			"lists them",
			p->name, name, p->name);
	problem(b, text);
}

/* `env:NAME` and `file:PATH` are references; anything else is the value. */
static bool
is_reference(const char *v)
{
	return strncmp(v, "env:", 4) == 0 || strncmp(v, "file:", 5) == 0;
}

/* Where the value begins that may be a reference: behind K= in a secret LIST,
 * else at the start. */
static size_t
value_start(const struct weir_sink_option *o, const char *v)
{
	const char *equals = strchr(v, '=');

	if (o->type != WEIR_OPT_LIST || (o->flags & WEIR_OPT_SECRET) == 0 ||
	    equals == NULL || is_reference(v) || !is_reference(equals + 1))
		return 0;
	return (size_t)(equals + 1 - v);
}

/* Checks one value and makes a path absolute. */
static int
check_value(struct buf *b, const struct weir_sink_option *o,
	    struct sinkconf_value *v, struct weir_err *err)
{
	struct weir_err e = {0};
	const char *rest = v->value;
	char *abs = NULL, *joined;
	bool secret = (o->flags & WEIR_OPT_SECRET) != 0;
	size_t prefix = 0, start = value_start(o, rest);

	if (secret && strncmp(rest + start, "file:", 5) == 0)
		prefix = start + 5;
	else if (secret && is_reference(rest + start))
		return 0;
	else if (options_check(o, rest, &e) != 0) {
		if (secret)
			problem(b, "a secret option has a value of a wrong "
				   "type");
		else
			problem(b, e.msg);
		return 0;
	}
	if (prefix == 0 && (o->type != WEIR_OPT_PATH || rest[0] == '\0'))
		return 0;
	if (rest[prefix] == '/')
		return 0;
	if (os_absolute(&abs, rest + prefix, err) != 0)
		return err != NULL ? err->code : WEIR_EIO;
	joined = mem_new(prefix + strlen(abs) + 1);
	if (joined != NULL) {
		memcpy(joined, rest, prefix);
		memcpy(joined + prefix, abs, strlen(abs) + 1);
		mem_free(v->value);
		v->value = joined;
	}
	mem_free(abs);
	return joined != NULL ? 0 : err_nomem(err);
}

/* Asks the plugin itself. Secrets that cannot be resolved here and now (they
 * belong to the runner's environment) are left to open. */
static void
ask_plugin(struct buf *b, const struct sinkconf *c,
	   const struct weir_sink_plugin *p)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_open o = {.struct_size = sizeof(o)};
	struct weir_sink_setting *settings = NULL;
	size_t n = 0;

	if (p->validate == NULL ||
	    sinkconf_settings(&settings, &n, c, p, NULL) != 0)
		return;
	o.sink = c->name;
	o.settings = settings;
	o.nsettings = n;
	if (p->validate(&o, &res) != WEIR_SINK_OK) {
		res.message[sizeof(res.message) - 1] = '\0';
		problem(b, res.message[0] != '\0' ? res.message
						  : "the plugin refuses its "
						    "settings");
	}
	sinkconf_settings_free(settings, n);
}

int
sinkconf_check(struct sinkconf *c, const struct weir_sink_plugin *p,
	       struct weir_err *err)
{
	const struct weir_sink_option *o;
	struct buf b;
	int rc = 0;

	buf_init(&b, 8192);
	for (size_t i = 0; i < c->nvalues && rc == 0; i++) {
		o = options_find(p->options, c->values[i].name);
		if (o == NULL) {
			unknown(&b, p, c->values[i].name);
			continue;
		}
		for (size_t k = 0; k < i && o->type != WEIR_OPT_LIST; k++) {
			if (strcmp(c->values[k].name, o->name) == 0) {
				buf_printf(
					&b,
					"%soption %s is given more than once",
					b.len != 0 ? "; " : "", o->name);
				break;
			}
		}
		rc = check_value(&b, o, &c->values[i], err);
	}
	for (o = p->options; rc == 0 && o != NULL && o->name != NULL; o++) {
		if ((o->flags & WEIR_OPT_REQUIRED) != 0 && o->dflt == NULL &&
		    value_of(c, o->name) == NULL)
			buf_printf(&b, "%splugin %s needs option %s (%s)",
				   b.len != 0 ? "; " : "", p->name, o->name,
				   o->help);
	}
	if (rc == 0 && b.len == 0)
		ask_plugin(&b, c, p);
	if (rc == 0 && b.len != 0)
		rc = err_set(err, WEIR_EINPUT, "sink %s: %s", c->name,
			     buf_cstr(&b));
	buf_fini(&b);
	return rc;
}

static int
read_secret(char **out, const char *option, const char *path,
	    struct weir_err *err)
{
	char *text = NULL;
	size_t n = 0;
	int rc = os_read_file(&text, &n, path, SECRET_MAX, err);

	if (rc != 0) {
		err_prefix(err, "option %s", option);
		return rc;
	}
	while (n != 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = '\0';
	if (strlen(text) != n) {
		explicit_bzero(text, n);
		mem_free(text);
		return err_set(err, WEIR_EINPUT,
			       "option %s: the file %s holds NUL bytes", option,
			       path);
	}
	*out = text;
	return 0;
}

/* Puts the first n bytes of v before a resolved value. */
static int
put_before(char **out, const char *v, size_t n, struct weir_err *err)
{
	size_t len = strlen(*out);
	char *whole = mem_new(n + len + 1);

	if (whole != NULL) {
		memcpy(whole, v, n);
		memcpy(whole + n, *out, len + 1);
	}
	explicit_bzero(*out, len);
	mem_free(*out);
	*out = whole;
	return whole != NULL ? 0 : err_nomem(err);
}

/* The value a plugin gets, in fresh memory. */
static int
resolve(char **out, const struct weir_sink_option *o, const char *v,
	struct weir_err *err)
{
	char number[32];

	if ((o->flags & WEIR_OPT_SECRET) != 0 && strncmp(v, "env:", 4) == 0) {
		const char *env = getenv(v + 4);

		if (env == NULL)
			return err_set(
				err, WEIR_EINPUT,
				"option %s: the environment has no variable "
				"%s; set it where the sink runs",
				o->name, v + 4);
		v = env;
	} else if ((o->flags & WEIR_OPT_SECRET) != 0 &&
		   strncmp(v, "file:", 5) == 0) {
		return read_secret(out, o->name, v + 5, err);
	} else if (o->type == WEIR_OPT_DURATION) {
		int64_t us = options_duration(v);

		if (us < 0)
			return options_check(o, v, err);
		snprintf(number, sizeof(number), "%lld", (long long)us);
		v = number;
	}
	*out = mem_dup(v, strlen(v));
	return *out != NULL ? 0 : err_nomem(err);
}

static int
setting_add(struct weir_sink_setting *s, size_t *n,
	    const struct weir_sink_option *o, const char *v,
	    struct weir_err *err)
{
	char *value = NULL;
	size_t start = value_start(o, v);
	int rc = resolve(&value, o, v + start, err);

	if (rc == 0 && start != 0)
		rc = put_before(&value, v, start, err);
	if (rc != 0)
		return rc;
	s[*n].name = o->name;
	s[*n].value = value;
	(*n)++;
	return 0;
}

int
sinkconf_settings(struct weir_sink_setting **out, size_t *n,
		  const struct sinkconf *c, const struct weir_sink_plugin *p,
		  struct weir_err *err)
{
	struct weir_sink_setting *s;
	size_t room = c->nvalues + 1, k = 0;
	int rc = 0;

	for (const struct weir_sink_option *o = p->options;
	     o != NULL && o->name != NULL; o++)
		room++;
	s = mem_new(room * sizeof(*s));
	if (s == NULL)
		return err_nomem(err);
	for (const struct weir_sink_option *o = p->options;
	     rc == 0 && o != NULL && o->name != NULL; o++) {
		bool given = false;

		for (size_t i = 0; i < c->nvalues && rc == 0; i++) {
			if (strcmp(c->values[i].name, o->name) != 0)
				continue;
			if (given && o->type != WEIR_OPT_LIST)
				continue;
			given = true;
			rc = setting_add(s, &k, o, c->values[i].value, err);
		}
		if (!given && o->dflt != NULL && rc == 0)
			rc = setting_add(s, &k, o, o->dflt, err);
	}
	if (rc != 0) {
		sinkconf_settings_free(s, k);
		return rc;
	}
	*out = s;
	*n = k;
	return 0;
}

void
sinkconf_settings_free(struct weir_sink_setting *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *v = (char *)(uintptr_t)s[i].value;

		if (v != NULL)
			explicit_bzero(v, strlen(v));
		mem_free(v);
	}
	mem_free(s);
}
