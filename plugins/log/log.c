/* SPDX-License-Identifier: MIT */
/*
 * The log sink: a line for every record, where weir's own messages go.
 * weir-sink-log(7) is its manual.
 *
 * It holds no cursor and refuses no record; what the host took with emit is
 * as far as it can see.
 */
#include "common/result.h"
#include "common/text.h"
#include "template.h"

#include <string.h>

#define LINE_MAX_BYTES	 ((size_t)256 << 20)
#define DEFAULT_TEMPLATE "aggregate={aggregate} id={id} event={event}"

struct sink {
	const struct weir_sink_host *host;
	enum weir_level level;
	struct template *template;
	struct text line;
};

static const struct weir_sink_option options[] = {
	{"level", WEIR_OPT_ENUM, WEIR_OPT_RELOADABLE, "info",
	 "trace|debug|info|warn|error", "the level that the lines carry"},
	{"template", WEIR_OPT_STRING, 0, DEFAULT_TEMPLATE, "TEXT",
	 "the line, with {aggregate} {id} {event} {version} {sequence} {user} "
	 "{time} {payload} {state.FIELD}"},
	{0},
};

static const struct {
	const char *name;
	enum weir_level level;
} levels[] = {
	{"trace", WEIR_TRACE}, {"debug", WEIR_DEBUG}, {"info", WEIR_INFO},
	{"warn", WEIR_WARN},   {"error", WEIR_ERROR},
};

static enum weir_level
level_of(const struct weir_sink_open *o)
{
	const char *name = setting_get(o, "level");

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (name != NULL && strcmp(levels[i].name, name) == 0)
			return levels[i].level;
	return WEIR_INFO;
}

static const char *
template_of(const struct weir_sink_open *o)
{
	const char *source = setting_get(o, "template");

	return source != NULL ? source : DEFAULT_TEMPLATE;
}

static int
log_validate(const struct weir_sink_open *o, struct weir_sink_result *res)
{
	struct template_wrong wrong;

	template_check(&wrong, template_of(o));
	if (wrong.len == 0)
		return WEIR_SINK_OK;
	return result_set(res, WEIR_SINK_REJECT, "22023",
			  "placeholders are {aggregate} {id} {event} {version} "
			  "{sequence} {user} {time} {payload} {state.FIELD}",
			  "%s", wrong.text);
}

/* Puts the settings in place; on failure those before stay. */
static int
settle(struct sink *s, const struct weir_sink_open *o,
       struct weir_sink_result *res)
{
	struct template *t;
	int class = log_validate(o, res);

	if (class != WEIR_SINK_OK)
		return class;
	t = template_new(s->host, template_of(o));
	if (t == NULL)
		return result_nomem(res);
	template_free(s->template);
	s->template = t;
	s->level = level_of(o);
	return WEIR_SINK_OK;
}

static void
log_close(void *sink)
{
	struct sink *s = sink;

	template_free(s->template);
	text_fini(&s->line);
	s->host->release(s->host->cookie, s);
}

static int
log_open(void **out, const struct weir_sink_open *o,
	 struct weir_sink_result *res)
{
	struct sink *s = sink_alloc(o->host, sizeof(*s));
	int class;

	if (s == NULL)
		return result_nomem(res);
	s->host = o->host;
	text_init(&s->line, o->host, LINE_MAX_BYTES);
	class = settle(s, o, res);
	if (class != WEIR_SINK_OK) {
		log_close(s);
		return class;
	}
	*out = s;
	return WEIR_SINK_OK;
}

static int
log_deliver(void *sink, const struct weir_sink_batch *batch,
	    struct weir_sink_result *res)
{
	struct sink *s = sink;

	for (uint32_t i = 0; i < batch->nrecords; i++) {
		text_clear(&s->line);
		template_put(&s->line, s->template, batch->records[i]);
		if (s->line.failed)
			return result_nomem(res);
		s->host->emit(s->host->cookie, s->level, text_cstr(&s->line),
			      s->line.len);
	}
	res->durable_sequence = batch->through_sequence;
	return WEIR_SINK_OK;
}

static int
log_reload(void *sink, const struct weir_sink_open *o,
	   struct weir_sink_result *res)
{
	return o != NULL ? settle(sink, o, res) : WEIR_SINK_OK;
}

/* Most templates show no state; then none is made. */
static int
log_shape(const struct weir_sink_open *o, uint32_t *capabilities,
	  uint32_t *needs, struct weir_sink_result *res)
{
	(void)capabilities;
	(void)res;
	if (!template_wants_state(template_of(o)))
		*needs &= ~(uint32_t)WEIR_SINK_NEED_STATE;
	return WEIR_SINK_OK;
}

static const struct weir_sink_plugin plugin = {
	.abi_major = WEIR_SINK_ABI_MAJOR,
	.abi_minor = WEIR_SINK_ABI_MINOR,
	.struct_size = sizeof(struct weir_sink_plugin),
	.name = "log",
	.version = "0.1.0",
	.summary = "writes a line for every record to weir's own messages",
	.capabilities = WEIR_SINK_LOSSY,
	.needs = WEIR_SINK_NEED_STATE,
	.options = options,
	.validate = log_validate,
	.open = log_open,
	.deliver = log_deliver,
	.reload = log_reload,
	.close = log_close,
	.shape = log_shape,
};

const struct weir_sink_plugin *
weir_sink_plugin(void)
{
	return &plugin;
}
