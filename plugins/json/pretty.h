/* SPDX-License-Identifier: MIT */
#ifndef JSON_PRETTY_H
#define JSON_PRETTY_H

#include "common/text.h"

/* Appends a checked JSON value indented by two spaces a level. Only white
 * space outside strings changes; numbers and strings stay as they came. */
void pretty_put(struct text *b, struct weir_str value);

#endif
