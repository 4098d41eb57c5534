/* SPDX-License-Identifier: MIT */
#include "cli/aggregate.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "model/fold.h"
#include "store/reader.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An opened store with two readers: one for records, one for what is looked
 * up while a record is in use. */
struct session {
	struct store *s;
	struct reader *r, *side;
};

static int
session_open(struct cli *c, struct session *x, struct weir_err *err)
{
	int rc = cli_open_read(c, &x->s, err);

	if (rc != 0)
		return rc;
	x->r = reader_new_mapped(x->s);
	x->side = reader_new_mapped(x->s);
	return x->r != NULL && x->side != NULL ? 0 : err_nomem(err);
}

static void
session_close(struct session *x)
{
	reader_free(x->r);
	reader_free(x->side);
	store_close(x->s);
}

/* The head of the aggregate that the command names. */
static int
named_head(struct cli *c, struct session *x, struct head *head,
	   struct weir_err *err)
{
	const char *type = cli_get(c, "aggregate");
	const char *id = cli_get(c, "aggregate-id");
	int rc = store_head(x->s, head, str_of(type), str_of(id), NULL);

	if (rc == WEIR_ENOTFOUND)
		return err_set(err, rc, "aggregate not found: %s %s in %s",
			       type, id, store_dir(x->s));
	return rc != 0 ? err_set(err, rc, "looking up %s %s failed", type, id)
		       : 0;
}

int
aggregate_put_state(struct buf *out, struct reader *side, struct weir_str type,
		    struct weir_str id, const struct head *head,
		    struct weir_err *err)
{
	uint8_t root[RECORD_DIGEST];
	struct fold *f = fold_new();
	int rc = f != NULL ? 0 : err_nomem(err);

	if (rc == 0)
		rc = fold_load(f, side, head->position, err);
	if (rc == 0)
		rc = reader_root(side, root, head->position, err);
	if (rc == 0 && fold_aggregate_json(out, f, type, id, root,
					   head->archived) != 0)
		rc = err_nomem(err);
	fold_free(f);
	return rc;
}

/* Appends the records of versions from..to, split by sep. */
static int
put_versions(struct cli *c, struct session *x, struct buf *out, uint64_t from,
	     uint64_t to, const char *sep, struct weir_err *err)
{
	struct weir_str type = str_of(cli_get(c, "aggregate"));
	struct weir_str id = str_of(cli_get(c, "aggregate-id"));
	struct record_view v;
	int rc = 0;

	for (uint64_t n = from; rc == 0 && n <= to; n++) {
		rc = reader_version(x->r, &v, type, id, n, err);
		if (rc == 0 && n > from)
			buf_puts(out, sep);
		if (rc == 0)
			rc = reader_json(x->side, out, &v, err);
		if (rc == 0 && out == &c->out)
			rc = out_spill(c, err);
	}
	return rc;
}

static int
get_at(struct cli *c, struct session *x, struct head *head, uint64_t version,
       struct weir_err *err)
{
	struct weir_str type = str_of(cli_get(c, "aggregate"));
	struct weir_str id = str_of(cli_get(c, "aggregate-id"));
	struct head then = *head;
	struct record_view v;
	struct buf text;
	int rc;

	then.archived = head->archived && version == head->version;
	buf_init(&text, CLI_TEXT_MAX);
	rc = reader_version(x->r, &v, type, id, version, err);
	if (rc == 0) {
		then.position = v.position;
		rc = aggregate_put_state(&text, x->side, type, id, &then, err);
	}
	if (rc == 0 && cli_has(c, "include-events")) {
		text.len--; /* the closing brace */
		buf_puts(&text, ",\"events\":[");
		rc = put_versions(c, x, &text, 1, version, ",", err);
		buf_puts(&text, "]}");
	}
	if (rc == 0 && text.failed)
		rc = err_nomem(err);
	if (rc == 0)
		rc = out_json(c, buf_str(&text), err);
	buf_fini(&text);
	return rc;
}

/* Opens, and finds the aggregate and the version asked for: --version, or its
 * newest. */
static int
named_version(struct cli *c, struct session *x, struct head *head,
	      uint64_t *version, struct weir_err *err)
{
	int rc = cli_u64(c, version, "version", 0, err);

	if (rc == 0 && *version == 0 && cli_get(c, "version") != NULL)
		rc = err_set(err, WEIR_EUSAGE, "versions start at 1");
	if (rc == 0)
		rc = session_open(c, x, err);
	if (rc == 0)
		rc = named_head(c, x, head, err);
	if (rc == 0 && *version > head->version)
		rc = err_set(err, WEIR_ENOTFOUND,
			     "%s %s has no version %" PRIu64
			     ", its newest is %" PRIu64,
			     cli_get(c, "aggregate"),
			     cli_get(c, "aggregate-id"), *version,
			     head->version);
	if (rc == 0 && *version == 0)
		*version = head->version;
	return rc;
}

static int
run_get(struct cli *c, struct weir_err *err)
{
	struct session x = {NULL, NULL, NULL};
	struct head head;
	uint64_t version = 0;
	int rc;

	if (call_network(c))
		return remote_get(c, err);
	rc = named_version(c, &x, &head, &version, err);
	if (rc == 0)
		rc = get_at(c, &x, &head, version, err);
	session_close(&x);
	return rc;
}

static int
run_replay(struct cli *c, struct weir_err *err)
{
	struct session x = {NULL, NULL, NULL};
	uint64_t skip, take, last;
	struct head head;
	int rc;

	if (call_network(c))
		return remote_replay(c, err);
	rc = cli_u64(c, &skip, "skip", 0, err);
	if (rc == 0)
		rc = cli_u64(c, &take, "take", UINT64_MAX, err);
	if (rc == 0)
		rc = session_open(c, &x, err);
	if (rc == 0)
		rc = named_head(c, &x, &head, err);
	if (rc == 0 && take > 0 && skip < head.version) {
		last = take < head.version - skip ? skip + take : head.version;
		rc = put_versions(c, &x, &c->out, skip + 1, last, "\n", err);
		buf_putc(&c->out, '\n');
	}
	session_close(&x);
	return rc;
}

static int
run_verify(struct cli *c, struct weir_err *err)
{
	uint8_t stored[RECORD_DIGEST], found[RECORD_DIGEST];
	struct session x = {NULL, NULL, NULL};
	char hex[2 * RECORD_DIGEST + 1];
	uint64_t version = 0, position = 0;
	struct record_view v;
	struct head head;
	int rc;

	if (call_network(c))
		return remote_verify(c, err);
	rc = named_version(c, &x, &head, &version, err);
	if (rc == 0)
		rc = reader_version(x.r, &v, str_of(cli_get(c, "aggregate")),
				    str_of(cli_get(c, "aggregate-id")), version,
				    err);
	if (rc == 0) {
		position = v.position;
		rc = reader_verify(x.r, found, position, err);
	}
	if (rc == 0)
		rc = reader_root(x.r, stored, position, err);
	if (rc == 0 && memcmp(stored, found, sizeof(found)) != 0)
		rc = err_set(err, WEIR_EDAMAGE,
			     "the stored Merkle root of %s %s differs from "
			     "the one recomputed from its records; `weir "
			     "check` says where",
			     cli_get(c, "aggregate"),
			     cli_get(c, "aggregate-id"));
	if (rc == 0) {
		struct buf *b = &c->out;

		str_hex(hex, found, sizeof(found));
		if (!c->json) {
			buf_printf(b,
				   "verified %" PRIu64 " %s, merkle root "
				   "%s\n",
				   version, version == 1 ? "record" : "records",
				   hex);
		} else {
			buf_puts(b, "{\"aggregate_type\":");
			json_put_string(b, str_of(cli_get(c, "aggregate")));
			buf_puts(b, ",\"aggregate_id\":");
			json_put_string(b, str_of(cli_get(c, "aggregate-id")));
			buf_printf(b,
				   ",\"version\":%" PRIu64
				   ",\"merkle_root\":\"%s\"}\n",
				   version, hex);
		}
	}
	session_close(&x);
	return rc;
}

/* ---- the table ------------------------------------------------------------
 */

#define AGGREGATE_OPTION                                                       \
	{                                                                      \
		"aggregate", 0, "A", CLI_REQUIRED, "the aggregate's type"      \
	}
#define AGGREGATE_ID_OPTION                                                    \
	{                                                                      \
		"aggregate-id", 0, "I", CLI_REQUIRED, "the aggregate's id"     \
	}
#define END_OPTION                                                             \
	{                                                                      \
		NULL, 0, NULL, 0, NULL                                         \
	}

static const struct cli_operand named_operands[] = {
	{"A", "aggregate", 0},
	{"I", "aggregate-id", 0},
	{NULL, NULL, 0},
};

static const struct cli_operand apply_operands[] = {
	{"A", "aggregate", 0},
	{"I", "aggregate-id", 0},
	{"E", "event", 0},
	{NULL, NULL, 0},
};

static const struct cli_option apply_options[] = {
	AGGREGATE_OPTION,
	AGGREGATE_ID_OPTION,
	{"event", 0, "E", CLI_REQUIRED, "the event's type"},
	{"field", 0, "K=V", CLI_MANY,
	 "set a member of the payload: K=V of the type that the schema declares, "
	 "else a string; K:=JSON for any other type; goes over --payload"},
	{"payload", 0, "JSON", 0,
	 "the payload; @FILE reads it from a file, - from standard input "
	 "({} when neither this nor --field is given)"},
	{"content", 0, "json|text|bytes", 0,
	 "how the payload's bytes are to be read (json)"},
	{"expected-version", 0, "N", 0,
	 "append only if the aggregate is at version N; none: if it does not "
	 "exist; exists: if it does; any (the default)"},
	{"event-id", 0, "UUID", 0,
	 "the event's id: the same id again gives the original record"},
	{"tag", 0, "T", CLI_MANY, "tag the record"},
	{"created-at", 0, "WHEN", 0,
	 "when it happened, RFC 3339 (default: now)"},
	{"correlation-id", 0, "X", 0, "what this belongs to"},
	{"causation-id", 0, "X", 0, "what caused it"},
	{"traceparent", 0, "X", 0, "W3C trace context"},
	END_OPTION,
};

static const struct cli_option list_options[] = {
	{"aggregate", 0, "PATTERN", 0, "only types that match (* and ?)"},
	{"skip", 0, "N", 0, "leave out the first N"},
	{"take", 0, "N", 0, "show at most N (list_page_size, 10)"},
	END_OPTION,
};

static const struct cli_option get_options[] = {
	AGGREGATE_OPTION,
	AGGREGATE_ID_OPTION,
	{"version", 0, "N", 0, "as it was at version N"},
	{"include-events", 0, NULL, 0, "add the records, oldest first"},
	END_OPTION,
};

static const struct cli_option replay_options[] = {
	AGGREGATE_OPTION,
	AGGREGATE_ID_OPTION,
	{"skip", 0, "N", 0, "leave out the first N records"},
	{"take", 0, "N", 0, "print at most N records"},
	END_OPTION,
};

static const struct cli_option verify_options[] = {
	AGGREGATE_OPTION,
	AGGREGATE_ID_OPTION,
	{"version", 0, "N", 0, "versions 1 to N, and the root as it was at N"},
	END_OPTION,
};

const struct cli_command aggregate_commands[] = {
	{"aggregate apply", "append an event to an aggregate",
	 "Prints the record when it is durable. Without --json it is indented; "
	 "the payload's numbers and strings stay the bytes they are.",
	 apply_options, apply_operands, CLI_SINKS, apply_run},
	{"aggregate list", "list aggregates with their versions",
	 "With --json: an array of aggregate states.", list_options, NULL, 0,
	 aggregate_list},
	{"aggregate get", "show an aggregate's state", NULL, get_options,
	 named_operands, 0, run_get},
	{"aggregate replay", "print an aggregate's records in order",
	 "One record a line, as JSON.", replay_options, named_operands, 0,
	 run_replay},
	{"aggregate verify", "recompute an aggregate's hashes and Merkle root",
	 "Everything is recomputed from the stored bytes. Exits 7 when a "
	 "record or the root does not agree.",
	 verify_options, named_operands, 0, run_verify},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
