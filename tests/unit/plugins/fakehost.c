/* SPDX-License-Identifier: MIT */
#include "plugins/fakehost.h"
#include "plugins/fakeparts.h"

#include <dlfcn.h>
#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fake_die(const char *what, const char *why)
{
	fprintf(stderr, "fakehost: %s: %s\n", what, why);
	abort();
}

void *
fake_xalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (p == NULL)
		fake_die("calloc", "no memory");
	return p;
}

char *
fake_xdup(const char *s)
{
	char *p = fake_xalloc(strlen(s) + 1);

	memcpy(p, s, strlen(s) + 1);
	return p;
}

struct fake *
fake_new(void)
{
	struct fake *f = fake_xalloc(sizeof *f);

	f->parts = fake_xalloc(sizeof *f->parts);
	snprintf(f->sink_name, sizeof f->sink_name, "mirror");
	for (unsigned i = 0; i < 16; i++)
		f->store_id[i] = (uint8_t)(0x10 + i);
	f->epoch = 1;
	f->stop_fd = -1;
	fake_services(f);
	return f;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void
fake_free(struct fake *f)
{
	struct fake_parts *p = f->parts;

	fake_close(f);
	if (f->live != 0)
		fake_die("fake_free", "the plugin left memory unreleased");
	for (size_t i = 0; i < p->nrecords; i++)
		fake_record_free(p->records[i]);
	free(p->records);
	for (size_t i = 0; i < p->nsettings; i++) {
		free(p->names[i]);
		free(p->values[i]);
	}
	for (size_t i = 0; i < p->nmaps; i++) {
		free(p->maps[i].type);
		free(p->maps[i].field);
	}
	if (p->folder[0] != '\0')
		nftw(p->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	free(f);
}

/* As the host does: no byte past struct_size is looked at. */
static const struct weir_sink_plugin *
known_part(const struct weir_sink_plugin *d)
{
	static struct {
		const struct weir_sink_plugin *of;
		struct weir_sink_plugin copy;
	} known[16];
	size_t i = 0;

	if (d->abi_major != WEIR_SINK_ABI_MAJOR)
		fake_die("the plugin",
			 "is of another major version of the ABI");
	while (known[i].of != NULL && known[i].of != d)
		if (++i == sizeof known / sizeof *known)
			fake_die(d->name, "is one plugin too many");
	known[i].of = d;
	memcpy(&known[i].copy, d,
	       d->struct_size < sizeof *d ? d->struct_size : sizeof *d);
	return &known[i].copy;
}

const struct weir_sink_plugin *
fake_plugin(const char *name)
{
	const char *top = getenv("TOP_BUILDDIR");
	const struct weir_sink_plugin *(*get)(void);
	char path[1024];

	if (strchr(name, '/') != NULL)
		snprintf(path, sizeof path, "%s", name);
	else
		snprintf(path, sizeof path, "%s/plugins/%s/.libs/%s.so",
			 top != NULL ? top : ".", name, name);
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL)
		fake_die(path, dlerror());
	void *symbol = dlsym(so, "weir_sink_plugin");
	if (symbol == NULL)
		fake_die(path, "exports no weir_sink_plugin");
	memcpy(&get, &symbol, sizeof get);
	return known_part(get());
}

void
fake_set(struct fake *f, const char *name, const char *value)
{
	struct fake_parts *p = f->parts;
	size_t i = 0;

	while (i < p->nsettings && strcmp(p->names[i], name) != 0)
		i++;
	if (i == p->nsettings) {
		if (i == FAKE_SETTINGS)
			fake_die(name, "too many settings");
		p->names[p->nsettings++] = fake_xdup(name);
	}
	free(p->values[i]);
	p->values[i] = value != NULL ? fake_xdup(value) : NULL;
}

static void
one_setting(struct weir_sink_open *o, struct weir_sink_setting *s,
	    const char *name, const char *value)
{
	for (size_t i = 0; i < o->nsettings; i++) {
		if (strcmp(s[i].name, name) == 0)
			return;
	}
	s[o->nsettings].name = name;
	s[o->nsettings++].value = value;
}

/* "5s" as microseconds, as a host gives it. */
static const char *
in_us(struct fake_parts *p, size_t place, const char *value)
{
	static const struct {
		const char *unit;
		unsigned long long us;
	} units[] = {{"us", 1},
		     {"ms", 1000},
		     {"s", 1000000},
		     {"m", 60000000},
		     {"h", 3600000000}};
	char *end;
	unsigned long long n = strtoull(value, &end, 10);

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(units[i].unit, end) != 0)
			continue;
		snprintf(p->durations[place], sizeof p->durations[place],
			 "%llu", n * units[i].us);
		return p->durations[place];
	}
	return value;
}

static void
make_open(struct fake *f, const struct weir_sink_plugin *plugin)
{
	struct fake_parts *p = f->parts;
	struct weir_sink_open *o = &p->open;
	const struct weir_sink_option *opt = plugin->options;

	memset(o, 0, sizeof *o);
	o->struct_size = sizeof *o;
	o->sink = f->sink_name;
	memcpy(o->store_id, f->store_id, 16);
	fake_uuid_text(o->store_uuid, f->store_id);
	o->settings = p->settings;
	o->host = &f->host;
	for (size_t i = 0; i < p->nsettings; i++) {
		if (p->values[i] != NULL)
			one_setting(o, p->settings, p->names[i], p->values[i]);
	}
	for (; opt != NULL && opt->name != NULL; opt++) {
		const char *value = opt->dflt;
		if (value != NULL && opt->type == WEIR_OPT_DURATION)
			value = in_us(p, o->nsettings, value);
		if (value != NULL)
			one_setting(o, p->settings, opt->name, value);
	}
}

static void
begin_call(struct fake *f)
{
	memset(&f->res, 0, sizeof f->res);
	f->res.struct_size = sizeof f->res;
}

/* The plugin may be older than its last callback. */
static bool
has_shape(const struct weir_sink_plugin *p)
{
	return p->struct_size >= offsetof(struct weir_sink_plugin, shape) +
					 sizeof p->shape &&
	       p->shape != NULL;
}

static int
ask_shape(struct fake *f, const struct weir_sink_plugin *p)
{
	f->capabilities = p->capabilities;
	f->needs = p->needs;
	return has_shape(p) ? p->shape(&f->parts->open, &f->capabilities,
				       &f->needs, &f->res)
			    : WEIR_SINK_OK;
}

int
fake_shape(struct fake *f, const struct weir_sink_plugin *p)
{
	make_open(f, p);
	begin_call(f);
	return ask_shape(f, p);
}

int
fake_open(struct fake *f, const struct weir_sink_plugin *p)
{
	int class = WEIR_SINK_OK;

	fake_close(f);
	make_open(f, p);
	begin_call(f);
	f->plugin = p;
	if (p->validate != NULL)
		class = p->validate(&f->parts->open, &f->res);
	if (class == WEIR_SINK_OK)
		class = ask_shape(f, p);
	if (class == WEIR_SINK_OK)
		class = p->open(&f->sink, &f->parts->open, &f->res);
	if (class == WEIR_SINK_OK && p->resume != NULL)
		class = fake_resume(f);
	return class;
}

void
fake_close(struct fake *f)
{
	if (f->sink != NULL)
		f->plugin->close(f->sink);
	f->sink = NULL;
}

int
fake_resume(struct fake *f)
{
	begin_call(f);
	memset(&f->cursor, 0, sizeof f->cursor);
	f->cursor.struct_size = sizeof f->cursor;
	return f->plugin->resume(f->sink, 0, &f->cursor, &f->res);
}

/* Is there a newer record of the aggregate up to `to`? */
static bool
superseded(const struct fake *f, const struct weir_sink_record *r, uint64_t to)
{
	for (uint64_t s = r->sequence + 1; s <= to; s++) {
		const struct weir_sink_record *n = fake_at(f, s);
		if (fake_same(n->aggregate_type, r->aggregate_type) &&
		    fake_same(n->aggregate_id, r->aggregate_id))
			return true;
	}
	return false;
}

static int
deliver(struct fake *f, uint64_t from, uint64_t to, uint32_t flags, bool all)
{
	struct weir_sink_batch b = {.struct_size = sizeof b};
	const struct weir_sink_record **list =
		fake_xalloc((size_t)(fake_last(f) + 1) * sizeof(void *));
	bool newest = (f->capabilities & WEIR_SINK_COALESCE) != 0;

	for (uint64_t s = from; s <= to; s++) {
		const struct weir_sink_record *r = fake_at(f, s);
		if (all || !newest || !superseded(f, r, to))
			list[b.nrecords++] = r;
	}
	b.record_size = sizeof(struct weir_sink_record);
	b.flags = flags;
	b.epoch = f->epoch;
	b.through_sequence = to;
	if (to > 0)
		memcpy(b.through_hash, fake_at(f, to)->hash,
		       sizeof b.through_hash);
	b.deadline_us = f->deadline_us != 0
				? f->deadline_us
				: f->host.monotonic_us(f) + 30000000;
	b.stop_fd = f->stop_fd;
	b.records = list;
	begin_call(f);
	int class = f->plugin->deliver(f->sink, &b, &f->res);
	free(list);
	return class;
}

int
fake_deliver(struct fake *f, uint64_t from, uint64_t to, uint32_t flags)
{
	return deliver(f, from, to, flags, false);
}

int
fake_deliver_all(struct fake *f, uint64_t from, uint64_t to, uint32_t flags)
{
	return deliver(f, from, to, flags, true);
}

int
fake_plan(struct fake *f, const char *type, const char *field,
	  const char *datatype, bool apply)
{
	struct weir_sink_plan plan = {.struct_size = sizeof plan,
				      .aggregate_type = {type, strlen(type)},
				      .field = {field, strlen(field)},
				      .datatype = datatype,
				      .apply = apply};

	begin_call(f);
	return f->plugin->plan(f->sink, &plan, &f->res);
}

int
fake_rewind(struct fake *f, uint64_t sequence)
{
	begin_call(f);
	return f->plugin->rewind(f->sink, sequence, &f->res);
}

const char *
fake_folder(struct fake *f)
{
	char *folder = f->parts->folder;
	const char *tmp = getenv("TMPDIR");

	if (folder[0] == '\0') {
		snprintf(folder, sizeof f->parts->folder, "%s/weir-XXXXXX",
			 tmp != NULL ? tmp : "/tmp");
		if (mkdtemp(folder) == NULL)
			fake_die(folder, "cannot be made");
	}
	return folder;
}

const char *
fake_path(struct fake *f, const char *name)
{
	static char spaces[8][1200];
	static unsigned next;
	char *space = spaces[next++ % 8];

	snprintf(space, sizeof spaces[0], "%s/%s", fake_folder(f), name);
	return space;
}
