/* SPDX-License-Identifier: MIT */
/* Opening, delivering, the cursor, fencing, replay, and being stopped. */

#include "conform.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static enum verdict
check_open_close(struct conform *c)
{
	struct fake *f = conform_new(c);
	unsigned before = 0;

	for (int i = 0; i < 3; i++) {
		CONFORM_TRY(c, f, conform_open(c, f));
		fake_close(f);
		if (f->live != 0)
			return conform_end(c, f,
					   conform_fail(c,
							"close left %zu "
							"allocations",
							f->live));
		if (i == 0)
			before = open_files();
		else if (open_files() != before)
			return conform_end(c, f,
					   conform_fail(c, "close left "
							   "descriptors open"));
	}
	return conform_end(c, f, PASS);
}

/* An odd value of the right type: the host checks no more than that. */
static const char *
odd_value(const struct weir_sink_option *o)
{
	switch ((enum weir_sink_option_type)o->type) {
	case WEIR_OPT_PATH:
		return "/no such folder/%s \x01";
	case WEIR_OPT_UINT:
	case WEIR_OPT_DURATION:
		return "9223372036854775807";
	case WEIR_OPT_BOOL:
		return "true";
	case WEIR_OPT_STRING:
	case WEIR_OPT_LIST:
		return "{\x01 %s ';--";
	case WEIR_OPT_ENUM:
		break;
	}
	return NULL; /* all words of an enum are good */
}

/* The settings of the fresh target, with one option set to something odd. */
static size_t
odd_settings(struct conform *c, struct weir_sink_setting *out,
	     const struct weir_sink_option *odd)
{
	const struct weir_sink_option *o = c->plugin->options;
	size_t n = 0;

	for (; o->name != NULL && n < CONFORM_SETTINGS; o++) {
		const char *value = o->dflt;

		for (size_t i = 0; i < c->nsettings; i++)
			if (strcmp(c->names[i], o->name) == 0)
				value = c->values[i];
		if (o == odd && odd_value(o) != NULL)
			value = odd_value(o);
		if (value != NULL)
			out[n++] = (struct weir_sink_setting){o->name, value};
	}
	return n;
}

/* validate must answer to anything of the right type, and do no I/O. */
static enum verdict
check_validate(struct conform *c)
{
	struct fake *f = conform_new(c);
	struct weir_sink_setting settings[CONFORM_SETTINGS];
	struct weir_sink_open o = {.struct_size = sizeof(o)};
	const struct weir_sink_option *odd = c->plugin->options;

	if (c->plugin->validate == NULL || odd == NULL)
		return conform_end(c, f, conform_skip(c, "no validate"));
	o.sink = f->sink_name;
	o.host = &f->host;
	o.settings = settings;
	for (; odd->name != NULL; odd++) {
		int class;

		o.nsettings = odd_settings(c, settings, odd);
		memset(&f->res, 0, sizeof(f->res));
		f->res.struct_size = sizeof(f->res);
		class = c->plugin->validate(&o, &f->res);
		CONFORM_TRY(c, f, conform_result(c, f, class));
	}
	if (f->file_calls != 0)
		return conform_end(c, f, conform_fail(c, "validate does I/O"));
	return conform_end(c, f, PASS);
}

static enum verdict
check_no_cursor(struct conform *c)
{
	struct fake *f = conform_new(c);

	if (!conform_has(c, WEIR_SINK_HOLDS_CURSOR))
		return conform_end(
			c, f, conform_skip(c, "the host holds the cursor"));
	CONFORM_TRY(c, f, conform_open(c, f));
	if (f->cursor.found)
		return conform_end(
			c, f,
			conform_fail(c,
				     "a fresh target has a "
				     "cursor at %llu",
				     (unsigned long long)f->cursor.sequence));
	return conform_end(c, f, PASS);
}

static enum verdict
check_deliver(struct conform *c)
{
	struct fake *f = conform_new(c);

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_FIRST));
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, CONFORM_FIRST + 1, CONFORM_LAST, 0));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_LAST));
	return conform_end(c, f, PASS);
}

static enum verdict
check_empty_batch(struct conform *c)
{
	struct fake *f = conform_new(c);

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 2, 1, 0));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, CONFORM_LAST + 1, CONFORM_LAST, 0));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_LAST));
	return conform_end(c, f, PASS);
}

/* Compares the target with `want`, frees both. */
static enum verdict
same_content(struct conform *c, char *want, const char *what)
{
	char *have = conform_show(c);
	enum verdict v = PASS;

	if (want != NULL && strcmp(want, have) != 0)
		v = conform_fail(c,
				 "%s changed the target; before:\n%.700s\n"
				 "after:\n%.700s",
				 what, want, have);
	free(want);
	free(have);
	return v;
}

static enum verdict
check_redelivery(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want;

	if (!conform_has(c, WEIR_SINK_HOLDS_CURSOR))
		return conform_end(
			c, f, conform_skip(c, "the host holds the cursor"));
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_LAST, 0));
	want = conform_show(c);
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, CONFORM_FIRST + 1, CONFORM_LAST, 0));
	CONFORM_TRY(c, f, same_content(c, want, "the same batch again"));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_LAST));
	return conform_end(c, f, PASS);
}

static enum verdict
check_fencing(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want;
	int class;

	if (!conform_has(c, WEIR_SINK_HOLDS_CURSOR))
		return conform_end(
			c, f, conform_skip(c, "the host holds the cursor"));
	CONFORM_TRY(c, f, conform_open(c, f));
	f->epoch = 7;
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	want = conform_show(c);
	f->epoch = 6;
	class = fake_deliver(f, CONFORM_FIRST + 1, CONFORM_LAST, 0);
	if (class != WEIR_SINK_BLOCKED) {
		free(want);
		return conform_end(c, f,
				   conform_fail(c,
						"an older epoch got class "
						"%d, not BLOCKED",
						class));
	}
	CONFORM_TRY(c, f, conform_result(c, f, class));
	CONFORM_TRY(c, f, same_content(c, want, "an older epoch"));
	f->epoch = 7;
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_FIRST));
	return conform_end(c, f, PASS);
}

static enum verdict
check_replay(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want;
	int class;

	if (c->plugin->rewind == NULL)
		return conform_end(c, f, conform_skip(c, "no rewind"));
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_LAST, 0));
	want = conform_show(c);
	class = fake_rewind(f, 1);
	if (class != WEIR_SINK_OK) {
		free(want);
		return conform_end(c, f,
				   conform_fail(c, "rewind: class %d: %s",
						class, f->res.message));
	}
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, 1, CONFORM_FIRST, WEIR_BATCH_REPLAY));
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, CONFORM_FIRST + 1, CONFORM_LAST,
				    WEIR_BATCH_REPLAY | WEIR_BATCH_REPLAY_END));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_LAST));
	CONFORM_TRY(c, f, same_content(c, want, "a replay"));
	return conform_end(c, f, PASS);
}

static enum verdict
check_rewind(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want;
	int class;

	if (c->plugin->rewind == NULL || conform_has(c, WEIR_SINK_REWRITES) ||
	    !conform_has(c, WEIR_SINK_HOLDS_CURSOR))
		return conform_end(c, f,
				   conform_skip(c, "replays from the "
						   "beginning only"));
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_LAST, 0));
	want = conform_show(c);
	class = fake_rewind(f, CONFORM_FIRST + 1);
	if (class != WEIR_SINK_OK) {
		free(want);
		return conform_end(c, f,
				   conform_fail(c, "rewind: class %d: %s",
						class, f->res.message));
	}
	CONFORM_TRY(c, f, conform_rewound_to(c, f, CONFORM_FIRST));
	CONFORM_TRY(c, f,
		    conform_deliver(c, f, CONFORM_FIRST + 1, CONFORM_LAST,
				    WEIR_BATCH_REPLAY | WEIR_BATCH_REPLAY_END));
	CONFORM_TRY(c, f, same_content(c, want, "a replay"));
	CONFORM_TRY(c, f, conform_cursor_is(c, f, CONFORM_LAST));
	return conform_end(c, f, PASS);
}

/* Delivers with `prepare`d trouble; it must return soon, and what it then says
 * must be true. */
static enum verdict
returns_soon(struct conform *c, struct fake *f)
{
	int64_t begun = f->host.monotonic_us(f->host.cookie), took;
	int class = fake_deliver(f, CONFORM_FIRST + 1, CONFORM_LAST, 0);
	uint64_t done = class == WEIR_SINK_OK ? CONFORM_LAST : CONFORM_FIRST;

	took = f->host.monotonic_us(f->host.cookie) - begun;
	if (took > 2000000)
		return conform_fail(c, "deliver took %lld ms",
				    (long long)took / 1000);
	if (conform_result(c, f, class) != PASS)
		return FAIL;
	if (class == WEIR_SINK_BLOCKED || class == WEIR_SINK_REJECT ||
	    class == WEIR_SINK_GONE)
		return conform_fail(c, "class %d: %s", class, f->res.message);
	f->stop_fd = -1;
	f->deadline_us = 0;
	return conform_cursor_is(c, f, done);
}

static enum verdict
check_stop(struct conform *c)
{
	struct fake *f = conform_new(c);
	int ends[2];
	enum verdict v;

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	if (pipe(ends) != 0 || write(ends[1], "x", 1) != 1)
		abort();
	f->stop_fd = ends[0];
	v = returns_soon(c, f);
	close(ends[0]);
	close(ends[1]);
	return conform_end(c, f, v);
}

static enum verdict
check_deadline(struct conform *c)
{
	struct fake *f = conform_new(c);

	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	f->deadline_us = f->host.monotonic_us(f->host.cookie) - 1;
	return conform_end(c, f, returns_soon(c, f));
}

static enum verdict
check_probe(struct conform *c)
{
	struct fake *f = conform_new(c);
	char *want;
	int class;

	if (c->plugin->probe == NULL)
		return conform_end(c, f, conform_skip(c, "no probe"));
	CONFORM_TRY(c, f, conform_open(c, f));
	CONFORM_TRY(c, f, conform_deliver(c, f, 1, CONFORM_FIRST, 0));
	want = conform_show(c);
	class = c->plugin->probe(f->sink, &f->res);
	if (class != WEIR_SINK_OK) {
		free(want);
		return conform_end(c, f,
				   conform_fail(c, "probe: class %d: %s", class,
						f->res.message));
	}
	CONFORM_TRY(c, f, same_content(c, want, "probe"));
	return conform_end(c, f, PASS);
}

const struct conform_check conform_basics[] = {
	{"open and close, three times, nothing left", check_open_close},
	{"validate answers to odd settings, without I/O", check_validate},
	{"a fresh target has no cursor", check_no_cursor},
	{"a batch, then its cursor", check_deliver},
	{"an empty batch moves the cursor", check_empty_batch},
	{"the same batch again changes nothing", check_redelivery},
	{"an older epoch is refused", check_fencing},
	{"a replay gives the same", check_replay},
	{"rewind moves the cursor back", check_rewind},
	{"deliver ends when asked to stop", check_stop},
	{"deliver ends at a passed deadline", check_deadline},
	{"probe changes nothing", check_probe},
	{NULL, NULL},
};
