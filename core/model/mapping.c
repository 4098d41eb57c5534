/* SPDX-License-Identifier: MIT */
/*
 * Mappings of fields to column types, in DIR/sinks/map.conf:
 *
 *   [order]
 *   total = numeric(10,2)
 *   total@sqlite = text
 *
 * A section is an aggregate type; a key is a field, with "@" and a plugin
 * behind it when the type is that plugin's own. In names, white space, control
 * characters and %=:;#[]@ are written as %XX.
 */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/hash.h"
#include "model/inifile.h"

#include <weir/sink.h>

#define FILE_MAX  (16u << 20)
#define WORDS_MAX 28u

struct entry {
	struct weir_str aggregate, field, plugin; /* plugin absent: base */
	char datatype[64];
};

struct mapping {
	struct entry *entries;
	size_t n, cap;
	uint32_t *index; /* entry + 1 by hash; 0 is free */
	size_t mask;
	uint64_t revision;
	char *names; /* what the entries' names point into */
};

/* ---- datatypes ----------------------------------------------------------- */

/* Names that all sinks know, and other usual ones for them. */
static const struct known {
	const char *word, *name;
	unsigned numbers; /* how many may stand in parentheses */
} known_types[] = {
	{"bigint", "bigint", 0},
	{"int8", "bigint", 0},
	{"boolean", "boolean", 0},
	{"bool", "boolean", 0},
	{"bytea", "bytea", 0},
	{"char", "char", 1},
	{"character", "char", 1},
	{"date", "date", 0},
	{"double precision", "double precision", 0},
	{"double", "double precision", 0},
	{"float8", "double precision", 0},
	{"integer", "integer", 0},
	{"int", "integer", 0},
	{"int4", "integer", 0},
	{"json", "json", 0},
	{"jsonb", "jsonb", 0},
	{"numeric", "numeric", 2},
	{"decimal", "numeric", 2},
	{"real", "real", 0},
	{"float4", "real", 0},
	{"smallint", "smallint", 0},
	{"int2", "smallint", 0},
	{"text", "text", 0},
	{"time", "time", 1},
	{"time without time zone", "time", 0},
	{"timestamp", "timestamp", 1},
	{"timestamp without time zone", "timestamp", 0},
	{"timestamptz", "timestamptz", 1},
	{"timestamp with time zone", "timestamptz", 0},
	{"uuid", "uuid", 0},
	{"varchar", "varchar", 1},
	{"character varying", "varchar", 1},
};
#define NKNOWN (sizeof(known_types) / sizeof(known_types[0]))

struct datatype {
	char words[WORDS_MAX + 1];
	uint64_t numbers[2];
	unsigned count;
	bool array;
};

static const char *
skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

/* Lower-case words joined by one blank; NULL when there are none. */
static const char *
read_words(struct datatype *t, const char *s)
{
	size_t n = 0;

	for (s = skip_blanks(s);; s++) {
		char c = *s;

		if (c == '\t')
			c = ' ';
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == ' ' && n > 0 && t->words[n - 1] == ' ')
			continue;
		if (!(c >= 'a' && c <= 'z') && c != ' ' && c != '_' &&
		    !(c >= '0' && c <= '9' && n > 0))
			break;
		if (n == WORDS_MAX)
			return NULL;
		t->words[n++] = c;
	}
	while (n > 0 && t->words[n - 1] == ' ')
		n--;
	t->words[n] = '\0';
	return n > 0 ? s : NULL;
}

static const char *
read_number(struct datatype *t, const char *s)
{
	size_t digits;

	s = skip_blanks(s);
	digits = strspn(s, "0123456789");
	if (digits == 0 || digits > 8 ||
	    str_u64(&t->numbers[t->count], (struct weir_str){s, digits}) != 0)
		return NULL;
	t->count++;
	return skip_blanks(s + digits);
}

/* False when it is not of the grammar. */
static bool
read_datatype(struct datatype *t, const char *s)
{
	memset(t, 0, sizeof(*t));
	s = read_words(t, s);
	if (s != NULL && *s == '(') {
		s = read_number(t, s + 1);
		if (s != NULL && *s == ',')
			s = read_number(t, s + 1);
		if (s == NULL || *s != ')')
			return false;
		s = skip_blanks(s + 1);
	}
	if (s != NULL && strncmp(s, "[]", 2) == 0) {
		t->array = true;
		s = skip_blanks(s + 2);
	}
	return s != NULL && *s == '\0';
}

static const char *
numbers_fault(const struct datatype *t, const struct known *k)
{
	if (t->count > k->numbers)
		return k->numbers == 0 ? "takes no number in parentheses"
				       : "takes only one number";
	if (t->count == 0)
		return NULL;
	if (strcmp(k->name, "numeric") == 0)
		return t->numbers[0] >= 1 && t->numbers[0] <= 1000 &&
				       t->numbers[1] <= t->numbers[0]
			       ? NULL
			       : "takes 1 to 1000 digits, and no more behind "
				 "the point than in all";
	if (strstr(k->name, "time") != NULL)
		return t->numbers[0] <= 6 ? NULL
					  : "takes 0 to 6 digits of a second";
	return t->numbers[0] >= 1 && t->numbers[0] <= 10485760
		       ? NULL
		       : "takes 1 to 10485760 characters";
}

static int
refuse_type(const char *datatype, const char *why, const char *near,
	    struct weir_err *err)
{
	char shown[80];

	return err_set(err, WEIR_EINPUT, "datatype \"%s\" %s%s%s%s",
		       str_show(shown, sizeof(shown), str_of(datatype)), why,
		       near != NULL ? "; did you mean \"" : "",
		       near != NULL ? near : "", near != NULL ? "\"?" : "");
}

int
mapping_type(char out[64], const char *datatype, bool base,
	     struct weir_err *err)
{
	const struct known *k = NULL;
	const char *words[NKNOWN + 1], *fault;
	struct datatype t;
	char numbers[32] = "";

	if (!read_datatype(&t, datatype))
		return refuse_type(datatype,
				   "is not a name with (n[,m]) or [] behind it",
				   NULL, err);
	for (size_t i = 0; i < NKNOWN; i++) {
		words[i] = known_types[i].word;
		if (strcmp(t.words, words[i]) == 0)
			k = &known_types[i];
	}
	words[NKNOWN] = NULL;
	if (k == NULL && base)
		return refuse_type(datatype,
				   "is not known to all sinks; with --plugin "
				   "it can be one of that sink's own",
				   str_nearest(t.words, words), err);
	fault = k != NULL ? numbers_fault(&t, k) : NULL;
	if (fault != NULL)
		return refuse_type(datatype, fault, NULL, err);
	if (t.count == 1)
		snprintf(numbers, sizeof(numbers), "(%llu)",
			 (unsigned long long)t.numbers[0]);
	else if (t.count == 2)
		snprintf(numbers, sizeof(numbers), "(%llu,%llu)",
			 (unsigned long long)t.numbers[0],
			 (unsigned long long)t.numbers[1]);
	snprintf(out, 64, "%.28s%s%s", k != NULL ? k->name : t.words, numbers,
		 t.array ? "[]" : "");
	return 0;
}

/* ---- names in the file --------------------------------------------------- */

static int
put_name(struct buf *b, struct weir_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c <= ' ' || c == 0x7f || strchr("%=:;#[]@", c) != NULL)
			buf_printf(b, "%%%02X", c);
		else
			buf_putc(b, (char)c);
	}
	return b->failed ? WEIR_ENOMEM : 0;
}

/* Decodes to *at, which moves behind it. -1: a bad %XX. */
static int
read_name(struct weir_str *out, char **at, struct weir_str s)
{
	char *from = *at, *to = from;

	for (size_t i = 0; i < s.len; i++) {
		*to = s.data[i];
		if (s.data[i] == '%') {
			if (s.len - i < 3 ||
			    str_unhex(to, (struct weir_str){s.data + i + 1, 2},
				      1) != 0)
				return -1;
			i += 2;
		}
		to++;
	}
	*at = to;
	*out = (struct weir_str){from, (size_t)(to - from)};
	return 0;
}

/* ---- loading ------------------------------------------------------------- */

static int
map_path(struct buf *b, const char *dir, struct weir_err *err)
{
	buf_init(b, 1 << 16);
	buf_printf(b, "%s/sinks/map.conf", dir);
	return buf_cstr(b)[0] == '\0' ? err_nomem(err) : 0;
}

static uint64_t
entry_hash(struct weir_str aggregate, struct weir_str field)
{
	return hash_bytes(hash_bytes(0, aggregate), field);
}

static struct entry *
add_entry(struct mapping *m)
{
	if (m->n == m->cap) {
		size_t cap = m->cap == 0 ? 16 : m->cap * 2;
		struct entry *p = mem_resize(m->entries, cap * sizeof(*p));

		if (p == NULL)
			return NULL;
		m->entries = p;
		m->cap = cap;
	}
	memset(&m->entries[m->n], 0, sizeof(m->entries[0]));
	return &m->entries[m->n++];
}

/* One "field[@plugin] = datatype". */
static int
load_value(struct mapping *m, char **names, struct weir_str aggregate,
	   const struct ini_line *l, struct weir_err *err)
{
	const char *mark = memchr(l->name.data, '@', l->name.len);
	struct weir_str field = l->name, plugin = {NULL, 0};
	struct entry *e = add_entry(m);
	char text[128];

	if (e == NULL)
		return err_nomem(err);
	if (mark != NULL) {
		field.len = (size_t)(mark - field.data);
		plugin.data = mark + 1;
		plugin.len = l->name.len - field.len - 1;
	}
	e->aggregate = aggregate;
	if (read_name(&e->field, names, field) != 0 ||
	    (mark != NULL && read_name(&e->plugin, names, plugin) != 0))
		return err_set(err, WEIR_EINPUT, "\"%%\" without two digits");
	if (l->value.len >= sizeof(text))
		return err_set(err, WEIR_EINPUT, "the datatype is too long");
	memcpy(text, l->value.data, l->value.len);
	text[l->value.len] = '\0';
	return mapping_type(e->datatype, text, mark == NULL, err);
}

static int
load_lines(struct mapping *m, struct weir_str text, struct weir_err *err)
{
	struct ini_walk w = {text, 0, 0};
	struct weir_str section = {NULL, 0};
	struct ini_line l;
	char *names = m->names;
	int rc = 0;

	while (rc == 0 && ini_next(&w, &l)) {
		if (l.kind == INI_BAD ||
		    (l.kind == INI_VALUE && section.data == NULL))
			rc = err_set(err, WEIR_EINPUT,
				     "neither [aggregate], nor field = "
				     "datatype below one");
		else if (l.kind == INI_SECTION &&
			 read_name(&section, &names, l.name) != 0)
			rc = err_set(err, WEIR_EINPUT,
				     "\"%%\" without two digits");
		else if (l.kind == INI_VALUE)
			rc = load_value(m, &names, section, &l, err);
		if (rc != 0)
			err_prefix(err, "line %llu",
				   (unsigned long long)l.number);
	}
	return rc;
}

static int
build_index(struct mapping *m, struct weir_err *err)
{
	size_t size = 16;

	while (size < m->n * 2)
		size *= 2;
	m->index = mem_new(size * sizeof(*m->index));
	if (m->index == NULL)
		return err_nomem(err);
	m->mask = size - 1;
	for (size_t i = 0; i < m->n; i++) {
		size_t at = (size_t)entry_hash(m->entries[i].aggregate,
					       m->entries[i].field) &
			    m->mask;

		while (m->index[at] != 0)
			at = (at + 1) & m->mask;
		m->index[at] = (uint32_t)i + 1;
	}
	return 0;
}

static int
load_text(struct mapping *m, struct weir_str text, struct weir_err *err)
{
	struct digest_part part = {text.data, text.len};
	uint8_t digest[DIGEST_LEN];
	int rc;

	digest_sha256(digest, &part, 1);
	memcpy(&m->revision, digest, sizeof(m->revision));
	m->names = mem_new(text.len + 1);
	if (m->names == NULL)
		return err_nomem(err);
	rc = load_lines(m, text, err);
	return rc == 0 ? build_index(m, err) : rc;
}

int
mapping_load(struct mapping **out, const char *dir, struct weir_err *err)
{
	struct mapping *m = mem_new(sizeof(*m));
	struct buf path = {0};
	char *text = NULL;
	size_t len;
	int rc;

	if (m == NULL)
		return err_nomem(err);
	rc = map_path(&path, dir, err);
	if (rc == 0 && os_exists(path.data)) {
		rc = os_read_file(&text, &len, path.data, FILE_MAX, err);
		if (rc == 0) {
			rc = load_text(m, (struct weir_str){text, len}, err);
			if (rc != 0)
				err_prefix(err, "%s", path.data);
		}
	}
	mem_free(text);
	buf_fini(&path);
	if (rc != 0) {
		mapping_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

void
mapping_free(struct mapping *m)
{
	if (m == NULL)
		return;
	mem_free(m->entries);
	mem_free(m->index);
	mem_free(m->names);
	mem_free(m);
}

uint64_t
mapping_revision(const struct mapping *m)
{
	return m->revision;
}

int
mapping_find(const struct mapping *m, char out[64], struct weir_str plugin,
	     struct weir_str aggregate, struct weir_str field)
{
	const struct entry *base = NULL, *own = NULL;
	size_t at;

	out[0] = '\0';
	if (m->index == NULL)
		return WEIR_TYPE_NONE;
	at = (size_t)entry_hash(aggregate, field) & m->mask;
	for (; m->index[at] != 0; at = (at + 1) & m->mask) {
		const struct entry *e = &m->entries[m->index[at] - 1];

		if (!str_eq(e->aggregate, aggregate) ||
		    !str_eq(e->field, field))
			continue;
		if (e->plugin.data == NULL)
			base = e;
		else if (str_eq(e->plugin, plugin))
			own = e;
	}
	if (own == NULL && base == NULL)
		return WEIR_TYPE_NONE;
	memcpy(out, own != NULL ? own->datatype : base->datatype, 64);
	return own != NULL ? WEIR_TYPE_MAPPED : WEIR_TYPE_BASE;
}

int
mapping_each(const struct mapping *m,
	     int (*fn)(void *cookie, struct weir_str plugin,
		       struct weir_str aggregate, struct weir_str field,
		       const char *datatype),
	     void *cookie)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n; i++) {
		const struct entry *e = &m->entries[i];

		rc = fn(cookie, e->plugin, e->aggregate, e->field, e->datatype);
	}
	return rc;
}

/* ---- setting ------------------------------------------------------------- */

static int
write_mapping(const char *path, struct weir_str section, struct weir_str key,
	      const char *datatype, struct weir_err *err)
{
	struct weir_str text = {"", 0};
	struct buf b;
	char *old = NULL;
	int rc = 0;

	buf_init(&b, 2 * FILE_MAX);
	if (os_exists(path)) {
		rc = os_read_file(&old, &text.len, path, FILE_MAX, err);
		if (rc == 0)
			text.data = old;
	}
	if (rc == 0 && ini_edit(&b, text, section, key, str_of(datatype)) != 0)
		rc = err_nomem(err);
	if (rc == 0)
		rc = os_replace_file(path, b.data, b.len, 0600, err);
	mem_free(old);
	buf_fini(&b);
	return rc;
}

/* DIR/sinks, made when it is missing. */
static int
make_folder(const char *map_conf, struct weir_err *err)
{
	char *folder =
		mem_dup(map_conf, strlen(map_conf) - strlen("/map.conf"));
	int rc = 0;

	if (folder == NULL)
		return err_nomem(err);
	if (!os_exists(folder))
		rc = os_make_folders(folder, 0700, err);
	mem_free(folder);
	return rc;
}

int
mapping_set(const char *dir, const char *plugin, const char *aggregate,
	    const char *field, const char *datatype, struct weir_err *err)
{
	struct buf path = {0}, section, key;
	char type[64];
	int rc;

	rc = mapping_type(type, datatype, plugin == NULL, err);
	if (rc == 0)
		rc = str_check_name(str_of(aggregate), "aggregate type",
				    WEIR_NAME_MAX, true, err);
	if (rc == 0)
		rc = str_check_name(str_of(field), "field", WEIR_NAME_MAX,
				    false, err);
	if (rc != 0)
		return rc;
	buf_init(&section, 1 << 16);
	buf_init(&key, 1 << 16);
	put_name(&section, str_of(aggregate));
	put_name(&key, str_of(field));
	if (plugin != NULL) {
		buf_putc(&key, '@');
		put_name(&key, str_of(plugin));
	}
	rc = map_path(&path, dir, err);
	if (rc == 0 && (section.failed || key.failed))
		rc = err_nomem(err);
	if (rc == 0)
		rc = make_folder(path.data, err);
	if (rc == 0)
		rc = write_mapping(path.data, buf_str(&section), buf_str(&key),
				   type, err);
	buf_fini(&path);
	buf_fini(&section);
	buf_fini(&key);
	return rc;
}
