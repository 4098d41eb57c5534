/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>

#define SHOW_US 200000 /* between two lines of progress */

struct progress {
	bool wanted, shown;
	int64_t shown_at;
};

static void
show(void *cookie, uint64_t done, uint64_t all)
{
	struct progress *p = cookie;
	int64_t now;

	if (!p->wanted || all == 0)
		return;
	now = clock_monotonic();
	if (now - p->shown_at < SHOW_US)
		return;
	p->shown_at = now;
	p->shown = true;
	fprintf(stderr, "\rchecking %3u %% of %" PRIu64 " MiB",
		(unsigned)(100.0 * (double)done / (double)all), all >> 20);
	fflush(stderr);
}

static void
print(struct cli *c, const struct check_report *r)
{
	char root[2 * RECORD_DIGEST + 1];

	str_hex(root, r->store_root, RECORD_DIGEST);
	buf_printf(&c->out,
		   c->json ? "{\"segments\":%" PRIu64 ",\"groups\":%" PRIu64
			     ",\"records\":%" PRIu64 ",\"aggregates\":%" PRIu64
			     ",\"bytes\":%" PRIu64 ",\"store_root\":\"%s\"}\n"
			   : "segments    %" PRIu64 "\ngroups      %" PRIu64
			     "\nrecords     %" PRIu64 "\naggregates  %" PRIu64
			     "\nbytes       %" PRIu64 "\nstore root  %s\n"
			     "everything agrees\n",
		   r->segments, r->groups, r->records, r->aggregates, r->bytes,
		   root);
}

static int
run_check(struct cli *c, struct weir_err *err)
{
	struct progress p = {.wanted = c->err_tty && !c->json};
	struct check_report report = {0};
	struct store *s = NULL;
	int rc = cli_open_read(c, &s, err);

	p.shown_at = clock_monotonic();
	if (rc == 0)
		rc = store_check(s, &report, show, &p, err);
	if (p.shown)
		fprintf(stderr, "\r\033[K");
	if (rc == 0)
		print(c, &report);
	store_close(s);
	return rc;
}

const struct cli_command check_commands[] = {
	{"check", "read the whole store again and check everything",
	 "Frames, CRCs, hashes, versions and Merkle trees are recomputed from "
	 "the stored bytes. Damage exits 7 and names file and offset. Nothing "
	 "is written; it may run beside a writer.",
	 NULL, NULL, 0, run_check},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
