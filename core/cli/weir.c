/* SPDX-License-Identifier: MIT */
#include <stdio.h>

int
main(void)
{
	puts("weir " PACKAGE_VERSION);
	return 0;
}
