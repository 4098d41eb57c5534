/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PGTARGET_H
#define TESTS_PGTARGET_H

/* Tests of the PostgreSQL sink: the server that WEIR_TEST_PG names, and a
 * schema of its own for each test. */

#include "plugins/fakehost.h"

bool pg_begin(void); /* false: no server, and it says so */
void pg_end(void);

/* A host whose sink mirrors into a schema that is new. */
struct fake *start(void);
/* Runs SQL in that schema; rows joined by ';', values by '|', NULL as '~';
 * static. */
const char *ask(const char *sql);

void open_ok(struct fake *f);
void deliver_ok(struct fake *f, uint64_t from, uint64_t to, uint32_t flags);

#endif
