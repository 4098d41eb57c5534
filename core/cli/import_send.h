/* SPDX-License-Identifier: MIT */
#ifndef CLI_IMPORT_SEND_H
#define CLI_IMPORT_SEND_H

/* Lines of an import to a server. */

#include "cli/cli.h"

/* Lines that the server commits with one sync. */
#define IMPORT_SEND_MAX 1000u

struct importer_answer;
struct importer_line;

struct import_send {
	struct cli *c;
	const char *source; /* of derived event ids; NULL: none are derived */
};

/* As importer_options.send. */
int import_send(const struct import_send *s, struct importer_answer *answers,
		const struct importer_line *lines, size_t n,
		struct weir_err *err);

#endif
