/* SPDX-License-Identifier: MIT */
/* tally: a complete sink that appends a line for each record to a file. */
#include <fcntl.h>
#include <stdio.h>
#include <weir/sink.h>

struct tally {
	const struct weir_sink_host *h;
	const char *path; /* a setting lives until close */
};

static int tally_open(void **out, const struct weir_sink_open *o,
		      struct weir_sink_result *res) {
	struct tally *t = o->host->resize(o->host->cookie, NULL, sizeof(*t));
	if (t == NULL) {
		snprintf(res->message, sizeof(res->message), "no memory");
		return WEIR_SINK_RETRY;
	}
	*t = (struct tally){ o->host, o->settings[0].value };
	*out = t;
	return WEIR_SINK_OK;
}
static void tally_close(void *sink) {
	struct tally *t = sink;
	t->h->release(t->h->cookie, t);
}
static int tally_deliver(void *sink, const struct weir_sink_batch *b,
			 struct weir_sink_result *res) {
	struct tally *t = sink;
	const struct weir_sink_files *f = t->h->files;
	void *h = t->h->cookie;
	int fd = f->open(h, t->path, O_WRONLY | O_CREAT, 0666), ok = fd >= 0;
	for (uint32_t i = 0; i < b->nrecords && ok; i++) {
		const struct weir_sink_record *r = b->records[i];
		char line[600];
		int n = snprintf(line, sizeof(line), "%llu %.*s %.*s %.*s\n",
			(unsigned long long)r->sequence,
			(int)r->aggregate_type.len, r->aggregate_type.data,
			(int)r->aggregate_id.len, r->aggregate_id.data,
			(int)r->event_type.len, r->event_type.data);
		ok = f->write_at(h, fd, line, (size_t)n, f->size(h, fd)) == n;
	}
	ok = ok && f->sync_data(h, fd) == 0;
	if (fd >= 0)
		f->close(h, fd);
	res->durable_sequence = ok ? b->through_sequence : 0;
	snprintf(res->message, sizeof(res->message), "can't write %s", t->path);
	return ok ? WEIR_SINK_OK : WEIR_SINK_RETRY;
}
static const struct weir_sink_option options[] = {
	{ "path", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, 0, "FILE", "The file." },
	{ 0, 0, 0, 0, 0, 0 } };
const struct weir_sink_plugin *weir_sink_plugin(void) {
	static const struct weir_sink_plugin plugin = { WEIR_SINK_ABI_MAJOR,
		WEIR_SINK_ABI_MINOR, sizeof(plugin), "tally", "1", "Lists the records.",
		.options = options, .open = tally_open, .deliver = tally_deliver,
		.close = tally_close };
	return &plugin;
}
