/* SPDX-License-Identifier: MIT */
/*
 * Publishes on their way. The committer's thread puts what became of each into
 * `answered` and wakes the loop, which gives them to their connections. The
 * committer answers in the order of the calls, so a connection's answers come
 * in the order of its lines.
 */
#include "server/text_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

/* ---- the committer's side --------------------------------------------------
 */

static void
answer(const struct store_answer *a, int rc, const struct receipt *receipts,
       size_t n, const struct weir_err *err)
{
	struct publish *p = a->cookie;
	struct text *t = p->conn->t;
	bool first;

	(void)n;
	p->rc = rc;
	p->version = rc == 0 ? receipts[0].version : 0;
	if (rc != 0)
		p->why = mem_dup(err->msg, strlen(err->msg));
	pthread_mutex_lock(&t->mu);
	first = t->answered == NULL;
	*t->answered_end = p;
	t->answered_end = &p->next;
	if (first)
		uv_async_send(&t->answers);
	pthread_mutex_unlock(&t->mu);
}

int
text_publish(struct text_conn *c, const struct record_draft *d,
	     struct weir_err *err)
{
	struct publish *p = mem_new(sizeof(*p));
	struct store_answer to = {.fn = answer, .cookie = p};
	int rc;

	if (p == NULL)
		return err_nomem(err);
	p->conn = c;
	rc = store_submit(c->t->store, d, 1, STORE_NOWAIT, &to, err);
	if (rc != 0) {
		mem_free(p);
		return rc;
	}
	c->pending++;
	c->t->publishes++;
	return 0;
}

/* ---- the loop's side
 * --------------------------------------------------------- */

static void
free_publish(struct publish *p)
{
	mem_free(p->why);
	mem_free(p);
}

/* An answer as a line; how long it is. */
static size_t
line_of(char *out, size_t room, const struct publish *p)
{
	struct weir_err e = {.code = p->rc};
	char shown[900];
	int n;

	if (p->rc == 0)
		n = snprintf(out, room, "Published\t%" PRIu64 "\n", p->version);
	else {
		str_show(shown, sizeof(shown),
			 str_of(p->why != NULL ? p->why : "not enough memory"));
		n = snprintf(out, room, "Error\t%s\t%s\n", text_error_kind(&e),
			     shown);
	}
	must(n > 0 && (size_t)n < room);
	return (size_t)n;
}

void
text_send_answers(struct text_conn *c)
{
	char out[16384];
	size_t n = 0;

	while (c->done != NULL && c->writing == 0 && !c->gone) {
		struct publish *p = c->done;

		if (sizeof(out) - n < 1024) {
			text_send(c, out, n);
			n = 0;
			continue;
		}
		n += line_of(out + n, sizeof(out) - n, p);
		text_count(p->rc == 0 ? &c->t->n_published : &c->t->n_errors);
		c->done = p->next;
		if (c->done == NULL)
			c->done_end = &c->done;
		free_publish(p);
		c->pending--;
	}
	if (n > 0)
		text_send(c, out, n);
}

void
text_drop_answers(struct text_conn *c)
{
	while (c->done != NULL) {
		struct publish *p = c->done;

		c->done = p->next;
		free_publish(p);
		c->pending--;
	}
	c->done_end = &c->done;
}

static void
give(struct text *t, struct publish *p)
{
	struct text_conn *c = p->conn;

	must(t->publishes > 0);
	t->publishes--;
	p->next = NULL;
	*c->done_end = p;
	c->done_end = &p->next;
}

/* All are given first, so that many answers of a connection go in one write. */
void
text_take_answers(struct text *t)
{
	struct text_conn *answered = NULL, *c;
	struct publish *p, *next;

	pthread_mutex_lock(&t->mu);
	p = t->answered;
	t->answered = NULL;
	t->answered_end = &t->answered;
	pthread_mutex_unlock(&t->mu);
	for (; p != NULL; p = next) {
		next = p->next;
		c = p->conn;
		give(t, p);
		if (!c->is_answered) {
			c->is_answered = true;
			c->answered = answered;
			answered = c;
		}
	}
	while (answered != NULL) {
		c = answered;
		answered = c->answered;
		c->is_answered = false;
		if (c->gone) {
			text_drop_answers(c);
			text_left_conn(c);
		} else
			text_go_on(c);
	}
	text_retry(t);
}
