/* SPDX-License-Identifier: MIT */
#include "cli/remote.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TARGET_MAX (16u << 10)
#define PAGE	   1000u /* asked for at once; the server may give less */
#define FILTER_MAX 100u	 /* so that Link has room for it */
#define NDJSON	   "application/x-ndjson"

void
remote_aggregate(struct buf *out, struct cli *c, const char *more)
{
	buf_puts(out, "/v1/aggregates/");
	call_encode(out, str_of(cli_get(c, "aggregate")));
	buf_putc(out, '/');
	call_encode(out, str_of(cli_get(c, "aggregate-id")));
	buf_puts(out, more);
}

static int
get(struct cli *c, struct call_answer *a, struct buf *target,
    const char *accept, struct weir_err *err)
{
	const struct call_request r = {
		.method = "GET", .target = buf_cstr(target), .accept = accept};

	if (target->failed)
		return err_set(err, WEIR_EINPUT, "the request is too long");
	return call_send(c, a, &r, err);
}

/* The answer as one JSON value that was checked. */
static int
get_json(struct cli *c, struct call_answer *a, struct weir_str *value,
	 struct buf *target, struct weir_err *err)
{
	int rc = get(c, a, target, NULL, err);

	if (rc == 0)
		rc = json_check_depth(buf_str(&a->body), value,
				      WEIR_DEPTH_MAX + 1, "the server's answer",
				      err);
	return rc;
}

/* What is said of "the aggregate", with its name. */
static int
say_name(struct cli *c, int rc, struct weir_err *err)
{
	const char *type = cli_get(c, "aggregate");
	const char *id = cli_get(c, "aggregate-id");
	const char *rest = NULL;

	if (rc == WEIR_ENOTFOUND && err != NULL &&
	    strcmp(err->msg, "aggregate not found") == 0)
		return err_set(err, rc, "aggregate not found: %s %s in %s",
			       type, id, call_server(c));
	if (rc == WEIR_ENOTFOUND && err != NULL &&
	    strncmp(err->msg, "the aggregate has", 17) == 0)
		rest = err->msg + 13;
	return rest == NULL ? rc : err_set(err, rc, "%s %s%s", type, id, rest);
}

/* ---- one aggregate ------------------------------------------------------- */

/* Calls fn with the aggregate's records from..to. */
static int
each_version(struct cli *c, uint64_t from, uint64_t to,
	     int (*fn)(void *cookie, struct weir_str record,
		       struct weir_err *err),
	     void *cookie, struct weir_err *err)
{
	struct weir_str list, key, value;
	struct call_answer a;
	struct json_iter it;
	struct buf target;
	int rc = 0;

	buf_init(&target, TARGET_MAX);
	while (rc == 0 && from <= to) {
		uint64_t take = to - from < PAGE ? to - from + 1 : PAGE, n = 0;

		buf_clear(&target);
		remote_aggregate(&target, c, "/events");
		buf_printf(&target, "?skip=%" PRIu64 "&take=%" PRIu64, from - 1,
			   take);
		rc = get_json(c, &a, &list, &target, err);
		if (rc == 0 && json_kind(list) == WEIR_ARRAY) {
			json_iter_init(&it, list);
			while (rc == 0 && json_iter_next(&it, &key, &value)) {
				rc = fn(cookie, value, err);
				n++;
			}
		}
		call_free(&a);
		from += n;
		if (n == 0)
			break;
	}
	buf_fini(&target);
	return rc;
}

struct gathering {
	struct cli *c;
	struct buf *out;
	const char *sep;
	uint64_t n;
};

static int
gather(void *cookie, struct weir_str record, struct weir_err *err)
{
	struct gathering *g = cookie;

	if (g->n++ > 0)
		buf_puts(g->out, g->sep);
	if (buf_add_str(g->out, record) != 0)
		return err_nomem(err);
	return g->out == &g->c->out ? out_spill(g->c, err) : 0;
}

static int
check_version(struct cli *c, uint64_t *version, struct weir_err *err)
{
	int rc = cli_u64(c, version, "version", 0, err);

	if (rc == 0 && *version == 0 && cli_get(c, "version") != NULL)
		rc = err_set(err, WEIR_EUSAGE, "versions start at 1");
	return rc;
}

/* ?version=N where it was asked for */
static void
put_version(struct buf *target, uint64_t version)
{
	if (version != 0)
		buf_printf(target, "?version=%" PRIu64, version);
}

static int
with_events(struct cli *c, struct buf *text, struct weir_str state,
	    struct weir_err *err)
{
	struct gathering g = {c, text, ",", 0};
	struct weir_str value;
	uint64_t version = 0;
	int rc;

	if (json_get(state, "version", &value))
		json_u64(&version, value);
	buf_add(text, state.data, state.len - 1);
	buf_puts(text, ",\"events\":[");
	rc = each_version(c, 1, version, gather, &g, err);
	buf_puts(text, "]}");
	return rc != 0 ? rc : text->failed ? err_nomem(err) : 0;
}

int
remote_get(struct cli *c, struct weir_err *err)
{
	struct buf target, text;
	struct weir_str state;
	struct call_answer a = {0};
	uint64_t version;
	int rc = check_version(c, &version, err);

	buf_init(&target, TARGET_MAX);
	buf_init(&text, CLI_TEXT_MAX);
	remote_aggregate(&target, c, "");
	put_version(&target, version);
	if (rc == 0)
		rc = say_name(c, get_json(c, &a, &state, &target, err), err);
	if (rc == 0 && cli_has(c, "include-events")) {
		rc = with_events(c, &text, state, err);
		state = buf_str(&text);
	}
	if (rc == 0)
		rc = out_json(c, state, err);
	call_free(&a);
	buf_fini(&target);
	buf_fini(&text);
	return rc;
}

int
remote_replay(struct cli *c, struct weir_err *err)
{
	struct gathering g = {c, &c->out, "\n", 0};
	uint64_t skip, take, last;
	int rc = cli_u64(c, &skip, "skip", 0, err);

	if (rc == 0)
		rc = cli_u64(c, &take, "take", UINT64_MAX, err);
	if (rc != 0)
		return rc;
	last = take < UINT64_MAX - skip ? skip + take : UINT64_MAX - 1;
	if (last == skip) /* the aggregate must be there all the same */
		skip = last = UINT64_MAX - 2;
	rc = say_name(c, each_version(c, skip + 1, last, gather, &g, err), err);
	if (rc == 0 && g.n > 0)
		buf_putc(&c->out, '\n');
	return rc;
}

int
remote_verify(struct cli *c, struct weir_err *err)
{
	struct weir_str answer, root = {NULL, 0}, value;
	struct call_answer a = {0};
	uint64_t version;
	struct buf target;
	int rc = check_version(c, &version, err);

	buf_init(&target, TARGET_MAX);
	remote_aggregate(&target, c, "/verify");
	put_version(&target, version);
	if (rc == 0)
		rc = say_name(c, get_json(c, &a, &answer, &target, err), err);
	if (rc == 0 && json_get(answer, "version", &value))
		json_u64(&version, value);
	if (rc == 0 && (!json_get(answer, "merkle_root", &root) ||
			json_kind(root) != WEIR_STRING))
		rc = err_set(err, WEIR_EUNREACH,
			     "the server's answer has no merkle_root");
	if (rc == 0 && c->json) {
		buf_puts(&c->out, "{\"aggregate_type\":");
		json_put_string(&c->out, str_of(cli_get(c, "aggregate")));
		buf_puts(&c->out, ",\"aggregate_id\":");
		json_put_string(&c->out, str_of(cli_get(c, "aggregate-id")));
		buf_printf(&c->out,
			   ",\"version\":%" PRIu64 ",\"merkle_root\":%.*s}\n",
			   version, (int)root.len, root.data);
	} else if (rc == 0) {
		buf_printf(&c->out,
			   "verified %" PRIu64 " %s, merkle root %.*s\n",
			   version, version == 1 ? "record" : "records",
			   (int)root.len - 2, root.data + 1);
	}
	call_free(&a);
	buf_fini(&target);
	return rc;
}

/* ---- all records --------------------------------------------------------- */

int
remote_last(struct cli *c, uint64_t *out, struct weir_err *err)
{
	struct weir_str status, value;
	struct call_answer a;
	struct buf target;
	int rc;

	buf_init(&target, TARGET_MAX);
	buf_puts(&target, "/v1/status");
	rc = get_json(c, &a, &status, &target, err);
	if (rc == 0 && (!json_get(status, "committed_sequence", &value) ||
			json_u64(out, value) != 0))
		rc = err_set(err, WEIR_EUNREACH,
			     "the server's status has no committed sequence");
	call_free(&a);
	buf_fini(&target);
	return rc;
}

static int
read_record(struct remote_record *r, struct weir_str line, struct weir_err *err)
{
	struct weir_str object, meta, value;
	char time[32] = "";
	const char *why;

	*r = (struct remote_record){.line = line};
	if (json_check_depth(line, &object, WEIR_DEPTH_MAX + 1,
			     "the server's answer", err) != 0)
		return WEIR_EUNREACH;
	if (!json_get(object, "aggregate_type", &r->type) ||
	    !json_get(object, "aggregate_id", &r->id) ||
	    !json_get(object, "event_type", &r->event) ||
	    !json_get(object, "sequence", &value) ||
	    json_u64(&r->sequence, value) != 0)
		return err_set(err, WEIR_EUNREACH,
			       "the server's answer is no record");
	json_get(object, "tags", &r->tags);
	if (json_get(object, "metadata", &meta) &&
	    json_get(meta, "committed_at", &value) &&
	    json_kind(value) == WEIR_STRING && value.len < sizeof(time))
		time[json_decode(time, value)] = '\0';
	if (clock_parse(&r->committed_at, str_of(time), &why) != 0)
		r->committed_at = 0;
	return 0;
}

/* Is no pattern of the option given, or does one match a raw string? */
static bool
one_matches(struct cli *c, const char *option, struct weir_str raw)
{
	char text[WEIR_ID_MAX + 1];
	const char *pattern;
	size_t at = 0, n;

	if (cli_count(c, option) == 0)
		return true;
	if (json_kind(raw) != WEIR_STRING || raw.len - 2 > 6 * WEIR_ID_MAX)
		return false;
	n = raw.len - 2 <= WEIR_ID_MAX ? json_decode(text, raw) : 0;
	while ((pattern = cli_next(c, option, &at)) != NULL)
		if (str_match(str_of(pattern), (struct weir_str){text, n}))
			return true;
	return false;
}

bool
remote_matches(struct cli *c, const struct remote_record *r)
{
	bool tagged = cli_count(c, "tag") == 0;
	struct weir_str key, tag;
	struct json_iter it;

	if (!tagged && r->tags.data != NULL) {
		json_iter_init(&it, r->tags);
		while (!tagged && json_iter_next(&it, &key, &tag))
			tagged = one_matches(c, "tag", tag);
	}
	return tagged && one_matches(c, "aggregate", r->type) &&
	       one_matches(c, "aggregate-id", r->id) &&
	       one_matches(c, "event", r->event);
}

/* A single pattern of an option is left to the server. */
static void
put_filter(struct cli *c, struct buf *target, const char *option,
	   const char *name)
{
	const char *pattern = cli_get(c, option);

	if (cli_count(c, option) != 1 || strlen(pattern) > FILTER_MAX ||
	    (strcmp(name, "tag") == 0 && strpbrk(pattern, "*?") != NULL))
		return;
	buf_printf(target, "&%s=", name);
	call_encode(target, str_of(pattern));
}

static void
put_query(struct cli *c, struct buf *target, const struct remote_walk *w,
	  uint64_t after)
{
	buf_printf(target, "?after=%" PRIu64, after);
	put_filter(c, target, "aggregate", "type");
	put_filter(c, target, "aggregate-id", "id");
	put_filter(c, target, "event", "event");
	put_filter(c, target, "tag", "tag");
	if (w->system)
		buf_puts(target, "&reserved=true");
	if (w->exact)
		buf_puts(target, "&exact=true");
}

/* The lines of a page: how many records, or what ended the walk (*end). */
static int
walk_page(const struct remote_walk *w, struct weir_str page, uint64_t *after,
	  size_t *n, struct weir_err *err)
{
	const char *at = page.data, *end = page.data + page.len;
	struct remote_record r;
	int rc = 0;

	while (rc == 0 && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct weir_str line = {
			at, (size_t)((stop != NULL ? stop : end) - at)};

		at = stop != NULL ? stop + 1 : end;
		if (line.len == 0)
			continue;
		rc = read_record(&r, line, err);
		if (rc != 0)
			return rc;
		*after = r.sequence;
		(*n)++;
		if (!w->system && r.type.len > 1 && r.type.data[1] == '$')
			continue;
		rc = w->fn(w->cookie, &r, err);
	}
	return rc;
}

/* The target of Link: <...>; rel="next"; false when there is none. */
static bool
next_page(struct buf *target, const struct call_answer *a)
{
	const char *end = strstr(a->link, ">; rel=\"next\"");

	buf_clear(target);
	if (a->link[0] != '<' || a->link[1] != '/' || end == NULL)
		return false;
	buf_add(target, a->link + 1, (size_t)(end - a->link) - 1);
	return true;
}

int
remote_each(struct cli *c, const struct remote_walk *w, struct weir_err *err)
{
	uint64_t after = w->after;
	struct call_answer a;
	struct buf target;
	bool more = true;
	int rc = 0;

	buf_init(&target, TARGET_MAX);
	buf_puts(&target, "/v1/events");
	put_query(c, &target, w, after);
	while (rc == 0 && more) {
		size_t n = 0;

		rc = get(c, &a, &target, NDJSON, err);
		if (rc == 0)
			rc = walk_page(w, buf_str(&a.body), &after, &n, err);
		more = next_page(&target, &a);
		call_free(&a);
	}
	buf_fini(&target);
	return rc;
}

/* ---- tail ---------------------------------------------------------------- */

struct tailing {
	struct cli *c;
	struct buf *ring; /* the last lines, when the end is looked for */
	uint64_t lines, seen, after;
	struct buf half; /* of a line of the stream */
};

static int
tail_one(void *cookie, const struct remote_record *r, struct weir_err *err)
{
	struct tailing *t = cookie;
	struct buf *b;

	t->after = r->sequence;
	if (cli_stopped())
		return err_set(err, WEIR_ESTOPPED, "%s", "");
	if (!remote_matches(t->c, r))
		return 0;
	if (t->ring == NULL) {
		buf_add_str(&t->c->out, r->line);
		buf_putc(&t->c->out, '\n');
		return out_spill(t->c, err);
	}
	if (t->lines == 0)
		return 0;
	b = &t->ring[t->seen++ % t->lines];
	buf_clear(b);
	return buf_add_str(b, r->line) == 0 ? 0 : err_nomem(err);
}

/* Prints the last lines that match, as far as there are so many. */
static int
tail_end(struct tailing *t, struct weir_err *err)
{
	bool filtered = cli_get(t->c, "aggregate") ||
			cli_get(t->c, "aggregate-id") ||
			cli_get(t->c, "event") || cli_get(t->c, "tag");
	struct remote_walk w = {.fn = tail_one, .cookie = t};
	uint64_t last = 0;
	int rc = remote_last(t->c, &last, err);

	if (rc != 0)
		return rc;
	w.after = !filtered && last > t->lines ? last - t->lines : 0;
	t->after = last;
	t->ring = must_mem((t->lines + 1) * sizeof(*t->ring));
	for (uint64_t i = 0; i < t->lines; i++)
		buf_init(&t->ring[i], CLI_TEXT_MAX);
	if (w.after < last)
		rc = remote_each(t->c, &w, err);
	for (uint64_t i = t->seen > t->lines ? t->seen - t->lines : 0;
	     rc == 0 && i < t->seen; i++) {
		buf_add_str(&t->c->out, buf_str(&t->ring[i % t->lines]));
		buf_putc(&t->c->out, '\n');
		rc = out_spill(t->c, err);
	}
	for (uint64_t i = 0; i < t->lines; i++)
		buf_fini(&t->ring[i]);
	mem_free(t->ring);
	t->ring = NULL;
	if (t->after < last)
		t->after = last;
	return rc;
}

/* Lines of the stream, as they come. */
static int
take_stream(void *cookie, const char *data, size_t n, struct weir_err *err)
{
	struct tailing *t = cookie;
	struct remote_walk w = {.fn = tail_one, .cookie = t};
	size_t whole, seen = 0;
	uint64_t after = t->after;
	int rc;

	if (buf_add(&t->half, data, n) != 0)
		return err_nomem(err);
	for (whole = t->half.len; whole > 0 && t->half.data[whole - 1] != '\n';)
		whole--;
	if (whole == 0)
		return 0;
	rc = walk_page(&w, (struct weir_str){t->half.data, whole}, &after,
		       &seen, err);
	memmove(t->half.data, t->half.data + whole, t->half.len - whole);
	t->half.len -= whole;
	return rc != 0 ? rc : out_flush(t->c, err);
}

/* Goes on for ever, also when the server is started again. */
static int
follow(struct tailing *t, struct weir_err *err)
{
	struct remote_walk w = {0};
	bool told = false;
	int stop = cli_stop_fd();
	int rc;

	do {
		struct buf target;
		struct call_request r = {.method = "GET",
					 .accept = NDJSON,
					 .take = take_stream,
					 .cookie = t,
					 .stream = true};
		struct call_answer a;

		buf_init(&target, TARGET_MAX);
		buf_puts(&target, "/v1/stream");
		put_query(t->c, &target, &w, t->after);
		r.target = buf_cstr(&target);
		t->half.len = 0;
		rc = call_send(t->c, &a, &r, err);
		call_free(&a);
		buf_fini(&target);
		if (rc == WEIR_EUNREACH && !told) {
			cli_note(t->c, "%s; trying again",
				 err != NULL ? err->msg : "the server is gone");
			told = true;
		}
	} while ((rc == 0 || rc == WEIR_EUNREACH) && !cli_stopped() &&
		 !os_wait_readable(stop, 1000000));
	return rc == 0 || cli_stopped() ? WEIR_ESTOPPED : rc;
}

int
remote_tail(struct cli *c, uint64_t from, uint64_t lines, struct weir_err *err)
{
	struct tailing t = {.c = c, .lines = lines};
	struct remote_walk w = {.fn = tail_one, .cookie = &t};
	int rc;

	buf_init(&t.half, CLI_TEXT_MAX);
	if (from != 0) {
		w.after = t.after = from - 1;
		rc = remote_each(c, &w, err);
	} else {
		rc = tail_end(&t, err);
	}
	if (rc == 0 && cli_has(c, "follow"))
		rc = out_flush(c, err);
	if (rc == 0 && cli_has(c, "follow"))
		rc = follow(&t, err);
	buf_fini(&t.half);
	return rc;
}
