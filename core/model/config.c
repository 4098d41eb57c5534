/* SPDX-License-Identifier: MIT */
/*
 * weir.conf. inih reads the file through a reader of ours that counts lines
 * and refuses one that inih would cut; inifile.c edits it.
 */
#include "model/config.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/inifile.h"

#define FILE_MAX   (1u << 20)
#define LINE_BYTES 196 /* the longest line that every build of inih takes */

static const struct config_key keys[] = {
	{"data_dir", CONFIG_PATH, "./.weir", "PATH",
	 "folder of the store; read from the file named by --config"},
	{"host", CONFIG_PATH, "127.0.0.1", "ADDRESS",
	 "name or address that the HTTP server listens on"},
	{"port", CONFIG_PORT, "7070", "N", "port of the HTTP server"},
	{"server_name", CONFIG_PATH, NULL, "NAME",
	 "further names that requests on a loopback address may be sent to"},
	{"tls_cert", CONFIG_PATH, NULL, "PATH",
	 "certificate chain of the HTTP server (PEM); with tls_key"},
	{"tls_key", CONFIG_PATH, NULL, "PATH",
	 "key of the certificate (PEM)"},
	{"insecure_network", CONFIG_WORD, "no", "yes|no",
	 "serve HTTP without TLS on an address that others can reach"},
	{"http_threads", CONFIG_UINT, "2", "N",
	 "threads of the HTTP server"},
	{"http_connections", CONFIG_UINT, "16384", "N",
	 "the most HTTP connections at a time"},
	{"http_connections_per_address", CONFIG_UINT, "1024", "N",
	 "the most HTTP connections of one address that is not loopback"},
	{"header_timeout", CONFIG_DURATION, "10s", "TIME",
	 "how long the head of a request may take to come"},
	{"body_timeout", CONFIG_DURATION, "30s", "TIME",
	 "how long a request's body may take, and longer for what came of it"},
	{"idle_timeout", CONFIG_DURATION, "5m", "TIME",
	 "how long an HTTP connection may be without a request"},
	{"stream_timeout", CONFIG_DURATION, "30s", "TIME",
	 "a client that takes nothing of its answer for so long is cut off"},
	{"drain_timeout", CONFIG_DURATION, "10s", "TIME",
	 "how long a stopping server waits for requests and sinks"},
	{"text.host", CONFIG_PATH, "127.0.0.1", "ADDRESS",
	 "name or address that the text protocol listens on"},
	{"text.port", CONFIG_PORT, "38580", "N", "port of the text protocol"},
	{"text.username", CONFIG_PATH, NULL, "NAME",
	 "who may use the text protocol; with text.password"},
	{"text.password", CONFIG_SECRET, NULL, "TEXT",
	 "asked for by the text protocol when text.username is set, too"},
	{"text.connections", CONFIG_UINT, "16384", "N",
	 "the most connections of the text protocol at a time"},
	{"text.connections_per_address", CONFIG_UINT, "1024", "N",
	 "the most of one address that is not loopback"},
	{"text.slow_timeout", CONFIG_DURATION, "30s", "TIME",
	 "a client that takes nothing for so long is given up"},
	{"list_page_size", CONFIG_UINT, "10", "N",
	 "aggregates that one listing shows unless it asks for more"},
	{"page_limit", CONFIG_UINT, "1000", "N",
	 "the most entries that one listing may ask for"},
	{"memory_threshold", CONFIG_BYTES, "64M", "BYTES",
	 "memory for the state cache of each sink (K, M, G)"},
	{"heads_memory", CONFIG_BYTES, "64M", "BYTES",
	 "memory for the newest of each aggregate in a writer (K, M, G)"},
	{"index_after", CONFIG_BYTES, "4M", "BYTES",
	 "the index is brought on when so much of the journal is not in it "
	 "(K, M, G)"},
	{"sink_wait", CONFIG_DURATION, "2s", "TIME",
	 "how long a write command delivers to sinks (us, ms, s, m, h)"},
	{"deliver_timeout", CONFIG_DURATION, "30s", "TIME",
	 "how long a sink's plugin may take for one batch (us, ms, s, m, h)"},
	{"runner_memory", CONFIG_BYTES, "2G", "BYTES",
	 "memory that one sink's process may hold; 0: no bound (K, M, G)"},
	{"stream_heartbeat", CONFIG_DURATION, "15s", "TIME",
	 "how often a live stream says something, at least (us, ms, s, m, h)"},
	{"diag_level", CONFIG_WORD, "warn", "error|warn|info|debug|trace",
	 "which of weir's own messages are shown"},
	{"diag_levels", CONFIG_LEVELS, NULL, "AREA=LEVEL,...",
	 "the same for single areas and sinks"},
	{"diag_target", CONFIG_WORD, "stderr", "stderr|journal|syslog|file",
	 "where a server's messages go"},
	{"diag_file", CONFIG_PATH, "weir.diag", "PATH",
	 "file for them, in the data folder unless absolute"},
	{"diag_format", CONFIG_FORMAT, "text", "text|json|PATTERN",
	 "how a server's messages look"},
	{"diag_rate", CONFIG_UINT, "100", "N",
	 "messages alike that are shown in 10 seconds; 0: all"},
	{NULL, CONFIG_UINT, NULL, NULL, NULL},
};
#define NKEYS (sizeof(keys) / sizeof(keys[0]) - 1)

struct config {
	char *path;
	char *file[NKEYS]; /* values of the file, or NULL */
	char *env[NKEYS];  /* of the environment, or NULL */
};

const struct config_key *
config_keys(void)
{
	return keys;
}

const struct config_key *
config_key(const char *name)
{
	for (const struct config_key *k = keys; k->name != NULL; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

static const char *
nearest_key(const char *name)
{
	const char *names[NKEYS + 1];

	for (size_t i = 0; i <= NKEYS; i++)
		names[i] = keys[i].name;
	return str_nearest(name, names);
}

/* ---- values -------------------------------------------------------------- */

static const struct unit {
	const char *name;
	uint64_t times;
} byte_units[] = {{"", 1},
		  {"K", 1024},
		  {"M", 1024 * 1024},
		  {"G", 1024 * 1024 * 1024},
		  {NULL, 0}},
  time_units[] = {{"", 1000000},
		  {"us", 1},
		  {"ms", 1000},
		  {"s", 1000000},
		  {"m", 60 * 1000000},
		  {"h", 3600 * (uint64_t)1000000},
		  {NULL, 0}},
  no_units[] = {{"", 1}, {NULL, 0}};

static int
parse_units(uint64_t *out, const char *value, const struct unit *u)
{
	size_t digits = strspn(value, "0123456789");
	uint64_t n;

	if (str_u64(&n, (struct weir_str){value, digits}) != 0)
		return -1;
	for (; u->name != NULL; u++)
		if (strcmp(u->name, value + digits) == 0) {
			if (n > INT64_MAX / u->times)
				return -1;
			*out = n * u->times;
			return 0;
		}
	return -1;
}

static bool
word_in(const char *words, const char *value)
{
	size_t n = strlen(value);

	while (*words != '\0') {
		size_t len = strcspn(words, "|");

		if (len == n && memcmp(words, value, n) == 0)
			return true;
		words += len + (words[len] == '|');
	}
	return false;
}

/* NULL, or what a value must be. *out gets a number's value. */
static const char *
value_fault(uint64_t *out, const struct config_key *k, const char *value)
{
	*out = 0;
	switch (k->type) {
	case CONFIG_SECRET:
		return value[0] != '\0' ? NULL : "some text";
	case CONFIG_PATH:
		return value[0] != '\0' ? NULL : "a path";
	case CONFIG_PORT:
		return parse_units(out, value, no_units) == 0 && *out > 0 &&
				       *out < 65536
			       ? NULL
			       : "a port number from 1 to 65535";
	case CONFIG_UINT:
		return parse_units(out, value, no_units) == 0
			       ? NULL
			       : "a whole number";
	case CONFIG_BYTES:
		return parse_units(out, value, byte_units) == 0
			       ? NULL
			       : "a number of bytes such as 500K, 64M or 2G";
	case CONFIG_DURATION:
		return parse_units(out, value, time_units) == 0
			       ? NULL
			       : "a time such as 250ms, 2s or 1m";
	case CONFIG_FORMAT:
		return diag_check(value, NULL, NULL) == 0
			       ? NULL
			       : "text, json or a pattern with {time}, "
				 "{level}, {area}, {message}, {request} and "
				 "{pid}";
	case CONFIG_LEVELS:
		return diag_check(NULL, value, NULL) == 0
			       ? NULL
			       : "a list AREA=LEVEL,... with the levels error, "
				 "warn, info, debug and trace";
	case CONFIG_WORD:
		return word_in(k->arg, value) ? NULL : k->arg;
	}
	return NULL;
}

/* A value in messages. */
static const char *
shown(const struct config_key *k, const char *value)
{
	return k->type == CONFIG_SECRET ? "..." : value;
}

/* ---- loading ------------------------------------------------------------- */

struct load {
	struct config *c;
	struct weir_str text;
	size_t at;
	unsigned line;
	struct weir_err *err;
	int rc;
};

/* fgets over the text, for inih. */
static char *
read_line(char *out, int room, void *cookie)
{
	struct load *l = cookie;
	const char *from = l->text.data + l->at;
	size_t left = l->text.len - l->at, n;
	const char *end;

	if (left == 0 || l->rc != 0)
		return NULL;
	end = memchr(from, '\n', left);
	n = end != NULL ? (size_t)(end - from) + 1 : left;
	l->line++;
	if (n > LINE_BYTES || n + 1 > (size_t)room) {
		l->rc = err_set(l->err, WEIR_EINPUT,
				"%s line %u is longer than %d bytes",
				l->c->path, l->line, LINE_BYTES);
		return NULL;
	}
	memcpy(out, from, n);
	out[n] = '\0';
	l->at += n;
	return out;
}

static int
unknown_key(int code, const char *where, const char *name, struct weir_err *err)
{
	const char *near = nearest_key(name);

	return err_set(err, code, "%s: unknown key \"%s\"%s%s%s", where, name,
		       near != NULL ? "; did you mean \"" : "",
		       near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static int
take_value(struct load *l, const char *name, const char *value)
{
	const struct config_key *k = config_key(name);
	struct config *c = l->c;
	char where[512];
	const char *fault;
	uint64_t n;

	snprintf(where, sizeof(where), "%s line %u", c->path, l->line);
	if (k == NULL)
		return unknown_key(WEIR_EINPUT, where, name, l->err);
	if (c->file[k - keys] != NULL)
		return err_set(l->err, WEIR_EINPUT,
			       "%s: \"%s\" is set a second time", where, name);
	fault = value_fault(&n, k, value);
	if (fault != NULL)
		return err_set(l->err, WEIR_EINPUT,
			       "%s: \"%s\" must be %s, not \"%s\"", where, name,
			       fault, shown(k, value));
	c->file[k - keys] = mem_dup(value, strlen(value));
	return c->file[k - keys] != NULL ? 0 : err_nomem(l->err);
}

static int
handle(void *cookie, const char *section, const char *name, const char *value)
{
	struct load *l = cookie;
	char full[128];

	if (l->rc != 0)
		return 1;
	snprintf(full, sizeof(full), "%s%s%s", section,
		 section[0] != '\0' ? "." : "", name);
	l->rc = take_value(l, full, value);
	return 1;
}

static int
load_file(struct config *c, bool must_exist, struct weir_err *err)
{
	struct load l = {.c = c, .err = err};
	char *text;
	int bad, rc;

	if (!must_exist && !os_exists(c->path))
		return 0;
	rc = os_read_file(&text, &l.text.len, c->path, FILE_MAX, err);
	if (rc != 0)
		return rc;
	l.text.data = text;
	bad = ini_parse_stream(read_line, &l, handle, &l);
	rc = l.rc;
	if (rc == 0 && bad != 0)
		rc = err_set(err, WEIR_EINPUT,
			     "%s line %d is neither a [section] nor key = "
			     "value",
			     c->path, bad);
	mem_free(text);
	return rc;
}

static int
load_environment(struct config *c, struct weir_err *err)
{
	for (size_t i = 0; i < NKEYS; i++) {
		char name[64] = "WEIR_";
		const char *value, *fault;
		uint64_t n;

		for (size_t j = 0; keys[i].name[j] != '\0'; j++) {
			char ch = keys[i].name[j];

			name[5 + j] = ch == '.'		       ? '_'
				      : ch >= 'a' && ch <= 'z' ? ch - 32
							       : ch;
		}
		value = getenv(name);
		if (value == NULL || value[0] == '\0')
			continue;
		fault = value_fault(&n, &keys[i], value);
		if (fault != NULL)
			return err_set(err, WEIR_EINPUT,
				       "%s in the environment must be %s, not "
				       "\"%s\"",
				       name, fault, shown(&keys[i], value));
		c->env[i] = mem_dup(value, strlen(value));
		if (c->env[i] == NULL)
			return err_nomem(err);
	}
	return 0;
}

int
config_load(struct config **out, const char *path, const char *dir,
	    struct weir_err *err)
{
	struct config *c = mem_new(sizeof(*c));
	struct buf b;
	int rc = 0;

	if (c == NULL)
		return err_nomem(err);
	buf_init(&b, 1 << 16);
	if (path != NULL)
		buf_puts(&b, path);
	else
		buf_printf(&b, "%s/weir.conf", dir);
	if (!b.failed)
		c->path = mem_dup(b.data, b.len);
	buf_fini(&b);
	if (c->path == NULL)
		rc = err_nomem(err);
	if (rc == 0)
		rc = load_file(c, path != NULL, err);
	if (rc == 0)
		rc = load_environment(c, err);
	if (rc != 0) {
		config_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < NKEYS; i++) {
		mem_free(c->file[i]);
		mem_free(c->env[i]);
	}
	mem_free(c->path);
	mem_free(c);
}

const char *
config_path(const struct config *c)
{
	return c->path;
}

const char *
config_get(const struct config *c, const char *key)
{
	const struct config_key *k = config_key(key);

	if (k == NULL)
		return NULL;
	if (c->env[k - keys] != NULL)
		return c->env[k - keys];
	if (c->file[k - keys] != NULL)
		return c->file[k - keys];
	return k->dflt;
}

const char *
config_from(const struct config *c, const char *key)
{
	const struct config_key *k = config_key(key);

	if (k == NULL)
		return NULL;
	if (c->env[k - keys] != NULL)
		return "environment";
	if (c->file[k - keys] != NULL)
		return "file";
	return k->dflt != NULL ? "default" : NULL;
}

uint64_t
config_u64(const struct config *c, const char *key)
{
	const struct config_key *k = config_key(key);
	const char *value = config_get(c, key);
	uint64_t n = 0;

	if (k == NULL || value == NULL || value_fault(&n, k, value) != NULL)
		return 0;
	return n;
}

/* ---- setting ------------------------------------------------------------- */

static int
check_value(const struct config_key *k, const char *value, struct weir_err *err)
{
	const char *fault;
	size_t len = strlen(value);
	uint64_t n;

	fault = value_fault(&n, k, value);
	for (size_t i = 0; fault == NULL && i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f ||
		    (value[i] == ';' && (i == 0 || value[i - 1] == ' ')))
			fault = "without control characters and \" ;\"";
	if (fault == NULL &&
	    (len == 0 || value[0] == ' ' || value[len - 1] == ' '))
		fault = "without spaces at its ends";
	if (fault == NULL && len + strlen(k->name) > LINE_BYTES - 8)
		fault = "shorter";
	if (fault != NULL)
		return err_set(err, WEIR_EUSAGE,
			       "\"%s\" must be %s, not \"%s\"", k->name, fault,
			       shown(k, value));
	return 0;
}

/* Makes the file's folder when it is missing. */
static int
make_folder(const char *path, struct weir_err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int rc;

	if (slash == NULL || slash == path)
		return 0;
	folder = mem_dup(path, (size_t)(slash - path));
	if (folder == NULL)
		return err_nomem(err);
	rc = os_exists(folder) ? 0 : os_make_folders(folder, 0700, err);
	mem_free(folder);
	return rc;
}

static int
write_edited(const char *path, const char *key, const char *value,
	     struct weir_err *err)
{
	const char *dot = strchr(key, '.');
	struct weir_str section = {key, dot != NULL ? (size_t)(dot - key) : 0};
	struct weir_str name = str_of(dot != NULL ? dot + 1 : key);
	struct weir_str text = {"", 0};
	struct stat st;
	struct buf b;
	char *old = NULL;
	mode_t mode = 0600;
	int rc = 0;

	buf_init(&b, 2 * FILE_MAX);
	if (os()->stat(path, &st) == 0) {
		mode = st.st_mode & 0777;
		rc = os_read_file(&old, &text.len, path, FILE_MAX, err);
		if (rc == 0)
			text.data = old;
	}
	if (rc == 0 && ini_edit(&b, text, section, name, str_of(value)) != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = make_folder(path, err);
	if (rc == 0)
		rc = os_replace_file(path, b.data, b.len, mode, err);
	mem_free(old);
	buf_fini(&b);
	return rc;
}

int
config_set(struct config *c, const char *key, const char *value,
	   struct weir_err *err)
{
	const struct config_key *k = config_key(key);
	char *copy = NULL;
	int rc;

	if (k == NULL)
		return unknown_key(WEIR_EUSAGE, c->path, key, err);
	if (value != NULL) {
		rc = check_value(k, value, err);
		if (rc != 0)
			return rc;
		copy = mem_dup(value, strlen(value));
		if (copy == NULL)
			return err_nomem(err);
	}
	rc = write_edited(c->path, key, value, err);
	if (rc != 0) {
		mem_free(copy);
		return rc;
	}
	mem_free(c->file[k - keys]);
	c->file[k - keys] = copy;
	return 0;
}
