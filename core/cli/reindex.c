/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/err.h"
#include "cli/call.h"
#include "cli/progress.h"
#include "store/store.h"

#include <inttypes.h>

static void
print(struct cli *c, const struct reindex_report *r, int64_t us)
{
	uint64_t rate = us > 0 ? r->records * 1000000 / (uint64_t)us : 0;

	buf_printf(&c->out,
		   c->json ? "{\"records\":%" PRIu64 ",\"aggregates\":%" PRIu64
			     ",\"records_per_second\":%" PRIu64 "}\n"
			   : "indexed %" PRIu64 " records of %" PRIu64
			     " aggregates (%" PRIu64 " records/s)\n",
		   r->records, r->aggregates, rate);
}

static int
run_reindex(struct cli *c, struct weir_err *err)
{
	bool heads = cli_has(c, "heads");
	struct reindex_report report = {0};
	struct progress p;
	struct store_options o = {
		.flags = STORE_WRITE | (heads ? 0 : STORE_REINDEX),
		.index_progress = progress_bytes,
		.index_cookie = &p,
	};
	struct store *s = NULL;
	const char *dir;
	int64_t from = clock_monotonic();
	enum call_way way;
	int rc = call_way(c, &way, err);

	if (rc == 0 && way == CALL_SOCKET)
		return err_set(err, WEIR_EUNREACH,
			       "a server holds the store, and nobody else may "
			       "write meanwhile: `weir stop`, then `weir "
			       "reindex`, then `weir start`");
	if (rc == 0)
		rc = cli_data_dir(c, &dir, err);
	progress_init(&p, c->err_tty && !c->json, "MiB", 0);
	if (rc == 0)
		rc = store_open(&s, dir, &o, err);
	if (rc == 0)
		rc = store_reindex(s, &report, heads, progress_bytes, &p, err);
	progress_end(&p);
	if (rc == 0)
		print(c, &report, clock_monotonic() - from);
	store_close(s);
	return rc;
}

static const struct cli_option reindex_options[] = {
	{"heads", 0, NULL, 0,
	 "only the aggregates' heads; event ids and sequences stay as they "
	 "are"},
	{NULL, 0, NULL, 0, NULL},
};

const struct cli_command reindex_commands[] = {
	{"reindex", "build the index again from the journal",
	 "The index is made and mended by itself; this is for when it is not "
	 "trusted. Nobody else may write meanwhile; readers go on.",
	 reindex_options, NULL, CLI_LOCAL, run_reindex},
	{NULL, NULL, NULL, NULL, NULL, 0, NULL},
};
