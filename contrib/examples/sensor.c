/* SPDX-License-Identifier: MIT */
/*
 * Sensors: a stream of C structs for each sensor, written by one process and
 * followed by another, which sleeps in poll() until something is committed.
 *
 *   cc sensor.c $(pkg-config --cflags --libs weir) -o sensor
 *   ./sensor FOLDER measure 1000     appends 1000 samples of four sensors
 *   ./sensor FOLDER follow 1000      prints what is committed, until 1000 came
 */
#include <weir/weir.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENSORS 4
#define BATCH	64

/* What is stored, byte for byte: so no padding, and no pointers. */
struct sample {
	uint64_t count;
	int64_t micro_celsius;
};

static int
measure(struct weir *w, struct weir_stream *s, uint64_t n, struct weir_err *err)
{
	struct weir_stream_event event[BATCH];
	struct sample sample[BATCH];
	uint64_t done = 0;
	int rc = 0;

	while (rc == 0 && done < n) {
		size_t k = 0;

		for (; k < BATCH && done < n; k++, done++) {
			sample[k].count = done;
			sample[k].micro_celsius =
				20000000 + (int64_t)(done * 7919 % 100000);
			event[k] = (struct weir_stream_event){
				.id = done % SENSORS,
				.data = &sample[k],
				.len = sizeof(sample[k]),
				.expected_version = WEIR_ANY_VERSION,
			};
		}
		rc = weir_stream_append(s, NULL, event, k, err);
	}
	if (rc == 0)
		printf("%" PRIu64 " samples, the last record is %" PRIu64 "\n",
		       done, weir_last(w));
	return rc;
}

/* Prints what there is: how many samples, or a code. */
static int64_t
print_new(struct weir_stream *s, struct weir_reader *r, struct weir_err *err)
{
	struct weir_record rec;
	struct sample sample;
	int64_t n = 0;
	uint64_t id;
	int rc;

	while ((rc = weir_next(r, &rec, err)) == 1) {
		if (!weir_stream_has(s, &id, &rec) || !WEIR_COPY(&sample, &rec))
			continue; /* something else in this store */
		printf("%" PRIu64 " sensor %" PRIu64 " version %" PRIu64
		       ": %" PRIu64 " %" PRId64 "\n",
		       rec.sequence, id, rec.version, sample.count,
		       sample.micro_celsius);
		n++;
	}
	fflush(stdout);
	return rc < 0 ? rc : n;
}

static int
follow(struct weir *w, struct weir_stream *s, uint64_t n, struct weir_err *err)
{
	struct weir_reader *r = NULL;
	struct weir_watch *watch = NULL;
	struct pollfd fd = {.events = POLLIN};
	uint64_t seen = 0;
	int rc = weir_reader_open(&r, w, err);

	if (rc == 0)
		rc = weir_watch_open(&watch, w, err);
	if (rc == 0)
		fd.fd = weir_watch_fd(watch);
	while (rc == 0) {
		int64_t got = print_new(s, r, err);

		if (got < 0)
			rc = (int)got;
		else if ((seen += (uint64_t)got) >= n)
			break;
		if (rc == 0)
			rc = weir_watch_arm(watch, weir_tell(r), err);
		/* Here a program waits for its other descriptors, too. */
		if (rc == 0)
			(void)poll(&fd, 1, -1);
	}
	weir_watch_close(watch);
	weir_reader_close(r);
	return rc;
}

int
main(int argc, char **argv)
{
	const struct weir_stream_options each = {.event_type = "sampled",
						 .size = sizeof(struct sample)};
	struct weir_options how = {0};
	struct weir_err err = {0};
	struct weir_stream *s = NULL;
	struct weir *w = NULL;
	int rc;

	if (argc != 4 || (strcmp(argv[2], "measure") != 0 &&
			  strcmp(argv[2], "follow") != 0)) {
		fprintf(stderr, "usage: sensor FOLDER measure|follow COUNT\n");
		return 2;
	}
	/* One process writes; any number may read beside it. */
	how.read_only = strcmp(argv[2], "follow") == 0;
	rc = weir_open(&w, argv[1], &how, &err);
	if (rc == 0)
		rc = weir_stream_open(&s, w, "sensor", &each, &err);
	if (rc == 0)
		rc = (how.read_only ? follow : measure)(
			w, s, strtoull(argv[3], NULL, 10), &err);
	if (rc != 0)
		fprintf(stderr, "sensor: %s\n", err.msg);
	weir_stream_close(s);
	weir_close(w);
	return rc == 0 ? 0 : 1;
}
