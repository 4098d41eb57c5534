/* SPDX-License-Identifier: MIT */
/*
 * A plugin as somebody built it for ABI 1.0. It is compiled from the frozen
 * header beside it and never changes. Its target is a folder with the file
 * `state`: the cursor in its first line, then a line for each record ever taken;
 * each batch replaces it.
 */
#include <weir/sink.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (1 << 20)

struct frozen {
	const struct weir_sink_host *host;
	uint8_t store_id[16];
	char sink[64];
	char path[4100], temp[4200], folder[4096];
	char *text; /* what the target is to hold */
	size_t len, head;
	uint64_t sequence, epoch;
};

static int
fails(struct weir_sink_result *res, int class, const char *code,
      const char *what)
{
	snprintf(res->code, sizeof(res->code), "%s", code);
	snprintf(res->message, sizeof(res->message), "%s", what);
	snprintf(res->hint, sizeof(res->hint), "look at the folder");
	return class;
}

static int
frozen_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	for (size_t i = 0; i < o->nsettings; i++)
		if (strcmp(o->settings[i].name, "path") == 0 &&
		    strlen(o->settings[i].value) > 3000)
			return fails(res, WEIR_SINK_REJECT, "",
				     "the path is too long");
	return WEIR_SINK_OK;
}

static int
frozen_shape(const struct weir_sink_open *o, uint32_t *capabilities,
	     uint32_t *needs, struct weir_sink_result *res)
{
	(void)capabilities;
	(void)res;
	for (size_t i = 0; i < o->nsettings; i++)
		if (strcmp(o->settings[i].name, "state") == 0 &&
		    strcmp(o->settings[i].value, "false") == 0)
			*needs &= ~(uint32_t)WEIR_SINK_NEED_STATE;
	return WEIR_SINK_OK;
}

static int
frozen_open(void **out, const struct weir_sink_open *o,
	    struct weir_sink_result *res)
{
	struct frozen *f = o->host->resize(o->host->cookie, NULL, sizeof(*f));

	if (f == NULL)
		return fails(res, WEIR_SINK_RETRY, "ENOMEM", "no memory");
	memset(f, 0, sizeof(*f));
	f->host = o->host;
	memcpy(f->store_id, o->store_id, sizeof(f->store_id));
	snprintf(f->sink, sizeof(f->sink), "%s", o->sink);
	for (size_t i = 0; i < o->nsettings; i++)
		if (strcmp(o->settings[i].name, "path") == 0)
			snprintf(f->folder, sizeof(f->folder), "%s",
				 o->settings[i].value);
	snprintf(f->path, sizeof(f->path), "%.4000s/state", f->folder);
	snprintf(f->temp, sizeof(f->temp), "%s.weir-new", f->path);
	f->text = o->host->resize(o->host->cookie, NULL, TEXT_MAX);
	if (f->text == NULL) {
		o->host->release(o->host->cookie, f);
		return fails(res, WEIR_SINK_RETRY, "ENOMEM", "no memory");
	}
	*out = f;
	return WEIR_SINK_OK;
}

static void
frozen_close(void *sink)
{
	struct frozen *f = sink;

	f->host->release(f->host->cookie, f->text);
	f->host->release(f->host->cookie, f);
}

static void
unhex(uint8_t *out, const char *hex, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned x = 0;

		sscanf(hex + 2 * i, "%2x", &x);
		out[i] = (uint8_t)x;
	}
}

static size_t
put_hex(char *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
	return 2 * n;
}

/* Reads the target; len 0: it is not there. */
static int
load(struct frozen *f, struct weir_sink_result *res)
{
	const struct weir_sink_files *io = f->host->files;
	void *ck = f->host->cookie;
	int fd = io->open(ck, f->path, O_RDONLY, 0);
	int64_t n;

	f->len = f->head = 0;
	if (fd < 0 && errno == ENOENT)
		return WEIR_SINK_OK;
	if (fd < 0)
		return fails(res, WEIR_SINK_BLOCKED, "EIO",
			     "the file can't be opened");
	n = io->read_at(ck, fd, f->text, TEXT_MAX - 1, 0);
	io->close(ck, fd);
	if (n <= 0)
		return fails(res, WEIR_SINK_RETRY, "EIO",
			     "the file can't be read");
	f->len = (size_t)n;
	f->text[n] = '\0';
	f->head = strcspn(f->text, "\n") + 1;
	return WEIR_SINK_OK;
}

static int
frozen_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
	      struct weir_sink_result *res)
{
	struct frozen *f = sink;
	char id[33], hash[65];
	int class = load(f, res);

	if (class != WEIR_SINK_OK || f->len == 0) {
		f->sequence = f->epoch = 0;
		return class;
	}
	if (sscanf(f->text, "%32s %63s %" SCNu64 " %64s %" SCNu64 " %" SCNu64,
		   id, out->sink, &out->sequence, hash, &out->epoch,
		   &out->parked) != 6)
		return fails(res, WEIR_SINK_BLOCKED, "CURSOR",
			     "the cursor can't be read");
	out->found = 1;
	out->lane = lane;
	unhex(out->store_id, id, sizeof(out->store_id));
	unhex(out->hash, hash, sizeof(out->hash));
	f->sequence = out->sequence;
	f->epoch = out->epoch;
	return WEIR_SINK_OK;
}

static int
replace(struct frozen *f, const char *text, size_t len,
	struct weir_sink_result *res)
{
	const struct weir_sink_files *io = f->host->files;
	void *ck = f->host->cookie;
	int fd = io->open(ck, f->temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int good = fd >= 0 &&
		   io->write_at(ck, fd, text, len, 0) == (int64_t)len &&
		   io->sync_data(ck, fd) == 0;

	if (fd >= 0)
		io->close(ck, fd);
	if (good)
		good = io->rename(ck, f->temp, f->path) == 0 &&
		       io->sync_folder(ck, f->folder) == 0;
	return good ? WEIR_SINK_OK
		    : fails(res, WEIR_SINK_RETRY, "EIO",
			    "the file can't be replaced");
}

static size_t
put_cursor(char *out, size_t max, const struct frozen *f,
	   const struct weir_sink_batch *b)
{
	char id[33], hash[65];

	put_hex(id, f->store_id, sizeof(f->store_id));
	put_hex(hash, b->through_hash, sizeof(b->through_hash));
	return (size_t)snprintf(
		out, max, "%s %s %" PRIu64 " %s %" PRIu64 " %" PRIu64 "\n", id,
		f->sink, b->through_sequence, hash, b->epoch, b->parked);
}

static int
put_record(char *out, size_t max, size_t *n, const struct weir_sink_record *r)
{
	struct weir_str s =
		r->state_json.data != NULL ? r->state_json : r->payload;
	int k = snprintf(out + *n, max - *n,
			 "%" PRIu64 " %" PRIu64 " %.*s %.*s %.*s %.*s\n",
			 r->sequence, r->version, (int)r->aggregate_type.len,
			 r->aggregate_type.data, (int)r->aggregate_id.len,
			 r->aggregate_id.data, (int)r->event_type.len,
			 r->event_type.data, (int)s.len, s.data);

	if (k < 0 || (size_t)k >= max - *n)
		return 0;
	*n += (size_t)k;
	return 1;
}

static int
frozen_deliver(void *sink, const struct weir_sink_batch *b,
	       struct weir_sink_result *res)
{
	struct frozen *f = sink;
	int parked = (b->flags & WEIR_BATCH_PARKED) != 0;
	struct weir_sink_cursor at = {.struct_size = sizeof(at)};
	size_t n = 0, body;
	char *text;
	int class = frozen_resume(f, b->lane, &at, res);

	if (class == WEIR_SINK_OK && at.found &&
	    memcmp(at.store_id, f->store_id, sizeof(at.store_id)) != 0)
		class = fails(res, WEIR_SINK_BLOCKED, "STORE",
			      "the folder belongs to another store");
	if (class == WEIR_SINK_OK && f->epoch > b->epoch)
		class = fails(res, WEIR_SINK_BLOCKED, "EPOCH",
			      "a newer runner has written here");
	if (class != WEIR_SINK_OK)
		return class;
	text = f->host->resize(f->host->cookie, NULL, TEXT_MAX);
	if (text == NULL)
		return fails(res, WEIR_SINK_RETRY, "ENOMEM", "no memory");
	n = put_cursor(text, TEXT_MAX, f, b);
	body = f->len - f->head;
	memcpy(text + n, f->text + f->head, body);
	n += body;
	for (uint32_t i = 0; i < b->nrecords && class == WEIR_SINK_OK; i++) {
		const struct weir_sink_record *r = b->records[i];

		if (parked ? at.found && at.epoch >= b->epoch
			   : r->sequence <= f->sequence)
			continue;
		if (!put_record(text, TEXT_MAX, &n, r)) {
			res->bad_sequence = r->sequence;
			class = fails(res, WEIR_SINK_REJECT, "EFBIG",
				      "the file would be too large");
		}
	}
	if (class == WEIR_SINK_OK)
		class = replace(f, text, n, res);
	f->host->release(f->host->cookie, text);
	if (class == WEIR_SINK_OK)
		res->durable_sequence = b->through_sequence;
	return class;
}

static int
frozen_probe(void *sink, struct weir_sink_result *res)
{
	return load(sink, res);
}

static const struct weir_sink_option options[] = {
	{"path", WEIR_OPT_PATH, WEIR_OPT_REQUIRED, NULL, "FOLDER",
	 "the folder, which must be there"},
	{"state", WEIR_OPT_BOOL, 0, "true", NULL,
	 "write the state and not the payload"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(plugin),
	.name = "frozen",
	.version = "1",
	.summary = "a sink built for ABI 1.0",
	.capabilities = WEIR_SINK_TXN | WEIR_SINK_HOLDS_CURSOR,
	.needs = WEIR_SINK_NEED_STATE,
	.options = options,
	.validate = frozen_validate,
	.open = frozen_open,
	.resume = frozen_resume,
	.deliver = frozen_deliver,
	.probe = frozen_probe,
	.close = frozen_close,
	.shape = frozen_shape,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
