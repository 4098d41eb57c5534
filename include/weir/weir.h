/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/*
 * The embedding API: a store inside a C program. Link with `pkg-config --libs
 * weir`.
 *
 * Threads: any thread may use a struct weir; a struct weir_reader belongs to
 * one thread at a time. Strings given in are borrowed for the call. Outputs are
 * untouched on failure. err may be NULL.
 */

#include <stdbool.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir;
struct weir_reader;

/* "0.1.0" */
const char *weir_version(void);

/* ---- open and close ------------------------------------------------------ */

struct weir_options {
	bool read_only;	      /* no lock, no writes; a server or another
			       * program may be appending meanwhile */
	bool must_exist;      /* do not make a store that is missing */
	int64_t lock_wait_us; /* how long to wait for another writer; 0: 5 s */
};

/*
 * Opens the store in the folder dir; options NULL is all defaults. Makes it
 * when it is missing, unless an option says otherwise. After a crash no other
 * step is needed. Errors: WEIR_ENOTFOUND; WEIR_EUNREACH (another process
 * writes, named in msg); WEIR_EDAMAGE (file and offset in msg); WEIR_EIO.
 */
int weir_open(struct weir **out, const char *dir,
	      const struct weir_options *options, struct weir_err *err);

/* Commits what was submitted, stops the sinks that run, ends and frees. NULL is
 * legal. Readers must have been freed before. */
void weir_close(struct weir *w);

/* ---- append -------------------------------------------------------------- */

/* expected_version: the version the aggregate must have before. */
#define WEIR_ANY_VERSION UINT64_MAX
#define WEIR_EXISTS	 (UINT64_MAX - 1)
#define WEIR_NONE	 0u

/* An event to be appended. Set expected_version always; zero is the default of
 * every other member but the first three and payload. */
struct weir_event {
	struct weir_str aggregate_type, aggregate_id, event_type;
	struct weir_str payload;
	enum weir_content content;
	uint64_t expected_version;
	struct weir_str group, user; /* issued_by: both, or absent */
	const struct weir_str *tags;
	size_t ntags;
	struct weir_str correlation_id, causation_id, traceparent;
	bool has_event_id;    /* the idempotency key: the same id with the */
	uint8_t event_id[16]; /* same content gives back the original */
	bool has_created_at;
	int64_t created_at; /* microseconds since 1970 UTC */
};

struct weir_receipt {
	uint64_t sequence, version;
	int64_t committed_at;
	uint8_t event_id[16];
	uint8_t hash[32];
	bool duplicate; /* event_id was known: the original's numbers */
};

/* Appends n events as one commit, all or nothing, of one or many aggregates.
 * When it returns 0 they are on disk. receipts[i] answers events[i]; receipts
 * may be NULL. WEIR_EINPUT and WEIR_ECONFLICT (err->version: the present one)
 * change nothing; after WEIR_EIO or WEIR_EFAILED close and open again. */
int weir_commit(struct weir *w, struct weir_receipt *receipts,
		const struct weir_event *events, size_t n,
		struct weir_err *err);
int weir_append(struct weir *w, struct weir_receipt *receipt,
		const struct weir_event *event, struct weir_err *err);

/*
 * The same without waiting: returns at once, and done is called when the commit
 * is durable or was refused. What the events point to may go when this returns.
 *
 * An event that breaks a rule is refused here, and done is not called;
 * otherwise it is called exactly once, at the latest by weir_close, in the order
 * in which weir_submit was called. While too much waits already (32 MiB or
 * 65,536 events) weir_submit waits too; with WEIR_SUBMIT_NOWAIT, and within
 * done, it gives WEIR_EUNREACH instead.
 *
 * done is called in a thread of the library, one call at a time, and all appends
 * wait for it: it must be short. It may submit and read, but not append, commit
 * (WEIR_EUSAGE) or close. receipts (n of them; NULL when code is not 0) and err
 * (NULL when code is 0) live during the call.
 */
enum weir_submit_flag {
	WEIR_SUBMIT_NOWAIT = 1 << 0
};
typedef void weir_done(void *cookie, int code,
		       const struct weir_receipt *receipts, size_t n,
		       const struct weir_err *err);
int weir_submit(struct weir *w, const struct weir_event *events, size_t n,
		int flags, weir_done *done, void *cookie,
		struct weir_err *err);

/* ---- read ---------------------------------------------------------------- */

/* A committed record; its pointers live until the reader's next call. */
struct weir_record {
	uint64_t sequence, version;
	enum weir_op op;
	enum weir_content content;
	struct weir_str aggregate_type, aggregate_id, event_type;
	struct weir_str payload;
	struct weir_str group, user;
	const struct weir_str *tags;
	size_t ntags;
	struct weir_str correlation_id, causation_id, traceparent;
	uint8_t event_id[16];
	int64_t created_at, committed_at;
	uint8_t hash[32];
	bool end_of_commit;
};

int weir_reader_open(struct weir_reader **out, struct weir *w,
		     struct weir_err *err);
void weir_reader_close(struct weir_reader *r);

/* By sequence; by aggregate and version (0: the newest). WEIR_ENOTFOUND. */
int weir_read(struct weir_reader *r, struct weir_record *out, uint64_t sequence,
	      struct weir_err *err);
int weir_read_version(struct weir_reader *r, struct weir_record *out,
		      struct weir_str aggregate_type,
		      struct weir_str aggregate_id, uint64_t version,
		      struct weir_err *err);

/* Forward in sequence order from `sequence` on: 1 a record, 0 none committed
 * yet, or a code. */
void weir_seek(struct weir_reader *r, uint64_t sequence);
int weir_next(struct weir_reader *r, struct weir_record *out,
	      struct weir_err *err);

/* The last committed sequence; waiting until one is committed (timeout in
 * microseconds, -1 for ever): 0 or WEIR_EUNREACH when the time is over. */
uint64_t weir_last(struct weir *w);
int weir_wait(struct weir *w, uint64_t sequence, int64_t timeout_us,
	      struct weir_err *err);

/* The state of an aggregate at a version (0: the newest) as the JSON text of an
 * AggregateState, ended by NUL; free it with weir_free. */
int weir_state(struct weir_reader *r, char **json, size_t *len,
	       struct weir_str aggregate_type, struct weir_str aggregate_id,
	       uint64_t version, struct weir_err *err);
void weir_free(void *p);

/* Recomputes every hash of an aggregate from the stored bytes and gives its
 * Merkle root; WEIR_EDAMAGE names the first record that does not agree. */
int weir_verify(struct weir_reader *r, uint8_t root[32],
		struct weir_str aggregate_type, struct weir_str aggregate_id,
		struct weir_err *err);

/* ---- sinks --------------------------------------------------------------- */

/* Delivers to a configured sink (`weir plugin ...`) in a thread of this
 * program, until weir_close. WEIR_ENOTFOUND; WEIR_EUNREACH when another process
 * delivers to it. */
int weir_sink_start(struct weir *w, const char *name, struct weir_err *err);

/* Waits until the sink has everything up to sequence: 0, or WEIR_EUNREACH when
 * the time (microseconds, -1 for ever) is over; msg has the sink's last error.
 */
int weir_sink_wait(struct weir *w, const char *name, uint64_t sequence,
		   int64_t timeout_us, struct weir_err *err);

#ifdef __cplusplus
}
#endif
#endif
