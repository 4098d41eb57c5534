/* SPDX-License-Identifier: MIT */
/*
 * A plugin that does nothing, built by test_abi.py in variants: MAJOR, MINOR,
 * SIZE (struct_size), NEEDS and CAPS come from the command line, TAIL adds
 * members behind those of today's header.
 */
#include <weir/sink.h>

#include <stddef.h>
#include <stdlib.h>

static int
nothing_open(void **out, const struct weir_sink_open *o,
	     struct weir_sink_result *res)
{
	static int sink;

	(void)o;
	(void)res;
	*out = &sink;
	return WEIR_SINK_OK;
}

static int
nothing_deliver(void *sink, const struct weir_sink_batch *b,
		struct weir_sink_result *res)
{
	(void)sink;
	res->durable_sequence = b->through_sequence;
	return WEIR_SINK_OK;
}

static void
nothing_close(void *sink)
{
	(void)sink;
}

/* Stands where an older plugin has other data: must never be called. */
static int
not_mine(const struct weir_sink_open *o, uint32_t *capabilities,
	 uint32_t *needs, struct weir_sink_result *res)
{
	(void)o;
	(void)capabilities;
	(void)needs;
	(void)res;
	abort();
}

struct longer {
	struct weir_sink_plugin known;
	int (*later)(void *sink);
	char more[256];
};

static const struct longer plugin = {
	.known =
		{
			.abi_major = MAJOR,
			.abi_minor = MINOR,
			.struct_size = SIZE,
			.name = "variant",
			.version = "1",
			.summary = "does nothing",
			.capabilities = CAPS,
			.needs = NEEDS,
			.open = nothing_open,
			.deliver = nothing_deliver,
			.close = nothing_close,
#ifdef OLDER
			.shape = not_mine,
#endif
		},
	.more = "what a later version has",
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	(void)not_mine;
	return &plugin.known;
}
