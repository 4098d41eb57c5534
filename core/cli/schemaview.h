/* SPDX-License-Identifier: MIT */
#ifndef CLI_SCHEMAVIEW_H
#define CLI_SCHEMAVIEW_H

/* Schemas, as the API gives them, for people. All JSON was checked. */

#include <weir/types.h>

struct cli;

/* A member's value, or null. */
struct weir_str schemaview_member(struct weir_str object, const char *name);
void schemaview_list(struct cli *c, struct weir_str all);
void schemaview_one(struct cli *c, struct weir_str schema);
/* The records of its changes. */
void schemaview_history(struct cli *c, struct weir_str all);

#endif
