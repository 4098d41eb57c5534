/* SPDX-License-Identifier: MIT */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "cli/cli.h"

struct cli_parsed;

/* Reads the words after the program's name: sets c->command, c->parsed and
 * c->json. WEIR_EUSAGE says what is wrong, with the nearest match. With a
 * family alone ("aggregate") or nothing, c->command stays NULL. */
int parse_args(struct cli *c, int argc, char **argv, struct weir_err *err);
void parse_free(struct cli *c);

bool parse_wants_help(const struct cli *c);
bool parse_wants_version(const struct cli *c);
/* The first word of the command line, or NULL. */
const char *parse_first_word(const struct cli *c);

#endif
