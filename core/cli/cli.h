/* SPDX-License-Identifier: MIT */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/*
 * The frame of the command line. One table of commands (table.c) feeds
 * parsing, help, the manual's lint and completion. A command family is a file
 * that exports an array of struct cli_command, ended by one without words.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/types.h>
#include "base/buf.h"

struct call_state;
struct cli;
struct cli_parsed;
struct store;
struct config;

/* ---- the command table --------------------------------------------------- */

enum cli_flag {
	CLI_REQUIRED = 1 << 0, /* option, operand: must be given */
	CLI_MANY = 1 << 1,     /* option, operand: may be given many times */
	CLI_TRUTH = 1 << 2, /* option without arg: --x=true|false works too */
	CLI_MAYBE = 1 << 3  /* option with arg: --x alone is --x=true, and a
			     * value stands behind = */
};

/* One option. name and help are without dashes and full stop. */
struct cli_option {
	const char *name; /* NULL ends a table */
	char letter;	  /* short form, or 0 */
	const char *arg;  /* placeholder; NULL: a flag; lower-case words
			   * split by | are the only values it takes */
	unsigned flags;	  /* enum cli_flag */
	const char *help;
};

/* A word without dashes. It may stand for an option (both forms work). SINK,
 * PLUGIN and FILE as names (or as an option's arg) are known to completion. */
struct cli_operand {
	const char *name;   /* "NAME"; NULL ends a table */
	const char *option; /* the option it fills, or NULL: kept by name */
	unsigned flags;
};

enum cli_command_flag {
	CLI_SINKS = 1 << 0,  /* writes: takes --sink-wait and --require-sinks */
	CLI_ASKS = 1 << 1,   /* destroys: takes --yes and --dry-run */
	CLI_HIDDEN = 1 << 2, /* not in help */
	CLI_CHECKS = 1
		     << 3, /* looks itself whether required options are there */
	CLI_LOCAL = 1 << 4 /* works on a store of this machine alone, or on
			    * none: takes no --server */
};

struct cli_command {
	const char *words; /* "aggregate apply"; NULL ends a table */
	const char *summary;
	const char *about;		    /* paragraphs for help, or NULL */
	const struct cli_option *options;   /* NULL: none of its own */
	const struct cli_operand *operands; /* NULL: none */
	unsigned flags;			    /* enum cli_command_flag */
	/* The exit status, or an enum weir_code with err filled: the frame
	 * prints it and chooses the exit status. */
	int (*run)(struct cli *c, struct weir_err *err);
};

/* ---- what a command gets --------------------------------------------------
 */

struct cli {
	const struct cli_command *command;
	struct cli_parsed *parsed;
	bool json;	       /* --json */
	bool out_tty;	       /* standard output is a terminal */
	bool err_tty;	       /* standard error is one */
	bool in_tty;	       /* standard input is one */
	bool colour;	       /* colours are wanted on standard output */
	struct buf out;	       /* waiting for standard output: see out_ below */
	int out_failed;	       /* errno of a failed write to it, or 0 */
	bool abandon;	       /* a thread never came back: leave without it */
	struct config *config; /* by cli_config */
	char *dir;	       /* by cli_data_dir */
	struct policy *policy; /* of the store that cli_open_write opened */
	struct call_state *call; /* of call.h, kept for more calls, or NULL */
};

/* Value of an option or operand (the last given one), NULL when not given; a
 * flag that is set gives "true". */
const char *cli_get(const struct cli *c, const char *name);
bool cli_has(const struct cli *c, const char *name); /* and not "false" */
/* The values of a CLI_MANY one: start with *at = 0; NULL at the end. */
const char *cli_next(const struct cli *c, const char *name, size_t *at);
size_t cli_count(const struct cli *c, const char *name);
/* A whole number; dflt when not given; WEIR_EUSAGE names the option. */
int cli_u64(const struct cli *c, uint64_t *out, const char *name, uint64_t dflt,
	    struct weir_err *err);
/* A duration (number with us, ms, s, m or h; none: s) in microseconds. */
int cli_duration(int64_t *us, const char *text, const char *what,
		 struct weir_err *err);

/* The most that one printed value may take. */
#define CLI_TEXT_MAX ((size_t)1 << 30)

/* ---- output ---------------------------------------------------------------
 * Standard output is gathered in c->out (append with buf_*) and written by
 * out_flush; out_spill writes only when much is waiting. The frame flushes at
 * the end. WEIR_EIO; a closed pipe is WEIR_ESTOPPED with an empty msg. */
int out_flush(struct cli *c, struct weir_err *err);
int out_spill(struct cli *c, struct weir_err *err);
/* One JSON value as a document: compact with --json, else indented. */
int out_json(struct cli *c, struct weir_str value, struct weir_err *err);
/* A table for people: cells row by row, the first row is the header; widths
 * fit the content; right says which columns are numbers (bit i). */
void out_table(struct cli *c, const char *const *cells, size_t columns,
	       size_t rows, unsigned right);

/* To standard error: "weir: text", or {"warning":{"message":...}}. */
void cli_warn(struct cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for what is only nice to know: nothing with --json. */
void cli_note(struct cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints err as an error and gives the exit status for it. */
int cli_fail(struct cli *c, const struct weir_err *err);
int cli_exit_status(int code);

/* Asks "TEXT [y/N]" on a terminal. 1 go on, 0 not. Without a terminal or with
 * --yes it is 1 at once; with --dry-run it prints what would be done and gives
 * 0. */
int cli_ask(struct cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the store --------------------------------------------------------- */

/* The data folder: --data-dir, WEIR_DATA_DIR, data_dir in --config, ./.weir.
 * Borrowed. */
int cli_data_dir(struct cli *c, const char **out, struct weir_err *err);
int cli_config(struct cli *c, struct config **out, struct weir_err *err);
/* Where messages of this command go, by these settings: model/diagconf.h.
 * cli_config has done it. */
int cli_diag(struct cli *c, const struct config *config, struct weir_err *err);
/* In the environment of a server in the background and of its children. */
#define CLI_START_ENV "WEIR_START_FD"
/* For reading: a missing store is WEIR_ENOTFOUND. */
int cli_open_read(struct cli *c, struct store **out, struct weir_err *err);
/* For writing: made when missing, and bound to its schemas. One at a time. */
int cli_open_write(struct cli *c, struct store **out, struct weir_err *err);
/* Either one. */
void cli_close(struct cli *c, struct store *s);

/* The same for a store that is made only on demand, and waits for LOCK so long
 * (-1: not at all). */
int cli_try_write(struct cli *c, struct store **out, bool create,
		  int64_t wait_us, struct weir_err *err);

/* For settings of sinks: the data folder of a store that is made when missing,
 * and its last sequence (last may be NULL). */
int cli_make_store(struct cli *c, const char **dir, uint64_t *last,
		   struct weir_err *err);

/*
 * After a write command: gives up LOCK and delivers what is committed to all
 * enabled sinks for up to --sink-wait. With only, s is a reader and one sink
 * gets what is there. A sink that is behind then is a warning; returns 0, or 8
 * with --require-sinks.
 */
int cli_deliver(struct cli *c, struct store *s, const char *only);

/* The same after a server has committed for the command: waits for what it
 * delivers. */
int cli_await(struct cli *c);

/* A descriptor that becomes readable at SIGINT or SIGTERM from the first call
 * on, which takes these signals over; -1 when it can't be had. */
int cli_stop_fd(void);
int cli_stopped(void); /* the signal that came, or 0 */

/* The whole program. */
int cli_main(int argc, char **argv);

#endif
