/* SPDX-License-Identifier: MIT */
#include "api_test.h"

#include <pthread.h>
#include <strings.h>

#include "base/buf.h"
#include "model/config.h"
#include "model/policy.h"
#include "server/api_int.h"
#include "server/feed.h"

#define KEPT 16

struct api_test *
api_test_new(void)
{
	struct api_test *t = calloc(1, sizeof(*t));
	struct api_options o = {0};
	struct weir_err err = {0};

	assert_non_null(t);
	t->dir = folder_make();
	t->s = must_write(t->dir);
	assert_ok(policy_open(&t->policy, t->s, &err), err);
	assert_ok(config_load(&t->config, NULL, t->dir, &err), err);
	o.store = t->s;
	o.policy = t->policy;
	o.config = t->config;
	assert_ok(api_new(&t->api, &o, &err), err);
	return t;
}

void
api_test_free(struct api_test *t)
{
	api_free(t->api);
	policy_free(t->policy);
	store_close(t->s);
	config_free(t->config);
	folder_drop(t->dir);
	free(t);
}

/* ---- a request ----------------------------------------------------------- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
};

static void
on_ready(void *cookie)
{
	struct gate *g = cookie;

	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_signal(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

void
api_test_run(struct api_test *t, struct api_call *c)
{
	struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
			 false};

	if (!t->async) {
		assert_true(api_run(c, NULL, NULL));
		return;
	}
	if (api_run(c, on_ready, &g))
		return;
	pthread_mutex_lock(&g.lock);
	while (!g.open)
		pthread_cond_wait(&g.cond, &g.lock);
	pthread_mutex_unlock(&g.lock);
	api_finish(c);
}

static const char *
find_field(const char *fields, const char *name)
{
	static _Thread_local char value[KEPT][2000];
	static _Thread_local unsigned turn;
	size_t n = strlen(name);

	for (const char *p = fields; p != NULL && *p != '\0';) {
		const char *end = strchr(p, '\n');

		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1;
			p += strspn(p, " ");
			turn = (turn + 1) % KEPT;
			snprintf(value[turn], sizeof(value[turn]), "%.*s",
				 end != NULL ? (int)(end - p) : (int)strlen(p),
				 p);
			return value[turn];
		}
		p = end != NULL ? end + 1 : NULL;
	}
	return NULL;
}

static const char *
header(void *cookie, const char *name)
{
	const char *value = find_field(cookie, name);

	if (value == NULL && strcasecmp(name, "Content-Type") == 0)
		value = "application/json";
	return value;
}

const char *
field_of(const struct said *a, const char *name)
{
	return find_field(a->fields, name);
}

/* ---- what was seen ------------------------------------------------------- */

static struct {
	const char *method, *pattern;
	int status;
} seen[1000];
static size_t nseen;

static void
note_seen(const struct api_call *c)
{
	if (c->route == NULL || nseen == 1000)
		return;
	for (size_t i = 0; i < nseen; i++)
		if (seen[i].pattern == c->route->pattern &&
		    seen[i].method == c->route->method &&
		    seen[i].status == c->answer.status)
			return;
	seen[nseen].method = c->route->method;
	seen[nseen].pattern = c->route->pattern;
	seen[nseen++].status = c->answer.status;
}

bool
was_seen(const char *route, int status)
{
	char name[300];

	for (size_t i = 0; i < nseen; i++) {
		snprintf(name, sizeof(name), "%s %s", seen[i].method,
			 seen[i].pattern);
		if (strcmp(name, route) == 0 && seen[i].status == status)
			return true;
	}
	return false;
}

static struct said *
next_said(void)
{
	static struct said said[KEPT];
	static unsigned turn;
	struct said *a;

	turn = (turn + 1) % KEPT;
	a = &said[turn];
	free(a->type);
	free(a->body);
	memset(a, 0, sizeof(*a));
	return a;
}

static const struct said *
take_answer(struct api_call *c)
{
	const struct api_answer *from = api_answer(c);
	struct said *a = next_said();
	size_t n = 0;

	a->status = from->status;
	a->type = strdup(from->type != NULL ? from->type : "");
	a->len = from->body.len;
	a->body = malloc(a->len + 1);
	assert_non_null(a->body);
	if (a->len > 0)
		memcpy(a->body, from->body.data, a->len);
	a->body[a->len] = '\0';
	for (size_t i = 0; i < from->nfields; i++)
		n += (size_t)snprintf(a->fields + n, sizeof(a->fields) - n,
				      "%s: %s\n", from->field[i].name,
				      from->field[i].value);
	return a;
}

const struct said *
ask_n(struct api_test *t, const char *method, struct weir_str target,
      const char *fields, struct weir_str body, bool local)
{
	char none[] = "", *given = fields != NULL ? strdup(fields) : none;
	struct api_request r = {.method = method,
				.target = target,
				.header = header,
				.cookie = given};
	struct api_call *c = NULL;
	const struct said *a;

	r.caller.local = local;
	r.caller.group = STR("ops");
	r.caller.user = STR("ann");
	r.caller.address = STR("127.0.0.1");
	assert_int_equal(api_begin(&c, t->api, &r), 0);
	for (size_t at = 0; at < body.len;) {
		size_t n = body.len - at < 1000 ? body.len - at : 1000;

		api_body(c, body.data + at, n);
		at += n;
	}
	if (!api_answered(c))
		api_test_run(t, c);
	note_seen(c);
	a = take_answer(c);
	api_end(c);
	if (given != none)
		free(given);
	return a;
}

const struct said *
ask(struct api_test *t, const char *method, const char *target,
    const char *fields, const char *body)
{
	return ask_n(t, method, str_of(target), fields,
		     str_of(body != NULL ? body : ""), true);
}

const struct said *
ask_as(struct api_test *t, const char *token, const char *method,
       const char *target, const char *body)
{
	char fields[300];

	snprintf(fields, sizeof(fields), "%s%s",
		 token != NULL ? "Authorization: Bearer " : "",
		 token != NULL ? token : "");
	return ask_n(t, method, str_of(target), fields,
		     str_of(body != NULL ? body : ""), false);
}

const char *
token_of(struct api_test *t, const char *scopes, const char *pattern)
{
	static char secret[KEPT][100];
	static unsigned turn;
	char body[300], *at = body;
	const struct said *a;

	at += sprintf(at, "{\"group\":\"g\",\"user\":\"u\",\"scopes\":[\"");
	for (; *scopes != '\0'; scopes++)
		at += sprintf(at, *scopes == ',' ? "\",\"" : "%c", *scopes);
	at += sprintf(at, "\"]");
	if (pattern != NULL)
		at += sprintf(at, ",\"aggregates\":[\"%s\"]", pattern);
	sprintf(at, "}");
	a = ask(t, "POST", "/v1/tokens", NULL, body);
	assert_status(a, 201);
	turn = (turn + 1) % KEPT;
	assert_int_equal(sscanf(strstr(a->body, "\"token\""),
				"\"token\":\"%99[^\"]", secret[turn]),
			 1);
	return secret[turn];
}

/* ---- streams ------------------------------------------------------------- */

struct reading {
	struct api_call *c;
	char *fields;
	char text[200000];
};

struct reading *
read_begin(struct api_test *t, const char *target, const char *fields)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct api_request q = {
		.method = "GET", .target = str_of(target), .header = header};

	assert_non_null(r);
	r->fields = strdup(fields != NULL ? fields : "");
	q.cookie = r->fields;
	q.caller.local = strstr(r->fields, "Authorization") == NULL;
	assert_int_equal(api_begin(&r->c, t->api, &q), 0);
	assert_true(api_run(r->c, NULL, NULL));
	note_seen(r->c);
	return r;
}

int
read_status(const struct reading *r)
{
	return api_answer(r->c)->status;
}

const char *
read_more(struct reading *r, bool *ended)
{
	struct feed *f = api_answer(r->c)->feed;
	struct weir_err err = {0};
	size_t n = 0;
	int64_t got;

	assert_non_null(f);
	do {
		got = feed_read(f, r->text + n, 1000, &err);
		if (got > 0 && got != FEED_END)
			n += (size_t)got;
	} while (got > 0 && got != FEED_END && n + 1001 < sizeof(r->text));
	r->text[n] = '\0';
	*ended = got != 0;
	return r->text;
}

void
read_end(struct reading *r)
{
	api_end(r->c);
	free(r->fields);
	free(r);
}
