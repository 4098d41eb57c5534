/* SPDX-License-Identifier: MIT */
/*
 * Tokens. A secret comes in one answer and is printed once, alone, for scripts;
 * what is sent to name a token is its ID, also where a secret was given, so
 * that no secret stands in a request's target.
 */
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "model/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX   (64u << 10)
#define TARGET_MAX 64
#define COLUMNS	   9
#define SECOND_US  1000000

/* ---- what is asked for --------------------------------------------------- */

/* Appends ,"name":N or null for "none"; nothing when it is not given. */
static int
put_count(struct cli *c, struct buf *body, const char *option, bool seconds,
	  struct weir_err *err)
{
	const char *text = cli_get(c, option);
	uint64_t n = 0;
	int64_t us = 0;
	int rc;

	if (text == NULL)
		return 0;
	if (strcmp(text, "none") == 0)
		return buf_printf(body, ",\"%s\":null", option);
	if (seconds) {
		rc = cli_duration(&us, text, option, err);
		if (rc == 0 && us < SECOND_US)
			rc = err_set(err, WEIR_EUSAGE,
				     "--%s takes at least 1 second", option);
		n = (uint64_t)us / SECOND_US;
	} else {
		rc = cli_u64(c, &n, option, 0, err);
	}
	return rc != 0 ? rc : buf_printf(body, ",\"%s\":%" PRIu64, option, n);
}

static void
put_texts(struct cli *c, struct buf *body, const char *option, const char *name)
{
	const char *text;
	size_t at = 0, n = 0;

	if (cli_count(c, option) == 0)
		return;
	buf_printf(body, ",\"%s\":[", name);
	while ((text = cli_next(c, option, &at)) != NULL) {
		if (n++ > 0)
			buf_putc(body, ',');
		json_put_string(body, str_of(text));
	}
	buf_putc(body, ']');
}

static int
put_terms(struct cli *c, struct buf *body, struct weir_err *err)
{
	int rc = put_count(c, body, "expiration", true, err);

	if (rc == 0)
		rc = put_count(c, body, "limit", false, err);
	if (rc == 0 && cli_get(c, "keep-alive") != NULL)
		buf_printf(body, ",\"keep_alive\":%s",
			   cli_has(c, "keep-alive") ? "true" : "false");
	return rc;
}

/* ---- what is answered ---------------------------------------------------- */

/* A member as text for people; null and what is not there give `none`. The
 * caller frees. */
static char *
text_of(struct weir_str object, const char *name, const char *none)
{
	struct weir_str value;
	struct buf b;
	char *text;

	if (!json_get(object, name, &value) || json_kind(value) == WEIR_NULL)
		return must_dup(none);
	buf_init(&b, CLI_TEXT_MAX);
	if (json_kind(value) == WEIR_STRING)
		json_decode_buf(&b, value);
	else
		buf_add_str(&b, value);
	text = must_dup(buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* An array of texts with ", " between them. */
static char *
list_of(struct weir_str object, const char *name, const char *none)
{
	struct weir_str array, key, value;
	struct json_iter it;
	struct buf b;
	char *text;

	if (!json_get(object, name, &array) || json_kind(array) != WEIR_ARRAY)
		return must_dup(none);
	buf_init(&b, CLI_TEXT_MAX);
	json_iter_init(&it, array);
	while (json_iter_next(&it, &key, &value)) {
		if (b.len > 0)
			buf_puts(&b, ", ");
		json_decode_buf(&b, value);
	}
	text = must_dup(buf_cstr(&b));
	buf_fini(&b);
	return text;
}

/* A time without its fraction. */
static char *
time_of(struct weir_str object, const char *name, const char *none)
{
	char *text = text_of(object, name, none);
	char *dot = strchr(text, '.');

	if (dot != NULL)
		snprintf(dot, strlen(dot) + 1, "Z");
	return text;
}

/* One token in a sentence. */
static void
say(struct cli *c, struct weir_str token, const char *what)
{
	char *id = text_of(token, "id", "");
	char *group = text_of(token, "group", "");
	char *user = text_of(token, "user", "");
	char *scopes = list_of(token, "scopes", "");
	char *patterns = list_of(token, "aggregates", "all aggregates");
	char *expires = time_of(token, "expires_at", "never");
	char *left = text_of(token, "remaining", "any number");

	cli_note(c,
		 "token %s of %s/%s %s: %s on %s, expires %s, writes left: %s",
		 id, group, user, what, scopes, patterns, expires, left);
	mem_free(id);
	mem_free(group);
	mem_free(user);
	mem_free(scopes);
	mem_free(patterns);
	mem_free(expires);
	mem_free(left);
}

/* ---- commands ------------------------------------------------------------ */

static int
run_generate(struct cli *c, struct weir_err *err)
{
	struct call_answer a = {0};
	struct buf body;
	char *secret;
	int rc;

	buf_init(&body, BODY_MAX);
	buf_puts(&body, "{\"group\":");
	json_put_string(&body, str_of(cli_get(c, "group")));
	buf_puts(&body, ",\"user\":");
	json_put_string(&body, str_of(cli_get(c, "user")));
	put_texts(c, &body, "scope", "scopes");
	put_texts(c, &body, "aggregate", "aggregates");
	rc = put_terms(c, &body, err);
	if (rc == 0 && buf_putc(&body, '}') != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = call_api(c, &a, "POST", "/v1/tokens", buf_str(&body),
			      CALL_CREATE, err);
	if (rc == 0 && c->json)
		rc = out_json(c, buf_str(&a.body), err);
	if (rc == 0 && !c->json) {
		secret = text_of(buf_str(&a.body), "token", "");
		buf_printf(&c->out, "%s\n", secret);
		mem_free(secret);
		say(c, buf_str(&a.body), "is shown this once and not kept");
	}
	call_free(&a);
	buf_fini(&body);
	return rc;
}

static void
fill_row(char **cells, struct weir_str token)
{
	cells[0] = text_of(token, "id", "");
	cells[1] = text_of(token, "group", "");
	cells[2] = text_of(token, "user", "");
	cells[3] = list_of(token, "scopes", "");
	cells[4] = list_of(token, "aggregates", "all");
	cells[5] = time_of(token, "expires_at", "never");
	cells[6] = text_of(token, "writes", "");
	cells[7] = text_of(token, "remaining", "-");
	cells[8] = text_of(token, "status", "");
}

/* Names may hold what a terminal would take for more than text. */
static void
make_safe(char **cell)
{
	size_t cap = 4 * strlen(*cell) + 8;
	char *safe = must_mem(cap);

	str_show(safe, cap, str_of(*cell));
	mem_free(*cell);
	*cell = safe;
}

static void
put_list(struct cli *c, struct weir_str list)
{
	static const char *const head[COLUMNS] = {
		"ID",	   "GROUP",  "USER", "SCOPES", "AGGREGATES",
		"EXPIRES", "WRITES", "LEFT", "STATUS"};
	struct weir_str key, token;
	struct json_iter it;
	size_t rows = 1;
	char **cells;

	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &token))
		rows++;
	cells = must_mem(rows * COLUMNS * sizeof(*cells));
	for (size_t i = 0; i < COLUMNS; i++)
		cells[i] = must_dup(head[i]);
	rows = 1;
	json_iter_init(&it, list);
	while (json_iter_next(&it, &key, &token))
		fill_row(cells + COLUMNS * rows++, token);
	for (size_t i = 0; i < COLUMNS * rows; i++)
		make_safe(&cells[i]);
	out_table(c, (const char *const *)cells, COLUMNS, rows,
		  1u << 6 | 1u << 7);
	for (size_t i = 0; i < COLUMNS * rows; i++)
		mem_free(cells[i]);
	mem_free(cells);
	if (rows == 1)
		cli_note(c, "there is no token; `weir token generate` makes "
			    "one");
}

static int
run_list(struct cli *c, struct weir_err *err)
{
	struct weir_str none = {NULL, 0};
	struct call_answer a = {0};
	int rc = call_api(c, &a, "GET", "/v1/tokens", none, 0, err);

	if (rc == 0 && c->json)
		rc = out_json(c, buf_str(&a.body), err);
	else if (rc == 0)
		put_list(c, buf_str(&a.body));
	call_free(&a);
	return rc;
}

/* Does something to the token that --token names. */
static int
change(struct cli *c, const char *verb, struct weir_str body, const char *what,
       struct weir_err *err)
{
	char id[TOKEN_ID], target[TARGET_MAX];
	struct call_answer a = {0};
	int rc;

	if (token_id(id, str_of(cli_get(c, "token"))) != 0)
		return err_set(err, WEIR_ENOTFOUND,
			       "token not found: it is named by its ID "
			       "(`weir token list`) or its secret");
	snprintf(target, sizeof(target), "/v1/tokens/%s/%s", id, verb);
	rc = call_api(c, &a, "POST", target, body, CALL_AGAIN, err);
	if (rc == 0 && c->json)
		rc = out_json(c, buf_str(&a.body), err);
	else if (rc == 0)
		say(c, buf_str(&a.body), what);
	call_free(&a);
	return rc;
}

static int
run_revoke(struct cli *c, struct weir_err *err)
{
	struct weir_str none = {NULL, 0};

	return change(c, "revoke", none, "is revoked", err);
}

static int
run_refresh(struct cli *c, struct weir_err *err)
{
	struct buf terms, body;
	int rc;

	buf_init(&terms, BODY_MAX);
	buf_init(&body, BODY_MAX);
	rc = put_terms(c, &terms, err);
	if (rc == 0) {
		buf_putc(&body, '{');
		if (terms.len > 0)
			buf_add(&body, terms.data + 1, terms.len - 1);
		rc = buf_putc(&body, '}') != 0 ? err_nomem(err) : 0;
	}
	if (rc == 0)
		rc = change(c, "refresh", buf_str(&body), "is refreshed", err);
	buf_fini(&terms);
	buf_fini(&body);
	return rc;
}

/* ---- the table ----------------------------------------------------------- */

static const struct cli_option generate_options[] = {
	{"group", 0, "G", CLI_REQUIRED,
	 "group that what it writes carries (issued_by)"},
	{"user", 0, "U", CLI_REQUIRED, "user, the same"},
	{"expiration", 0, "SECS", 0,
	 "expires after so many seconds (also 12h, 30m; none: never)"},
	{"limit", 0, "WRITES", 0,
	 "may write so many records (none: any number)"},
	{"keep-alive", 0, NULL, CLI_TRUTH,
	 "each use moves the expiry on by --expiration"},
	{"scope", 0, "read|append|admin", CLI_MANY,
	 "what it may do (default: read and append); admin is all of it"},
	{"aggregate", 0, "PATTERN", CLI_MANY,
	 "only these: a type, or type/id, with * and ? (default: all)"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option revoke_options[] = {
	{"token", 0, "T", CLI_REQUIRED, "the token's ID or its secret"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_option refresh_options[] = {
	{"token", 0, "T", CLI_REQUIRED, "the token's ID or its secret"},
	{"expiration", 0, "SECS", 0,
	 "expires so many seconds from now (none: never; default: as long as "
	 "before, from now)"},
	{"limit", 0, "WRITES", 0,
	 "may write so many records from now on (none: any number)"},
	{"keep-alive", 0, NULL, CLI_TRUTH,
	 "each use moves the expiry on by --expiration"},
	{NULL, 0, NULL, 0, NULL},
};

static const struct cli_operand token_operands[] = {
	{"T", "token", 0},
	{NULL, NULL, 0},
};

const struct cli_command token_commands[] = {
	{"token generate", "generate a token for the network",
	 "The secret is printed to standard output, alone; it is kept nowhere "
	 "and can't be had again. What else there is to say goes to standard "
	 "error.",
	 generate_options, NULL, 0, run_generate},
	{"token list", "list tokens with what they may do and did", NULL, NULL,
	 NULL, 0, run_list},
	{"token refresh", "begin a token's time anew, with new terms if given",
	 NULL, refresh_options, token_operands, 0, run_refresh},
	{"token revoke", "revoke a token, for good",
	 "Calls under way with it are refused from then on.", revoke_options,
	 token_operands, 0, run_revoke},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
