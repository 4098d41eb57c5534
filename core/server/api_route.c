/* SPDX-License-Identifier: MIT */
/*
 * Which route a target means. The path is split first and decoded then, so a
 * segment may hold any character, slashes and dots too; nothing is normalised.
 * In a query + is a space, as forms have it.
 */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

#define SEGMENTS  8
#define ROUTES	  100
#define ALLOW_MAX 100

/* Each api_X.c has its line here. */
/* clang-format off */
static const struct api_route *const tables[] = {
	api_aggregates_routes,
	api_basics_routes,
	api_events_routes,
	api_import_routes,
	api_schemas_routes,
	api_sinks_routes,
	api_stream_routes,
	api_tokens_routes,
};
/* clang-format on */
#define NTABLES (sizeof(tables) / sizeof(tables[0]))

int
api_route_each(int (*fn)(void *cookie, const struct api_route *r), void *cookie)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < NTABLES; i++)
		for (const struct api_route *r = tables[i];
		     rc == 0 && r->method != NULL; r++)
			rc = fn(cookie, r);
	return rc;
}

/* ---- decoding ------------------------------------------------------------ */

/* Decodes s to *to, which moves behind it. False: no valid encoding, or no
 * UTF-8. */
static bool
decode(struct weir_str *out, char **to, struct weir_str s, bool plus)
{
	char *p = *to;

	for (size_t i = 0; i < s.len; i++) {
		*p = plus && s.data[i] == '+' ? ' ' : s.data[i];
		if (s.data[i] == '%') {
			if (s.len - i < 3 ||
			    str_unhex(p, (struct weir_str){s.data + i + 1, 2},
				      1) != 0)
				return false;
			i += 2;
		}
		p++;
	}
	*out = (struct weir_str){*to, (size_t)(p - *to)};
	*to = p;
	return str_utf8_valid(*out) == out->len;
}

bool
api_decode(struct weir_str *out, char **to, struct weir_str s)
{
	return decode(out, to, s, false);
}

/* Takes what is before sep off *rest; false at the end. */
static bool
cut(struct weir_str *out, struct weir_str *rest, char sep)
{
	const char *at;

	if (rest->data == NULL)
		return false;
	at = memchr(rest->data, sep, rest->len);
	*out = *rest;
	if (at == NULL) {
		rest->data = NULL;
		return true;
	}
	out->len = (size_t)(at - rest->data);
	rest->data = at + 1;
	rest->len -= out->len + 1;
	return true;
}

static bool
bad_encoding(struct api_call *c, const char *where)
{
	api_refuse(c, 400, WEIR_EINPUT,
		   "the %s of the request is not percent-encoded UTF-8", where);
	return false;
}

/* How many segments the path has; 0 after an answer, SEGMENTS + 1: too many. */
static size_t
split_path(struct api_call *c, struct weir_str *segment, char **to)
{
	struct weir_str rest = c->path, raw;
	size_t n = 0;

	if (rest.len == 0 || rest.data[0] != '/') {
		bad_encoding(c, "path");
		return 0;
	}
	rest.data++;
	rest.len--;
	while (cut(&raw, &rest, '/')) {
		if (n == SEGMENTS)
			return SEGMENTS + 1;
		if (!decode(&segment[n++], to, raw, false)) {
			bad_encoding(c, "path");
			return 0;
		}
	}
	return n;
}

static bool
split_query(struct api_call *c, char **to)
{
	struct weir_str rest = c->query, pair;

	while (cut(&pair, &rest, '&')) {
		struct api_param *p = &c->params[c->nparams];
		struct weir_str name, value = pair;

		if (pair.len == 0)
			continue;
		if (c->nparams == API_PARAMS) {
			api_refuse(c, 400, WEIR_EINPUT,
				   "the query has more than %d parameters",
				   API_PARAMS);
			return false;
		}
		cut(&name, &value, '=');
		if (value.data == NULL)
			value = (struct weir_str){"", 0};
		if (!decode(&p->name, to, name, true) ||
		    !decode(&p->value, to, value, true))
			return bad_encoding(c, "query");
		for (size_t i = 0; i < c->nparams; i++)
			if (str_eq(c->params[i].name, p->name)) {
				char shown[64];

				api_refuse(c, 400, WEIR_EINPUT,
					   "the query parameter \"%s\" is "
					   "given twice",
					   str_show(shown, sizeof(shown),
						    p->name));
				return false;
			}
		c->nparams++;
	}
	return true;
}

/* ---- matching ------------------------------------------------------------ */

/* A route's pattern, cut once for all. */
struct cut_route {
	const struct api_route *route;
	struct weir_str want[SEGMENTS]; /* data[0] '{': any segment */
	size_t n, parts;
};

static struct cut_route cut_routes[ROUTES]; /* those of n segments together */
static size_t first_cut[SEGMENTS + 2];	    /* of n segments */
static size_t ncut;
static pthread_once_t cutting = PTHREAD_ONCE_INIT;

static int
cut_one(void *cookie, const struct api_route *r)
{
	struct weir_str rest = str_of(r->pattern + 1);
	struct cut_route *k = &cut_routes[ncut++];

	(void)cookie;
	must(ncut <= ROUTES);
	k->route = r;
	while (cut(&k->want[k->n], &rest, '/')) {
		k->parts += k->want[k->n].data[0] == '{';
		must(++k->n <= SEGMENTS && k->parts <= API_PARTS);
	}
	return 0;
}

static int
by_segments(const void *a, const void *b)
{
	const struct cut_route *x = a, *y = b;

	return (x->n > y->n) - (x->n < y->n);
}

static void
cut_all(void)
{
	api_route_each(cut_one, NULL);
	qsort(cut_routes, ncut, sizeof(cut_routes[0]), by_segments);
	for (size_t n = 0, i = 0; n < SEGMENTS + 2; n++) {
		while (i < ncut && cut_routes[i].n < n)
			i++;
		first_cut[n] = i;
	}
}

/* The last segments differ most. */
static bool
fits(const struct cut_route *k, const struct weir_str *segment)
{
	for (size_t n = k->n; n-- > 0;) {
		if (k->want[n].data[0] == '{' ? segment[n].len == 0
					      : !str_eq(k->want[n], segment[n]))
			return false;
	}
	return true;
}

static bool
is_method(const char *wanted, const char *given)
{
	return strcmp(wanted, given) == 0 ||
	       (strcmp(given, "HEAD") == 0 && strcmp(wanted, "GET") == 0);
}

struct match {
	const struct cut_route *found;
	size_t parts; /* of those that fit: the fewest */
};

static void
add_method(char allow[ALLOW_MAX], const char *method)
{
	size_t n = strlen(allow);

	if (strstr(allow, method) == NULL)
		snprintf(allow + n, ALLOW_MAX - n, "%s%s%s", n > 0 ? ", " : "",
			 method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* A literal goes over {...}: of the patterns that fit, those with the fewest
 * parts count. */
static void
match(struct match *m, const char *method, const struct weir_str *segment,
      size_t n)
{
	for (size_t i = first_cut[n]; i < first_cut[n + 1]; i++) {
		const struct cut_route *k = &cut_routes[i];

		if (k->parts > m->parts || !fits(k, segment))
			continue;
		if (k->parts < m->parts) {
			m->parts = k->parts;
			m->found = NULL;
		}
		if (is_method(k->route->method, method))
			m->found = k;
	}
}

/* The methods of the patterns that fitted. */
static void
methods(char allow[ALLOW_MAX], size_t parts, const struct weir_str *segment,
	size_t n)
{
	for (size_t i = first_cut[n]; i < first_cut[n + 1]; i++) {
		const struct cut_route *k = &cut_routes[i];

		if (k->parts == parts && fits(k, segment))
			add_method(allow, k->route->method);
	}
}

static void
take_route(struct api_call *c, const struct cut_route *k,
	   const struct weir_str *segment)
{
	size_t parts = 0;

	c->route = k->route;
	for (size_t i = 0; i < k->n; i++)
		if (k->want[i].data[0] == '{')
			c->part[parts++] = segment[i];
}

static void
no_route(struct api_call *c, const char *allow)
{
	char shown[200];

	if (allow[0] == '\0') {
		api_refuse(c, 404, WEIR_ENOTFOUND, "there is no such route: %s",
			   str_show(shown, sizeof(shown), c->path));
		return;
	}
	api_refuse(c, 405, WEIR_EUSAGE, "%s is not among the methods of %s: %s",
		   c->request.method, str_show(shown, sizeof(shown), c->path),
		   allow);
	api_field(c, "Allow", allow);
}

void
api_route_find(struct api_call *c)
{
	struct weir_str target = c->request.target, segment[SEGMENTS];
	struct match m = {.parts = SIZE_MAX};
	const char *mark = memchr(target.data, '?', target.len);
	char *to = c->memory;
	size_t n;

	pthread_once(&cutting, cut_all);
	c->path = target;
	if (mark != NULL) {
		c->path.len = (size_t)(mark - target.data);
		c->query.data = mark + 1;
		c->query.len = target.len - c->path.len - 1;
	}
	n = split_path(c, segment, &to);
	if (n == 0)
		return;
	if (n <= SEGMENTS)
		match(&m, c->request.method, segment, n);
	if (m.found == NULL) {
		char allow[ALLOW_MAX] = "";

		if (n <= SEGMENTS)
			methods(allow, m.parts, segment, n);
		no_route(c, allow);
		return;
	}
	take_route(c, m.found, segment);
	split_query(c, &to);
}

/* ---- the query ----------------------------------------------------------- */

int
api_query(struct api_call *c, struct weir_str *out, const char *name)
{
	for (size_t i = 0; i < c->nparams; i++)
		if (str_is(c->params[i].name, name)) {
			*out = c->params[i].value;
			return 1;
		}
	return 0;
}

int
api_query_u64(struct api_call *c, uint64_t *out, const char *name)
{
	struct weir_str text;
	char shown[64];

	if (api_query(c, &text, name) == 0)
		return 0;
	if (str_u64(out, text) == 0)
		return 1;
	api_refuse(c, 400, WEIR_EINPUT,
		   "%s must be a whole number of 0 or more, not \"%s\"", name,
		   str_show(shown, sizeof(shown), text));
	return -1;
}

int
api_query_flag(struct api_call *c, bool *out, const char *name)
{
	struct weir_str text;

	if (api_query(c, &text, name) == 0)
		return 0;
	if (!str_is(text, "true") && !str_is(text, "false")) {
		api_refuse(c, 400, WEIR_EINPUT, "%s must be true or false",
			   name);
		return -1;
	}
	*out = str_is(text, "true");
	return 0;
}

int
api_query_known(struct api_call *c, const char *const *names)
{
	for (size_t i = 0; i < c->nparams; i++) {
		char text[WEIR_NAME_MAX], shown[200];
		const char *const *n = names;
		const char *near;

		while (*n != NULL && !str_is(c->params[i].name, *n))
			n++;
		if (*n != NULL)
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)c->params[i].name.len,
			 c->params[i].name.data);
		near = str_nearest(text, names);
		api_refuse(c, 400, WEIR_EINPUT,
			   "unknown query parameter \"%s\"%s%s%s",
			   str_show(shown, sizeof(shown), c->params[i].name),
			   near != NULL ? "; did you mean \"" : "",
			   near != NULL ? near : "", near != NULL ? "\"?" : "");
		return -1;
	}
	return 0;
}
