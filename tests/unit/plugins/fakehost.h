/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FAKEHOST_H
#define TESTS_FAKEHOST_H

/*
 * A small host for testing a plugin without a journal: the tables of
 * struct weir_sink_host over malloc and real files, any file call or
 * allocation of which can be made to fail; a list of records in memory that
 * stands for the journal (versions, state, EventRecord JSON made as they are
 * appended); and the calls on one sink.
 *
 *	struct fake *f = fake_new();
 *	fake_set(f, "path", path);
 *	fake_append(f, "person", "p-1", "born", "{\"name\":\"Ada\"}");
 *	fake_open(f, fake_plugin("sqlite"));       resume comes with it
 *	fake_deliver(f, 1, 1, 0);
 *	fake_free(f);                              aborts when memory leaked
 */

#include <stdbool.h>
#include <weir/sink.h>

struct fake {
	struct weir_sink_host host; /* may be changed by a test */
	struct weir_sink_files files;
	struct weir_sink_result res;	/* of the last call */
	struct weir_sink_cursor cursor; /* of the last resume */
	char sink_name[64];
	uint8_t store_id[16];
	uint64_t epoch;
	int64_t deadline_us; /* for the next deliver; 0: 30 s from now */
	int stop_fd;	     /* -1 at first */
	void *sink;	     /* what the plugin opened, or NULL */
	const struct weir_sink_plugin *plugin;
	uint32_t capabilities, needs; /* of the sink as configured */

	/* Faults. Calls of the files table are counted from 1. */
	uint64_t file_calls;
	uint64_t fail_file_at;	/* this call fails with fail_errno; 0 never */
	uint64_t dead_from;	/* from this call on none does anything */
	int fail_errno;		/* EIO at first */
	uint64_t allocs;	/* calls of resize */
	uint64_t fail_alloc_at; /* this one returns NULL; 0 never */
	size_t live;		/* allocations not released */

	char lines[8192]; /* what was emitted, a line each */
	char diag[8192];  /* what was said through diag, a line each */
	struct fake_parts *parts;
};

struct fake *fake_new(void);
void fake_free(struct fake *f);

/* By path, or by name out of TOP_BUILDDIR/plugins/NAME/.libs/NAME.so. Aborts
 * with the reason when it cannot be loaded. */
const struct weir_sink_plugin *fake_plugin(const char *name);

/* Settings for the next fake_open; a value of NULL removes the name. Defaults
 * of the option table are filled in by fake_open. */
void fake_set(struct fake *f, const char *name, const char *value);
/* What column_type answers from now on; datatype NULL removes it. */
void fake_map(struct fake *f, const char *type, const char *field,
	      const char *datatype, enum weir_type_source source);

/* The next record: sequence, version, state follow from those before. */
struct fake_record {
	const char *type, *id, *event;
	struct weir_str payload;
	uint32_t content, op;
	const char *user;   /* NULL: issued by nobody */
	int64_t created_at; /* 0: the sequence'th second of 2026 */
	bool inside_commit; /* the commit goes on after this one */
};
const struct weir_sink_record *fake_append_record(struct fake *f,
						  const struct fake_record *r);
const struct weir_sink_record *fake_append(struct fake *f, const char *type,
					   const char *id, const char *event,
					   const char *json);
uint64_t fake_last(const struct fake *f); /* sequence, 0 when empty */
const struct weir_sink_record *fake_at(const struct fake *f, uint64_t sequence);

/* Calls on the sink; the class is returned, f->res and f->cursor are filled.
 * fake_open validates, asks for the shape, opens and, with HOLDS_CURSOR,
 * resumes lane 0. fake_shape asks for the shape alone: f->capabilities and
 * f->needs, the descriptor's when the plugin has no such callback. */
int fake_shape(struct fake *f, const struct weir_sink_plugin *p);
int fake_open(struct fake *f, const struct weir_sink_plugin *p);
void fake_close(struct fake *f);
int fake_resume(struct fake *f);
/* Records from..to with their cursor at to; from > to: none. Under COALESCE
 * only the newest of each aggregate is handed over unless f says all. */
int fake_deliver(struct fake *f, uint64_t from, uint64_t to, uint32_t flags);
int fake_deliver_all(struct fake *f, uint64_t from, uint64_t to,
		     uint32_t flags);
int fake_plan(struct fake *f, const char *type, const char *field,
	      const char *datatype, bool apply);
int fake_rewind(struct fake *f, uint64_t sequence);

/* A folder of the test's own, removed by fake_free; and a path in it, in one
 * of eight static spaces. */
const char *fake_folder(struct fake *f);
const char *fake_path(struct fake *f, const char *name);

#endif
