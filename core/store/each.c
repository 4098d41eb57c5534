/* SPDX-License-Identifier: MIT */
/*
 * All aggregates in order: a merge of those that memory must hold, copied at
 * the beginning, with what the index has, in pieces. An aggregate of the index
 * that moved on since is looked up again.
 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/impl.h"

#define PIECE	   64u
#define NAMES_MOST ((size_t)4 << 30)

struct name {
	const char *key; /* type, a zero byte, id */
	size_t type_len, len;
	struct head head;
};

struct each {
	struct store *s;
	struct name *name; /* memory's, sorted */
	size_t n, next;
	struct buf keys;
	uint64_t view; /* sequence */
	bool reserved;
	struct weir_str prefix; /* of the names that are told */
	int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
		  const struct head *head);
	void *cookie;
	struct index_name *piece;
	char last[INDEX_KEY_MAX]; /* the last name told */
	size_t last_len;
};

static int
compare(const char *a, size_t an, const char *b, size_t bn)
{
	int c = memcmp(a, b, an < bn ? an : bn);

	if (c != 0)
		return c;
	return an < bn ? -1 : an > bn;
}

static int
by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return compare(x->key, x->len, y->key, y->len);
}

static bool
begins(const struct each *e, const char *key, size_t len)
{
	return len >= e->prefix.len &&
	       memcmp(key, e->prefix.data, e->prefix.len) == 0;
}

/* Copies what stands behind the watermark and behind the last name told. The
 * store's mu is held. */
static int
copy_held(struct each *e, struct aggregate **all, size_t count)
{
	struct store *s = e->s;
	char key[INDEX_KEY_MAX];

	heads_list(s->heads, all);
	for (size_t i = 0; i < count; i++) {
		const struct aggregate *a = all[i];
		if (a->top.sequence <= s->indexed)
			continue;
		size_t len = index_key(key, a->type, a->id);
		if (!begins(e, key, len) ||
		    compare(key, len, e->last, e->last_len) <= 0)
			continue;
		if (buf_add(&e->keys, key, len) != 0)
			return WEIR_ENOMEM;
		e->name[e->n++] = (struct name){
			.type_len = a->type.len,
			.len = len,
			.head = {.position = a->top.position,
				 .version = a->top.version,
				 .sequence = a->top.sequence,
				 .archived = a->top.archived},
		};
	}
	return 0;
}

static int
copy(struct each *e)
{
	struct store *s = e->s;
	struct aggregate **all = NULL;
	const char *p;
	size_t count;
	int rc = WEIR_ENOMEM;

	mem_free(e->name);
	buf_clear(&e->keys);
	e->n = e->next = 0;
	pthread_mutex_lock(&s->mu);
	count = (size_t)heads_count(s->heads);
	e->view = s->last;
	all = mem_resize(NULL, (count + 1) * sizeof(*all));
	e->name = mem_resize(NULL, (count + 1) * sizeof(*e->name));
	if (all != NULL && e->name != NULL)
		rc = copy_held(e, all, count);
	pthread_mutex_unlock(&s->mu);
	mem_free(all);
	if (rc != 0)
		return rc;
	p = e->keys.data;
	for (size_t i = 0; i < e->n; i++) {
		e->name[i].key = p;
		p += e->name[i].len;
	}
	if (e->n > 0)
		qsort(e->name, e->n, sizeof(*e->name), by_name);
	return 0;
}

static int
tell(struct each *e, const char *key, size_t type_len, size_t len,
     const struct head *head)
{
	struct weir_str type = {key, type_len};
	struct weir_str id = {key + type_len + 1, len - type_len - 1};

	memcpy(e->last, key, len);
	e->last_len = len;
	if (key[0] == '$' && !e->reserved)
		return 0;
	return e->fn(e->cookie, type, id, head);
}

static int
tell_memory(struct each *e)
{
	const struct name *m = &e->name[e->next++];

	return tell(e, m->key, m->type_len, m->len, &m->head);
}

/* One of the index. */
static int
tell_index(struct each *e, const struct index_name *n)
{
	struct head head = {.position = n->head.position,
			    .version = n->head.version,
			    .sequence = n->head.sequence,
			    .archived = n->head.archived};
	struct weir_str type = {n->key, n->type_len};
	struct weir_str id = {n->key + n->type_len + 1,
			      n->len - n->type_len - 1};
	int rc = 0;

	if (head.sequence > e->view)
		rc = store_head(e->s, &head, type, id, NULL);
	if (rc == WEIR_ENOTFOUND)
		return 0;
	return rc != 0 ? rc : tell(e, n->key, n->type_len, n->len, &head);
}

/* Those of memory up to a name; *same: the last one is of that name. */
static int
memory_to(struct each *e, bool *same, const struct index_name *n)
{
	int rc = 0, c = -1;

	*same = false;
	while (rc == 0 && e->next < e->n && !*same) {
		const struct name *m = &e->name[e->next];
		c = compare(m->key, m->len, n->key, n->len);
		if (c > 0)
			break;
		*same = c == 0;
		rc = tell_memory(e);
	}
	return rc;
}

/* The next piece of the index: how many, or a code. */
static int
next_piece(struct each *e, const char *after, size_t len)
{
	struct store *s = e->s;
	int n;

	if (!find_partial(s))
		return 0;
	n = index_names(s->index, e->piece, PIECE, after, len, NULL);
	if (n > 0 || (n == 0 && index_is_open(s->index)))
		return n;
	/* Then all is in memory. */
	if (n < 0)
		n = find_give_up(s);
	return n != 0 ? n : copy(e);
}

static int
merge(struct each *e)
{
	char after[INDEX_KEY_MAX];
	size_t len = e->last_len;
	int rc = 0, n = 0;
	bool same, past = false;

	memcpy(after, e->last, len);
	while (rc == 0 && !past && (n = next_piece(e, after, len)) > 0) {
		for (int i = 0; rc == 0 && i < n; i++) {
			past = !begins(e, e->piece[i].key, e->piece[i].len);
			if (past)
				break;
			rc = memory_to(e, &same, &e->piece[i]);
			if (rc == 0 && !same)
				rc = tell_index(e, &e->piece[i]);
		}
		len = e->piece[n - 1].len;
		memcpy(after, e->piece[n - 1].key, len);
	}
	if (rc == 0 && n < 0)
		rc = n;
	while (rc == 0 && e->next < e->n)
		rc = tell_memory(e);
	return rc;
}

/* All that begin with e->prefix, from behind e->last on. */
static int
walk(struct each *e)
{
	int rc;

	buf_init(&e->keys, NAMES_MOST);
	e->piece = mem_resize(NULL, PIECE * sizeof(*e->piece));
	rc = e->piece == NULL ? WEIR_ENOMEM : copy(e);
	if (rc == 0)
		rc = merge(e);
	buf_fini(&e->keys);
	mem_free(e->name);
	mem_free(e->piece);
	return rc;
}

int
store_each(struct store *s, bool reserved,
	   int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
		     const struct head *head),
	   void *cookie)
{
	struct weir_str none = {NULL, 0};

	return store_each_after(s, reserved, none, none, fn, cookie);
}

int
store_each_after(struct store *s, bool reserved, struct weir_str type,
		 struct weir_str id,
		 int (*fn)(void *cookie, struct weir_str type,
			   struct weir_str id, const struct head *head),
		 void *cookie)
{
	struct each e = {.s = s,
			 .reserved = reserved,
			 .prefix = STR(""),
			 .fn = fn,
			 .cookie = cookie};

	if (type.data != NULL)
		e.last_len = index_key(e.last, type, id);
	return walk(&e);
}

/* A prefix is no name: what begins with it stands behind it. */
static int
walk_from(struct store *s, struct weir_str prefix,
	  int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
		    const struct head *head),
	  void *cookie)
{
	struct each e = {.s = s,
			 .reserved = true,
			 .prefix = prefix,
			 .last_len = prefix.len,
			 .fn = fn,
			 .cookie = cookie};

	memcpy(e.last, prefix.data, prefix.len);
	return walk(&e);
}

int
store_each_type(struct store *s, struct weir_str type,
		int (*fn)(void *cookie, struct weir_str type,
			  struct weir_str id, const struct head *head),
		void *cookie)
{
	char prefix[WEIR_NAME_MAX + 1];

	if (type.len == 0 || type.len > WEIR_NAME_MAX)
		return 0;
	memcpy(prefix, type.data, type.len);
	prefix[type.len] = '\0';
	return walk_from(s, (struct weir_str){prefix, type.len + 1}, fn,
			 cookie);
}

int
store_each_reserved(struct store *s,
		    int (*fn)(void *cookie, struct weir_str type,
			      struct weir_str id, const struct head *head),
		    void *cookie)
{
	return walk_from(s, STR("$"), fn, cookie);
}
