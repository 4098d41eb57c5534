/* SPDX-License-Identifier: MIT */
/*
 * Where reserved records ($...) stand, for whoever makes the rules of them.
 *
 * 1. `rules` never falls; a record at or before it was noted already (the
 *    journal is taken in again when an index is given up).
 * 2. In a writer rules_reserve came before rules_note, which then needs no
 *    memory.
 */
#include <string.h>
#include "store/batch.h"
#include "store/impl.h"

#define NOTED_MOST (64u << 20)

struct noted {
	uint64_t sequence, position;
};

int
rules_reserve(struct store *s, size_t n)
{
	return s->noting ? buf_reserve(&s->noted, n * sizeof(struct noted)) : 0;
}

int
rules_note(struct store *s, const struct record_view *v)
{
	struct noted one = {v->sequence, v->position};

	if (v->sequence <= s->rules)
		return 0;
	if (s->noting && buf_add(&s->noted, &one, sizeof(one)) != 0)
		return WEIR_ENOMEM;
	s->rules = v->sequence;
	return 0;
}

void
store_set_admission(struct store *s, const struct store_admission *a)
{
	/* What was submitted is decided by the old one. */
	queue_wait(s->queue);
	pthread_mutex_lock(&s->work);
	pthread_mutex_lock(&s->mu);
	if (s->noted.max == 0)
		buf_init(&s->noted, NOTED_MOST);
	if (a == NULL)
		buf_clear(&s->noted);
	s->noting = a != NULL;
	s->admission = a != NULL ? *a : (struct store_admission){0};
	pthread_mutex_unlock(&s->mu);
	pthread_mutex_unlock(&s->work);
}

uint64_t
store_rules(const struct store *s)
{
	return s->rules;
}

/* How many are noted up to a sequence. */
static size_t
noted_to(const struct store *s, uint64_t sequence)
{
	const struct noted *all = (const void *)s->noted.data;
	size_t count = s->noted.len / sizeof(*all), n = 0;

	while (n < count && all[n].sequence <= sequence)
		n++;
	return n;
}

size_t
store_rules_after(struct store *s, uint64_t *positions, size_t n,
		  uint64_t after)
{
	const struct noted *all;
	size_t count, at, i;

	pthread_mutex_lock(&s->mu);
	all = (const void *)s->noted.data;
	count = s->noted.len / sizeof(*all);
	at = noted_to(s, after);
	for (i = 0; i < n && at + i < count; i++)
		positions[i] = all[at + i].position;
	pthread_mutex_unlock(&s->mu);
	return i;
}

void
store_rules_forget(struct store *s, uint64_t sequence)
{
	pthread_mutex_lock(&s->mu);
	size_t old = noted_to(s, sequence) * sizeof(struct noted);
	if (old > 0) {
		s->noted.len -= old;
		memmove(s->noted.data, s->noted.data + old, s->noted.len);
	}
	pthread_mutex_unlock(&s->mu);
}
