/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

/*
 * What the programs of this folder share: options, clocks, folders that go
 * away, events to append, and rows. tests/bench/README.md has the form of a
 * row.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/weir.h>

#define BENCH_ROUNDS_MOST 9u
#define BENCH_AGGREGATES  100000u
#define BENCH_PAYLOAD	  300u
#define BENCH_PATH	  4096u

struct bench {
	const char *folder; /* of everything that is written */
	const char *only;   /* a word that a row's name must hold, or NULL */
	bool quick, full;
	unsigned rounds;
	double cap; /* seconds that one run of one side may take */
};
extern struct bench bench;

/* --dir FOLDER, --json FILE, --quick, --full, --rounds N, --only WORD */
void bench_start(int argc, char **argv);
void bench_end(void);
_Noreturn void bench_die(const char *what, const char *why);

double bench_now(void); /* seconds */
double bench_cpu(void); /* of this process, all threads */
double bench_rss(void); /* MiB in use now */
void bench_make_dir(char out[BENCH_PATH]);
void bench_drop(const char *dir);
/* Runs fn in a process of its own and gives what it returned. */
double bench_apart(double (*fn)(void *), void *arg);

/* ---- events -------------------------------------------------------------- */

/* What is appended: JSON objects or bytes of one size, over aggregates chosen
 * at random. */
struct events {
	struct weir_event *event; /* n of them */
	char *payloads;
	size_t payload;
	unsigned n, aggregates;
	uint64_t random;
};

/* Names for so many aggregates; before threads run. */
void events_names(unsigned aggregates);
struct weir_str events_name(unsigned aggregate);
void events_init(struct events *e, unsigned n, size_t payload,
		 enum weir_content content, unsigned aggregates, uint64_t seed);
void events_fini(struct events *e);
/* The next n: other aggregates, other payloads. */
void events_next(struct events *e);
/* The next n, of the aggregates from `first` on, one after the other. */
void events_next_from(struct events *e, unsigned first);

/* ---- rows ---------------------------------------------------------------- */

struct sample {
	unsigned n;
	double v[BENCH_ROUNDS_MOST];
};

void sample_add(struct sample *s, double v);
double sample_median(const struct sample *s);

struct row {
	const char *name, *unit;
	struct sample value;
	const char *baseline_name; /* NULL: none */
	struct sample baseline;	   /* of the same rounds */
	const char *target; /* "ratio >= 0.3", "value <= 5000", or NULL */
	const char *curve;  /* the picture it is a point of, and where */
	double x;
	const char *x_name;
};

/* Prints it, and writes it to the file of --json. */
void bench_row(const struct row *r);
bool bench_wanted(const char *name);

#endif
