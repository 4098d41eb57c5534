/* SPDX-License-Identifier: MIT */
#include "embed_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char folder[200];

int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/weir-embed-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

int
teardown(void **state)
{
	char cmd[240];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	return system(cmd) ? -1 : 0;
}

struct weir *
open_store(const struct weir_options *o)
{
	struct weir *w = NULL;

	ok(weir_open(&w, folder, o, &err));
	return w;
}

struct weir *
open_reading(void)
{
	return open_store(&(struct weir_options){.read_only = true});
}

struct weir_event
event(const char *id, const char *payload)
{
	return (struct weir_event){
		.aggregate_type = S("account"),
		.aggregate_id = {id, strlen(id)},
		.event_type = S("changed"),
		.payload = {payload, strlen(payload)},
		.expected_version = WEIR_ANY_VERSION,
	};
}

void
append_events(struct weir *w, const char *id, unsigned n)
{
	struct weir_event ev = event(id, "{\"x\":1}");

	for (unsigned i = 0; i < n; i++)
		ok(weir_append(w, NULL, &ev, &err));
}
