/* SPDX-License-Identifier: MIT */
/*
 * sink.conf: reading, writing, listing, removing.
 *
 *     [sink]
 *     plugin = sqlite
 *     enabled = true
 *     paused = false
 *     from = 1
 *     attempts-max = 16
 *     batch = 1000
 *     aggregate = order*          any number of lines; so event, tag
 *     [options]
 *     path = /var/lib/mirror.db
 *
 * A value that begins or ends with white space, begins with a quote or holds a
 * control character is written as a JSON string. Comments begin with ; or # at
 * the start of a line; values may hold both. (inih cuts values at " ;" and
 * lines at 200 bytes, so this file has a reader of its own.)
 */
#include "bus/sinkconf.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/sinkfiles.h"

#include <stdio.h>
#include <string.h>

#define CONF_MAX    (1u << 20)
#define VALUES_MAX  4096u
#define PATTERN_MAX 1024u

static void
free_list(char **v)
{
	for (size_t i = 0; v != NULL && v[i] != NULL; i++)
		mem_free(v[i]);
	mem_free(v);
}

void
sinkconf_free(struct sinkconf *c)
{
	if (c == NULL)
		return;
	free_list(c->aggregates);
	free_list(c->events);
	free_list(c->tags);
	for (size_t i = 0; i < c->nvalues; i++) {
		char *v = c->values[i].value;

		mem_free(c->values[i].name);
		if (v != NULL)
			explicit_bzero(v, strlen(v));
		mem_free(v);
	}
	mem_free(c->values);
	mem_free(c);
}

/* Adds to a NULL-ended list; consumes value. */
static int
list_add(char ***list, char *value, struct weir_err *err)
{
	size_t n = 0;
	char **v;

	while (*list != NULL && (*list)[n] != NULL)
		n++;
	v = n < PATTERN_MAX ? mem_resize(*list, (n + 2) * sizeof(*v)) : NULL;
	if (v == NULL) {
		mem_free(value);
		return err_nomem(err);
	}
	v[n] = value;
	v[n + 1] = NULL;
	*list = v;
	return 0;
}

/* Adds an option; consumes value. */
static int
value_add(struct sinkconf *c, struct weir_str name, char *value,
	  struct weir_err *err)
{
	struct sinkconf_value *v = NULL;

	if (c->nvalues < VALUES_MAX)
		v = mem_resize(c->values, (c->nvalues + 1) * sizeof(*v));
	if (v != NULL) {
		c->values = v;
		v = &c->values[c->nvalues];
		v->name = mem_dup(name.data, name.len);
		if (v->name != NULL) {
			v->value = value;
			c->nvalues++;
			return 0;
		}
	}
	mem_free(value);
	return err_nomem(err);
}

static struct weir_str
trim(struct weir_str s)
{
	while (s.len != 0 && strchr(" \t\r", s.data[0]) != NULL) {
		s.data++;
		s.len--;
	}
	while (s.len != 0 && strchr(" \t\r", s.data[s.len - 1]) != NULL)
		s.len--;
	return s;
}

/* The value as fresh text, or NULL (no memory, or a broken quoted one). */
static char *
take_value(struct weir_str raw)
{
	struct weir_str span;
	char *out;
	size_t n;

	if (raw.len == 0 || raw.data[0] != '"')
		return mem_dup(raw.data, raw.len);
	if (json_check(raw, &span, "value", NULL) != 0 ||
	    json_kind(span) != WEIR_STRING)
		return NULL;
	out = mem_new(span.len + 1);
	if (out == NULL)
		return NULL;
	n = json_decode(out, span);
	out[n] = '\0';
	if (strlen(out) != n) {
		mem_free(out);
		return NULL;
	}
	return out;
}

static int
take_bool(bool *out, const char *v)
{
	if (strcmp(v, "true") != 0 && strcmp(v, "false") != 0)
		return -1;
	*out = v[0] == 't';
	return 0;
}

/* One key of [sink]; consumes value. */
static int
take_key(struct sinkconf *c, struct weir_str key, char *value,
	 struct weir_err *err)
{
	bool ok = true;

	if (str_is(key, "aggregate"))
		return list_add(&c->aggregates, value, err);
	if (str_is(key, "event"))
		return list_add(&c->events, value, err);
	if (str_is(key, "tag"))
		return list_add(&c->tags, value, err);
	if (str_is(key, "plugin")) {
		ok = strlen(value) < sizeof(c->plugin);
		snprintf(c->plugin, sizeof(c->plugin), "%.31s", value);
	} else if (str_is(key, "enabled")) {
		ok = take_bool(&c->enabled, value) == 0;
	} else if (str_is(key, "paused")) {
		ok = take_bool(&c->paused, value) == 0;
	} else if (str_is(key, "from")) {
		ok = str_u64(&c->from, str_of(value)) == 0 && c->from != 0;
	} else if (str_is(key, "attempts-max")) {
		ok = str_u64(&c->attempts_max, str_of(value)) == 0 &&
		     c->attempts_max != 0;
	} else if (str_is(key, "batch")) {
		ok = str_u64(&c->batch, str_of(value)) == 0 && c->batch != 0 &&
		     c->batch <= SINK_BATCH_MAX;
	} else {
		ok = false;
	}
	mem_free(value);
	if (!ok)
		return err_set(err, WEIR_EINPUT,
			       "unknown key or value for \"%.*s\"",
			       (int)key.len, key.data);
	return 0;
}

static int
take_line(struct sinkconf *c, struct weir_str line, int *section,
	  struct weir_err *err)
{
	const char *eq;
	struct weir_str key, raw;
	char *value;

	line = trim(line);
	if (line.len == 0 || line.data[0] == ';' || line.data[0] == '#')
		return 0;
	if (line.data[0] == '[') {
		if (!str_is(line, "[sink]") && !str_is(line, "[options]"))
			return err_set(err, WEIR_EINPUT, "unknown section");
		*section = line.data[1] == 's' ? 1 : 2;
		return 0;
	}
	eq = memchr(line.data, '=', line.len);
	if (eq == NULL || *section == 0)
		return err_set(err, WEIR_EINPUT,
			       "expected [sink], [options] or key = value");
	key = trim((struct weir_str){line.data, (size_t)(eq - line.data)});
	raw = trim((struct weir_str){eq + 1,
				     line.len - (size_t)(eq - line.data) - 1});
	value = take_value(raw);
	if (value == NULL)
		return err_set(err, WEIR_EINPUT,
			       "the value of \"%.*s\" is not readable",
			       (int)key.len, key.data);
	if (*section == 1)
		return take_key(c, key, value, err);
	return value_add(c, key, value, err);
}

static int
parse(struct sinkconf *c, struct weir_str text, struct weir_err *err)
{
	int section = 0, line_no = 0;
	size_t at = 0;

	while (at < text.len) {
		const char *p = text.data + at;
		const char *nl = memchr(p, '\n', text.len - at);
		size_t len = nl != NULL ? (size_t)(nl - p) : text.len - at;
		int rc;

		line_no++;
		rc = take_line(c, (struct weir_str){p, len}, &section, err);
		if (rc != 0) {
			err_prefix(err, "line %d", line_no);
			return rc;
		}
		at += len + 1;
	}
	if (c->plugin[0] == '\0')
		return err_set(err, WEIR_EINPUT, "no plugin is named");
	return 0;
}

static struct sinkconf *
conf_new(const char *name)
{
	struct sinkconf *c = mem_new(sizeof(*c));

	if (c != NULL) {
		snprintf(c->name, sizeof(c->name), "%.63s", name);
		c->enabled = true;
		c->from = 1;
		c->attempts_max = 16;
		c->batch = SINK_BATCH;
	}
	return c;
}

static void
say_mend(struct weir_err *err, const struct sinkconf *c)
{
	size_t n = err != NULL ? strlen(err->msg) : 0;

	if (err != NULL)
		snprintf(err->msg + n, sizeof(err->msg) - n,
			 "; mend the file, or configure sink %s again with "
			 "`weir plugin`",
			 c->name);
}

int
sinkconf_load(struct sinkconf **out, const char *store_dir, const char *name,
	      struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	uint8_t hash[DIGEST_LEN];
	struct sinkconf *c = NULL;
	char *text = NULL;
	size_t len = 0;
	int rc = sinkfile_check_name(name, err);

	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "sink.conf", err);
	if (rc != 0)
		return rc;
	rc = os_read_file(&text, &len, path, CONF_MAX, err);
	if (rc == WEIR_ENOTFOUND)
		return err_set(
			err, WEIR_ENOTFOUND,
			"there is no sink %s in %s; `weir sink list` shows "
			"those that there are",
			name, store_dir);
	if (rc != 0)
		return rc;
	c = conf_new(name);
	rc = c != NULL ? parse(c, (struct weir_str){text, len}, err)
		       : err_nomem(err);
	if (rc != 0) {
		err_prefix(err, "%s", path);
		if (rc == WEIR_EINPUT)
			say_mend(err, c);
		sinkconf_free(c);
	} else {
		digest_sha256(hash, &(struct digest_part){text, len}, 1);
		memcpy(&c->revision, hash, sizeof(c->revision));
		*out = c;
	}
	explicit_bzero(text, len);
	mem_free(text);
	return rc;
}

static void
put(struct buf *b, const char *key, const char *value)
{
	size_t n = strlen(value);
	bool quote = value[0] == '"';

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)value[i] < 0x20)
			quote = true;
	}
	if (n != 0 && (value[0] == ' ' || value[n - 1] == ' '))
		quote = true;
	buf_printf(b, "%s = ", key);
	if (quote)
		json_put_string(b, str_of(value));
	else
		buf_puts(b, value);
	buf_putc(b, '\n');
}

static void
put_list(struct buf *b, const char *key, char *const *list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		put(b, key, list[i]);
}

int
sinkconf_save(const char *store_dir, const struct sinkconf *c,
	      struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	struct buf b;
	int rc = sinkfile_check_name(c->name, err);

	if (rc == 0)
		rc = sinkfile_path(path, store_dir, c->name, NULL, err);
	if (rc == 0)
		rc = os_make_folders(path, 0700, err);
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, c->name, "sink.conf", err);
	if (rc != 0)
		return rc;
	buf_init(&b, CONF_MAX);
	buf_puts(&b, "[sink]\n");
	put(&b, "plugin", c->plugin);
	put(&b, "enabled", c->enabled ? "true" : "false");
	put(&b, "paused", c->paused ? "true" : "false");
	buf_printf(&b, "from = %llu\n",
		   (unsigned long long)(c->from != 0 ? c->from : 1));
	buf_printf(&b, "attempts-max = %llu\n",
		   (unsigned long long)(c->attempts_max != 0 ? c->attempts_max
							     : 16));
	buf_printf(&b, "batch = %llu\n",
		   (unsigned long long)(c->batch != 0 ? c->batch : SINK_BATCH));
	put_list(&b, "aggregate", c->aggregates);
	put_list(&b, "event", c->events);
	put_list(&b, "tag", c->tags);
	buf_puts(&b, "\n[options]\n");
	for (size_t i = 0; i < c->nvalues; i++)
		put(&b, c->values[i].name, c->values[i].value);
	if (b.failed)
		rc = err_set(err, WEIR_EINPUT,
			     "the settings of sink %s are too long", c->name);
	else
		rc = os_replace_file(path, b.data, b.len, 0600, err);
	if (b.data != NULL)
		explicit_bzero(b.data, b.len);
	buf_fini(&b);
	return rc;
}

int
sinkconf_list(char ***out, size_t *n, const char *store_dir,
	      struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	char **names = NULL;
	size_t count = 0, kept = 0;
	int rc = sinkfile_path(path, store_dir, NULL, NULL, err);

	if (rc != 0)
		return rc;
	if (!os_exists(path)) {
		names = mem_new(sizeof(*names));
		if (names == NULL)
			return err_nomem(err);
		*out = names;
		*n = 0;
		return 0;
	}
	rc = os_list_folder(&names, &count, path, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (sinkfile_check_name(names[i], NULL) == 0 &&
		    sinkfile_path(path, store_dir, names[i], "sink.conf",
				  NULL) == 0 &&
		    os_exists(path))
			names[kept++] = names[i];
	}
	names[kept] = NULL;
	*out = names;
	*n = kept;
	return 0;
}

/* The files of a sink besides sink.conf; `kept` ones stay without purge. */
static const struct {
	const char *file;
	bool kept;
} sink_files[] = {
	{"status", false}, {"status.new", false}, {"attempts", false},
	{"replay", false}, {"cursor", true},	  {"dead-letters", true},
	{"lock", false},     {"restarts", false}, {"restarts.new", false},
};

int
sinkconf_remove(const char *store_dir, const char *name, bool purge,
		struct weir_err *err)
{
	char path[SINK_PATH_MAX];
	int rc = sinkfile_check_name(name, err);

	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, "sink.conf", err);
	if (rc != 0)
		return rc;
	if (!os_exists(path) && !purge)
		return err_set(
			err, WEIR_ENOTFOUND,
			"there is no sink %s in %s; `weir sink list` shows "
			"those that there are",
			name, store_dir);
	rc = sinkfile_remove(path, err);
	for (size_t i = 0;
	     i < sizeof(sink_files) / sizeof(sink_files[0]) && rc == 0; i++) {
		if (sink_files[i].kept && !purge)
			continue;
		rc = sinkfile_path(path, store_dir, name, sink_files[i].file,
				   err);
		if (rc == 0)
			rc = sinkfile_remove(path, err);
	}
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, name, NULL, err);
	if (rc == 0)
		(void)os()->rmdir(path); /* goes when nothing was kept */
	if (rc == 0)
		rc = sinkfile_path(path, store_dir, NULL, NULL, err);
	if (rc == 0)
		rc = os_sync_folder(path, err);
	return rc;
}
