/* SPDX-License-Identifier: MIT */
#ifndef BUS_SINKVIEW_H
#define BUS_SINKVIEW_H

/* How sinks and plugins are shown, by the command line and the server. */

#include "base/buf.h"

struct runner_status;
struct sinkconf;

/* A span of time in words: 3s, 5m, 2h, 4d. */
const char *sinkview_span(char out[24], int64_t us);

/* A message about a sink without the sink's name at its beginning. */
const char *sinkview_message(char out[1100], const char *message,
			     const char *name);

/* One sink's settings as a JSON object. A secret's value is "(secret)"; when
 * the plugin can't be loaded no values are shown. */
void sinkview_conf_json(struct buf *out, const struct sinkconf *conf);

/* Status as a JSON object; name and plugin of the sink with it. */
void sinkview_status_json(struct buf *out, const struct sinkconf *conf,
			  const struct runner_status *st);
const char *sinkview_state(const struct runner_status *st);

/* Words of a list of bits, joined by commas ("-" for none). */
void sinkview_capabilities(struct buf *out, uint32_t bits);
void sinkview_needs(struct buf *out, uint32_t bits);

#endif
