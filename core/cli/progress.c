/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define EVERY_US  100000
#define BAR_WIDTH 24u

void
progress_init(struct progress *p, bool shown, const char *what, uint64_t all)
{
	memset(p, 0, sizeof(*p));
	p->shown = shown;
	p->what = what;
	p->all = all;
	p->started = p->drawn = clock_monotonic();
}

static void
put_left(char *out, size_t cap, uint64_t done, uint64_t all, int64_t elapsed_us)
{
	double left = 0;
	unsigned long long s;

	if (done > 0 && done < all)
		left = (double)elapsed_us / 1e6 * (double)(all - done) /
		       (double)done;
	s = (unsigned long long)(left + 0.5);
	if (s >= 3600)
		snprintf(out, cap, "%lluh%02llum left", s / 3600, s / 60 % 60);
	else
		snprintf(out, cap, "%llu:%02llu left", s / 60, s % 60);
}

void
progress_text(char *out, size_t cap, const struct progress *p, uint64_t done,
	      uint64_t count, int64_t elapsed_us)
{
	double seconds = elapsed_us > 0 ? (double)elapsed_us / 1e6 : 1e-6;
	unsigned long long rate = (unsigned long long)((double)count / seconds);
	char bar[BAR_WIDTH + 1], left[32];
	size_t full;

	if (p->all == 0) {
		snprintf(out, cap, "%llu %s, %llu/s", (unsigned long long)count,
			 p->what, rate);
		return;
	}
	if (done > p->all)
		done = p->all;
	full = (size_t)((double)done / (double)p->all * BAR_WIDTH);
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', full);
	bar[BAR_WIDTH] = '\0';
	put_left(left, sizeof(left), done, p->all, elapsed_us);
	snprintf(out, cap, "[%s] %3u%%  %llu %s, %llu/s, %s", bar,
		 (unsigned)((double)done / (double)p->all * 100),
		 (unsigned long long)count, p->what, rate, left);
}

void
progress_update(struct progress *p, uint64_t done, uint64_t count)
{
	char text[80];
	int64_t now;

	if (!p->shown)
		return;
	now = clock_monotonic();
	if (now - p->drawn < EVERY_US)
		return;
	p->drawn = now;
	p->on_screen = true;
	progress_text(text, sizeof(text), p, done, count, now - p->started);
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
}

void
progress_bytes(void *cookie, uint64_t done, uint64_t all)
{
	struct progress *p = cookie;

	p->all = all;
	progress_update(p, done, done >> 20);
}

void
progress_end(struct progress *p)
{
	if (!p->on_screen)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->on_screen = false;
}
