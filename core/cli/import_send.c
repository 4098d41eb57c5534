/* SPDX-License-Identifier: MIT */
/*
 * Lines of an import to POST /v1/import. The server counts them and derives
 * event ids as an import in this process does: blank lines stand for those that
 * are not sent. The JSON made of a CSV line does not give the id that its own
 * bytes do, so it carries its id.
 */
#include "cli/import_send.h"

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"
#include "cli/call.h"
#include "cli/importer.h"

#include <inttypes.h>
#include <string.h>

#define NDJSON "application/x-ndjson"

struct sending {
	struct importer_answer *answers;
	const struct importer_line *lines;
	size_t n, at; /* at: whose answer comes next */
};

/* The line with the id in it; false: it has one, or is no object. */
static bool
put_with_id(struct buf *body, const struct import_send *s,
	    const struct importer_line *l)
{
	struct weir_str object, value;
	uint8_t id[16];
	char text[37];

	if (s->source == NULL || l->body.data == l->text.data ||
	    json_check_depth(l->body, &object, WEIR_DEPTH_MAX + 1, "line",
			     NULL) != 0 ||
	    json_kind(object) != WEIR_OBJECT ||
	    json_get(object, "event_id", &value))
		return false;
	intake_derive(id, str_of(s->source), l->number, l->text);
	uuid_text(text, id);
	buf_printf(body, "{\"event_id\":\"%s\"%s", text,
		   object.len > 2 ? "," : "");
	buf_add(body, object.data + 1, object.len - 1);
	return true;
}

static void
put_lines(struct buf *body, const struct import_send *s,
	  const struct sending *x, uint64_t *first)
{
	uint64_t number = 0;

	for (size_t i = 0; i < x->n; i++) {
		const struct importer_line *l = &x->lines[i];

		if (x->answers[i].fault.code != 0)
			continue;
		if (number == 0)
			*first = number = l->number;
		for (; number < l->number; number++)
			buf_putc(body, '\n');
		if (!put_with_id(body, s, l))
			buf_add_str(body, l->body);
		buf_putc(body, '\n');
		number++;
	}
}

/* ---- answers ------------------------------------------------------------- */

/* Was it not the line that was at fault? */
static bool
ends_import(int code)
{
	switch (code) {
	case WEIR_EUNREACH:
	case WEIR_EIO:
	case WEIR_ENOSPC:
	case WEIR_ENOMEM:
	case WEIR_EFAILED:
	case WEIR_ESTOPPED:
		return true;
	default:
		return false;
	}
}

static void
take_fault(struct weir_err *fault, struct weir_str error)
{
	struct weir_str value;
	char word[32] = "";

	err_set(fault, WEIR_EINPUT, "refused without a reason");
	if (json_get(error, "message", &value) &&
	    json_kind(value) == WEIR_STRING &&
	    value.len - 2 < sizeof(fault->msg))
		fault->msg[json_decode(fault->msg, value)] = '\0';
	if (json_get(error, "code", &value) &&
	    json_kind(value) == WEIR_STRING && value.len - 2 < sizeof(word))
		word[json_decode(word, value)] = '\0';
	if (err_code(word) != WEIR_OK)
		fault->code = err_code(word);
}

static int
take_answer(struct sending *x, struct weir_str line, struct weir_err *err)
{
	struct weir_str object, value;
	struct importer_answer *a;
	uint64_t number = 0;

	if (json_check(line, &object, "the server's answer", err) != 0)
		return WEIR_EUNREACH;
	if (json_get(object, "line", &value))
		json_u64(&number, value);
	while (x->at < x->n && x->lines[x->at].number != number)
		x->at++;
	if (x->at == x->n)
		return err_set(err, WEIR_EUNREACH,
			       "the server answers a line that was not sent");
	a = &x->answers[x->at++];
	if (json_get(object, "error", &value)) {
		take_fault(&a->fault, value);
		if (!ends_import(a->fault.code))
			return 0;
		if (err != NULL)
			*err = a->fault;
		return a->fault.code;
	}
	if (json_get(object, "sequence", &value))
		json_u64(&a->sequence, value);
	a->duplicate =
		json_get(object, "duplicate", &value) && str_is(value, "true");
	return 0;
}

static int
take_answers(struct sending *x, struct weir_str body, struct weir_err *err)
{
	const char *at = body.data, *end = body.data + body.len;
	int rc = 0;

	while (rc == 0 && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (stop == NULL)
			stop = end;
		rc = take_answer(x, (struct weir_str){at, (size_t)(stop - at)},
				 err);
		at = stop + 1;
	}
	while (rc == 0 && x->at < x->n)
		if (x->answers[x->at++].fault.code == 0)
			rc = err_set(err, WEIR_EUNREACH,
				     "the server did not answer every line");
	return rc;
}

int
import_send(const struct import_send *s, struct importer_answer *answers,
	    const struct importer_line *lines, size_t n, struct weir_err *err)
{
	struct sending x = {answers, lines, n, 0};
	struct call_request r = {
		.method = "POST", .type = NDJSON, .accept = NDJSON};
	struct buf body, target;
	struct call_answer a;
	uint64_t first = 1;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		answers[i].sequence = answers[i].duplicate = 0;
	buf_init(&body, CLI_TEXT_MAX);
	buf_init(&target, 64u << 10);
	put_lines(&body, s, &x, &first);
	buf_printf(&target, "/v1/import?line=%" PRIu64, first);
	if (s->source != NULL) {
		buf_puts(&target, "&source=");
		call_encode(&target, str_of(s->source));
		r.flags = CALL_AGAIN;
	}
	r.target = buf_cstr(&target);
	r.body = buf_str(&body);
	if (body.failed || target.failed)
		rc = err_nomem(err);
	if (rc == 0 && body.len > 0) {
		rc = call_send(s->c, &a, &r, err);
		if (rc == 0)
			rc = take_answers(&x, buf_str(&a.body), err);
		call_free(&a);
	}
	buf_fini(&body);
	buf_fini(&target);
	return rc;
}
