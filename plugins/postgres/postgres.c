/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL sink: one table per aggregate type, one row per aggregate,
 * and the cursor in the same database and transaction.
 */
#include "postgres/target.h"

#include <stdio.h>
#include <string.h>

#define CALL_US (30 * 1000000LL)

static const struct weir_sink_option options[] = {
	{"connection", WEIR_OPT_STRING, WEIR_OPT_REQUIRED | WEIR_OPT_SECRET,
	 NULL, "CONNECTION",
	 "where the database is, as libpq takes it: a URI "
	 "(postgresql://user@host/db) or key=value pairs"},
	{"schema", WEIR_OPT_STRING, 0, "public", "NAME",
	 "the schema of the tables; made when it is missing"},
	{"connect-timeout", WEIR_OPT_DURATION, 0, "5s", "TIME",
	 "how long to wait for a connection"},
	{"statement-timeout", WEIR_OPT_DURATION, 0, "30s", "TIME",
	 "how long a statement may take"},
	{"lock-timeout", WEIR_OPT_DURATION, 0, "5s", "TIME",
	 "how long to wait for a lock that another session holds"},
	{"history", WEIR_OPT_BOOL, 0, "false", NULL,
	 "keep every version as well, a row each, in a table NAME_history "
	 "beside each table"},
	MIRROR_OPTIONS,
	{NULL, 0, 0, NULL, NULL, NULL},
};

/* A call without a deadline of its own. */
static void
begin_call(struct target *t)
{
	t->stop_fd = -1;
	t->deadline_us = t->host->monotonic_us(t->host->cookie) + CALL_US;
}

static int
sink_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	const char *schema = setting_get(o, "schema");
	PQconninfoOption *list =
		PQconninfoParse(setting_get(o, "connection"), NULL);
	const char *wrong = NULL;

	if (list == NULL)
		wrong = "connection is neither a URI (postgresql://...) nor "
			"key=value pairs that libpq knows";
	PQconninfoFree(list);
	if (schema != NULL &&
	    (schema[0] == '\0' || strlen(schema) > IDENT_MAX ||
	     strncmp(schema, "pg_", 3) == 0)) {
		return result_set(res, WEIR_SINK_REJECT, NULL, NULL,
				  "%s%sschema must be a name of 1 to 63 bytes "
				  "that does not begin with pg_",
				  wrong ? wrong : "", wrong ? "; " : "");
	}
	if (wrong == NULL)
		return WEIR_SINK_OK;
	return result_set(res, WEIR_SINK_REJECT, NULL, NULL, "%s", wrong);
}

/* Every version: the host must leave out none. */
static int
sink_shape(const struct weir_sink_open *o, uint32_t *capabilities,
	   uint32_t *needs, struct weir_sink_result *res)
{
	(void)needs;
	(void)res;
	if (setting_bool(o, "history"))
		*capabilities &= ~(uint32_t)WEIR_SINK_COALESCE;
	return WEIR_SINK_OK;
}

static char *
dup_text(const struct weir_sink_host *host, const char *s)
{
	return (char *)(uintptr_t)sink_dup(host, text_of(s)).data;
}

/* The password in a connection string, kept so that it can be masked. */
static char *
find_password(const struct weir_sink_host *host, const char *connection)
{
	PQconninfoOption *list = PQconninfoParse(connection, NULL);
	char *out = NULL;

	for (PQconninfoOption *o = list; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "password") == 0 && o->val != NULL)
			out = dup_text(host, o->val);
	}
	PQconninfoFree(list);
	return out;
}

static void
wipe(const struct weir_sink_host *host, char *secret)
{
	if (secret == NULL)
		return;
	for (volatile char *p = secret; *p != '\0'; p++)
		*p = '\0';
	sink_free(host, secret);
}

static void
sink_close(void *sink)
{
	struct target *t = sink;

	link_close(t);
	mirror_fini(&t->mirror);
	wipe(t->host, t->connection);
	wipe(t->host, t->password);
	sink_free(t->host, t->schema);
	sink_free(t->host, t);
}

/* Sinks of one schema, whatever their name, use one key. */
static int64_t
lock_key(const struct weir_sink_host *host, const char *schema)
{
	uint8_t sum[32];
	int64_t key = 0;

	host->sha256(host->cookie, schema, strlen(schema), sum);
	memcpy(&key, sum, sizeof key);
	return key;
}

static int
sink_open(void **out, const struct weir_sink_open *o,
	  struct weir_sink_result *res)
{
	struct target *t = sink_alloc(o->host, sizeof *t);
	const char *schema = setting_get(o, "schema");

	if (t == NULL)
		return result_nomem(res);
	t->host = o->host;
	t->stop_fd = -1;
	mirror_init(&t->mirror, o, true);
	t->mirror.history = setting_bool(o, "history");
	if (setting_get(o, "connection") != NULL)
		t->connection = dup_text(o->host, setting_get(o, "connection"));
	t->schema = dup_text(o->host, schema != NULL ? schema : "public");
	if (t->connection == NULL || t->schema == NULL) {
		sink_close(t);
		return result_nomem(res);
	}
	t->password = find_password(o->host, t->connection);
	t->connect_us = (int64_t)setting_u64(o, "connect-timeout", 5000000);
	t->statement_us =
		(int64_t)setting_u64(o, "statement-timeout", 30000000);
	t->lock_us = (int64_t)setting_u64(o, "lock-timeout", 5000000);
	t->lock_key = lock_key(o->host, t->schema);
	snprintf(t->sink, sizeof t->sink, "%s", o->sink);
	memcpy(t->store_id, o->store_id, sizeof t->store_id);
	memcpy(t->store_uuid, o->store_uuid, sizeof t->store_uuid);
	*out = t;
	return WEIR_SINK_OK;
}

static int
sink_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
	    struct weir_sink_result *res)
{
	struct target *t = sink;

	begin_call(t);
	int class = target_ready(t, res);
	if (class == WEIR_SINK_OK)
		class = target_read_cursor(t, lane, out, res);
	if (class == WEIR_SINK_OK) {
		t->known = true;
		t->unsure = false;
		t->sequence = out->found ? out->sequence : 0;
	}
	return class;
}

static int
sink_probe(void *sink, struct weir_sink_result *res)
{
	struct target *t = sink;

	begin_call(t);
	int class = link_connect(t, res);
	if (class == WEIR_SINK_OK)
		class = link_script(t, "SELECT 1", res);
	return class;
}

static int
sink_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct target *t = sink;
	uint64_t before = sequence > 0 ? sequence - 1 : 0;
	char text[24];
	const char *params[] = {t->sink, text};
	PGresult *r = NULL;

	begin_call(t);
	snprintf(text, sizeof text, "%llu", (unsigned long long)before);
	int class = target_ready(t, res);
	if (class == WEIR_SINK_OK)
		class = link_query(t, &r,
				   "UPDATE weir_cursors SET sequence = "
				   "$2::bigint, hash = NULL WHERE sink = $1",
				   2, params, res);
	if (class == WEIR_SINK_OK && strcmp(PQcmdTuples(r), "0") != 0)
		t->sequence = before;
	PQclear(r);
	return class;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof plugin,
	.name = "postgres",
	.version = "0.1.0",
	.summary = "keeps the newest state of every aggregate in PostgreSQL, "
		   "a table per aggregate type",
	.capabilities =
		WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_COALESCE,
	.needs = WEIR_SINK_NEED_STATE | WEIR_SINK_NEED_TYPES,
	.options = options,
	.validate = sink_validate,
	.open = sink_open,
	.resume = sink_resume,
	.deliver = target_deliver,
	.probe = sink_probe,
	.plan = target_plan,
	.rewind = sink_rewind,
	.close = sink_close,
	.shape = sink_shape,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
