/* SPDX-License-Identifier: MIT */
/*
 * The JSON sink: every record as one EventRecord in a file that grows, one a
 * line (or indented). weir-sink-json(7) is its manual; common/filesink.h keeps
 * the file and its cursor true to each other.
 */
#include "common/filesink.h"
#include "pretty.h"

#include <stdio.h>
#include <string.h>

struct sink {
	struct filesink base; /* first: filesink's callbacks get it */
	bool pretty;
	char name[256];
};

static const struct weir_sink_option options[] = {
	{"path", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, NULL, "FILE",
	 "the file that the records are appended to"},
	{"pretty", WEIR_OPT_BOOL, WEIR_OPT_RELOADABLE, "false", NULL,
	 "indent each record instead of writing one a line"},
	{0},
};

/* The folder and the name in it that path stands for, or what is wrong. */
static const char *
split_path(const char *path, char folder[4096], char name[256])
{
	const char *slash;
	const char *base;
	size_t n;

	if (path == NULL)
		return "path is missing";
	slash = strrchr(path, '/');
	base = slash != NULL ? slash + 1 : path;
	n = slash != NULL ? (size_t)(slash - path) : 0;

	if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return "path names a folder; add the file's name";
	if (strlen(base) > 200)
		return "path has a file name over 200 bytes; shorten it";
	if (n > 4000)
		return "path is over 4000 bytes; shorten it";
	memcpy(name, base, strlen(base) + 1);
	if (slash == NULL)
		memcpy(folder, ".", 2);
	else if (n == 0)
		memcpy(folder, "/.", 3);
	else
		(void)snprintf(folder, 4096, "%.*s", (int)n, path);
	return NULL;
}

static int
json_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	char folder[4096], name[256];
	const char *wrong;

	wrong = split_path(setting_get(o, "path"), folder, name);
	if (wrong != NULL)
		return result_set(res, WEIR_SINK_REJECT, "path", NULL, "%s",
				  wrong);
	return WEIR_SINK_OK;
}

/* The first record of a batch after a last line that has no end. */
static int
end_line(struct files *set, size_t index, struct weir_sink_result *res)
{
	const struct file_entry *e = &files_cursor(set)->files[index];
	char last = '\n';
	int class;

	if (e->length == 0)
		return WEIR_SINK_OK;
	class = files_read(set, index, &last, 1, e->length - 1, res);
	if (class != WEIR_SINK_OK || last == '\n')
		return class;
	return files_append(set, index, "\n", 1, res);
}

static int
put_record(struct sink *s, struct files *set, size_t index,
	   const struct weir_sink_record *r, struct weir_sink_result *res)
{
	struct text text;
	int class;

	if (!s->pretty) {
		class = files_append(set, index, r->json.data, r->json.len,
				     res);
		return class != WEIR_SINK_OK
			       ? class
			       : files_append(set, index, "\n", 1, res);
	}
	text_init(&text, s->base.o.host, (size_t)1 << 30);
	pretty_put(&text, r->json);
	text_putc(&text, '\n');
	class = text.failed
			? result_nomem(res)
			: files_append(set, index, text.data, text.len, res);
	text_fini(&text);
	return class;
}

/* Appends the batch to a set that has begun it. */
static int
write_batch(struct filesink *base, struct files *set,
	    const struct weir_sink_batch *batch, struct weir_sink_result *res)
{
	struct sink *s = (struct sink *)base;
	size_t index;
	int class =
		files_refuse_listed(set, FILESINK_FOLDER_CURSOR, s->name, res);

	if (class == WEIR_SINK_OK)
		class = files_want(set, &index, s->name, res);
	if (class == WEIR_SINK_OK)
		class = files_prepare(set, batch, res);
	if (class == WEIR_SINK_OK && batch->nrecords > 0)
		class = end_line(set, index, res);
	for (uint32_t i = 0; i < batch->nrecords && class == WEIR_SINK_OK; i++)
		if (!files_applied(set, batch, batch->records[i]))
			class = put_record(s, set, index, batch->records[i],
					   res);
	if (class == WEIR_SINK_OK)
		class = files_commit(set, batch, res);
	if (class != WEIR_SINK_OK)
		files_abort(set);
	return class;
}

/* ---- the callbacks ------------------------------------------------------- */

static void
json_close(void *sink)
{
	struct sink *s = sink;

	filesink_close(&s->base);
	sink_free(s->base.o.host, s);
}

static int
json_open(void **out, const struct weir_sink_open *o,
	  struct weir_sink_result *res)
{
	struct sink *s = sink_alloc(o->host, sizeof(*s));
	int class;

	if (s == NULL)
		return result_nomem(res);
	s->base.o = *o;
	s->base.write = write_batch;
	s->pretty = setting_bool(o, "pretty");
	class = json_validate(o, res);
	if (class == WEIR_SINK_OK) {
		(void)split_path(setting_get(o, "path"), s->base.folder,
				 s->name);
		(void)snprintf(s->base.cursor, sizeof(s->base.cursor),
			       "%s.weir-cursor", s->name);
		class = filesink_open(&s->base, o, res);
	}
	if (class != WEIR_SINK_OK) {
		json_close(s);
		return class;
	}
	*out = s;
	return WEIR_SINK_OK;
}

static int
json_probe(void *sink, struct weir_sink_result *res)
{
	struct sink *s = sink;
	int class = files_refuse_listed(s->base.files, FILESINK_FOLDER_CURSOR,
					s->name, res);

	return class != WEIR_SINK_OK ? class : files_probe(s->base.files, res);
}

static int
json_reload(void *sink, const struct weir_sink_open *o,
	    struct weir_sink_result *res)
{
	struct sink *s = sink;

	(void)res;
	if (o != NULL)
		s->pretty = setting_bool(o, "pretty");
	files_rotated(s->base.files);
	return WEIR_SINK_OK;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(struct weir_sink_plugin),
	.name = "json",
	.version = "0.1.0",
	.summary = "appends every record to a file, one JSON object a line",
	.capabilities =
		WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR | WEIR_SINK_REWRITES,
	.needs = WEIR_SINK_NEED_JSON,
	.options = options,
	.validate = json_validate,
	.open = json_open,
	.resume = filesink_resume,
	.deliver = filesink_deliver,
	.probe = json_probe,
	.rewind = filesink_rewind,
	.reload = json_reload,
	.close = json_close,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
