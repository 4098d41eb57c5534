/* SPDX-License-Identifier: MIT */
#include <weir/weir.h>

__attribute__((visibility("default"))) const char *
weir_version(void)
{
	return PACKAGE_VERSION;
}
