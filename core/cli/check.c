/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/err.h"
#include "base/str.h"
#include "cli/progress.h"
#include "store/store.h"

#include <inttypes.h>

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
	struct progress p;
	struct check_report report = {0};
	struct store *s = NULL;
	int rc = cli_open_read(c, &s, err);

	progress_init(&p, c->err_tty && !c->json, "MiB", 0);
	if (rc == 0)
		rc = store_check(s, &report, progress_bytes, &p, err);
	progress_end(&p);
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
	 NULL, NULL, CLI_LOCAL, run_check},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
