/* SPDX-License-Identifier: MIT */
/* weir aggregate list, of a store or of a server. */
#include "cli/aggregate.h"

#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/call.h"
#include "model/config.h"
#include "store/reader.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct listing {
	struct cli *c;
	struct reader *side;
	struct weir_err *err;
	const char *pattern;
	uint64_t skip, take, seen, shown;
	struct buf cells; /* NUL-ended texts, for the table */
};

static void
put_row(struct listing *l, struct weir_str type, struct weir_str id,
	uint64_t version, bool archived)
{
	char safe[3 * WEIR_ID_MAX];

	buf_puts(&l->cells, str_show(safe, sizeof(safe), type));
	buf_putc(&l->cells, '\0');
	buf_puts(&l->cells, str_show(safe, sizeof(safe), id));
	buf_putc(&l->cells, '\0');
	buf_printf(&l->cells, "%" PRIu64, version);
	buf_putc(&l->cells, '\0');
	buf_puts(&l->cells, archived ? "yes" : "");
	buf_putc(&l->cells, '\0');
}

static int
list_one(void *cookie, struct weir_str type, struct weir_str id,
	 const struct head *head)
{
	struct listing *l = cookie;

	if (l->pattern != NULL && !str_match(str_of(l->pattern), type))
		return 0;
	if (l->seen++ < l->skip || l->shown >= l->take)
		return 0;
	l->shown++;
	if (l->c->json) {
		if (l->shown > 1)
			buf_putc(&l->c->out, ',');
		return aggregate_put_state(&l->c->out, l->side, type, id, head,
					   l->err);
	}
	put_row(l, type, id, head->version, head->archived);
	return 0;
}

static int
print_listing(struct listing *l, struct weir_err *err)
{
	static const char header[] = "TYPE\0ID\0VERSION\0ARCHIVED";
	size_t rows = l->shown + 1, n = 0;
	const char **cells = must_mem(rows * 4 * sizeof(*cells));
	const char *p = header;

	for (; n < 4; p += strlen(p) + 1)
		cells[n++] = p;
	for (p = buf_cstr(&l->cells); n < rows * 4; p += strlen(p) + 1)
		cells[n++] = p;
	if (!l->cells.failed)
		out_table(l->c, cells, 4, rows, 1u << 2);
	mem_free(cells);
	if (l->cells.failed)
		return err_nomem(err);
	if (l->shown + l->skip < l->seen && l->c->out_tty)
		cli_note(l->c,
			 "%" PRIu64 " of %" PRIu64
			 " aggregates; --skip %" PRIu64 " has the next",
			 l->shown, l->seen, l->skip + l->shown);
	return 0;
}

static int
list_store(struct listing *l, struct weir_err *err)
{
	struct cli *c = l->c;
	struct store *s = NULL;
	int rc = cli_open_read(c, &s, err);

	if (rc == 0 && (l->side = reader_new_mapped(s)) == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = store_each(s, false, list_one, l);
	reader_free(l->side);
	store_close(s);
	return rc;
}

/* ---- of a server --------------------------------------------------------- */

static int
take_state(struct listing *l, struct weir_str state, struct weir_err *err)
{
	struct weir_str type, id, value;
	struct buf names;
	uint64_t version = 0;
	size_t n;

	l->seen++;
	l->shown++;
	if (l->c->json) {
		if (l->shown > 1)
			buf_putc(&l->c->out, ',');
		return buf_add_str(&l->c->out, state) == 0 ? 0 : err_nomem(err);
	}
	if (!json_get(state, "aggregate_type", &type) ||
	    !json_get(state, "aggregate_id", &id) ||
	    !json_get(state, "version", &value) ||
	    json_u64(&version, value) != 0 || json_kind(type) != WEIR_STRING ||
	    json_kind(id) != WEIR_STRING)
		return err_set(err, WEIR_EUNREACH,
			       "the server's answer is no list of aggregates");
	buf_init(&names, CLI_TEXT_MAX);
	json_decode_buf(&names, type);
	n = names.len;
	json_decode_buf(&names, id);
	if (!names.failed)
		put_row(l, (struct weir_str){names.data, n},
			(struct weir_str){names.data + n, names.len - n},
			version,
			json_get(state, "archived", &value) &&
				str_is(value, "true"));
	buf_fini(&names);
	return 0;
}

static int
list_server(struct listing *l, struct weir_err *err)
{
	struct weir_str states, key, value;
	struct call_answer a = {0};
	struct json_iter it;
	struct buf target;
	int rc;

	buf_init(&target, 4096);
	buf_printf(&target, "/v1/aggregates?skip=%" PRIu64, l->skip);
	if (cli_get(l->c, "take") != NULL)
		buf_printf(&target, "&take=%" PRIu64, l->take);
	if (l->pattern != NULL) {
		buf_puts(&target, "&type=");
		call_encode(&target, str_of(l->pattern));
	}
	rc = call_api(l->c, &a, "GET", buf_cstr(&target),
		      (struct weir_str){NULL, 0}, 0, err);
	if (rc == 0)
		rc = json_check_depth(buf_str(&a.body), &states,
				      WEIR_DEPTH_MAX + 1, "the server's answer",
				      err);
	if (rc == 0 && json_kind(states) == WEIR_ARRAY) {
		json_iter_init(&it, states);
		while (rc == 0 && json_iter_next(&it, &key, &value))
			rc = take_state(l, value, err);
	}
	call_free(&a);
	buf_fini(&target);
	return rc;
}

int
aggregate_list(struct cli *c, struct weir_err *err)
{
	struct listing l = {.c = c, .err = err};
	struct config *config;
	int rc = cli_config(c, &config, err);

	l.pattern = cli_get(c, "aggregate");
	buf_init(&l.cells, CLI_TEXT_MAX);
	if (rc == 0)
		rc = cli_u64(c, &l.skip, "skip", 0, err);
	if (rc == 0)
		rc = cli_u64(c, &l.take, "take",
			     config_u64(config, "list_page_size"), err);
	if (rc == 0 && l.take > config_u64(config, "page_limit")) {
		l.take = config_u64(config, "page_limit");
		cli_warn(c, "shown are at most %" PRIu64 ", the page_limit",
			 l.take);
	}
	if (rc == 0 && c->json)
		buf_putc(&c->out, '[');
	if (rc == 0)
		rc = call_network(c) ? list_server(&l, err)
				     : list_store(&l, err);
	if (rc == 0 && c->json)
		buf_puts(&c->out, "]\n");
	else if (rc == 0)
		rc = print_listing(&l, err);
	else
		buf_clear(&c->out);
	buf_fini(&l.cells);
	return rc;
}
