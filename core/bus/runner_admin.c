/* SPDX-License-Identifier: MIT */
/* What is asked of a sink by hand: test, replay, plan. */
#include "bus/runner_int.h"

#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/uuid.h"
#include "bus/loader.h"
#include "model/config.h"
#include "model/policy.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

/* A sink opened beside its runner: nothing is delivered through it. */
struct visit {
	struct sinkconf *conf;
	struct mapping *mapping;
	struct policy *policy;
	const struct weir_sink_plugin *plugin;
	struct host *host;
	struct weir_sink_setting *settings;
	size_t nsettings;
	struct store *store;
	void *sink;
};

/* An answer that is not OK, as an error. */
static int
answer(const struct visit *v, int cls, struct weir_sink_result *res,
       struct weir_err *err)
{
	int code = cls == WEIR_SINK_REJECT ? WEIR_EINPUT
		   : cls == WEIR_SINK_BLOCKED || cls == WEIR_SINK_GONE
			   ? WEIR_EDENIED
			   : WEIR_EUNREACH;

	host_clean(v->host, res);
	return err_set(err, code, "sink %s: %s%s%s%s%s%s", v->conf->name,
		       res->message[0] != '\0' ? res->message
					       : "the plugin did not say why",
		       res->code[0] != '\0' ? " (" : "", res->code,
		       res->code[0] != '\0' ? ")" : "",
		       res->hint[0] != '\0' ? "; " : "", res->hint);
}

static void
visit_end(struct visit *v)
{
	if (v->sink != NULL)
		v->plugin->close(v->sink);
	host_free(v->host);
	sinkconf_settings_free(v->settings, v->nsettings);
	mapping_free(v->mapping);
	sinkconf_free(v->conf);
	policy_free(v->policy);
	if (v->store != NULL)
		store_close(v->store);
}

static int
visit_open(struct visit *v, const char *store_dir, const char *name,
	   struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_open o = {.struct_size = sizeof(o), .sink = name};
	struct store_options so = {0};
	int cls, rc = sinkconf_load(&v->conf, store_dir, name, err);

	if (rc == 0)
		rc = loader_find(&v->plugin, v->conf->plugin, err);
	if (rc == 0)
		rc = mapping_load(&v->mapping, store_dir, err);
	if (rc == 0)
		rc = sinkconf_check(v->conf, v->plugin, err);
	if (rc == 0)
		rc = sinkconf_settings(&v->settings, &v->nsettings, v->conf,
				       v->plugin, err);
	if (rc == 0)
		rc = store_open(&v->store, store_dir, &so, err);
	if (rc == 0)
		rc = policy_open(&v->policy, v->store, err);
	if (rc != 0)
		return rc;
	v->host = host_new(v->conf->name, v->plugin, v->mapping);
	if (v->host == NULL)
		return err_nomem(err);
	host_set_policy(v->host, v->policy);
	rc = host_keep_secrets(v->host, v->settings, v->nsettings, err);
	if (rc != 0)
		return rc;
	memcpy(o.store_id, store_id(v->store), sizeof(o.store_id));
	uuid_text(o.store_uuid, o.store_id);
	o.settings = v->settings;
	o.nsettings = v->nsettings;
	o.host = host_table(v->host);
	cls = v->plugin->open(&v->sink, &o, &res);
	if (cls == WEIR_SINK_OK)
		return 0;
	v->sink = NULL;
	return answer(v, cls, &res, err);
}

/* ---- test -------------------------------------------------------------------
 */

static int
test_cursor(struct visit *v, char message[1024], struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_cursor c = {.struct_size = sizeof(c)};
	char ours[37], theirs[37];
	int cls;

	if ((v->plugin->capabilities & WEIR_SINK_HOLDS_CURSOR) == 0) {
		snprintf(message, 1024, "the target is usable");
		return 0;
	}
	cls = v->plugin->resume(v->sink, 0, &c, &res);
	if (cls != WEIR_SINK_OK)
		return answer(v, cls, &res, err);
	if (c.found == 0) {
		snprintf(message, 1024,
			 "the target is usable and holds no cursor yet");
		return 0;
	}
	if (memcmp(c.store_id, store_id(v->store), 16) != 0) {
		uuid_text(ours, store_id(v->store));
		uuid_text(theirs, c.store_id);
		return err_set(
			err, WEIR_EDENIED,
			"sink %s: the target holds the cursor of store %s, "
			"this is store %s; give the sink another target, or "
			"empty this one",
			v->conf->name, theirs, ours);
	}
	snprintf(message, 1024,
		 "the target is usable and holds records through sequence %llu",
		 (unsigned long long)c.sequence);
	return 0;
}

int
runner_test(const char *store_dir, const char *name, char message[1024],
	    struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct runner_status st;
	struct visit v = {0};
	int cls, rc = runner_status(&st, store_dir, name, err);

	if (rc == 0)
		rc = visit_open(&v, store_dir, name, err);
	if (rc == 0 && v.plugin->probe != NULL) {
		cls = v.plugin->probe(v.sink, &res);
		if (cls != WEIR_SINK_OK)
			rc = answer(&v, cls, &res, err);
	}
	/* resume may put the target right, so it is left to the runner when
	 * there is one */
	if (rc == 0 && st.pid == 0)
		rc = test_cursor(&v, message, err);
	else if (rc == 0)
		snprintf(message, 1024,
			 "the target is usable; process %d delivers to it, "
			 "its cursor is at sequence %llu",
			 st.pid, (unsigned long long)st.cursor);
	visit_end(&v);
	return rc;
}

/* ---- replay -----------------------------------------------------------------
 */

static int
replay_ask(const char *store_dir, const char *name, uint64_t from,
	   struct weir_err *err)
{
	const struct weir_sink_plugin *p = NULL;
	struct store_options so = {0};
	struct replay rp = {.active = true, .from = from};
	char path[SINK_PATH_MAX];
	struct sinkconf *conf = NULL;
	struct store *s = NULL;
	int rc = sinkconf_load(&conf, store_dir, name, err);

	if (rc == 0)
		rc = loader_find(&p, conf->plugin, err);
	if (rc == 0 && from == 0)
		rc = err_set(err, WEIR_EUSAGE,
			     "a replay begins at sequence 1 or above");
	if (rc == 0 && p->rewind == NULL &&
	    (p->capabilities & WEIR_SINK_HOLDS_CURSOR) != 0)
		rc = err_set(err, WEIR_EUSAGE,
			     "the plugin %s cannot replay: it has no rewind",
			     p->name);
	if (rc == 0 && from > 1 && (p->capabilities & WEIR_SINK_REWRITES) != 0)
		rc = err_set(
			err, WEIR_EUSAGE,
			"sink %s writes its files anew in a replay, so it can "
			"only begin at sequence 1; leave --from out",
			name);
	if (rc == 0)
		rc = store_open(&s, store_dir, &so, err);
	if (rc == 0 && from > store_last(s))
		rc = err_set(
			err, WEIR_EUSAGE,
			"there is nothing to replay from sequence %llu: the "
			"store ends at %llu",
			(unsigned long long)from,
			(unsigned long long)store_last(s));
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "replay", err);
	if (rc == 0) {
		rp.until = store_last(s);
		rc = replay_save(path, &rp, err);
	}
	/* settings saved anew end a wait: the replay may be what mends it */
	if (rc == 0)
		rc = sinkconf_save(store_dir, conf, err);
	if (s != NULL)
		store_close(s);
	sinkconf_free(conf);
	return rc;
}

int
runner_replay(const char *store_dir, const char *name, uint64_t from,
	      struct weir_err *err)
{
	struct runner_options o = {
		.store_dir = store_dir,
		.name = name,
		.stop_fd = -1,
		.skip_backoff = true,
	};
	struct runner *r = NULL;
	int rc = replay_ask(store_dir, name, from, err);

	if (rc != 0)
		return rc;
	rc = runner_new(&r, &o, err);
	if (rc == WEIR_EUNREACH)
		return 0; /* the one who delivers sees it within a second */
	if (rc == 0)
		rc = runner_run(r, 0, 0, err);
	runner_free(r);
	return rc;
}

/* ---- plan -------------------------------------------------------------------
 */

int
runner_plan(const char *store_dir, const char *name, struct weir_str aggregate,
	    struct weir_str field, const char *datatype, bool apply,
	    char message[1024], struct weir_err *err)
{
	struct weir_sink_result res = {.struct_size = sizeof(res)};
	struct weir_sink_cursor c = {.struct_size = sizeof(c)};
	struct weir_sink_plan plan = {
		.struct_size = sizeof(plan),
		.aggregate_type = aggregate,
		.field = field,
		.datatype = datatype,
		.apply = apply ? 1 : 0,
	};
	struct visit v = {0};
	int cls, rc = visit_open(&v, store_dir, name, err);

	message[0] = '\0';
	if (rc == 0 && v.plugin->plan != NULL) {
		cls = v.plugin->resume != NULL
			      ? v.plugin->resume(v.sink, 0, &c, &res)
			      : WEIR_SINK_OK;
		if (cls == WEIR_SINK_OK)
			cls = v.plugin->plan(v.sink, &plan, &res);
		if (cls != WEIR_SINK_OK)
			rc = answer(&v, cls, &res, err);
		else
			host_clean(v.host, &res);
		if (rc == 0)
			snprintf(message, 1024, "%s", res.message);
	}
	visit_end(&v);
	return rc;
}
