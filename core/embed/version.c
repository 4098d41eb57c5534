/* SPDX-License-Identifier: MIT */
#include <weir/types.h>

const char *weir_version(void);

__attribute__((visibility("default"))) const char *
weir_version(void)
{
	return PACKAGE_VERSION;
}
