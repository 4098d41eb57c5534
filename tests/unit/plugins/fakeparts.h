/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAKEPARTS_H
#define TESTS_FAKEPARTS_H

/* What the files of the fake host share with each other. */

#include "plugins/fakehost.h"

#define FAKE_SETTINGS 32u
#define FAKE_MAPS     64u

struct fake_map_entry {
	char *type, *field;
	char datatype[64]; /* empty: removed */
	enum weir_type_source source;
};

struct fake_owned; /* a record with the memory it points into */

struct fake_parts {
	struct fake_owned **records;
	size_t nrecords, cap;
	char *names[FAKE_SETTINGS], *values[FAKE_SETTINGS];
	size_t nsettings;
	struct weir_sink_setting settings[FAKE_SETTINGS * 2];
	char durations[FAKE_SETTINGS * 2][24];
	struct weir_sink_open open;
	struct fake_map_entry maps[FAKE_MAPS];
	size_t nmaps;
	char folder[512];
};

void fake_die(const char *what, const char *why);
void *fake_xalloc(size_t n);
char *fake_xdup(const char *s);
void fake_services(struct fake *f); /* fills f->host and f->files */
void fake_record_free(struct fake_owned *r);
void fake_uuid_text(char out[37], const uint8_t id[16]);
bool fake_same(struct weir_str a, struct weir_str b);

#endif
