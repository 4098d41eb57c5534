/* SPDX-License-Identifier: MIT */
/*
 * The page is a memfd. Each word has one writer, the runner, but for span,
 * which is written before there is a child. The child may end at any point, so
 * nothing in the page is believed further than as a number or a line of text.
 */
#include "bus/pulse.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u
#define PAGE_MARK  UINT64_C(0x7765697250756c73)

struct page {
	uint64_t mark;
	int64_t span_us;
	_Atomic int64_t due;
	_Atomic uint64_t held;
	_Atomic uint32_t ready;
	_Atomic int32_t code;
	char why[PULSE_WHY_MAX];
};

_Static_assert(sizeof(struct page) <= PAGE_BYTES, "the page holds it");

struct pulse {
	struct page *page;
};

static int
map(struct pulse **out, int fd, struct weir_err *err)
{
	struct pulse *p = mem_new(sizeof(*p));
	void *at;

	if (p == NULL)
		return err_nomem(err);
	at = os()->mmap(PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		mem_free(p);
		return err_sys(err, "cannot map the page of a runner");
	}
	p->page = at;
	*out = p;
	return 0;
}

int
pulse_new(struct pulse **out, int *fd, int64_t span_us, struct weir_err *err)
{
	int made = os()->memfd("weir-runner");
	int rc;

	if (made < 0)
		return err_sys(err, "cannot make the page of a runner");
	if (os()->ftruncate(made, PAGE_BYTES) != 0)
		rc = err_sys(err, "cannot make the page of a runner");
	else
		rc = map(out, made, err);
	if (rc != 0) {
		os_close(made);
		return rc;
	}
	(*out)->page->mark = PAGE_MARK;
	(*out)->page->span_us = span_us;
	*fd = made;
	return 0;
}

int
pulse_attach(struct pulse **out, int fd, struct weir_err *err)
{
	struct pulse *p = NULL;
	struct stat st;
	int rc;

	if (os()->fstat(fd, &st) != 0 || st.st_size != PAGE_BYTES)
		return err_set(err, WEIR_EUSAGE,
			       "descriptor %d is no page of a runner", fd);
	rc = map(&p, fd, err);
	if (rc == 0 && p->page->mark != PAGE_MARK) {
		pulse_free(p);
		return err_set(err, WEIR_EUSAGE,
			       "descriptor %d is no page of a runner", fd);
	}
	if (rc != 0)
		return rc;
	os_close(fd);
	*out = p;
	return 0;
}

void
pulse_free(struct pulse *p)
{
	if (p == NULL)
		return;
	os()->munmap(p->page, PAGE_BYTES);
	mem_free(p);
}

/* ---- the runner's ---------------------------------------------------------
 */

void
pulse_enter(struct pulse *p, int64_t until)
{
	if (p == NULL)
		return;
	if (until == 0)
		until = clock_monotonic() + p->page->span_us;
	atomic_store(&p->page->due, until);
}

void
pulse_leave(struct pulse *p)
{
	if (p != NULL)
		atomic_store(&p->page->due, 0);
}

void
pulse_more(struct pulse *p)
{
	int64_t due, until;

	if (p == NULL)
		return;
	due = atomic_load(&p->page->due);
	until = clock_monotonic() + p->page->span_us;
	if (due != 0 && until > due)
		atomic_store(&p->page->due, until);
}

void
pulse_ready(struct pulse *p)
{
	if (p != NULL)
		atomic_store(&p->page->ready, 1);
}

void
pulse_hold(struct pulse *p, uint64_t records)
{
	if (p != NULL)
		atomic_store(&p->page->held, records);
}

void
pulse_say(struct pulse *p, const struct weir_err *why)
{
	if (p == NULL)
		return;
	snprintf(p->page->why, sizeof(p->page->why), "%.590s", why->msg);
	atomic_store(&p->page->code, why->code);
}

/* ---- the supervisor's -----------------------------------------------------
 */

int64_t
pulse_due(const struct pulse *p)
{
	return atomic_load(&p->page->due);
}

bool
pulse_is_ready(const struct pulse *p)
{
	return atomic_load(&p->page->ready) != 0;
}

uint64_t
pulse_held(const struct pulse *p)
{
	return atomic_load(&p->page->held);
}

int
pulse_why(const struct pulse *p, char out[PULSE_WHY_MAX])
{
	memcpy(out, p->page->why, PULSE_WHY_MAX);
	out[PULSE_WHY_MAX - 1] = '\0';
	return atomic_load(&p->page->code);
}
