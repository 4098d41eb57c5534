/* SPDX-License-Identifier: MIT */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * An opened store: identity, writer's lock, journal, `live` page and the heads
 * of all aggregates. One struct store is used by one thread at a time, but for
 * store_commit, store_commit_group, store_submit, store_probe, store_last,
 * store_wait, store_refresh, store_mark and what goes with it, the functions of
 * watch.h, and those of reader.h on readers of their own, which any thread may
 * call.
 */

#include <stdbool.h>
#include <weir/types.h>
#include "store/record.h"

struct store;

enum store_flag {
	STORE_WRITE = 1 << 0,  /* take LOCK, recover, allow commits */
	STORE_CREATE = 1 << 1, /* with WRITE: make a store that is missing */
	STORE_REINDEX = 1 << 2 /* with WRITE: throw the index away first */
};

struct store_options {
	int flags;		     /* enum store_flag */
	int64_t lock_wait_us;	     /* 0: the default, 5 s; -1: don't wait */
	uint64_t first_segment_bytes; /* 0: 1 MiB; for tests: at least 64 KiB */
	uint64_t max_segment_bytes;   /* 0: 256 MiB */
	/* A segment is twice the one before when those before it together are
	 * so many times as large as that; 0: 8. */
	unsigned segment_times;
	/* After so many bytes a thread of the writer begins to fill the next
	 * segment; 0: 512 KiB, UINT64_MAX: never. */
	uint64_t fill_after_bytes;
	/* Heads that are in the index and kept in memory all the same; 0:
	 * 64 MiB. */
	size_t heads_bytes;
	/* The index is brought on when so many bytes of the journal are not in
	 * it; 0: 4 MiB, UINT64_MAX: never. */
	uint64_t index_after_bytes;
	/* Appends wait for the index when so many are not; 0: 64 MiB. */
	uint64_t index_most_bytes;
	/* Told while the index is built before the store is open; may be NULL.
	 * Bytes of the journal done and in all. */
	void (*index_progress)(void *cookie, uint64_t done, uint64_t all);
	void *index_cookie;
};

/* Opens. Errors: WEIR_ENOTFOUND (no store there), WEIR_EUNREACH (LOCK held:
 * msg names the holder's pid and program), WEIR_EDAMAGE (file and offset),
 * WEIR_EIO ... A reader (no STORE_WRITE) writes nothing, ever, but where LMDB
 * keeps who reads the index. */
int store_open(struct store **out, const char *dir,
	       const struct store_options *o, struct weir_err *err);
void store_close(struct store *s);

/* Gives up the writer's LOCK and becomes a reader of the same store. */
int store_end_writing(struct store *s, struct weir_err *err);

const char *store_dir(const struct store *s);
const uint8_t *store_id(const struct store *s); /* 16 bytes */
uint64_t store_epoch(const struct store *s);	/* the last writer's */

/* What recovery did: bytes of a torn tail that were cut (kept aside under the
 * path), 0 when nothing was. */
uint64_t store_cut_bytes(const struct store *s, const char **kept_at);

/* The last committed sequence this handle knows; 0 in an empty store. */
uint64_t store_last(const struct store *s);

/* Readers: takes in what was published since. Returns 0 or a code. */
int store_refresh(struct store *s, struct weir_err *err);

/* Waits until sequence is committed (and refreshes), at most timeout_us (-1:
 * for ever) or until stop_fd (or -1) is readable. 0, WEIR_EUNREACH (timed
 * out), WEIR_ESTOPPED. */
int store_wait(struct store *s, uint64_t sequence, int64_t timeout_us,
	       int stop_fd, struct weir_err *err);

/*
 * For one who waits for more than a sequence: takes a mark, looks at all it
 * waits for (store_refresh, store_last), then dozes until something was
 * published after the mark, store_rouse was called, or so many microseconds
 * (at most a second) passed. In a reader store_rouse may be missed, so it
 * dozes shorter.
 */
uint32_t store_mark(struct store *s);
void store_doze(struct store *s, uint32_t mark, int64_t timeout_us);
void store_rouse(struct store *s);

/* ---- writing ------------------------------------------------------------ */

#define RECEIPT_LEFT 2

struct receipt {
	uint64_t sequence, version, position;
	int64_t committed_at;
	uint8_t event_id[16];
	uint8_t hash[RECORD_DIGEST];
	/* What stands left of the record's own subtree on the way to its
	 * aggregate's root, the newest first, when the writer had all of it at
	 * hand (lefts_known); for reader_receipt_json. */
	uint8_t left[RECEIPT_LEFT][RECORD_DIGEST];
	unsigned lefts;
	bool lefts_known;
	bool duplicate; /* the event_id was there with the same content: these
			 * are the original's numbers */
};

/*
 * Commits the drafts, all or nothing, and returns when they are durable and
 * published; receipts[i] answers drafts[i]. Drafts are checked here
 * (record_check). Errors leave the store unchanged: WEIR_EINPUT (err->offset
 * is not set; err->sequence is the index of the draft + 1), WEIR_ECONFLICT
 * (expected version: err->version is the present one; or event_id seen with
 * other content), WEIR_EDENIED (archived; or more records would carry a token
 * than its limit allows), WEIR_ENOSPC (heals), WEIR_EIO and WEIR_EFAILED (the writer
 * has failed: reopen). A commit in which every draft is a duplicate writes
 * nothing; one in which some are and others not is WEIR_ECONFLICT.
 */
int store_commit(struct store *s, struct receipt *receipts,
		 struct record_draft *drafts, size_t n, struct weir_err *err);

/*
 * Commits several independent commits with one write and one sync (a group):
 * commit i is drafts[first[i]] .. drafts[first[i + 1] - 1], first has n + 1
 * entries. Each commit stands alone: results[i].code says what became of it.
 * Returns 0 when the group was written (or nothing was left to write), else
 * the code that refused all of it. None may hold a reserved record
 * (WEIR_EUSAGE). Used by import.
 */
int store_commit_group(struct store *s, struct receipt *receipts,
		       struct weir_err *results, struct record_draft *drafts,
		       const size_t *first, size_t n, struct weir_err *err);

/*
 * Commits n drafts like store_commit, but returns at once: answer->fn is called
 * when they are durable and published, or refused. Memory of the drafts may go
 * when this returns.
 *
 * What breaks a rule is refused here, and fn is not called; otherwise it is
 * called exactly once, at the latest by store_close, in the order of the calls
 * of store_submit. While too much waits (32 MiB or 65,536 records) this waits
 * too, or with STORE_NOWAIT or in fn gives WEIR_EUNREACH.
 *
 * fn runs in a thread of the store's, one at a time. All commits wait while it
 * runs. It may submit, but not commit (WEIR_EUSAGE), end writing or close.
 * receipts and err live during the call; receipts is NULL when rc is a code.
 */
enum store_submit_flag {
	STORE_NOWAIT = 1 << 0
};

struct store_answer {
	void (*fn)(const struct store_answer *a, int rc,
		   const struct receipt *receipts, size_t n,
		   const struct weir_err *err);
	void *cookie;
	void (*via)(void); /* for those who pass a call on */
};

int store_submit(struct store *s, const struct record_draft *drafts, size_t n,
		 int flags, const struct store_answer *answer,
		 struct weir_err *err);

/* How many records carry a token (record_draft.token). Any thread. */
uint64_t store_token_writes(struct store *s, uint64_t token);

/* Takes its turn among the commits and says whether more can be made: 0,
 * WEIR_EFAILED (why), or WEIR_EUSAGE in a reader. Waits for the commit that is
 * under way. Any thread. */
int store_probe(struct store *s, struct weir_err *err);

/* In fn: the same fn is called right after it, in this thread, so that what
 * wakes somebody may be done by the last one alone. */
bool store_answers_follow(void);

/* ---- heads -------------------------------------------------------------- */

struct head {
	uint64_t position; /* frame of the newest record */
	uint64_t version;
	uint64_t sequence;
	bool archived;
};

/* WEIR_ENOTFOUND when there is no such aggregate (err may be NULL). */
int store_head(struct store *s, struct head *out, struct weir_str type,
	       struct weir_str id, struct weir_err *err);

/* All aggregates sorted by type, then id (bytes). Reserved ones ($...) are
 * left out unless reserved is true. The callback returns 0 to go on; another
 * value ends the walk and is returned. Names live during the call. */
int store_each(struct store *s, bool reserved,
	       int (*fn)(void *cookie, struct weir_str type, struct weir_str id,
			 const struct head *head),
	       void *cookie);
/* The same from behind a name on, which need not be there; absent: from the
 * first on. At most WEIR_NAME_MAX and WEIR_ID_MAX bytes. */
int store_each_after(struct store *s, bool reserved, struct weir_str type,
		     struct weir_str id,
		     int (*fn)(void *cookie, struct weir_str type,
			       struct weir_str id, const struct head *head),
		     void *cookie);
/* The same of one type, reserved or not, and of all reserved ones: without
 * going through the others. */
int store_each_type(struct store *s, struct weir_str type,
		    int (*fn)(void *cookie, struct weir_str type,
			      struct weir_str id, const struct head *head),
		    void *cookie);
int store_each_reserved(struct store *s,
			int (*fn)(void *cookie, struct weir_str type,
				  struct weir_str id, const struct head *head),
			void *cookie);
uint64_t store_aggregates(struct store *s, bool reserved);

/* ---- rules --------------------------------------------------------------- */

/*
 * Who says what may be appended, and learns from the records of reserved
 * aggregates. `admit` is asked for the drafts of each commit that are no
 * system's or carry a token: in the caller's thread, without a lock, and again by the leader,
 * under a lock of the store, when a reserved record was committed after that;
 * then it may use readers of its own, store_last and store_rules*, and nothing
 * else of the store. A commit with a reserved record ends its group, so no
 * draft is decided by older rules than those before it in the journal.
 *
 * 0, or a code with err (err->sequence: the index of the draft + 1). *revision
 * is the first sequence whose record it did not know. A commit whose first
 * draft has an event_id is refused by the leader alone, for it may be one that
 * was appended before.
 */
struct store_admission {
	int (*admit)(void *cookie, uint64_t *revision,
		     const struct record_draft *drafts, size_t n,
		     struct weir_err *err);
	void *cookie;
};

/* Sets it, or takes it away (NULL): while no other call appends; what was
 * submitted is answered before it returns. From then on, and in readers as well, the store notes where reserved records stand that it
 * takes in. admit may be NULL for that alone. */
void store_set_admission(struct store *s, const struct store_admission *a);
/* The sequence of the newest reserved record taken in since the store was
 * opened; may be 0 in one that has some. */
uint64_t store_rules(const struct store *s);
/* The positions of up to n of those noted behind a sequence, oldest first: how
 * many. */
size_t store_rules_after(struct store *s, uint64_t *positions, size_t n,
			 uint64_t after);
/* Forgets those up to a sequence. */
void store_rules_forget(struct store *s, uint64_t sequence);

/* ---- the index ---------------------------------------------------------- */

struct reindex_report {
	uint64_t records, aggregates;
};

/* A writer that has committed nothing yet: brings the index up to the journal's
 * end. With heads_only it makes the heads anew, and the rest is left as it is;
 * without an index it makes all. progress may be NULL and gets bytes of the
 * journal done and in all. Opened with STORE_REINDEX, most was done before
 * store_open returned; the report counts that as well. */
int store_reindex(struct store *s, struct reindex_report *out, bool heads_only,
		  void (*progress)(void *cookie, uint64_t done, uint64_t all),
		  void *cookie, struct weir_err *err);

/* How far the index is: a sequence, 0 without one; and bytes of heads in
 * memory. */
uint64_t store_indexed(struct store *s, size_t *heads_bytes);

/* ---- checking ----------------------------------------------------------- */

struct check_report {
	uint64_t segments, groups, records, aggregates, bytes;
	uint8_t store_root[RECORD_DIGEST];
};

/* Reads everything again with pread: segment headers, chained CRCs, frame
 * CRCs, payload, body and record hashes, sequence and version numbering,
 * prev/skip, subtree nodes, frontiers; then the index against it. The first
 * fault is WEIR_EDAMAGE naming file and offset. progress (may be NULL) gets bytes done and in all. */
int store_check(struct store *s, struct check_report *out,
		void (*progress)(void *cookie, uint64_t done, uint64_t all),
		void *cookie, struct weir_err *err);

#endif
