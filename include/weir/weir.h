/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/*
 * The embedding API: a store inside a C program. Link with `pkg-config --libs
 * weir`. weir-embed(3) is the manual; contrib/examples has three programs.
 *
 * Threads: any thread may use a struct weir and a struct weir_stream, also many
 * at once. A struct weir_reader belongs to one thread at a time; give each
 * thread its own (weir_reader_clone). Closing is for one thread when no other
 * uses the thing any more. A process made by fork() must not use what its
 * parent opened, not even close it; after exec nothing is left of it.
 *
 * Ownership: what is given in is borrowed for the call, what is given out is
 * borrowed until the time said there, unless a comment says "free it". Close
 * readers, streams and watches before the struct weir they came from.
 *
 * Errors: 0 (or a count) or a negative enum weir_code; outputs are untouched
 * and err says what, where and how to mend it. err may be NULL. Any call may
 * give WEIR_EIO, WEIR_ENOMEM and, where it reads, WEIR_EDAMAGE.
 *
 * Units: times are microseconds since 1970 UTC, durations microseconds, sizes
 * bytes. Sequences and versions begin at 1.
 */

#include <stdbool.h>
#include <string.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir;
struct weir_reader;
struct weir_stream;
struct weir_watch;

/* "0.1.0" */
const char *weir_version(void);

/* Where the library's own messages (the troubles of sinks, and the lines of a
 * log sink) go, and from which level on: error, warn, info, debug, trace. By
 * default stderr and warn. Before the first weir_open; fd stays open, and -1
 * throws them away. WEIR_EUSAGE: no such level. */
int weir_diag(int fd, const char *level, struct weir_err *err);

/* ---- open and close ------------------------------------------------------ */

struct weir_options {
	bool read_only;	      /* no lock, no writes; a server or another
			       * program may be appending meanwhile */
	bool must_exist;      /* do not make a store that is missing */
	int64_t lock_wait_us; /* how long to wait for another writer; 0: 5 s,
			       * -1: not at all */
	bool unmapped; /* readers read into memory of their own: see
			* struct weir_record */
	size_t heads_bytes; /* memory for the newest of each aggregate, beside
			     * what is not in the index yet; 0: 64 MiB */
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
 * legal. Not from a weir_done. */
void weir_close(struct weir *w);

/* The bytes of a torn tail that opening cut, 0 when there was none; *kept_at
 * (may be NULL) is then the file that keeps them, else NULL. */
uint64_t weir_cut_bytes(const struct weir *w, const char **kept_at);

/* The folder, as it was given, and the 16 bytes of the store's id. */
const char *weir_dir(const struct weir *w);
const uint8_t *weir_store_id(const struct weir *w);

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

/*
 * Appends n events as one commit, all or nothing, of one or many aggregates; at
 * most 65,536 events and 8 MiB. When it returns 0 they are on disk.
 * receipts[i] answers events[i]; receipts may be NULL.
 *
 * WEIR_EINPUT (an event breaks a rule or its schema), WEIR_ECONFLICT
 * (expected_version; err->version is the present one; or an event_id that is
 * known with other content) and WEIR_EDENIED (opened read-only, or a reserved
 * name) change nothing; err->sequence is the number of the event at fault, from 1, where it
 * is one. WEIR_ENOSPC changes nothing and heals with room. After WEIR_EIO or
 * WEIR_EFAILED close and open again.
 */
int weir_commit(struct weir *w, struct weir_receipt *receipts,
		const struct weir_event *events, size_t n,
		struct weir_err *err);
int weir_append(struct weir *w, struct weir_receipt *receipt,
		const struct weir_event *event, struct weir_err *err);

/* One commit of several that are sent together. */
struct weir_part {
	const struct weir_event *events;
	size_t n;
	struct weir_receipt *receipts; /* n of them, or NULL */
	struct weir_err *err;	       /* or NULL */
	int code;		       /* given: what became of this commit */
};

/*
 * Appends n commits that have nothing to do with each other: each stands alone
 * and has its own answer, but up to 4096 of them (and 16 MiB) share one write
 * and one sync.
 *
 * 0: every part has its answer. Otherwise the code that ended the call, which
 * the parts that were not reached have too; a part whose code is 0 is on disk
 * whatever this returns. A part of more than 65,536 events, and a store that was
 * opened read-only, refuse all of it.
 */
int weir_commit_group(struct weir *w, struct weir_part *parts, size_t n,
		      struct weir_err *err);

/*
 * The same without waiting: returns at once, and done is called when the commit
 * is durable or was refused. What the events point to may go when this returns.
 *
 * An event that breaks a rule is refused here, and done is not called;
 * otherwise it is called exactly once, at the latest by weir_close, in the order
 * in which weir_submit was called. While too much waits already (32 MiB or
 * 65,536 events) weir_submit waits too; with WEIR_SUBMIT_NOWAIT, and within
 * done, it gives WEIR_EUNREACH instead. Without done, or with another flag, it is
 * WEIR_EUSAGE.
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

/*
 * A committed record. Its strings point into the mapped journal, uncopied and
 * unaligned, and stay there until weir_close; tags, the array, lives until the
 * next call with the same reader. A journal file that somebody cuts short, or a
 * disk that fails, raises SIGBUS where the bytes are touched; with the option
 * `unmapped` that is an error instead, and the strings live only until the next
 * call with the same reader.
 */
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

/* A reader begins before the first record. Several readers of one struct weir
 * work side by side, while others append. A clone stands where the original
 * does; the original must not be in use meanwhile. */
int weir_reader_open(struct weir_reader **out, struct weir *w,
		     struct weir_err *err);
int weir_reader_clone(struct weir_reader **out, const struct weir_reader *r,
		      struct weir_err *err);
void weir_reader_close(struct weir_reader *r); /* NULL is legal */

/* By sequence; by aggregate and version (0: the newest). WEIR_ENOTFOUND. Where
 * weir_next stands does not change. */
int weir_read(struct weir_reader *r, struct weir_record *out, uint64_t sequence,
	      struct weir_err *err);
int weir_read_version(struct weir_reader *r, struct weir_record *out,
		      struct weir_str aggregate_type,
		      struct weir_str aggregate_id, uint64_t version,
		      struct weir_err *err);

/*
 * Forward: weir_seek makes weir_next go through all records in sequence order
 * from `sequence` on, weir_seek_version through one aggregate's (which need not
 * exist yet) from `version` on. weir_next gives 1 and a record, 0 when there is
 * none yet (call it again after weir_wait for weir_tell), or a code; after a
 * code it stands where it stood.
 */
void weir_seek(struct weir_reader *r, uint64_t sequence);
int weir_seek_version(struct weir_reader *r, struct weir_str aggregate_type,
		      struct weir_str aggregate_id, uint64_t version,
		      struct weir_err *err);
int weir_next(struct weir_reader *r, struct weir_record *out,
	      struct weir_err *err);

/* The lowest sequence that weir_next may give next. */
uint64_t weir_tell(const struct weir_reader *r);

/* What is newest of an aggregate. WEIR_ENOTFOUND. */
struct weir_head {
	uint64_t version, sequence;
	bool archived;
};
int weir_head(struct weir *w, struct weir_head *out,
	      struct weir_str aggregate_type, struct weir_str aggregate_id,
	      struct weir_err *err);

/*
 * Calls fn for every aggregate, sorted by type, then id (bytes), until it gives
 * something else than 0, which is returned. One that is made meanwhile may be
 * left out; head is what is newest at the call. Names and head live during it;
 * fn may read, but not append, nor close the store.
 */
int weir_each(struct weir *w,
	      int (*fn)(void *cookie, struct weir_str aggregate_type,
			struct weir_str aggregate_id,
			const struct weir_head *head),
	      void *cookie, struct weir_err *err);

/* The last committed sequence; waiting until one is committed (timeout in
 * microseconds, -1 for ever): 0 or WEIR_EUNREACH when the time is over. */
uint64_t weir_last(struct weir *w);
int weir_wait(struct weir *w, uint64_t sequence, int64_t timeout_us,
	      struct weir_err *err);

/*
 * The same by a descriptor, for poll, epoll or any event loop. A watch that is
 * armed makes its descriptor readable once the sequence is committed, by
 * whatever process, and leaves it so until it is armed again; closing the store
 * makes it readable, too. Nobody but weir_watch_arm reads it, and
 * weir_watch_close closes it. Nothing is polled: one thread serves all watches
 * of a struct weir, and sleeps.
 *
 * Typically: weir_next until it gives 0, arm for weir_tell, wait.
 *
 * A watch belongs to one thread at a time; its descriptor may be waited for in
 * any.
 */
int weir_watch_open(struct weir_watch **out, struct weir *w,
		    struct weir_err *err);
int weir_watch_fd(const struct weir_watch *watch);
int weir_watch_arm(struct weir_watch *watch, uint64_t sequence,
		   struct weir_err *err);
void weir_watch_close(struct weir_watch *watch); /* NULL is legal */

/* The state of an aggregate at a version (0: the newest) as the JSON text of an
 * AggregateState, ended by NUL; free it with weir_free. */
int weir_state(struct weir_reader *r, char **json, size_t *len,
	       struct weir_str aggregate_type, struct weir_str aggregate_id,
	       uint64_t version, struct weir_err *err);
void weir_free(void *p);

/* ---- verify -------------------------------------------------------------- */

/* The Merkle root (RFC 9162) of an aggregate at a version (0: the newest), from
 * the stored tree nodes. WEIR_ENOTFOUND. */
int weir_root(struct weir_reader *r, uint8_t root[32],
	      struct weir_str aggregate_type, struct weir_str aggregate_id,
	      uint64_t version, struct weir_err *err);

/* Recomputes every hash of an aggregate from the stored bytes and gives its
 * Merkle root; WEIR_EDAMAGE names the first record that does not agree. */
int weir_verify(struct weir_reader *r, uint8_t root[32],
		struct weir_str aggregate_type, struct weir_str aggregate_id,
		struct weir_err *err);

struct weir_check {
	uint64_t segments, groups, records, aggregates, bytes;
	uint8_t store_root[32]; /* of the tree over all records */
};

/* Reads the whole journal as it is now and recomputes everything in it.
 * WEIR_EDAMAGE names file and offset of the first fault. progress (may be NULL)
 * is called in this thread with bytes done and in all. */
int weir_verify_all(struct weir *w, struct weir_check *out,
		    void (*progress)(void *cookie, uint64_t done, uint64_t all),
		    void *cookie, struct weir_err *err);

/* ---- streams ------------------------------------------------------------- */

/*
 * A stream holds C structs or runs of bytes: nothing is parsed or encoded. It is
 * the aggregate (name, id in decimal), its events are payloads of content bytes,
 * and its own numbers are versions. A struct weir_stream is the name with what
 * its events must be like; ids are given call by call, so one serves any number
 * of streams. Everything else of this page works for streams too.
 */
struct weir_stream_options {
	const char *event_type; /* NULL: "appended" */
	size_t size;	/* each event has so many bytes; 0: they differ */
	size_t largest; /* no event has more; 0: size, else 1 MiB */
};

/* options NULL is all defaults. */
int weir_stream_open(struct weir_stream **out, struct weir *w, const char *name,
		     const struct weir_stream_options *options,
		     struct weir_err *err);
void weir_stream_close(struct weir_stream *s); /* NULL is legal */

/* An event to be appended to stream `id`. Set expected_version always. */
struct weir_stream_event {
	uint64_t id;
	const void *data;
	size_t len;
	uint64_t expected_version;
};

/* Appends n events, of one or many ids, as one commit: see weir_commit, and
 * weir_submit. An event of another size than the options allow is
 * WEIR_EINPUT. */
int weir_stream_append(struct weir_stream *s, struct weir_receipt *receipts,
		       const struct weir_stream_event *events, size_t n,
		       struct weir_err *err);
int weir_stream_submit(struct weir_stream *s,
		       const struct weir_stream_event *events, size_t n,
		       int flags, weir_done *done, void *cookie,
		       struct weir_err *err);

/* Reads version `version` (0: the newest) of stream `id`: the bytes are
 * out->payload. WEIR_ENOTFOUND. */
int weir_stream_read(const struct weir_stream *s, struct weir_reader *r,
		     struct weir_record *out, uint64_t id, uint64_t version,
		     struct weir_err *err);

/* Makes weir_next go through stream `id` from `version` on. */
int weir_stream_seek(const struct weir_stream *s, struct weir_reader *r,
		     uint64_t id, uint64_t version, struct weir_err *err);

/* Is the record one of a stream of this name, and of which id? For going
 * through everything in sequence order. */
bool weir_stream_has(const struct weir_stream *s, uint64_t *id,
		     const struct weir_record *record);

/*
 * Copies the payload into *out when it has exactly the size of *out and its
 * content is bytes: true, else nothing is done. A payload may lie at any
 * address, so a struct must be copied out; one of bytes can be used where it
 * is.
 *
 *   struct sample s;
 *   if (!WEIR_COPY(&s, &record)) ...
 */
static inline bool
weir_copy(void *out, size_t size, const struct weir_record *record)
{
	if (record->content != WEIR_CONTENT_BYTES ||
	    record->payload.len != size)
		return false;
	memcpy(out, record->payload.data, size);
	return true;
}
#define WEIR_COPY(out, record) weir_copy((out), sizeof(*(out)), (record))

/* ---- sinks --------------------------------------------------------------- */

/* An option of a plugin, as `weir plugin NAME --help` lists them. */
struct weir_setting {
	const char *name, *value;
};

#define WEIR_FROM_NOW UINT64_MAX

/* What a sink is to be. Zero is the default of all but plugin. */
struct weir_sink_config {
	const char *plugin; /* "sqlite", "json", ... */
	const struct weir_setting *settings;
	size_t nsettings;
	/* Patterns (* and ?) ended by NULL: only records that match. */
	const char *const *aggregates, *const *events, *const *tags;
	uint64_t from; /* a new sink's first sequence; 0: the first record;
			* WEIR_FROM_NOW: those to come */
	uint64_t batch;	       /* records handed over at once; 0: 1000 */
	uint64_t attempts_max; /* answered failures until an aggregate is
				* parked; 0: 16 */
	bool disabled;	       /* configured but not delivered to */
};

/* Does what `weir plugin` does: makes the sink `name`, or replaces all its
 * settings and keeps its cursor. A path is taken from the present folder. A sink
 * that runs sees the change within a second. WEIR_EINPUT names all that is wrong
 * with the settings; WEIR_ENOTFOUND: there is no such plugin. */
int weir_sink_configure(struct weir *w, const char *name,
			const struct weir_sink_config *config,
			struct weir_err *err);

/* Where this process looks for plugins first, before WEIR_PLUGIN_PATH and the
 * folder they are installed in. NULL forgets it. Not beside other calls. */
void weir_plugin_dir(const char *dir);

/* Delivers to a configured sink in a thread of this program, until
 * weir_sink_stop or weir_close. A failed thread is ended by the next start.
 * WEIR_ENOTFOUND; WEIR_EUNREACH when somebody delivers to it already. */
int weir_sink_start(struct weir *w, const char *name, struct weir_err *err);

/* Ends the thread; what was delivered stays delivered. WEIR_ENOTFOUND when this
 * struct weir runs no such sink. Not beside weir_sink_wait for the same one. */
int weir_sink_stop(struct weir *w, const char *name, struct weir_err *err);

/* Waits until the sink has everything up to sequence: 0, or WEIR_EUNREACH when
 * the time (-1: for ever) is over, or what ended its thread; msg has the sink's
 * last error. */
int weir_sink_wait(struct weir *w, const char *name, uint64_t sequence,
		   int64_t timeout_us, struct weir_err *err);

/* How a sink does, whoever delivers to it. WEIR_ENOTFOUND. */
struct weir_sink_status {
	char state[16];	      /* idle, running, backoff, blocked, paused,
			       * disabled, gone */
	uint64_t cursor;      /* the last sequence durable in the target */
	uint64_t attempts;    /* of the batch in trouble */
	uint64_t parked;      /* parked aggregates */
	int64_t next_try_at;  /* 0: it does not wait */
	char last_error[1024], last_hint[512];
};
int weir_sink_status(struct weir *w, const char *name,
		     struct weir_sink_status *out, struct weir_err *err);

#ifdef __cplusplus
}
#endif
#endif
