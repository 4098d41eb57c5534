/* SPDX-License-Identifier: MIT */
/*
 * weir-sink-conform: does a sink plugin keep the rules of sink.h? It loads the
 * plugin with a host of its own (no journal, no store), whose file calls and
 * allocations it can make fail.
 */

#include "conform.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum verdict
conform_fail(struct conform *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return FAIL;
}

enum verdict
conform_skip(struct conform *c, const char *why)
{
	snprintf(c->why, sizeof(c->why), "%s", why);
	return SKIP;
}

bool
conform_has(const struct conform *c, uint32_t capability)
{
	return (c->capabilities & capability) != 0;
}

/* text with %d and %n filled in; fresh memory. */
static char *
fill_in(const struct conform *c, const char *text)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	if (f == NULL)
		abort();
	for (; *text != '\0'; text++) {
		if (text[0] == '%' && text[1] == 'd') {
			fputs(c->folder, f);
			text++;
		} else if (text[0] == '%' && text[1] == 'n') {
			fprintf(f, "%u", c->target);
			text++;
		} else {
			fputc(*text, f);
		}
	}
	if (fclose(f) != 0)
		abort();
	return out;
}

static void
append_usual(struct fake *f)
{
	static const char *const rows[CONFORM_LAST][3] = {
		{"person", "p-1", "{\"name\":\"Ada\",\"age\":36}"},
		{"person", "p-2", "{\"name\":\"Grace\",\"age\":null}"},
		{"order", "17", "{\"total\":12.50,\"open\":true}"},
		{"person", "p-1", "{\"age\":37,\"note\":\"x \\\"y\\\" z\"}"},
		{"order", "17", "{\"lines\":[{\"n\":1},{\"n\":2}]}"},
		{"order", "18", "{\"total\":0.10,\"open\":false}"},
		{"person", "p-2", "{\"name\":\"Grace H.\"}"},
		{"order", "17", "{\"open\":false}"},
		{"person", "p-3", "{}"},
		{"order", "18", "{\"total\":12345678901234567890123}"},
		{"person", "p-3", "{\"name\":\"\",\"more\":{\"a\":null}}"},
		{"person", "p-1", "{\"age\":\"old\"}"},
	};

	for (unsigned i = 0; i < CONFORM_LAST; i++)
		fake_append(f, rows[i][0], rows[i][1], "changed", rows[i][2]);
}

struct fake *
conform_new(struct conform *c)
{
	struct fake *f = fake_new();

	c->target++;
	snprintf(c->folder, sizeof(c->folder), "%s", fake_folder(f));
	for (size_t i = 0; i < c->nsettings; i++) {
		char *value = fill_in(c, c->values[i]);

		fake_set(f, c->names[i], value);
		free(value);
	}
	append_usual(f);
	return f;
}

enum verdict
conform_end(struct conform *c, struct fake *f, enum verdict v)
{
	fake_close(f);
	if (f->live != 0 && v == PASS) {
		v = conform_fail(c, "close left %zu allocations unreleased",
				 f->live);
	}
	f->live = 0;
	fake_free(f);
	return v;
}

char *
conform_show(struct conform *c)
{
	char *command, *out = NULL;
	size_t len = 0, n;
	char piece[4096];
	FILE *p, *f;

	if (c->show == NULL)
		return NULL;
	command = fill_in(c, c->show);
	p = popen(command, "r");
	f = open_memstream(&out, &len);
	if (p == NULL || f == NULL)
		abort();
	while ((n = fread(piece, 1, sizeof(piece), p)) > 0)
		fwrite(piece, 1, n, f);
	if (pclose(p) != 0)
		fprintf(f, "(the command failed: %s)", command);
	fclose(f);
	free(command);
	return out;
}

static bool
holds_secret(const struct conform *c, const char *text)
{
	const struct weir_sink_option *o = c->plugin->options;

	for (; o != NULL && o->name != NULL; o++) {
		if (!(o->flags & WEIR_OPT_SECRET))
			continue;
		for (size_t i = 0; i < c->nsettings; i++)
			if (strcmp(c->names[i], o->name) == 0 &&
			    strlen(c->values[i]) >= 8 &&
			    strstr(text, c->values[i]) != NULL)
				return true;
	}
	return false;
}

enum verdict
conform_result(struct conform *c, const struct fake *f, int class)
{
	const struct weir_sink_result *r = &f->res;
	size_t n = strnlen(r->message, sizeof(r->message));

	if (class < WEIR_SINK_OK || class > WEIR_SINK_GONE)
		return conform_fail(c, "%d is no class", class);
	if (class == WEIR_SINK_OK)
		return PASS;
	if (n == 0 || n == sizeof(r->message))
		return conform_fail(c, "class %d came without a message",
				    class);
	if (strchr(r->message, '\n') != NULL || r->message[n - 1] == '.')
		return conform_fail(c,
				    "the message is no single sentence "
				    "without a full stop: %s",
				    r->message);
	if (strnlen(r->hint, sizeof(r->hint)) == sizeof(r->hint) ||
	    strnlen(r->code, sizeof(r->code)) == sizeof(r->code) ||
	    strnlen(r->column, sizeof(r->column)) == sizeof(r->column))
		return conform_fail(c, "a text of the result has no end");
	if (holds_secret(c, r->message) || holds_secret(c, r->hint))
		return conform_fail(c, "the message shows a secret");
	return PASS;
}

enum verdict
conform_open(struct conform *c, struct fake *f)
{
	int class = fake_open(f, c->plugin);

	if (class != WEIR_SINK_OK)
		return conform_fail(c, "open: class %d: %s", class,
				    f->res.message);
	return PASS;
}

enum verdict
conform_deliver(struct conform *c, struct fake *f, uint64_t from, uint64_t to,
		uint32_t flags)
{
	int class = fake_deliver(f, from, to, flags);

	if (class != WEIR_SINK_OK)
		return conform_fail(c, "deliver of %llu to %llu: class %d: %s",
				    (unsigned long long)from,
				    (unsigned long long)to, class,
				    f->res.message);
	if (f->res.durable_sequence != to && c->plugin->flush == NULL)
		return conform_fail(c,
				    "durable_sequence is %llu, not %llu, and "
				    "there is no flush",
				    (unsigned long long)f->res.durable_sequence,
				    (unsigned long long)to);
	return PASS;
}

static enum verdict
cursor_stands(struct conform *c, struct fake *f, uint64_t sequence)
{
	const struct weir_sink_cursor *k = &f->cursor;
	enum verdict v;

	fake_close(f);
	v = conform_open(c, f);
	if (v != PASS || !conform_has(c, WEIR_SINK_HOLDS_CURSOR))
		return v;
	if (!k->found)
		return conform_fail(c, "the target holds no cursor");
	if (k->sequence != sequence)
		return conform_fail(c, "the cursor is %llu, not %llu",
				    (unsigned long long)k->sequence,
				    (unsigned long long)sequence);
	if (memcmp(k->store_id, f->store_id, 16) != 0)
		return conform_fail(c, "the cursor names another store");
	if (strncmp(k->sink, f->sink_name, sizeof(k->sink)) != 0)
		return conform_fail(c, "the cursor names the sink %.63s",
				    k->sink);
	if (k->epoch != f->epoch || k->lane != 0)
		return conform_fail(c, "the cursor's epoch is %llu, lane %u",
				    (unsigned long long)k->epoch, k->lane);
	return PASS;
}

static enum verdict
hash_is(struct conform *c, const struct fake *f, const uint8_t want[32])
{
	if (!conform_has(c, WEIR_SINK_HOLDS_CURSOR) ||
	    memcmp(f->cursor.hash, want, sizeof(f->cursor.hash)) == 0)
		return PASS;
	return conform_fail(c, "the cursor at %llu carries another hash",
			    (unsigned long long)f->cursor.sequence);
}

enum verdict
conform_cursor_is(struct conform *c, struct fake *f, uint64_t sequence)
{
	enum verdict v = cursor_stands(c, f, sequence);

	return v == PASS ? hash_is(c, f, fake_at(f, sequence)->hash) : v;
}

enum verdict
conform_rewound_to(struct conform *c, struct fake *f, uint64_t sequence)
{
	static const uint8_t none[32];
	enum verdict v = cursor_stands(c, f, sequence);

	return v == PASS ? hash_is(c, f, none) : v;
}

static void
run_checks(struct conform *c, const struct conform_check *check)
{
	static const char *const words[] = {"ok", "FAILED", "skipped"};

	for (; check->name != NULL; check++) {
		enum verdict v = check->fn(c);

		printf("%-8s %s%s%s\n", words[v], check->name,
		       v == PASS ? "" : ": ", v == PASS ? "" : c->why);
		fflush(stdout);
		c->passed += v == PASS;
		c->failed += v == FAIL;
		c->skipped += v == SKIP;
	}
}

static int
usage(void)
{
	fputs("usage: weir-sink-conform [--set NAME=VALUE]... "
	      "[--show COMMAND] PLUGIN.so\n"
	      "  In VALUE and COMMAND %d stands for a fresh folder and %n for "
	      "a "
	      "number,\n"
	      "  both of their own in every check. COMMAND prints what a "
	      "target "
	      "holds,\n"
	      "  without its cursor, so that targets can be compared.\n",
	      stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	struct conform c = {0};
	const char *path = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--set") == 0 && i + 1 < argc) {
			char *equals = strchr(argv[++i], '=');

			if (equals == NULL || c.nsettings == CONFORM_SETTINGS)
				return usage();
			*equals = '\0';
			c.names[c.nsettings] = argv[i];
			c.values[c.nsettings++] = equals + 1;
		} else if (strcmp(argv[i], "--show") == 0 && i + 1 < argc) {
			c.show = argv[++i];
		} else if (argv[i][0] != '-' && path == NULL) {
			path = argv[i];
		} else {
			return usage();
		}
	}
	if (path == NULL)
		return usage();
	c.plugin = fake_plugin(path);
	c.capabilities = c.plugin->capabilities;
	c.needs = c.plugin->needs;
	run_checks(&c, conform_descriptor);
	if (c.failed == 0) {
		run_checks(&c, conform_basics);
		run_checks(&c, conform_records);
		run_checks(&c, conform_faults);
	}
	printf("%u passed, %u failed, %u skipped\n", c.passed, c.failed,
	       c.skipped);
	return c.failed != 0;
}
