/* SPDX-License-Identifier: MIT */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
must_fail(const char *cond, const char *file, int line)
{
	fprintf(stderr, "weir: broken invariant: %s at %s:%d\n", cond, file,
		line);
	abort();
}
