/* SPDX-License-Identifier: MIT */
/*
 * Lines and what they say: fields split by tabs, of which the last keeps its
 * own.
 *
 * A field that is missing is named by its index as clients know it: 1 when
 * nothing stands behind the message's name, else counted from 0 behind it.
 */
#include "server/text_int.h"

#include <inttypes.h>
#include <string.h>
#include <openssl/crypto.h>
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#define LOGINS_MAX 5
#define SHOWN	   200

static const char *const help[] = {
	"Connect<T>collection[<T>username<T>password]",
	"Publish<T>tag1 tag2<T>timestamp in ms, 0: now<T>data",
	"Subscribe<T>true|false: go on live<T>offset[<T>limit, 0: "
	"none[<T>tag]]",
	"Unsubscribe, while a stream is running",
	"HELP; <T> is a tab; see weir-text(7)",
};

/* ---- errors
 * ------------------------------------------------------------------------ */

const char *
text_error_kind(const struct weir_err *err)
{
	switch (err->code) {
	case WEIR_EINPUT:
	case WEIR_EUSAGE:
	case WEIR_EDENIED:
	case WEIR_ECONFLICT:
	case WEIR_ENOTFOUND:
		return "ValidationError";
	case WEIR_EDAMAGE:
		return "IoError\tInvalidData";
	case WEIR_EUNREACH:
		return "IoError\tTimedOut";
	case WEIR_ENOMEM:
		return "IoError\tOutOfMemory";
	default:
		return "IoError\tOther";
	}
}

void
text_error_of(struct text_conn *c, const struct weir_err *err)
{
	char shown[1000];

	text_error(c, "%s\t%s", text_error_kind(err),
		   str_show(shown, sizeof(shown), str_of(err->msg)));
}

static bool
unexpected(struct text_conn *c)
{
	text_error(c, "IoError\tInvalidData\tunexpected TCP message");
	return true;
}

static bool
missing(struct text_conn *c, unsigned index)
{
	text_error(c, "ParseError\tMissingField\t%u", index);
	return true;
}

static bool
unreadable(struct text_conn *c, const char *what)
{
	text_error(c, "ParseError\tParseError\t%s", what);
	return true;
}

/* ---- fields
 * ------------------------------------------------------------------------- */

/* The next field, up to a tab; absent when there is none left. */
static struct weir_str
field(struct weir_str *rest)
{
	struct weir_str f = *rest;
	const char *tab;

	if (rest->data == NULL)
		return f;
	tab = memchr(rest->data, '\t', rest->len);
	if (tab == NULL) {
		*rest = (struct weir_str){NULL, 0};
		return f;
	}
	f.len = (size_t)(tab - f.data);
	*rest = (struct weir_str){tab + 1, rest->len - f.len - 1};
	return f;
}

/* ---- Connect
 * ------------------------------------------------------------------------- */

/* The same work whatever is given and whatever is right. */
static bool
is_secret(const uint8_t want[TEXT_SECRET], struct weir_str given)
{
	struct digest_part part = {given.data != NULL ? given.data : "",
				   given.len};
	uint8_t hash[DIGEST_LEN];

	digest_sha256(hash, &part, 1);
	return CRYPTO_memcmp(hash, want, TEXT_SECRET) == 0 &&
	       given.data != NULL;
}

static bool
may_enter(const struct text_settings *set, struct weir_str username,
	  struct weir_str password)
{
	bool user = is_secret(set->username, username);
	bool word = is_secret(set->password, password);

	return !set->asks || (user & word);
}

static bool
do_connect(struct text_conn *c, struct weir_str rest)
{
	struct weir_str name, username, password;
	struct weir_err err;

	if (c->name != NULL)
		return unexpected(c);
	if (rest.data == NULL)
		return missing(c, 1);
	name = field(&rest);
	username = field(&rest);
	password = rest;
	if (!may_enter(&c->t->set, username, password)) {
		text_count(&c->t->n_logins_failed);
		text_error(c, "AuthenticationError");
		if (++c->failed >= LOGINS_MAX)
			text_end(c);
		return true;
	}
	if (str_check_name(name, TEXT_TYPE, WEIR_ID_MAX, false, &err) != 0) {
		text_error_of(c, &err);
		return true;
	}
	c->name = mem_dup(name.data, name.len);
	if (c->name == NULL) {
		text_error(c, "ConnectionError");
		return true;
	}
	c->name_len = name.len;
	text_say(c, "Connected\n");
	return true;
}

/* ---- Publish
 * -------------------------------------------------------------------------- */

/* Splits at each space: how many tags, or -1 when one is empty. */
static int
split_tags(struct weir_str tags[WEIR_TAGS_MAX + 1], struct weir_str s)
{
	size_t n = 0, from = 0;

	for (size_t i = 0; i <= s.len; i++) {
		if (i < s.len && s.data[i] != ' ')
			continue;
		if (i == from)
			return -1;
		if (n <= WEIR_TAGS_MAX)
			tags[n++] = (struct weir_str){s.data + from, i - from};
		from = i + 1;
	}
	return (int)n;
}

/* NULL, or what the error line says. */
static const char *
fill_draft(struct record_draft *d, struct weir_str tags[WEIR_TAGS_MAX + 1],
	   const struct weir_str in[3])
{
	uint64_t ms;
	int n;

	if (str_u64(&ms, in[1]) != 0)
		return "ParseError\tParseError\ttimestamp must be a whole "
		       "number of milliseconds";
	if (in[0].len == 0)
		return "ValidationError\tevent must contain at least one tag";
	n = split_tags(tags, in[0]);
	if (n < 0)
		return "ValidationError\tevent must not contain empty tags";
	if (ms > CLOCK_MAX_US / 1000)
		return "ValidationError\ttimestamp is behind the year 9999";
	d->tags = tags;
	d->ntags = (size_t)n;
	d->has_created_at = ms > 0;
	d->created_at = (int64_t)ms * 1000;
	d->payload = in[2];
	return NULL;
}

/* An answer that can be given now must not come before those that are under
 * way. */
static bool
hold(struct text_conn *c)
{
	c->held = c->pending > 0;
	return c->held;
}

static bool
submit(struct text_conn *c, const struct record_draft *d)
{
	struct weir_err err;
	int rc;

	if (c->pending >= TEXT_PENDING) {
		c->held = true;
		return false;
	}
	rc = text_publish(c, d, &err);
	if (rc == 0)
		return true;
	if (rc == WEIR_EUNREACH) {
		c->stalled = true;
		c->t->nstalled++;
		text_tick(c->t);
		return false;
	}
	if (hold(c))
		return false;
	text_error_of(c, &err);
	return true;
}

static bool
do_publish(struct text_conn *c, struct weir_str rest)
{
	struct weir_str tags[WEIR_TAGS_MAX + 1], in[3];
	struct record_draft d = {
		.op = WEIR_OP_EVENT,
		.content = WEIR_CONTENT_TEXT,
		.aggregate_type = STR(TEXT_TYPE),
		.aggregate_id = {c->name, c->name_len},
		.event_type = STR(TEXT_EVENT),
		.expected = EXPECT_ANY,
	};
	const char *why;

	in[0] = field(&rest);
	in[1] = field(&rest);
	in[2] = rest;
	if (c->name == NULL || in[2].data == NULL)
		why = "";
	else
		why = fill_draft(&d, tags, in);
	if (c->t->set.user != NULL) {
		d.group = STR("text");
		d.user = str_of(c->t->set.user);
	}
	if (why == NULL)
		return submit(c, &d);
	if (hold(c))
		return false;
	if (in[0].data == NULL || in[1].data == NULL)
		return missing(c, 1);
	if (in[2].data == NULL)
		return missing(c, 2);
	if (c->name == NULL)
		return unexpected(c);
	text_error(c, "%s", why);
	return true;
}

/* ---- the others
 * ------------------------------------------------------------------------ */

static bool
do_subscribe(struct text_conn *c, struct weir_str rest)
{
	struct text_query q = {0};
	struct weir_str live, offset, limit;

	live = field(&rest);
	offset = field(&rest);
	limit = field(&rest);
	if (live.data == NULL || offset.data == NULL)
		return missing(c, 1);
	q.live = str_is(live, "true");
	if (!q.live && !str_is(live, "false"))
		return unreadable(c, "live must be true or false");
	if (str_u64(&q.offset, offset) != 0)
		return unreadable(c, "offset must be a whole number");
	if (limit.data == NULL || str_u64(&q.limit, limit) != 0)
		q.limit = 0;
	if (rest.len > 0)
		q.tag = rest;
	if (c->name == NULL)
		return unexpected(c);
	text_subscribe(c, &q);
	return true;
}

static bool
do_unsubscribe(struct text_conn *c)
{
	if (c->sub == NULL)
		return unexpected(c);
	text_end_stream(c);
	return true;
}

static bool
do_help(struct text_conn *c)
{
	char text[1000];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(help) / sizeof(help[0]); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "Help\t%s\n",
				      help[i]);
	text_send(c, text, n);
	return true;
}

/* What only a server says. */
static bool
is_answer(struct weir_str name)
{
	static const char *const words[] = {"Connected",	"Published",
					    "Subscribed",	"Event",
					    "EndOfEventStream", "Error"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is(name, words[i]))
			return true;
	return false;
}

static bool
begins(struct weir_str s, const char *with)
{
	size_t n = strlen(with);

	return s.len >= n && memcmp(s.data, with, n) == 0;
}

/* Somebody who speaks HTTP, or TLS, has the wrong port. */
static bool
is_stranger(struct weir_str line)
{
	static const char *const words[] = {
		"GET ",	  "HEAD ",  "POST ",	"PUT ",	  "DELETE ", "OPTIONS ",
		"PATCH ", "TRACE ", "CONNECT ", "PRI * ", "\x16\x03"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (begins(line, words[i]))
			return true;
	return false;
}

static bool
do_unknown(struct text_conn *c, struct weir_str name)
{
	char shown[SHOWN];

	str_show(shown, sizeof(shown), name);
	if (c->name == NULL && is_stranger(name)) {
		text_error(c, "ParseError\tParseError\tthis port speaks "
			      "weir's text protocol, see weir-text(7)");
		text_end(c);
	} else
		text_error(c, "ParseError\tParseError\tunknown TCP message: %s",
			   shown);
	return true;
}

bool
text_line(struct text_conn *c, struct weir_str line)
{
	struct weir_str rest = line, name = field(&rest);

	if (str_is(name, "Publish") && c->sub == NULL)
		return do_publish(c, rest);
	if (hold(c))
		return false;
	if (str_is(name, "Unsubscribe"))
		return do_unsubscribe(c);
	/* A stream that ends by itself is waited for. */
	if (c->sub != NULL && !c->sub->live)
		return false;
	if (str_is(name, "HELP"))
		return do_help(c);
	if (c->sub != NULL || is_answer(name))
		return unexpected(c);
	if (str_is(name, "Connect"))
		return do_connect(c, rest);
	if (str_is(name, "Subscribe"))
		return do_subscribe(c, rest);
	return do_unknown(c, name);
}
