/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct bench bench = {.folder = ".", .rounds = 5, .cap = 3.0};
static FILE *json;
static const char *program = "bench";

void
bench_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program, what, why);
	exit(1);
}

static void
take_option(int c)
{
	switch (c) {
	case 'd':
		bench.folder = optarg;
		break;
	case 'j':
		json = fopen(optarg, "ae");
		if (json == NULL)
			bench_die(optarg, strerror(errno));
		break;
	case 'q':
		bench.quick = true;
		bench.rounds = 3;
		bench.cap = 1.0;
		break;
	case 'f':
		bench.full = true;
		break;
	case 'r':
		bench.rounds = (unsigned)strtoul(optarg, NULL, 10);
		break;
	case 'o':
		bench.only = optarg;
		break;
	default:
		fprintf(stderr,
			"usage: %s [--quick | --full] [--dir FOLDER] "
			"[--json FILE] [--rounds N] [--only WORD]\n",
			program);
		exit(2);
	}
}

void
bench_start(int argc, char **argv)
{
	static const struct option options[] = {
		{"dir", required_argument, NULL, 'd'},
		{"json", required_argument, NULL, 'j'},
		{"quick", no_argument, NULL, 'q'},
		{"full", no_argument, NULL, 'f'},
		{"rounds", required_argument, NULL, 'r'},
		{"only", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int c;

	program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(c);
	if (bench.rounds < 1 || bench.rounds > BENCH_ROUNDS_MOST)
		bench_die("--rounds", "1 to 9 are taken");
}

void
bench_end(void)
{
	if (json != NULL && fclose(json) != 0)
		bench_die("the file of --json", strerror(errno));
}

/* ---- clocks -------------------------------------------------------------- */

static double
clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double
bench_now(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

double
bench_cpu(void)
{
	return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

double
bench_rss(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long all = 0, here = 0;

	if (f == NULL || fscanf(f, "%ld %ld", &all, &here) != 2)
		bench_die("/proc/self/statm", "cannot be read");
	fclose(f);
	return (double)here * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* ---- folders ------------------------------------------------------------- */

void
bench_make_dir(char out[BENCH_PATH])
{
	snprintf(out, BENCH_PATH, "%s/bench-XXXXXX", bench.folder);
	if (mkdtemp(out) == NULL)
		bench_die(out, strerror(errno));
}

void
bench_drop(const char *dir)
{
	char path[BENCH_PATH + 300];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) != 0)
			bench_drop(path);
	}
	closedir(d);
	rmdir(dir);
}

double
bench_apart(double (*fn)(void *), void *arg)
{
	int ends[2], status;
	double got = 0;

	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) != 0)
		bench_die("pipe", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		bench_die("fork", strerror(errno));
	if (pid == 0) {
		got = fn(arg);
		_exit(write(ends[1], &got, sizeof(got)) != sizeof(got));
	}
	close(ends[1]);
	ssize_t n = read(ends[0], &got, sizeof(got));
	close(ends[0]);
	waitpid(pid, &status, 0);
	/* One that killed itself has nothing to tell. */
	if (n != sizeof(got) && !WIFSIGNALED(status))
		bench_die("a process", "ended without an answer");
	return got;
}

/* ---- events -------------------------------------------------------------- */

static char (*names)[16];
static unsigned nnames;

void
events_names(unsigned aggregates)
{
	if (aggregates <= nnames)
		return;
	names = realloc(names, aggregates * sizeof(*names));
	if (names == NULL)
		bench_die("memory", "none");
	for (unsigned i = nnames; i < aggregates; i++)
		snprintf(names[i], sizeof(names[i]), "id-%07u", i);
	nnames = aggregates;
}

struct weir_str
events_name(unsigned aggregate)
{
	return (struct weir_str){names[aggregate], 10};
}

void
events_init(struct events *e, unsigned n, size_t payload,
	    enum weir_content content, unsigned aggregates, uint64_t seed)
{
	*e = (struct events){.n = n,
			     .payload = payload,
			     .aggregates = aggregates,
			     .random = seed * 0x9e3779b97f4a7c15u + 1};
	e->event = calloc(n, sizeof(*e->event));
	e->payloads = malloc(n * payload);
	if (e->event == NULL || e->payloads == NULL || payload < 40)
		bench_die("events", "no memory, or too small");
	for (unsigned i = 0; i < n; i++) {
		char *p = e->payloads + i * payload;
		memset(p, 'x', payload);
		memcpy(p, "{\"n\":\"0123456789abcdef\",\"text\":\"", 32);
		memcpy(p + payload - 2, "\"}", 2);
		e->event[i] = (struct weir_event){
			.aggregate_type = {"account", 7},
			.event_type = {"changed", 7},
			.payload = {p, payload},
			.content = content,
			.expected_version = WEIR_ANY_VERSION,
		};
	}
}

void
events_fini(struct events *e)
{
	free(e->event);
	free(e->payloads);
}

static void
next_one(struct events *e, unsigned i)
{
	e->random = e->random * 6364136223846793005u + 1442695040888963407u;
	for (unsigned k = 0; k < 16; k++)
		e->payloads[i * e->payload + 6 + k] =
			"0123456789abcdef"[e->random >> 4 * k & 15];
}

void
events_next(struct events *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		next_one(e, i);
		unsigned a = (unsigned)(e->random >> 33) % e->aggregates;
		e->event[i].aggregate_id = events_name(a);
	}
}

void
events_next_from(struct events *e, unsigned first)
{
	for (unsigned i = 0; i < e->n; i++) {
		next_one(e, i);
		e->event[i].aggregate_id =
			events_name((first + i) % e->aggregates);
	}
}

/* ---- rows ---------------------------------------------------------------- */

void
sample_add(struct sample *s, double v)
{
	if (s->n == BENCH_ROUNDS_MOST)
		bench_die("a sample", "too many rounds");
	s->v[s->n++] = v;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct sample
sorted(const struct sample *s)
{
	struct sample t = *s;

	qsort(t.v, t.n, sizeof(t.v[0]), by_size);
	return t;
}

double
sample_median(const struct sample *s)
{
	struct sample t = sorted(s);

	return t.n == 0 ? 0 : (t.v[(t.n - 1) / 2] + t.v[t.n / 2]) / 2;
}

bool
bench_wanted(const char *name)
{
	return bench.only == NULL || strstr(name, bench.only) != NULL;
}

static void
put_sample(const char *name, const struct sample *s)
{
	struct sample t = sorted(s);

	fprintf(json, ",\"%s\":%.6g,\"%s_min\":%.6g,\"%s_max\":%.6g", name,
		sample_median(s), name, t.v[0], name, t.v[t.n - 1]);
}

static void
put_text(const char *name, const char *text)
{
	if (text != NULL)
		fprintf(json, ",\"%s\":\"%s\"", name, text);
}

static void
put_json(const struct row *r, const struct sample *ratio)
{
	fprintf(json, "{\"name\":\"%s\",\"unit\":\"%s\"", r->name, r->unit);
	put_sample("value", &r->value);
	if (ratio->n > 0) {
		put_text("baseline_name", r->baseline_name);
		put_sample("baseline", &r->baseline);
		put_sample("ratio", ratio);
	}
	put_text("target", r->target);
	put_text("curve", r->curve);
	if (r->curve != NULL)
		fprintf(json, ",\"x\":%.10g", r->x);
	put_text("x_name", r->x_name);
	fprintf(json, "}\n");
	fflush(json);
}

void
bench_row(const struct row *r)
{
	struct sample ratio = {.n = 0};

	for (unsigned i = 0; r->baseline_name != NULL && i < r->value.n; i++)
		sample_add(&ratio, r->value.v[i] / r->baseline.v[i]);
	printf("%-32s %12.6g %-12s", r->name, sample_median(&r->value),
	       r->unit);
	if (ratio.n > 0)
		printf(" %12.6g %-22s %8.3f", sample_median(&r->baseline),
		       r->baseline_name, sample_median(&ratio));
	printf("\n");
	fflush(stdout);
	if (json != NULL)
		put_json(r, &ratio);
}
