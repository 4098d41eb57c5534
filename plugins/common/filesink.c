/* SPDX-License-Identifier: MIT */
/*
 * 1. A record stands in the files once: the cursor says how long each file is
 *    and how far the records in it go, and whatever lies beyond is cut.
 * 2. A replay is written to files of its own (NAME.replay) with a cursor of
 *    their own, and takes the place of the files that stand at its end. Till
 *    then those do not change, whatever state they are in.
 */
#include "common/filesink.h"

#include <string.h>

static int
open_set(struct filesink *s, struct files **out, const char *suffix,
	 struct weir_sink_result *res)
{
	const struct files_options how = {
		.folder = s->folder,
		.cursor = s->cursor,
		.suffix = suffix,
		.make_folder = s->make_folder,
		.fresh = suffix != NULL,
	};

	return files_new(out, &s->o, &how, res);
}

int
filesink_open(struct filesink *s, const struct weir_sink_open *o,
	      struct weir_sink_result *res)
{
	s->o = *o;
	return open_set(s, &s->files, NULL, res);
}

void
filesink_close(struct filesink *s)
{
	files_free(s->files);
	files_free(s->replay);
	s->files = s->replay = NULL;
}

int
filesink_resume(void *sink, uint32_t lane, struct weir_sink_cursor *out,
		struct weir_sink_result *res)
{
	struct filesink *s = sink;

	(void)lane;
	return files_resume(s->files, out, res);
}

static int
end_replay(struct filesink *s, uint64_t through, struct weir_sink_result *res)
{
	int class = files_adopt(s->files, s->replay, res);

	if (class == WEIR_SINK_OK)
		class = files_forget(s->replay, res);
	if (class != WEIR_SINK_OK)
		return class;
	files_free(s->replay);
	s->replay = NULL;
	s->replayed = through;
	return WEIR_SINK_OK;
}

static int
deliver_replay(struct filesink *s, const struct weir_sink_batch *batch,
	       struct weir_sink_result *res)
{
	int class;

	if (s->replay == NULL && batch->through_sequence <= s->replayed)
		return WEIR_SINK_OK;
	if (s->replay == NULL)
		return result_set(res, WEIR_SINK_RETRY, "REPLAY",
				  "begin it again with `weir sink replay`",
				  "no replay into %s has begun", s->folder);
	class = files_begin(s->replay, batch, res);
	if (class != WEIR_SINK_OK)
		return class;
	/* a last batch that came in but could not be swapped in comes again */
	if (!files_found(s->replay) ||
	    batch->through_sequence > files_cursor(s->replay)->sequence)
		class = s->write(s, s->replay, batch, res);
	if (class == WEIR_SINK_OK &&
	    (batch->flags & WEIR_BATCH_REPLAY_END) != 0)
		class = end_replay(s, batch->through_sequence, res);
	return class;
}

int
filesink_deliver(void *sink, const struct weir_sink_batch *batch,
		 struct weir_sink_result *res)
{
	struct filesink *s = sink;
	int class;

	if ((batch->flags & (WEIR_BATCH_REPLAY | WEIR_BATCH_REPLAY_END)) != 0) {
		class = files_begin_over(s->files, batch, res);
		if (class == WEIR_SINK_OK)
			class = deliver_replay(s, batch, res);
	} else {
		files_free(s->replay);
		s->replay = NULL;
		class = files_begin(s->files, batch, res);
		if (class == WEIR_SINK_OK)
			class = s->write(s, s->files, batch, res);
	}
	if (class == WEIR_SINK_OK)
		res->durable_sequence = batch->through_sequence;
	return class;
}

int
filesink_rewind(void *sink, uint64_t sequence, struct weir_sink_result *res)
{
	struct filesink *s = sink;
	struct files *set = NULL;
	int class;

	if (sequence > 1)
		return result_set(res, WEIR_SINK_REJECT, "REPLAY",
				  "replay it from the beginning",
				  "files can't be replayed from sequence %llu",
				  (unsigned long long)sequence);
	files_free(s->replay);
	s->replay = NULL;
	s->replayed = 0;
	class = open_set(s, &set, ".replay", res);
	if (class == WEIR_SINK_OK)
		class = files_forget(set, res);
	if (class != WEIR_SINK_OK) {
		files_free(set);
		return class;
	}
	s->replay = set;
	return WEIR_SINK_OK;
}
