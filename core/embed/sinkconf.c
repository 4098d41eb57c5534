/* SPDX-License-Identifier: MIT */
/* The embedding API: configuring sinks, as `weir plugin` does. */
#include "embed/embed.h"

#include "base/err.h"
#include "base/os.h"
#include "bus/loader.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPTS 16u

EXPORT void
weir_plugin_dir(const char *dir)
{
	loader_set_dir(dir);
}

/* A copy of a list ended by NULL, in pieces that sinkconf_free frees. */
static int
copy_list(char ***out, const char *const *list)
{
	size_t n = 0;

	if (!list || !list[0])
		return 0;
	while (list[n])
		n++;
	*out = mem_new((n + 1) * sizeof(**out));
	for (size_t i = 0; *out && i < n; i++) {
		(*out)[i] = mem_dup(list[i], strlen(list[i]));
		if (!(*out)[i])
			return WEIR_ENOMEM;
	}
	return *out ? 0 : WEIR_ENOMEM;
}

static int
copy_values(struct sinkconf *conf, const struct weir_sink_config *config)
{
	if (config->nsettings == 0)
		return 0;
	conf->values = mem_new(config->nsettings * sizeof(*conf->values));
	if (!conf->values)
		return WEIR_ENOMEM;
	for (size_t i = 0; i < config->nsettings; i++) {
		const struct weir_setting *s = &config->settings[i];
		struct sinkconf_value *v = &conf->values[conf->nvalues++];

		v->name = mem_dup(s->name, strlen(s->name));
		v->value = mem_dup(s->value, strlen(s->value));
		if (!v->name || !v->value)
			return WEIR_ENOMEM;
	}
	return 0;
}

/* Checks what is no setting of the plugin. */
static int
check(const struct weir_sink_config *config, struct weir_err *err)
{
	if (!config->plugin)
		return err_set(err, WEIR_EINPUT, "a sink needs a plugin");
	for (size_t i = 0; i < config->nsettings; i++)
		if (!config->settings[i].name || !config->settings[i].value)
			return err_set(err, WEIR_EINPUT,
				       "setting %zu lacks its name or value",
				       i + 1);
	if (config->batch > SINK_BATCH_MAX)
		return err_set(err, WEIR_EINPUT, "batch is 1 to %u",
			       SINK_BATCH_MAX);
	return 0;
}

static int
fill(struct sinkconf *conf, const struct weir_sink_config *config,
     const struct sinkconf *old, struct weir_err *err)
{
	snprintf(conf->plugin, sizeof(conf->plugin), "%s", config->plugin);
	conf->enabled = !config->disabled;
	conf->paused = old && old->paused;
	conf->from = config->from > 0 ? config->from : old ? old->from : 1;
	conf->batch = config->batch > 0 ? config->batch : SINK_BATCH;
	conf->attempts_max =
		config->attempts_max > 0 ? config->attempts_max : ATTEMPTS;
	if (copy_list(&conf->aggregates, config->aggregates) != 0 ||
	    copy_list(&conf->events, config->events) != 0 ||
	    copy_list(&conf->tags, config->tags) != 0 ||
	    copy_values(conf, config) != 0)
		return err_nomem(err);
	return 0;
}

/* What the sink is now, if it is there. */
static int
load_old(struct sinkconf **old, const char *dir, const char *name,
	 const struct weir_sink_config *config, struct weir_err *err)
{
	struct weir_err mine = {0};
	int rc = sinkconf_load(old, dir, name, &mine);

	/* Settings that can't be read are replaced, as the command does. */
	if (rc == WEIR_ENOTFOUND || rc == WEIR_EINPUT)
		return 0;
	if (rc && err)
		*err = mine;
	if (rc == 0 && strcmp((*old)->plugin, config->plugin) != 0)
		rc = err_set(err, WEIR_EINPUT,
			     "the sink %s is one of plugin %s; choose another "
			     "name, or remove it first",
			     name, (*old)->plugin);
	return rc;
}

EXPORT int
weir_sink_configure(struct weir *w, const char *name,
		    const struct weir_sink_config *config, struct weir_err *err)
{
	const struct weir_sink_plugin *plugin = NULL;
	struct sinkconf *old = NULL, *conf = NULL;
	const char *dir = store_dir(w->store);
	int rc = sinkfile_check_name(name, err);

	if (rc == 0)
		rc = check(config, err);
	if (rc == 0)
		rc = loader_find(&plugin, config->plugin, err);
	if (rc == 0)
		rc = load_old(&old, dir, name, config, err);
	if (rc)
		goto out;
	conf = mem_new(sizeof(*conf));
	if (!conf) {
		rc = err_nomem(err);
		goto out;
	}
	strcpy(conf->name, name);
	rc = fill(conf, config, old, err);
	if (rc == 0 && config->from == WEIR_FROM_NOW)
		conf->from = weir_last(w) + 1;
	if (rc == 0)
		rc = sinkconf_check(conf, plugin, err);
	if (rc == 0)
		rc = sinkconf_save(dir, conf, err);
out:
	sinkconf_free(old);
	sinkconf_free(conf);
	return rc;
}
