/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

/* What libweir gives to a program that embeds it. */

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library in use, such as "0.1.0"; static. */
const char *weir_version(void);

#ifdef __cplusplus
}
#endif
#endif
