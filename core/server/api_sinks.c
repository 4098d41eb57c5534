/* SPDX-License-Identifier: MIT */
/*
 * Sinks, for administrators. Their settings and status are files in the data
 * folder; the supervisor sees a change within half a second. Nothing here loads
 * a plugin: see api_child.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/deadletter.h"
#include "bus/deadview.h"
#include "bus/runner.h"
#include "bus/sinkconf.h"
#include "bus/sinkfiles.h"
#include "bus/sinkview.h"
#include "server/api_child.h"
#include "server/api_int.h"

#define NAME_CAP 64 /* a sink's name and a NUL */
#define SEQS_MAX 10000u

static const char *const none[] = {NULL}; /* parameters of the query */

static const char *
dir_of(struct api_call *c)
{
	return store_dir(c->api->store);
}

/* The name in the path. 0, or -1 after an answer. */
static int
take_name(struct api_call *c, char name[NAME_CAP])
{
	struct weir_err err = {0};
	struct weir_str s = c->part[0];
	int rc = 0;

	if (s.len < NAME_CAP && memchr(s.data, '\0', s.len) == NULL) {
		memcpy(name, s.data, s.len);
		name[s.len] = '\0';
		rc = sinkfile_check_name(name, &err);
	} else {
		rc = err_set(&err, WEIR_EINPUT,
			     "a sink's name has at most 63 characters");
	}
	if (rc == 0)
		return 0;
	api_fail(c, &err);
	return -1;
}

/* The settings of the sink in the path. 0, or -1 after an answer. */
static int
load(struct api_call *c, struct sinkconf **out, char name[NAME_CAP])
{
	struct weir_err err = {0};

	if (take_name(c, name) != 0)
		return -1;
	if (sinkconf_load(out, dir_of(c), name, &err) == 0)
		return 0;
	api_fail(c, &err);
	return -1;
}

/* ?settings=true: 1, 0, or -1 after an answer. */
static int
wants_settings(struct api_call *c)
{
	static const char *const known[] = {"settings", NULL};
	bool wants = false;

	if (api_query_known(c, known) != 0 ||
	    api_query_flag(c, &wants, "settings") != 0)
		return -1;
	return wants;
}

/* ---- status -------------------------------------------------------------- */

static int
put_status(struct api_call *c, const struct sinkconf *conf,
	   struct weir_err *err)
{
	uint64_t last = store_last(c->api->store);
	struct runner_status st;
	int rc = runner_status(&st, dir_of(c), conf->name, err);

	if (rc != 0)
		return rc;
	if (st.committed < last)
		st.committed = last;
	sinkview_status_json(&c->out, conf, &st);
	return 0;
}

static int
run_all(struct api_call *c)
{
	static const char *const words[] = {"sink", "list", NULL};
	struct weir_err err = {0};
	int settings = wants_settings(c);
	char **names = NULL;
	size_t n = 0, shown = 0;

	if (settings != 0)
		return settings < 0 ? 0 : api_child(c, words);
	if (sinkconf_list(&names, &n, dir_of(c), &err) != 0)
		return api_fail(c, &err);
	buf_putc(&c->out, '[');
	for (size_t i = 0; i < n; i++) {
		struct sinkconf *conf = NULL;

		/* One that can't be read hides no other. */
		if (sinkconf_load(&conf, dir_of(c), names[i], &err) != 0)
			continue;
		if (shown++ > 0)
			buf_putc(&c->out, ',');
		if (put_status(c, conf, &err) != 0 && shown > 1)
			c->out.len--;
		sinkconf_free(conf);
	}
	buf_putc(&c->out, ']');
	mem_free(names);
	return api_reply(c, 200);
}

static int
run_one(struct api_call *c)
{
	struct sinkconf *conf = NULL;
	struct weir_err err = {0};
	char name[NAME_CAP];
	int rc;

	if (api_query_known(c, none) != 0 || load(c, &conf, name) != 0)
		return 0;
	rc = put_status(c, conf, &err);
	sinkconf_free(conf);
	return rc != 0 ? api_fail(c, &err) : api_reply(c, 200);
}

/* ---- pause, resume, test, replay, remove --------------------------------- */

static void
put_sink(struct api_call *c, const char *name)
{
	buf_puts(&c->out, "{\"sink\":");
	json_put_string(&c->out, str_of(name));
}

static int
set_paused(struct api_call *c, bool paused)
{
	struct sinkconf *conf = NULL;
	struct weir_err err = {0};
	char name[NAME_CAP];
	int rc = 0;

	if (api_query_known(c, none) != 0 || load(c, &conf, name) != 0)
		return 0;
	if (conf->paused != paused) {
		conf->paused = paused;
		rc = sinkconf_save(dir_of(c), conf, &err);
	}
	sinkconf_free(conf);
	if (rc != 0)
		return api_fail(c, &err);
	put_sink(c, name);
	buf_printf(&c->out, ",\"paused\":%s}", paused ? "true" : "false");
	return api_reply(c, 200);
}

static int
run_pause(struct api_call *c)
{
	return set_paused(c, true);
}

static int
run_resume(struct api_call *c)
{
	return set_paused(c, false);
}

static int
run_test(struct api_call *c)
{
	struct sinkconf *conf = NULL;
	char name[NAME_CAP];
	const char *words[] = {"sink", "test", name, NULL};

	if (api_query_known(c, none) != 0 || load(c, &conf, name) != 0)
		return 0;
	sinkconf_free(conf);
	return api_child(c, words);
}

/* The only member that the object in the body may have; absent without a body.
 * 0, or -1 after an answer. */
static int
take_member(struct api_call *c, struct weir_str *out, const char *name)
{
	struct weir_str object, key, value;
	struct weir_err err = {0};
	struct json_iter it;

	*out = (struct weir_str){NULL, 0};
	if (c->body.len == 0)
		return 0;
	if (json_check(buf_str(&c->body), &object, "body", &err) != 0) {
		api_fail(c, &err);
		return -1;
	}
	if (json_kind(object) != WEIR_OBJECT) {
		api_refuse(c, 0, WEIR_EINPUT, "the body must be a JSON object");
		return -1;
	}
	json_iter_init(&it, object);
	while (json_iter_next(&it, &key, &value)) {
		if (!json_string_is(key, name)) {
			api_refuse(c, 0, WEIR_EINPUT,
				   "unknown member %.*s; the body takes \"%s\"",
				   (int)(key.len < 80 ? key.len : 80), key.data,
				   name);
			return -1;
		}
		*out = value;
	}
	return 0;
}

static int
run_replay(struct api_call *c)
{
	struct sinkconf *conf = NULL;
	struct weir_str value;
	char name[NAME_CAP], from[24] = "1";
	const char *words[] = {"sink", "replay", name, "--from",
			       from,   "--yes",	 NULL};
	uint64_t n = 1;

	if (api_query_known(c, none) != 0 ||
	    take_member(c, &value, "from") != 0 || load(c, &conf, name) != 0)
		return 0;
	sinkconf_free(conf);
	if (value.data != NULL && (json_kind(value) != WEIR_NUMBER ||
				   json_u64(&n, value) != 0 || n == 0))
		return api_refuse(c, 0, WEIR_EINPUT,
				  "from must be a sequence, 1 or more");
	snprintf(from, sizeof(from), "%" PRIu64, n);
	return api_child(c, words);
}

static int
run_remove(struct api_call *c)
{
	static const char *const known[] = {"purge", NULL};
	struct weir_err err = {0};
	struct weir_str value;
	struct sinkconf *conf = NULL;
	char name[NAME_CAP];
	bool purge = false;
	int rc;

	if (api_query_known(c, known) != 0 || take_name(c, name) != 0)
		return 0;
	if (api_query(c, &value, "purge") != 0) {
		purge = str_is(value, "true");
		if (!purge && !str_is(value, "false"))
			return api_refuse(c, 0, WEIR_EINPUT,
					  "purge is true or false");
	}
	/* what is left of a sink may be purged later; and settings that can't
	 * be read may be removed */
	rc = purge ? 0 : sinkconf_load(&conf, dir_of(c), name, &err);
	sinkconf_free(conf);
	if (rc == 0 || rc == WEIR_EINPUT)
		rc = sinkconf_remove(dir_of(c), name, purge, &err);
	if (rc != 0)
		return api_fail(c, &err);
	put_sink(c, name);
	buf_puts(&c->out, ",\"removed\":true}");
	return api_reply(c, 200);
}

/* ---- dead letters -------------------------------------------------------- */

/* Those of the sink in the path: a removed one may have some left. 0, or -1
 * after an answer. */
static int
load_dead(struct api_call *c, struct deadletters **out, char name[NAME_CAP])
{
	struct sinkconf *conf = NULL;
	struct weir_err err = {0};
	int rc;

	if (api_query_known(c, none) != 0 || take_name(c, name) != 0)
		return -1;
	rc = deadletters_load(out, dir_of(c), name, &err);
	if (rc == 0 && deadletters_count(*out) == 0)
		rc = sinkconf_load(&conf, dir_of(c), name, &err);
	sinkconf_free(conf);
	if (rc == 0)
		return 0;
	deadletters_free(*out);
	*out = NULL;
	api_fail(c, &err);
	return -1;
}

static int
run_dead(struct api_call *c)
{
	struct deadletters *d = NULL;
	char name[NAME_CAP];

	if (load_dead(c, &d, name) != 0)
		return 0;
	deadletters_waiting(d, c->api->store);
	buf_putc(&c->out, '[');
	for (size_t i = 0; i < deadletters_count(d); i++) {
		if (i > 0)
			buf_putc(&c->out, ',');
		deadview_entry(&c->out, deadletters_at(d, i));
		buf_putc(&c->out, '}');
	}
	buf_putc(&c->out, ']');
	deadletters_free(d);
	return api_reply(c, 200);
}

static const struct dead_letter *
find(const struct deadletters *d, uint64_t sequence)
{
	for (size_t i = 0; i < deadletters_count(d); i++)
		if (deadletters_at(d, i)->sequence == sequence)
			return deadletters_at(d, i);
	return NULL;
}

static int
no_such(struct api_call *c, const char *name, uint64_t sequence)
{
	return api_refuse(c, 0, WEIR_ENOTFOUND,
			  "sink %s has no dead letter with sequence %" PRIu64,
			  name, sequence);
}

static int
run_dead_one(struct api_call *c)
{
	const struct dead_letter *e = NULL;
	struct deadletters *d = NULL;
	struct weir_err err = {0};
	char name[NAME_CAP];
	uint64_t sequence = 0;
	int rc = 0;

	if (load_dead(c, &d, name) != 0)
		return 0;
	if (str_u64(&sequence, c->part[1]) == 0) {
		deadletters_waiting(d, c->api->store);
		e = find(d, sequence);
	}
	if (e != NULL)
		rc = deadview_whole(&c->out, c->api->store, e, &err);
	if (e == NULL)
		no_such(c, name, sequence);
	else if (rc != 0)
		api_fail(c, &err);
	else
		api_reply(c, 200);
	deadletters_free(d);
	return 0;
}

static int
ask_one(struct api_call *c, const char *name, bool retry, uint64_t sequence,
	uint64_t *count, struct weir_err *err)
{
	uint64_t n = 0;
	int rc = retry ? deadletters_ask_retry(dir_of(c), name, sequence, &n,
					       err)
		       : deadletters_ask_discard(dir_of(c), name, sequence, &n,
						 err);

	*count += n;
	return rc;
}

/* Are these sequences of the sink's? 0, or -1 after an answer. */
static int
check_sequences(struct api_call *c, const struct deadletters *d,
		const char *name, struct weir_str list)
{
	struct weir_str key, value;
	struct json_iter it;
	uint64_t sequence;
	size_t n = 0;

	if (json_kind(list) != WEIR_ARRAY) {
		api_refuse(c, 0, WEIR_EINPUT,
			   "sequences must be an array of numbers");
		return -1;
	}
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &value)) {
		if (json_kind(value) != WEIR_NUMBER ||
		    json_u64(&sequence, value) != 0 || n++ == SEQS_MAX) {
			api_refuse(c, 0, WEIR_EINPUT,
				   "sequences must be an array of at most %u "
				   "numbers",
				   SEQS_MAX);
			return -1;
		}
		if (find(d, sequence) == NULL) {
			no_such(c, name, sequence);
			return -1;
		}
	}
	return 0;
}

/* {"sequences": [...]}, or all of them. */
static int
ask(struct api_call *c, bool retry)
{
	struct weir_str list, key, value;
	struct deadletters *d = NULL;
	struct weir_err err = {0};
	struct json_iter it;
	char name[NAME_CAP];
	uint64_t sequence, count = 0;
	int rc = 0;

	if (take_member(c, &list, "sequences") != 0 ||
	    load_dead(c, &d, name) != 0)
		return 0;
	if (list.data != NULL && check_sequences(c, d, name, list) != 0)
		goto out;
	if (list.data == NULL) {
		rc = ask_one(c, name, retry, 0, &count, &err);
	} else {
		json_iter_init(&it, list);
		while (rc == 0 && json_iter_next(&it, &key, &value) &&
		       json_u64(&sequence, value) == 0)
			rc = ask_one(c, name, retry, sequence, &count, &err);
	}
	if (rc != 0) {
		api_fail(c, &err);
		goto out;
	}
	put_sink(c, name);
	buf_printf(&c->out, ",\"%s\":%" PRIu64 "}",
		   retry ? "retried" : "discarded", count);
	api_reply(c, 202);
out:
	deadletters_free(d);
	return 0;
}

static int
run_retry(struct api_call *c)
{
	return ask(c, true);
}

static int
run_discard(struct api_call *c)
{
	return ask(c, false);
}

#define BODY (API_ADMIN | API_JSON | API_BODY_OPTIONAL)

const struct api_route api_sinks_routes[] = {
	{"GET", "/v1/sinks", API_ADMIN, run_all, api_child_finish},
	{"GET", "/v1/sinks/{name}", API_ADMIN, run_one, NULL},
	{"DELETE", "/v1/sinks/{name}", API_ADMIN, run_remove, NULL},
	{"POST", "/v1/sinks/{name}/pause", API_ADMIN, run_pause, NULL},
	{"POST", "/v1/sinks/{name}/resume", API_ADMIN, run_resume, NULL},
	{"POST", "/v1/sinks/{name}/test", API_ADMIN, run_test,
	 api_child_finish},
	{"POST", "/v1/sinks/{name}/replay", BODY, run_replay, api_child_finish},
	{"GET", "/v1/sinks/{name}/dead-letters", API_ADMIN, run_dead, NULL},
	{"GET", "/v1/sinks/{name}/dead-letters/{sequence}", API_ADMIN,
	 run_dead_one, NULL},
	{"POST", "/v1/sinks/{name}/dead-letters/retry", BODY, run_retry, NULL},
	{"POST", "/v1/sinks/{name}/dead-letters/discard", BODY, run_discard,
	 NULL},
	{NULL, NULL, 0, NULL, NULL},
};
