/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SINK_H
#define WEIR_SINK_H

/*
 * The plugin ABI: the only header (with types.h) that a sink plugin needs.
 * weir-sink(3) is the manual and holds a complete plugin.
 *
 * A plugin is a shared object that exports one function, weir_sink_plugin(),
 * which returns a constant descriptor. The host (weir) loads it with
 * RTLD_NOW | RTLD_LOCAL, reads abi_major first and refuses another major.
 *
 * Division of work: the host reads the journal, sorts, folds state, filters,
 * coalesces, retries, backs off, bisects, parks and counts. The plugin opens
 * its target, applies one batch atomically and says how far the target is
 * durable and which record is bad. A plugin never sleeps for its own reasons,
 * starts threads, prints, or installs signal handlers.
 *
 * Threads: all calls on one lane of a sink come one at a time, and so do the
 * calls that name no lane, during which no other call runs on the sink.
 * Different lanes of one sink (only with MULTI_LANE), and different sinks of
 * one plugin, may be called from different threads at once.
 *
 * Ownership: what a caller hands over is the caller's and lives until the call
 * returns unless a comment says longer. What a plugin keeps it copies. Memory
 * that a plugin gets from the host's table it gives back to that table by the
 * end of close.
 *
 * Units: times are microseconds, lengths are bytes, sequences and versions
 * begin at 1 and 0 stands for none. Text is UTF-8.
 *
 * Versions. ABI 1.0 is frozen: within major 1 a struct that begins with
 * struct_size grows at its end only, and nothing else changes its layout or
 * meaning. weir_str, weir_sink_option, weir_sink_setting and weir_sink_member
 * stand in arrays and never grow; weir_sink_record grows, and batches say how
 * large a record is (record_size). A member that came after 1.0 says so, and
 * who reads one that the other side filled looks at WEIR_SINK_HAS first.
 *
 * An older plugin and a newer host: the callbacks that the plugin does not
 * know are NULL to the host; the host sets no batch flag that is newer than
 * the plugin's abi_minor. An op, content or kind that the plugin does not know
 * may come; it is to be stored as it stands, like an event.
 * A newer plugin and an older host: the host takes what it knows of the
 * descriptor, ignores capabilities and option flags that it does not know, and
 * refuses needs and option types that it does not know. A plugin that can't do
 * without something newer says so in open, with BLOCKED.
 * Bits that are not named here are zero.
 */

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SINK_ABI_MAJOR 1u
#define WEIR_SINK_ABI_MINOR 0u

/* Did the one who filled a struct know this member? WEIR_SINK_HAS(host, sha256)
 * of a pointer to a struct that begins with struct_size. */
#define WEIR_SINK_HAS(p, member)                                               \
	((size_t)((const char *)(&(p)->member + 1) - (const char *)(p)) <=     \
	 (p)->struct_size)

/* ---- capabilities, needs ------------------------------------------------ */

enum weir_sink_cap {
	/* deliver applies all of a batch or nothing of it */
	WEIR_SINK_TXN = 1u << 0,
	/* the cursor is stored by the plugin, atomically with the data; resume
	 * must be there. Without it the host keeps the cursor in a file. */
	WEIR_SINK_HOLDS_CURSOR = 1u << 1,
	/* only the newest record of an aggregate in a batch matters; the host
	 * leaves out the others */
	WEIR_SINK_COALESCE = 1u << 2,
	/* several lanes may be open at once; lane_open and lane_close must be
	 * there. A host may always use lane 0 alone. */
	WEIR_SINK_MULTI_LANE = 1u << 3,
	/* what deliver calls durable may still be lost by the peer */
	WEIR_SINK_LOSSY = 1u << 4,
	/* a replay writes the target anew from the beginning and swaps it in
	 * when it has caught up; replay from a given sequence is refused */
	WEIR_SINK_REWRITES = 1u << 5
};

enum weir_sink_need {
	WEIR_SINK_NEED_JSON = 1u << 0,	/* record->json, record->merkle_root */
	WEIR_SINK_NEED_STATE = 1u << 1, /* record->state, state_json, first_* */
	WEIR_SINK_NEED_TYPES = 1u << 2	/* host->column_type is used */
};

/* ---- results ------------------------------------------------------------ */

/* What became of a call. */
enum weir_sink_class {
	WEIR_SINK_OK = 0,
	/* may succeed later; counts as an attempt; after the sink's limit the
	 * record named (or found by bisection) is parked */
	WEIR_SINK_RETRY = 1,
	/* the target could not be reached; retried for ever, not counted */
	WEIR_SINK_NOT_CONNECTED = 2,
	/* credentials, rights, a full disk, another store's target: paused
	 * with the hint, probed every five minutes, heals by itself */
	WEIR_SINK_BLOCKED = 3,
	/* can never succeed: bad_sequence names the record, or 0 and the host
	 * finds it by bisection; its aggregate is parked */
	WEIR_SINK_REJECT = 4,
	/* the target is gone for good; the sink is disabled */
	WEIR_SINK_GONE = 5
};

/* Filled by the plugin; the memory is the caller's, zeroed but for struct_size
 * before the call. Texts end with NUL; the host cuts what is not one line. A
 * class that the host does not know counts as RETRY. */
struct weir_sink_result {
	size_t struct_size;
	uint64_t durable_sequence; /* all up to here is durable in the target */
	uint64_t bad_sequence;	   /* the record that was refused, or 0 */
	int64_t retry_after_us;	   /* the target asked to wait so long, or 0 */
	char code[32];		   /* SQLSTATE, HTTP status, errno name */
	char column[256];	   /* column or field in question */
	char message[1024];	   /* what happened: one lower-case sentence */
	char hint[512];		   /* how to mend it */
};

/* ---- options ------------------------------------------------------------ */

enum weir_sink_option_type {
	WEIR_OPT_STRING = 0,
	WEIR_OPT_PATH = 1,	 /* made absolute by the host when configured */
	WEIR_OPT_UINT = 2,	 /* decimal, 0 to 2^63-1 */
	WEIR_OPT_BOOL = 3,	 /* true | false; on the command line a flag */
	WEIR_OPT_ENUM = 4,	 /* one of the words in arg, split by | */
	WEIR_OPT_DURATION = 5,	 /* number with us, ms, s, m or h; given to the
				  * plugin as decimal microseconds */
	WEIR_OPT_LIST = 6	 /* may be given many times; values in order */
};

enum weir_sink_option_flag {
	WEIR_OPT_REQUIRED = 1u << 0,
	WEIR_OPT_SECRET = 1u << 1,    /* never shown; env:NAME, file:PATH work
				       * (in a LIST also behind K=) */
	WEIR_OPT_RELOADABLE = 1u << 2 /* reload applies a change */
};

/* One row of a plugin's option table. Strings are static. */
struct weir_sink_option {
	const char *name; /* lower-case words joined by '-'; NULL ends a table */
	uint32_t type;	  /* enum weir_sink_option_type */
	uint32_t flags;	  /* enum weir_sink_option_flag, or-ed */
	const char *dflt; /* value when not given, or NULL for none */
	const char *arg;  /* placeholder in help; for ENUM the words */
	const char *help; /* one sentence */
};

/* A value as configured. An option without value and default is left out;
 * a LIST option stands once per value. Secrets are resolved. */
struct weir_sink_setting {
	const char *name;
	const char *value;
};

/* ---- host services ------------------------------------------------------ */

enum weir_level {
	WEIR_ERROR = 0,
	WEIR_WARN = 1,
	WEIR_INFO = 2,
	WEIR_DEBUG = 3,
	WEIR_TRACE = 4
};

/*
 * File calls with the meaning of their POSIX namesakes (0 or a count, or -1
 * with errno set; never short: read_at returns less than asked only at the
 * end of the file, write_at writes all or fails). open sets close-on-exec.
 * Sinks that write files use these and no others, so that a host can make any
 * of them fail.
 */
struct weir_sink_files {
	size_t struct_size;
	int (*open)(void *cookie, const char *path, int flags, uint32_t mode);
	int (*close)(void *cookie, int fd);
	int64_t (*read_at)(void *cookie, int fd, void *buf, size_t n,
			   int64_t at);
	int64_t (*write_at)(void *cookie, int fd, const void *buf, size_t n,
			    int64_t at);
	int (*sync_data)(void *cookie, int fd);
	int (*sync_folder)(void *cookie, const char *path);
	int (*truncate)(void *cookie, int fd, int64_t length);
	int64_t (*size)(void *cookie, int fd);
	int (*rename)(void *cookie, const char *from, const char *to);
	int (*unlink)(void *cookie, const char *path);
	int (*make_folder)(void *cookie, const char *path, uint32_t mode);
};

enum weir_type_source {
	WEIR_TYPE_NONE = 0,	/* nothing known: infer from the value */
	WEIR_TYPE_MAPPED = 1,	/* mapped for this plugin */
	WEIR_TYPE_BASE = 2,	/* mapped for all plugins */
	WEIR_TYPE_DECLARED = 3	/* declared by the aggregate's schema */
};

/*
 * What the host does for a plugin. Valid from open to close. Every function
 * takes the cookie given here first and may be called from the thread that
 * called the plugin.
 */
struct weir_sink_host {
	size_t struct_size;
	uint32_t abi_major, abi_minor;
	void *cookie;

	/* A message of the plugin; one line, no newline at its end. level is
	 * enum weir_level. */
	void (*diag)(void *cookie, int level, const char *msg);

	/* A line of the log sink: goes where diag goes whatever the diag level;
	 * control characters must be escaped by the caller. */
	void (*emit)(void *cookie, int level, const char *line, size_t len);

	/* Microseconds since 1970 UTC; microseconds of a clock that never
	 * steps. */
	int64_t (*now_us)(void *cookie);
	int64_t (*monotonic_us)(void *cookie);

	/* Allocation that a host can make fail; resize(NULL, n) allocates. */
	void *(*resize)(void *cookie, void *p, size_t n);
	void (*release)(void *cookie, void *p);

	const struct weir_sink_files *files;

	/* The datatype mapped or declared for a field, written to out as a
	 * NUL-ended lower-case string ("numeric(10,2)"). Returns where it comes
	 * from (enum weir_type_source); WEIR_TYPE_NONE leaves out empty. */
	int (*column_type)(void *cookie, struct weir_str aggregate_type,
			   struct weir_str field, char out[64]);

	/* Decode a raw JSON string (with its quotes) into UTF-8. Returns the
	 * length, which is at most raw.len; out has room for raw.len bytes. */
	size_t (*json_string)(void *cookie, struct weir_str raw, char *out);

	/* RFC 3339 UTC with microseconds and Z, 27 characters and NUL. */
	void (*time_text)(void *cookie, int64_t us, char out[28]);

	/* SHA-256 of n bytes. */
	void (*sha256)(void *cookie, const void *p, size_t n, uint8_t out[32]);
};

/* ---- records and batches ------------------------------------------------ */

/* One top-level member of an aggregate's state. */
struct weir_sink_member {
	struct weir_str name; /* decoded UTF-8 */
	uint32_t kind;	      /* enum weir_kind */
	struct weir_str raw;  /* the value's JSON text, as it came */
};

enum weir_sink_record_flag {
	WEIR_RECORD_END_OF_COMMIT = 1u << 0
};

/* A committed record. All pointers live until deliver returns. What stands
 * under a need is only there when the sink has that need. */
struct weir_sink_record {
	uint32_t op;	/* enum weir_op */
	uint32_t flags; /* enum weir_sink_record_flag */
	uint64_t sequence;
	uint64_t version;
	struct weir_str aggregate_type;
	struct weir_str aggregate_id;
	struct weir_str event_type;
	uint8_t event_id[16];
	int64_t created_at;   /* microseconds since 1970 UTC */
	int64_t committed_at; /* the same */
	struct weir_str group, user; /* issued_by; data NULL when there is none */
	const struct weir_str *tags;
	size_t ntags;
	uint32_t content; /* enum weir_content */
	struct weir_str payload;
	struct weir_str correlation_id, causation_id, traceparent;
	uint8_t hash[32];

	/* NEED_JSON */
	uint8_t merkle_root[32]; /* of the aggregate at this version */
	struct weir_str json;	 /* the EventRecord, compact, one line */

	/* NEED_STATE: the fold of versions 1 to this one, first-seen order */
	int64_t first_at;	    /* created_at of the aggregate's version 1 */
	struct weir_str first_user; /* its issued_by.user, or absent */
	const struct weir_sink_member *state;
	size_t nstate;
	struct weir_str state_json; /* the same as one JSON object */
};

enum weir_sink_batch_flag {
	/* records at or below what the target has seen are sent again: take
	 * version >= instead of > */
	WEIR_BATCH_REPLAY = 1u << 0,
	/* the last batch of a replay: swap in what was written anew */
	WEIR_BATCH_REPLAY_END = 1u << 1,
	/* a part of a batch that failed, or a single record of it, is tried */
	WEIR_BATCH_PROBE = 1u << 2,
	/* records of an aggregate that was parked, at or below the target's
	 * cursor (through_sequence is that cursor): they were never applied and
	 * are to be applied whatever the cursor says. Each such batch has an
	 * epoch of its own, above all before it, so a target that already holds
	 * this epoch has applied the batch. */
	WEIR_BATCH_PARKED = 1u << 3
};

/* What deliver is handed. Lives until deliver returns. */
struct weir_sink_batch {
	size_t struct_size;
	uint32_t flags;
	uint32_t lane;	  /* one that is open */
	uint64_t epoch;	  /* fences an older runner: a target that has seen a
			   * higher one refuses with BLOCKED */
	uint32_t attempt; /* 0 for the first */
	uint32_t record_size; /* of each record, as the host knows it */
	uint64_t through_sequence; /* the cursor to store with this batch; a
				    * record below the target's own cursor was
				    * applied before and is left out, but for
				    * REPLAY and PARKED */
	uint8_t through_hash[32];  /* hash of the record through_sequence, to
				    * store with it; the batch need not hold
				    * that record. Zeros when it is 0 */
	uint64_t parked;	   /* parked aggregates, to store with it */
	int64_t deadline_us;	   /* on the host's monotonic clock */
	int stop_fd;		   /* becomes readable when deliver should end;
				    * -1: never */
	uint32_t nrecords;	   /* may be 0: only the cursor moves */
	const struct weir_sink_record *const *records;
};

/* What a target knows about how far it is. Zeroed but for struct_size before
 * resume. */
struct weir_sink_cursor {
	size_t struct_size;
	uint32_t found; /* 0: the target holds no cursor, the rest is unset */
	uint32_t lane;
	uint8_t store_id[16];
	char sink[64]; /* NUL-ended */
	uint64_t sequence;
	uint64_t epoch;
	uint64_t parked;
	uint8_t hash[32]; /* stored with sequence: tells a store from a copy of
			   * it that went another way; zeros: not known */
};

/* What open is handed. To open: settings, strings and host live until close; to
 * validate, shape and reload: until they return. */
struct weir_sink_open {
	size_t struct_size;
	const char *sink; /* the sink's name */
	uint8_t store_id[16];
	char store_uuid[37]; /* the same as text */
	const struct weir_sink_setting *settings;
	size_t nsettings;
	const struct weir_sink_host *host;
};

/* The question a plan answers: a field's column is to get this datatype. */
struct weir_sink_plan {
	size_t struct_size;
	struct weir_str aggregate_type;
	struct weir_str field;
	const char *datatype;
	uint32_t apply; /* 0: only say; 1: do it if no value is lost */
};

/* ---- the descriptor ----------------------------------------------------- */

/*
 * Callbacks return enum weir_sink_class and fill the result when it is not
 * OK. Only open, deliver and close must be there. The descriptor and all it
 * points to stay as they are as long as the plugin is loaded. struct_size may
 * end anywhere behind close: what lies beyond counts as NULL.
 */
struct weir_sink_plugin {
	uint32_t abi_major, abi_minor; /* WEIR_SINK_ABI_MAJOR, _MINOR */
	size_t struct_size;	       /* sizeof(struct weir_sink_plugin) */
	const char *name;	       /* [a-z][a-z0-9-]*, at most 31 */
	const char *version;
	const char *summary;	       /* one sentence */
	uint32_t capabilities;
	uint32_t needs;
	const struct weir_sink_option *options; /* ended by a NULL name */

	/* Looks at the settings alone, no I/O: all errors at once in message,
	 * joined by "; ". The host has checked types and what is required. */
	int (*validate)(const struct weir_sink_open *o,
			struct weir_sink_result *res);

	/* Prepares a sink. It may connect now or at the first resume, deliver or
	 * probe, and connects again in deliver after a loss. *out is handed to
	 * every later call; set only on OK. */
	int (*open)(void **out, const struct weir_sink_open *o,
		    struct weir_sink_result *res);

	/* Reads the target's cursor for a lane, finishing or undoing first what
	 * a crash left half done. Must be there with HOLDS_CURSOR. */
	int (*resume)(void *sink, uint32_t lane, struct weir_sink_cursor *out,
		      struct weir_sink_result *res);

	/* Applies a batch. On OK durable_sequence is through_sequence (or less,
	 * for a target that acknowledges later: see flush). On anything else a
	 * TXN plugin has changed nothing; one whose cursor the host keeps may
	 * set durable_sequence to say that all records up to it are done, and
	 * the host goes on behind them. */
	int (*deliver)(void *sink, const struct weir_sink_batch *batch,
		       struct weir_sink_result *res);

	/* Waits until all that was delivered to a lane is durable, or the
	 * deadline on the host's monotonic clock; durable_sequence says how far
	 * it is. Without it deliver makes all durable itself. */
	int (*flush)(void *sink, uint32_t lane, int64_t deadline_us,
		     struct weir_sink_result *res);

	/* Is the target there and usable? Changes nothing that lasts. */
	int (*probe)(void *sink, struct weir_sink_result *res);

	/* A mapping changes. OK: message says what was or would be done.
	 * REJECT: nothing was changed, hint says what would have to happen. */
	int (*plan)(void *sink, const struct weir_sink_plan *plan,
		    struct weir_sink_result *res);

	/* A replay begins: the target's cursor goes back to before sequence
	 * (1 for REWRITES) and its hash is forgotten; data already there stays
	 * until replaced. */
	int (*rewind)(void *sink, uint64_t sequence,
		      struct weir_sink_result *res);

	/* Files were rotated or reloadable settings changed: open files anew.
	 * o is NULL when only files are to be reopened, else what open was
	 * given with new values; these are to be copied. */
	int (*reload)(void *sink, const struct weir_sink_open *o,
		      struct weir_sink_result *res);

	/* Ends a sink and frees it. What was not delivered stays undone. */
	void (*close)(void *sink);

	/* What a sink with these settings can and needs: the
	 * descriptor names all that any sink of the plugin may, this takes bits
	 * away. *capabilities and *needs come as the descriptor has them; none
	 * may be added, and HOLDS_CURSOR and REWRITES stay as they are. Called
	 * before each open with what open will get, no I/O; the same settings
	 * give the same answer. Without it every sink is as the descriptor
	 * says. */
	int (*shape)(const struct weir_sink_open *o, uint32_t *capabilities,
		     uint32_t *needs, struct weir_sink_result *res);

	/* With MULTI_LANE: lane 0 is open from open to close; others are opened
	 * before their first resume or deliver and closed before close. All
	 * records of an aggregate go through one lane, each lane has a cursor
	 * of its own in the target, and lanes may be called at the same time. */
	int (*lane_open)(void *sink, uint32_t lane,
			 struct weir_sink_result *res);
	void (*lane_close)(void *sink, uint32_t lane);
};

/* The one symbol a plugin exports. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const struct weir_sink_plugin *
weir_sink_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
