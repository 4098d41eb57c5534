/* SPDX-License-Identifier: MIT */
#ifndef BASE_TEST_H
#define BASE_TEST_H

/* cmocka and what it wants before it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the above first */
#include <cmocka.h>

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define assert_str(s, want)                                                    \
	do {                                                                   \
		struct weir_str str_ = (s);                                    \
		assert_int_equal(str_.len, strlen(want));                      \
		assert_memory_equal(str_.data, want, str_.len);                \
	} while (0)

#endif
