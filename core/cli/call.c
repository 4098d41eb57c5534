/* SPDX-License-Identifier: MIT */
#include "cli/call.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call_int.h"
#include "store/lock.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_US    LOCK_WAIT_US /* a server that comes or goes */
#define STEP_US	    20000
#define TOKEN_MAX   4096
#define PROBLEM_MAX (1u << 20)
#define NO_WAIT_US  -1

/* Kept between the calls of a command. */
struct call_state {
	struct call_net *net;
	int local_fd;
};

static struct call_state *
state_of(struct cli *c)
{
	if (c->call == NULL) {
		c->call = must_mem(sizeof(*c->call));
		c->call->local_fd = -1;
	}
	return c->call;
}

void
call_end(struct cli *c)
{
	if (c->call == NULL)
		return;
	call_net_free(c->call->net);
	os_close(c->call->local_fd);
	mem_free(c->call);
	c->call = NULL;
}

/* ---- which way ----------------------------------------------------------- */

const char *
call_server(const struct cli *c)
{
	const char *url = cli_get(c, "server");

	if (c->command->flags & CLI_LOCAL)
		return NULL;
	if (url == NULL && cli_get(c, "data-dir") == NULL)
		url = getenv("WEIR_SERVER");
	return url != NULL && *url != '\0' ? url : NULL;
}

bool
call_network(const struct cli *c)
{
	return call_server(c) != NULL;
}

int
call_way(struct cli *c, enum call_way *out, struct weir_err *err)
{
	char path[4096];
	const char *dir;
	int rc;

	if (call_network(c)) {
		*out = CALL_NETWORK;
		return 0;
	}
	rc = cli_data_dir(c, &dir, err);
	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "%s/LOCK", dir);
	*out = lock_held(path) && call_listens(dir) ? CALL_SOCKET : CALL_HERE;
	return 0;
}

/* Waits a little, until the monotonic time: false when it has come. */
static bool
wait_a_step(int64_t until)
{
	if (clock_monotonic() >= until)
		return false;
	os_wait_readable(-1, STEP_US);
	return true;
}

int
call_open_write(struct cli *c, struct store **out, enum call_way *way,
		struct weir_err *err)
{
	int64_t until = clock_monotonic() + AGAIN_US;
	int rc;

	do {
		*out = NULL;
		rc = call_way(c, way, err);
		if (rc != 0 || *way != CALL_HERE)
			return rc;
		rc = cli_try_write(c, out, true, NO_WAIT_US, err);
	} while (rc == WEIR_EUNREACH && wait_a_step(until));
	return rc;
}

/* ---- the network --------------------------------------------------------- */

static int
take_token(struct cli *c, char **out, struct weir_err *err)
{
	const char *path = cli_get(c, "token-file");
	const char *given = getenv("WEIR_TOKEN");
	size_t n = 0;
	int rc = 0;

	*out = NULL;
	if (path != NULL)
		rc = os_read_file(out, &n, path, TOKEN_MAX, err);
	else if (given != NULL && *given != '\0')
		*out = must_dup(given);
	if (rc != 0)
		return err_prefix(err, "--token-file");
	n = *out != NULL ? strlen(*out) : 0;
	while (n > 0 && strchr(" \t\r\n", (*out)[n - 1]) != NULL)
		(*out)[--n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((*out)[i] <= ' ' || (*out)[i] > '~')
			rc = err_set(err, WEIR_EUSAGE,
				     "the token in %s holds a character that "
				     "no token has",
				     path != NULL ? path : "WEIR_TOKEN");
	if (rc == 0 && path != NULL && n == 0)
		rc = err_set(err, WEIR_EUSAGE, "%s holds no token", path);
	return rc;
}

static int
open_net(struct cli *c, struct call_state *k, struct weir_err *err)
{
	const char *cacert = cli_get(c, "cacert");
	char *token = NULL;
	int rc = take_token(c, &token, err);

	if (cacert == NULL)
		cacert = getenv("WEIR_CACERT");
	if (rc == 0)
		rc = call_net_open(&k->net, call_server(c), token, cacert, err);
	mem_free(token);
	return rc;
}

/* ---- an answer ----------------------------------------------------------- */

static int
code_of(int status)
{
	switch (status) {
	case 401:
	case 403:
		return WEIR_EDENIED;
	case 404:
	case 410:
		return WEIR_ENOTFOUND;
	case 409:
	case 412:
		return WEIR_ECONFLICT;
	case 408:
	case 429:
		return WEIR_EUNREACH;
	default:
		return status >= 500 ? WEIR_EUNREACH : WEIR_EINPUT;
	}
}

/* Fills err from a problem document, as it was filled where it was found. */
static int
problem(const struct exchange *x, struct weir_err *err)
{
	struct weir_err found = {.code = code_of(x->out->status)};
	struct weir_str body = buf_str(&x->problem);
	char word[32] = "";

	if (json_check(body, &body, "answer", NULL) == 0 &&
	    json_kind(body) == WEIR_OBJECT) {
		json_get_text(word, sizeof(word), body, "code");
		json_get_text(found.msg, sizeof(found.msg), body, "message");
		found.version = json_get_u64(body, "version");
		found.sequence = json_get_u64(body, "sequence");
		found.offset = json_get_u64(body, "offset");
		if (err_code(word) != WEIR_OK)
			found.code = err_code(word);
	}
	if (found.msg[0] == '\0')
		return err_set(err, found.code,
			       "the server answered with status %d and no "
			       "reason",
			       x->out->status);
	if (err != NULL)
		*err = found;
	return found.code;
}

int
exchange_body(struct exchange *x, const char *data, size_t n,
	      struct weir_err *err)
{
	if (x->out->status / 100 != 2)
		return buf_add(&x->problem, data, n) == 0 ? 0 : err_nomem(err);
	x->taken = x->r->take != NULL;
	if (x->taken)
		return x->r->take(x->r->cookie, data, n, err);
	return buf_add(&x->out->body, data, n) == 0 ? 0 : err_nomem(err);
}

/* May it be sent again after that? */
static bool
again(const struct exchange *x, enum call_way way, int rc)
{
	bool safe = strcmp(x->r->method, "GET") == 0 ||
		    strcmp(x->r->method, "PUT") == 0 ||
		    (x->r->flags & CALL_AGAIN);

	if (way == CALL_NETWORK || rc != WEIR_EUNREACH || x->taken)
		return false;
	return !x->sent || safe || x->out->status == 503;
}

static int
send_once(struct cli *c, struct exchange *x, enum call_way way,
	  struct weir_err *err)
{
	struct call_state *k = state_of(c);
	int rc = 0;

	x->sent = x->taken = false;
	x->out->status = 0;
	buf_clear(&x->problem);
	buf_clear(&x->out->body);
	if (way == CALL_HERE) {
		rc = call_here(c, x, err);
	} else if (way == CALL_SOCKET) {
		rc = call_local(&k->local_fd, c->dir, x, err);
	} else {
		if (k->net == NULL)
			rc = open_net(c, k, err);
		if (rc == 0)
			rc = call_net_send(k->net, x, err);
	}
	return rc == 0 && x->out->status / 100 != 2 ? problem(x, err) : rc;
}

int
call_send(struct cli *c, struct call_answer *out, const struct call_request *r,
	  struct weir_err *err)
{
	int64_t until = clock_monotonic() + AGAIN_US;
	struct exchange x = {.r = r, .out = out};
	enum call_way way;
	int rc;

	*out = (struct call_answer){0};
	buf_init(&out->body, CLI_TEXT_MAX);
	buf_init(&x.problem, PROBLEM_MAX);
	do {
		rc = call_way(c, &way, err);
		if (rc == 0)
			rc = send_once(c, &x, way, err);
	} while (again(&x, way, rc) && wait_a_step(until));
	buf_fini(&x.problem);
	return rc;
}

int
call_api(struct cli *c, struct call_answer *out, const char *method,
	 const char *target, struct weir_str body, unsigned flags,
	 struct weir_err *err)
{
	const struct call_request r = {.method = method,
				       .target = target,
				       .body = body,
				       .flags = flags};

	return call_send(c, out, &r, err);
}

void
call_free(struct call_answer *a)
{
	buf_fini(&a->body);
}

void
call_encode(struct buf *out, struct weir_str text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-_~";

	for (size_t i = 0; i < text.len; i++) {
		char ch = text.data[i];

		if (ch != '\0' && strchr(plain, ch) != NULL)
			buf_putc(out, ch);
		else
			buf_printf(out, "%%%02X", (unsigned char)ch);
	}
}
