/* SPDX-License-Identifier: MIT */
/*
 * One row is split into cells, unquoted in a buffer of its own, and printed as
 * a JSON object. UTF-8 and limits are left to those who read that object.
 */
#include "cli/csvread.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"

#define COLUMNS_MAX 4096u
#define ROW_MAX	    (16u << 20)

enum cell_shape {
	CELL_TEXT,
	CELL_TAGS,
	CELL_VERSION
};

static const struct member {
	const char *name;
	enum cell_shape shape;
	bool needed;
} members[] = {
	{"aggregate_type", CELL_TEXT, true},
	{"aggregate_id", CELL_TEXT, true},
	{"event_type", CELL_TEXT, true},
	{"event_id", CELL_TEXT, false},
	{"created_at", CELL_TEXT, false},
	{"expected_version", CELL_VERSION, false},
	{"correlation_id", CELL_TEXT, false},
	{"causation_id", CELL_TEXT, false},
	{"traceparent", CELL_TEXT, false},
	{"tags", CELL_TAGS, false},
};
#define NMEMBERS (sizeof(members) / sizeof(members[0]))

static const char *const member_names[] = {"aggregate_type",
					   "aggregate_id",
					   "event_type",
					   "event_id",
					   "created_at",
					   "expected_version",
					   "correlation_id",
					   "causation_id",
					   "traceparent",
					   "tags",
					   NULL};

struct cell {
	size_t at, len; /* in text */
	bool quoted;
};

struct cells {
	struct buf text;
	struct cell *cell;
	size_t n, cap;
};

struct source {
	bool set, constant;
	size_t column;
	char *text; /* the constant */
};

struct csvread {
	struct cells header, row;
	struct source sources[NMEMBERS];
	bool *in_payload; /* by column */
	bool typed;
};

const char *const *
csvread_members(void)
{
	return member_names;
}

/* ---- cells --------------------------------------------------------------- */

static struct weir_str
cell_text(const struct cells *c, size_t i)
{
	const char *data = c->text.data != NULL ? c->text.data : "";

	return (struct weir_str){data + c->cell[i].at, c->cell[i].len};
}

static int
begin_cell(struct cells *c, bool quoted, struct weir_err *err)
{
	if (c->n == COLUMNS_MAX)
		return err_set(err, WEIR_EINPUT, "more than %u columns",
			       COLUMNS_MAX);
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 32 : c->cap * 2;
		struct cell *p = mem_resize(c->cell, cap * sizeof(*p));

		if (p == NULL)
			return err_nomem(err);
		c->cell = p;
		c->cap = cap;
	}
	c->cell[c->n++] = (struct cell){.at = c->text.len, .quoted = quoted};
	return 0;
}

/* A quoted cell from the byte behind its first quote. */
static int
read_quoted(struct cells *c, const char **at, const char *end,
	    struct weir_err *err)
{
	const char *p = *at, *quote;

	for (;;) {
		quote = memchr(p, '"', (size_t)(end - p));
		if (quote == NULL)
			return err_set(err, WEIR_EINPUT,
				       "column %zu: a quoted cell is not "
				       "closed",
				       c->n);
		buf_add(&c->text, p, (size_t)(quote - p));
		p = quote + 1;
		if (p == end || *p != '"')
			break;
		buf_putc(&c->text, '"');
		p++;
	}
	if (p < end && *p != ',')
		return err_set(err, WEIR_EINPUT,
			       "column %zu: text behind a closing quote; a "
			       "quote inside of a quoted cell is doubled",
			       c->n);
	*at = p;
	return 0;
}

static int
read_plain(struct cells *c, const char **at, const char *end,
	   struct weir_err *err)
{
	const char *p = *at;

	while (p < end && *p != ',' && *p != '"')
		p++;
	if (p < end && *p == '"')
		return err_set(err, WEIR_EINPUT,
			       "column %zu: a quote in a cell that is not "
			       "quoted",
			       c->n);
	buf_add(&c->text, *at, (size_t)(p - *at));
	*at = p;
	return 0;
}

static int
split(struct cells *c, struct weir_str row, struct weir_err *err)
{
	const char *p = row.data, *end = row.data + row.len;
	int rc = 0;

	c->n = 0;
	buf_clear(&c->text);
	for (;;) {
		bool quoted = p < end && *p == '"';

		rc = begin_cell(c, quoted, err);
		p += quoted;
		if (rc == 0)
			rc = quoted ? read_quoted(c, &p, end, err)
				    : read_plain(c, &p, end, err);
		if (rc != 0)
			return rc;
		c->cell[c->n - 1].len = c->text.len - c->cell[c->n - 1].at;
		if (p == end)
			break;
		p++;
	}
	return c->text.failed ? err_nomem(err) : 0;
}

/* ---- the mapping --------------------------------------------------------- */

static int
find_column(const struct csvread *r, size_t *out, struct weir_str name)
{
	for (size_t i = 0; i < r->header.n; i++)
		if (str_eq(cell_text(&r->header, i), name)) {
			*out = i;
			return 0;
		}
	return -1;
}

static int
no_column(const struct csvread *r, struct weir_str name, const char *option,
	  struct weir_err *err)
{
	char wanted[100], have[300] = "", one[80];
	size_t n = 0;

	for (size_t i = 0; i < r->header.n && n + 84 < sizeof(have); i++)
		n += (size_t)snprintf(
			have + n, sizeof(have) - n, "%s%s", i > 0 ? ", " : "",
			str_show(one, sizeof(one), cell_text(&r->header, i)));
	return err_set(err, WEIR_EUSAGE,
		       "%s: the input has no column \"%s\"; it has %s", option,
		       str_show(wanted, sizeof(wanted), name), have);
}

static int
take_map(struct csvread *r, const char *map, struct weir_err *err)
{
	const char *mark = strchr(map, '=');
	size_t i = 0, n = mark != NULL ? (size_t)(mark - map) : strlen(map);
	struct source *s;

	while (i < NMEMBERS && (strlen(members[i].name) != n ||
				memcmp(members[i].name, map, n) != 0))
		i++;
	if (mark == NULL || i == NMEMBERS) {
		char name[64];
		const char *near;

		snprintf(name, sizeof(name), "%.*s", (int)n, map);
		near = i == NMEMBERS ? str_nearest(name, member_names) : NULL;
		return err_set(err, WEIR_EUSAGE,
			       "--map takes MEMBER=COLUMN or "
			       "MEMBER==CONSTANT, not \"%.100s\"%s%s%s",
			       map, near != NULL ? "; did you mean \"" : "",
			       near != NULL ? near : "",
			       near != NULL ? "\"?" : "");
	}
	s = &r->sources[i];
	if (s->set)
		return err_set(err, WEIR_EUSAGE, "--map: %s is mapped twice",
			       members[i].name);
	s->set = true;
	s->constant = mark[1] == '=';
	if (!s->constant)
		return find_column(r, &s->column, str_of(mark + 1)) == 0
			       ? 0
			       : no_column(r, str_of(mark + 1), "--map", err);
	s->text = mem_dup(mark + 2, strlen(mark + 2));
	return s->text != NULL ? 0 : err_nomem(err);
}

/* What was not mapped is taken from the column of its name. */
static int
take_defaults(struct csvread *r, struct weir_err *err)
{
	for (size_t i = 0; i < NMEMBERS; i++) {
		struct source *s = &r->sources[i];

		if (!s->set &&
		    find_column(r, &s->column, str_of(members[i].name)) == 0)
			s->set = true;
		if (!s->set && members[i].needed)
			return err_set(err, WEIR_EUSAGE,
				       "%s comes from no column; add --map "
				       "%s=COLUMN or --map %s==CONSTANT",
				       members[i].name, members[i].name,
				       members[i].name);
	}
	return 0;
}

static int
take_payload_columns(struct csvread *r, const char *list, struct weir_err *err)
{
	if (list == NULL) {
		for (size_t i = 0; i < r->header.n; i++)
			r->in_payload[i] = true;
		for (size_t i = 0; i < NMEMBERS; i++)
			if (r->sources[i].set && !r->sources[i].constant)
				r->in_payload[r->sources[i].column] = false;
		return 0;
	}
	while (*list != '\0') {
		size_t n = strcspn(list, ","), column;
		struct weir_str name = {list, n};

		if (find_column(r, &column, name) != 0)
			return no_column(r, name, "--payload-columns", err);
		r->in_payload[column] = true;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int
check_header(const struct csvread *r, struct weir_err *err)
{
	char shown[100];
	size_t same;

	for (size_t i = 0; i < r->header.n; i++) {
		struct weir_str name = cell_text(&r->header, i);

		if (find_column(r, &same, name) == 0 && same != i)
			return err_set(err, WEIR_EINPUT,
				       "header: two columns are called \"%s\"",
				       str_show(shown, sizeof(shown), name));
	}
	return 0;
}

int
csvread_new(struct csvread **out, const struct csvread_options *o,
	    struct weir_str header, struct weir_err *err)
{
	struct csvread *r = mem_new(sizeof(*r));
	int rc;

	if (r == NULL)
		return err_nomem(err);
	r->typed = o->typed;
	buf_init(&r->header.text, ROW_MAX);
	buf_init(&r->row.text, ROW_MAX);
	rc = split(&r->header, header, err);
	if (rc != 0)
		err_prefix(err, "header");
	if (rc == 0)
		rc = check_header(r, err);
	if (rc == 0) {
		r->in_payload = mem_new(r->header.n * sizeof(bool));
		if (r->in_payload == NULL)
			rc = err_nomem(err);
	}
	for (size_t i = 0; rc == 0 && i < o->nmaps; i++)
		rc = take_map(r, o->maps[i], err);
	if (rc == 0)
		rc = take_defaults(r, err);
	if (rc == 0)
		rc = take_payload_columns(r, o->payload_columns, err);
	if (rc != 0) {
		csvread_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void
csvread_free(struct csvread *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < NMEMBERS; i++)
		mem_free(r->sources[i].text);
	buf_fini(&r->header.text);
	buf_fini(&r->row.text);
	mem_free(r->header.cell);
	mem_free(r->row.cell);
	mem_free(r->in_payload);
	mem_free(r);
}

/* ---- rows ---------------------------------------------------------------- */

static void
put_tags(struct buf *out, struct weir_str s)
{
	bool first = true;
	size_t at = 0;

	buf_putc(out, '[');
	while (at < s.len) {
		size_t from = at;

		while (at < s.len && s.data[at] != ' ')
			at++;
		if (at > from) {
			if (!first)
				buf_putc(out, ',');
			first = false;
			json_put_string(out, (struct weir_str){s.data + from,
							       at - from});
		}
		at++;
	}
	buf_putc(out, ']');
}

static void
put_member(struct csvread *r, struct buf *out, size_t i)
{
	const struct source *s = &r->sources[i];
	struct weir_str value;
	uint64_t n;

	if (!s->set)
		return;
	value = s->constant ? str_of(s->text) : cell_text(&r->row, s->column);
	if (value.len == 0 && !members[i].needed)
		return;
	if (out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	json_put_string(out, str_of(members[i].name));
	buf_putc(out, ':');
	if (members[i].shape == CELL_TAGS)
		put_tags(out, value);
	else if (members[i].shape == CELL_VERSION && str_u64(&n, value) == 0)
		buf_printf(out, "%llu", (unsigned long long)n);
	else
		json_put_string(out, value);
}

static void
put_value(struct csvread *r, struct buf *out, size_t column)
{
	struct weir_str s = cell_text(&r->row, column), value;
	bool typed = r->typed && !r->row.cell[column].quoted;

	if (typed && s.len == 0)
		buf_puts(out, "null");
	else if (typed && (str_is(s, "true") || str_is(s, "false")))
		buf_add_str(out, s);
	else if (typed &&
		 (s.data[0] == '-' || (s.data[0] >= '0' && s.data[0] <= '9')) &&
		 json_check(s, &value, "cell", NULL) == 0 && str_eq(s, value))
		buf_add_str(out, s);
	else
		json_put_string(out, s);
}

int
csvread_body(struct csvread *r, struct buf *out, struct weir_str row,
	     struct weir_err *err)
{
	bool first = true;
	int rc = split(&r->row, row, err);

	if (rc != 0)
		return rc;
	if (r->row.n != r->header.n)
		return err_set(err, WEIR_EINPUT,
			       "%zu columns where the header has %zu", r->row.n,
			       r->header.n);
	if (str_utf8_valid(buf_str(&r->row.text)) != r->row.text.len)
		return err_set(err, WEIR_EINPUT, "not valid UTF-8");
	buf_putc(out, '{');
	for (size_t i = 0; i < NMEMBERS && !out->failed; i++)
		put_member(r, out, i);
	buf_puts(out, ",\"payload\":{");
	for (size_t i = 0; i < r->row.n && !out->failed; i++) {
		if (!r->in_payload[i])
			continue;
		if (!first)
			buf_putc(out, ',');
		first = false;
		json_put_string(out, cell_text(&r->header, i));
		buf_putc(out, ':');
		put_value(r, out, i);
	}
	if (buf_puts(out, "}}") != 0)
		return err_nomem(err);
	return 0;
}
