/* SPDX-License-Identifier: MIT */
/*
 * A draft's life and memory: names and decoded values lie in chunks that live
 * until the draft is cleared. Its issued_by can come from the OS.
 */
#include "model/draft_int.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#define CHUNK_BYTES 1024u

struct draft *
draft_new(void)
{
	struct draft *d = mem_new(sizeof(*d));

	if (d != NULL)
		d->rec.expected = EXPECT_ANY;
	return d;
}

/* Frees all chunks, but keeps one of the usual size when asked to. */
static void
drop_chunks(struct draft *d, bool keep)
{
	struct chunk *c = d->chunks, *kept = NULL;

	while (c != NULL) {
		struct chunk *next = c->next;

		if (keep && kept == NULL && c->cap == CHUNK_BYTES)
			kept = c;
		else
			mem_free(c);
		c = next;
	}
	if (kept != NULL) {
		kept->next = NULL;
		kept->used = 0;
	}
	d->chunks = kept;
}

void
draft_free(struct draft *d)
{
	if (d == NULL)
		return;
	drop_chunks(d, false);
	mem_free(d);
}

void
draft_clear(struct draft *d)
{
	struct chunk *kept;

	drop_chunks(d, true);
	kept = d->chunks;
	memset(d, 0, sizeof(*d));
	d->chunks = kept;
	d->rec.expected = EXPECT_ANY;
}

struct record_draft *
draft_record(struct draft *d)
{
	return &d->rec;
}

const uint8_t *
draft_hash(const struct draft *d)
{
	return d->has_hash ? d->hash : NULL;
}

bool
draft_has_actor(const struct draft *d)
{
	return d->has_actor;
}

char *
draft_room(struct draft *d, size_t n)
{
	struct chunk *c = d->chunks;

	if (c == NULL || c->cap - c->used < n) {
		size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;

		c = mem_new(sizeof(*c) + cap);
		if (c == NULL)
			return NULL;
		c->cap = cap;
		c->next = d->chunks;
		d->chunks = c;
	}
	c->used += n;
	return c->data + c->used - n;
}

struct weir_str
draft_keep(struct draft *d, struct weir_str s)
{
	char *p;

	if (s.data == NULL)
		return s;
	p = draft_room(d, s.len);
	if (p == NULL)
		return (struct weir_str){NULL, 0};
	memcpy(p, s.data, s.len);
	return (struct weir_str){p, s.len};
}

/* ---- issued_by ------------------------------------------------------------
 */

static struct weir_str
keep_name(struct draft *d, const char *name, unsigned number)
{
	char text[16];

	if (name == NULL || name[0] == '\0' || strlen(name) > WEIR_ACTOR_MAX) {
		snprintf(text, sizeof(text), "%u", number);
		name = text;
	}
	return draft_keep(d, str_of(name));
}

int
draft_set_os_actor(struct draft *d, struct weir_err *err)
{
	char room[4096];
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;

	if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &user) != 0)
		user = NULL;
	d->rec.user = keep_name(d, user != NULL ? user->pw_name : NULL,
				(unsigned)geteuid());
	if (getgrgid_r(getegid(), &gr, room, sizeof(room), &group) != 0)
		group = NULL;
	d->rec.group = keep_name(d, group != NULL ? group->gr_name : NULL,
				 (unsigned)getegid());
	if (d->rec.user.data == NULL || d->rec.group.data == NULL)
		return err_nomem(err);
	d->has_actor = true;
	return 0;
}
